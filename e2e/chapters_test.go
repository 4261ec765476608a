//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A lesson is a row of the course's table: what a reader types and writes to do the step by hand, after the state before
// it. The YAML is written here once more, as readers write it: it is not what hellolab embeds.
type lesson struct {
	step   string
	byHand func(l *lab)
	// after looks at what hellolab made of the step, beside its check.
	after func(l *lab)
}

// The course's steps, in its order. TestChapters holds that hellolab has these and no others.
func lessons() []lesson {
	const (
		liveness  = "livenessProbe: {httpGet: {path: /healthz, port: 3000}, initialDelaySeconds: 3, periodSeconds: 3}"
		readiness = "readinessProbe: {httpGet: {path: /healthz, port: 3000}, initialDelaySeconds: 1, successThreshold: 5}"
	)
	return append([]lesson{
		{step: "container/build-run-push", byHand: func(l *lab) { pushImage(l.T, l.status().Registry.Address, "v1", "[v1] Hello, Kubernetes!") }},
		{step: "pod/nginx", byHand: func(l *lab) { l.kubectl(podYAML("nginx-pod", "nginx-container", "nginx", ""), "apply", "-f", "-") }},
		{step: "pod/hellok8s", byHand: func(l *lab) {
			l.kubectl(podYAML("hellok8s", "hellok8s-container", "guangzhengli/hellok8s:v1", ""), "apply", "-f", "-")
		}},
		{step: "deployment/create", byHand: func(l *lab) {
			l.kubectl(deploymentYAML(1, "v1", "", ""), "apply", "-f", "-")
			l.kubectl("", "rollout", "status", "deployment", "hellok8s-deployment")
			l.kubectl("", "delete", "pod", "-l", "app=hellok8s")
		}},
		{step: "deployment/scale", byHand: func(l *lab) { l.kubectl(deploymentYAML(3, "v1", "", ""), "apply", "-f", "-") }},
		{step: "deployment/upgrade", byHand: func(l *lab) {
			l.kubectl("", "set", "image", "deployment/hellok8s-deployment", "hellok8s-container=guangzhengli/hellok8s:v2")
		}},
		{step: "deployment/rollback", byHand: func(l *lab) {
			if history := l.kubectl("", "rollout", "history", "deployment", "hellok8s-deployment"); !revisions(history, "1", "2") {
				l.Errorf("before the rollback the history is\n%s", history)
			}
			l.kubectl("", "rollout", "undo", "deployment", "hellok8s-deployment")
		}, after: (*lab).rollsBackAsTheCourseSays},
		{step: "deployment/rolling-update", byHand: func(l *lab) {
			l.kubectl(deploymentYAML(3, "v2", rolling, ""), "apply", "-f", "-")
			l.rollsWithin(2, 4)
		}},
		{step: "deployment/liveness", byHand: func(l *lab) {
			l.kubectl(deploymentYAML(3, "liveness", rolling, liveness), "apply", "-f", "-")
		}},
		{step: "deployment/readiness", byHand: func(l *lab) {
			l.kubectl("", "rollout", "undo", "deployment", "hellok8s-deployment", "--to-revision=2")
			l.kubectl("", "rollout", "status", "deployment", "hellok8s-deployment")
			l.kubectl(deploymentYAML(3, "bad", rolling, readiness), "apply", "-f", "-")
		}},
		{step: "service/clusterip", byHand: func(l *lab) {
			l.kubectl(deploymentYAML(3, "v3", "", ""), "apply", "-f", "-")
			l.kubectl(serviceYAML("service-hellok8s-clusterip", "ClusterIP", "hellok8s", "port: 3000, targetPort: 3000"), "apply", "-f", "-")
			l.kubectl(podYAML("nginx", "nginx-container", "nginx", "app: nginx"), "apply", "-f", "-")
		}},
		{step: "service/nodeport", byHand: func(l *lab) {
			l.curlsFromTheNginxPod()
			l.kubectl(serviceYAML("service-hellok8s-nodeport", "NodePort", "hellok8s", "port: 3000, nodePort: 30000"), "apply", "-f", "-")
		}},
		{step: "service/loadbalancer", byHand: func(l *lab) {
			l.kubectl(serviceYAML("service-hellok8s-loadbalancer", "LoadBalancer", "hellok8s", "port: 3000, targetPort: 3000"), "apply", "-f", "-")
			l.namesTheCause("service/loadbalancer", "<pending>", "addresses come from hellolab tunnel", "hellolab tunnel")
			end := l.tunnel() // in the reader's other terminal
			l.Cleanup(func() { end() })
		}},
		{step: "ingress/controller", byHand: func(l *lab) {
			l.kubectl("", "delete", "deployment,service", "--all")
		}},
		{step: "ingress/routes", byHand: func(l *lab) {
			l.kubectl(deploymentYAML(3, "v3", "", ""), "apply", "-f", "-")
			l.kubectl(serviceYAML("service-hellok8s-clusterip", "ClusterIP", "hellok8s", "port: 3000"), "apply", "-f", "-")
			l.kubectl(serviceYAML("service-nginx-clusterip", "ClusterIP", "nginx", "port: 4000, targetPort: 80"), "apply", "-f", "-")
			l.kubectl(nginxDeployment, "apply", "-f", "-")
			l.kubectl(ingress, "apply", "-f", "-")
		}},
		{step: "namespace/create", byHand: func(l *lab) {
			l.kubectl("", "create", "namespace", "dev")
			l.kubectl("", "create", "namespace", "test")
			l.kubectl(deploymentYAML(3, "v3", "", ""), "apply", "-n", "dev", "-f", "-")
		}},
		{step: "configmap/per-namespace", byHand: func(l *lab) {
			l.kubectl("", "delete", "deployment", "hellok8s-deployment", "-n", "dev")
			for _, namespace := range []string{"dev", "test"} {
				l.kubectl("", "create", "configmap", "hellok8s-config", "-n", namespace, "--from-literal=DB_URL=http://DB_ADDRESS_"+strings.ToUpper(namespace))
				l.kubectl(envPodYAML("v4", "DB_URL", "configMapKeyRef", "hellok8s-config"), "apply", "-n", namespace, "-f", "-")
			}
		}},
		{step: "secret/password", byHand: func(l *lab) {
			l.kubectl("", "create", "secret", "generic", "hellok8s-secret", "--from-literal=DB_PASSWORD=db_password") // without the newline
			l.kubectl(envPodYAML("v5", "DB_PASSWORD", "secretKeyRef", "hellok8s-secret"), "apply", "-f", "-")
		}},
		{step: "job/job", byHand: func(l *lab) { l.kubectl(jobYAML("hello-job", countdown), "apply", "-f", "-") }},
		{step: "job/cronjob", byHand: func(l *lab) { l.kubectl(cronJobYAML, "apply", "-f", "-") }},
	}, helmLessons()...)
}

