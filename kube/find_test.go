package kube_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube/kubetest"
)

// TestFind checks that objects are found by the words that kubectl takes.
func TestFind(t *testing.T) {
	t.Parallel()
	cluster := kubetest.New(t, &corev1.Pod{ObjectMeta: named("default", "a")}, &corev1.Pod{ObjectMeta: named("default", "b")},
		&corev1.Pod{ObjectMeta: named("dev", "c")}).Cluster()
	for words, want := range map[string]int{"pod/a": 1, "pods": 2, "pods/b": 1, "pod": 2, "services": 0} {
		if found, err := cluster.Find("default", words); err != nil || len(found) != want {
			t.Errorf("%s are %d objects, %v; want %d", words, len(found), err, want)
		}
	}
	if _, err := cluster.Find("default", "pod/c"); !apierrors.IsNotFound(err) {
		t.Errorf("a pod of another namespace: %v", err)
	}
	if _, err := cluster.Find("default", "gadget/a"); err == nil {
		t.Error("a kind that there is not is found")
	}
}

// TestOf checks that a kind that the API server does not know has no objects, and that all namespaces can be asked.
func TestOf(t *testing.T) {
	t.Parallel()
	cluster := kubetest.New(t, &corev1.Pod{ObjectMeta: named("default", "a")}, &corev1.Pod{ObjectMeta: named("dev", "c")}).Cluster()
	for _, test := range []struct {
		version, kind, namespace string
		want                     int
	}{{"v1", "Pod", "", 2}, {"v1", "Pod", "dev", 1}, {"example.com/v1", "Gadget", "", 0}} {
		if found, err := cluster.Of(t.Context(), test.version, test.kind, test.namespace); err != nil || len(found) != test.want {
			t.Errorf("%+v: there are %d, %v", test, len(found), err)
		}
	}
}

// TestTry checks that an object is tried without being made.
func TestTry(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t)
	cluster, pod := server.Cluster(), &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a"}}}
	if err := cluster.Try(t.Context(), pod); err != nil || server.Get("Pod", "default", "a") != nil {
		t.Errorf("it is refused or made: %v", err)
	}
	server.Fail("POST", "/pods", 1, apierrors.NewBadRequest("no"))
	if err := cluster.Try(t.Context(), pod); !apierrors.IsBadRequest(err) {
		t.Errorf("a refusal is %v", err)
	}
	if err := cluster.Try(t.Context(), &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": map[string]any{"name": "a"}}}); !meta.IsNoMatchError(err) {
		t.Errorf("an unknown kind is %v", err)
	}
}
