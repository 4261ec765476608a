package check

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs/course"
)

// lessons is a course of one step, with the files that its guide mentions, and one that it does not: namespace.yaml.
func lessons(t *testing.T, expectation string) *course.Step {
	t.Helper()
	files := fstest.MapFS{
		"course.yaml": {Data: []byte("namespaces: [default, dev]\naccount: us\nchapters: [one]\n")},
		"one/lab.yaml": {Data: []byte("steps:\n  - name: first\n    guide: {en: 'Save web.yaml, pod.yaml, job.yaml and settings.yaml.'}\n" +
			"    expect:\n      - " + expectation + "\n")},
		"one/first/web.yaml": {Data: []byte(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "us/web:v2"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 3000}]}
`)},
		"one/first/pod.yaml":       {Data: []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\nspec: {containers: [{name: web, image: 'us/web:v2'}]}\n")},
		"one/first/job.yaml":       {Data: []byte("apiVersion: batch/v1\nkind: Job\nmetadata: {name: job, namespace: dev}\nspec: {template: {spec: {containers: [{name: count, image: busybox}]}}}\n")},
		"one/first/settings.yaml":  {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: dev}\ndata: {URL: db}\n")},
		"one/first/namespace.yaml": {Data: []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: dev}\n")},
	}
	loaded, err := course.Load(files, "", "us")
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Chapters[0].Steps[0]
}

// onCluster is a checker of a cluster that holds the objects of YAML documents, whose pods print and answer what speaks has:
// logs by "log POD/CONTAINER", pages by "pod:port". What it does not have is refused.
func onCluster(t *testing.T, documents string, speaks map[string]string) (*Checker, *kubetest.Server) {
	t.Helper()
	var objects []runtime.Object
	for document := range strings.SplitSeq(documents, "\n---\n") {
		if strings.TrimSpace(document) != "" {
			objects = append(objects, &unstructured.Unstructured{Object: content(t, document)})
		}
	}
	server := kubetest.New(t, objects...)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		if len(parts) < 7 || parts[6] != "log" && parts[6] != "proxy" {
			return false
		}
		key := "log " + parts[5] + "/" + r.URL.Query().Get("container")
		if parts[6] == "proxy" {
			key = strings.TrimPrefix(parts[5], "http:")
		}
		answer, found := speaks[key]
		if !found {
			kubetest.Refuse(w, apierrors.NewServiceUnavailable("nobody answers"))
			return true
		}
		_, _ = io.WriteString(w, answer)
		return true
	})
	return &Checker{Cluster: server.Cluster(), Course: &course.Course{Namespaces: []string{"default", "dev"}},
		Place: course.Place{Registry: "localhost:5001", Account: "us"}, Registry: registry{images: []string{"us/web:v1", "us/web:v2"}}}, server
}

// shown is what a user sees of a row.
func shown(r Row) string {
	if r.Met {
		return fmt.Sprintf("✓ %s: %s", r.Subject, r.Have)
	}
	said := fmt.Sprintf("✗ %s: %s; want %s", r.Subject, r.Have, r.Expected)
	if !r.Why.IsZero() {
		said += "; why: " + r.Why.String()
	}
	return said + "; do: " + r.Next.String()
}

// guide is the command that stands where no other one helps.
const guide = "hellolab lab show one/first"

// deploymentOf is a Deployment named web with its ReplicaSet, and one Pod that is as status says.
func deploymentOf(image, status string) string {
	all := "{observedGeneration: 1}"
	if status == readyStatus {
		all = "{observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1}"
	}
	template := `{metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "` + image + `"}]}}`
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, uid: d}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template: ` + template + `
status: ` + all + `
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-rs, uid: r, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}
spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: ` + template + `}
status: ` + all + `
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, uid: p, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-rs, uid: r, controller: true}]}
spec: {containers: [{name: web, image: "` + image + `"}]}
status: ` + status
}

const readyStatus = `{conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: web, ready: true}]}`

func waiting(reason, message string) string {
	return `{containerStatuses: [{name: web, image: "us/web:v9", state: {waiting: {reason: ` + reason + `, message: '` + message + `'}}}]}`
}

