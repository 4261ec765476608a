package labs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// object reads one from YAML, with numbers as the API server's clients have them.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var content yaml.Node
	if err := yaml.Unmarshal([]byte(text), &content); err != nil {
		t.Fatal(err)
	}
	read, err := course.DecodeObject(&content)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// small is a course of two steps, in the namespaces default and dev.
func small(t *testing.T) *Labs {
	t.Helper()
	lessons, err := course.Load(fstest.MapFS{
		"course.yaml": {Data: []byte("namespaces: [default, dev]\nchapters: [pod]\n")},
		"pod/lab.yaml": {Data: []byte(`steps:
  - name: first
    expect: [runs: {name: a}]
  - name: second
    expect:
      - absent: {kind: Pod, name: gone}
      - absent: {kind: Deployment, name: web, namespace: dev}
`)},
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return &Labs{Course: lessons}
}

// TestPortable holds what another cluster could not take, and that nothing else is lost.
func TestPortable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, before, after string }{
		{"what every object has", `
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: dev
  uid: "1"
  resourceVersion: "2"
  generation: 3
  creationTimestamp: "2026-01-01T00:00:00Z"
  deletionTimestamp: "2026-01-01T00:00:00Z"
  selfLink: /api/v1
  managedFields: [{manager: kubectl}]
  ownerReferences: [{kind: Deployment, name: web, uid: "4"}]
  finalizers: [foregroundDeletion]
  labels: {a: b}
  annotations: {c: d}
data: {uid: "1"}
`, `
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: dev
  labels: {a: b}
  annotations: {c: d}
data: {uid: "1"}
`},
		{"a Service", "kind: Service\nspec: {type: NodePort, clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7], ports: [{port: 3000, nodePort: 30000}]}",
			"kind: Service\nspec: {type: NodePort, ports: [{port: 3000, nodePort: 30000}]}"},
		{"a Service without an address", "kind: Service\nspec: {clusterIP: None, clusterIPs: [None]}", "kind: Service\nspec: {clusterIP: None, clusterIPs: [None]}"},
		{"a Pod", `
kind: Pod
metadata: {name: web, generateName: web-, labels: {controller-uid: "1"}}
spec:
  nodeName: hellolab-worker
  serviceAccount: robot
  serviceAccountName: robot
  ephemeralContainers: [{name: debugger, image: busybox}]
  volumes: [{name: data, emptyDir: {}}, {name: kube-api-access-x2x4z, projected: {}}]
  initContainers: [{name: wait, volumeMounts: [{name: kube-api-access-x2x4z, mountPath: /var/run}]}]
  containers:
    - name: web
      image: web:v1
      volumeMounts: [{name: kube-api-access-x2x4z, mountPath: /var/run}, {name: data, mountPath: /data}]
    - {name: helper}
status: {phase: Running}
`, `
kind: Pod
metadata: {name: web, labels: {controller-uid: "1"}}
spec:
  serviceAccountName: robot
  volumes: [{name: data, emptyDir: {}}]
  initContainers: [{name: wait, volumeMounts: []}]
  containers:
    - name: web
      image: web:v1
      volumeMounts: [{name: data, mountPath: /data}]
    - {name: helper}
status: {phase: Running}
`},
		{"a Job", `
kind: Job
metadata: {name: job, labels: {controller-uid: "1", batch.kubernetes.io/controller-uid: "1", job-name: job, batch.kubernetes.io/job-name: job, a: b}}
spec:
  completions: 5
  selector: {matchLabels: {batch.kubernetes.io/controller-uid: "1"}}
  template: {metadata: {labels: {controller-uid: "1", batch.kubernetes.io/controller-uid: "1", job-name: job, batch.kubernetes.io/job-name: job, a: b}}}
status: {succeeded: 5}
`, `
kind: Job
metadata: {name: job, labels: {a: b}}
spec:
  completions: 5
  template: {metadata: {labels: {a: b}}}
status: {succeeded: 5}
`},
		{"a Job with a selector of its author's", "kind: Job\nspec: {manualSelector: true, selector: {matchLabels: {job-name: a}}, template: {metadata: {labels: {job-name: a}}}}",
			"kind: Job\nspec: {manualSelector: true, selector: {matchLabels: {job-name: a}}, template: {metadata: {labels: {job-name: a}}}}"},
		{"a service account's token", `
kind: Secret
type: kubernetes.io/service-account-token
metadata: {annotations: {kubernetes.io/service-account.name: robot, kubernetes.io/service-account.uid: "1"}}
data: {token: YQ==, namespace: ZGV2, ca.crt: YQ==}
`, `
kind: Secret
type: kubernetes.io/service-account-token
metadata: {annotations: {kubernetes.io/service-account.name: robot}}
data: {}
`},
		{"another Secret", "kind: Secret\ntype: Opaque\ndata: {token: YQ==}", "kind: Secret\ntype: Opaque\ndata: {token: YQ==}"},
		{"a ReplicaSet", "kind: ReplicaSet\nmetadata: {labels: {pod-template-hash: abc}}\nspec: {selector: {matchLabels: {pod-template-hash: abc}}}",
			"kind: ReplicaSet\nmetadata: {labels: {pod-template-hash: abc}}\nspec: {selector: {matchLabels: {pod-template-hash: abc}}}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			given := object(t, test.before)
			got := portable(given)
			if want := object(t, test.after); !reflect.DeepEqual(got.Object, want.Object) {
				t.Errorf("it is\n%v\nwant\n%v", got.Object, want.Object)
			}
			if !reflect.DeepEqual(given, object(t, test.before)) {
				t.Error("the object itself has changed")
			}
		})
	}
}

