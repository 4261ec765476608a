package kube

import (
	"context"
	"errors"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/messages"
)

// Delete removes objects, with what they own, and waits until they are gone. It leaves alone an object that has another
// UID than its reference. Every object that cannot be removed is in the error, with what holds it.
func (c *Cluster) Delete(ctx context.Context, references []Reference) error {
	var work sync.WaitGroup
	failed := make([]error, len(references))
	for i, reference := range references {
		work.Go(func() { failed[i] = c.delete(ctx, reference) })
	}
	work.Wait()
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return context.Cause(ctx) // nothing is wrong with the objects
	}
	return errors.Join(failed...)
}

func (c *Cluster) delete(ctx context.Context, r Reference) error {
	last, err := c.remove(ctx, r)
	if err == nil && last != nil {
		last, err = c.untilGone(ctx, last)
	}
	if err == nil {
		return nil
	}
	return messages.Errorf("%s cannot be removed", r).Because(because(last, err)).WithHint("%s shows what holds it", r.Describe())
}

// remove requests the removal of an object, and returns it, or nil if there is none.
func (c *Cluster) remove(ctx context.Context, r Reference) (found *unstructured.Unstructured, err error) {
	err = Retry(ctx, func(ctx context.Context) error {
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

// untilGone waits until an object is gone, and returns it as it was seen last.
func (c *Cluster) untilGone(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	uid, r := object.GetUID(), Refer(object)
	err := await.Watches(ctx, func(ctx context.Context) (bool, error) {
		now, err := c.Get(ctx, r)
		if err != nil {
			return false, err
		}
		if now == nil || now.GetUID() != uid {
			return true, nil
		}
		object = now
		return false, nil
	}, c.Watch(r))
	return object, err
}

// because is why an object is still there: what holds it, or else what the API server said.
func because(last *unstructured.Unstructured, err error) error {
	if last == nil || last.GetDeletionTimestamp() == nil {
		return err
	}
	conditions, _, _ := unstructured.NestedSlice(last.Object, "status", "conditions")
	var held []error
	for _, condition := range conditions {
		fields, _ := condition.(map[string]any)
		name, _ := fields["type"].(string)
		message, _ := fields["message"].(string)
		if last.GetKind() == "Namespace" && fields["status"] == "True" && slices.Contains(leftovers(), name) {
			held = append(held, &messages.Error{What: messages.Verbatim(message)})
		}
	}
	if finalizers := last.GetFinalizers(); len(finalizers) > 0 {
		held = append(held, messages.Errorf("its finalizers are still there: %s", finalizers))
	}
	if len(held) == 0 {
		return err
	}
	return errors.Join(held...)
}

// leftovers are the conditions of a namespace by which the API server tells what is left in it.
func leftovers() []string {
	return []string{"NamespaceDeletionDiscoveryFailure", "NamespaceDeletionGroupVersionParsingFailure", "NamespaceDeletionContentFailure",
		"NamespaceContentRemaining", "NamespaceFinalizersRemaining"}
}