// TestObject checks what is said of objects, and that each command that is suggested works as it stands.
func TestObject(t *testing.T) {
	t.Parallel()
	web := "object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: "
	onePod := "apiVersion: v1\nkind: Pod\nmetadata: {name: pod, uid: p}\nspec: {containers: [{name: web, image: us/web:v1}]}\nstatus: " + readyStatus
	twoContainers := strings.Replace(onePod, "containers: [", "containers: [{name: helper, image: busybox}, ", 1)
	for _, test := range []struct {
		name, cluster, expectation, want string
		speaks                           map[string]string
	}{
		{"as expected", deploymentOf("us/web:v2", readyStatus), web + "{replicas: 1}}", "✓ deployment/web: as expected", nil},
		{"missing, from a file", "", web + "{}}", "✗ deployment/web: it is not there; want it is there; do: kubectl apply -f web.yaml", nil},
		{"missing, from a file in a namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: dev}\n", "object: {apiVersion: batch/v1, kind: Job, metadata: {name: job, namespace: dev}}",
			"✗ job/job -n dev: it is not there; want it is there; do: kubectl apply -f job.yaml -n dev", nil},
		{"missing, with its namespace", "", "object: {apiVersion: batch/v1, kind: Job, metadata: {name: job, namespace: dev}}",
			"✗ job/job -n dev: it is not there; want it is there; why: there is no namespace dev; do: kubectl create namespace dev", nil},
		{"missing, from a file that no guide mentions", "", "object: {apiVersion: v1, kind: Namespace, metadata: {name: dev}}",
			"✗ namespace/dev: it is not there; want it is there; do: " + guide, nil},
		{"missing, of nobody's file", "", "object: {apiVersion: v1, kind: Pod, metadata: {name: other}}",
			"✗ pod/other: it is not there; want it is there; do: " + guide, nil},
		{"in another namespace", "apiVersion: v1\nkind: Pod\nmetadata: {name: pod, namespace: dev}\n", "object: {apiVersion: v1, kind: Pod, metadata: {name: pod}}",
			"✗ pod/pod: it is not there; want it is there; why: there is one of that name in the namespace dev; do: kubectl apply -f pod.yaml", nil},

		{"replicas", deploymentOf("us/web:v2", readyStatus), web + "{replicas: 3}}",
			"✗ deployment/web: spec.replicas: 1; want spec.replicas: 3; why: it asks for 1 pods; do: kubectl scale deployment/web --replicas=3", nil},
		{"at least so many replicas", deploymentOf("us/web:v2", readyStatus), web + "{replicas: !least 2}}",
			"✗ deployment/web: spec.replicas: 1; want spec.replicas: ≥ 2; why: it asks for 1 pods; do: kubectl scale deployment/web --replicas=2", nil},
		{"replicas like a pattern", deploymentOf("us/web:v2", readyStatus), web + "{replicas: !match '[23]'}}",
			"✗ deployment/web: spec.replicas: 1; want spec.replicas: [23]; why: it asks for 1 pods; do: kubectl edit deployment/web", nil},

		{"an image", deploymentOf("us/web:v1", readyStatus), web + "{template: {spec: {containers: [{name: web, image: !image 'web:v2'}]}}}}",
			"✗ deployment/web: containers[web].image: us/web:v1; want containers[web].image: web:v2; " +
				"why: its container runs the image us/web:v1; do: kubectl set image deployment/web web=us/web:v2", nil},
		{"an image that no manifest has", deploymentOf("us/web:v1", readyStatus), web + "{template: {spec: {containers: [{name: web, image: !match '^us/web:v[34]$'}]}}}}",
			"✗ deployment/web: containers[web].image: us/web:v1; want containers[web].image: ^us/web:v[34]$; " +
				"why: its container runs the image us/web:v1; do: kubectl edit deployment/web", nil},
		{"the image of the only container, whatever its name", onePod, "object: {apiVersion: v1, kind: Pod, metadata: {name: pod}, spec: {containers: [{image: !image 'web:v2'}]}}",
			"✗ pod/pod: spec.containers[0].image: us/web:v1; want spec.containers[0].image: web:v2; " +
				"why: its container runs the image us/web:v1; do: kubectl set image pod/pod web=us/web:v2", nil},
		{"the image of one of two containers", twoContainers, "object: {apiVersion: v1, kind: Pod, metadata: {name: pod}, spec: {containers: [{image: !image 'web:v2'}]}}",
			"✗ pod/pod: spec.containers[0].image: busybox; want spec.containers[0].image: web:v2; " +
				"why: its container runs the image busybox; do: kubectl edit pod/pod", nil},
		{"the image of a Job, which cannot be changed",
			"apiVersion: batch/v1\nkind: Job\nmetadata: {name: job, namespace: dev}\nspec: {template: {spec: {containers: [{name: count, image: nginx}]}}}",
			"object: {apiVersion: batch/v1, kind: Job, metadata: {name: job, namespace: dev}, spec: {template: {spec: {containers: [{name: count, image: !image busybox}]}}}}",
			"✗ job/job -n dev: containers[count].image: nginx; want containers[count].image: busybox; " +
				"why: its container runs the image nginx; do: compare job.yaml with the guide, then run kubectl replace --force -f job.yaml -n dev", nil},
		{"an image that is not in the registry", deploymentOf("us/web:v9", waiting("ImagePullBackOff", "")), web + "{template: {spec: {containers: [{name: web, image: !image 'web:v2'}]}}}}",
			"✗ deployment/web: containers[web].image: us/web:v9; want containers[web].image: web:v2; why: its container runs the image us/web:v9; " +
				"pod web-1 cannot pull us/web:v9: the registry localhost:5001 has no such image; do: kubectl set image deployment/web web=us/web:v2", nil},

		{"a field of a Pod, which cannot be changed", onePod, "object: {apiVersion: v1, kind: Pod, metadata: {name: pod}, spec: {restartPolicy: Never}}",
			"✗ pod/pod: spec.restartPolicy: -; want spec.restartPolicy: Never; " +
				"why: the field spec.restartPolicy is missing; do: compare pod.yaml with the guide, then run kubectl replace --force -f pod.yaml", nil},
		{"a label of a Pod, which can be changed", onePod, "object: {apiVersion: v1, kind: Pod, metadata: {name: pod, labels: {app: web}}}",
			"✗ pod/pod: metadata.labels.app: -; want metadata.labels.app: web; why: the field metadata.labels.app is missing; do: kubectl edit pod/pod", nil},
		{"a selector and more, which cannot be changed", deploymentOf("us/web:v2", readyStatus), web + "{paused: true, selector: {matchLabels: {app: db}}}}",
			"✗ deployment/web: spec.paused: -, spec.selector.matchLabels.app: web; want spec.paused: true, spec.selector.matchLabels.app: db; " +
				"why: the field spec.paused is missing; do: compare web.yaml with the guide, then run kubectl replace --force -f web.yaml", nil},
		{"a field that cannot be changed, of nobody's file", strings.Replace(onePod, "name: pod", "name: other", 1),
			"object: {apiVersion: v1, kind: Pod, metadata: {name: other}, spec: {restartPolicy: Never}}",
			"✗ pod/other: spec.restartPolicy: -; want spec.restartPolicy: Never; why: the field spec.restartPolicy is missing; do: " + guide, nil},
		{"another field", deploymentOf("us/web:v2", readyStatus), web + "{template: {metadata: {labels: {app: db}}}}}",
			"✗ deployment/web: spec.template.metadata.labels.app: web; want spec.template.metadata.labels.app: db; " +
				"why: the field spec.template.metadata.labels.app is web; do: kubectl edit deployment/web", nil},
		{"a probe", strings.Replace(deploymentOf("us/web:v2", readyStatus), `v2"}]}}`, `v2", livenessProbe: {httpGet: {path: /}}}]}}`, 1),
			web + "{template: {spec: {containers: [{name: web, livenessProbe: {httpGet: {path: /healthz}}}]}}}}",
			"✗ deployment/web: containers[web].livenessProbe.httpGet.path: /; want containers[web].livenessProbe.httpGet.path: /healthz; " +
				"why: the livenessProbe has path /, not /healthz; do: kubectl edit deployment/web", nil},
		{"no probe", deploymentOf("us/web:v2", readyStatus), web + "{template: {spec: {containers: [{name: web, livenessProbe: {httpGet: {path: /healthz}}}]}}}}",
			"✗ deployment/web: containers[web].livenessProbe.httpGet: -; want containers[web].livenessProbe.httpGet: {path: /healthz}; " +
				"why: it has no livenessProbe like that; do: kubectl edit deployment/web", nil},

		{"a value of a ConfigMap", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: dev}\ndata: {URL: a}\n",
			"object: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: dev}, data: {URL: db}}",
			"✗ configmap/settings -n dev: data.URL: a; want data.URL: db; why: the value of URL is a; do: kubectl edit configmap/settings -n dev", nil},
		{"a key of a ConfigMap", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: dev}\ndata: {URI: a}\n",
			"object: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: dev}, data: {URL: db}}",
			"✗ configmap/settings -n dev: data.URL: -; want data.URL: db; why: the key URL is missing; the keys that are there: URI; do: kubectl edit configmap/settings -n dev", nil},
		{"a ConfigMap without keys", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: dev}\n",
			"object: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: dev}, data: {URL: db}}",
			"✗ configmap/settings -n dev: data.URL: -; want data.URL: db; why: the key URL is missing; there are no keys at all; do: kubectl edit configmap/settings -n dev", nil},
		{"an immutable ConfigMap", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: dev}\nimmutable: true\ndata: {URL: a}\n",
			"object: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: dev}, data: {URL: db}}",
			"✗ configmap/settings -n dev: data.URL: a; want data.URL: db; why: the value of URL is a; " +
				"do: compare settings.yaml with the guide, then run kubectl replace --force -f settings.yaml -n dev", nil},

		{"not Ready", deploymentOf("us/web:v2", waiting("ContainerCreating", "")), "object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, status: {readyReplicas: 1}}",
			"✗ deployment/web: status.readyReplicas: -; want status.readyReplicas: 1; why: the pod web-1 is just being made; do: kubectl get pods --watch", nil},
		{"a Pod not Ready", "apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\nspec: {containers: [{name: web}]}\nstatus: " + waiting("InvalidImageName", "no image"),
			"object: {apiVersion: v1, kind: Pod, metadata: {name: pod}, status: {phase: Running}}",
			"✗ pod/pod: status.phase: -; want status.phase: Running; why: pod pod cannot pull us/web:v9: the registry localhost:5001 has no such image; do: hellolab images list", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := onCluster(t, test.cluster, test.speaks)
			step := lessons(t, test.expectation)
			found, err := c.Row(t.Context(), step, 0)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, shown(found), test.want)
		})
	}
}