func TestPortableClaim(t *testing.T) {
	t.Parallel()
	claim := portable(object(t, "kind: PersistentVolumeClaim\nspec: {volumeName: pvc-1, resources: {requests: {storage: 1Gi}}}"))
	if want := object(t, "kind: PersistentVolumeClaim\nspec: {resources: {requests: {storage: 1Gi}}}"); !reflect.DeepEqual(claim, want) {
		t.Errorf("it is %v, want %v", claim, want)
	}
}

// TestWorthSaving holds that what its owner makes again is left out, but for the revisions of Deployments, and what is on
// its way out.
func TestWorthSaving(t *testing.T) {
	t.Parallel()
	owned := func(kind string) string {
		return "\nmetadata: {ownerReferences: [{controller: true, kind: " + kind + ", name: web, uid: \"1\"}]}"
	}
	leaving := ", deletionTimestamp: \"2026-01-01T00:00:00Z\""
	all := []*unstructured.Unstructured{object(t, "kind: Deployment\nmetadata: {name: web, uid: \"1\"}"), object(t, "kind: Deployment\nmetadata: {name: old, uid: \"2\""+leaving+"}")}
	for text, want := range map[string]bool{
		"kind: Pod":                                     true,
		"kind: Pod" + owned("ReplicaSet"):               false,
		"kind: Job" + owned("CronJob"):                  false,
		"kind: ReplicaSet" + owned("Deployment"):        true,
		"kind: ReplicaSet" + owned("Rollout"):           false,
		"kind: ReplicaSet":                              true,
		"kind: Pod\nmetadata: {name: a" + leaving + "}": false,
		"kind: ReplicaSet\nmetadata: {ownerReferences: [{controller: true, kind: Deployment, uid: \"2\"}]}": false, // its owner is leaving
		"kind: ReplicaSet\nmetadata: {ownerReferences: [{controller: true, kind: Deployment, uid: \"3\"}]}": false, // or gone
		"kind: Secret\nmetadata: {ownerReferences: [{kind: ConfigMap, name: a}]}":                           true,
	} {
		if got := worthSaving(object(t, text), all); got != want {
			t.Errorf("%s is saved: %v, want %v", text, got, want)
		}
	}
}

// saved writes a file of a state and objects.
func saved(t *testing.T, l *Labs, state State, objects ...*unstructured.Unstructured) string {
	t.Helper()
	content, err := write(append([]*unstructured.Unstructured{l.header(state, objects)}, objects...))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lab.yaml")
	if err := replaceFile(file, content); err != nil {
		t.Fatal(err)
	}
	return file
}

