package labs

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/progress"
)

// memoryLab is a lab whose images are all there, and whose charts are kept in memory.
type memoryLab struct {
	Lab
	server *kubetest.Server
	images []string
	charts []helm.Package
	theirs [][]byte
}

func (m *memoryLab) FetchImages(_ context.Context, images []string) error {
	m.images = images
	return nil
}

func (m *memoryLab) Releases(namespace string) (*helm.Client, error) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return helm.New(m.server.Cluster(), namespace, log)
}

func (m *memoryLab) PublishedCharts(context.Context, helm.Package) ([][]byte, error) {
	return m.theirs, nil
}

func (m *memoryLab) PublishChart(_ context.Context, chart helm.Package) error {
	m.charts = append(m.charts, chart)
	return nil
}

// world is a course on a server in memory.
type world struct {
	*Labs
	server *kubetest.Server
	lab    *memoryLab
	said   *strings.Builder
}

// begin returns a course of two chapters on a cluster that holds objects.
func begin(t *testing.T, objects ...runtime.Object) world {
	t.Helper()
	deployment := func(image string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: dev}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:` + image + `"}]}
`)}
	}
	lessons, err := course.Load(fstest.MapFS{
		"course.yaml": {Data: []byte("namespaces: [default, dev]\nchapters: [web, helm]\n")},
		"web/lab.yaml": {Data: []byte(`steps:
  - name: first
    do: [apply: [namespace.yaml, v1.yaml]]
    expect: [runs: {name: a}]
  - name: second
    do: [apply: [v2.yaml]]
    expect: [object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: dev, annotations: {deployment.kubernetes.io/revision: "2"}}}]
  - name: third
    do:
      - {complete: deployment/web, namespace: dev}
      - {undo: {deployment: web}, namespace: dev}
      - {replace: web, namespace: dev}
      - apply: [others.yaml]
      - complete: job/once
      - complete: pod/alone
    expect: [object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: dev, annotations: {deployment.kubernetes.io/revision: "3"}}}]
`)},
		"web/namespace.yaml": {Data: []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: dev}\n")},
		"web/v1.yaml":        deployment("v1"),
		"web/v2.yaml":        deployment("v2"),
		"web/others.yaml": {Data: []byte(`apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: job}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec: {containers: [{name: a, image: pod}]}
`)},
		"helm/lab.yaml": {Data: []byte(`steps:
  - name: rollback
    do:
      - publish: {chart: helm/small}
      - install: {release: mine, chart: helm/small, namespace: default}
      - upgrade: {release: mine, chart: helm/small, namespace: default, edits: [helm/changed/values.yaml]}
      - rollback: {release: mine, revision: 1, namespace: default}
    expect: [object: {apiVersion: v1, kind: ConfigMap, metadata: {name: small}, data: {greeting: hello}}]