// TestSecret checks that no text shows the value of a Secret, nor an expected value that reveals it.
func TestSecret(t *testing.T) {
	t.Parallel()
	secret := func(rest string) string { return "apiVersion: v1\nkind: Secret\nmetadata: {name: secret}\n" + rest }
	want := func(data string) string {
		return "object: {apiVersion: v1, kind: Secret, metadata: {name: secret}, " + data + "}"
	}
	other := "; why: the value of PASSWORD is another one; do: kubectl edit secret/secret"
	for _, test := range []struct{ name, cluster, expectation, want string }{
		{"another value", secret("data: {PASSWORD: c2VjcmV0}"), want("data: {PASSWORD: aHVudGVyMg==}"),
			"✗ secret/secret: data.PASSWORD: (hidden); want data.PASSWORD: (hidden)" + other},
		{"a pattern that says what the value is", secret("data: {PASSWORD: c2VjcmV0}"), want("data: {PASSWORD: !base64 '^hunter2$'}"),
			"✗ secret/secret: data.PASSWORD: (hidden); want data.PASSWORD: (hidden)" + other},
		{"a pattern that does not", secret("data: {PASSWORD: c2VjcmV0}"), want(`data: {PASSWORD: !base64 '^.{8,}\n$'}`),
			`✗ secret/secret: data.PASSWORD: (hidden); want data.PASSWORD: ^.{8,}\n$` + other},
		{"no pattern", secret("data: {PASSWORD: c2VjcmV0}"), want("data: {PASSWORD: '+++'}"),
			"✗ secret/secret: data.PASSWORD: (hidden); want data.PASSWORD: (hidden)" + other},
		{"a missing key", secret("data: {OTHER: c2VjcmV0}"), want("data: {PASSWORD: aHVudGVyMg==}"),
			"✗ secret/secret: data.PASSWORD: -; want data.PASSWORD: (hidden); why: the key PASSWORD is missing; the keys that are there: OTHER; do: kubectl edit secret/secret"},
		{"what kubectl noted of it", strings.Replace(secret(""), "secret}", "secret, annotations: {applied: c2VjcmV0}}", 1),
			"object: {apiVersion: v1, kind: Secret, metadata: {name: secret, annotations: {applied: none}}}",
			"✗ secret/secret: metadata.annotations.applied: (hidden); want metadata.annotations.applied: (hidden); " +
				"why: the field metadata.annotations.applied is (hidden); do: kubectl edit secret/secret"},
		{"its type", secret("type: Opaque"), want("type: example.com/other"),
			"✗ secret/secret: type: Opaque; want type: example.com/other; why: the field type is Opaque; do: " + guide},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := onCluster(t, test.cluster, nil)
			found, err := c.Row(t.Context(), lessons(t, test.expectation), 0)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, shown(found), test.want)
		})
	}
}

