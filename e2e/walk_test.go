//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A lesson is a step of the course.
type lesson struct {
	step string
	// byHand is what a reader types and writes to do the step after the one before, with mistakes on the way. What the check
	// says of a mistake is typed as it stands.
	byHand func(l *lab)
	// after looks at what hellolab made of the step, beside its check.
	after func(l *lab)
}

func (s lesson) chapter() string { return strings.Split(s.step, "/")[0] }

// The course's steps, in its order. TestCourse holds that hellolab has these and no others.
func lessons() []lesson {
	return append([]lesson{
		{step: "container/build-run-push", byHand: func(l *lab) { l.pushImage("v1", "[v1] Hello, Kubernetes!") }},
		{step: "pod/nginx", byHand: func(l *lab) { l.apply(podYAML("nginx-pod", "nginx-container", "nginx", "")) }},
		{step: "pod/hellok8s", byHand: func(l *lab) {
			l.apply(podYAML("hellok8s", "hellok8s-container", "guangzhengli/hellok8s:v1", ""))
		}},
		{step: "deployment/create", byHand: func(l *lab) {
			l.kubectl("", "delete", "pod", "nginx-pod", "hellok8s", "--ignore-not-found", "--wait=false")
			l.apply(deploymentYAML(1, "v1", "", ""))
			l.kubectl("", "rollout", "status", "deployment", "hellok8s-deployment")
			l.kubectl("", "delete", "pod", "-l", "app=hellok8s")
		}},
		{step: "deployment/scale", byHand: func(l *lab) {
			l.apply(deploymentYAML(2, "v1", "", ""))
			l.shell(l.told("deployment/scale", words{`\b2\b`}, `kubectl scale .*--replicas=3`))
		}},
		{step: "deployment/upgrade", byHand: func(l *lab) {
			l.must("images", "build") // the lab began without
			l.kubectl("", "set", "image", "deployment/hellok8s-deployment", "hellok8s-container=guangzhengli/hellok8s:v2")
		}},
		{step: "deployment/rollback", byHand: func(l *lab) {
			if history := l.kubectl("", "rollout", "history", "deployment", "hellok8s-deployment"); !revisions(history, "1", "2") {
				l.Errorf("before the rollback the history is\n%s", history)
			}
			l.kubectl("", "rollout", "undo", "deployment", "hellok8s-deployment")
		}, after: (*lab).rollsBackAsTheCourseSays},
		{step: "deployment/rolling-update", byHand: func(l *lab) {
			l.apply(deploymentYAML(3, "v22", rolling, ""))
			correct := l.told("deployment/rolling-update", words{"hellok8s:v22", "registry"}, `kubectl set image .*hellok8s:v2$`)
			l.shell(correct)
			l.rollsWithin(2, 4)
		}},
		{step: "deployment/liveness", byHand: func(l *lab) {
			l.apply(deploymentYAML(3, "liveness", rolling, strings.Replace(livenessProbe, "/healthz", "/health", 1)))
			correct := l.told("deployment/liveness", words{"livenessProbe", `/health\b`, "/healthz"}, `kubectl edit deployment`)
			l.shell(correct, "KUBE_EDITOR=sed -i s,/health$,/healthz,")
		}},
		{step: "deployment/readiness", byHand: func(l *lab) {
			l.kubectl("", "rollout", "undo", "deployment", "hellok8s-deployment", "--to-revision="+l.revisionOf("v2"))
			l.kubectl("", "rollout", "status", "deployment", "hellok8s-deployment")
			l.apply(deploymentYAML(3, "bad", rolling, readinessProbe))
		}},
		{step: "service/clusterip", byHand: func(l *lab) {
			l.apply(deploymentYAML(3, "v3", "", ""), podYAML("nginx", "nginx-container", "nginx", "app: nginx"),
				serviceYAML("service-hellok8s-clusterip", "ClusterIP", "hello", "port: 3000, targetPort: 3001"))
			l.kubectl("", "rollout", "status", "deployment", "hellok8s-deployment")
			l.shell(l.told("service/clusterip", words{"service-hellok8s-clusterip", `app=hello\b`, "app=nginx"},
				`kubectl set selector .*app=hellok8s$`))
			correct := l.told("service/clusterip", words{"service-hellok8s-clusterip", `\b3001\b`, `\b3000\b`}, `kubectl edit service`)
			l.shell(correct, "KUBE_EDITOR=sed -i s/3001/3000/")
		}},
		{step: "service/nodeport", byHand: func(l *lab) {
			l.curlsFromTheNginxPod()
			l.apply(serviceYAML("service-hellok8s-nodeport", "NodePort", "hellok8s", "port: 3000, nodePort: 30000"))
		}},
		{step: "service/loadbalancer", byHand: func(l *lab) {
			l.apply(serviceYAML("service-hellok8s-loadbalancer", "LoadBalancer", "hellok8s", "port: 3000, targetPort: 3000"))
			l.told("service/loadbalancer", words{"<pending>"}, `hellolab (.* )?tunnel`)
			l.tunnel() // in the reader's other terminal, to the subtest's end
		}},
		{step: "ingress/controller", byHand: func(l *lab) {
			l.kubectl("", "delete", "deployment,service,pod", "--all", "--wait=false")
		}},
		{step: "ingress/routes", byHand: func(l *lab) {
			l.apply(deploymentYAML(3, "v3", "", ""), serviceYAML("service-hellok8s-clusterip", "ClusterIP", "hellok8s", "port: 3000"),
				nginxYAML("nginx-deployment", "nginx", 2), serviceYAML("service-nginx-clusterip", "ClusterIP", "nginx", "port: 4000, targetPort: 80"),
				strings.Replace(ingressYAML, "number: 3000", "number: 3001", 1))
			correct := l.told("ingress/routes", words{"hello-ingress", `\b3001\b`, "service-hellok8s-clusterip", `\b3000\b`}, `kubectl edit ingress`)
			l.shell(correct, "KUBE_EDITOR=sed -i s/3001/3000/")
		}},
		{step: "namespace/create", byHand: func(l *lab) {
			l.kubectl("", "create", "namespace", "dev")
			l.kubectl("", "create", "namespace", "test")
			l.kubectl(deploymentYAML(3, "v3", "", ""), "apply", "-n", "dev", "-f", "-")
		}},
		{step: "configmap/per-namespace", byHand: func(l *lab) {
			l.kubectl("", "delete", "deployment,service,ingress,pod", "--all", "--wait=false")
			l.kubectl("", "delete", "deployment", "hellok8s-deployment", "-n", "dev", "--ignore-not-found")
			for namespace, key := range map[string]string{"dev": "DB_URI", "test": "DB_URL"} {
				l.kubectl("", "create", "configmap", "hellok8s-config", "-n", namespace, "--from-literal="+key+"=http://DB_ADDRESS_"+strings.ToUpper(namespace))
				l.kubectl(envPodYAML("v4", "DB_URL", "configMapKeyRef", "hellok8s-config"), "apply", "-n", namespace, "-f", "-")
			}
			correct := l.told("configmap/per-namespace", words{"DB_URL", "DB_URI", "hellok8s-pod", "hellok8s-config"}, `kubectl edit configmap`)
			l.shell(correct, "KUBE_EDITOR=sed -i s/DB_URI/DB_URL/")
			l.kubectl("", "delete", "pod", "hellok8s-pod", "-n", "dev", "--now")
			l.kubectl(envPodYAML("v4", "DB_URL", "configMapKeyRef", "hellok8s-config"), "apply", "-n", "dev", "-f", "-")
		}},
		{step: "secret/password", byHand: func(l *lab) {
			l.kubectl("", "create", "secret", "generic", "hellok8s-secret", "--from-literal=DB_PASSWORD=db_password") // without the newline
			l.apply(envPodYAML("v5", "DB_PASSWORD", "secretKeyRef", "hellok8s-secret"))
		}},
		{step: "job/job", byHand: func(l *lab) {
			l.apply(jobYAML("hello-job", "echo 9; echo no more fingers; exit 3"))
			look := l.told("job/job", words{"hello-job-", `\b3\b`, "no more fingers"}, `kubectl logs`)
			eventually(l, "the pod's log can be read", func() bool { return strings.Contains(l.shell(look+" || true"), "no more fingers") })
			l.kubectl("", "delete", "job", "hello-job")
			l.apply(jobYAML("hello-job", countdown))
		}},
		{step: "job/cronjob", byHand: func(l *lab) { l.apply(cronJobYAML) }},
	}, append(helmLessons(),
		lesson{step: "dashboard/web", byHand: func(l *lab) {
			l.must("lab", "dashboard/web", "--before") // as the guide says
			l.shell(l.told("dashboard/web", words{`\b3\b`, `\b5\b`}, `kubectl scale .*--replicas=5`))
		}},
		lesson{step: "dashboard/k9s", byHand: func(l *lab) {
			l.shell("kubectl delete $(kubectl get pods -l app=hellok8s -o name | head -n 1)")
		}})...)
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
		curl := l.command("--name", l.name, "kubectl", "exec", "nginx", "--", "curl", "-s", "http://service-hellok8s-clusterip:3000")
		if answered, err := curl.Output(); err == nil { // kube-proxy may be a moment behind the endpoints
			hosts[string(answered)] = true
		}
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

// told waits until the check of a step says all of these of what is not met, with a command that matches next, and returns
// that command, to be typed as it stands.
func (l *lab) told(step string, wanted words, next string) string {
	l.Helper()
	quiet := l.in(l.T)
	quiet.silent = true
	var said, command string
	defer func() {
		if l.Failed() {
			l.Logf("lab check %s says\n%s", step, said)
		}
	}()
	eventually(l, "the check names the cause", func() bool {
		said, command = "", ""
		for _, row := range quiet.checkStep(step).Rows {
			if row.Met {
				continue
			}
			said += strings.Join([]string{row.Subject, row.Have, row.Expected, row.Why, row.Next}, "; ") + "\n"
			if regexp.MustCompile(next).MatchString(row.Next) {
				command = row.Next
			}
		}
		return command != "" && wanted.missingIn(said) == ""
	})
	return command
}

// watching is a `lab check --watch` that runs.
type watching struct {
	*lab
	command  *exec.Cmd
	rows     *json.Decoder
	deadline *time.Timer
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
	deadline := time.AfterFunc(patience, func() { command.Process.Kill() })
	l.Cleanup(func() {
		deadline.Stop()
		command.Process.Kill()
		command.Wait()
	})
	return &watching{l, command, json.NewDecoder(output), deadline, said}
}

// until waits for what the check says of a step.
func (w *watching) until(step string, passed bool) {
	w.Helper()
	w.deadline.Reset(patience)
	for last := (checked{}); ; {
		var found checked
		if err := w.rows.Decode(&found); err != nil {
			w.Fatalf("%s is not passed=%v within %s: %v; %+v", step, passed, patience, err, last.Rows)
		}
		if last = found; found.Step == step && found.Passed == passed {
			return
		}
	}
}

// in is what is watched, in a subtest.
func (w *watching) in(t *testing.T) *watching {
	inner := *w
	inner.lab = w.lab.in(t)
	return &inner
}

// TestCourse walks the course as a reader does, from its first step to its last: with the chapter's check in another
// terminal, which fails before each step and passes when it was done by hand. At a chapter's end hellolab makes it, too,
// and the reader goes on from there. Then what readers do besides.
func TestCourse(t *testing.T) {
	l := newLab(t, "e2e-course", nil)
	l.upTraced()
	l.hasTheLessons()

	reached := "" // the last step that was done
	for _, chapter := range chapters() {
		t.Run(chapter, func(t *testing.T) {
			if steps := lessonsOf(chapter); reached != before(steps[0].step) { // one was left out, or has failed
				l.in(t).must("lab", steps[0].step, "--before")
			}
			reached = l.in(t).walks(chapter)
		})
	}
	if t.Failed() {
		return
	}
	for _, part := range []struct {
		name string
		do   func(l *lab)
	}{
		{"list", (*lab).listsAllAsPassed},
		{"the documented course", (*lab).takesAnotherCourse},
		{"a reader's own objects", (*lab).keepsTheReadersObjects},
		{"killed and twice", (*lab).repairsAnInterruptedInstallation},
		{"what the documents name", (*lab).runsWhatDocumentsName},
		{"kubectl", (*lab).isKubectl},
		{"tunnel", (*lab).tunnels},
		{"dashboard", (*lab).showsTheDashboard},
		{"ip", (*lab).printsItsAddress},
		{"images env", (*lab).pushesWithImagesEnv},
		{"marks", (*lab).marksFall},
		{"practice", (*lab).practisesOnce},
		{"save and restore", (*lab).savesAndRestores},
	} {
		t.Run(part.name, func(t *testing.T) { part.do(l.in(t)) })
	}
}

// chapters are the course's, in its order.
func chapters() []string {
	var all []string
	for _, lesson := range lessons() {
		all = append(all, lesson.chapter())
	}
	return slices.Compact(all)
}

func lessonsOf(chapter string) []lesson {
	return slices.DeleteFunc(lessons(), func(l lesson) bool { return l.chapter() != chapter })
}

// before is the step before another, or "".
func before(step string) string {
	last := ""
	for _, lesson := range lessons() {
		if lesson.step == step {
			break
		}
		last = lesson.step
	}
	return last
}

// hasTheLessons holds that hellolab has the steps that are tested here.
func (l *lab) hasTheLessons() {
	l.Helper()
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
		l.Fatalf("hellolab has the steps %s, and the course %s", steps, tested)
	}
}

