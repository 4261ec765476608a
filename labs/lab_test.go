package labs

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/progress"
)

// fakeLab is a lab in memory that may fail.
type fakeLab struct {
	*memoryLab
	// fetched are all images that were asked for; failed is what fetching them ends with.
	fetched []string
	failed  error
	// pushed are those that were built as a reader does.
	pushed []string
	// tunnel is what a tunnel does.
	tunnel func(context.Context) error
	story  strings.Builder
}

func (f *fakeLab) FetchImages(_ context.Context, images []string) error {
	f.fetched = append(f.fetched, images...)
	return f.failed
}

func (f *fakeLab) Tunnel(ctx context.Context) error { return f.tunnel(ctx) }

func (f *fakeLab) HasImage(_ context.Context, image string) (bool, error) {
	return slices.Contains(f.fetched, image), nil
}

func (f *fakeLab) PushImage(_ context.Context, image string) error {
	f.pushed = append(f.pushed, image)
	return nil
}

func (f *fakeLab) PushedBy(_ context.Context, image string) (reader, snapshot bool, err error) {
	return false, slices.Contains(f.pushed, image), nil
}

func (f *fakeLab) ChartVersions(context.Context, string) ([]string, error) { return nil, nil }

// web is a course whose snapshots take all kinds of actions, in the namespaces default and dev.
func web() map[string]string {
	return map[string]string{
		"course.yaml":            "namespaces: [default, dev]\nchapters: [web]\n",
		"web/namespaces.yaml":    "apiVersion: v1\nkind: Namespace\nmetadata: {name: dev}\n",
		"web/config/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {a: b}\n",
		"web/v1.yaml":            deployed("web:v1"),
		"web/v2.yaml":            deployed("web:v2"),
		"web/job.yaml":           "apiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\nspec: {template: {spec: {containers: [{name: job, image: job}]}}}\n",
		"web/lab.yaml": `given: [web/namespaces.yaml]
steps:
  - name: config
    expect:
      - object: {apiVersion: v1, kind: ConfigMap, metadata: {name: config}, data: {a: b}}
      - image: registry/base
  - name: versions
    do:
      - {apply: [v1.yaml], namespace: dev}
      - {complete: deployment/web, namespace: dev}
      - {apply: [v2.yaml], namespace: dev}
      - {undo: {deployment: web}, namespace: dev}
    exercise:
      - {replace: web, namespace: dev}
    expect:
      - history: {deployment: web, namespace: dev, revision: 3, images: ['web:v2', 'web:v1']}
  - name: job
    after: nothing
    do:
      - apply: [job.yaml]
      - complete: job/job
    expect:
      - absent: {kind: ConfigMap, name: config}
  - name: balanced
    after: nothing
    needs: [tunnel]
    do: [apply: [job.yaml]]
    expect:
      - object: {apiVersion: batch/v1, kind: Job, metadata: {name: job}}
  - name: routed
    needs: [ingress]
    do: [apply: [job.yaml]]
    expect:
      - absent: {kind: ConfigMap, name: config}
  - name: never
    after: nothing
    do: [apply: [job.yaml]]
    expect:
      - object: {apiVersion: v1, kind: ConfigMap, metadata: {name: none}}
`,
	}
}

// deployed is a Deployment of an image.
func deployed(image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  selector: {matchLabels: {app: web}}\n" +
		"  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: '" + image + "'}]}}\n"
}

// onServer is the course web on a server with objects.
func onServer(t *testing.T, objects ...runtime.Object) (*Labs, *fakeLab) {
	t.Helper()
	all := fstest.MapFS{}
	for name, content := range web() {
		all[name] = &fstest.MapFile{Data: []byte(content)}
	}
	lessons, err := course.Load(all, "", "")
	if err != nil {
		t.Fatal(err)
	}
	lab := &fakeLab{memoryLab: &memoryLab{server: kubetest.New(t)}}
	lab.server.RunControllers()
	lab.server.Put(objects...)
	cluster := lab.server.Cluster()
	return &Labs{
		Course: lessons, Cluster: cluster, Lab: lab, Story: progress.New(progress.Options{Out: &lab.story}), Timeout: 10 * time.Second,
		Saved: filepath.Join(t.TempDir(), "saved"), Checker: &check.Checker{Cluster: cluster, Course: lessons, Registry: lab},
	}, lab
}

// step finds a step of the course.
func step(t *testing.T, l *Labs, name string) *course.Step {
	t.Helper()
	found, err := l.Course.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// left lists what is there in the course's namespaces, without what every namespace has and what controllers made.
func left(t *testing.T, l *Labs) string {
	t.Helper()
	objects, err := l.Cluster.List(t.Context(), []string{"default", "dev", "other"}, false)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range objects {
		names = append(names, object.GetNamespace()+"/"+strings.ToLower(object.GetKind())+"/"+object.GetName())
	}
	namespaces, err := l.Cluster.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, namespace := range namespaces.Items {
		if namespace.Name != stateNamespace {
			names = append(names, "namespace/"+namespace.Name)
		}
	}
	return strings.Join(names, " ")
}