// TestService checks the way from a Service and an Ingress to the pods.
func TestService(t *testing.T) {
	t.Parallel()
	service := func(selector, ports string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: " + selector + ", ports: " + ports + "}\n---\n"
	}
	ingress := func(service string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: [{http: {paths: [" +
			"{path: /, backend: {service: {name: " + service + "}}}]}}, {}]}\n---\n"
	}
	wanted := "object: {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}}}"
	port := "object: {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80, targetPort: 3000}]}}"
	backend := "object: {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: web, port: {number: 80}}}}]}}]}}"
	pods := deploymentOf("us/web:v2", readyStatus)
	for _, test := range []struct{ name, cluster, expectation, want string }{
		{"a wrong selector", service("{app: wep}", "[{port: 80}]") + pods, wanted,
			"why: the selector app=wep of service web matches no pod; the pods there have app=web; do: kubectl set selector service web app=web"},
		{"one wrong label of two, since kubectl replaces them all", service("{app: wep, tier: front}", "[{port: 80}]") + pods, wanted,
			"why: the selector app=wep,tier=front of service web matches no pod; the pods there have app=web; do: kubectl set selector service web app=web,tier=front"},
		{"no selector", service("{}", "[{port: 80}]") + pods, wanted,
			"why: service web has no selector, so it finds no pods; do: kubectl set selector service web app=web"},
		{"a selector that works, though another one is expected", service("{app: web}", "[{port: 80, targetPort: 3000}]") + pods, strings.Replace(wanted, "app: web", "app: db", 1),
			"why: its selector has app: web; do: kubectl set selector service web app=db"},
		{"a selector like a pattern", service("{app: wep}", "[{port: 80}]") + pods, strings.Replace(wanted, "app: web", "app: !match '^web$'", 1),
			"why: the selector app=wep of service web matches no pod; the pods there have app=web; do: kubectl edit service web"},
		{"a port where nothing listens", service("{app: web}", "[{port: 80, targetPort: 3001}]") + pods, port,
			"why: service web sends requests to port 3001 of its pods (targetPort), and nothing listens there; they listen on 3000; do: kubectl edit service web"},
		{"another port, where something listens", service("{app: web}", "[{port: 80, targetPort: 9000}]") + pods, port,
			"why: the field spec.ports[0].targetPort is 9000; do: kubectl edit service/web"},
		{"another type", service("{app: web}", "[{port: 80}]") + pods, "object: {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort}}",
			"why: service web has no node port: its type is ClusterIP; do: kubectl patch service web -p 'spec: {type: NodePort, ports: [{port: 80, nodePort: 30000}]}'"},

		{"an Ingress to a Service that a file has", ingress("web, port: {number: 80}"), strings.Replace(backend, "name: web, port", "name: wep, port", 1),
			"why: ingress web sends / to the Service web, which is not there; do: kubectl apply -f web.yaml"},
		{"an Ingress to a Service of nobody's", ingress("wep, port: {number: 80}"), backend,
			"why: ingress web sends / to the Service wep, which is not there; do: kubectl edit ingress web"},
		{"an Ingress to another port", ingress("web, port: {number: 81}") + service("{app: web}", "[{port: 80, targetPort: 3000}]") + pods, backend,
			"why: ingress web sends / to port 81 of service web, which has port 80 only; do: kubectl edit ingress web"},
		{"an Ingress to a port by its name", ingress("web, port: {name: http}") + service("{app: web}", "[{port: 80, targetPort: 3000}]") + pods, backend,
			"why: ingress web sends / to port http of service web, which has port 80 only; do: kubectl edit ingress web"},
		{"an Ingress that works, though another one is expected", ingress("web, port: {name: http}") + service("{app: web}", "[{name: http, port: 80, targetPort: 3000}]") + pods, backend,
			"why: the field paths[/].backend.service.port.number is missing; do: kubectl edit ingress/web"},
		{"what a path of the Ingress leads to", ingress("web, port: {number: 80}") + service("{app: web}", "[{port: 80, targetPort: 3001}]") + pods, "http: {ingress: /, answers: .}",
			"why: service web sends requests to port 3001 of its pods (targetPort), and nothing listens there; they listen on 3000; do: kubectl edit service web"},

		{"a path that another Ingress has changed", strings.Replace(ingress("web, port: {number: 80}"), "path: /", "path: /hello", 1) + service("{app: web}", "[{port: 80, targetPort: 3000}]") + pods +
			"\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: rw, namespace: other, annotations: {nginx.ingress.kubernetes.io/use-regex: 'true'}}\nspec: {rules: [{}]}\n", "http: {ingress: /hello, answers: .}",
			"why: ingress rw has the annotation use-regex, which changes how the paths of all Ingresses for its host are matched; do: kubectl annotate ingress rw nginx.ingress.kubernetes.io/use-regex- -n other"},
		{"a Service that answers something else", service("{app: web}", "[{port: 80, targetPort: 3000}]") + pods, "http: {service: web, port: 80, answers: bye}",
			"✗ GET service/web:80/: hello; want an answer like bye; do: " + guide},
		{"a Service that the API server finds nobody behind", service("{app: web}", "[{port: 80, targetPort: 3001}]") + pods, "http: {service: web, port: 81, answers: .}",
			"no answer: nobody answers; want any answer; why: service web sends requests to port 3001 of its pods (targetPort), and nothing listens there; they listen on 3000; do: kubectl edit service web"},
		{"a Pod", pods, "http: {pod: web-1, port: 3000, path: a, answers: hello}", "✓ GET pod/web-1:3000/a: hello"},
		{"a Pod that is not there", "", "http: {pod: pod, port: 3000, answers: .}", "why: there is no Pod pod; do: kubectl apply -f pod.yaml"},
		{"a Pod that does not run", deploymentOf("us/web:v9", waiting("ErrImagePull", "")), "http: {pod: web-1, port: 9, answers: .}",
			"why: pod web-1 cannot pull us/web:v9: the registry localhost:5001 has no such image; do: hellolab images list"},
		{"a Pod whose image was changed", deploymentOf("us/web:v9", strings.Replace(waiting("ErrImagePull", ""), "v9", "v1", 1)), "http: {pod: web-1, port: 9, answers: .}",
			"why: pod web-1 cannot pull us/web:v9: the registry localhost:5001 has no such image; do: hellolab images list"},
		{"the first Ready pod", pods, "http: {pods: app=web, port: 3000, answers: hello}", "✓ GET pod (app=web):3000/: hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := onCluster(t, test.cluster, map[string]string{"web-1:3000": "hello", "web-1:9000": "hello", "web:80": "hello"})
			c.Place.Ingress = nobody
			found, err := c.Row(t.Context(), lessons(t, test.expectation), 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := shown(found); !strings.HasSuffix(got, test.want) {
				t.Errorf("the user sees\n%s\nwant the end\n%s", got, test.want)
			}
		})
	}
}

// TestPodCauses checks what is said of pods that are not Ready.
func TestPodCauses(t *testing.T) {
	t.Parallel()
	event := func(name, time, message string) string {
		return "\n---\napiVersion: v1\nkind: Event\nmetadata: {name: " + name + "}\ntype: Warning\nreason: FailedMount\nmessage: " + message +
			"\n" + time + "\ninvolvedObject: {kind: Pod, name: web-1, uid: p}"
	}
	ended := "{containerStatuses: [{name: web, state: {terminated: {exitCode: 3, message: 'from the kubelet'}}}]}"
	crashing := "{containerStatuses: [{name: web, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 3}}}]}"
	withHelper := func(pod string) string {
		return strings.Replace(pod, "spec: {containers: [{name: web, image: \"us/web:v2\"}]}\nstatus", "spec: {containers: [{name: helper}, {name: web}]}\nstatus", 1)
	}
	for _, test := range []struct {
		name, cluster, want string
		speaks              map[string]string
	}{
		{"an image of the account's", strings.Replace(deploymentOf("us/web:v9", waiting("ImagePullBackOff", "")), "v9", "v2", 1),
			"pod web-1 cannot pull us/web:v9: the registry localhost:5001 has no such image; do: hellolab images list", nil},
		{"an image that is there, and cannot be pulled", strings.ReplaceAll(deploymentOf("us/web:v2", waiting("ErrImagePull", "no route")), "us/web:v9", "us/web:v2"),
			"why: pod web-1 cannot pull us/web:v2: no route; do: kubectl describe pod web-1", nil},
		{"a key that a Secret lacks", deploymentOf("us/web:v2", waiting("CreateContainerConfigError", "couldn''t find key A in Secret default/secret")),
			"why: pod web-1 cannot start: its secret secret has no key A; do: kubectl edit secret secret", nil},
		{"a ConfigMap that is not there", deploymentOf("us/web:v2", waiting("CreateContainerConfigError", "configmap \"settings\" not found")),
			"why: pod web-1 cannot start: there is no configmap settings in its namespace; do: kubectl create configmap settings", nil},
		{"another fault of the environment", deploymentOf("us/web:v2", waiting("CreateContainerConfigError", "no idea")),
			"why: pod web-1 cannot start: no idea; do: kubectl edit deployment/web", nil},
		{"a container that ended", deploymentOf("us/web:v2", ended),
			"why: the container web of pod web-1 ended with status 3; its last output: no more; do: kubectl logs web-1", map[string]string{"log web-1/web": "no more\n"}},
		{"a container that ended without a log", deploymentOf("us/web:v2", ended),
			"why: the container web of pod web-1 ended with status 3; its last output: from the kubelet; do: kubectl logs web-1", nil},
		{"a container that ended without a word", deploymentOf("us/web:v2", crashing),
			"why: the container web of pod web-1 ended with status 3; do: kubectl logs web-1 --previous", nil},
		{"one of two containers that starts again and again", withHelper(deploymentOf("us/web:v2", crashing)),
			"why: the container web of pod web-1 ended with status 3; its last output: no more; do: kubectl logs web-1 -c web --previous", map[string]string{"log web-1/web": "no more\n"}},
		{"the newest event, whatever its name", deploymentOf("us/web:v2", "{}") +
			event("a", "eventTime: '2026-01-01T12:00:09.000000Z'", "newest") + event("b", "lastTimestamp: '2026-01-01T12:00:08Z'", "older"),
			"why: pod web-1: newest; do: kubectl describe pod web-1", nil},
		{"an event of an earlier pod of that name", deploymentOf("us/web:v2", "{}") +
			strings.Replace(event("a", "lastTimestamp: '2026-01-01T12:00:08Z'", "earlier"), "uid: p", "uid: q", 1), "status.readyReplicas: 1; do: " + guide, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := onCluster(t, test.cluster, test.speaks)
			found, err := c.Row(t.Context(), lessons(t, "object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, status: {readyReplicas: 1}}"), 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := shown(found); !strings.HasSuffix(got, test.want) {
				t.Errorf("the user sees\n%s\nwant the end\n%s", got, test.want)
			}
		})
	}
}

// TestGetImage checks which command brings which image.
func TestGetImage(t *testing.T) {
	t.Parallel()
	step := lessons(t, "image: us/web:v2")
	c := &Checker{Course: &course.Course{Chapters: []*course.Chapter{{Steps: []*course.Step{step}}}}, Place: course.Place{Account: "us"}}
	for image, want := range map[string]string{
		"us/web:v2":           "hellolab images build",
		"docker.io/us/web:v2": "hellolab images build",
		"busybox":             "hellolab up",
		"us/web:v9":           "hellolab images list",
		"redis:7":             "hellolab images push redis:7",
	} {
		if got := c.getImage(image).String(); got != want {
			t.Errorf("for %s it suggests %s, want %s", image, got, want)
		}
	}
}

// TestJob checks what is said of a Job that does not succeed.
func TestJob(t *testing.T) {
	t.Parallel()
	job := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: job, namespace: dev}\nstatus: {conditions: [{type: Failed, status: 'True', message: too often}]}\n"
	pod := "---\napiVersion: v1\nkind: Pod\nmetadata: {name: job-1, namespace: dev, labels: {batch.kubernetes.io/job-name: job}}\nspec: {containers: [{name: count}]}\n" +
		"status: {containerStatuses: [{name: count, state: {terminated: {exitCode: 3}}}]}\n"
	for cluster, want := range map[string]string{
		job:       "why: job job has failed: too often; do: kubectl describe job job -n dev",
		job + pod: "why: the container count of pod job-1 ended with status 3; do: kubectl logs job-1 -n dev",
	} {
		c, _ := onCluster(t, cluster, nil)
		found, err := c.Row(t.Context(), lessons(t, "object: {apiVersion: batch/v1, kind: Job, metadata: {name: job, namespace: dev}, status: {succeeded: 1}}"), 0)
		if got := shown(found); err != nil || !strings.HasSuffix(got, want) {
			t.Errorf("the user sees\n%s, %v\nwant the end\n%s", got, err, want)
		}
	}
}

// TestEvidence checks that what is shown of a step that was not met in time are the newest warnings, whichever field has
// their time, and what the pods have printed that are not Ready.
func TestEvidence(t *testing.T) {
	t.Parallel()
	var cluster strings.Builder
	event := func(number int, time, about string) {
		fmt.Fprintf(&cluster, "apiVersion: v1\nkind: Event\nmetadata: {name: e%d}\ntype: Warning\nmessage: 'number %d\n\n  more'\n%s\ninvolvedObject: {kind: %s, name: web-1}\n---\n", number, number, time, about)
	}
	event(0, "eventTime: '2026-01-01T12:00:09.000000Z'", "Pod") // the scheduler's
	for i := 1; i <= 6; i++ {
		event(i, fmt.Sprintf("lastTimestamp: '2026-01-01T12:00:0%dZ'", i), "Pod")
	}
	event(7, "lastTimestamp: '2026-01-01T12:00:09Z'", "Node")
	crashing := "{containerStatuses: [{name: helper, ready: true}, {name: web, ready: false}]}"
	cluster.WriteString(deploymentOf("us/web:v2", crashing))
	cluster.WriteString("\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: done}\nstatus: {phase: Succeeded}\n")
	c, _ := onCluster(t, cluster.String(), map[string]string{"log web-1/web": "one\ntwo\n", "log web-1/helper": "fine\n", "log done/": "done\n"})
	var lines []string
	for _, err := range c.Evidence(t.Context(), lessons(t, "image: us/web:v2")) {
		lines = append(lines, err.Error())
	}
	expect(t, strings.Join(lines, "\n"), `event of pod/web-1: number 3
event of pod/web-1: number 4
event of pod/web-1: number 5
event of pod/web-1: number 6
event of pod/web-1: number 0
log of pod/web-1: one
log of pod/web-1: two`)
}

// TestAbsent checks that an object in the way is named with the command that removes it.
func TestAbsent(t *testing.T) {
	t.Parallel()
	c, _ := onCluster(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: pod, namespace: dev}\n", nil)
	for expectation, want := range map[string]string{
		"absent: {kind: Pod, name: pod, namespace: dev}": "✗ no pod/pod -n dev: it is still there; want not there; do: kubectl delete pod/pod -n dev",
		"absent: {kind: Pod, name: pod}":                 "✓ no pod/pod: not there",
	} {
		found, err := c.Row(t.Context(), lessons(t, expectation), 0)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, shown(found), want)
	}
}

// record is the Secret in which Helm keeps a revision of a release.
func record(name, chart, version, status, description string, revision int) string {
	content, _ := json.Marshal(map[string]any{"name": name, "namespace": "default", "version": revision,
		"info":  map[string]any{"status": status, "description": description},
		"chart": map[string]any{"metadata": map[string]any{"name": chart, "version": version}}})
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed)
	_, _ = compressed.Write(content)
	_ = compressed.Close()
	data := base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(packed.Bytes())))
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: helm.sh/release.v1\nmetadata: {name: sh.helm.release.v1.%s.v%d, labels: {owner: helm, name: %s, status: %s, version: '%d'}}\ndata: {release: %s}\n---\n",
		name, revision, name, status, revision, data)
}