// walks does a chapter by hand, then with hellolab, and returns the last step that was done.
func (l *lab) walks(chapter string) (reached string) {
	w := l.watch(chapter)
	steps := lessonsOf(chapter)
	for i, lesson := range steps {
		_, name, _ := strings.Cut(lesson.step, "/")
		done := l.Run(name, func(t *testing.T) {
			l, w := l.in(t), w.in(t)
			w.until(lesson.step, false)
			lesson.byHand(l)
			w.until(lesson.step, true)
			if i < len(steps)-1 {
				return
			}
			l.check(w.command.Wait())
			l.must("lab", chapter)
			if after := l.checkStep(lesson.step); !after.Passed {
				l.Errorf("the check does not pass after hellolab lab %s: %+v", chapter, after.Rows)
			}
			if lesson.after != nil {
				lesson.after(l)
			}
		})
		if !done {
			return reached
		}
		reached = lesson.step
	}
	return reached
}

// TestSteps has hellolab make the state before and after every step: its check fails before, and passes when the step was
// done by hand from there, and when hellolab has done it.
func TestSteps(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-steps", nil)
	l.must("up", "--no-images")
	for _, lesson := range lessons() {
		t.Run(lesson.step, func(t *testing.T) {
			l := l.in(t)
			l.must("lab", lesson.step, "--before")
			if before := l.checkStep(lesson.step); before.Passed {
				l.Errorf("the check passes before the step: %+v", before.Rows)
			}
			lesson.byHand(l)
			l.watch(lesson.step).until(lesson.step, true)
			if by := l.markOf(lesson.step).By; by != "hand" {
				l.Errorf("the reader has done it, and it is marked as done by %q", by)
			}
			l.must("lab", lesson.step)
			if after := l.checkStep(lesson.step); !after.Passed {
				l.Errorf("the check does not pass after the step: %+v", after.Rows)
			}
			if lesson.after != nil {
				lesson.after(l)
			}
		})
	}
}

