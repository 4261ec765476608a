package labs

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/messages"
)

// TestSaveAndRestore holds that a lab is had back as it was saved: with its revisions, with what the user has changed still
// known as that, with the state of the course and the steps that are done; and that what came later is kept in a file.
func TestSaveAndRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		w.install(t, "web/third")
		if _, err := w.Check(t.Context(), w.step(t, "web/third")); err != nil {
			t.Fatal(err)
		}
		settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"a": "b"}}
		for _, namespace := range []string{"default", "dev"} {
			if _, err := w.Cluster.CoreV1().ConfigMaps(namespace).Create(t.Context(), settings, metav1.CreateOptions{FieldManager: "kubectl-create"}); err != nil {
				t.Fatal(err)
			}
		}
		alone := w.server.Get("Pod", "default", "alone")
		alone.SetManagedFields(append(alone.GetManagedFields(), metav1.ManagedFieldsEntry{Manager: "kubectl-edit", Operation: "Update"}))
		w.server.Put(alone)
		before := withoutPods(w.server)
		file := filepath.Join(t.TempDir(), "lab.yaml")
		if err := w.Save(t.Context(), file, false); err != nil {
			t.Fatal(err)
		}
		if err := w.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(w.server.All(), ", "); strings.Contains(all, "dev") || strings.Contains(all, "alone") {
			t.Fatalf("after the reset there are %s", all)
		}
		if _, err := w.Cluster.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "later"}},
			metav1.CreateOptions{FieldManager: "kubectl-create"}); err != nil {
			t.Fatal(err)
		}
		w.said.Reset()
		if err := w.Restore(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		if after := withoutPods(w.server); strings.Join(after, ", ") != strings.Join(before, ", ") {
			t.Errorf("there are\n%v\nbefore there were\n%v", after, before)
		}
		if revision := w.field("Deployment", "dev", "web", "metadata", "annotations", "deployment.kubernetes.io/revision"); revision != "3" {
			t.Errorf("the revision is %s", revision)
		}
		state, err := w.State(t.Context())
		if err != nil || state.Step != "web/third" || state.Installing || strings.Join(state.Marks.Steps(), " ") != "web/third" {
			t.Errorf("the state is %+v, %v", state, err)
		}
		if kube.Untouched(w.server.Get("Pod", "default", "alone")) || !kube.Untouched(w.server.Get("Job", "default", "once")) {
			t.Error("what the user has changed is not told from what hellolab made")
		}
		if !strings.Contains(w.said.String(), "objects of your own have to go: configmap/later") || strings.Contains(w.said.String(), "not yet as it was") {
			t.Errorf("it says\n%s", w.said)
		}
	})
}

// withoutPods are a server's objects but for the pods of ReplicaSets.
func withoutPods(server *kubetest.Server) []string {
	return slices.DeleteFunc(server.All(), func(name string) bool { return strings.HasPrefix(name, "Pod dev/web-") })
}

// TestRestoreWatches holds that a restored workload is one watch for that object (B20).
func TestRestoreWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		objects := []*unstructured.Unstructured{object(t, restoredPod), object(t, restoredJob)}
		if err := w.recreate(t.Context(), savedLab{objects: objects}); err != nil {
			t.Fatal(err)
		}
		watches := watched(w.server)
		for _, watch := range watches {
			if !strings.Contains(watch, "/namespaces/default/") || !strings.Contains(watch, "fieldSelector=metadata.name%3D") {
				t.Errorf("it watches %s", watch)
			}
		}
		if len(watches) > len(objects) {
			t.Errorf("there are %d watches for %d objects", len(watches), len(objects))
		}
	})
}

const (
	restoredPod = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: default}, spec: {containers: [{name: a, image: a}]}, status: {phase: Running}}"
	restoredJob = "{apiVersion: batch/v1, kind: Job, metadata: {name: b, namespace: default}, spec: {}, status: {succeeded: 1}}"
	restoredMap = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: default}, data: {a: b}}"
)

