package kube_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
)

func TestReferenceString(t *testing.T) {
	t.Parallel()
	for want, reference := range map[string]kube.Reference{
		"deployment/web":        {APIVersion: "apps/v1", Kind: "Deployment", Namespace: "default", Name: "web", UID: "1"},
		"deployment/web -n dev": {Kind: "Deployment", Namespace: "dev", Name: "web"},
		"namespace/dev":         {Kind: "Namespace", Name: "dev"},
	} {
		if got := reference.String(); got != want {
			t.Errorf("%+v is told as %q, want %q", reference, got, want)
		}
	}
}

func TestReferenceSame(t *testing.T) {
	t.Parallel()
	one := kube.Reference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", UID: "1"}
	for _, test := range []struct {
		name   string
		change func(*kube.Reference)
		want   bool
	}{
		{"nothing", func(*kube.Reference) {}, true},
		{"another version", func(r *kube.Reference) { r.APIVersion = "apps/v1beta2" }, true},
		{"another UID", func(r *kube.Reference) { r.UID = "2" }, true},
		{"another group", func(r *kube.Reference) { r.APIVersion = "extensions/v1" }, false},
		{"the core group", func(r *kube.Reference) { r.APIVersion = "v1" }, false},
		{"a group of the version's name", func(r *kube.Reference) { r.APIVersion = "apps" }, false},
		{"another kind", func(r *kube.Reference) { r.Kind = "StatefulSet" }, false},
		{"another namespace", func(r *kube.Reference) { r.Namespace = "test" }, false},
		{"another name", func(r *kube.Reference) { r.Name = "web2" }, false},
	} {
		other := one
		test.change(&other)
		if one.Same(other) != test.want || other.Same(one) != test.want {
			t.Errorf("%s changed: the same is %v, want %v", test.name, one.Same(other), test.want)
		}
	}
	if !(kube.Reference{APIVersion: "v1", Kind: "Pod"}).Same(kube.Reference{APIVersion: "v2", Kind: "Pod"}) {
		t.Error("the versions of the core group are two groups")
	}
}

// TestUntouched holds that an object which anybody else has touched is never taken for hellolab's work alone.
func TestUntouched(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		managers []metav1.ManagedFieldsEntry
		want     bool
	}{
		{"untouched", []metav1.ManagedFieldsEntry{{Manager: "hellolab"}}, true},
		{"controllers", []metav1.ManagedFieldsEntry{{Manager: "hellolab"}, {Manager: "kube-controller-manager"}, {Manager: "kubelet", Subresource: "status"},
			{Manager: "kube-scheduler"}, {Manager: "kube-apiserver"}, {Manager: "nginx-ingress-controller", Subresource: "status"}}, true},
		{"somebody's status", []metav1.ManagedFieldsEntry{{Manager: "traefik", Subresource: "status"}}, true},
		{"kubectl apply", []metav1.ManagedFieldsEntry{{Manager: "hellolab"}, {Manager: "kubectl-client-side-apply"}}, false},
		{"kubectl scale", []metav1.ManagedFieldsEntry{{Manager: "hellolab"}, {Manager: "kubectl", Subresource: "scale"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			object := &unstructured.Unstructured{Object: map[string]any{}}
			object.SetManagedFields(test.managers)
			if got := kube.Untouched(object); got != test.want {
				t.Errorf("it is untouched: %v, want %v", got, test.want)
			}
		})
	}
}