// TestRelease checks what is said of a release, and that what is suggested lets it be installed.
func TestRelease(t *testing.T) {
	t.Parallel()
	want := "; want chart hello, deployed, revision 2 or higher"
	const taken = `release failed: admission webhook denied the request: host "_" and path "/" is already defined in ingress dev/other`
	other := func(annotations string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: other, namespace: dev, annotations: {" + annotations + "}}\n"
	}
	belongs := "why: the path / belongs to the Ingress other in the namespace dev already, and ingress-nginx allows it only once; this release has to be uninstalled, too; do: "
	for _, test := range []struct{ name, cluster, want string }{
		{"as expected", record("web", "hello", "0.1.0", "superseded", "", 1) + record("web", "hello", "0.1.1", "deployed", "", 2),
			"✓ release/web: chart hello-0.1.1, deployed, revision 2"},
		{"another version", record("web", "hello", "0.1.0", "deployed", "", 2),
			"✗ release/web: chart hello-0.1.0, deployed, revision 2; want chart hello, deployed, revision 2 or higher, with a version like ^0.1.1$; do: " + guide},
		{"none", "", "✗ release/web: it is not there" + want + "; do: " + guide},
		{"a failed installation", record("web", "hello", "0.1.1", "failed", "no\nidea", 1),
			"✗ release/web: chart hello-0.1.1, failed, revision 1" + want + "; why: no; do: helm uninstall web"},
		{"a failed upgrade, which another one can follow", record("web", "hello", "0.1.1", "failed", "no idea", 2),
			"✗ release/web: chart hello-0.1.1, failed, revision 2" + want + "; why: no idea; do: " + guide},
		{"an upgrade that was killed", record("web", "hello", "0.1.1", "pending-upgrade", "Preparing upgrade", 2),
			"✗ release/web: chart hello-0.1.1, pending-upgrade, revision 2" + want + "; why: Preparing upgrade; do: helm rollback web"},
		{"a path that another Ingress has", record("web", "hello", "0.1.1", "failed", taken, 1) + other(""), belongs + "kubectl delete ingress other -n dev"},
		{"a path that another release has", record("web", "hello", "0.1.1", "failed", taken, 1) +
			other("meta.helm.sh/release-name: old, meta.helm.sh/release-namespace: dev"), belongs + "helm uninstall old -n dev"},
		{"a path that another Ingress had", record("web", "hello", "0.1.1", "failed", taken, 1), belongs + "helm uninstall web"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := onCluster(t, test.cluster, nil)
			found, err := c.Row(t.Context(), lessons(t, "release: {name: web, chart: hello, version: '^0.1.1$', revision: 2}"), 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := shown(found); !strings.HasSuffix(got, test.want) {
				t.Errorf("the user sees\n%s\nwant the end\n%s", got, test.want)
			}
		})
	}
}

