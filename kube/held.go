package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/messages"
)

// held returns what keeps objects that are being removed, one error each with the command that ends it, and since when. It
// returns nil where nothing does that would not go by itself.
func (c *Cluster) held(ctx context.Context, leaving []*unstructured.Unstructured) (why error, since time.Time) {
	var all []error
	hold := func(object *unstructured.Unstructured, reasons []error) {
		all = append(all, reasons...)
		if at := object.GetDeletionTimestamp(); len(reasons) > 0 && at != nil && (since.IsZero() || at.Time.Before(since)) {
			since = at.Time
		}
	}
	for _, before := range leaving {
		object, err := c.Get(ctx, Refer(before))
		if err != nil || object == nil || object.GetUID() != before.GetUID() || object.GetDeletionTimestamp() == nil {
			continue
		}
		hold(object, c.holders(ctx, object))
	}
	return errors.Join(distinct(all)...), since
}

// distinct drops errors that say the same: a namespace and an object in it may be kept by one thing.
func distinct(all []error) (kept []error) {
	for _, one := range all {
		if !slices.ContainsFunc(kept, func(k error) bool { return k.Error() == one.Error() }) {
			kept = append(kept, one)
		}
	}
	return kept
}

// holders is held for one object.
func (c *Cluster) holders(ctx context.Context, object *unstructured.Unstructured) []error {
	if own := ownReason(object); own != nil {
		return []error{own}
	}
	switch object.GetKind() {
	case "Namespace":
		return c.namespaceHolders(ctx, object)
	case "Pod":
		return c.lostNode(ctx, object)
	}
	if object.GetNamespace() == "" || len(object.GetFinalizers()) == 0 {
		return nil
	}
	inside, _ := c.List(ctx, []string{object.GetNamespace()}, true)
	if slices.Contains(object.GetFinalizers(), "kubernetes.io/pvc-protection") {
		return users(object, inside)
	}
	return dependents(object, inside, map[types.UID]bool{})
}

// ownReason is why an object itself stays that is being removed: a finalizer that Kubernetes does not remove by itself.
func ownReason(object *unstructured.Unstructured) error {
	r := Refer(object)
	if finalizers := ForeignFinalizers(object); len(finalizers) > 0 {
		return messages.Errorf("%s cannot be removed: nobody has removed its finalizers (%s)", r, finalizers).
			WithHint("if what was to do so is gone: %s; then run the same command again", r.free())
	}
	return nil
}

// lostNode is why a pod stays that nothing else keeps: its node has not been heard of for long.
func (c *Cluster) lostNode(ctx context.Context, pod *unstructured.Unstructured) []error {
	name, _, _ := unstructured.NestedString(pod.Object, "spec", "nodeName")
	if name == "" || time.Since(pod.GetDeletionTimestamp().Time) < 2*giveUp { // a node is late for a while after its API server is back
		return nil
	}
	node, err := c.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil || slices.ContainsFunc(node.Status.Conditions, func(n corev1.NodeCondition) bool {
		return n.Type == corev1.NodeReady && n.Status == corev1.ConditionTrue
	}) {
		return nil
	}
	return []error{messages.Errorf("%s cannot be removed: its node %s is not Ready", Refer(pod), name).
		WithHint("%s mends the lab; then run the same command again", messages.Hellolab("up"))}
}

// ForeignFinalizers are those of an object that Kubernetes' own controllers do not remove.
func ForeignFinalizers(object *unstructured.Unstructured) []string {
	return slices.DeleteFunc(object.GetFinalizers(), func(name string) bool {
		return name == metav1.FinalizerDeleteDependents || name == metav1.FinalizerOrphanDependents ||
			strings.HasPrefix(name, "kubernetes.io/") || strings.HasPrefix(name, "batch.kubernetes.io/")
	})
}

// dependents are the reasons why what an object owns stays, and the object with it.
func dependents(owner *unstructured.Unstructured, all []*unstructured.Unstructured, seen map[types.UID]bool) (reasons []error) {
	if seen[owner.GetUID()] { // two may own each other
		return nil
	}
	seen[owner.GetUID()] = true
	for _, object := range all {
		owns := slices.ContainsFunc(object.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return o.UID == owner.GetUID() })
		if !owns || object.GetDeletionTimestamp() == nil || object.GetUID() == owner.GetUID() {
			continue
		}
		if reason := ownReason(object); reason != nil {
			reasons = append(reasons, reason)
		} else {
			reasons = append(reasons, dependents(object, all, seen)...)
		}
	}
	return reasons
}

// users are the pods that a claim is kept for, one reason each: those that are not being removed themselves, or stay.
func users(claim *unstructured.Unstructured, all []*unstructured.Unstructured) (reasons []error) {
	for _, pod := range all {
		if pod.GetKind() != "Pod" || !mounts(pod, claim.GetName()) {
			continue
		}
		if pod.GetDeletionTimestamp() != nil {
			if reason := ownReason(pod); reason != nil {
				reasons = append(reasons, reason)
			}
			continue
		}
		reasons = append(reasons, messages.Errorf("%s cannot be removed: %s uses it", Refer(claim), Refer(pod)).
			WithHint("%s, or what made that pod; then run the same command again", Refer(pod).Remove()))
	}
	return reasons
}

// mounts reports whether a pod has a claim among its volumes.
func mounts(pod *unstructured.Unstructured, claim string) bool {
	volumes, _, _ := unstructured.NestedSlice(pod.Object, "spec", "volumes")
	return slices.ContainsFunc(volumes, func(volume any) bool {
		fields, _ := volume.(map[string]any)
		name, _, _ := unstructured.NestedString(fields, "persistentVolumeClaim", "claimName")
		return name == claim
	})
}

// namespaceHolders are the reasons why a namespace stays: what is in it, APIs that cannot be asked for what is in it, or
// else what the API server says.
func (c *Cluster) namespaceHolders(ctx context.Context, namespace *unstructured.Unstructured) (reasons []error) {
	said := remaining(namespace)
	if len(said) == 0 {
		return nil
	}
	inside, err := c.List(ctx, []string{namespace.GetName()}, true)
	for _, object := range inside {
		if object.GetDeletionTimestamp() == nil {
			continue
		}
		if reason := ownReason(object); reason != nil {
			reasons = append(reasons, reason)
		}
	}
	var missing Unavailable
	if errors.As(err, &missing) {
		reasons = append(reasons, messages.Errorf("%s cannot be removed: %s", Refer(namespace), said[0]).WithHint("if nothing serves it any more: %s; then run the same command again", missing.Remove()))
	}
	if len(reasons) == 0 {
		for _, message := range said {
			reasons = append(reasons, messages.Errorf("%s cannot be removed: %s", Refer(namespace), message).
				WithHint("%s shows what holds it", Refer(namespace).Describe()))
		}
	}
	return reasons
}

// remaining is what the API server says of what keeps a namespace.
func remaining(namespace *unstructured.Unstructured) (said []messages.Text) {
	conditions, _, _ := unstructured.NestedSlice(namespace.Object, "status", "conditions")
	for _, condition := range conditions {
		fields, _ := condition.(map[string]any)
		kind, _ := fields["type"].(string)
		message, _ := fields["message"].(string)
		failing := strings.HasPrefix(kind, "NamespaceDeletion") && strings.HasSuffix(kind, "Failure")
		if fields["status"] == "True" && (failing || kind == "NamespaceFinalizersRemaining") {
			said = append(said, messages.Verbatim(message))
		}
	}
	return said
}