func (l *lab) listsAllAsPassed() {
	if list := l.must("lab", "list").stdout; strings.Count(list, "✓") != len(lessons()) || !strings.Contains(list, "installed") {
		l.Errorf("lab list prints\n%s", list)
	}
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

// writesTheDocumentedCourse writes the files that docs/courses.md shows into a folder, mine.
func (l *lab) writesTheDocumentedCourse() (folder string) {
	l.Helper()
	documentation, err := os.ReadFile(filepath.Join("..", "docs", "courses.md"))
	l.check(err)
	folder = filepath.Join(l.folder, "mine")
	files := regexp.MustCompile("(?s)`mine/([^`]+)`[^\\n]*:\\n\\n```yaml\\n(.*?)```").FindAllStringSubmatch(string(documentation), -1)
	if len(files) != 3 {
		l.Fatalf("docs/courses.md has %d files", len(files))
	}
	for _, file := range files {
		name := filepath.Join(folder, filepath.FromSlash(file[1]))
		l.check(os.MkdirAll(filepath.Dir(name), 0o755))
		l.check(os.WriteFile(name, []byte(file[2]), 0o600))
	}
	return folder
}

// takesAnotherCourse runs the course that docs/courses.md shows.
func (l *lab) takesAnotherCourse() {
	folder := l.writesTheDocumentedCourse()
	l.must("lab", "configmap") // leaves objects in namespaces that this course does not know
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
	l.fails(2, []string{"lab", "first/web", "--course", folder}, words{regexp.QuoteMeta(filepath.Join(folder, "first", "lab.yaml")) + ".*line 2"})
}

// keepsTheReadersObjects holds that nothing of the reader's goes unless it is in the way, and then into a file.
func (l *lab) keepsTheReadersObjects() {
	l.must("lab", "reset")
	l.kubectl("", "create", "configmap", "notes", "--from-literal=a=b") // in nobody's way
	l.apply(deploymentYAML(1, "v1", "", ""),                            // in the way by its name
		podYAML("taken-for-ours", "one", "nginx", "app: hellok8s"),
		serviceYAML("mine", "NodePort", "other", "port: 80, nodePort: 30000"))
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
	file := keptIn.FindStringSubmatch(done.stderr)
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

	l.must("lab", "configmap")
	l.kubectl("", "create", "configmap", "mine", "-n", "dev")
	l.says(l.must("lab", "pod/nginx").stderr, namespaceStays)
	l.kubectl("", "get", "configmap", "mine", "-n", "dev")
	l.must("lab", "reset")
	if namespaces := l.kubectl("", "get", "namespaces", "-o", "name"); strings.Contains(namespaces, "/dev") || strings.Contains(namespaces, "/test") {
		l.Errorf("after reset there are\n%s", namespaces)
	}
}

// repairsAnInterruptedInstallation kills an installation half-way, and runs two at once.
func (l *lab) repairsAnInterruptedInstallation() {
	l.must("lab", "reset")
	killed := l.command("lab", "service")
	l.check(killed.Start())
	eventually(l, "the Deployment is there", func() bool {
		return l.kubectl("", "get", "deployments", "-o", "name") != ""
	})
	l.check(killed.Process.Signal(syscall.SIGSTOP)) // so that it has the lab for longer than others wait
	l.fails(1, []string{"lab", "pod"}, append(locked, l.name))
	l.check(killed.Process.Kill())
	killed.Wait()
	l.says(l.must("lab", "list").stdout, interrupted)
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
	l.fails(2, []string{"lab", "save", file}, fileExists)
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
		l.fails(2, []string{"lab", "restore", wrong}, words{name + `\.yaml`})
	}
	if now := l.snapshot(); now != before {
		l.Errorf("a file that was refused has changed\n%s\nto\n%s", before, now)
	}

	l.anewInItsRegistry()
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

// anewInItsRegistry takes the cluster away and makes another one, beside the registry of before, and takes the images out of
// that, so that they are built when they are needed.
func (l *lab) anewInItsRegistry() {
	l.Helper()
	address := l.status().Registry.Address
	l.must("down", "--keep-registry")
	if code, tags := get("http://" + address + "/v2/guangzhengli/hellok8s/tags/list"); !strings.Contains(tags, `"v4"`) {
		l.Errorf("the registry's content is gone: %d %s", code, tags)
	}
	l.must("up", "--no-images")
	if again := l.healthy(); again.Registry.Address != address {
		l.Errorf("the registry moved from %s to %s", address, again.Registry.Address)
	}
	docker(l, "rm", "-f", l.name+"-registry")
	docker(l, "volume", "rm", l.name+"-registry")
	l.must("up", "--no-images")
}

// settlesTo waits until there are these objects and no others.
func (l *lab) settlesTo(want string) {
	l.Helper()
	var found string
	defer func() {
		if found != want {
			l.Logf("there are\n%s\nand not\n%s", found, want)
		}
	}()
	eventually(l, "the objects that were saved, and no others", func() bool { found = l.snapshot(); return found == want })
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

// revisionOf is the number of the Deployment's revision with the tag.
func (l *lab) revisionOf(tag string) string {
	l.Helper()
	newest := 0
	for _, found := range regexp.MustCompile(`(?m)^(\d+)=\S*:`+tag+`=`).FindAllStringSubmatch(l.history(), -1) {
		number, _ := strconv.Atoi(found[1])
		newest = max(newest, number)
	}
	return strconv.Itoa(newest)
}

// TestChapterPairs goes from every chapter's end to every other's, in one walk, and finds just the objects that the chapter
// leaves in an empty lab.
func TestChapterPairs(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-pairs", nil)
	l.must("up")
	alone := map[string]string{}
	for _, chapter := range chapters() {
		l.must("lab", "reset")
		l.must("lab", chapter)
		alone[chapter] = l.snapshot()
	}
	walk := everyPair(chapters())
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
