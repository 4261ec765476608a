package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

// Patch changes an object in hellolab's name, and returns what it is then. It merges as kubectl patch does: lists of Kubernetes' own
// kinds by the names of their elements. With dryRun nothing is changed.
func (c *Cluster) Patch(ctx context.Context, r Reference, content []byte, dryRun bool) (*unstructured.Unstructured, error) {
	resource, err := c.resource(r.APIVersion, r.Kind, r.Namespace)
	if err != nil {
		return nil, err
	}
	kind, options := types.MergePatchType, metav1.PatchOptions{FieldManager: Owner}
	if scheme.Scheme.Recognizes(schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)) {
		kind = types.StrategicMergePatchType
	}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return resource.Patch(ctx, r.Name, kind, content, options)
}

// Remove removes objects as Delete does, but waits for none that a finalizer keeps.
func (c *Cluster) Remove(ctx context.Context, references []Reference) error {
	var free []Reference
	for _, reference := range references {
		found, err := c.Get(ctx, reference)
		switch {
		case err != nil:
			return err
		case found == nil:
		case len(ForeignFinalizers(found)) > 0:
			if _, err := c.remove(ctx, reference); err != nil {
				return err
			}
		default:
			free = append(free, Refer(found))
		}
	}
	return c.Delete(ctx, free)
}
