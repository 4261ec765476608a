package kube_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, messages.Errorf("it was not done within 3m"))
		defer cancel()
		err := server.Cluster().Delete(ctx, []kube.Reference{{APIVersion: "v1", Kind: "Pod", Name: "c"}, pod("a"), pod("b"), {APIVersion: "v1", Kind: "Namespace", Name: "dev"}})
		p := messages.Printer{}
		want := `error: pod/c cannot be removed: pods "c" is forbidden: <nil>
error: pod/a -n dev cannot be removed: its finalizers are still there: example.com/hold, example.com/keep
error: namespace/dev cannot be removed: Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances
next: kubectl get pod/c -o yaml shows what holds it
next: kubectl get pod/a -o yaml -n dev shows what holds it
next: kubectl get namespace/dev -o yaml shows what holds it
`
		if got := p.Report(err); got != want {
			t.Errorf("it says\n%s\nwant\n%s", got, want)
		}
		if server.Get("Pod", "dev", "b") != nil {
			t.Error("the object that nothing holds is there")
		}
	})
}

// TestDeleteLate holds that an object which takes its time is waited for, through a restart of the API server, and that
// Ctrl-C blames no object.
func TestDeleteLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := named("dev", "a")
		held.Finalizers = []string{"example.com/hold"}
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
