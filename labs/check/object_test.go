package check

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/labs/course"
)

// part reads a part of an object, as a course has it.
func part(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

// content reads an object, as the API server's clients have it.
func content(t *testing.T, text string) map[string]any {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	read, err := course.DecodeObject(&document)
	if err != nil {
		t.Fatal(err)
	}
	return read.Object
}

const deployment = `
metadata: {name: web, labels: {app: web, tier: front}, annotations: {example.com/since: "2020"}}
spec:
  replicas: 3
  paused: false
  template:
    spec:
      containers:
        - name: helper
          image: busybox
        - name: web
          image: docker.io/us/web:v1@sha256:0123
          args: [-v, --port=3000]
          ports: [{containerPort: 3000}, {containerPort: 9000, protocol: UDP}]
          env: [{name: URL, value: http://db}, {name: EMPTY}]
status:
  readyReplicas: 2
  conditions: [{type: Available, status: "False"}, {type: Progressing, status: "True"}]
data: {password: c2VjcmV0Cg==}
rules:
  - http:
      paths:
        - {path: /, backend: {service: {name: a, port: {number: 80}}}}
        - {path: /hello, backend: {service: {name: b, port: {number: 3000}}}}
`

// TestCompare holds that each wrong field is found, with what there is and what there should be, and no other field.
func TestCompare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, expected string
		want           []string // PATH: HAVE, want EXPECTED
	}{
		{"everything as it is", deployment, nil},
		{"nothing", "{}", nil},
		{"a leaf", "spec: {replicas: 3}", nil},
		{"another number", "spec: {replicas: 2}", []string{"spec.replicas: 3, want 2"}},
		{"a longer number", "spec: {replicas: 33}", []string{"spec.replicas: 3, want 33"}},
		{"another truth", "spec: {paused: true}", []string{"spec.paused: false, want true"}},
		{"two of three", "metadata: {name: web, labels: {app: db, tier: back}}", []string{"metadata.labels.app: web, want db", "metadata.labels.tier: front, want back"}},
		{"a key with dots", `metadata: {annotations: {example.com/since: "2021"}}`, []string{"metadata.annotations[example.com/since]: 2020, want 2021"}},
		{"a missing leaf", "spec: {minReadySeconds: 5}", []string{"spec.minReadySeconds: -, want 5"}},
		{"a missing group", "spec: {strategy: {type: Recreate}}", []string{"spec.strategy.type: -, want Recreate"}},
		{"a missing list", "spec: {items: [a, {b: c}]}", []string{"spec.items: -, want {a, {b: c}}"}},
		{"a group where a leaf is", "spec: {replicas: {a: b}}", []string{"spec.replicas: 3, want {a: b}"}},
		{"a list where a leaf is", "spec: {replicas: [a]}", []string{"spec.replicas[0]: -, want a"}},

		{"by name", "spec: {template: {spec: {containers: [{name: web, image: !image web:v1}]}}}", nil},
		{"by name, not by fit", "spec: {template: {spec: {containers: [{name: web, image: busybox}]}}}",
			[]string{"spec.template.spec.containers[web].image: docker.io/us/web:v1@sha256:0123, want busybox"}},
		{"a name that is missing", "spec: {template: {spec: {containers: [{name: db, image: !image db}]}}}",
			[]string{"spec.template.spec.containers[db]: -, want {name: db, image: db}"}},
		{"by type", `status: {conditions: [{type: Available, status: "True"}]}`, []string{"status.conditions[Available].status: False, want True"}},
		{"by path", "rules: [{http: {paths: [{path: /hello, backend: {service: {name: a, port: {number: 80}}}}]}}]",
			[]string{"rules[0].http.paths[/hello].backend.service.name: b, want a", "rules[0].http.paths[/hello].backend.service.port.number: 3000, want 80"}},
		{"by best fit", "spec: {template: {spec: {containers: [{name: web, ports: [{containerPort: 9000, protocol: TCP}]}]}}}",
			[]string{"spec.template.spec.containers[web].ports[0].protocol: UDP, want TCP"}},
		{"by best fit, whatever the order", "spec: {template: {spec: {containers: [{name: web, ports: [{containerPort: 9000}, {containerPort: 3000}]}]}}}", nil},
		{"leaves in another order", "spec: {template: {spec: {containers: [{name: web, args: [--port=3000, -v]}]}}}", nil},
		{"a leaf of a list", "spec: {template: {spec: {containers: [{name: web, args: [--port=3000, --port=4000]}]}}}",
			[]string{"spec.template.spec.containers[web].args[1]: -v, want --port=4000"}},
		{"an element without the field", "spec: {template: {spec: {containers: [{name: web, env: [{name: URL, value: http://db}, {name: EMPTY, value: a}]}]}}}",
			[]string{"spec.template.spec.containers[web].env[EMPTY].value: -, want a"}},

		{"enough", "status: {readyReplicas: !least 2}", nil},
		{"not enough", "status: {readyReplicas: !least 3}", []string{"status.readyReplicas: 2, want ≥ 3"}},
		{"enough of what is missing", "status: {updatedReplicas: !least 1}", []string{"status.updatedReplicas: -, want ≥ 1"}},
		{"another image", "spec: {template: {spec: {containers: [{name: web, image: !image web:v2}]}}}",
			[]string{"spec.template.spec.containers[web].image: docker.io/us/web:v1@sha256:0123, want web:v2"}},
		{"base64", "data: {password: !base64 '^secret\\n$'}", nil},
		{"other base64", "data: {password: !base64 '^secret$'}", []string{"data.password: c2VjcmV0Cg==, want ^secret$"}},
		{"no base64", "metadata: {name: !base64 web}", []string{"metadata.name: web, want web"}},
		{"a pattern", "metadata: {name: !match '^w'}", nil},
		{"another pattern", "metadata: {name: !match '^e'}", []string{"metadata.name: web, want ^e"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, d := range compare("", part(t, test.expected), content(t, deployment)) {
				got = append(got, d.path+": "+d.shown().String()+", want "+d.wanted().String())
			}
			if got, want := strings.Join(got, "\n"), strings.Join(test.want, "\n"); got != want {
				t.Errorf("the differences are\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a":                              "a",
		"!least 2":                       "≥ 2",
		"!image web:v1":                  "web:v1",
		"{a: b, c: [d, !least 1]}":       "{a: b, c: {d, ≥ 1}}",
		"[{name: web, ports: [{a: 1}]}]": "{{name: web, ports: {{a: 1}}}}",
		"{}":                             "{}",
	} {
		if got := render(part(t, text)); got != want {
			t.Errorf("%s is written as %s, want %s", text, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"spec.template.spec.containers[web].image":                       "containers[web].image",
		"spec.jobTemplate.spec.template.spec.containers[echo].image":     "containers[echo].image",
		"spec.rules[0].http.paths[/].backend.service.name":               "paths[/].backend.service.name",
		"spec.template.metadata.labels.app":                              "spec.template.metadata.labels.app",
		"spec.replicas":                                                  "spec.replicas",
		"status.spec.template.spec.containers[web].image":                "status.spec.template.spec.containers[web].image",
		"spec.containers[hellok8s-container].livenessProbe.httpGet.path": "spec.containers[hellok8s-container].livenessProbe.httpGet.path",
	} {
		if got := shorten(path); got != want {
			t.Errorf("%s is shown as %s, want %s", path, got, want)
		}
	}
}

func TestDifference(t *testing.T) {
	t.Parallel()
	d := difference{path: "spec.ports[0].targetPort"}
	for path, want := range map[string]bool{"spec": true, "spec.ports": true, "spec.ports[0]": true, "spec.ports[0].targetPort": true, "spec.port": false, "ports": false, "spec.ports[0].targetPort.a": false} {
		if got := d.under(path); got != want {
			t.Errorf("it is under %s: %v, want %v", path, got, want)
		}
	}
	for path, want := range map[string]string{"spec.ports[0].targetPort": "targetPort", "data[nginx.conf]": "nginx.conf",
		"spec.selector[app.kubernetes.io/name]": "app.kubernetes.io/name", "kind": "kind"} {
		if got := (difference{path: path}).last(); got != want {
			t.Errorf("the last word of %s is %s, want %s", path, got, want)
		}
	}
}

// TestRefer holds that what a course does not say is the namespace default, but for what is in none.
func TestRefer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{apiVersion: v1, kind: Pod, metadata: {name: web}}":                                   "v1 Pod default/web",
		"{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: dev}}":                   "v1 Pod dev/web",
		"{apiVersion: v1, kind: Namespace, metadata: {name: dev}}":                             "v1 Namespace /dev",
		"{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}}":      "networking.k8s.io/v1 IngressClass /nginx",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all}}": "rbac.authorization.k8s.io/v1 ClusterRole /all",
	} {
		r := refer(part(t, text))
		if got := r.APIVersion + " " + r.Kind + " " + r.Namespace + "/" + r.Name; got != want {
			t.Errorf("%s means %s, want %s", text, got, want)
		}
	}
}