// TestPassing holds that what is refused for good is not tried again until the time is over.
func TestPassing(t *testing.T) {
	t.Parallel()
	pods := schema.GroupResource{Resource: "pods"}
	for _, err := range []error{apierrors.NewInternalError(errors.New("failed calling webhook")), apierrors.NewServerTimeout(pods, "create", 1),
		apierrors.NewTooManyRequests("later", 1), apierrors.NewConflict(pods, "web", nil), context.DeadlineExceeded} {
		if !kube.Passing(err) {
			t.Errorf("%v is not tried again", err)
		}
	}
	for _, err := range []error{apierrors.NewBadRequest("no"), apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "web", nil),
		apierrors.NewForbidden(pods, "web", nil), apierrors.NewNotFound(pods, "web"), errors.New("connection refused")} {
		if kube.Passing(err) {
			t.Errorf("%v is tried again", err)
		}
	}
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name)}
}

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
		&corev1.Event{ObjectMeta: named("dev", "event")}).Cluster()
	for owned, want := range map[bool]string{
		false: "configmap/settings -n dev, pod/a -n dev, pod/b -n dev, service/kubernetes -n dev, serviceaccount/robot -n dev",
		true:  "pod/child, configmap/settings -n dev, pod/a -n dev, pod/b -n dev, service/kubernetes -n dev, serviceaccount/robot -n dev",
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

func TestGet(t *testing.T) {
	t.Parallel()
	cluster := kubetest.New(t, &corev1.Pod{ObjectMeta: named("default", "web")}, &corev1.Namespace{ObjectMeta: named("", "dev")}).Cluster()
	for _, test := range []struct {
		reference kube.Reference
		want      bool
	}{
		{kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: "default", Name: "web"}, true},
		{kube.Reference{APIVersion: "v1", Kind: "Pod", Name: "web"}, true}, // default is meant
		{kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: "web"}, false},
		{kube.Reference{APIVersion: "v1", Kind: "Namespace", Name: "dev"}, true},
		{kube.Reference{APIVersion: "v1", Kind: "Namespace", Namespace: "default", Name: "dev"}, true}, // a namespace is in none
	} {
		if found, err := cluster.Get(t.Context(), test.reference); err != nil || found != nil != test.want {
			t.Errorf("%+v is %v, %v", test.reference, found, err)
		}
	}
	if _, err := cluster.Get(t.Context(), kube.Reference{APIVersion: "v1", Kind: "Gadget", Name: "web"}); err == nil {
		t.Error("an unknown kind is no error")
	}
}

func TestAPIVersion(t *testing.T) {
	t.Parallel()
	cluster := kubetest.New(t).Cluster()
	for kind, want := range map[string]string{"Pod": "v1", "Deployment": "apps/v1"} {
		if got, err := cluster.APIVersion(kind); err != nil || got != want {
			t.Errorf("%s is in %s, %v; want %s", kind, got, err, want)
		}
	}
	if got, err := cluster.APIVersion("Gadget"); err == nil {
		t.Errorf("an unknown kind is in %q", got)
	}
}

// TestDelete holds that an object which took another's place under its name is left alone, and that what is gone already,
// or whose kind is, is no failure.
func TestDelete(t *testing.T) {
	t.Parallel()
	cluster := kubetest.New(t, &corev1.Pod{ObjectMeta: named("dev", "a")}, &corev1.Pod{ObjectMeta: named("dev", "b")}, &corev1.Pod{ObjectMeta: named("dev", "c")}).Cluster()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := cluster.Delete(ctx, []kube.Reference{
		{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: "a"},
		{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: "b", UID: "another"},
		{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: "c", UID: "dev/c"},
		{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: "d"},
		{APIVersion: "example.com/v1", Kind: "Gadget", Namespace: "dev", Name: "a"},
	}); err != nil {
		t.Fatal(err)
	}
	left, err := cluster.List(t.Context(), []string{"dev"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].GetName() != "b" {
		t.Errorf("left are %v", left)
	}
}

// TestApply holds that an applied object is labelled with its chapter, and can be taken over by kubectl apply; and that the
// object that was passed stays as it is.
func TestApply(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t, &corev1.Namespace{ObjectMeta: named("", "dev")})
	wanted := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": "dev", "name": "settings", "labels": map[string]any{"a": "b"}}, "data": map[string]any{"key": "value"}}}
	before := wanted.DeepCopy()
	if err := server.Cluster().Apply(t.Context(), wanted, "configmap"); err != nil {
		t.Fatal(err)
	}
	sent := server.Get("ConfigMap", "dev", "settings")
	if labels := sent.GetLabels(); labels[kube.ChapterLabel] != "configmap" || labels["a"] != "b" {
		t.Errorf("the labels are %v", labels)
	}
	written := `{"apiVersion":"v1","data":{"key":"value"},"kind":"ConfigMap","metadata":{"labels":{"a":"b"},"name":"settings","namespace":"dev"}}` + "\n"
	if got := sent.GetAnnotations()["kubectl.kubernetes.io/last-applied-configuration"]; got != written {
		t.Errorf("kubectl will find %q, want %q", got, written)
	}
	if data, _, _ := unstructured.NestedStringMap(sent.Object, "data"); data["key"] != "value" {
		t.Errorf("the data is %v", data)
	}
	if managers := sent.GetManagedFields(); len(managers) != 1 || managers[0].Manager != kube.Owner || managers[0].Operation != "Apply" {
		t.Errorf("its managers are %v", managers)
	}
	if !reflect.DeepEqual(wanted, before) {
		t.Errorf("the course's object has become %v", wanted.Object)
	}
}
