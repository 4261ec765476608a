package labs

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/messages"
)

// nothingRemoved fails if anything was asked to be removed, or is gone.
func nothingRemoved(t *testing.T, w world) {
	t.Helper()
	for _, request := range w.server.Requests() {
		if strings.HasPrefix(request, "DELETE") {
			t.Errorf("it asks for %s", request)
		}
	}
}

// TestHolders holds that who has a port or a route, in whatever namespace, is named before anything is removed.
func TestHolders(t *testing.T) {
	t.Parallel()
	service := func(namespace string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "n"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{NodePort: 30000}}}}
	}
	ingress := func(namespace, host, path string) *networkingv1.Ingress {
		rule := networkingv1.IngressRule{Host: host}
		rule.HTTP = &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: path}}}
		return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "w"}, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{rule}}}
	}
	for _, test := range []struct {
		name       string
		there      kuberuntime.Object
		want, hint string
	}{
		{"a port", service("shop"), "the node port 30000 of service/web belongs to service/n -n shop already; nothing was changed",
			"kubectl delete service/n -n shop, or change it; then run the same command again"},
		{"a port of a namespace that is emptied", service("dev"), "", ""},
		{"a route", ingress("shop", "", ""), "the route / of ingress/web belongs to ingress/w -n shop already; nothing was changed",
			"kubectl delete ingress/w -n shop, or change it; then run the same command again"},
		{"a route of another host", ingress("shop", "a.example.com", "/"), "", ""},
		{"the lab's own route", ingress("hellolab", "", "/hello"), "the route /hello of ingress/web belongs to ingress/w -n hellolab already; nothing was changed",
			"that one is the lab's own: give the route in ingress/web another path"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, namespace("shop", false), namespace("dev", false), test.there, config("default", "mine"))
			file := saved(t, w.Labs, State{}, object(t, webService), object(t, webIngress))
			err := w.Restore(t.Context(), file)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || err.Error() != test.want || (messages.Printer{}).Hint(err) != test.hint {
				t.Errorf("it ends with %v, hint %s", err, (messages.Printer{}).Hint(err))
			}
			nothingRemoved(t, w)
		})
	}
}

// TestRehearse holds that what the API server would refuse is found before anything is removed; what only looks like it,
// since much is about to go, is let pass.
func TestRehearse(t *testing.T) {
	t.Parallel()
	maps := schema.GroupResource{Resource: "configmaps"}
	for _, test := range []struct {
		name    string
		err     apierrors.APIStatus
		refused bool
	}{
		{"it is wrong", apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "settings", nil), true},
		{"a policy is against it", apierrors.NewForbidden(maps, "settings", errors.New("admission webhook denied the request")), true},
		{"a quota is used up", apierrors.NewForbidden(maps, "settings", errors.New("exceeded quota: all")), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, config("default", "mine"))
			w.server.Intercept(func(answer http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || r.URL.Query().Get("dryRun") == "" {
					return false
				}
				kubetest.Refuse(answer, test.err)
				return true
			})
			err := w.Restore(t.Context(), saved(t, w.Labs, State{}, object(t, restoredMap)))
			if (err != nil) != test.refused || test.refused && !strings.HasPrefix(err.Error(), "the API server would not take configmap/settings; nothing was changed: ") {
				t.Errorf("it ends with %v", err)
			}
			if test.refused {
				nothingRemoved(t, w)
			}
		})
	}
}