const (
	rolling = `
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 1`

	countdown = "for i in 9 8 7 6 5 4 3 2 1; do echo $i; done"

	nginxDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx-deployment
  labels:
    by: hand
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
      - image: nginx:latest
        name: nginx-container
        ports:
        - containerPort: 80
`
	cronJobYAML = `
apiVersion: batch/v1
kind: CronJob
metadata:
  name: hello-cronjob
spec:
  schedule: "*/1 * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers:
          - name: echo
            image: busybox
            command: ["/bin/sh"]
            args: ["-c", "` + countdown + `"]
`
)

func podYAML(name, container, image, labels string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {%s}
spec:
  containers:
  - image: %s
    name: %s
`, name, labels, image, container)
}

func envPodYAML(tag, variable, from, source string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: hellok8s-pod
spec:
  containers:
  - image: guangzhengli/hellok8s:%s
    name: hellok8s-container
    env:
    - name: %s
      valueFrom:
        %s:
          name: %s
          key: %s
`, tag, variable, from, source, variable)
}

// deploymentYAML is the course's Deployment; probe is a line of its container.
func deploymentYAML(replicas int, tag, strategy, probe string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hellok8s-deployment
spec:
  replicas: %d%s
  selector:
    matchLabels:
      app: hellok8s
  template:
    metadata:
      labels:
        app: hellok8s
    spec:
      containers:
      - image: guangzhengli/hellok8s:%s
        name: hellok8s-container
        %s
`, replicas, strategy, tag, probe)
}

