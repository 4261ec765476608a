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
	"syscall"
	"testing"
	"time"
)

// said is what a guide tells of the output of a command: pattern is looked for in what the command prints.
type said struct{ step, command, pattern string }

// promises are what the guides say that is seen, as somebody reads it who has the guide alone.
func promises() []said {
	return []said{
		{"container/build-run-push", "docker images", `hellok8s\s+v1`},
		{"container/build-run-push", "curl http://localhost:3000", `\[v1\] Hello, Kubernetes!`},
		{"container/build-run-push", "docker ps", `hellok8s`},
		{"container/build-run-push", "images list", `v1\s+container.*your own`},
		{"container/build-run-push", "images export hello", `hello/v1`},
		{"pod/nginx", "kubectl config current-context", `^kind-e2e-guides$`},
		{"pod/nginx", "kubectl get pods", `nginx-pod`},
		{"pod/nginx", "curl http://localhost:4000", `nginx`},
		{"pod/nginx", "kubectl exec nginx-pod -- ls", `index\.html`},
		{"pod/nginx", "kubectl describe pod", `Events:`},
		{"pod/hellok8s", "curl http://localhost:3000", `\[v1\] Hello, Kubernetes!`},
		{"deployment/create", "kubectl get deployments", `hellok8s-deployment\s+1/1`},
		{"deployment/scale", "kubectl get deployment ", `3/3`},
		{"deployment/upgrade", "kubectl describe pod", `hellok8s:v2`},
		{"deployment/upgrade", "kubectl rollout history", `2\s`},
		{"deployment/rollback", "kubectl rollout history deployment hellok8s-deployment --revision=3", `hellok8s:v1`},
		{"deployment/rolling-update", "kubectl describe deployment", `1 max unavailable, 1 max surge`},
		{"deployment/liveness", "kubectl describe pod", `http-get http://:3000/healthz`},
		{"deployment/readiness", "kubectl rollout history deployment hellok8s-deployment --revision", `hellok8s:`},
		{"service/clusterip", "kubectl get service ", `ClusterIP`},
		{"service/clusterip", "kubectl get endpoints", `:3000,.*:3000`},
		{"service/clusterip", "kubectl exec nginx", `\[v3\] Hello, Kubernetes!, From host: hellok8s-deployment-`},
		{"service/nodeport", "kubectl get services", `3000:30000/TCP`},
		{"service/nodeport", "curl http://localhost", `\[v3\] Hello, Kubernetes!`},
		{"service/loadbalancer", "curl http://$ip:3000", `\[v3\] Hello, Kubernetes!`},
		{"ingress/controller", "kubectl get pods -n ingress-nginx", `Running`},
		{"ingress/controller", "curl http", `404`},
		{"ingress/routes", "curl http://localhost:PORT/hello", `\[v3\] Hello, Kubernetes!`},
		{"ingress/routes", "curl http://localhost:PORT/", `.`},
		{"namespace/create", "kubectl get namespaces", `dev\s+Active`},
		{"namespace/create", "kubectl get pods -n dev", `hellok8s-deployment-`},
		{"configmap/per-namespace", "kubectl get configmap hellok8s-config -n dev", `DB_URL`},
		{"secret/password", `echo "db_password" | base64`, `ZGJfcGFzc3dvcmQK`},
		{"secret/password", "base64 --decode", `^db_password$`},
		{"secret/password", "kubectl describe secret", `DB_PASSWORD:\s+\d+ bytes`},
		{"job/job", "kubectl logs -l", `1`},
		{"job/cronjob", "kubectl get cronjob", `hello-cronjob`},
		{"helm/install", "helm list", `my-hello-helm`},
		{"helm/install", "curl http://localhost:PORT/hello", `Hello, Helm!`},
		{"helm/chart", "helm template", `kind: Deployment`},
		{"helm/chart", "ls -R my-chart", `values\.yaml`},
		{"helm/upgrade", "helm history", `2\s`},
		{"helm/upgrade", "curl http://localhost:PORT/hello", `\[v2\]`},
		{"helm/rollback", "helm history", `Rollback to 1`},
		{"helm/environments", "helm list -A", `dev`},
		{"helm/environments", "curl http://localhost:PORT/hello", `.`},
		{"helm/publish", "helm show chart", `version: 0\.1\.1`},
		{"helm/publish", "helm search repo", `0\.1\.1`},
		{"dashboard/web", "kubectl scale", `scaled`},
	}
}

