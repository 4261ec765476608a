//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// What a reader pastes: as it stands, without a registry in front of any image.
const (
	course = `
apiVersion: v1
kind: Pod
metadata:
  name: nginx-pod
spec:
  containers:
    - name: nginx-container
      image: nginx
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hellok8s-deployment
spec:
  replicas: 3
  selector:
    matchLabels:
      app: hellok8s
  template:
    metadata:
      labels:
        app: hellok8s
    spec:
      containers:
        - name: hellok8s-container
          image: guangzhengli/hellok8s:v3
---
apiVersion: v1
kind: Service
metadata:
  name: service-hellok8s-clusterip
spec:
  type: ClusterIP
  selector:
    app: hellok8s
  ports:
    - port: 3000
      targetPort: 3000
---
apiVersion: v1
kind: Service
metadata:
  name: service-hellok8s-nodeport
spec:
  type: NodePort
  selector:
    app: hellok8s
  ports:
    - port: 3000
      nodePort: 30000
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx-deployment
spec:
  replicas: 2
  selector:
    matchLabels:
      app: nginx
  template:
    metadata:
      labels:
        app: nginx
    spec:
      containers:
        - name: nginx-container
          image: nginx
---
apiVersion: v1
kind: Service
metadata:
  name: service-nginx-clusterip
spec:
  type: ClusterIP
  selector:
    app: nginx
  ports:
    - port: 4000
      targetPort: 80
---
apiVersion: batch/v1
kind: Job
metadata:
  name: hello-job
spec:
  parallelism: 3
  completions: 5
  template:
    spec:
      restartPolicy: OnFailure
      containers:
        - name: echo
          image: busybox
          command: ["/bin/sh", "-c", "for i in 9 8 7 6 5 4 3 2 1; do echo $i; done"]
`
	ingress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: hello-ingress
  annotations:
    nginx.ingress.kubernetes.io/ssl-redirect: "false"
spec:
  rules:
    - http:
        paths:
          - path: /hello
            pathType: Prefix
            backend:
              service:
                name: service-hellok8s-clusterip
                port:
                  number: 3000
          - path: /
            pathType: Prefix
            backend:
              service:
                name: service-nginx-clusterip
                port:
                  number: 4000
`
)

// answer is what the image guangzhengli/hellok8s:v3 says.
var answer = regexp.MustCompile(`^\[v3\] Hello, Kubernetes!, From host: hellok8s-deployment-`)

// pushImage builds an image of the course's and pushes it as a reader would; it answers greeting, with the
// host's name for HOST.
func pushImage(t *testing.T, registry, tag, greeting string) {
	t.Helper()
	folder := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module hello\n")
	write("main.go", fmt.Sprintf(`package main

import (
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host, _ := os.Hostname()
		io.WriteString(w, strings.ReplaceAll(%q, "HOST", host))
	})
	http.ListenAndServe(":3000", nil)
}
`, greeting))
	write("Dockerfile", "FROM scratch\nCOPY main /main\nENTRYPOINT [\"/main\"]\n")
	build := exec.Command("go", "build", "-o", "main", ".")
	build.Dir = folder
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	image := registry + "/guangzhengli/hellok8s:" + tag
	docker(t, "build", "--quiet", "--tag", image, folder)
	docker(t, "push", "--quiet", image)
	docker(t, "rmi", image)
}

// works fails unless the course's shapes run: images from the lab's registry, routes, NodePort, Job.
func (l *lab) works() {
	l.Helper()
	found := l.healthy()
	eventually(l, "Ingress answers /hello with v3", func() bool {
		code, body := get(found.Ingress.Address + "hello")
		return code == 200 && answer.MatchString(body)
	})
	eventually(l, "Ingress answers / with nginx", func() bool {
		code, body := get(found.Ingress.Address)
		return code == 200 && strings.Contains(body, "nginx")
	})
	eventually(l, "NodePort 30000 answers with v3", func() bool {
		code, body := get(found.NodePort)
		return code == 200 && answer.MatchString(body)
	})
	eventually(l, "all pods are Ready", func() bool {
		return l.kubectl("", "get", "deploy", "-o", "jsonpath={.items[*].status.readyReplicas}") == "3 2"
	})
}

// objects tells which objects there are, and that they are the same ones: their UIDs.
func (l *lab) objects() string {
	l.Helper()
	return l.kubectl("", "get", "deploy,svc,ingress,job,cm,secret", "-A", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\n"}{end}`)
}

