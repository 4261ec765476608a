package labs

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

const (
	webDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web, tier: front}}}
`
	webService = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 3000, nodePort: 30000}, {port: 4000}]}
`
	webIngress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  rules:
    - http: {paths: [{path: /hello}, {path: /}]}
    - host: example.com
      http: {paths: [{path: /}]}
    - host: empty.example.com
`
)

func TestClaims(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]claim{
		webService:    {{nodePort: 30000}},
		webIngress:    {{route: "/hello"}, {route: "/"}, {route: "example.com/"}},
		webDeployment: nil,
		"kind: Service\nspec: {type: ExternalName, externalName: example.com}": nil,
		"kind: Ingress\nspec: {defaultBackend: {service: {name: web}}}":        nil,
	} {
		if got := claims(object(t, text)); !slices.Equal(got, want) {
			t.Errorf("%s\nclaims %v, want %v", text, got, want)
		}
	}
}

func TestSelects(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		labels     map[string]string
		want       bool
	}{
		{"a Service, and just its labels", webService, map[string]string{"app": "web"}, true},
		{"a Service, and more labels", webService, map[string]string{"app": "web", "a": "b"}, true},
		{"a Service, and other labels", webService, map[string]string{"app": "db"}, false},
		{"a Service, and no labels", webService, nil, false},
		{"a Deployment", webDeployment, map[string]string{"app": "web"}, true},
		{"two labels, and one of them", "kind: Service\nspec: {selector: {app: web, tier: front}}", map[string]string{"app": "web"}, false},
		{"a Service that selects nothing", "kind: Service\nspec: {ports: []}", map[string]string{"app": "web"}, false},
		{"what has no selector", "kind: ConfigMap\nspec: {selector: {app: web}}", map[string]string{"app": "web"}, false},
	} {
		if got := selects(object(t, test.text), test.labels); got != test.want {
			t.Errorf("%s: selected is %v, want %v", test.name, got, test.want)
		}
	}
}

// TestCollide holds which of a reader's objects has to go for a coming one, and above all that no other has.
func TestCollide(t *testing.T) {
	t.Parallel()
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: mine, namespace: NAMESPACE, labels: {app: web}}"
	in := func(text, namespace string) string {
		return strings.NewReplacer("NAMESPACE", namespace, "namespace: default", "namespace: "+namespace, "name: web,", "name: mine,").Replace(text)
	}
	for _, test := range []struct {
		name, coming, object string
		want                 bool
	}{
		{"the same name", webDeployment, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: default}", true},
		{"the same name in another version", webDeployment, "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: web, namespace: default}", true},
		{"the same name of another kind", webDeployment, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: default}", false},
		{"the same name in another namespace", webDeployment, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: dev}", false},
		{"a pod that the Service would ask", webService, in(pod, "default"), true},
		{"a pod that the Deployment would take", webDeployment, in(pod, "default"), true},
		{"such a pod in another namespace", webService, in(pod, "dev"), false},
		{"a Deployment whose pods the Service would ask", webService, in(webDeployment, "default"), true},
		{"such a Deployment in another namespace", webService, in(webDeployment, "dev"), false},
		{"a Deployment with labels of its own, not its pods", webService,
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: mine, namespace: default, labels: {app: web}}\nspec: {template: {metadata: {labels: {app: mine}}}}", false},
		{"a Service with the same selector, and no node port", webService, "apiVersion: v1\nkind: Service\nmetadata: {name: mine, namespace: default}\nspec: {selector: {app: web}, ports: [{port: 3000}]}", false},
		{"the same node port", webService, in(webService, "default"), true},
		{"the same node port in another namespace", webService, in(webService, "dev"), true},
		{"another node port", webService, "apiVersion: v1\nkind: Service\nmetadata: {name: mine, namespace: default}\nspec: {ports: [{port: 3000, nodePort: 30001}]}", false},
		{"the same route in another namespace", webIngress, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: mine, namespace: dev}\nspec: {rules: [{http: {paths: [{path: /hello}]}}]}", true},
		{"the same path of another host", webIngress, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: mine, namespace: default}\nspec: {rules: [{host: a.example.com, http: {paths: [{path: /hello}]}}]}", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := collide(object(t, test.coming), object(t, test.object)); got != test.want {
				t.Errorf("it is in the way: %v, want %v", got, test.want)
			}
		})
	}
}

// TestInTheWay holds that a step's "absent" clears what it names, that what collides goes, and that a namespace never
// does.
func TestInTheWay(t *testing.T) {
	t.Parallel()
	coming := []*unstructured.Unstructured{object(t, webService), object(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: dev}")}
	steps := small(t).Course.Chapters[0].Steps
	first, second := *steps[0].Snapshot(), *steps[1].Snapshot()
	first.Objects, second.Objects = coming, coming
	for _, test := range []struct {
		text          string
		first, second bool
	}{
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: gone, namespace: default}", false, true},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: gone, namespace: dev}", false, false},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone, namespace: default}", false, false},
		{"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: dev}", false, true},
		{"apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}", true, true},
		{"apiVersion: v1\nkind: Namespace\nmetadata: {name: dev}", false, false},
	} {
		if got := inTheWay(&first)(object(t, test.text)); got != test.first {
			t.Errorf("%s\nis in the way of the first step: %v, want %v", test.text, got, test.first)
		}
		if got := inTheWay(&second)(object(t, test.text)); got != test.second {
			t.Errorf("%s\nis in the way of the second step: %v, want %v", test.text, got, test.second)
		}
	}
	if inTheWay(&course.Snapshot{})(object(t, webService)) {
		t.Error("a Service is in the way of nothing")
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	dev := kube.Reference{APIVersion: "v1", Kind: "Namespace", Name: "dev", UID: "1"}
	for text, want := range map[string]bool{
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: dev}":               true,
		"apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: dev}":     true,
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: test}":              false,
		"apiVersion: v1\nkind: Pod\nmetadata: {name: dev, namespace: default}": false,
	} {
		if got := needs([]*unstructured.Unstructured{object(t, webService), object(t, text)}, dev); got != want {
			t.Errorf("%s\nneeds the namespace: %v, want %v", text, got, want)
		}
	}
	if needs(nil, dev) {
		t.Error("nothing needs the namespace")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]bool{time.Second: true, time.Minute: true, time.Second - 1: false, 0: false, -time.Minute: false} {
		if err := (Config{Timeout: timeout}).Validate(); err == nil != want {
			t.Errorf("%s gives %v", timeout, err)
		}
	}
}

// TestInstall holds that a snapshot is made along its steps, labelled and recorded, whatever was there before.
func TestInstall(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t)
	rows, err := l.Install(t.Context(), step(t, l, "web/config"), false)
	if err != nil || len(rows) != 2 || !check.Met(rows) {
		t.Fatalf("the rows are %+v, %v", rows, err)
	}
	if got, want := left(t, l), "default/configmap/config namespace/dev"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	if found := lab.server.Get("ConfigMap", "default", "config"); found.GetLabels()[kube.ChapterLabel] != "web" {
		t.Errorf("its labels are %v", found.GetLabels())
	}
	if _, err = l.Install(t.Context(), step(t, l, "web/versions"), false); err != nil {
		t.Fatal(err)
	}
	if got, want := left(t, l), "default/configmap/config dev/deployment/web namespace/dev"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	if got := strings.Join(lab.fetched, " "); got != "registry/base registry/base web:v1 web:v2" {
		t.Errorf("it fetches %s", got)
	}
	state, err := l.State(t.Context())
	if err != nil || state.Step != "web/versions" || state.Before || state.Installing || len(state.Objects) != 3 {
		t.Errorf("the state is %+v, %v", state, err)
	}
	if _, err = l.Install(t.Context(), step(t, l, "web/job"), false); err != nil { // it begins anew
		t.Fatal(err)
	}
	if got, want := left(t, l), "default/job/job namespace/dev"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
}

// TestInstallBefore holds that a user begins with the snapshot of the step before, or with what the chapter takes for
// granted, and has the images of the coming step.
func TestInstallBefore(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t, namespace("dev", true), config("dev", "old", "ours"))
	rows, err := l.Install(t.Context(), step(t, l, "web/config"), true)
	if err != nil || rows != nil {
		t.Fatalf("the rows are %+v, %v", rows, err)
	}
	if got, want := left(t, l), "namespace/dev"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	rows, err = l.Install(t.Context(), step(t, l, "web/versions"), true)
	if err != nil || rows != nil {
		t.Fatalf("the rows are %+v, %v", rows, err)
	}
	if got, want := left(t, l), "default/configmap/config namespace/dev"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	if got := strings.Join(lab.fetched, " "); got != "registry/base web:v1 web:v2" {
		t.Errorf("it fetches %s", got)
	}
	if state, err := l.State(t.Context()); err != nil || state.Step != "web/versions" || !state.Before || state.Installing {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// TestInstallRefuses holds that nothing is done where the lab lacks something, or an image cannot be had.
func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t, config("default", "old", "ours"))
	_, err := l.Install(t.Context(), step(t, l, "web/routed"), false)
	if err == nil || err.Error() != "the step web/routed needs the ingress controller, which this lab was made without" ||
		(messages.Printer{}).Hint(err) != "hellolab down, then hellolab up" {
		t.Errorf("without an ingress controller it ends with %v", err)
	}
	lab.failed = errors.New("no network")
	if _, err = l.Install(t.Context(), step(t, l, "web/config"), false); !errors.Is(err, lab.failed) {
		t.Errorf("without images it ends with %v", err)
	}
	if got := left(t, l); got != "default/configmap/old" {
		t.Errorf("there are %s", got)
	}
}

// TestInstallGivesUp holds what is said of a snapshot that does not become as it should.
func TestInstallGivesUp(t *testing.T) {
	t.Parallel()
	l, _ := onServer(t)
	l.Timeout = 200 * time.Millisecond
	_, err := l.Install(t.Context(), step(t, l, "web/never"), false)
	if err == nil || !strings.HasPrefix(err.Error(), "web/never: not everything is as it should be after 0s: configmap/none: have it is not there") ||
		(messages.Printer{}).Hint(err) != "hellolab lab check web/never" {
		t.Errorf("it ends with %v", err)
	}
	if state, err := l.State(t.Context()); err != nil || !state.Installing {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// TestInstallSaysWhichStep holds that the failure of an action names its step, and what the API server refused.
func TestInstallSaysWhichStep(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t)
	lab.server.Fail(http.MethodPatch, "/configmaps/config", -1, apierrors.NewBadRequest("not like that"))
	_, err := l.Install(t.Context(), step(t, l, "web/versions"), false)
	if err == nil || err.Error() != "the step web/config cannot be made: config.yaml: the API server does not take configmap/config: not like that" ||
		(messages.Printer{}).Hint(err) != "correct what it names, then run the same command again" {
		t.Errorf("it ends with %v, hint %s", err, (messages.Printer{}).Hint(err))
	}
}

// TestTunnel holds that a snapshot which needs a tunnel has one until it is made, and that the failure of a tunnel is
// told once.
func TestTunnel(t *testing.T) {
	t.Parallel()
	l, lab := onServer(t)
	ended := false
	lab.tunnel = func(ctx context.Context) error {
		<-ctx.Done()
		ended = true
		return nil
	}
	if rows, err := l.Install(t.Context(), step(t, l, "web/balanced"), false); err != nil || !check.Met(rows) || !ended {
		t.Errorf("the rows are %+v, %v; the tunnel has ended: %v", rows, err, ended)
	}
	lab.tunnel = func(context.Context) error { return errors.New("the tunnel broke") }
	lab.server.Fail(http.MethodPatch, "/jobs/job", -1, apierrors.NewInternalError(errors.New("later"))) // which is tried again
	if _, err := l.Install(t.Context(), step(t, l, "web/balanced"), false); err == nil || strings.Count(err.Error(), "the tunnel broke") != 1 {
		t.Errorf("it ends with %v", err)
	}
}
