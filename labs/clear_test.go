package labs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// config is a ConfigMap; "ours" among the words has it be hellolab's, "touched" has the user change it.
func config(namespace, name string, words ...string) *corev1.ConfigMap {
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}}}
	for _, word := range words {
		switch word {
		case "ours":
			made.Labels[kube.ChapterLabel] = "web"
		case "touched":
			made.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl-edit", Operation: metav1.ManagedFieldsOperationUpdate}}
		}
	}
	return made
}

func namespace(name string, ours bool) *corev1.Namespace {
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	if ours {
		made.Labels[kube.ChapterLabel] = "web"
	}
	return made
}

// TestPlanRoom holds what goes for a snapshot that has the ConfigMap web in the namespace default, and that a release goes
// as a whole or not at all, wherever its parts are. The course's namespaces are default and dev; other is one that another
// course has worked in.
func TestPlanRoom(t *testing.T) {
	t.Parallel()
	const ours = ", hellolab/chapter: helm"
	touched := func(o *unstructured.Unstructured) *unstructured.Unstructured {
		o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl-edit"}})
		return o
	}
	snapshot := &course.Snapshot{Objects: []*unstructured.Unstructured{object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: default}")}}
	plain := func(namespace, name, more string) *unstructured.Unstructured {
		return object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+", namespace: "+namespace+more+"}")
	}
	mark := ", labels: {hellolab/chapter: pod}"
	part := func(namespace, release, name string) *unstructured.Unstructured {
		made := released(t, "default", release, name)
		made.SetAPIVersion("v1")
		made.SetNamespace(namespace)
		return made
	}
	for _, test := range []struct {
		name                      string
		objects                   []*unstructured.Unstructured
		gone, own, releases, left string
	}{
		{"hellolab's own, wherever it is", []*unstructured.Unstructured{plain("default", "a", mark), plain("other", "b", mark)},
			"configmap/a, configmap/b -n other", "", "", "dev other"},
		{"hellolab's own that the user has changed", []*unstructured.Unstructured{touched(plain("dev", "a", mark))},
			"configmap/a -n dev", "configmap/a -n dev", "", "dev other"},
		{"the user's, in the way and not", []*unstructured.Unstructured{plain("default", "web", ""), plain("default", "mine", ""), plain("dev", "web", "")},
			"configmap/web", "configmap/web", "", "other"},
		{"the user's, in a namespace that is not the course's", []*unstructured.Unstructured{plain("other", "web", "")}, "", "", "", "dev"},
		{"a release of hellolab's, with parts in two namespaces",
			[]*unstructured.Unstructured{record(t, "default", "r", 1, ours), part("dev", "r", "a"), part("other", "r", "b")},
			"secret/sh.helm.release.v1.r.v1, configmap/a -n dev, configmap/b -n other", "", "r", "dev other"},
		{"a release of hellolab's that the user has upgraded", []*unstructured.Unstructured{record(t, "default", "r", 1, ours), touched(part("dev", "r", "a"))},
			"secret/sh.helm.release.v1.r.v1, configmap/a -n dev", "secret/sh.helm.release.v1.r.v1, configmap/a -n dev", "r", "dev other"},
		{"a release of the user's that is not in the way", []*unstructured.Unstructured{record(t, "default", "r", 1, ""), part("dev", "r", "a"), part("other", "r", "b")},
			"", "", "", ""},
		{"a release of the user's, one part of which is in the way, after one outside of the course's namespaces",
			[]*unstructured.Unstructured{part("other", "r", "b"), part("dev", "r", "a"), part("default", "r", "web"), record(t, "default", "r", 1, "")},
			"configmap/b -n other, configmap/a -n dev, configmap/web, secret/sh.helm.release.v1.r.v1",
			"configmap/b -n other, configmap/a -n dev, configmap/web, secret/sh.helm.release.v1.r.v1", "r", "dev other"},
		{"two releases, one of which is in the way",
			[]*unstructured.Unstructured{record(t, "dev", "q", 1, ""), record(t, "default", "r", 1, ""), part("default", "r", "web"), plain("default", "mine", "")},
			"secret/sh.helm.release.v1.r.v1, configmap/web", "secret/sh.helm.release.v1.r.v1, configmap/web", "r", "other"},
		{"objects that only call themselves a release's", []*unstructured.Unstructured{part("default", "r", "web"), part("default", "r", "a")},
			"configmap/web", "configmap/web", "", "dev other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			namespaces := []corev1.Namespace{*namespace("dev", true), *namespace("other", true)}
			plan := small(t).planRoom(test.objects, namespaces, snapshot.Objects, inTheWay(snapshot))
			var gone, own, releases, leaving []string
			for _, reference := range plan.gone {
				gone = append(gone, reference.String())
			}
			for _, object := range plan.own {
				own = append(own, kube.Refer(object).String())
			}
			for _, release := range plan.releases {
				releases = append(releases, release.name)
			}
			for _, reference := range plan.leaving {
				leaving = append(leaving, reference.Name)
			}
			for _, pair := range [][3]string{{"gone are", strings.Join(gone, ", "), test.gone}, {"the user's are", strings.Join(own, ", "), test.own},
				{"uninstalled are", strings.Join(releases, ", "), test.releases}, {"leaving are the namespaces", strings.Join(leaving, " "), test.left}} {
				if pair[1] != pair[2] {
					t.Errorf("%s %q, want %q", pair[0], pair[1], pair[2])
				}
			}
		})
	}
}

