// Package kube is the lab's API server: objects of any kind, applied, listed, deleted and
// watched.
package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hellolab/hellolab/await"
)

// Owner is hellolab's name as a field manager: the only one, whatever the program's file is called.
const Owner = "hellolab"

// Namespace is hellolab's own in the lab's cluster: it holds the state of the course, and the chart repository.
const Namespace = "hellolab"

// ChapterLabel is on the objects that hellolab made, and names their chapter.
const ChapterLabel = "hellolab/chapter"

// Cluster is a client of the API server.
type Cluster struct {
	kubernetes.Interface
	config    *rest.Config
	objects   dynamic.Interface
	discovery discovery.CachedDiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
}

// New returns a client of the API server that config leads to. It makes no request.
func New(config *rest.Config) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = Owner          // the field manager of a request that names none
	config.QPS, config.Burst = -1, -1 // a lab's API server needs no protection from its only client
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(clientset.Discovery())
	return &Cluster{clientset, config, objects, cached, restmapper.NewDeferredDiscoveryRESTMapper(cached)}, nil
}

// Config returns a copy of how the API server is reached.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Getter returns the cluster in the form in which kubectl's and Helm's packages take one. namespace is for objects that
// name none.
func (c *Cluster) Getter(namespace string) genericclioptions.RESTClientGetter {
	return getter{c, namespace}
}

// getter is a Cluster with a default namespace. It shares the cluster's client and what that knows of the kinds.
type getter struct {
	cluster   *Cluster
	namespace string
}

func (g getter) ToRESTConfig() (*rest.Config, error) { return g.cluster.Config(), nil }

func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.cluster.discovery, nil
}

func (g getter) ToRESTMapper() (meta.RESTMapper, error) {
	return restmapper.NewShortcutExpander(g.cluster.mapper, g.cluster.discovery, func(string) {}), nil
}

// ToRawKubeConfigLoader returns a configuration that has the namespace, and nothing else.
func (g getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(clientcmdapi.Config{},
		&clientcmd.ConfigOverrides{Context: clientcmdapi.Context{Namespace: g.namespace}})
}

// Reference names an object, and the very one where UID is set.
type Reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

// Refer gives the reference to an object.
func Refer(object *unstructured.Unstructured) Reference {
	return Reference{object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName(), string(object.GetUID())}
}

// String is how kubectl names the object: "deployment/hellok8s-deployment -n dev".
func (r Reference) String() string {
	name := strings.ToLower(r.Kind) + "/" + r.Name
	if r.Namespace != "" && r.Namespace != metav1.NamespaceDefault {
		name += " -n " + r.Namespace
	}
	return name
}

// Same reports whether both name an object of one kind, namespace and name, in whatever version of its API.
func (r Reference) Same(other Reference) bool {
	return r.Kind == other.Kind && r.Namespace == other.Namespace && r.Name == other.Name && group(r.APIVersion) == group(other.APIVersion)
}

func group(apiVersion string) string {
	name, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return name
}

// resource is where objects of a kind are found.
func (c *Cluster) resource(apiVersion, kind, namespace string) (dynamic.ResourceInterface, error) {
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	mapping, err := c.mapper.RESTMapping(schema.GroupKind{Group: version.Group, Kind: kind}, version.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.objects.Resource(mapping.Resource), nil
	}
	return c.objects.Resource(mapping.Resource).Namespace(cmp.Or(namespace, metav1.NamespaceDefault)), nil
}

// APIVersion finds the version of the API that a kind is in, for those that name none.
func (c *Cluster) APIVersion(kind string) (string, error) {
	lists, err := c.discovery.ServerPreferredResources()
	for _, list := range lists {
		for _, resource := range list.APIResources {
			if resource.Kind == kind {
				return list.GroupVersion, nil
			}
		}
	}
	return "", cmp.Or(err, error(&meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: kind}}))
}

// Get gives an object, or nil where there is none.
func (c *Cluster) Get(ctx context.Context, r Reference) (*unstructured.Unstructured, error) {
	resource, err := c.resource(r.APIVersion, r.Kind, r.Namespace)
	if err != nil {
		return nil, err
	}
	found, err := resource.Get(ctx, r.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found, err
}

// lastApplied is where kubectl apply keeps what it applied. With it there, a reader's own kubectl apply takes over
// without a warning, and removes the fields that the reader has removed.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Apply brings an object to what is wanted (server-side apply), as one of a chapter's.
func (c *Cluster) Apply(ctx context.Context, wanted *unstructured.Unstructured, chapter string) error {
	resource, err := c.resource(wanted.GetAPIVersion(), wanted.GetKind(), wanted.GetNamespace())
	if err != nil {
		return err
	}
	original, err := json.Marshal(wanted.Object)
	if err != nil {
		return err
	}
	object := wanted.DeepCopy()
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[lastApplied] = string(original) + "\n"
	object.SetAnnotations(annotations)
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[ChapterLabel] = chapter
	object.SetLabels(labels)
	_, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: Owner, Force: true})
	return err
}

// Knows fails where the API server has no objects of that kind.
func (c *Cluster) Knows(object *unstructured.Unstructured) error {
	_, err := c.resource(object.GetAPIVersion(), object.GetKind(), object.GetNamespace())
	return err
}