// TestLab is a lab's whole life: up, the course's YAML, everything that may happen to it, and down.
func TestLab(t *testing.T) {
	l := newLab(t, "e2e-lab", nil)
	before := l.neighbours()

	first := l.must("up")
	if first.stdout != "" {
		t.Errorf("up prints on stdout: %q", first.stdout)
	}
	found := l.healthy()
	if len(found.Nodes) != 1 || !found.Nodes[0].Ready {
		t.Errorf("the nodes are %+v", found.Nodes)
	}

	t.Run("a second up changes nothing", func(t *testing.T) {
		l := l.in(t)
		before := l.everything()
		again := l.must("up")
		if again.took > time.Second {
			t.Errorf("took %s", again.took)
		}
		if !strings.Contains(again.stderr, "nothing to change") || strings.Count(again.stderr, "\n") != 1 {
			t.Errorf("said %q", again.stderr)
		}
		if after := l.everything(); after != before {
			t.Errorf("changed\n%s\nto\n%s", before, after)
		}
		l.fails(1, []string{"up", "--workers", "1"}, "bootstrap.workers: 0, not 1", "hellolab down")
	})

	t.Run("the course's YAML runs as it stands", func(t *testing.T) {
		l := l.in(t)
		pushImage(t, found.Registry.Address, "v3", "[v3] Hello, Kubernetes!, From host: HOST")
		l.kubectl(course, "apply", "-f", "-")
		l.kubectl(ingress, "apply", "-f", "-")
		l.works()
		l.kubectl("", "wait", "--for=condition=complete", "job/hello-job", "--timeout=60s")
		l.kubectl("", "wait", "--for=condition=ready", "pod/nginx-pod", "--timeout=60s")
		if row := l.kubectl("", "get", "ingress", "hello-ingress"); !regexp.MustCompile(`hello-ingress +nginx `).MatchString(row) {
			t.Errorf("kubectl get ingress prints\n%s", row)
		}
		if logs := l.kubectl("", "logs", "job/hello-job"); !strings.HasSuffix(logs, "1\n") {
			t.Errorf("the job's log is %q", logs)
		}
		if hint := l.kubectl("", "get", "cm", "-n", "kube-public", "local-registry-hosting", "-o", "yaml"); !strings.Contains(hint, found.Registry.Address) {
			t.Errorf("the registry is announced as\n%s", hint)
		}
		if releases := l.kubectl("", "get", "secret", "-n", "ingress-nginx", "-l", "owner=helm,name=ingress-nginx", "-o", "name"); strings.Count(releases, "\n") != 1 {
			t.Errorf("Helm's releases are %q", releases)
		}
	})
	if t.Failed() {
		return
	}

	t.Run("pause and resume", func(t *testing.T) { l.in(t).pauses() })

	for _, harm := range []struct {
		name string
		do   func(l *lab)
	}{
		{"docker restart of the node", func(l *lab) { docker(l, "restart", l.node()) }},
		{"docker rm of the registry", func(l *lab) { docker(l, "rm", "-f", l.name+"-registry") }},
		{"stop and start", func(l *lab) {
			w := l.watch("service/clusterip") // in the reader's other terminal
			w.until("service/clusterip", false)
			l.must("stop")
			if stopped := l.status(); stopped.State != "stopped" || stopped.Registry.State != "stopped" || stopped.Ingress.State != "stopped" {
				l.Errorf("after stop the lab is %+v", stopped)
			}
			l.fails(1, []string{"pause"}, "does not run", "hellolab start")
			refused := l.run("kubectl", "get", "pods")
			if !strings.Contains(refused.stderr, "next: hellolab status") {
				l.Errorf("kubectl on a stopped lab says\n%s", refused.stderr)
			}
			l.must("start")
			w.command.Process.Kill()
			w.command.Wait()
			if !strings.Contains(w.said.String(), "the check goes on trying") {
				l.Errorf("lab check --watch says of a stopped lab\n%s", w.said.String())
			}
		}},
		{"the ingress controller deleted by hand", func(l *lab) { l.kubectl("", "delete", "ns", "ingress-nginx", "--wait=true") }},
		{"the chart repository deleted by hand", func(l *lab) {
			l.kubectl("", "delete", "ingress,deployment,service", "--all", "-n", "hellolab")
			l.must("up")
			if code, body := get(l.charts() + "/index.yaml"); code != 200 || !strings.Contains(body, "hello-helm-0.1.0.tgz") {
				l.Errorf("the chart repository answers %d\n%s", code, body)
			}
		}},
		{"its kubeconfig entry lost", func(l *lab) {
			l.check(os.WriteFile(filepath.Join(l.folder, "kubeconfig"), []byte(theirs), 0o600))
		}},
	} {
		t.Run("up after "+harm.name, func(t *testing.T) {
			l := l.in(t)
			before := l.course()
			harm.do(l)
			l.must("up")
			l.works()
			if after := l.course(); after != before {
				t.Errorf("the objects were\n%s\nand are\n%s", before, after)
			}
		})
	}

	t.Run("down keeps what is others'", func(t *testing.T) {
		l := l.in(t)
		l.must("down", "--keep-registry")
		if code, _ := get("http://" + found.Registry.Address + "/v2/guangzhengli/hellok8s/manifests/v3"); code == 404 || code == 0 {
			t.Errorf("the registry's content is gone: %d", code)
		}
		l.must("up")
		if again := l.healthy(); again.Registry.Address != found.Registry.Address {
			t.Errorf("the registry moved from %s to %s", found.Registry.Address, again.Registry.Address)
		}
		l.kubectl(course, "apply", "-f", "-")
		l.kubectl(ingress, "apply", "-f", "-")
		l.works()
		l.must("down")
		l.clean(before)
		again := l.must("down")
		if !strings.Contains(again.stderr, "nothing to remove") {
			t.Errorf("the second down said %q", again.stderr)
		}
		l.clean(before)
	})
}

