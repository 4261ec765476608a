package kube

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
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

// Remove is the command that takes the versions out of the API, where nothing serves them any more.
func (u Unavailable) Remove() messages.Command {
	var names []string
	for _, version := range u.Versions {
		names = append(names, apiService(version))
	}
	return messages.Kubectl("", "delete", "apiservice").Usage(strings.Join(names, " "))
}

// List returns all objects in namespaces that somebody made, sorted by namespace, kind and name: not those that
// Kubernetes makes in every namespace. Those that a controller made for another object are among them only if owned.
// If the error is [Unavailable], what could be listed is returned with it.
func (c *Cluster) List(ctx context.Context, namespaces []string, owned bool) ([]*unstructured.Unstructured, error) {
	all, err := c.listAll(ctx, true)
	if err != nil && !errors.As(err, new(Unavailable)) {
		return nil, err
	}
	selecting := selectors(all)
	all = slices.DeleteFunc(all, func(object *unstructured.Unstructured) bool {
		return !slices.Contains(namespaces, object.GetNamespace()) || builtIn(object) || derived(object, selecting) ||
			!owned && metav1.GetControllerOf(object) != nil
	})
	slices.SortFunc(all, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return all, err
}

// Wide returns the objects that belong to no namespace and that somebody made, neither Kubernetes nor the lab; and the
// namespaces that somebody made.
func (c *Cluster) Wide(ctx context.Context) ([]Reference, error) {
	all, err := c.listAll(ctx, false)
	if err != nil && !errors.As(err, new(Unavailable)) {
		return nil, err
	}
	var theirs []Reference
	for _, object := range all {
		if r := Refer(object); byUser(object) && !slices.Contains(kindsOwn(), r.kindName()) {
			theirs = append(theirs, r)
		}
	}
	slices.SortFunc(theirs, func(a, b Reference) int { return cmp.Compare(a.kindName(), b.kindName()) })
	return theirs, nil
}

// byUser reports whether somebody has made or changed an object of the whole cluster: not the programs that make up a
// cluster, which change nodes and their own priorities all the time.
func byUser(object *unstructured.Unstructured) bool {
	if slices.Contains([]string{"Node", "FlowSchema", "PriorityLevelConfiguration"}, object.GetKind()) {
		return false
	}
	return !wroteOnly(object, "kubeadm", "clusterrole-aggregation-controller")
}

// kindsOwn are objects that kind makes with kubectl, as a user would, where a cluster begins.
func kindsOwn() []string {
	return []string{"clusterrole/kindnet", "clusterrolebinding/kindnet", "clusterrole/local-path-provisioner-role",
		"clusterrolebinding/local-path-provisioner-bind", "storageclass/standard", "namespace/local-path-storage"}
}

// listAll returns all objects that are in namespaces, or all that are in none. A server that is not ready does not know of
// all kinds yet, and does not say so.
func (c *Cluster) listAll(ctx context.Context, namespaced bool) ([]*unstructured.Unstructured, error) {
	if _, err := c.CoreV1().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return nil, err
	}
	resources, missing, err := c.listable(namespaced)
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
	return slices.Concat(lists...), c.unavailable(ctx, missing)
}

// listable finds the kinds that can be somebody's work, and the versions of the API whose kinds cannot be found out.
func (c *Cluster) listable(namespaced bool) (resources []schema.GroupVersionResource, missing map[schema.GroupVersion]error, err error) {
	lists, err := c.discovery.ServerPreferredResources()
	missing, partly := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil {
		c.discovery.Invalidate() // the next one asks again
	}
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
			if kind.Namespaced == namespaced && kind.Kind != "Event" && verbs(kind, "list", "create", "delete") {
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
	said := messages.Errorf("the API %s is not available", versions[0]).Because(errors.Join(reasons...))
	missed := Unavailable{said, versions}
	said.WithHint("if nothing serves it any more: %s; then run the same command again", missed.Remove())
	return missed
}

// apiService is the name of the APIService of a version of the API.
func apiService(version schema.GroupVersion) string { return version.Version + "." + version.Group }

// local reports whether Kubernetes itself serves what an APIService is about.
func local(service *unstructured.Unstructured) bool {
	server, found, _ := unstructured.NestedMap(service.Object, "spec", "service")
	return !found || server == nil
}

// selectors are the Services whose endpoints Kubernetes finds by itself, as NAMESPACE/NAME.
func selectors(all []*unstructured.Unstructured) map[string]bool {
	selecting := map[string]bool{}
	for _, object := range all {
		if selector, _, _ := unstructured.NestedMap(object.Object, "spec", "selector"); object.GetKind() == "Service" && len(selector) > 0 {
			selecting[object.GetNamespace()+"/"+object.GetName()] = true
		}
	}
	return selecting
}

// derived reports whether Kubernetes makes an object out of a Service, without saying that the Service owns it. Those that
// somebody writes for a Service without a selector are a user's work.
func derived(object *unstructured.Unstructured, selecting map[string]bool) bool {
	return object.GetKind() == "Endpoints" && selecting[object.GetNamespace()+"/"+object.GetName()]
}

// builtIn reports whether Kubernetes makes an object of that name by itself.
func builtIn(object *unstructured.Unstructured) bool {
	switch object.GetKind() {
	case "ConfigMap":
		return object.GetName() == "kube-root-ca.crt"
	case "ServiceAccount":
		return object.GetName() == "default"
	case "Service", "Endpoints", "EndpointSlice":
		return object.GetNamespace() == metav1.NamespaceDefault && object.GetName() == "kubernetes"
	}
	return false
}