// Create makes an object that must not be there yet, in the name of a field manager.
func (c *Cluster) Create(ctx context.Context, object *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	resource, err := c.resource(object.GetAPIVersion(), object.GetKind(), object.GetNamespace())
	if err != nil {
		return nil, err
	}
	return resource.Create(ctx, object, metav1.CreateOptions{FieldManager: manager})
}

// Delete takes objects away, with what they own, and waits until they are gone. It does nothing to an object that has
// another UID than its reference.
func (c *Cluster) Delete(ctx context.Context, references []Reference) error {
	work, ctx := errgroup.WithContext(ctx)
	for _, reference := range references {
		work.Go(func() error { return c.delete(ctx, reference) })
	}
	return work.Wait()
}

func (c *Cluster) delete(ctx context.Context, r Reference) error {
	resource, err := c.resource(r.APIVersion, r.Kind, r.Namespace)
	if meta.IsNoMatchError(err) {
		return nil // its kind is gone, and the object with it
	}
	if err != nil {
		return err
	}
	foreground := metav1.DeletePropagationForeground
	options := metav1.DeleteOptions{PropagationPolicy: &foreground}
	found, err := resource.Get(ctx, r.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && r.UID != "" && string(found.GetUID()) != r.UID {
		return nil
	}
	if err != nil {
		return err
	}
	uid := found.GetUID()
	options.Preconditions = &metav1.Preconditions{UID: &uid}
	if err := resource.Delete(ctx, r.Name, options); apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	} else if err != nil {
		return err
	}
	gone := func(ctx context.Context) (bool, error) {
		now, err := resource.Get(ctx, r.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && now.GetUID() != uid {
			return true, nil
		}
		return false, err
	}
	return await.Watches(ctx, gone, func(ctx context.Context) (watch.Interface, error) {
		return resource.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + r.Name})
	})
}

// ignoredKinds are those that are no part of anybody's work: Kubernetes makes them by itself.
func ignoredKinds() []string {
	return []string{"Event", "Endpoints", "EndpointSlice", "Lease", "PodMetrics", "ControllerRevision"}
}

// List gives all objects in namespaces that somebody made, sorted by namespace, kind and name: not those that
// Kubernetes makes in every namespace. Those that a controller made for another object are among them only if owned.
func (c *Cluster) List(ctx context.Context, namespaces []string, owned bool) ([]*unstructured.Unstructured, error) {
	lists, err := c.discovery.ServerPreferredResources()
	if err != nil && len(lists) == 0 {
		return nil, err
	}
	var (
		work, together = errgroup.WithContext(ctx)
		found          = make(chan []*unstructured.Unstructured)
		all            []*unstructured.Unstructured
	)
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, kind := range list.APIResources {
			if !kind.Namespaced || slices.Contains(ignoredKinds(), kind.Kind) || !verbs(kind, "list", "create", "delete") {
				continue
			}
			work.Go(func() error {
				items, err := c.list(together, version.WithResource(kind.Name))
				found <- items
				return err
			})
		}
	}
	failed := make(chan error, 1)
	go func() {
		failed <- work.Wait()
		close(found)
	}()
	for items := range found {
		for _, object := range items {
			if slices.Contains(namespaces, object.GetNamespace()) && !builtIn(object) && (owned || metav1.GetControllerOf(object) == nil) {
				all = append(all, object)
			}
		}
	}
	slices.SortFunc(all, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return all, <-failed
}

func verbs(kind metav1.APIResource, wanted ...string) bool {
	return !slices.ContainsFunc(wanted, func(verb string) bool { return !slices.Contains(kind.Verbs, verb) })
}

// list gives all objects of a kind. A kind whose server does not answer, or that has gone, has none.
func (c *Cluster) list(ctx context.Context, resource schema.GroupVersionResource) ([]*unstructured.Unstructured, error) {
	list, err := c.objects.Resource(resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsServiceUnavailable(err) {
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

// Untouched reports whether nobody but hellolab and controllers has changed an object since it was made.
func Untouched(object *unstructured.Unstructured) bool {
	controllers := []string{Owner, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "nginx-ingress-controller"}
	return !slices.ContainsFunc(object.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Subresource != "status" && !slices.Contains(controllers, entry.Manager)
	})
}

// Changes are the watches that tell of everything that chapters are made of.
func (c *Cluster) Changes() []await.Watch {
	var all []await.Watch
	for _, resource := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "pods"},
		{Version: "v1", Resource: "services"},
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "namespaces"},
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "apps", Version: "v1", Resource: "replicasets"},
		{Group: "batch", Version: "v1", Resource: "jobs"},
		{Group: "batch", Version: "v1", Resource: "cronjobs"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
		{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	} {
		all = append(all, func(ctx context.Context) (watch.Interface, error) {
			return c.objects.Resource(resource).Watch(ctx, metav1.ListOptions{})
		})
	}
	return all
}

// Passing reports whether err says that the API server could not ask an admission webhook, which is worth another
// try, rather than that an object was refused.
func Passing(err error) bool {
	return apierrors.IsInternalError(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) || errors.Is(err, context.DeadlineExceeded)
}