// TestTaken checks that an object that keeps a release from being installed is named, with the command that removes it.
func TestTaken(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"course.yaml": {Data: []byte("namespaces: [default]\nchapters: [one]\n")},
		"one/lab.yaml": {Data: []byte("steps:\n  - name: first\n    do: [{install: {release: web, chart: one/first/web}}]\n" +
			"    expect: [{release: {name: web, chart: web}}]\n")},
		"one/first/web/Chart.yaml":            {Data: []byte("apiVersion: v2\nname: web\nversion: 0.1.0\n")},
		"one/first/web/templates/config.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\n")},
	}
	loaded, err := course.Load(files, "", "")
	if err != nil {
		t.Fatal(err)
	}
	config := func(annotations string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config, annotations: {" + annotations + "}}"
	}
	for cluster, want := range map[string]string{
		"": "; do: " + guide,
		config("meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: default"): "; do: " + guide,
		config(""): "why: there is configmap/config already, which belongs to no release, and Helm does not take it over; do: kubectl delete configmap/config",
		config("meta.helm.sh/release-name: old, meta.helm.sh/release-namespace: dev"): "why: configmap/config belongs to the release old, " +
			"and two releases cannot have the same object; do: helm uninstall old -n dev",
	} {
		c, _ := onCluster(t, cluster, nil)
		found, err := c.Row(t.Context(), loaded.Chapters[0].Steps[0], 0)
		if got := shown(found); err != nil || !strings.HasSuffix(got, want) {
			t.Errorf("the user sees\n%s, %v\nwant the end\n%s", got, err, want)
		}
	}
}