// tricky is an object whose texts YAML would take for something else if they were not quoted.
func tricky(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "tricky", "namespace": "dev", "creationTimestamp": nil, "labels": map[string]any{"hellolab/chapter": "pod"}},
		"data": map[string]any{"1": "2", "yes": "no", "date": "2026-01-01", "time": "2026-01-01T00:00:00Z", "null": "null", "merge": "<<", "alias": "*a", "float": "1e3", "sexagesimal": "190:20:30",
			"empty": "", "space": " a ", "lines": "a\n\n b\n", "crlf": "a\r\nb\r\n", "tab": "\ta", "mark": "---\n# a: b\n...\n", "han": "你好\u2028", "control": "a\x01b", "octal": "0o17", "hex": "0x1f"},
		"numbers": []any{int64(0), int64(-3), int64(1) << 60, 0.25, 1e30},
		"others":  []any{true, nil, map[string]any{}, []any{}, []any{map[string]any{"a": []any{"b"}}}},
	}}
}

// TestSavedFile holds that a file gives back exactly what it was given, and the state with it.
func TestSavedFile(t *testing.T) {
	t.Parallel()
	l := small(t)
	namespace := namespaceObject(corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "dev", UID: "1", Labels: map[string]string{"a": "b"}}})
	touched := object(t, "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: dev, labels: {hellolab/chapter: pod}, managedFields: [{manager: kubectl-edit}]}}")
	theirs := object(t, "{apiVersion: v1, kind: Secret, metadata: {name: b, namespace: dev, managedFields: [{manager: kubectl-edit}]}}")
	file := saved(t, l, State{Step: "pod/second", Before: true, Installing: true, Marks: done("pod/first")}, namespace, tricky(t), touched, theirs)
	lab, err := l.open(file)
	if err != nil {
		t.Fatal(err)
	}
	want := object(t, "{apiVersion: v1, kind: Namespace, metadata: {name: dev, labels: {a: b}}}")
	if len(lab.objects) != 4 || !reflect.DeepEqual(lab.objects[0].Object, want.Object) || !reflect.DeepEqual(lab.objects[1], tricky(t)) {
		t.Errorf("the objects are\n%v", lab.objects)
	}
	if s := lab.state; s.Step != "pod/second" || !s.Before || !s.Installing || strings.Join(s.Marks.Steps(), " ") != "pod/first" {
		t.Errorf("the state is %+v", s)
	}
	if objects := lab.state.Objects; len(objects) != 2 || objects[0].String() != "configmap/tricky -n dev" {
		t.Errorf("hellolab's objects are %v", objects)
	}
	if strings.Join(lab.touched, ", ") != "secret/a -n dev" {
		t.Errorf("of hellolab's objects the reader has touched %v", lab.touched)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v, %v", info.Mode(), err)
	}
}

// TestSavedFileIsYAML holds that people and kubectl can read the file: one line that says what it is, then documents.
func TestSavedFileIsYAML(t *testing.T) {
	t.Parallel()
	l := small(t)
	content, err := os.ReadFile(saved(t, l, State{Step: "pod/first"}, object(t, "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: dev}}")))
	if err != nil {
		t.Fatal(err)
	}
	line, body, _ := strings.Cut(string(content), "\n")
	if sum, found := strings.CutPrefix(line, "# hellolab lab save 1 sha256:"); !found || len(sum) != 64 {
		t.Errorf("the first line is %s", line)
	}
	want := `---
apiVersion: hellolab/v1
before: false
installing: false
kind: SavedLab
marks: '{}'
metadata:
  name: labs
namespaces:
  - default
  - dev
step: pod/first
touched: []
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: dev
`
	if body != want {
		t.Errorf("the file holds\n%s\nwant\n%s", body, want)
	}
}

// TestSavedFileOfAnEmptyLab holds that nothing can be saved and had back, too.
func TestSavedFileOfAnEmptyLab(t *testing.T) {
	t.Parallel()
	l := small(t)
	lab, err := l.open(saved(t, l, State{}))
	if err != nil || len(lab.objects) != 0 || !reflect.DeepEqual(lab.state, State{Marks: Marks{}}) {
		t.Errorf("it holds %+v, %v", lab, err)
	}
}

