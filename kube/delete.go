package kube

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/messages"
)

// Delete removes objects, with what they own, and waits until they are gone. It leaves alone an object that has another
// UID than its reference. Every object that cannot be removed is in the error, with what keeps it and the command that
// ends that. What does not go by itself, by the looks of it, is told of after a while, and waited for a little longer only.
func (c *Cluster) Delete(ctx context.Context, references []Reference) error {
	waiting, end := context.WithCancelCause(ctx)
	defer end(nil)
	leaving := &leaving{}
	var work sync.WaitGroup
	failed := make([]error, len(references))
	for i, reference := range references {
		work.Go(func() { failed[i] = c.delete(waiting, reference, leaving) })
	}
	go c.watchHeld(waiting, leaving, end)
	work.Wait()
	var held held
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		return context.Cause(ctx) // nothing is wrong with the objects
	case errors.As(context.Cause(waiting), &held):
		refused := slices.DeleteFunc(failed, func(err error) bool { return errors.As(err, &held) }) // those that were still waited for
		return errors.Join(append(refused, held.why)...)
	}
	return errors.Join(failed...)
}

// held is the end of a wait for objects that do not go by themselves.
type held struct{ why error }

func (h held) Error() string { return h.why.Error() }

// leaving are the objects that are being removed, and not gone yet.
type leaving struct {
	lock    sync.Mutex
	objects []*unstructured.Unstructured
}

func (l *leaving) add(object *unstructured.Unstructured) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.objects = append(l.objects, object)
}

func (l *leaving) drop(object *unstructured.Unstructured) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.objects = slices.DeleteFunc(l.objects, func(o *unstructured.Unstructured) bool { return o == object })
}

func (l *leaving) all() []*unstructured.Unstructured {
	l.lock.Lock()
	defer l.lock.Unlock()
	return slices.Clone(l.objects)
}

// watchHeld looks at what is still there now and then. It tells what keeps it once that has taken a while, and ends the
// wait where that takes long: counted from when the objects' removal was asked for first, maybe by an earlier command.
func (c *Cluster) watchHeld(ctx context.Context, leaving *leaving, end func(error)) {
	tick := time.NewTicker(quiet / 2)
	defer tick.Stop()
	for told, seen := false, 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		why, since := c.held(ctx, leaving.all())
		if ctx.Err() != nil || why == nil {
			seen = 0
			continue
		}
		seen++
		if waited := time.Since(since); waited >= giveUp && seen > 1 { // once may be too early, after the API server was away
			end(held{why})
			return
		} else if waited >= quiet && !told {
			told = true
			c.say(messages.T("still waiting: %s", why))
		}
	}
}

func (c *Cluster) delete(ctx context.Context, r Reference, leaving *leaving) error {
	object, err := c.remove(ctx, r)
	if err == nil && object != nil {
		leaving.add(object)
		err = c.untilGone(ctx, object)
		leaving.drop(object)
	}
	if err == nil {
		return nil
	}
	if object != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		later, cancel := afterwards(ctx)
		defer cancel()
		if why, _ := c.held(later, []*unstructured.Unstructured{object}); why != nil {
			return why
		}
	}
	failed := messages.Errorf("%s cannot be removed", r).Because(err)
	if messages.HintOf(err).IsZero() {
		failed.WithHint("%s shows what holds it", r.Describe())
	}
	return failed
}

// remove requests the removal of an object, and returns it, or nil if there is none.
func (c *Cluster) remove(ctx context.Context, r Reference) (found *unstructured.Unstructured, err error) {
	err = c.Retry(ctx, func(ctx context.Context) error {
		resource, err := c.resource(r.APIVersion, r.Kind, r.Namespace)
		if meta.IsNoMatchError(err) {
			return nil // its kind is gone, and the object with it
		}
		if err != nil {
			return err
		}
		now, err := resource.Get(ctx, r.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && r.UID != "" && string(now.GetUID()) != r.UID {
			return nil
		}
		if err != nil {
			return err
		}
		uid, foreground := now.GetUID(), metav1.DeletePropagationForeground
		err = resource.Delete(ctx, r.Name, metav1.DeleteOptions{PropagationPolicy: &foreground, Preconditions: &metav1.Preconditions{UID: &uid}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is gone, or another has taken its place
			return nil
		}
		found = now
		return err
	})
	return found, err
}

// untilGone waits until an object is gone.
func (c *Cluster) untilGone(ctx context.Context, object *unstructured.Unstructured) error {
	uid, r := object.GetUID(), Refer(object)
	return await.Watches(ctx, func(ctx context.Context) (bool, error) {
		now, err := c.Get(ctx, r)
		return err == nil && (now == nil || now.GetUID() != uid), err
	}, c.Watch(r))
}