func serviceYAML(name, kind, app, port string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata:
  name: %s
spec:
  type: %s
  selector:
    app: %s
  ports:
  - {%s}
`, name, kind, app, port)
}

func jobYAML(name, script string) string {
	return fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata:
  name: %s
spec:
  completions: 5
  parallelism: 3
  template:
    spec:
      containers:
      - name: echo
        image: busybox
        command: ["/bin/sh", "-c", %q]
      restartPolicy: OnFailure
`, name, script)
}

// revisions reports whether kubectl rollout history lists just these.
func revisions(history string, wanted ...string) bool {
	var found []string
	for _, row := range regexp.MustCompile(`(?m)^(\d+) `).FindAllStringSubmatch(history, -1) {
		found = append(found, row[1])
	}
	return slices.Equal(found, wanted)
}

// rollsWithin watches a rollout to its end: never fewer pods Ready than least, never more pods than most.
func (l *lab) rollsWithin(least, most int) {
	l.Helper()
	eventually(l, "the Deployment has rolled out", func() bool {
		pods := l.kubectl("", "get", "pods", "-l", "app=hellok8s", "-o",
			`jsonpath={range .items[*]}{.metadata.deletionTimestamp}|{.status.conditions[?(@.type=="Ready")].status}|{.spec.containers[0].image}{"\n"}{end}`)
		there := regexp.MustCompile(`(?m)^\|.*$`).FindAllString(pods, -1)
		ready := strings.Count(pods, "|True|") // one on its way out serves until it is gone
		if len(there) > most || ready < least {
			l.Errorf("while it rolls, the pods are\n%s", pods)
		}
		return len(there) == 3 && strings.Count(pods, "|True|guangzhengli/hellok8s:v2") == 3
	})
}

// curlsFromTheNginxPod does what the course does to show how a Service shares requests out.
func (l *lab) curlsFromTheNginxPod() {
	l.Helper()
	hosts := map[string]bool{}
	eventually(l, "answers from two pods", func() bool {
		hosts[l.kubectl("", "exec", "nginx", "--", "curl", "-s", "http://service-hellok8s-clusterip:3000")] = true
		return len(hosts) > 1
	})
	for answered := range hosts {
		if !answer.MatchString(answered) {
			l.Errorf("curl answers %q", answered)
		}
	}
}

// checked is what `lab check -o json` says.
type checked struct {
	Step   string
	Passed bool
	Rows   []struct {
		Subject, Have, Expected, Why, Next string
		Met                                bool
	}
}

// checkStep runs `lab check`, which has to end with status 0 or 3, whichever its result is.
func (l *lab) checkStep(step string) checked {
	l.Helper()
	done := l.run("lab", "check", step, "-o", "json")
	var found checked
	l.check(json.Unmarshal([]byte(done.stdout), &found))
	if (done.status == 0) != found.Passed || done.status != 0 && done.status != 3 || found.Step != step {
		l.Errorf("lab check %s ended with status %d and says %+v", step, done.status, found)
	}
	for _, row := range found.Rows {
		if row.Subject == "" || row.Have == "" || row.Expected == "" || !row.Met && row.Next == "" {
			l.Errorf("lab check %s: a row lacks a word: %+v", step, row)
		}
	}
	return found
}

// eventuallyPasses waits until the check of a step passes, as it does for a reader who leaves it running.
func (l *lab) eventuallyPasses(step string) {
	l.Helper()
	l.watch(step).until(step, true)
}

// watching is a `lab check --watch` that runs.
type watching struct {
	*lab
	command *exec.Cmd
	rows    *json.Decoder
	// said is its stderr, once it has ended.
	said *bytes.Buffer
}

// watch runs `lab check --watch`, at most until the test's end.
func (l *lab) watch(what string) *watching {
	l.Helper()
	command := l.command("lab", "check", what, "--watch", "-o", "json")
	said := &bytes.Buffer{}
	command.Stderr = said
	output, err := command.StdoutPipe()
	l.check(err)
	l.check(command.Start())
	deadline := time.AfterFunc(2*time.Minute, func() { command.Process.Kill() })
	l.Cleanup(func() {
		deadline.Stop()
		command.Process.Kill()
		command.Wait()
	})
	return &watching{l, command, json.NewDecoder(output), said}
}