// TestUnderstudy holds that a rehearsal meets nothing that is there already.
func TestUnderstudy(t *testing.T) {
	t.Parallel()
	service := understudy(object(t, webService), []string{"default"})
	if len(claims(service)) != 0 || service.GetName() != "" || service.GetGenerateName() != "web-" || service.GetNamespace() != "default" {
		t.Errorf("the Service is %v", service)
	}
	for _, claim := range claims(understudy(object(t, webIngress), nil)) {
		if !strings.HasPrefix(claim.route, "rehearsal.hellolab.invalid/") {
			t.Errorf("the Ingress has the route %s", claim.route)
		}
	}
	pod := understudy(object(t, "{apiVersion: v1, kind: Pod, metadata: {name: a-very-long-name-of-a-pod, namespace: dev}, spec: {serviceAccountName: robot}}"), []string{"default"})
	if _, found, _ := unstructured.NestedString(pod.Object, "spec", "serviceAccountName"); found || pod.GetNamespace() != kube.Namespace || pod.GetGenerateName() != "a-very-long-name-of-" {
		t.Errorf("the pod is %v", pod)
	}
}

// volume is one that somebody has made for the claim data in the namespace default, and the claim.
func volume(policy corev1.PersistentVolumeReclaimPolicy) (*corev1.PersistentVolume, *corev1.PersistentVolumeClaim) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "disk"}}
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "disk", Annotations: map[string]string{"pv.kubernetes.io/bound-by-controller": "yes"}},
		Spec: corev1.PersistentVolumeSpec{PersistentVolumeReclaimPolicy: policy, ClaimRef: &corev1.ObjectReference{Namespace: "default", Name: "data", UID: "old"}}}, claim
}

// TestLastData holds that volumes do not go with what is in them without a word, and that those which stay need none.
func TestLastData(t *testing.T) {
	t.Parallel()
	disk, claim := volume(corev1.PersistentVolumeReclaimDelete)
	w := begin(t, disk, claim)
	err := w.Reset(t.Context())
	if !messages.IsUsage(err) || err.Error() != "volumes would be deleted, with what is in them: persistentvolumeclaim/data" ||
		(messages.Printer{}).Hint(err) != "copy what you need (kubectl cp POD:PATH FILE); then hellolab lab reset --force deletes them" {
		t.Errorf("it ends with %v, hint %s", err, (messages.Printer{}).Hint(err))
	}
	nothingRemoved(t, w)
	w.DropData = true
	if err := w.Reset(t.Context()); err != nil {
		t.Error(err)
	}
	w = begin(t)
	kept, claim := volume(corev1.PersistentVolumeReclaimRetain)
	w.server.Put(kept, claim)
	if err := w.Reset(t.Context()); err != nil || w.server.Get("PersistentVolumeClaim", "default", "data") != nil {
		t.Errorf("a volume that stays gives %v", err)
	}
}

// TestVolumesComeBack holds that a volume which somebody has made is saved with its claim, and is for it again: on the same
// lab, where it still remembers the old one, and on another.
func TestVolumesComeBack(t *testing.T) {
	t.Parallel()
	disk, claim := volume(corev1.PersistentVolumeReclaimRetain)
	w := begin(t, disk, claim)
	file := filepath.Join(t.TempDir(), "lab.yaml")
	if err := w.Save(t.Context(), file, false); err != nil {
		t.Fatal(err)
	}
	for _, lab := range []world{w, begin(t)} {
		lab.Trust.Given = true
		if err := lab.Restore(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		there := lab.server.Get("PersistentVolume", "", "disk")
		of, _, _ := unstructured.NestedStringMap(there.Object, "spec", "claimRef")
		if of["name"] != "data" || of["uid"] != "" || lab.server.Get("PersistentVolumeClaim", "default", "data") == nil {
			t.Errorf("the volume is for %v", of)
		}
	}
}

// TestKeptComesBack holds that the command which is printed brings back what had to go, whatever takes its place; and that
// what takes its place goes only as far as it is in the way.
func TestKeptComesBack(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t, config("default", "config"), config("default", "mine"))
	if _, err := l.Install(t.Context(), step(t, l, "web/config"), false); err != nil {
		t.Fatal(err)
	}
	_, file, found := strings.Cut(lab.story.String(), "to have them back: hellolab lab restore ")
	if file, _, _ = strings.Cut(file, "\n"); !found {
		t.Fatalf("it says\n%s", lab.story.String())
	}
	if err := l.Restore(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	back := lab.server.Get("ConfigMap", "default", "config")
	if data, _, _ := unstructured.NestedStringMap(back.Object, "data"); len(data) != 0 || kube.Untouched(back) || back.GetLabels()[kube.ChapterLabel] != "" {
		t.Errorf("it is %v", back)
	}
	if got := left(t, l); got != "default/configmap/config default/configmap/mine namespace/dev" {
		t.Errorf("left are %s", got)
	}
	if err := l.Restore(t.Context(), file); err != nil { // it is the reader's now, and the same
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(l.Saved, "*.yaml")); len(files) != 1 {
		t.Errorf("there are %v", files)
	}
}

// TestKeptInsideOnly holds that nothing of the lab's own comes out of a file.
func TestKeptInsideOnly(t *testing.T) {
	t.Parallel()
	l := small(t)
	for _, text := range []string{"{apiVersion: v1, kind: Pod, metadata: {name: etcd, namespace: kube-system}}", "{apiVersion: v1, kind: Namespace, metadata: {name: hellolab}}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all}}"} {
		content, err := sealed(firstWordsApart, []*unstructured.Unstructured{object(t, text)})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "kept.yaml")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.open(file); !messages.IsUsage(err) {
			t.Errorf("%s is taken: %v", text, err)
		}
	}
}

