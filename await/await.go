// Package await waits until something is true: woken by watches where the API server can tell of changes, by trying
// again where nothing can.
package await

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/hellolab/hellolab/messages"
)

// Watch opens a stream of changes.
type Watch = func(context.Context) (watch.Interface, error)

// Watches checks, and checks again after every event of the watches, until done or ctx ends; the failure then tells what
// the last check said. A watch that breaks (the API server restarts, say) is opened again.
func Watches(ctx context.Context, done func(context.Context) (bool, error), watches ...Watch) error {
	return Changes(ctx, 0, done, watches...)
}

// Changes is [Watches] that checks every so often, too: for what depends on things that tell nobody.
func Changes(ctx context.Context, every time.Duration, done func(context.Context) (bool, error), watches ...Watch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, open := range watches {
		go follow(ctx, open, notify)
	}
	var tick <-chan time.Time
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		ok, err := done(ctx)
		if err == nil && ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-changed:
		case <-tick:
		}
	}
}

func follow(ctx context.Context, open Watch, notify func()) {
	for ctx.Err() == nil {
		if events, err := open(ctx); err == nil {
			notify()
			for range events.ResultChan() {
				notify()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// retryEvery is how often something is tried again that tells nobody when it comes true: a server that does not answer
// yet.
const retryEvery = 100 * time.Millisecond

// Poll tries until it succeeds or ctx ends; the failure then tells what the last try said.
func Poll(ctx context.Context, failure messages.Text, try func(context.Context) error) error {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return &messages.Error{What: failure, Cause: errors.Join(context.Cause(ctx), err)}
		case <-tick.C:
		}
	}
}