// until waits for what the check says of a step.
func (w *watching) until(step string, passed bool) {
	w.Helper()
	for last := (checked{}); ; {
		var found checked
		if err := w.rows.Decode(&found); err != nil {
			w.Fatalf("%s is not passed=%v within two minutes: %v; %+v", step, passed, err, last.Rows)
		}
		if last = found; found.Step == step && found.Passed == passed {
			return
		}
	}
}

// TestChapters walks the course's table: every step's check fails on the state before it, passes when the step was done by
// hand, and passes after hellolab has done it.
func TestChapters(t *testing.T) {
	t.Parallel()
	l := newLab(t, "e2e-chapters", nil)
	l.must("up", "--no-images")

	var listed []struct{ Steps []struct{ ID string } }
	l.check(json.Unmarshal([]byte(l.must("lab", "list", "-o", "json").stdout), &listed))
	var steps, tested []string
	for _, chapter := range listed {
		for _, step := range chapter.Steps {
			steps = append(steps, step.ID)
		}
	}
	for _, lesson := range lessons() {
		tested = append(tested, lesson.step)
	}
	if !slices.Equal(steps, tested) {
		t.Fatalf("hellolab has the steps %s, and the course %s", steps, tested)
	}

	for _, lesson := range lessons() {
		t.Run(lesson.step, func(t *testing.T) {
			l := l.in(t)
			l.must("lab", lesson.step, "--before")
			if before := l.checkStep(lesson.step); before.Passed {
				l.Errorf("the check passes before the step: %+v", before.Rows)
			}
			lesson.byHand(l)
			l.eventuallyPasses(lesson.step)
			l.must("lab", lesson.step)
			if after := l.checkStep(lesson.step); !after.Passed {
				l.Errorf("the check does not pass after the step: %+v", after.Rows)
			}
			if lesson.after != nil {
				lesson.after(l)
			}
		})
	}
	if t.Failed() {
		return
	}

	t.Run("list", func(t *testing.T) {
		l := l.in(t)
		list := l.must("lab", "list").stdout
		if strings.Count(list, "✓") != len(steps) || !strings.Contains(list, "installed") {
			l.Errorf("lab list prints\n%s", list)
		}
	})
	t.Run("the documented course", func(t *testing.T) { l.in(t).takesAnotherCourse() })
	t.Run("causes", func(t *testing.T) { l.in(t).namesTheCauses() })
	t.Run("a reader's own objects", func(t *testing.T) { l.in(t).keepsTheReadersObjects() })
	t.Run("watch", func(t *testing.T) { l.in(t).watches() })
	t.Run("killed and twice", func(t *testing.T) { l.in(t).repairsAnInterruptedInstallation() })
	t.Run("save and restore", func(t *testing.T) { l.in(t).savesAndRestores() })
}

// rollsBackAsTheCourseSays holds the revisions after deployment/rollback to what the course goes on with.
func (l *lab) rollsBackAsTheCourseSays() {
	l.Helper()
	if history := l.kubectl("", "rollout", "history", "deployment", "hellok8s-deployment"); !revisions(history, "2", "3") {
		l.Errorf("after the rollback the history is\n%s", history)
	}
	l.kubectl("", "rollout", "undo", "deployment", "hellok8s-deployment", "--to-revision=2")
	l.kubectl("", "rollout", "status", "deployment", "hellok8s-deployment")
	if image := l.kubectl("", "get", "deployment", "hellok8s-deployment", "-o", "jsonpath={.spec.template.spec.containers[0].image}"); image != "guangzhengli/hellok8s:v2" {
		l.Errorf("undo --to-revision=2 leads to %s", image)
	}
	if history := l.kubectl("", "rollout", "history", "deployment", "hellok8s-deployment"); !revisions(history, "3", "4") {
		l.Errorf("after undo --to-revision=2 the history is\n%s", history)
	}
}