// pauses holds that a paused lab does nothing, and that nothing is lost.
func (l *lab) pauses() {
	restarts := func() string {
		return l.kubectl("", "get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{"\n"}{end}`)
	}
	url, before := l.status().NodePort, l.objects()+restarts()
	l.must("pause")
	if found := l.status(); found.State != "paused" {
		l.Errorf("the state is %s", found.State)
	}
	l.fails(1, []string{"lab", "check", "pod/nginx"}, "is paused", "hellolab resume")
	l.must("pause") // does nothing
	start := time.Now()
	l.must("resume")
	eventually(l, "NodePort 30000 answers again", func() bool { code, _ := get(url); return code == 200 })
	if took := time.Since(start); took > time.Second {
		l.Errorf("it takes %s to resume", took)
	}
	l.healthy()
	if after := l.objects() + restarts(); after != before {
		l.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
	l.must("resume") // does nothing
}

// in is the lab in a subtest.
func (l *lab) in(t *testing.T) *lab {
	inner := *l
	inner.T = t
	return &inner
}

// course gives the objects that a reader made.
func (l *lab) course() string {
	l.Helper()
	return l.kubectl("", "get", "deploy,svc,ingress,job", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid}{"\n"}{end}`)
}

// everything is all that a second up might change: containers, objects, kubeconfig.
func (l *lab) everything() string {
	l.Helper()
	kubeconfig, err := os.ReadFile(filepath.Join(l.folder, "kubeconfig"))
	l.check(err)
	containers := docker(l, "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", l.node(), l.name+"-registry")
	return containers + l.objects() + string(kubeconfig)
}

const foreign = "e2e-foreign"

// theirs is a kubeconfig with somebody else's clusters, one of kind's among them, in the order that client-go writes.
const theirs = `apiVersion: v1
kind: Config
clusters:
- name: kind-theirs
  cluster:
    server: https://127.0.0.1:2
- name: theirs
  cluster:
    server: https://127.0.0.1:1
contexts:
- name: kind-theirs
  context:
    cluster: kind-theirs
    user: theirs
- name: theirs
  context:
    cluster: theirs
    user: theirs
current-context: theirs
users:
- name: theirs
  user:
    token: secret
`

// neighbours puts things of other people's beside the lab: a container with a volume, and a current context in the
// same kubeconfig. It gives what that file says.
func (l *lab) neighbours() string {
	l.Helper()
	path := filepath.Join(l.folder, "kubeconfig")
	l.check(os.WriteFile(path, []byte(theirs), 0o600))
	exec.Command("docker", "rm", "-fv", foreign).Run()
	exec.Command("docker", "volume", "rm", foreign).Run()
	docker(l, "run", "--detach", "--name", foreign, "--volume", foreign+":/data", "--label", "io.github.hellolab.lab=somebody-else",
		"nginx")
	l.Cleanup(func() {
		docker(l.T, "rm", "-fv", foreign)
		docker(l.T, "volume", "rm", foreign)
	})
	return l.contexts()
}

// contexts is what the kubeconfig says, written in one way.
func (l *lab) contexts() string {
	l.Helper()
	content, err := os.ReadFile(filepath.Join(l.folder, "kubeconfig"))
	l.check(err)
	var parsed map[string]any
	l.check(yaml.Unmarshal(content, &parsed))
	written, err := yaml.Marshal(parsed)
	l.check(err)
	return string(written)
}

// clean fails unless nothing of the lab's is left, and everything of others' is.
func (l *lab) clean(kubeconfig string) {
	l.Helper()
	for _, list := range [][]string{
		{"ps", "-aq", "--filter", "label=io.x-k8s.kind.cluster=" + l.name},
		{"ps", "-aq", "--filter", "label=io.github.hellolab.lab=" + l.name},
		{"ps", "-aq", "--filter", "name=" + l.name},
		{"volume", "ls", "-q", "--filter", "label=io.github.hellolab.lab=" + l.name},
		{"volume", "ls", "-q", "--filter", "name=" + l.name},
	} {
		if left := docker(l, list...); left != "" {
			l.Errorf("docker %s: %s", strings.Join(list, " "), left)
		}
	}
	if endpoints := docker(l, "network", "inspect", "kind", "--format", "{{range .Containers}}{{.Name}} {{end}}"); strings.Contains(endpoints, l.name) {
		l.Errorf("the network still has %s", endpoints)
	}
	if now := l.contexts(); now != kubeconfig {
		l.Errorf("the kubeconfig was\n%s\nand is\n%s", kubeconfig, now)
	}
	if running := docker(l, "inspect", "--format", "{{.State.Running}}", foreign); running != "true\n" {
		l.Errorf("the foreign container is running: %s", running)
	}
	docker(l, "volume", "inspect", foreign)
}