// TestOpenRefuses holds that nothing is restored from a file that is not what was saved.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	l := small(t)
	sound, err := os.ReadFile(saved(t, l, State{Step: "pod/first"}, tricky(t)))
	if err != nil {
		t.Fatal(err)
	}
	written := func(objects ...*unstructured.Unstructured) []byte {
		content, err := write(objects)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	change := func(at int) []byte {
		changed := bytes.Clone(sound)
		changed[at] ^= 1
		return changed
	}
	const (
		notOurs = "FILE is not a file that hellolab lab save wrote"
		damaged = "FILE is damaged or has been changed: its content is not what was saved"
		foreign = "FILE was saved from another course: "
	)
	header := l.header(State{}, nil)
	firstLine := bytes.IndexByte(sound, '\n')
	for _, test := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"nothing", nil, notOurs},
		{"other YAML", []byte("apiVersion: v1\nkind: Pod\n"), notOurs},
		{"another version", bytes.Replace(sound, []byte("save 1"), []byte("save 2"), 1), notOurs},
		{"without the first line", sound[firstLine+1:], notOurs},
		{"only the first line", sound[:firstLine], damaged},
		{"cut short", sound[:len(sound)-1], damaged},
		{"cut in the middle", sound[:len(sound)/2], damaged},
		{"longer", append(bytes.Clone(sound), '\n'), damaged},
		{"one byte of the content", change(firstLine + 100), damaged},
		{"the last byte", change(len(sound) - 1), damaged},
		{"one byte of the sum", change(firstLine - 1), damaged},
		{"no header", written(tricky(t)), foreign + "it does not name this one"},
		{"no objects at all", written(), foreign + "it does not name this one"},
		{"a header of another version", written(object(t, "{apiVersion: hellolab/v2, kind: SavedLab, metadata: {name: labs}}")), foreign + "it does not name this one"},
		{"another course's step", written(l.header(State{Step: "pod/third"}, nil)), foreign + "it has a step pod/third"},
		{"a foreign namespace", written(header, tricky(t), object(t, "{apiVersion: v1, kind: Pod, metadata: {name: etcd, namespace: kube-system}}")), foreign + "it has a namespace kube-system"},
		{"a foreign namespace itself", written(header, object(t, "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}")), foreign + "it has a namespace kube-system"},
		{"an object of the whole cluster", written(header, object(t, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: dev}}")), foreign + "it has a namespace "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "lab.yaml")
			if err := os.WriteFile(file, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := l.open(file)
			if err == nil {
				t.Fatal("it is taken")
			}
			if got := strings.Replace(err.Error(), file, "FILE", 1); got != test.want {
				t.Errorf("it is refused with %q, want %q", got, test.want)
			}
			if !messages.IsUsage(err) || (messages.Printer{}).Hint(err) == "" {
				t.Errorf("the error says nothing about what to do: %#v", err)
			}
		})
	}
}

// TestOpenFromWindows holds that a file is the same one with the ends of lines that git gives it, and with the mark or the
// encoding that an editor does.
func TestOpenFromWindows(t *testing.T) {
	t.Parallel()
	l := small(t)
	sound, err := write([]*unstructured.Unstructured{l.header(State{}, nil), tricky(t)})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lab.yaml")
	lines := bytes.ReplaceAll(sound, []byte("\n"), []byte("\r\n"))
	for name, content := range map[string][]byte{"as it is": sound, "git": lines, "an editor": append([]byte("\ufeff"), lines...)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		lab, err := l.open(file)
		if err != nil || len(lab.objects) != 1 || !reflect.DeepEqual(lab.objects[0].Object["data"], tricky(t).Object["data"]) {
			t.Errorf("%s: %v, %v", name, lab.objects, err)
		}
	}
}

func TestOpenMissing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "none.yaml")
	_, err := small(t).open(file)
	if !messages.IsUsage(err) || !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), file+" cannot be read: ") {
		t.Errorf("a file that is not there gives %v", err)
	}
}

// TestReplaceFile holds that a file is the old one or the new one, that nothing else is left, and that others cannot read
// it, whatever the old one was.
func TestReplaceFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "lab.yaml")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(file, []byte("new")); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil || string(content) != "new" {
		t.Errorf("the file holds %q, %v", content, err)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v, %v", info.Mode(), err)
	}
	if err := replaceFile(folder, []byte("new")); err == nil {
		t.Error("a folder has been replaced")
	}
	if err := replaceFile(filepath.Join(folder, "none", "lab.yaml"), []byte("new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there gives %v", err)
	}
	for _, where := range []string{folder, filepath.Dir(folder)} {
		if left, err := filepath.Glob(filepath.Join(where, "*.*")); err != nil || len(left) != map[string]int{folder: 1}[where] {
			t.Errorf("left are %v, %v", left, err)
		}
	}
}

