package kube_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/messages"
)

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

// pod is the reference to one in the namespace dev.
func pod(name string) kube.Reference {
	return kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: name}
}

// TestDeleteStuck holds that every object that cannot be removed is named, with what holds it and the command that shows
// it, and that the others are removed all the same.
func TestDeleteStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := named("dev", "a")
		held.Finalizers = []string{"example.com/hold", "example.com/keep"}
		namespace := &corev1.Namespace{ObjectMeta: named("", "dev"), Status: corev1.NamespaceStatus{Conditions: []corev1.NamespaceCondition{
			{Type: corev1.NamespaceDeletionDiscoveryFailure, Status: corev1.ConditionFalse, Message: "All resources successfully discovered"},
			{Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionTrue, Message: "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"},
		}}}
		server := kubetest.New(t, namespace, &corev1.Pod{ObjectMeta: held}, &corev1.Pod{ObjectMeta: named("dev", "b")}, &corev1.Pod{ObjectMeta: named("default", "c")})
		server.Fail(http.MethodDelete, "/pods/c", -1, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "c", nil))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, messages.Errorf("timed out after 3m"))
		defer cancel()
		var said []string
		cluster, before := patient(t, server, &said), time.Now()
		err := cluster.Delete(ctx, []kube.Reference{{APIVersion: "v1", Kind: "Pod", Name: "c"}, pod("a"), pod("b"), {APIVersion: "v1", Kind: "Namespace", Name: "dev"}})
		p := messages.Printer{}
		want := `error: pod/c cannot be removed: pods "c" is forbidden: <nil>
error: pod/a -n dev cannot be removed: nobody has removed its finalizers (example.com/hold, example.com/keep)
next: kubectl get pod/c -o yaml shows what holds it
next: if what was to do so is gone: kubectl patch pod/a --type=merge -p '{"metadata":{"finalizers":null}}' -n dev; then run the same command again
`
		if got := p.Report(err); got != want {
			t.Errorf("it says\n%s\nwant\n%s", got, want)
		}
		if len(said) != 1 || said[0] != "still waiting: pod/a -n dev cannot be removed: nobody has removed its finalizers (example.com/hold, example.com/keep)" {
			t.Errorf("meanwhile it says %q", said)
		}
		if took := time.Since(before); took != 30*time.Second {
			t.Errorf("it takes %s", took)
		}
		before = time.Now()
		if again := cluster.Delete(ctx, []kube.Reference{pod("a")}); again == nil || time.Since(before) != 10*time.Second {
			t.Errorf("the second time it ends after %s with %v", time.Since(before), again)
		}
		if server.Get("Pod", "dev", "b") != nil {
			t.Error("the object that nothing holds is there")
		}
	})
}

// patient is a client that notes what it says.
func patient(t *testing.T, server *kubetest.Server, said *[]string) *kube.Cluster {
	t.Helper()
	var lock sync.Mutex
	cluster, err := server.Cluster().Patient(t.Context(), 3*time.Minute, func(text messages.Text) {
		lock.Lock()
		defer lock.Unlock()
		*said = append(*said, text.String())
	})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// TestDeleteHeldByOthers holds that what keeps an object is found where it is: in what it owns, in a pod that uses a
// volume, in a namespace's parts, in an API that nobody serves.
func TestDeleteHeldByOthers(t *testing.T) {
	owned := func(name, owner string, finalizers ...string) metav1.ObjectMeta {
		meta := named("dev", name)
		meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID("dev/" + owner)}}
		meta.Finalizers = finalizers
		return meta
	}
	foreground := func(name string) metav1.ObjectMeta {
		meta := named("dev", name)
		meta.Finalizers = []string{metav1.FinalizerDeleteDependents}
		return meta
	}
	protected := named("dev", "data")
	protected.Finalizers = []string{"kubernetes.io/pvc-protection"}
	now := metav1.Now()
	leaving := owned("child", "web", "example.com/hold")
	leaving.DeletionTimestamp = &now
	user := &corev1.Pod{ObjectMeta: named("dev", "user"), Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "d",
		VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}}}
	lost := named("dev", "lost")
	lost.Finalizers = []string{"kubernetes.io/slow"}
	gadget := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Gadget",
		"metadata": map[string]any{"namespace": "dev", "name": "g", "finalizers": []any{"example.com/operator"}}}}
	for _, test := range []struct {
		name    string
		objects []runtime.Object
		delete  kube.Reference
		want    string
	}{
		{"a part", []runtime.Object{&appsv1.ReplicaSet{ObjectMeta: foreground("web")}, &corev1.Pod{ObjectMeta: leaving}},
			kube.Reference{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "dev", Name: "web"},
			"kubectl patch pod/child --type=merge -p '{\"metadata\":{\"finalizers\":null}}' -n dev"},
		{"a user", []runtime.Object{&corev1.PersistentVolumeClaim{ObjectMeta: protected}, user},
			kube.Reference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "dev", Name: "data"}, "kubectl delete pod/user -n dev"},
		{"an operator that is gone", []runtime.Object{gadget}, kube.Reference{APIVersion: "example.com/v1", Kind: "Gadget", Namespace: "dev", Name: "g"},
			"kubectl patch gadget.example.com/g --type=merge"},
		{"a node that is gone", []runtime.Object{&corev1.Node{ObjectMeta: named("", "far")}, &corev1.Pod{ObjectMeta: lost, Spec: corev1.PodSpec{NodeName: "far"}}},
			kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: "lost"}, "hellolab up mends the lab"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := kubetest.New(t)
				server.Serve(kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true))
				server.Put(test.objects...)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				defer cancel()
				err := server.Cluster().Delete(ctx, []kube.Reference{test.delete})
				if hint := (messages.Printer{}).Hint(err); !strings.Contains(hint, test.want) {
					t.Errorf("it ends with %v, and advises %q, want %q", err, hint, test.want)
				}
			})
		})
	}
}

