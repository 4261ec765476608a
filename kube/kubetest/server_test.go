package kubetest_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/util/deployment"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
)

func pod(name string, labels map[string]string, finalizers ...string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name, Labels: labels, Finalizers: finalizers}}
}

func dev() *corev1.Namespace { return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "dev"}} }

// TestWatch holds that a watch shows what is there and then every change, and ends with its context, with no network.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := kubetest.New(t, dev(), pod("a", nil), pod("b", nil))
		cluster := server.Cluster()
		ctx, cancel := context.WithCancel(t.Context())
		changes, err := cluster.CoreV1().Pods("dev").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=a"})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Hour)
			_, _ = cluster.CoreV1().Pods("dev").Patch(ctx, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"y"}}}`), metav1.PatchOptions{})
			_ = cluster.CoreV1().Pods("dev").Delete(ctx, "b", metav1.DeleteOptions{})
			_ = cluster.CoreV1().Pods("dev").Delete(ctx, "a", metav1.DeleteOptions{})
			time.Sleep(time.Hour)
			cancel()
		}()
		var seen []string
		for change := range changes.ResultChan() {
			seen = append(seen, string(change.Type))
		}
		if strings.Join(seen, " ") != "ADDED MODIFIED DELETED ERROR" { // the error is that of the context, as with a network
			t.Errorf("the watch shows %v", seen)
		}
	})
}

// TestRefusals holds that the server refuses what a real one would, and fails where a test says.
func TestRefusals(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t, dev(), pod("a", map[string]string{"app": "web"}), pod("b", nil))
	cluster := server.Cluster()
	pods := cluster.CoreV1().Pods("dev")
	if _, err := pods.Create(t.Context(), pod("a", nil), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second one gives %v", err)
	}
	if _, err := cluster.CoreV1().Pods("none").Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a namespace that is not there gives %v", err)
	}
	other := types.UID("other")
	if err := pods.Delete(t.Context(), "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}); !apierrors.IsConflict(err) {
		t.Errorf("another UID gives %v", err)
	}
	if list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"}); err != nil || len(list.Items) != 1 {
		t.Errorf("with the label there are %v, %v", list, err)
	}
	server.Fail("GET", "/pods/a", 1, apierrors.NewServerTimeout(schema.GroupResource{Resource: "pods"}, "get", 1))
	if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsServerTimeout(err) {
		t.Errorf("the first request gives %v", err)
	}
	if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
		t.Errorf("the second request gives %v", err)
	}
	broken := errors.New("broken")
	server.Break(broken)
	if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); !errors.Is(err, broken) {
		t.Errorf("a broken server gives %v", err)
	}
}

// TestFinalizers holds that what has a finalizer stays, and its namespace with it, until the finalizer is removed.
func TestFinalizers(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t, dev(), pod("a", nil), pod("b", nil, "example.com/hold"))
	cluster := server.Cluster()
	if err := cluster.CoreV1().Namespaces().Delete(t.Context(), "dev", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(server.All(), ", "); all != "Namespace dev, Pod dev/b" || server.Get("Namespace", "", "dev").GetDeletionTimestamp() == nil {
		t.Errorf("left are %s", all)
	}
	if _, err := cluster.CoreV1().Pods("dev").Patch(t.Context(), "b", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if all := server.All(); len(all) != 0 {
		t.Errorf("left are %s", all)
	}
}

// TestServes holds that clients of all kinds see the same objects, over a port, too.
func TestServes(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t, dev())
	gadget := kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true)
	server.Serve(gadget)
	port := httptest.NewServer(server)
	defer port.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: port.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Pods("dev").Create(t.Context(), pod("a", nil), metav1.CreateOptions{FieldManager: "me"}); err != nil {
		t.Fatal(err)
	}
	found, err := server.Cluster().Get(t.Context(), kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: "dev", Name: "a"})
	if err != nil || found.GetManagedFields()[0].Manager != "me" {
		t.Errorf("it is %v, %v", found, err)
	}
	if version, err := server.Cluster().APIVersion("Gadget"); err != nil || version != "example.com/v1" {
		t.Errorf("gadgets are in %s, %v", version, err)
	}
}

// TestControllers holds that a Deployment's revisions are counted as Kubernetes counts them.
func TestControllers(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t)
	server.RunControllers()
	server.Put(dev())
	deployments := server.Cluster().AppsV1().Deployments("dev")
	two := int32(2)
	labels := map[string]string{"app": "web"}
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &two,
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}}}
	if _, err := deployments.Create(t.Context(), web, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, image := range []string{"v1", "v2", "v1"} {
		patch := `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"` + image + `"}]}}}}`
		found, err := deployments.Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if found, err = deployments.Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		_, _, current, err := deployment.GetAllReplicaSets(found, server.Cluster().AppsV1())
		if err != nil || current == nil || current.Annotations["deployment.kubernetes.io/revision"] != strconv.Itoa(i+2) ||
			found.Annotations["deployment.kubernetes.io/revision"] != strconv.Itoa(i+2) || current.Status.ReadyReplicas != 2 {
			t.Errorf("after %s the revision is %v, %v", image, current, err)
		}
	}
	pods := 0
	for _, name := range server.All() {
		if strings.HasPrefix(name, "Pod ") {
			pods++
		}
	}
	if pods != 2 || server.Get("ConfigMap", "dev", "kube-root-ca.crt") == nil {
		t.Errorf("there are %v", server.All())
	}
}