// TestWriteAside holds that a reader's objects are in a file of their own before they go, as kubectl apply takes them.
func TestWriteAside(t *testing.T) {
	t.Parallel()
	l := &Labs{Saved: filepath.Join(t.TempDir(), "new", "saved")}
	file, err := l.writeAside([]*unstructured.Unstructured{object(t, "{apiVersion: v1, kind: Pod, metadata: {name: mine, namespace: dev, uid: '1'}, spec: {nodeName: a}}")})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil || filepath.Dir(file) != l.Saved || filepath.Ext(file) != ".yaml" {
		t.Errorf("the file is %s, %v", file, err)
	}
	line, body, _ := strings.Cut(string(content), "\n")
	if body != "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: dev\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: mine\n  namespace: dev\nspec: {}\n" {
		t.Errorf("it holds\n%s", body)
	}
	if lab, err := l.open(file); !strings.HasPrefix(line, "# hellolab kept 1 sha256:") || err != nil || !lab.apart || len(lab.objects) != 2 {
		t.Errorf("it begins with %s, and is read as %+v, %v", line, lab, err)
	}
	if again, err := l.writeAside([]*unstructured.Unstructured{object(t, "{apiVersion: v1, kind: Pod, metadata: {name: mine, namespace: dev, uid: '2'}, spec: {nodeName: a}}")}); err != nil || again != file {
		t.Errorf("the same is kept again in %s, %v", again, err)
	}
}

// TestRank holds that what others need is made before them, and that no kind is made never.
func TestRank(t *testing.T) {
	t.Parallel()
	order := []string{"Namespace", "ServiceAccount", "Secret", "ReplicaSet", "Deployment"}
	for i, kind := range order {
		if rank(kind) != i {
			t.Errorf("%s comes in round %d, want %d", kind, rank(kind), i)
		}
		if rank(kind) >= ranks {
			t.Errorf("%s is never made", kind)
		}
	}
	for _, kind := range []string{"Pod", "Service", "Gadget"} { // which a Deployment's pods may need to get ready
		if rank(kind) != rank("ReplicaSet") {
			t.Errorf("%s comes in round %d", kind, rank(kind))
		}
	}
}

// TestAsFar holds that nothing has to come back to the very moment in which it was saved.
func TestAsFar(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		before, after any
		want          bool
	}{
		{nil, nil, true}, {nil, int64(2), true}, {int64(2), nil, false}, {int64(2), int64(1), false}, {int64(2), int64(2), true}, {int64(1), int64(3), true},
		{"Pending", nil, true}, {"Pending", "Running", true}, {"Running", nil, false}, {"Running", "Pending", false}, {"Running", "Running", true},
		{"Running", "Succeeded", true}, {"Failed", "Succeeded", true}, {"Failed", "Running", false}, {"Succeeded", "Failed", true},
	} {
		if got := asFar(test.before, test.after); got != test.want {
			t.Errorf("from %v, %v is as far: %v", test.before, test.after, got)
		}
	}
}

// TestSavedLeavesOut holds that what goes with its namespace is not saved, and that a changed part of a release is known as
// changed.
func TestSavedLeavesOut(t *testing.T) {
	t.Parallel()
	leaving := metav1.Now()
	namespaces := []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "dev", DeletionTimestamp: &leaving}}, {ObjectMeta: metav1.ObjectMeta{Name: "test"}}}
	part := released(t, "default", "web", "part")
	part.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl-edit"}})
	var kept []string
	saved := small(t).saved(State{}, namespaces, []*unstructured.Unstructured{
		part, object(t, "kind: ConfigMap\nmetadata: {name: a, namespace: dev}"), object(t, "kind: ConfigMap\nmetadata: {name: b, namespace: test}")}, nil)
	for _, object := range saved[1:] {
		kept = append(kept, object.GetKind()+" "+object.GetName())
	}
	if strings.Join(kept, ", ") != "Namespace test, ConfigMap part, ConfigMap b" {
		t.Errorf("it saves %q", kept)
	}
	if touched, _, _ := unstructured.NestedStringSlice(saved[0].Object, "touched"); strings.Join(touched, ", ") != "configmap/part" {
		t.Errorf("the reader has changed %q", touched)
	}
}
