package labs

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/progress"
)

// fakeLab is a lab in memory: its registry has what was fetched, its releases are in the server.
type fakeLab struct {
	server    *kubetest.Server
	images    []string
	published []string
	// there are the packages that somebody has published before.
	there [][]byte
	// failed is what fetching and publishing end with.
	failed error
	// tunnel is what a tunnel does; nil is to run until its context ends.
	tunnel func(context.Context) error
	story  strings.Builder
}

func (f *fakeLab) FetchImages(_ context.Context, images []string) error {
	f.images = append(f.images, images...)
	return f.failed
}

func (f *fakeLab) Releases(namespace string) (*helm.Client, error) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return helm.New(clientConfig{server: f.server, namespace: namespace}, namespace, log)
}

func (f *fakeLab) PublishedCharts(context.Context, helm.Package) ([][]byte, error) {
	return f.there, f.failed
}

func (f *fakeLab) PublishChart(_ context.Context, chart helm.Package) error {
	f.published = append(f.published, chart.File)
	return nil
}

func (f *fakeLab) Tunnel(ctx context.Context) error {
	if f.tunnel != nil {
		return f.tunnel(ctx)
	}
	<-ctx.Done()
	return nil
}

func (f *fakeLab) HasImage(_ context.Context, image string) (bool, error) {
	return slices.Contains(f.images, image), nil
}

func (f *fakeLab) ChartVersions(context.Context, string) ([]string, error) {
	return []string{"0.1.0"}, nil
}

// clientConfig leads to a server.
type clientConfig struct {
	server    *kubetest.Server
	namespace string
}

func (c clientConfig) ClientConfig() (*rest.Config, error) { return c.server.Config(), nil }

func (c clientConfig) Namespace() (string, bool, error) { return c.namespace, true, nil }

func (c clientConfig) RawConfig() (clientcmdapi.Config, error) { return clientcmdapi.Config{}, nil }

func (c clientConfig) ConfigAccess() clientcmd.ConfigAccess { return nil }

// web is a course whose snapshots take all kinds of actions, in the namespaces default and dev.
func web() map[string]string {
	return map[string]string{
		"course.yaml":            "namespaces: [default, dev]\nchapters: [web, chart]\n",
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
		"chart/small/Chart.yaml":       "apiVersion: v2\nname: small\nversion: 0.1.0\n",
		"chart/small/values.yaml":      "message: hello\n",
		"chart/small/templates/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: small\ndata:\n  message: {{ .Values.message }}\n",
		"chart/more.yaml":              "message: more\n",
		"chart/lab.yaml": `steps:
  - name: release
    do:
      - install: {release: mine, chart: chart/small}
      - upgrade: {release: mine, chart: chart/small, values: [chart/more.yaml]}
      - rollback: {release: mine, revision: 1}
      - publish: {chart: chart/small, version: 0.2.0}
    expect:
      - release: {name: mine, chart: small, revision: 3}
      - chart: {name: small, version: '^0'}
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
	lab := &fakeLab{server: kubetest.New(t)}
	lab.server.RunControllers()
	lab.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool { // an empty schema, by which Helm validates nothing
		if r.URL.Path == "/openapi/v2" {
			w.WriteHeader(http.StatusOK)
		}
		return r.URL.Path == "/openapi/v2"
	})
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
