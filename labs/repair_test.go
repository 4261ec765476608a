package labs

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs/course"
)

// cordoned reports whether the node is.
func (w world) cordoned() bool {
	spec, _ := w.server.Get("Node", "", "node").Object["spec"].(map[string]any)
	return spec["unschedulable"] == true
}

// other are the labs of another course on the same cluster, which is somebody else's unless the first one's is.
func (w world) other(t *testing.T) world {
	t.Helper()
	lessons, err := course.Load(fstest.MapFS{
		"course.yaml": {Data: []byte("title: {en: Mine}\nnamespaces: [default]\nchapters: [a]\n")},
		"a/lab.yaml":  {Data: []byte("steps: [{name: b, do: [apply: [b.yaml]], expect: [object: {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}]}]\n")},
		"a/b.yaml":    {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n")},
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	all, checker := *w.Labs, *w.Checker
	checker.Course = lessons
	all.Course, all.Checker, all.Trust = lessons, &checker, Trust{Foreign: !w.Trust.Foreign}
	w.Labs = &all
	return w
}

// TestAnotherCourseCleansUp holds that a fault goes with whatever takes its place, of whichever course; with the trust that has planted it.
func TestAnotherCourseCleansUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, trust := range map[string]Trust{"built in": {}, "somebody else's": {Foreign: true, Given: true}} {
			for again, leave := range map[string]func(world) error{
				"another course": func(w world) error {
					other := w.other(t)
					_, err := other.Install(t.Context(), other.step(t, "a/b"), false)
					return err
				},
				"reset without trust": func(w world) error {
					w.Trust.Given = false
					return w.Reset(t.Context())
				},
			} {
				w := withFaults(t)
				w.Trust = trust
				if err := w.plant(t.Context(), w.Course.Fault("web/only/cordoned"), 1, ""); err != nil || !w.cordoned() {
					t.Fatalf("%s: %v", name, err)
				}
				if err := leave(w); err != nil {
					t.Errorf("%s, %s: %v", name, again, err)
				}
				if practice := w.state(t).Practice; w.cordoned() || practice.Fault != "" || practice.Cleanup != nil {
					t.Errorf("%s, %s: the node is cordoned: %v, the practice is %+v", name, again, w.cordoned(), practice)
				}
			}
		}
	})
}

// TestCleanupOfWhatIsGone holds that a cleanup outlives the kinds that it is about, and does the rest.
func TestCleanupOfWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{"os": "linux"}}, Spec: corev1.NodeSpec{Unschedulable: true}}
		w.server.Put(&node)
		practice := Practice{Fault: "web/only/cordoned", Trusted: true, Cleanup: []Repair{
			{Target: course.Target{Kind: "Gadget", Namespace: "default", Labels: "a=b"}, With: []byte("{}")},
			{Target: course.Target{Kind: "Gadget", Namespace: "default", Name: "a"}},
			{Target: course.Target{Kind: "ConfigMap", Namespace: "nowhere", Name: "a"}, With: []byte("{}")},
			{Target: course.Target{Kind: "Node", Labels: "os=linux"}, With: []byte(`{"spec":{"unschedulable":null}}`)},
		}}
		if err := w.keepPractice(t.Context(), State{Practice: practice}); err != nil {
			t.Fatal(err)
		}
		if err := w.Reset(t.Context()); err != nil || w.cordoned() {
			t.Errorf("the node is cordoned: %v, %v", w.cordoned(), err)
		}
	})
}

// TestCleanupRefused holds that a cleanup without trust changes nothing that it may not, says so, and keeps nobody from going on.
func TestCleanupRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		practice := Practice{Fault: "web/only/cordoned", Cleanup: []Repair{
			{Target: course.Target{Kind: "Node", Labels: "os=linux"}, With: []byte(`{"spec":{"unschedulable":true}}`)}}}
		if err := w.keepPractice(t.Context(), State{Practice: practice}); err != nil {
			t.Fatal(err)
		}
		if err := w.Reset(t.Context()); err != nil || w.cordoned() || !strings.Contains(w.said.String(), "node/node stays as it is: ") {
			t.Errorf("the node is cordoned: %v, %v, said %s", w.cordoned(), err, w.said)
		}
	})
}

// TestCleanupFails holds that nothing goes on while a cleanup cannot be done, and that it is done the next time.
func TestCleanupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		if err := w.plant(t.Context(), w.Course.Fault("web/only/cordoned"), 1, ""); err != nil {
			t.Fatal(err)
		}
		w.server.Fail(http.MethodPatch, "/nodes/node", 1, refusal("no"))
		if err := w.Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "what the fault web/only/cordoned has changed cannot be taken back: ") {
			t.Errorf("it fails with %v", err)
		}
		if err := w.Reset(t.Context()); err != nil || w.cordoned() {
			t.Errorf("the second time the node is cordoned: %v, %v", w.cordoned(), err)
		}
	})
}

// TestMeant holds what labels stand for: what hellolab has made or installed, and what controllers have made for that; nothing of the reader's.
func TestMeant(t *testing.T) {
	t.Parallel()
	w := withFaults(t)
	w.server = kubetest.New(t) // without controllers
	w.Cluster = w.server.Cluster()
	about := func(name string, owner string, more ...func(*metav1.ObjectMeta)) metav1.ObjectMeta {
		meta := metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid-" + name), Labels: map[string]string{"app": "web"}}
		if owner != "" {
			yes := true
			meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Any", Name: owner, UID: types.UID("uid-" + owner), Controller: &yes}}
		}
		for _, change := range more {
			change(&meta)
		}
		return meta
	}
	labelled := func(meta *metav1.ObjectMeta) { meta.Labels[kube.ChapterLabel] = "web" }
	released := func(release string) func(*metav1.ObjectMeta) {
		return func(meta *metav1.ObjectMeta) {
			meta.Annotations = map[string]string{"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "default"}
		}
	}
	record := func(release string, more ...func(*metav1.ObjectMeta)) *corev1.Secret {
		meta := about("sh.helm.release.v1."+release+".v1", "", more...)
		meta.Labels["owner"], meta.Labels["name"], meta.Labels["version"] = "helm", release, "1"
		return &corev1.Secret{ObjectMeta: meta, Type: "helm.sh/release.v1"}
	}
	for name, more := range map[string]func(*metav1.ObjectMeta){"made": labelled, "mine": func(*metav1.ObjectMeta) {}, "installed": released("ours"), "helmed": released("theirs")} {
		w.server.Put(&appsv1.Deployment{ObjectMeta: about(name, "", more)}, &appsv1.ReplicaSet{ObjectMeta: about(name+"-1", name)},
			&corev1.Pod{ObjectMeta: about(name+"-1-a", name+"-1")})
	}
	w.server.Put(record("ours", labelled), record("theirs"), &corev1.Pod{ObjectMeta: about("alone", "")}, &corev1.Pod{ObjectMeta: about("lone", "", labelled)},
		&corev1.Pod{ObjectMeta: about("orphan", "gone")}, &corev1.Pod{ObjectMeta: about("circle", "circle")})
	for kind, want := range map[string]string{"Pod": "installed-1-a lone made-1-a", "Deployment": "installed made"} {
		found, err := w.meant(t.Context(), course.Target{Kind: kind, Namespace: "default", Labels: "app=web"})
		var names []string
		for _, reference := range found {
			names = append(names, reference.Name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("of the kind %s, %q are meant, want %q; %v", kind, got, want, err)
		}
	}
}