// takesAnotherCourse runs the course that docs/courses.md shows.
func (l *lab) takesAnotherCourse() {
	documentation, err := os.ReadFile(filepath.Join("..", "docs", "courses.md"))
	l.check(err)
	folder := filepath.Join(l.folder, "mine")
	files := regexp.MustCompile("(?s)`mine/([^`]+)`[^\\n]*:\\n\\n```yaml\\n(.*?)```").FindAllStringSubmatch(string(documentation), -1)
	if len(files) != 3 {
		l.Fatalf("docs/courses.md has %d files", len(files))
	}
	for _, file := range files {
		name := filepath.Join(folder, filepath.FromSlash(file[1]))
		l.check(os.MkdirAll(filepath.Dir(name), 0o755))
		l.check(os.WriteFile(name, []byte(file[2]), 0o600))
	}
	l.must("lab", "namespace") // leaves objects in namespaces that this course does not know
	if list := l.must("lab", "list", "--course", folder).stdout; !strings.Contains(list, "first/web") {
		l.Errorf("lab list prints\n%s", list)
	}
	if done := l.run("lab", "check", "first/web", "--course", folder); done.status != 3 {
		l.Errorf("before the step the check ends with status %d", done.status)
	}
	l.must("lab", "first/web", "--course", folder)
	l.must("lab", "check", "--course", folder)
	if code, body := get(l.status().NodePort); code != 200 || !strings.Contains(body, "nginx") {
		l.Errorf("NodePort 30000 answers %d %s", code, body)
	}
	if objects := l.snapshot(); strings.Contains(objects, "hellok8s") || strings.Contains(objects, "Namespace/dev") {
		l.Errorf("of the chapter before there is still\n%s", objects)
	}
	l.check(os.WriteFile(filepath.Join(folder, "first", "lab.yaml"), []byte("title: {en: a}\nstep: []\n"), 0o600))
	l.fails(2, []string{"lab", "first/web", "--course", folder}, filepath.Join(folder, "first", "lab.yaml")+", line 2:")
}

// namesTheCauses breaks what a step leaves in the ways that readers do, and reads what the check says of it.
func (l *lab) namesTheCauses() {
	for _, wrong := range []struct {
		name, step, state string // state is what is installed first, where that is not step itself
		harm              func(l *lab)
		says              []string
	}{
		{"wrong selector", "service/clusterip", "", func(l *lab) {
			l.kubectl("", "set", "selector", "service", "service-hellok8s-clusterip", "app=hello")
		}, []string{
			"the selector app=hello of service service-hellok8s-clusterip matches no pod; the pods there have app=hellok8s, app=nginx",
			"kubectl set selector service service-hellok8s-clusterip app=hellok8s"}},
		{"wrong targetPort", "service/clusterip", "", func(l *lab) {
			l.kubectl(serviceYAML("service-hellok8s-clusterip", "ClusterIP", "hellok8s", "port: 3000, targetPort: 3001"), "apply", "-f", "-")
		}, []string{
			"service service-hellok8s-clusterip sends requests to port 3001 of its pods (targetPort), and nothing listens there; they listen on 3000",
			"kubectl edit service service-hellok8s-clusterip"}},
		{"wrong image tag", "deployment/upgrade", "", func(l *lab) {
			l.kubectl("", "set", "image", "deployment/hellok8s-deployment", "hellok8s-container=guangzhengli/hellok8s:v22")
		}, []string{
			"its container runs the image guangzhengli/hellok8s:v22", "cannot pull guangzhengli/hellok8s:v22: the registry",
			"has no such image", "kubectl set image deployment/hellok8s-deployment hellok8s-container=guangzhengli/hellok8s:v2"}},
		{"missing ConfigMap key", "configmap/per-namespace", "", func(l *lab) {
			l.kubectl("", "patch", "configmap", "hellok8s-config", "-n", "dev", "--type=json", "-p", `[{"op":"move","from":"/data/DB_URL","path":"/data/DB_URI"}]`)
			l.kubectl("", "delete", "pod", "hellok8s-pod", "-n", "dev")
			l.kubectl(envPodYAML("v4", "DB_URL", "configMapKeyRef", "hellok8s-config"), "apply", "-n", "dev", "-f", "-")
		}, []string{
			"the key DB_URL is missing; the keys that are there: DB_URI",
			"pod hellok8s-pod cannot start: its configmap hellok8s-config has no key DB_URL", "kubectl edit configmap hellok8s-config -n dev"}},
		{"too few replicas", "deployment/scale", "", func(l *lab) {
			l.kubectl("", "scale", "deployment", "hellok8s-deployment", "--replicas=2")
		}, []string{"it asks for 2 pods", "kubectl scale deployment/hellok8s-deployment --replicas=3"}},
		{"wrong probe path", "deployment/liveness", "deployment/rolling-update", func(l *lab) {
			l.kubectl(deploymentYAML(3, "liveness", rolling, "livenessProbe: {httpGet: {path: /health, port: 3000}, initialDelaySeconds: 3, periodSeconds: 3}"), "apply", "-f", "-")
		}, []string{"the livenessProbe has path /health, not /healthz", "kubectl edit deployment/hellok8s-deployment"}},
		{"Ingress on the wrong port", "ingress/routes", "", func(l *lab) {
			l.kubectl(strings.Replace(ingress, "number: 3000", "number: 3001", 1), "apply", "-f", "-")
		}, []string{
			"ingress hello-ingress sends /hello to port 3001 of service service-hellok8s-clusterip, which has port 3000 only",
			"kubectl edit ingress hello-ingress"}},
		{"Job that fails", "job/job", "", func(l *lab) {
			l.kubectl("", "delete", "job", "hello-job")
			l.kubectl(jobYAML("hello-job", "echo 9; echo no more fingers; exit 3"), "apply", "-f", "-")
		}, []string{"the container echo of pod hello-job-", "ended with status 3; its last words: no more fingers", "kubectl logs hello-job-"}},
	} {
		l.Run(wrong.name, func(t *testing.T) {
			l := l.in(t)
			state := wrong.state
			if state == "" {
				state = wrong.step
			}
			l.must("lab", state)
			wrong.harm(l)
			l.namesTheCause(wrong.step, wrong.says...)
		})
	}
}

