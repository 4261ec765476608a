// Package kube is the client of the lab's API server: objects of any kind, applied, listed, deleted and watched.
package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

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
	"github.com/hellolab/hellolab/messages"
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
	say       func(messages.Text) // tells of waits
}

// New returns a client of the API server that config leads to. It makes no request.
func New(config *rest.Config) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = Owner                  // the field manager of a request that names none
	config.QPS, config.Burst = -1, -1         // a lab's API server needs no protection from its only client
	config.WarningHandler = rest.NoWarnings{} // of old versions of the API, which are asked as well as the others
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(clientset.Discovery())
	return &Cluster{clientset, config, objects, cached, restmapper.NewDeferredDiscoveryRESTMapper(cached), func(messages.Text) {}}, nil
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

// resource returns the client for the objects of a kind.
func (c *Cluster) resource(apiVersion, kind, namespace string) (dynamic.ResourceInterface, error) {
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	mapping, err := c.mapper.RESTMapping(schema.GroupKind{Group: version.Group, Kind: kind}, version.Version)
	if meta.IsNoMatchError(err) {
		return nil, cmp.Or(c.unknown(version), err)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.objects.Resource(mapping.Resource), nil
	}
	return c.objects.Resource(mapping.Resource).Namespace(cmp.Or(namespace, metav1.NamespaceDefault)), nil
}

// unknown is why a version of the API could not be found out, or nil where the API server says that there is none.
func (c *Cluster) unknown(version schema.GroupVersion) error {
	_, err := c.discovery.ServerResourcesForGroupVersion(version.String())
	if apierrors.IsNotFound(err) || errors.Is(err, memory.ErrCacheNotFound) {
		return nil
	}
	return err
}

// APIVersion finds the version of the API that has a kind.
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

// Get returns an object, or nil if there is none.
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

// lastApplied is where kubectl apply keeps what it applied. With it, the user's own kubectl apply takes over without a
// warning, and removes the fields that the user has removed.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// mostAnnotated is how large an object may be to be noted in its own annotation, which may have 256 KiB with all others.
const mostAnnotated = 200 << 10

// Apply applies an object of a chapter (server-side apply).
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
	if len(original) < mostAnnotated {
		annotations[lastApplied] = string(original) + "\n"
	}
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

// Knows returns an error if the API server has no objects of that kind.
func (c *Cluster) Knows(object *unstructured.Unstructured) error {
	_, err := c.resource(object.GetAPIVersion(), object.GetKind(), object.GetNamespace())
	return err
}

// Create creates an object, in the name of a field manager.
func (c *Cluster) Create(ctx context.Context, object *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	resource, err := c.resource(object.GetAPIVersion(), object.GetKind(), object.GetNamespace())
	if err != nil {
		return nil, err
	}
	return resource.Create(ctx, object, metav1.CreateOptions{FieldManager: manager})
}

// Untouched reports whether nobody but hellolab and controllers has changed an object since it was made.
func Untouched(object *unstructured.Unstructured) bool { return wroteOnly(object) }

// wroteOnly is Untouched where some more field managers count as controllers.
func wroteOnly(object *unstructured.Unstructured, more ...string) bool {
	controllers := append(more, Owner, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "nginx-ingress-controller")
	return !slices.ContainsFunc(object.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Subresource != "status" && !slices.Contains(controllers, entry.Manager)
	})
}

// watched are the kinds that chapters are made of.
func watched() map[string]schema.GroupVersionResource {
	return map[string]schema.GroupVersionResource{
		"Pod":           {Version: "v1", Resource: "pods"},
		"Service":       {Version: "v1", Resource: "services"},
		"ConfigMap":     {Version: "v1", Resource: "configmaps"},
		"Secret":        {Version: "v1", Resource: "secrets"},
		"Namespace":     {Version: "v1", Resource: "namespaces"},
		"Deployment":    {Group: "apps", Version: "v1", Resource: "deployments"},
		"ReplicaSet":    {Group: "apps", Version: "v1", Resource: "replicasets"},
		"Job":           {Group: "batch", Version: "v1", Resource: "jobs"},
		"CronJob":       {Group: "batch", Version: "v1", Resource: "cronjobs"},
		"Ingress":       {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
		"EndpointSlice": {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	}
}

// Watched reports whether [Cluster.Changes] tell of the objects of a kind.
func Watched(kind string) bool {
	_, found := watched()[kind]
	return found
}

// Changes returns the watches for everything that chapters are made of.
func (c *Cluster) Changes() []await.Watch {
	var all []await.Watch
	for _, resource := range watched() {
		all = append(all, func(ctx context.Context) (watch.Interface, error) {
			return c.objects.Resource(resource).Watch(ctx, metav1.ListOptions{})
		})
	}
	return all
}

// Watch returns the watch for an object's changes.
func (c *Cluster) Watch(r Reference) await.Watch {
	return func(ctx context.Context) (watch.Interface, error) {
		resource, err := c.resource(r.APIVersion, r.Kind, r.Namespace)
		if err != nil {
			return nil, err
		}
		return resource.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + r.Name})
	}
}
