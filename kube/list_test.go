package kube_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/messages"
)

// TestList holds what counts as made by somebody.
func TestList(t *testing.T) {
	t.Parallel()
	child, controls := named("default", "child"), true
	child.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", Controller: &controls}}
	cluster := kubetest.New(t,
		&corev1.Pod{ObjectMeta: named("dev", "b")}, &corev1.Pod{ObjectMeta: named("dev", "a")}, &corev1.Pod{ObjectMeta: child},
		&corev1.Pod{ObjectMeta: named("kube-system", "etcd")},
		&corev1.ConfigMap{ObjectMeta: named("dev", "kube-root-ca.crt")}, &corev1.ConfigMap{ObjectMeta: named("dev", "settings")},
		&corev1.ServiceAccount{ObjectMeta: named("dev", "default")}, &corev1.ServiceAccount{ObjectMeta: named("dev", "robot")},
		&corev1.Service{ObjectMeta: named("default", "kubernetes")}, &corev1.Service{ObjectMeta: named("dev", "kubernetes")},
		&corev1.Event{ObjectMeta: named("dev", "event")},
		&corev1.Service{ObjectMeta: named("dev", "selecting"), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}}},
		&corev1.Endpoints{ObjectMeta: named("dev", "selecting")}, &corev1.Endpoints{ObjectMeta: named("dev", "database")},
		&corev1.Endpoints{ObjectMeta: named("default", "kubernetes")}, &discoveryv1.EndpointSlice{ObjectMeta: named("default", "kubernetes")},
		&discoveryv1.EndpointSlice{ObjectMeta: named("dev", "database-1")}, &coordinationv1.Lease{ObjectMeta: named("dev", "leader")}).Cluster()
	const rest = "configmap/settings -n dev, endpointslice/database-1 -n dev, endpoints/database -n dev, lease/leader -n dev, " +
		"pod/a -n dev, pod/b -n dev, service/kubernetes -n dev, service/selecting -n dev, serviceaccount/robot -n dev"
	for owned, want := range map[bool]string{
		false: rest, true: "pod/child, " + rest,
	} {
		found, err := cluster.List(t.Context(), []string{"default", "dev"}, owned)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, object := range found {
			names = append(names, kube.Refer(object).String())
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("with owned %v, there are\n%s\nwant\n%s", owned, got, want)
		}
	}
}

// TestWide holds that objects outside of namespaces are told of where a user has made them, and that neither Kubernetes'
// nor kind's nor the lab's own are.
func TestWide(t *testing.T) {
	t.Parallel()
	by := func(name, manager string) metav1.ObjectMeta {
		meta := named("", name)
		meta.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate}}
		return meta
	}
	cluster := kubetest.New(t,
		&rbacv1.ClusterRole{ObjectMeta: by("mine", "kubectl-create")}, &rbacv1.ClusterRole{ObjectMeta: by("kindnet", "kubectl-create")},
		&rbacv1.ClusterRole{ObjectMeta: by("kubeadm:get-nodes", "kubeadm")}, &rbacv1.ClusterRole{ObjectMeta: by("admin", "clusterrole-aggregation-controller")},
		&rbacv1.ClusterRole{ObjectMeta: by("ingress-nginx", "hellolab")}, &corev1.Node{ObjectMeta: by("node", "kubectl-label")},
		&corev1.Namespace{ObjectMeta: by("shop", "kubectl-create")}, &corev1.Namespace{ObjectMeta: by("kube-system", "kube-apiserver")},
		&corev1.PersistentVolume{ObjectMeta: by("disk", "kubectl-client-side-apply")}, &corev1.Pod{ObjectMeta: named("dev", "a")}).Cluster()
	found, err := cluster.Wide(t.Context())
	if got := fmt.Sprint(found); err != nil || got != "[clusterrole/mine namespace/shop persistentvolume/disk]" {
		t.Errorf("there are %s, %v", got, err)
	}
}

// service is the APIService of example.com/v1, served by Kubernetes itself or by another server.
func service(local bool) *unstructured.Unstructured {
	spec := map[string]any{"group": "example.com", "version": "v1"}
	if !local {
		spec["service"] = map[string]any{"namespace": "dev", "name": "gadgets"}
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1.example.com"}, "spec": spec}}
}

// TestListIncomplete holds that an incomplete list is never taken for a complete one, and that what another server than
// Kubernetes' own is to answer for is told from the rest.
func TestListIncomplete(t *testing.T) {
	t.Parallel()
	down := apierrors.NewServiceUnavailable("the server is currently unable to handle the request")
	for _, test := range []struct {
		name, path  string
		service     *unstructured.Unstructured
		unavailable bool
	}{
		{"another server's kinds are unknown", "/apis/example.com/v1", service(false), true},
		{"another server's objects are unknown", "/apis/example.com/v1/gadgets", service(false), true},
		{"a custom resource's kinds are unknown", "/apis/example.com/v1", service(true), false},
		{"a custom resource's objects are unknown", "/apis/example.com/v1/gadgets", service(true), false},
		{"nobody says who serves the kinds", "/apis/example.com/v1", nil, false},
		{"Kubernetes' own kinds are unknown", "/apis/apps/v1", service(false), false},
		{"Kubernetes' own objects are unknown", "/api/v1/secrets", service(false), false},
		{"nothing is known", "/apis", service(false), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := kubetest.New(t, &corev1.Pod{ObjectMeta: named("dev", "a")})
			server.Serve(kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true))
			if test.service != nil {
				server.Put(test.service)
			}
			server.Fail(http.MethodGet, test.path, -1, down)
			found, err := server.Cluster().List(t.Context(), []string{"dev"}, true)
			var unavailable kube.Unavailable
			if err == nil || errors.As(err, &unavailable) != test.unavailable {
				t.Fatalf("it ends with %v", err)
			}
			if !test.unavailable {
				return
			}
			if len(found) != 1 || len(unavailable.Versions) != 1 || unavailable.Versions[0] != (schema.GroupVersion{Group: "example.com", Version: "v1"}) {
				t.Errorf("there are %v, without %v", found, unavailable.Versions)
			}
			p := messages.Printer{}
			if !strings.HasPrefix(p.Error(err), "the API example.com/v1 is not available: ") || p.Hint(err) != "if nothing serves it any more: kubectl delete apiservice v1.example.com; then run the same command again" {
				t.Errorf("it says %q, and advises %q", p.Error(err), p.Hint(err))
			}
		})
	}
}

// TestListGone holds that a kind that goes between two requests has no objects, and that this is no error.
func TestListGone(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t, &corev1.Pod{ObjectMeta: named("dev", "a")})
	server.Serve(kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true))
	server.Fail(http.MethodGet, "/gadgets", -1, apierrors.NewNotFound(schema.GroupResource{Resource: "gadgets"}, ""))
	if found, err := server.Cluster().List(t.Context(), []string{"dev"}, true); err != nil || len(found) != 1 {
		t.Errorf("there are %v, %v", found, err)
	}
}