// keepsTheReadersObjects holds that nothing of the reader's goes unless it is in the way, and then into a file.
func (l *lab) keepsTheReadersObjects() {
	l.must("lab", "reset")
	l.kubectl(deploymentYAML(2, "v1", "", ""), "apply", "-f", "-") // in the way by its name
	l.kubectl("", "create", "configmap", "notes", "--from-literal=a=b")
	l.kubectl(podYAML("taken-for-ours", "one", "nginx", "app: hellok8s"), "apply", "-f", "-")
	l.kubectl(serviceYAML("mine", "NodePort", "other", "port: 80, nodePort: 30000"), "apply", "-f", "-")
	done := l.must("lab", "service")
	for _, name := range []string{"deployment/hellok8s-deployment", "pod/taken-for-ours", "service/mine"} {
		if !strings.Contains(done.stderr, name) {
			l.Errorf("%s went without a word", name)
		}
	}
	if strings.Contains(done.stderr, "notes") {
		l.Errorf("a ConfigMap that is in nobody's way is gone: %s", done.stderr)
	}
	l.kubectl("", "get", "configmap", "notes")
	file := regexp.MustCompile(`kept in (\S+)`).FindStringSubmatch(done.stderr)
	if file == nil {
		l.Fatal("it does not say where they are kept")
	}
	content, err := os.ReadFile(file[1])
	l.check(err)
	l.must("lab", "reset")
	if left := l.kubectl("", "get", "configmap,pod,deployment,service", "-o", "name"); left != "configmap/kube-root-ca.crt\nservice/kubernetes\n" {
		l.Errorf("after reset there is\n%s", left)
	}
	l.kubectl(string(content), "apply", "-f", "-")
	if back := l.kubectl("", "get", "deployment,pod,service", "-o", "name"); !strings.Contains(back, "pod/taken-for-ours") || !strings.Contains(back, "service/mine") {
		l.Errorf("kubectl apply of the file brings back\n%s", back)
	}

	l.must("lab", "namespace")
	l.kubectl("", "create", "configmap", "mine", "-n", "dev")
	if done := l.must("lab", "pod"); !strings.Contains(done.stderr, "the namespace dev stays") {
		l.Error("it does not say that dev stays")
	}
	l.kubectl("", "get", "configmap", "mine", "-n", "dev")
	l.must("lab", "reset")
	if namespaces := l.kubectl("", "get", "namespaces", "-o", "name"); strings.Contains(namespaces, "/dev") || strings.Contains(namespaces, "/test") {
		l.Errorf("after reset there are\n%s", namespaces)
	}
}

