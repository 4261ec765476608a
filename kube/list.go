package kube

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/hellolab/hellolab/messages"
)

// Unavailable is the error of a list without the objects of Versions of the API: another server than Kubernetes' own
// serves these, and does not answer.
type Unavailable struct {
	error
	Versions []schema.GroupVersion
}

// Unwrap returns the message.
func (u Unavailable) Unwrap() error { return u.error }

// ignoredKinds are those that are no part of anybody's work: Kubernetes makes them by itself.
func ignoredKinds() []string {
	return []string{"Event", "Endpoints", "EndpointSlice", "Lease", "PodMetrics", "ControllerRevision"}
}

// List returns all objects in namespaces that somebody made, sorted by namespace, kind and name: not those that
// Kubernetes makes in every namespace. Those that a controller made for another object are among them only if owned.
// If the error is [Unavailable], what could be listed is returned with it.
func (c *Cluster) List(ctx context.Context, namespaces []string, owned bool) ([]*unstructured.Unstructured, error) {
	resources, missing, err := c.listable()
	if err != nil {
		return nil, err
	}
	var work sync.WaitGroup
	lists := make([][]*unstructured.Unstructured, len(resources))
	failed := make([]error, len(resources))
	for i, resource := range resources {
		work.Go(func() { lists[i], failed[i] = c.list(ctx, resource) })
	}
	work.Wait()
	for i, err := range failed {
		if err != nil {
			missing[resources[i].GroupVersion()] = err
		}
	}
	all := slices.DeleteFunc(slices.Concat(lists...), func(object *unstructured.Unstructured) bool {
		return !slices.Contains(namespaces, object.GetNamespace()) || builtIn(object) || !owned && metav1.GetControllerOf(object) != nil
	})
	slices.SortFunc(all, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return all, c.unavailable(ctx, missing)
}

// listable finds the kinds that can be somebody's work, and the versions of the API whose kinds cannot be found out.
func (c *Cluster) listable() (resources []schema.GroupVersionResource, missing map[schema.GroupVersion]error, err error) {
	lists, err := c.discovery.ServerPreferredResources()
	missing, partly := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partly {
		return nil, nil, err
	}
	if missing == nil {
		missing = map[schema.GroupVersion]error{}
	}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, nil, err
		}
		for _, kind := range list.APIResources {
			if kind.Namespaced && !slices.Contains(ignoredKinds(), kind.Kind) && verbs(kind, "list", "create", "delete") {
				resources = append(resources, version.WithResource(kind.Name))
			}
		}
	}
	return resources, missing, nil
}

func verbs(kind metav1.APIResource, wanted ...string) bool {
	return !slices.ContainsFunc(wanted, func(verb string) bool { return !slices.Contains(kind.Verbs, verb) })
}

// list returns all objects of a kind. A kind that has gone since it was found has none.
func (c *Cluster) list(ctx context.Context, resource schema.GroupVersionResource) ([]*unstructured.Unstructured, error) {
	list, err := c.objects.Resource(resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var items []*unstructured.Unstructured
	for i := range list.Items {
		items = append(items, &list.Items[i])
	}
	return items, nil
}

// unavailable is the error for versions of the API that could not be listed: [Unavailable] if all of them are served by
// other servers than Kubernetes' own, as their APIServices say.
func (c *Cluster) unavailable(ctx context.Context, missing map[schema.GroupVersion]error) error {
	if len(missing) == 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var versions []schema.GroupVersion
	var reasons []error
	for version, err := range missing {
		versions, reasons = append(versions, version), append(reasons, err)
	}
	slices.SortFunc(versions, func(a, b schema.GroupVersion) int { return cmp.Compare(a.String(), b.String()) })
	for _, version := range versions {
		service, err := c.Get(ctx, Reference{APIVersion: "apiregistration.k8s.io/v1", Kind: "APIService", Name: apiService(version)})
		if err != nil {
			return errors.Join(append(reasons, err)...)
		}
		if service == nil || local(service) {
			return errors.Join(reasons...)
		}
	}
	said := messages.Errorf("the API %s is not available", versions[0]).Because(errors.Join(reasons...)).
		WithHint("%s shows why", messages.Kubectl("", "describe", "apiservice", apiService(versions[0])))
	return Unavailable{said, versions}
}

// apiService is the name of the APIService of a version of the API.
func apiService(version schema.GroupVersion) string { return version.Version + "." + version.Group }

// local reports whether Kubernetes itself serves what an APIService is about.
func local(service *unstructured.Unstructured) bool {
	server, found, _ := unstructured.NestedMap(service.Object, "spec", "service")
	return !found || server == nil
}

// builtIn reports whether Kubernetes makes an object of that name by itself.
func builtIn(object *unstructured.Unstructured) bool {
	switch object.GetKind() {
	case "ConfigMap":
		return object.GetName() == "kube-root-ca.crt"
	case "ServiceAccount":
		return object.GetName() == "default"
	case "Service":
		return object.GetNamespace() == metav1.NamespaceDefault && object.GetName() == "kubernetes"
	}
	return false
}