// TestDeleteKeptNamespace holds that an API which nobody serves is named where it keeps a namespace.
func TestDeleteKeptNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := &corev1.Namespace{ObjectMeta: named("", "dev"), Status: corev1.NamespaceStatus{Conditions: []corev1.NamespaceCondition{
			{Type: corev1.NamespaceDeletionDiscoveryFailure, Status: corev1.ConditionTrue, Message: "Discovery failed for some groups"}}}}
		failing.Finalizers = []string{"kubernetes.io/slow"}
		server := kubetest.New(t, failing)
		server.Serve(kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true))
		server.Put(service(false))
		server.Fail(http.MethodGet, "/gadgets", -1, apierrors.NewServiceUnavailable("no endpoints available"))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		err := server.Cluster().Delete(ctx, []kube.Reference{{APIVersion: "v1", Kind: "Namespace", Name: "dev"}})
		want := "error: namespace/dev cannot be removed: Discovery failed for some groups\n" +
			"next: if nothing serves it any more: kubectl delete apiservice v1.example.com; then run the same command again\n"
		if got := (messages.Printer{}).Report(err); got != want {
			t.Errorf("it says\n%s\nwant\n%s", got, want)
		}
	})
}

// TestDeleteUnknown holds that an object whose kind the API server does not know for the moment is not taken for gone.
func TestDeleteUnknown(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t)
	server.Serve(kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true))
	server.Fail(http.MethodGet, "/apis/example.com/v1", -1, apierrors.NewForbidden(schema.GroupResource{}, "", nil))
	err := server.Cluster().Delete(t.Context(), []kube.Reference{{APIVersion: "example.com/v1", Kind: "Gadget", Namespace: "dev", Name: "a"}})
	if err == nil {
		t.Error("it is taken for gone")
	}
}

// TestDeleteLate holds that an object which takes its time is waited for, through a restart of the API server, and that
// Ctrl-C blames no object.
func TestDeleteLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := named("dev", "a")
		held.Finalizers = []string{"kubernetes.io/slow"}
		server := kubetest.New(t, &corev1.Pod{ObjectMeta: held})
		refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		cluster := server.Cluster()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := cluster.Delete(ctx, []kube.Reference{pod("a")}); err == nil || strings.Contains(err.Error(), "pod/a") {
			t.Errorf("after Ctrl-C it says %v", err)
		}
		server.Break(refused)
		time.AfterFunc(20*time.Second, func() { server.Break(nil) })
		time.AfterFunc(40*time.Second, func() { server.Delete("Pod", "dev", "a") })
		before := time.Now()
		if err := cluster.Delete(t.Context(), []kube.Reference{pod("a")}); err != nil || time.Since(before) != 40*time.Second {
			t.Errorf("after %s: %v", time.Since(before), err)
		}
	})
}