// TestRecreateTwice holds that an object which was stored though its creation seemed to fail counts as created, and that
// somebody else's of that name does not (B15).
func TestRecreateTwice(t *testing.T) {
	configMaps := schema.GroupResource{Resource: "configmaps"}
	lost := apierrors.NewTimeoutError("the answer is lost", 1)
	for name, test := range map[string]struct {
		arrange func(*kubetest.Server)
		manager string
		refused bool
	}{
		"it was stored":                          {func(s *kubetest.Server) { s.Lose(http.MethodPost, "/configmaps", 1, lost) }, kube.Owner, false},
		"it was stored in the user's name":       {func(s *kubetest.Server) { s.Lose(http.MethodPost, "/configmaps", 1, lost) }, reader, false},
		"it was stored, and lost again":          {func(s *kubetest.Server) { s.Lose(http.MethodPost, "/configmaps", 2, lost) }, kube.Owner, false},
		"it was not stored":                      {func(s *kubetest.Server) { s.Fail(http.MethodPost, "/configmaps", 1, lost) }, kube.Owner, false},
		"somebody else's is there":               {theirs, kube.Owner, true},
		"somebody else's is there after a retry": {func(s *kubetest.Server) { theirs(s); s.Fail(http.MethodPost, "/configmaps", 1, lost) }, kube.Owner, true},
		"it is refused": {func(s *kubetest.Server) {
			s.Fail(http.MethodPost, "/configmaps", -1, apierrors.NewForbidden(configMaps, "settings", nil))
		}, kube.Owner, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := begin(t)
				test.arrange(w.server)
				lab := savedLab{objects: []*unstructured.Unstructured{object(t, restoredMap)}}
				if test.manager == reader {
					lab.touched = []string{"configmap/settings"}
				}
				err := w.recreate(t.Context(), lab)
				if (err != nil) != test.refused || err != nil && !strings.HasPrefix(err.Error(), "the API server does not accept configmap/settings: ") {
					t.Fatalf("it ends with %v", err)
				}
				made := w.server.Get("ConfigMap", "default", "settings")
				if !test.refused && (made == nil || made.GetManagedFields()[0].Manager != test.manager) {
					t.Errorf("it is %v", made)
				}
			})
		})
	}
}

// theirs puts an object in the way of restoredMap.
func theirs(server *kubetest.Server) {
	server.Put(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "settings",
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl-create", Operation: "Update"}}}})
}

// TestRestoreOutlastsARestart holds that an API server which is away for a while does not end a restoration.
func TestRestoreOutlastsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		file := saved(t, w.Labs, State{Step: "web/first"}, object(t, restoredMap), object(t, restoredPod))
		gone := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		w.server.Control(func(object *unstructured.Unstructured) {
			if object.GetKind() == "ConfigMap" && object.GetName() == "settings" { // away from now on
				w.server.Break(gone)
				time.AfterFunc(30*time.Second, func() { w.server.Break(nil) })
			}
		})
		if err := w.Restore(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		if w.server.Get("Pod", "default", "a") == nil {
			t.Error("the pod is not there")
		}
	})
}

// TestRestoreReports holds that what does not get as far as it was is named, but restored; and that what fails says what to
// do.
func TestRestoreReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		far := object(t, restoredJob)
		far.Object["status"] = map[string]any{"succeeded": int64(5)}
		file := saved(t, w.Labs, State{}, far)
		if err := w.Restore(t.Context(), file); err != nil || !strings.Contains(w.said.String(), "job/b is there, but not yet as it was") {
			t.Errorf("it ends with %v, and says\n%s", err, w.said)
		}
		unknown := saved(t, w.Labs, State{}, object(t, "{apiVersion: example.com/v1, kind: Gadget, metadata: {name: a, namespace: dev}}"))
		if err := w.Restore(t.Context(), unknown); !messages.IsUsage(err) || !strings.Contains(err.Error(), "holds gadget/a -n dev, whose kind this lab does not know") {
			t.Errorf("an unknown kind gives %v", err)
		}
		w.server.Fail(http.MethodPost, "/jobs", -1, apierrors.NewForbidden(schema.GroupResource{Resource: "jobs"}, "b", nil))
		err := w.Restore(t.Context(), file)
		hint := messages.Printer{}.Hint(err)
		if err == nil || !strings.HasPrefix(err.Error(), "the API server would not take job/b; nothing was changed: ") || hint != "correct what it names, then run the same command again" {
			t.Errorf("it ends with %v, and advises %q", err, hint)
		}
		if state, err := w.State(t.Context()); err != nil || state.Installing {
			t.Errorf("the state is %+v, %v", state, err)
		}
		if err := w.Restore(t.Context(), filepath.Join(t.TempDir(), "none")); !messages.IsUsage(err) {
			t.Errorf("a file that is not there gives %v", err)
		}
	})
}