// TestPlanRoomForNamespaces holds which namespaces go, and which have to be waited for.
func TestPlanRoomForNamespaces(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	ending := namespace("dev", true)
	ending.DeletionTimestamp = &now
	inDev := []*unstructured.Unstructured{object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: dev}")}
	mine := []*unstructured.Unstructured{object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine, namespace: dev}")}
	everything := func(*unstructured.Unstructured) bool { return true }
	for _, test := range []struct {
		name                string
		namespace           *corev1.Namespace
		objects, coming     []*unstructured.Unstructured
		all                 bool
		gone, leaving, kept string
	}{
		{"hellolab's", namespace("dev", true), nil, nil, false, "", "dev", ""},
		{"hellolab's that is needed", namespace("dev", true), nil, inDev, false, "", "", ""},
		{"hellolab's with something of the user's", namespace("dev", true), mine, nil, false, "", "", "dev"},
		{"hellolab's with something of the user's, and needed", namespace("dev", true), mine, inDev, false, "", "", ""},
		{"the user's", namespace("dev", false), nil, nil, false, "", "", ""},
		{"the user's, when everything goes", namespace("dev", false), mine, nil, true, "configmap/mine -n dev", "dev", ""},
		{"one that is not the course's, when everything goes", namespace("other", false), nil, nil, true, "", "", ""},
		{"one that ends already", ending, nil, nil, false, "", "dev", ""},
		{"one that ends already and is needed", ending, nil, inDev, false, "namespace/dev", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			snapshot := &course.Snapshot{Objects: test.coming}
			unwanted := inTheWay(snapshot)
			if test.all {
				unwanted = everything
			}
			plan := small(t).planRoom(test.objects, []corev1.Namespace{*test.namespace}, snapshot.Objects, unwanted)
			var gone, leaving []string
			for _, reference := range plan.gone {
				gone = append(gone, reference.String())
			}
			for _, reference := range plan.leaving {
				leaving = append(leaving, reference.Name)
			}
			if g, l, k := strings.Join(gone, " "), strings.Join(leaving, " "), strings.Join(plan.kept, " "); g != test.gone || l != test.leaving || k != test.kept {
				t.Errorf("gone are %q, leaving %q, kept %q; want %q, %q, %q", g, l, k, test.gone, test.leaving, test.kept)
			}
		})
	}
}

// TestClear holds that what goes is named and saved first, that the coming objects are on record before anything is
// touched, and that everything else stays.
func TestClear(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t, namespace("dev", true), config("default", "config"), config("default", "mine"), config("dev", "old", "ours"), config("dev", "edited", "ours", "touched"))
	room, err := l.clear(t.Context(), State{Step: "web/config"}, step(t, l, "web/config").Snapshot())
	if err != nil || len(room.leaving) != 0 {
		t.Fatalf("it leaves %v, %v", room.leaving, err)
	}
	if got, want := left(t, l), "default/configmap/mine namespace/dev"; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
	if want := "objects of your own have to go: configmap/config, configmap/edited -n dev"; !strings.Contains(lab.story.String(), want) {
		t.Errorf("it says\n%s, want\n%s", lab.story.String(), want)
	}
	files, _ := filepath.Glob(filepath.Join(l.Saved, "*.yaml"))
	if len(files) != 1 {
		t.Fatalf("it saves %v", files)
	}
	if content, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(content), "name: edited") || strings.Contains(string(content), "name: old") {
		t.Errorf("it saves\n%s, %v", content, err)
	}
	state, err := l.State(t.Context())
	if err != nil || !state.Installing || state.Step != "web/config" || len(state.Objects) != 2 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// TestClearSavesFirst holds that nothing is removed where the user's objects cannot be saved.
func TestClearSavesFirst(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t, config("default", "config"), config("default", "old", "ours"))
	l.Saved = filepath.Join(l.Saved, "file", "folder")
	if err := os.MkdirAll(filepath.Dir(filepath.Dir(l.Saved)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(l.Saved), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := l.clear(t.Context(), State{}, step(t, l, "web/config").Snapshot())
	if err == nil || !strings.HasPrefix(err.Error(), "objects of your own would have to go (configmap/config), and cannot be saved: ") ||
		(messages.Printer{}).Hint(err) == "" {
		t.Errorf("it ends with %v", err)
	}
	if got := left(t, l); got != "default/configmap/config default/configmap/old" || strings.Contains(strings.Join(lab.server.Requests(), " "), "DELETE") {
		t.Errorf("left are %s", got)
	}
}

// TestClearNamesWhatStays holds that the failure names the object that cannot be removed.
func TestClearNamesWhatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := config("dev", "stuck", "ours")
		stuck.Finalizers = []string{"example.com/nobody"}
		l, _ := onServer(t, namespace("dev", true), stuck)
		_, err := l.clear(t.Context(), State{}, step(t, l, "web/config").Snapshot())
		if err == nil || !strings.Contains(err.Error(), "configmap/stuck -n dev") || !strings.Contains((messages.Printer{}).Hint(err), "kubectl patch configmap/stuck") {
			t.Errorf("it ends with %v, hint %s", err, (messages.Printer{}).Hint(err))
		}
	})
}

// TestReset holds that the course's namespaces are empty afterwards, the user's objects are saved, and others' namespaces
// are left alone.
func TestReset(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t, namespace("dev", false), config("dev", "mine"), config("default", "old", "ours"), namespace("other", false), config("other", "theirs"))
	if err := l.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := left(t, l), "other/configmap/theirs namespace/other"; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
	if !strings.Contains(lab.story.String(), "objects of your own have to go: configmap/mine -n dev") {
		t.Errorf("it says\n%s", lab.story.String())
	}
	if state, err := l.State(t.Context()); err != nil || state.Installing || state.Step != "" {
		t.Errorf("the state is %+v, %v", state, err)
	}
}
