// Package await waits until a condition holds. Watches wake it where the API server reports changes; elsewhere it tries again
// and again.
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

// Watches checks at once, and again after every event of the watches, until done reports true or ctx ends; the error then
// includes the last one of done. A watch that breaks, because the API server restarts for example, is opened again.
func Watches(ctx context.Context, done func(context.Context) (bool, error), watches ...Watch) error {
	return Changes(ctx, Every(0), done, watches...)
}

// Every is an interval of [Changes] that stays the same.
func Every(interval time.Duration) (every func() time.Duration) {
	return func() time.Duration { return interval }
}

// Changes is [Watches] that also checks when there has been no event for a time, for conditions that depend on something that cannot be
// watched; every is asked behind each check how long that time is, and 0 is for ever.
func Changes(ctx context.Context, every func() time.Duration, done func(context.Context) (bool, error), watches ...Watch) error {
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
	for {
		ok, err := done(ctx)
		if err == nil && ok {
			return nil
		}
		var quiet <-chan time.Time
		if interval := every(); interval > 0 {
			quiet = time.After(interval)
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-changed:
		case <-quiet:
		}
	}
}

func follow(ctx context.Context, open Watch, notify func()) {
	for ctx.Err() == nil {
		if events, err := open(ctx); err == nil {
			stop := context.AfterFunc(ctx, events.Stop) // not every watch ends with its context
			notify()
			for range events.ResultChan() {
				notify()
			}
			stop()
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// retryEvery is the interval of attempts at something that cannot be watched, a server that does not answer yet for example.
const retryEvery = 100 * time.Millisecond

// Poll tries until it succeeds or ctx ends; the error is then failure, because of the last attempt's error.
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
