//go:build e2e

package e2e

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// helm runs the real helm on the lab, as a reader would, and gives all it says.
func (l *lab) helm(args ...string) string {
	l.Helper()
	output, err := l.helmCommand(args...).CombinedOutput()
	if err != nil {
		l.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return string(output)
}

// helmRefuses runs helm, which has to fail with those words.
func (l *lab) helmRefuses(words string, args ...string) {
	l.Helper()
	if output, err := l.helmCommand(args...).CombinedOutput(); err == nil || !strings.Contains(string(output), words) {
		l.Errorf("helm %s does not fail with %q: %v\n%s", strings.Join(args, " "), words, err, output)
	}
}

func (l *lab) helmCommand(args ...string) *exec.Cmd {
	l.Helper()
	program := filepath.Join(l.folder, "commands", "helm")
	if !exists(program) {
		var err error
		program, err = exec.LookPath("helm")
		l.check(err)
	}
	command := exec.Command(program, args...)
	command.Dir, command.Env = l.folder, l.env
	return command
}

// charts is the lab's chart repository.
func (l *lab) charts() string { return l.status().Ingress.Address + "charts" }

// addsTheRepository gives helm the lab's chart repository under its name in the course.
func (l *lab) addsTheRepository() {
	l.Helper()
	l.helm("repo", "add", "hellok8s", l.charts(), "--force-update")
	if found := l.helm("search", "repo", "hellok8s", "--version", "0.1.0"); !regexp.MustCompile(`hellok8s/hello-helm\s+0\.1\.0`).MatchString(found) {
		l.Errorf("helm search repo prints\n%s", found)
	}
}

// pullsTheChart gives the reader a copy of the chart, new each time.
func (l *lab) pullsTheChart() {
	l.Helper()
	l.check(os.RemoveAll(filepath.Join(l.folder, "hello-helm")))
	l.addsTheRepository()
	l.helm("pull", "hellok8s/hello-helm", "--version", "0.1.0", "--untar")
}

// edits replaces a text in a file of the reader's.
func (l *lab) edits(file, before, after string) {
	l.Helper()
	name := filepath.Join(l.folder, filepath.FromSlash(file))
	content, err := os.ReadFile(name)
	l.check(err)
	if !strings.Contains(string(content), before) {
		l.Fatalf("%s has no %q", file, before)
	}
	l.check(os.WriteFile(name, []byte(strings.Replace(string(content), before, after, 1)), 0o600))
}

// curlsUp does what curl -T FILE URL does.
func (l *lab) curlsUp(file, url string) {
	l.Helper()
	content, err := os.ReadFile(filepath.Join(l.folder, file))
	l.check(err)
	request, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(content))
	l.check(err)
	response, err := http.DefaultClient.Do(request)
	l.check(err)
	response.Body.Close()
	if response.StatusCode >= 300 {
		l.Errorf("curl -T %s %s: %s", file, url, response.Status)
	}
}

// historyOf holds the revisions that the reader's own helm tells of a release.
func (l *lab) historyOf(release string, want ...string) {
	l.Helper()
	var found []string
	for _, row := range regexp.MustCompile(`(?m)^(\d+)\s.*?(deployed|superseded|failed)\s+(\S+)`).FindAllStringSubmatch(l.helm("history", release), -1) {
		found = append(found, row[1]+" "+row[2]+" "+row[3])
	}
	if strings.Join(found, ", ") != strings.Join(want, ", ") {
		l.Errorf("helm history %s has %q, want %q", release, found, want)
	}
}