// endless are commands that guides end with Ctrl-C, or leave open in a terminal of their own.
var endless = regexp.MustCompile(`port-forward|--watch\b|logs -f nginx-pod|hellolab .*tunnel$|hellolab .*dashboard$`)

// maybe are commands of which a guide says that they may fail, or that they tell of this machine.
var maybe = regexp.MustCompile(`hellolab .*doctor$|helm pull .*--untar$`)

// elsewhere are commands that another test types: k9s is a program of somebody else's (TestK9s).
var elsewhere = regexp.MustCompile(`^k9s `)

// TestGuides is a stranger who does the whole course by its guides alone, on one lab, from beginning to end: every line of code in a guide that is
// a command is typed as it is printed, what the guide says of it is compared, and then the step's check passes, by hand.
func TestGuides(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-guides", nil)
	l.must("up")
	stranger := &reader{lab: l, folder: filepath.Join(l.folder, "work"), kept: promises()}
	l.check(os.Mkdir(stranger.folder, 0o755))
	for _, lesson := range lessons() {
		t.Run(lesson.step, func(t *testing.T) { stranger.does(l.in(t), lesson.step) })
	}
	for _, promise := range stranger.kept {
		if !slices.Contains(stranger.done, promise.step) { // -run names a part
			continue
		}
		t.Errorf("%s: no command of the guide is like %q", promise.step, promise.command)
	}
}

// reader is somebody with the guides and a shell.
type reader struct {
	*lab
	folder string
	// kept are the promises that no command has been typed for yet.
	kept []said
	// done are the steps that were done.
	done []string
	// open are the commands that run in terminals of their own.
	open []*exec.Cmd
}

// does does a step by its guide, and has it checked.
func (r *reader) does(l *lab, step string) {
	l.Helper()
	r.lab, r.done = l, append(r.done, step)
	defer r.close()
	if r.run("lab", "show", step, "--write", r.folder, "--force").status != 0 && len(r.guideOf(step)) == 0 {
		l.Errorf("%s has neither files nor a guide", step)
	}
	commands, checked := r.guideOf(step), false
	for i := 0; i < len(commands); i++ {
		command := commands[i]
		switch {
		case elsewhere.MatchString(command):
		case strings.HasSuffix(command, "lab check "+step): // what follows may undo the step
			l.watch(step).until(step, true)
			checked = true
		case strings.HasPrefix(command, "kubectl exec -it "):
			end := i + slices.Index(commands[i:], "exit")
			inside := strings.Join(commands[i+1:end], "\n")
			r.types(step, strings.Replace(command, " -it ", " -i ", 1)+" <<'EOF'\n"+inside+"\nEOF")
			i = end
		case strings.HasPrefix(command, "ip="): // a variable of the reader's shell
			i++
			r.types(step, command+"\n"+commands[i])
		case endless.MatchString(command) || step == "deployment/readiness" && strings.HasPrefix(command, "kubectl rollout status") && i > 4:
			r.leavesOpen(command)
		default:
			r.types(step, command)
		}
	}
	if !checked {
		l.watch(step).until(step, true)
	}
	if by := l.markOf(step).By; by != "hand" {
		l.Errorf("%s is done by %q", step, by)
	}
}

// isCommand tells the lines of code that are typed from pictures and files.
var isCommand = regexp.MustCompile(`^((kubectl|docker|hellolab|helm|curl|echo|exit|mkdir|cp|ls|rm|sed|printf|k9s)\b|ip=)`)