// watches holds that `check --watch` follows the reader through a chapter.
func (l *lab) watches() {
	l.must("lab", "reset")
	w := l.watch("pod")
	w.until("pod/nginx", false)
	l.kubectl(podYAML("nginx-pod", "nginx-container", "nginx", ""), "apply", "-f", "-")
	w.until("pod/nginx", true)
	w.until("pod/hellok8s", false)
	l.kubectl(podYAML("hellok8s", "hellok8s-container", "guangzhengli/hellok8s:v1", ""), "apply", "-f", "-")
	w.until("pod/hellok8s", true)
	l.check(w.command.Wait())
}

// repairsAnInterruptedInstallation kills an installation half-way, and runs two at once.
func (l *lab) repairsAnInterruptedInstallation() {
	l.must("lab", "reset")
	killed := l.command("lab", "service")
	l.check(killed.Start())
	eventually(l, "the Deployment is there", func() bool {
		return l.kubectl("", "get", "deployments", "-o", "name") != ""
	})
	l.fails(1, []string{"lab", "pod"}, "another hellolab is working on the lab "+l.name)
	l.check(killed.Process.Kill())
	killed.Wait()
	if list := l.must("lab", "list").stdout; !strings.Contains(list, "interrupted") {
		l.Errorf("lab list prints\n%s", list)
	}
	l.must("lab", "pod")
	if objects := l.snapshot(); strings.Contains(objects, "hellok8s-deployment") {
		l.Errorf("after pod there is\n%s", objects)
	}
	if !l.checkStep("pod/hellok8s").Passed {
		l.Error("pod/hellok8s does not pass")
	}
}