// TestChart checks what is said of a chart in the registry.
func TestChart(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"^0.1.1$": "✓ chart hello in oci://localhost:5001/charts: 0.1.0, 0.1.1",
		"^0.2":    "✗ chart hello in oci://localhost:5001/charts: 0.1.0, 0.1.1; want a version like ^0.2; do: " + guide,
	} {
		c, _ := onCluster(t, "", nil)
		c.Registry = registry{charts: []string{"0.1.0", "0.1.1"}}
		found, err := c.Row(t.Context(), lessons(t, "chart: {name: hello, version: '"+version+"'}"), 0)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, shown(found), want)
	}
}

// TestLoadBalancer checks what is said of a Service at its EXTERNAL-IP, which a tunnel gives it.
func TestLoadBalancer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	tunnel := "why: addresses come from hellolab tunnel, which has to run in another terminal; do: hellolab tunnel"
	service := func(kind, status string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: dev}\nspec: {type: " + kind + ", selector: {app: web}, ports: [{port: 80, targetPort: 3000}]}\n" +
			"status: {loadBalancer: {ingress: [" + status + "]}}\n---\n" + strings.ReplaceAll(deploymentOf("us/web:v2", readyStatus), "name: web", "namespace: dev, name: web")
	}
	for _, test := range []struct{ name, cluster, port, answers, want string }{
		{"as expected", service("LoadBalancer", "{ip: 127.0.0.1}"), port, "hello", "✓ GET URL/: hello"},
		{"another answer", service("LoadBalancer", "{ip: 127.0.0.1}"), port, "bye", "✗ GET URL/: hello; want an answer like bye; " + tunnel},
		{"an address where nothing listens", service("LoadBalancer", "{hostname: 127.0.0.1}"), "1", "hello", "want an answer like hello; " + tunnel},
		{"no address yet", service("LoadBalancer", ""), port, "hello", "✗ EXTERNAL-IP of service/web -n dev: <pending>; want an address that answers; " + tunnel},
		{"another type", service("ClusterIP", ""), port, "hello",
			"✗ EXTERNAL-IP of service/web -n dev: <pending>; want an address that answers; why: its type is ClusterIP; do: " + guide},
		{"no Service", "", port, "hello", "✗ EXTERNAL-IP of service/web -n dev: there is no such Service; want an address that answers; do: " + guide},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := onCluster(t, test.cluster, map[string]string{"web-1:3000": "hello"})
			found, err := c.Row(t.Context(), lessons(t, "loadBalancer: {namespace: dev, service: web, port: "+test.port+", answers: "+test.answers+"}"), 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(shown(found), server.URL, "URL"); !strings.HasSuffix(got, test.want) {
				t.Errorf("the user sees\n%s\nwant the end\n%s", got, test.want)
			}
		})
	}
}

