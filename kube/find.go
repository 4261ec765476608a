package kube

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
)

// Find returns the objects that a user means by "deploy/web", "svc" or "pods/a": kinds and their short names as kubectl takes
// them, each with a name or all of that kind in the namespace.
func (c *Cluster) Find(namespace string, words ...string) (all []*unstructured.Unstructured, err error) {
	infos, err := resource.NewBuilder(c.Getter(namespace)).Unstructured().NamespaceParam(namespace).DefaultNamespace().
		ResourceTypeOrNameArgs(true, words...).Flatten().Do().Infos()
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		if object, ok := info.Object.(*unstructured.Unstructured); ok {
			all = append(all, object)
		}
	}
	return all, nil
}

// Of returns the objects of a kind in a namespace, or in all where that is "": none of a kind that the API server does not know.
func (c *Cluster) Of(ctx context.Context, apiVersion, kind, namespace string) ([]*unstructured.Unstructured, error) {
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	mapping, err := c.mapper.RESTMapping(schema.GroupKind{Group: version.Group, Kind: kind}, version.Version)
	if meta.IsNoMatchError(err) {
		return nil, c.unknown(version)
	}
	if err != nil {
		return nil, err
	}
	list, err := c.objects.Resource(mapping.Resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for i := range list.Items {
		all = append(all, &list.Items[i])
	}
	return all, nil
}

// Try returns the error that the API server would answer to the creation of an object, without creating it: nil for one that
// is there already.
func (c *Cluster) Try(ctx context.Context, object *unstructured.Unstructured) error {
	client, err := c.resource(object.GetAPIVersion(), object.GetKind(), object.GetNamespace())
	if err != nil {
		return err
	}
	_, err = client.Create(ctx, object, metav1.CreateOptions{FieldManager: Owner, DryRun: []string{metav1.DryRunAll}})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