// guideOf are the commands of a guide, with the lines that they go on in.
func (r *reader) guideOf(step string) (commands []string) {
	r.Helper()
	var shown []struct{ Guide string }
	r.check(json.Unmarshal([]byte(r.must("lab", "show", step, "-o", "json").stdout), &shown))
	lines := strings.Split(shown[len(shown)-1].Guide, "\n")
	for i := 0; i < len(lines); i++ {
		line, isCode := strings.CutPrefix(lines[i], "    ")
		if !isCode || !isCommand.MatchString(line) {
			continue
		}
		for strings.HasSuffix(line, `\`) {
			i++
			line += "\n" + strings.TrimPrefix(lines[i], "    ")
		}
		commands = append(commands, line)
	}
	return commands
}

// shellOf is a shell of the reader's with a line typed.
func (r *reader) shellOf(line string) *exec.Cmd {
	command := exec.Command("bash", "-c", line)
	command.Dir, command.Env = r.folder, append(slices.Clone(r.env), "TERM=dumb", "LANG=C.UTF-8")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// types types a command, and compares what it prints with what the guide says. A question to a web server is repeated until it is answered so: a
// route takes some seconds to come, and the guides say so. And of pods that are looked at by their label, one may be about to go.
func (r *reader) types(step, line string) {
	r.Helper()
	if strings.HasPrefix(line, "curl http") || strings.HasPrefix(line, "kubectl describe pod -l") {
		eventually(r.T, line+" is answered as the guide says", func() bool {
			printed, err := r.typed(line)
			return err == nil && r.keeps(step, line, printed)
		})
		return
	}
	printed, err := r.typed(line)
	if err != nil && !maybe.MatchString(line) {
		r.Errorf("%s: %v\n%s", line, err, printed)
	}
	r.keeps(step, line, printed)
}

// typed types a command, and returns what it prints.
func (r *reader) typed(line string) (string, error) {
	r.Helper()
	command := r.shellOf(line)
	var printed bytes.Buffer
	command.Stdout, command.Stderr = &printed, &printed
	r.check(command.Start())
	deadline := time.AfterFunc(patience, func() { syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	defer deadline.Stop()
	err := command.Wait()
	r.Logf("$ %s\n%s", line, printed.String())
	return printed.String(), err
}

// keeps compares what a command has printed with the promises about it, and reports whether there is none that is not kept.
func (r *reader) keeps(step, line, printed string) bool {
	here := regexp.MustCompile(`localhost:\d+/`).ReplaceAllString(line, "localhost:PORT/")
	broken := false
	r.kept = slices.DeleteFunc(r.kept, func(promise said) bool {
		if promise.step != step || !strings.Contains(line, promise.command) && !strings.Contains(here, promise.command) {
			return false
		}
		kept := regexp.MustCompile("(?m)" + promise.pattern).MatchString(printed)
		broken = broken || !kept
		return kept
	})
	return !broken
}

// leavesOpen types a command in a terminal of its own, and waits for its first words. A port can be forwarded once.
func (r *reader) leavesOpen(line string) {
	r.Helper()
	if strings.Contains(line, "port-forward") {
		r.close()
	}
	file := filepath.Join(r.T.TempDir(), "terminal")
	output, err := os.Create(file)
	r.check(err)
	defer output.Close()
	command := r.shellOf("exec " + line)
	command.Stdout, command.Stderr = output, output
	r.check(command.Start())
	r.open = append(r.open, command)
	eventually(r.T, line+" says something", func() bool {
		content, err := os.ReadFile(file)
		return err == nil && (len(content) > 0 || strings.Contains(line, "logs -f") || strings.Contains(line, "--watch")) // which may have nothing to say yet
	})
	content, err := os.ReadFile(file)
	r.check(err)
	r.Logf("& %s\n%s", line, content)
}

// close presses Ctrl-C in every terminal that is open.
func (r *reader) close() {
	for _, command := range r.open {
		syscall.Kill(-command.Process.Pid, syscall.SIGINT)
		ended := make(chan struct{})
		go func() {
			command.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			r.Errorf("%s does not end with Ctrl-C", fmt.Sprint(command.Args))
			syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		}
	}
	r.open = nil
}

// mark is a step's in `lab list -o json`.
type mark struct {
	ID, By, Fell string
	Passed       bool
}

// markOf is what `lab list` has of a step.
func (l *lab) markOf(step string) (found mark) {
	l.Helper()
	var chapters []struct{ Steps []mark }
	l.check(json.Unmarshal([]byte(l.must("lab", "list", "-o", "json").stdout), &chapters))
	for _, chapter := range chapters {
		for _, each := range chapter.Steps {
			if each.ID == step {
				found = each
			}
		}
	}
	return found
}
