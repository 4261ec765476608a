package kube_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"reflect"
	"syscall"
	"testing"
	"testing/synctest"
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

// TestPassing holds that a request is tried again while the API server restarts or cannot reach a webhook, and not once it
// has been refused for good.
func TestPassing(t *testing.T) {
	t.Parallel()
	pods := schema.GroupResource{Resource: "pods"}
	sent := func(err error) error { return &url.Error{Op: "Post", URL: "https://localhost", Err: err} }
	for _, err := range []error{apierrors.NewInternalError(errors.New("failed calling webhook")), apierrors.NewServerTimeout(pods, "create", 1),
		apierrors.NewTooManyRequests("later", 1), apierrors.NewConflict(pods, "web", nil), apierrors.NewServiceUnavailable("starting"), context.DeadlineExceeded,
		sent(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}), sent(io.EOF), sent(io.ErrUnexpectedEOF),
		sent(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), sent(errors.New("http2: client connection lost")), sent(os.ErrDeadlineExceeded)} {
		if !kube.Passing(err) {
			t.Errorf("%v is not tried again", err)
		}
	}
	for _, err := range []error{apierrors.NewBadRequest("no"), apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "web", nil),
		apierrors.NewForbidden(pods, "web", nil), apierrors.NewNotFound(pods, "web"), errors.New("connection refused"), context.Canceled} {
		if kube.Passing(err) {
			t.Errorf("%v is tried again", err)
		}
	}
}

// TestRetry holds that a restart of the API server costs time and nothing else, and that a refusal is returned at once.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := kubetest.New(t, &corev1.Pod{ObjectMeta: named("dev", "a")})
		cluster := server.Cluster()
		server.Break(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)})
		time.AfterFunc(20*time.Second, func() { server.Break(nil) })
		get := func(ctx context.Context) error {
			_, err := cluster.CoreV1().Pods("dev").Get(ctx, "a", metav1.GetOptions{})
			return err
		}
		if err := cluster.Retry(t.Context(), get); err != nil {
			t.Errorf("after the restart: %v", err)
		}
		server.Fail("GET", "/pods/a", -1, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "a", nil))
		before := time.Now()
		if err := cluster.Retry(t.Context(), get); !apierrors.IsForbidden(err) || time.Since(before) != 0 {
			t.Errorf("refused, it ends after %s with %v", time.Since(before), err)
		}
	})
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name)}
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

// TestConfig holds that whatever is made of a cluster's configuration is hellolab's towards the API server, and is not
// slowed down; and that nobody changes it for the others.
func TestConfig(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t)
	cluster := server.Cluster()
	config := cluster.Config()
	if config.UserAgent != kube.Owner || config.QPS != -1 || config.Host != server.Config().Host {
		t.Errorf("it is %+v", config)
	}
	config.Host = "http://other"
	if cluster.Config().Host != server.Config().Host {
		t.Error("the host of the cluster has changed")
	}
}

// TestGetter holds that kubectl's and Helm's packages find the cluster, its kinds by their short names, and the namespace.
func TestGetter(t *testing.T) {
	t.Parallel()
	getter := kubetest.New(t).Cluster().Getter("dev")
	if namespace, _, err := getter.ToRawKubeConfigLoader().Namespace(); err != nil || namespace != "dev" {
		t.Errorf("the namespace is %s, %v", namespace, err)
	}
	mapper, err := getter.ToRESTMapper()
	if err != nil {
		t.Fatal(err)
	}
	if kind, err := mapper.KindFor(schema.GroupVersionResource{Resource: "deployments"}); err != nil || kind.Kind != "Deployment" {
		t.Errorf("deployments are %v, %v", kind, err)
	}
	if client, err := getter.ToDiscoveryClient(); err != nil || client == nil {
		t.Errorf("the kinds are %v, %v", client, err)
	}
	if config, err := getter.ToRESTConfig(); err != nil || config.UserAgent != kube.Owner {
		t.Errorf("the configuration is %v, %v", config, err)
	}
}

// TestWatch holds that the watch of an object is woken by that object alone.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := kubetest.New(t, &corev1.Pod{ObjectMeta: named("dev", "a")}, &corev1.Pod{ObjectMeta: named("dev", "b")})
		watch, err := server.Cluster().Watch(kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: "b"})(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		server.Delete("Pod", "dev", "a")
		server.Delete("Pod", "dev", "b")
		<-watch.ResultChan() // it is there
		change := <-watch.ResultChan()
		watch.Stop()
		if object, ok := change.Object.(*unstructured.Unstructured); !ok || object.GetName() != "b" || change.Type != "DELETED" {
			t.Errorf("the change is %+v", change)
		}
		if _, err := server.Cluster().Watch(kube.Reference{APIVersion: "v1", Kind: "Gadget", Name: "a"})(t.Context()); err == nil {
			t.Error("an unknown kind is watched")
		}
	})
}

func TestKnows(t *testing.T) {
	t.Parallel()
	cluster := kubetest.New(t).Cluster()
	for kind, known := range map[string]bool{"Pod": true, "Gadget": false} {
		object := &unstructured.Unstructured{}
		object.SetAPIVersion("v1")
		object.SetKind(kind)
		if err := cluster.Knows(object); err == nil != known {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := cluster.Create(t.Context(), object, "me"); err == nil {
			t.Errorf("a %s without a namespace is created", kind)
		}
	}
}