`)},
		"helm/small/Chart.yaml":         {Data: []byte("apiVersion: v2\nname: small\nversion: 1.0.0\n")},
		"helm/small/values.yaml":        {Data: []byte("greeting: hello\n")},
		"helm/changed/values.yaml":      {Data: []byte("greeting: bye\n")},
		"helm/small/templates/cm.yaml":  {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: small}\ndata: {greeting: '{{ .Values.greeting }}'}\n")},
		"helm/small/templates/web.yaml": {Data: []byte(strings.ReplaceAll(string(deployment("chart").Data), "dev", "default"))},
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	server := kubetest.New(t)
	server.RunControllers()
	server.Put(objects...)
	cluster, said := server.Cluster(), &strings.Builder{}
	lab := &memoryLab{server: server}
	return world{&Labs{Course: lessons, Cluster: cluster, Lab: lab, Checker: &check.Checker{Cluster: cluster, Course: lessons},
		Story: progress.New(progress.Options{Out: said}), Saved: filepath.Join(t.TempDir(), "saved"), Timeout: 3 * time.Minute}, server, lab, said}
}

func (w world) step(t *testing.T, name string) *course.Step {
	t.Helper()
	step, err := w.Course.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return step
}

func (w world) install(t *testing.T, name string) {
	t.Helper()
	if rows, err := w.Install(t.Context(), w.step(t, name), false); err != nil || !check.Met(rows) {
		t.Fatalf("%s: %v, %v", name, rows, err)
	}
}

// field is a text in an object of the server, or "".
func (w world) field(kind, namespace, name string, path ...string) string {
	object := w.server.Get(kind, namespace, name)
	if object == nil {
		return ""
	}
	text, _, _ := unstructured.NestedString(object.Object, path...)
	return text
}

// TestInstallWalks holds that the actions of all steps are done in their order, and have the effect that they are for.
func TestInstallWalks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		w.install(t, "web/third")
		if revision := w.field("Deployment", "dev", "web", "metadata", "annotations", "deployment.kubernetes.io/revision"); revision != "3" {
			t.Errorf("it is at revision %s", revision)
		}
		var web appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(w.server.Get("Deployment", "dev", "web").Object, &web); err != nil {
			t.Fatal(err)
		}
		if image := web.Spec.Template.Spec.Containers[0].Image; image != "web:v1" {
			t.Errorf("after the rollback it runs %s", image)
		}
		deleted := slices.DeleteFunc(w.server.Requests(), func(r string) bool { return !strings.HasPrefix(r, "DELETE /api/v1/namespaces/dev/pods/web-") })
		if len(deleted) != 1 {
			t.Errorf("the pods that are replaced are %v", deleted)
		}
		if strings.Join(w.lab.images, " ") != "job pod web:v1 web:v2" {
			t.Errorf("the images are %v", w.lab.images)
		}
		state, err := w.State(t.Context())
		if err != nil || state.Step != "web/third" || state.Before || state.Installing {
			t.Errorf("the state is %+v, %v", state, err)
		}
	})
}

// TestWalkReleases holds that charts are published, and releases installed, upgraded and rolled back, as hellolab's own; and
// that a reset uninstalls them.
func TestWalkReleases(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.lab.theirs = [][]byte{[]byte("theirs")}
	w.install(t, "helm/rollback")
	if len(w.lab.charts) != 1 || w.lab.charts[0].File != "small-1.0.0.tgz" || !strings.Contains(w.said.String(), "the course's chart takes the place of your own") {
		t.Errorf("published are %v; it says\n%s", w.lab.charts, w.said)
	}
	objects, err := w.Cluster.List(t.Context(), w.Course.Namespaces, false)
	if err != nil {
		t.Fatal(err)
	}
	mine := releasesOf(objects)["default/mine"]
	if mine == nil || !mine.ours || len(mine.objects) != 5 { // three records, two objects
		t.Errorf("the release is %+v", mine)
	}
	if called(w.server.Get("ConfigMap", "default", "small")) != "release/mine" || called(w.server.Get("ConfigMap", "hellolab", "labs")) != "configmap/labs -n hellolab" {
		t.Error("the objects have other names")
	}
	if err := w.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := w.Cluster.List(t.Context(), w.Course.Namespaces, true); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// TestReleaseFails holds that what Helm refuses is said with the release's name.
func TestReleaseFails(t *testing.T) {
	t.Parallel()
	for action, want := range map[int]string{1: "the release mine cannot be installed: ", 2: "the release mine cannot be upgraded: ", 3: "the release mine cannot be rolled back: "} {
		w := begin(t)
		snapshot := *w.step(t, "helm/rollback").Snapshot()
		snapshot.Actions = snapshot.Actions[action : action+1]
		if action == 1 {
			snapshot.Actions = append(snapshot.Actions, snapshot.Actions[0])
		}
		if err := w.walk(t.Context(), &snapshot); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it fails with %v, want %s", err, want)
		}
	}
}

// TestRolloutFails holds that a rollout which Kubernetes has given up is given up at once.
func TestRolloutFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		w.install(t, "web/second")
		web := w.server.Get("Deployment", "dev", "web")
		conditions := []any{map[string]any{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}}
		if err := unstructured.SetNestedSlice(web.Object, conditions, "status", "conditions"); err != nil {
			t.Fatal(err)
		}
		w.server.Put(web)
		before := time.Now()
		err := w.untilComplete(t.Context(), "dev", "deployment/web")
		if err == nil || err.Error() != `deployment/web does not roll out: deployment "web" exceeded its progress deadline` || time.Since(before) != 0 {
			t.Errorf("after %s it says %v", time.Since(before), err)
		}
	})
}

// TestUntilComplete holds that a wait for one object is one watch for that object (B20), and that it says what is missing.
func TestUntilComplete(t *testing.T) {
	for workload, want := range map[string]string{
		"pod/a": "pod/a does not become Ready: ", "job/a": "job/a does not become Complete: ", "deployment/a": "deployment/a does not roll out: ",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t)
			ctx, cancel := w.within(t.Context())
			defer cancel()
			if err := w.untilComplete(ctx, "default", workload); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("it says %v, want %s", err, want)
			}
			if workload != "deployment/a" {
				if watches := watched(w.server); len(watches) != 1 || !strings.Contains(watches[0], "/default/") || !strings.Contains(watches[0], "metadata.name%3Da") {
					t.Errorf("%s is waited for by %v", workload, watches)
				}
			}
		})
	}
}

// watched are the watches that a server was asked for.
func watched(server *kubetest.Server) []string {
	return slices.DeleteFunc(server.Requests(), func(request string) bool { return !strings.Contains(request, "watch=true") })
}

// TestUntilObserved holds that a Deployment that no controller sees is named.
func TestUntilObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		ctx, cancel := w.within(t.Context())
		defer cancel()
		if err := w.untilObserved(ctx, "dev", "web"); err == nil || !strings.HasPrefix(err.Error(), "Kubernetes does not act on deployment/web: ") {
			t.Errorf("it says %v", err)
		}
		if err := w.undo(ctx, "dev", &course.Undo{Deployment: "web"}); err == nil {
			t.Error("what is not there is rolled back")
		}
		if err := w.replace(ctx, "dev", "web"); err == nil {
			t.Error("what is not there is replaced")
		}
	})
}

// TestFollow holds that a watch goes on to the next step once one is done, and ends with the chapter.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		w.install(t, "web/second")
		go func() {
			time.Sleep(time.Minute)
			synctest.Wait()
			_ = w.undo(t.Context(), "dev", &course.Undo{Deployment: "web"})
		}()
		var seen []string
		err := w.Follow(t.Context(), w.step(t, "web/second"), func(step *course.Step, rows []check.Row) error {
			if name := step.ID(); !slices.Contains(seen, name) {
				seen = append(seen, name)
			}
			return nil
		})
		if err != nil || strings.Join(seen, " ") != "web/second web/third" {
			t.Errorf("it shows %v and ends with %v", seen, err)
		}
		state, err := w.State(t.Context())
		if err != nil || strings.Join(state.Marks.Steps(), " ") != "web/second web/third" {
			t.Errorf("done are %v, %v", state.Marks, err)
		}
	})
}

// TestFollowCannotShow holds that a watch whose rows cannot be shown ends at once with the reason (B7).
func TestFollowCannotShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		full := errors.New("no space left on device")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		shown := 0
		err := w.Follow(ctx, w.step(t, "web/second"), func(*course.Step, []check.Row) error {
			shown++
			return full
		})
		if !errors.Is(err, full) || ctx.Err() != nil || shown != 1 {
			t.Errorf("after %v rows it ends with %v", shown, err)
		}
	})
}

// TestFollowEnds holds that Ctrl-C ends a watch.
func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		err := w.Follow(ctx, w.step(t, "web/second"), func(*course.Step, []check.Row) error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
	})
}

// TestState holds that the state survives what users do to it, and that Current leads on from it.
func TestState(t *testing.T) {
	t.Parallel()
	w := begin(t)
	if state, err := w.State(t.Context()); err != nil || state.Step != "" {
		t.Errorf("at first the state is %+v, %v", state, err)
	}
	if step, err := w.Current(t.Context()); err != nil || step != w.Course.Steps()[0] {
		t.Errorf("at first the step is %v, %v", step, err)
	}
	if err := w.remember(t.Context(), State{Step: "web/second"}); err != nil { // there was no namespace
		t.Fatal(err)
	}
	if step, err := w.Current(t.Context()); err != nil || step.ID() != "web/second" {
		t.Errorf("the step is %v, %v", step, err)
	}
	w.server.Put(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: stateNamespace, Name: stateName}, Data: map[string]string{stateKey: "no JSON", w.passedKey(): "no JSON", w.marksKey(): "no JSON", w.hintsKey(): "no JSON"}})
	if state, err := w.State(t.Context()); err != nil || state.Step != "" || len(state.Marks) != 0 {
		t.Errorf("after an edit the state is %+v, %v", state, err)
	}
	w.server.Break(errors.New("broken"))
	if _, err := w.State(t.Context()); err == nil {
		t.Error("a broken server has a state")
	}
	if _, err := w.Current(t.Context()); err == nil {
		t.Error("a broken server has a step")
	}
}

// TestNext holds what a reader is told to do next: the first step that is not done from where the cluster is, then what was left out.
func TestNext(t *testing.T) {
	t.Parallel()
	lessons := begin(t).Course
	var ids []string
	for _, step := range lessons.Steps() {
		ids = append(ids, step.ID())
	}
	last := len(ids) - 1
	for _, test := range []struct {
		name  string
		state State
		want  string
	}{
		{"nothing is done", State{}, ids[0]},
		{"the first is done", State{Marks: done(ids[:1]...)}, ids[1]},
		{"a snapshot is installed", State{Step: ids[1]}, ids[2]},
		{"the one before a step is", State{Step: ids[1], Before: true}, ids[1]},
		{"the step has been done from there", State{Step: ids[1], Before: true, Marks: done(ids[1:2]...)}, ids[2]},
		{"its installation was interrupted", State{Step: ids[1], Installing: true}, ids[1]},
		{"the last is installed", State{Step: ids[last]}, ids[0]},
		{"all is done", State{Step: ids[last], Marks: done(ids...)}, ""},
		{"the step is of another course", State{Step: "other/step"}, ids[0]},
	} {
		got := ""
		if next := test.state.Next(lessons); next != nil {
			got = next.ID()
		}
		if got != test.want {
			t.Errorf("%s: next is %q, not %q", test.name, got, test.want)
		}
	}
}

// TestMarksByCourse holds that a step which is done in one course is not done in another that has a step of the same name.
func TestMarksByCourse(t *testing.T) {
	t.Parallel()
	w := begin(t)
	if err := w.rememberMarks(t.Context(), done("web/second")); err != nil {
		t.Fatal(err)
	}
	other := *w.Labs
	other.Trust.Foreign = true
	if state, err := other.State(t.Context()); err != nil || len(state.Marks) != 0 {
		t.Errorf("the other course begins with %v, %v", state.Marks, err)
	}
	if err := other.rememberMarks(t.Context(), done("web/first")); err != nil {
		t.Fatal(err)
	}
	for l, want := range map[*Labs]string{w.Labs: "web/second", &other: "web/first"} {
		if state, err := l.State(t.Context()); err != nil || strings.Join(state.Marks.Steps(), " ") != want {
			t.Errorf("what is done is %q, and not %s (%v)", state.Marks.Steps(), want, err)
		}
	}
}