// helmLessons are the steps of the chapter helm, with the reader's own helm.
func helmLessons() []lesson {
	return []lesson{
		{step: "helm/install", byHand: func(l *lab) {
			l.kubectl("", "delete", "deployment,service,ingress,pod,job,cronjob", "--all", "--wait=false")
			l.kubectl("", "delete", "secret", "hellok8s-secret", "--ignore-not-found")
			l.kubectl("", "delete", "namespace", "dev", "test", "--ignore-not-found", "--wait=false")
			l.addsTheRepository()
			l.helm("install", "my-hello-helm", "hellok8s/hello-helm", "--version", "0.1.0")
			if found := l.helm("ls"); !regexp.MustCompile(`my-hello-helm\s+default\s+1\s.*deployed\s+hello-helm-0\.1\.0`).MatchString(found) {
				l.Errorf("helm ls prints\n%s", found)
			}
		}},
		{step: "helm/chart", byHand: func(l *lab) {
			l.pullsTheChart()
			l.helmRefuses("invalid ownership metadata", "install", "hello-helm", "./hello-helm")
			l.shell(l.told("helm/chart", words{"my-hello-helm"}, `helm uninstall my-hello-helm`) + " --wait")
			l.helm("install", "hello-helm", "./hello-helm")
		}},
		{step: "helm/upgrade", byHand: func(l *lab) {
			l.pullsTheChart()
			l.edits("hello-helm/values.yaml", "It works with Helm Values!", "It works with Helm Values[v2]!")
			l.helm("upgrade", "hello-helm", "./hello-helm")
		}, after: func(l *lab) {
			l.historyOf("hello-helm", "1 superseded hello-helm-0.1.0", "2 deployed hello-helm-0.1.0")
			l.edits("hello-helm/values.yaml", "It works with Helm Values[v2]!", "It works with Helm Values[v3]!")
			l.helm("upgrade", "hello-helm", "./hello-helm") // what hellolab did stands in no edit's way
			hello := l.status().Ingress.Address + "hello"
			eventually(l, "the edited message is there", func() bool { _, body := get(hello); return strings.Contains(body, "Values[v3]!") })
			l.helm("rollback", "hello-helm", "1")
			eventually(l, "the first message is back", func() bool { _, body := get(hello); return strings.Contains(body, "Helm Values!,") })
		}},
		{step: "helm/rollback", byHand: func(l *lab) {
			l.helm("rollback", "hello-helm", "1")
		}, after: func(l *lab) {
			l.historyOf("hello-helm", "1 superseded hello-helm-0.1.0", "2 superseded hello-helm-0.1.0", "3 deployed hello-helm-0.1.0")
		}},
		{step: "helm/environments", byHand: func(l *lab) {
			l.pullsTheChart()
			install := []string{"install", "hello-helm", "./hello-helm", "-n", "dev", "--create-namespace", "-f", "hello-helm/values-dev.yaml"}
			l.helmRefuses("is already defined in ingress default/hellok8s-ingress", install...)
			l.shell(l.told("helm/environments", words{"/hello", "hellok8s-ingress", "default"}, `helm uninstall hello-helm( --kube-context \S+)?$`) + " --wait")
			l.helm(append([]string{"upgrade", "--install"}, install[1:]...)...) // which takes up the one that was refused
		}},
		{step: "helm/publish", byHand: func(l *lab) {
			l.pullsTheChart()
			l.edits("hello-helm/Chart.yaml", "version: 0.1.0", "version: 0.1.1")
			l.helm("package", "hello-helm")
			registry := "oci://" + l.status().Registry.Address + "/charts"
			l.helm("push", "hello-helm-0.1.1.tgz", registry, "--plain-http")
			if shown := l.helm("show", "chart", registry+"/hello-helm", "--version", "0.1.0", "--plain-http"); !strings.Contains(shown, "version: 0.1.0") {
				l.Errorf("helm show chart prints\n%s", shown)
			}
			l.check(os.RemoveAll(filepath.Join(l.folder, "mine")))
			l.check(os.Mkdir(filepath.Join(l.folder, "mine"), 0o755))
			l.check(os.Rename(filepath.Join(l.folder, "hello-helm-0.1.1.tgz"), filepath.Join(l.folder, "mine", "hello-helm-0.1.1.tgz")))
			_, index := get(l.charts() + "/index.yaml")
			l.check(os.WriteFile(filepath.Join(l.folder, "old.yaml"), []byte(index), 0o600))
			l.helm("repo", "index", "mine", "--merge", "old.yaml")
			l.curlsUp("mine/hello-helm-0.1.1.tgz", l.charts()+"/hello-helm-0.1.1.tgz")
			l.curlsUp("mine/index.yaml", l.charts()+"/index.yaml")
			l.helm("repo", "update")
			if found := l.helm("search", "repo", "hellok8s", "--versions"); !strings.Contains(found, "0.1.1") || !strings.Contains(found, "0.1.0") {
				l.Errorf("helm search repo prints\n%s", found)
			}
			l.helm("uninstall", "hello-helm", "-n", "dev", "--wait")
			l.helm("install", "hello-helm", "mine/hello-helm-0.1.1.tgz")
			l.helm("upgrade", "hello-helm", registry+"/hello-helm", "--version", "0.1.1", "--plain-http")
			l.helm("upgrade", "hello-helm", "hellok8s/hello-helm", "--version", "0.1.1")
		}, after: func(l *lab) {
			kept, err := filepath.Glob(filepath.Join(l.folder, "config", "hellolab", "saved", l.name, "*-hello-helm-0.1.1.tgz"))
			l.check(err)
			theirs, err := os.ReadFile(filepath.Join(l.folder, "mine", "hello-helm-0.1.1.tgz"))
			l.check(err)
			if len(kept) != 1 {
				l.Fatalf("of the reader's package it keeps %v", kept)
			}
			if content, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(content, theirs) {
				l.Errorf("it keeps another package than the reader's: %v", err)
			}
		}},
	}
}