// TestCommandsOfTheCourse checks, for all objects of the embedded course, that the file that is suggested when one is
// missing is the newest of its name that the guides show, and has the object.
func TestCommandsOfTheCourse(t *testing.T) {
	t.Parallel()
	loaded, err := course.Load(course.Embedded(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, chapter := range loaded.Chapters {
		for _, step := range chapter.Steps {
			for _, object := range step.Snapshot().Objects {
				r := kube.Refer(object)
				file := savedFile(step, r)
				if file == "" {
					continue
				}
				files++
				if !slices.ContainsFunc(newest(step, file), func(in course.Manifest) bool { return has(in, r) }) {
					t.Errorf("%s: %s is said to be in %s, which a later step has overwritten", step.ID(), r, file)
				}
			}
		}
	}
	if files < 30 {
		t.Errorf("only %d objects have a file", files)
	}
}

// newest are the manifests of a name that the last step with one has.
func newest(step *course.Step, name string) (found []course.Manifest) {
	for _, s := range step.Snapshot().Steps {
		manifests := slices.DeleteFunc(s.Manifests(), func(m course.Manifest) bool { return m.Name != name })
		if len(manifests) > 0 {
			found = manifests
		}
	}
	return found
}

func has(manifest course.Manifest, r kube.Reference) bool {
	return slices.ContainsFunc(manifest.Objects, func(object *unstructured.Unstructured) bool { return kube.Refer(object).Same(r) })
}
