package labs

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
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
	for text, want := range map[string][]string{
		webService:    {"nodePort 30000"},
		webIngress:    {"/hello", "/", "example.com/"},
		webDeployment: nil,
		"kind: Service\nspec: {type: ExternalName, externalName: example.com}": nil,
		"kind: Ingress\nspec: {defaultBackend: {service: {name: web}}}":        nil,
	} {
		if got := claims(object(t, text)); !slices.Equal(got, want) {
			t.Errorf("%s\nclaims %q, want %q", text, got, want)
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