// TestWayBack holds that a change that fails half-way names the file with what had to go, and the command that brings it
// back.
func TestWayBack(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t, config("default", "config"))
	lab.server.Fail(http.MethodPatch, "/configmaps/config", -1, apierrors.NewBadRequest("not like that"))
	_, err := l.Install(t.Context(), step(t, l, "web/config"), false)
	files, _ := filepath.Glob(filepath.Join(l.Saved, "*.yaml"))
	if len(files) != 1 {
		t.Fatalf("kept are %v", files)
	}
	want := "error: the step web/config cannot be made: config.yaml: the API server does not take configmap/config: not like that\n" +
		"error: objects of your own had to go; they are kept in " + files[0] + "\n" +
		"next: correct what it names, then run the same command again\n" +
		"next: hellolab lab restore " + files[0] + " brings your own objects back\n"
	if got := (messages.Printer{}).Report(err); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}

// TestKeptOnce holds that an object which is being removed already is not kept in another file at every try.
func TestKeptOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaving := config("default", "stuck")
		now := metav1.Now()
		leaving.DeletionTimestamp, leaving.Finalizers = &now, []string{"example.com/hold"}
		l, lab := onServer(t, leaving)
		if err := l.Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "configmap/stuck cannot be removed") {
			t.Errorf("it ends with %v", err)
		}
		if files, _ := filepath.Glob(filepath.Join(l.Saved, "*")); len(files) != 0 || strings.Contains(lab.story.String(), "have to go") {
			t.Errorf("it keeps %v, and says\n%s", files, lab.story.String())
		}
	})
}

// TestReplaceFileThroughLinks holds that a link stays one, wherever it leads, and that a device is no file to be replaced.
func TestReplaceFileThroughLinks(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need rights there")
	}
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	for link, to := range map[string]string{"link": "real", "second": "link", "dangling": in("none")} {
		if err := os.Symlink(to, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	for link, real := range map[string]string{"second": "real", "dangling": "none"} {
		if err := replaceFile(in(link), []byte(link)); err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(in(real)); err != nil || string(content) != link {
			t.Errorf("%s holds %q, %v", real, content, err)
		}
		if info, err := os.Lstat(in(link)); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v", link, err)
		}
	}
	before, err := os.Stat(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(os.DevNull, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(os.DevNull); err != nil || after.Mode() != before.Mode() {
		t.Errorf("%s is %v now", os.DevNull, after.Mode())
	}
	if err := small(t).Save(t.Context(), folder, true); !messages.IsUsage(err) || err.Error() != folder+" is a folder" {
		t.Errorf("a folder gives %v", err)
	}
}