// snapshot names all objects in the course's namespaces, without what is chosen at random and what is on its way out.
func (l *lab) snapshot() string {
	l.Helper()
	const name = `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.deletionTimestamp}{"\n"}{end}`
	var all []string
	add := func(found, namespace string) {
		for _, line := range strings.Split(strings.TrimSpace(found), "\n") {
			object, leaving, _ := strings.Cut(line, " ")
			if object != "" && leaving == "" && !strings.Contains(object, "hello-cronjob-") { // a minute has passed
				all = append(all, namespace+" "+regexp.MustCompile(`-[a-z0-9]{5}$`).ReplaceAllString(object, "-X"))
			}
		}
	}
	for _, namespace := range []string{"default", "dev", "test"} {
		add(l.kubectl("", "get", "all,configmap,secret,ingress,pvc,serviceaccount,role,rolebinding", "-n", namespace, "-o", name), namespace)
	}
	add(l.kubectl("", "get", "namespaces", "-o", name), "")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// savesAndRestores takes a lab with revisions, a Secret and a ConfigMap away and brings it back in another cluster.
func (l *lab) savesAndRestores() {
	l.must("lab", "reset")
	l.must("images", "build", "v4")
	l.must("lab", "deployment/rollback")
	l.kubectl("", "create", "secret", "generic", "hellok8s-secret", "--from-literal=DB_PASSWORD=db_password\n")
	l.kubectl("", "create", "namespace", "dev")
	l.kubectl("", "create", "configmap", "hellok8s-config", "-n", "dev", "--from-literal=DB_URL=http://DB_ADDRESS_DEV")
	l.kubectl(envPodYAML("v4", "DB_URL", "configMapKeyRef", "hellok8s-config"), "apply", "-n", "dev", "-f", "-")
	l.kubectl("", "wait", "--for=condition=ready", "pod/hellok8s-pod", "-n", "dev", "--timeout=60s")
	before, history := l.snapshot(), l.history()
	file := filepath.Join(l.folder, "saved.yaml")
	l.must("lab", "save", file)
	l.fails(2, []string{"lab", "save", file}, "is there already", "--force")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		l.Errorf("others may read the file: %v, %v", info.Mode(), err)
	}
	content, err := os.ReadFile(file)
	l.check(err)
	for name, change := range map[string]func(string) string{
		"damaged": func(s string) string { return strings.Replace(s, "DB_ADDRESS_DEV", "DB_ADDRESS_DEX", 1) },
		"cut":     func(s string) string { return s[:len(s)-100] },
		"foreign": func(string) string { return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" },
	} {
		wrong := filepath.Join(l.folder, name+".yaml")
		l.check(os.WriteFile(wrong, []byte(change(string(content))), 0o600))
		l.fails(2, []string{"lab", "restore", wrong}, wrong)
	}
	if now := l.snapshot(); now != before {
		l.Errorf("a file that was refused has changed\n%s\nto\n%s", before, now)
	}

	l.must("down")
	l.must("up", "--no-images")
	l.must("lab", "restore", file)
	l.settlesTo(before)
	if again := l.history(); again != history {
		l.Errorf("the history was\n%s\nand is\n%s", history, again)
	}
	if !l.checkStep("deployment/rollback").Passed {
		l.Error("deployment/rollback does not pass")
	}
	if secret := l.kubectl("", "get", "secret", "hellok8s-secret", "-o", "jsonpath={.data.DB_PASSWORD}"); secret != "ZGJfcGFzc3dvcmQK" {
		l.Errorf("the Secret is %q", secret)
	}
	l.rollsBackAsTheCourseSays()
	l.must("lab", "restore", file) // on the same lab
	if again := l.history(); again != history {
		l.Errorf("on the same lab, the history was\n%s\nand is\n%s", history, again)
	}
}

// settlesTo waits until there are these objects and no others.
func (l *lab) settlesTo(want string) {
	l.Helper()
	var found string
	deadline := time.Now().Add(time.Minute)
	for found = l.snapshot(); found != want; found = l.snapshot() {
		if time.Now().After(deadline) {
			l.Fatalf("not within a minute: the objects\n%s\nThere are\n%s", want, found)
		}
	}
}

// history is every revision of the Deployment, with its image.
func (l *lab) history() string {
	l.Helper()
	var all []string
	for _, set := range strings.Fields(l.kubectl("", "get", "replicasets", "-l", "app=hellok8s", "-o",
		`jsonpath={range .items[*]}{.metadata.annotations.deployment\.kubernetes\.io/revision}={.spec.template.spec.containers[0].image}={.spec.replicas}{"\n"}{end}`)) {
		all = append(all, set)
	}
	slices.Sort(all)
	return strings.Join(all, "\n") + "\n" + l.kubectl("", "rollout", "history", "deployment", "hellok8s-deployment")
}

// TestChapterPairs goes from every chapter's end to every other's, in one walk, and finds just the objects that the chapter
// leaves in an empty lab.
func TestChapterPairs(t *testing.T) {
	if os.Getenv("LONG") == "" {
		t.Skip("a long walk: make test-long")
	}
	l := newLab(t, "e2e-pairs", nil)
	l.must("up")
	var chapters []string
	for _, lesson := range lessons() {
		if chapter, _, _ := strings.Cut(lesson.step, "/"); !slices.Contains(chapters, chapter) {
			chapters = append(chapters, chapter)
		}
	}
	alone := map[string]string{}
	for _, chapter := range chapters {
		l.must("lab", "reset")
		l.must("lab", chapter)
		alone[chapter] = l.snapshot()
	}
	walk := everyPair(chapters)
	l.must("lab", walk[0])
	for i, chapter := range walk[1:] {
		took := l.must("lab", chapter).took
		found := l.snapshot()
		for deadline := time.Now().Add(time.Minute); found != alone[chapter] && time.Now().Before(deadline); { // pods that are on their way out
			found = l.snapshot()
		}
		t.Logf("| %s | %s | %.1f s | %v |", walk[i], chapter, took.Seconds(), found == alone[chapter])
		if found != alone[chapter] {
			t.Errorf("from %s to %s leaves\n%s\nand not\n%s", walk[i], chapter, found, alone[chapter])
		}
	}
}

// everyPair is a walk that goes from each name to each other one just once: an Eulerian circuit.
func everyPair(names []string) []string {
	left := map[string][]string{}
	for _, from := range names {
		for _, to := range names {
			if from != to {
				left[from] = append(left[from], to)
			}
		}
	}
	var walk []string
	stack := []string{names[0]}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		if next := left[at]; len(next) > 0 {
			left[at] = next[1:]
			stack = append(stack, next[0])
			continue
		}
		walk = append(walk, at)
		stack = stack[:len(stack)-1]
	}
	slices.Reverse(walk)
	return walk
}