// TestSaveRefuses holds that a file is kept unless --force says otherwise, and that nothing is saved of which a part cannot
// be read (B17).
func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.server.Serve(kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true))
	w.server.Put(gadgets())
	file := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := w.Save(t.Context(), file, false)
	if hint := (messages.Printer{}).Hint(err); !messages.IsUsage(err) || hint != "hellolab lab save --force "+file+" overwrites it" {
		t.Errorf("a file that is there gives %v, and the advice %q", err, hint)
	}
	if err := w.Save(t.Context(), filepath.Join(file, "none"), false); err == nil || !strings.HasPrefix(err.Error(), "the lab cannot be saved: ") {
		t.Errorf("a file that cannot be written gives %v", err)
	}
	w.Timeout = time.Second
	w.server.Fail(http.MethodGet, "/apis/apps/v1/deployments", -1, apierrors.NewServiceUnavailable("starting"))
	if err := w.Save(t.Context(), file, true); err == nil {
		t.Error("Deployments that cannot be listed are taken for none")
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
		t.Errorf("the file holds %q, %v", content, err)
	}
}

// TestSaveWithoutAnAPI holds that an API which nobody serves is named, and that all else is saved.
func TestSaveWithoutAnAPI(t *testing.T) {
	t.Parallel()
	w := begin(t, config("default", "mine"))
	w.server.Serve(kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true))
	w.server.Put(gadgets())
	w.server.Fail(http.MethodGet, "/gadgets", -1, apierrors.NewServiceUnavailable("no endpoints available"))
	content, err := w.Saving(t.Context())
	if err != nil || !strings.Contains(string(content), "name: mine") || !strings.Contains(w.said.String(), "the API example.com/v1 is not available: ") {
		t.Errorf("it ends with %v, says\n%s\nand holds\n%s", err, w.said, content)
	}
}

// gadgets is the APIService of an API that another server has.
func gadgets() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1.example.com"}, "spec": map[string]any{"service": map[string]any{"name": "gadgets"}}}}
}

// TestResetWithoutAnAPI holds that a broken extension of the API is named, that it stops a reset where a namespace would
// never go, before anything is removed, and only there; and that Kubernetes' own kinds have to be known (B17).
func TestResetWithoutAnAPI(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.server.Serve(kubetest.Kind("example.com", "v1", "Gadget", "gadgets", true))
	w.server.Put(gadgets())
	w.install(t, "web/second")
	away := apierrors.NewServiceUnavailable("no endpoints available")
	w.server.Fail(http.MethodGet, "/gadgets", -1, away)
	err := w.Reset(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "namespace/dev could not be removed: Kubernetes does not know what is in it: ") || w.server.Get("Deployment", "dev", "web") == nil {
		t.Errorf("it ends with %v", err)
	}
	w.server.Delete("Namespace", "", "dev")
	if err := w.Reset(t.Context()); err != nil || !strings.Contains(w.said.String(), "the API example.com/v1 is not available: its objects are neither saved nor removed") {
		t.Errorf("it ends with %v, and says\n%s", err, w.said)
	}
	w.Timeout = time.Second
	w.server.Fail(http.MethodGet, "/apis/apps/v1/deployments", -1, away)
	if err := w.Reset(t.Context()); err == nil {
		t.Error("Deployments that cannot be listed are taken for none")
	}
}

// TestResetStuck holds that an object which cannot be removed is named, with the command that shows it (B8).
func TestResetStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		if err := w.server.Cluster().Apply(t.Context(), object(t, restoredMap), "web"); err != nil {
			t.Fatal(err)
		}
		held := w.server.Get("ConfigMap", "default", "settings")
		held.SetFinalizers([]string{"example.com/hold"})
		w.server.Put(held)
		err := w.Reset(t.Context())
		want := "configmap/settings cannot be removed: nobody has removed its finalizers (example.com/hold)"
		if hint := (messages.Printer{}).Hint(err); err == nil || err.Error() != want || !strings.Contains(hint, "kubectl patch configmap/settings") {
			t.Errorf("it says %v, and advises %q", err, hint)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := w.Reset(ctx); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "settings") {
			t.Errorf("after Ctrl-C it says %v", err)
		}
	})
}
