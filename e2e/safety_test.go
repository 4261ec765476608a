//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestSafety holds what a web page, a course and a saved file of somebody else's cannot do to a lab and to its reader: each
// time it is said why, and nothing is changed.
func TestSafety(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-safety", nil)
	l.must("up", "--no-images")
	part := func(name string, do func(l *lab)) {
		t.Run(name, func(t *testing.T) { do(l.in(t)) })
	}
	part("the chart repository", (*lab).keepsItsCharts)
	part("courses that are refused", (*lab).refusesCourses)
	part("a course that asks for trust", (*lab).asksForTrust)
	part("a chart that shows itself late", (*lab).seesLateCharts)
	part("escape sequences", (*lab).printsNoEscapes)
	part("saved files", (*lab).vetsSavedFiles)
}

// ask sends a request with another Host, where host is not "", and gives the status.
func (l *lab) ask(method, url, host, body string) int {
	l.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	l.check(err)
	if host != "" {
		request.Host = host
	}
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	l.check(err)
	response.Body.Close()
	return response.StatusCode
}

// keepsItsCharts holds that the chart repository answers to its own names, and that no slash too many empties it.
func (l *lab) keepsItsCharts() {
	charts := l.charts()
	mine := charts + "/mine-0.1.0.tgz"
	if status := l.ask("PUT", mine, "", "mine"); status != http.StatusCreated {
		l.Fatalf("an upload ends with status %d", status)
	}
	for _, host := range []string{"evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "charts.evil.example"} {
		for method, url := range map[string]string{"GET": charts + "/index.yaml", "PUT": charts + "/theirs.tgz", "DELETE": mine} {
			if status := l.ask(method, url, host, "theirs"); status != http.StatusMisdirectedRequest {
				l.Errorf("%s %s as %s ends with status %d", method, url, host, status)
			}
		}
	}
	for _, path := range []string{"/", "//", "/%2F", "/.", ""} {
		if status := l.ask("DELETE", charts+path, "", ""); status < 300 {
			l.Errorf("DELETE %s ends with status %d", charts+path, status)
		}
	}
	port := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(l.status().Ingress.Address, "http://localhost"), ":"), "/")
	for _, host := range []string{"localhost", "127.0.0.1", "127.0.0.1:" + port} {
		if status := l.ask("GET", mine, host, ""); status != http.StatusOK {
			l.Errorf("as %s, what was put there ends with status %d", host, status)
		}
	}
	if status, _ := get(charts + "/theirs.tgz"); status != http.StatusNotFound {
		l.Errorf("what a foreign name put there ends with status %d", status)
	}
	inside := l.kubectl("", "run", "inside", "--rm", "-i", "--restart=Never", "--image=busybox", "--quiet", "--", "wget", "-qO-", "http://charts.hellolab/charts/index.yaml")
	l.says(inside, words{"hello-helm"})
	if status := l.ask("DELETE", mine, "", ""); status != http.StatusNoContent {
		l.Errorf("its removal ends with status %d", status)
	}
	l.addsTheRepository()
}

// courseOf writes a course of one step; a file's name that ends with @ is a link to what its content says.
func (l *lab) courseOf(files map[string]string) string {
	l.Helper()
	folder := filepath.Join(l.TempDir(), "theirs")
	all := map[string]string{
		"course.yaml":  "title: {en: Theirs, zh: 别人的}\nnamespaces: [default]\nchapters: [one]\n",
		"one/lab.yaml": "title: {en: One}\nsteps: [{name: first, expect: [absent: {kind: Pod, name: gone}]}]\n",
	}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		file := filepath.Join(folder, filepath.FromSlash(strings.TrimSuffix(name, "@")))
		l.check(os.MkdirAll(filepath.Dir(file), 0o755))
		if strings.HasSuffix(name, "@") {
			l.check(os.Symlink(content, file))
			continue
		}
		l.check(os.WriteFile(file, []byte(content), 0o644))
	}
	return folder
}

const privileged = `apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: bad, image: busybox, command: [sleep, "1000000"], securityContext: {privileged: true}}]
  volumes: [{name: node, hostPath: {path: /etc}}]
`

// withChart is a step that installs a chart with one template.
func withChart(template string) map[string]string {
	return map[string]string{
		"one/lab.yaml":               "title: {en: One}\nsteps: [{name: first, do: [install: {release: web, chart: one/chart}], expect: [absent: {kind: Pod, name: gone}]}]\n",
		"one/chart/Chart.yaml":       "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
		"one/chart/templates/a.yaml": template,
	}
}

// refusesCourses holds that hostile courses are refused when they are read, with words, and soon.
func (l *lab) refusesCourses() {
	var asked atomic.Int32
	theirs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer theirs.Close()
	other := strings.TrimPrefix(theirs.URL, "http://")
	expecting := func(expectation string) map[string]string {
		return map[string]string{"one/lab.yaml": "title: {en: One}\nsteps: [{name: first, expect: [" + expectation + "]}]\n"}
	}
	schema := withChart("a: b\n")
	schema["one/chart/values.schema.json"] = `{"$ref": "` + theirs.URL + `/schema"}`
	before := l.everything()
	for _, row := range []struct {
		name  string
		files map[string]string
		said  words
	}{
		{"a link to a file of the reader's", map[string]string{"one/first/a.yaml@": "/etc/passwd"}, words{`first/a\.yaml`, "escapes"}},
		{"a link out of the folder", map[string]string{"one/first@": "../../..",
			"one/lab.yaml": "title: {en: One}\nsteps: [{name: first, do: [apply: [first/a.yaml]], expect: [absent: {kind: Pod, name: a}]}]\n"}, words{`first/a\.yaml`, "escapes"}},
		{"a guide that does not end", map[string]string{"one/lab.yaml": "title: {en: One}\nsteps: [{name: first, guide: {en: '{{range 1000000000}}x{{end}}'}, expect: [absent: {kind: Pod, name: a}]}]\n"},
			words{`lab\.yaml`, "range"}},
		{"a chart that does not end", withChart("{{ range $i := untilStep 0 2000000000 1 }}{{ $i }}{{ end }}"), words{"one/chart", "memory|come to an end"}},
		{"another chart that does not end", withChart("{{ range 100000000000 }}{{ end }}"), words{"one/chart", "memory|come to an end"}},
		{"a schema of another server", schema, words{"one/chart", regexp.QuoteMeta(theirs.URL)}},
		{"a question to another server", expecting("http: {ingress: '@" + other + "/', answers: .}"), words{`lab\.yaml`, "ingress", regexp.QuoteMeta(other)}},
		{"a question to the API server", expecting("http: {service: a, port: 80, path: ../../../secrets, answers: .}"), words{`lab\.yaml`, "secrets"}},
		{"aliases without an end", map[string]string{"one/first/a.yaml": "a: &a [*a]\n"}, words{`a\.yaml`, "too large"}},
		{"the lab's own namespace", map[string]string{"course.yaml": "namespaces: [kube-system]\nchapters: [one]\n"}, words{"kube-system"}},
		{"a Chinese keyboard", map[string]string{"one/first/a.yaml": "apiVersion: v1\nkind： Pod\n"}, words{`a\.yaml, line 2, character 5`, "： "}},
	} {
		folder := l.courseOf(row.files)
		for _, args := range [][]string{{"lab", "list"}, {"lab", "one/first"}} {
			done := l.run(append(args, "--course", folder)...)
			l.failed(done, 2, row.said)
			if done.took > 25*time.Second {
				l.Errorf("%s took %s", row.name, done.took)
			}
		}
	}
	if after := l.everything(); after != before {
		l.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
	if asked.Load() != 0 {
		l.Error("another server was asked")
	}
}

// asksForTrust holds that what reaches beyond its containers is named and refused, and done with the reader's word.
func (l *lab) asksForTrust() {
	folder := l.courseOf(map[string]string{"one/first/a.yaml": privileged})
	l.says(l.must("lab", "show", "one/first", "--course", folder).stdout, words{"privileged: true"})
	before := l.everything()
	done := l.run("lab", "one/first", "--course", folder)
	l.failed(done, 2, words{"Theirs", "nothing was changed", "pod/bad .*privileged", "pod/bad .*hostPath.*/etc", "next: .*lab --trust one/first"})
	if after := l.everything(); after != before {
		l.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
	_, command, _ := strings.Cut(done.stderr, "hellolab ")
	l.shell("hellolab " + command) // the last line is what to type
	if found := l.kubectl("", "get", "pod", "bad", "-o", "jsonpath={.spec.containers[0].securityContext.privileged}"); found != "true" {
		l.Errorf("the pod is privileged: %q", found)
	}
	l.must("lab", "reset")
}

// seesLateCharts holds that a template that makes another object of the cluster than of nothing is seen through, too.
func (l *lab) seesLateCharts() {
	files := withChart("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: harmless}\n{{ if lookup \"v1\" \"Namespace\" \"\" \"default\" }}---\n" + privileged + "{{ end }}\n")
	folder := l.courseOf(files)
	l.fails(1, []string{"lab", "one/first", "--course", folder}, words{"pod/bad.*privileged", "lab --trust"})
	if found := l.kubectl("", "get", "pod", "bad", "--ignore-not-found", "-o", "name"); found != "" {
		l.Errorf("there is %s", found)
	}
	l.must("lab", "one/first", "--course", folder, "--trust")
	l.kubectl("", "get", "pod", "bad")
	l.must("lab", "reset")
}

// talks is a pod that answers, and a Job that logs, what a terminal acts on.
const talks = `apiVersion: v1
kind: Pod
metadata: {name: talks}
spec:
  containers:
    - {name: talks, image: busybox, command: [sh, -c, 'mkdir /www; printf "\033[2J\033]0;owned\007\302\233 31mevil\n" >/www/index.html; httpd -f -p 80 -h /www']}
---
apiVersion: batch/v1
kind: Job
metadata: {name: logs}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: logs, image: busybox, command: [sh, -c, 'printf "\033[1A\033[2Kpassed\342\200\256\n"']}]
`

// acts is what a terminal acts on.
var acts = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

// printsNoEscapes holds that what a course, a pod, a Job and a file say does nothing on the reader's terminal.
func (l *lab) printsNoEscapes() {
	folder := l.courseOf(map[string]string{
		"course.yaml": "title: {en: Theirs}\nnamespaces: [default]\nchapters: [one]\n",
		"one/lab.yaml": "title: {en: \"One\\e[31m\"}\nsteps:\n  - name: first\n    title: {en: \"First\\u202e\"}\n    guide: {en: \"guide\\e]0;owned\\a\\e[2J\"}\n    expect:\n" +
			"      - http: {pod: talks, port: 80, answers: fine}\n      - logs: {job: logs, match: fine}\n        why: {en: \"why\\e[2K\"}\n        next: \"echo \\e[31m\"\n",
		"one/first/a.yaml": "# \x1b[31m\n" + talks,
	})
	l.fails(2, []string{"lab", "list", "--course", folder}, words{"control characters"}) // YAML has none as they are
	l.check(os.WriteFile(filepath.Join(folder, "one", "first", "a.yaml"), []byte(talks), 0o644))
	l.apply(talks)
	l.kubectl("", "wait", "--for=condition=Ready", "pod/talks", "--timeout=120s")
	l.kubectl("", "wait", "--for=condition=Complete", "job/logs", "--timeout=120s")
	for _, args := range [][]string{{"lab", "show", "one"}, {"lab", "list"}, {"lab", "check", "one/first"}, {"lab", "show", "one", "-o", "json"}, {"lab", "check", "one/first", "-o", "json"}} {
		done := l.run(append(args, "--course", folder)...)
		if found := acts.FindString(strings.ReplaceAll(done.stdout+done.stderr, "\t", "")); found != "" {
			l.Errorf("%s prints %q:\n%q", strings.Join(args, " "), found, done.stdout+done.stderr)
		}
		switch {
		case args[1] == "show":
			l.says(done.stdout, words{"guide"})
		case args[1] == "check":
			l.says(done.stdout, words{"evil", "passed", "why"})
		}
		if args[len(args)-1] == "json" {
			l.says(done.stdout, words{`\\u001b`})
		}
	}
	l.kubectl("", "delete", "pod/talks", "job/logs", "--now")
}

// vetsSavedFiles holds the same of files that others have saved, and that a file is the same one after Windows had it.
func (l *lab) vetsSavedFiles() {
	l.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\ndata: {a: \"b\\r\\n\"}\n")
	file := filepath.Join(l.TempDir(), "lab.yaml")
	l.must("lab", "save", file)
	saved, err := os.ReadFile(file)
	l.check(err)
	head, body, _ := bytes.Cut(saved, []byte("\n"))
	write := func(body string) {
		sum := sha256.Sum256([]byte(body))
		line := string(head[:bytes.LastIndexByte(head, ':')+1]) + hex.EncodeToString(sum[:]) + "\n"
		l.check(os.WriteFile(file, []byte(line+body), 0o600))
	}
	before := l.everything()
	for _, row := range []struct {
		object string
		said   words
	}{
		{strings.Replace(privileged, "{name: bad}", "{name: bad, namespace: default}", 1), words{"nothing was changed", "pod/bad.*privileged", "pod/bad.*hostPath", "next: .*lab restore --trust"}},
		{"apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: all, namespace: default}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n",
			words{"rolebinding/all.*cluster-admin", "--trust"}},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: r, namespace: default, labels: {owner: helm, name: web, version: '1'}}\ndata: {release: eA==}\n", words{"secret/r", "--trust"}},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\n", words{"kube-system"}},
		{"apiVersion: v1\nkind: \"Po\\e[2Jd\"\nmetadata: {name: \"a\\e[31m\", namespace: default}\n", words{"po.*d/a"}},
	} {
		write(string(body) + "---\n" + row.object)
		done := l.run("lab", "restore", file)
		l.failed(done, 2, row.said)
		if found := acts.FindString(done.stderr); found != "" {
			l.Errorf("it prints %q", found)
		}
	}
	if after := l.everything(); after != before {
		l.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
	write(string(body) + "---\n" + strings.Replace(privileged, "{name: bad}", "{name: bad, namespace: default}", 1))
	l.must("lab", "restore", "--trust", file)
	l.kubectl("", "get", "pod", "bad")

	l.check(os.WriteFile(file, append([]byte("\ufeff"), bytes.ReplaceAll(saved, []byte("\n"), []byte("\r\n"))...), 0o600))
	l.must("lab", "restore", file)
	if found := l.kubectl("", "get", "configmap", "mine", "-o", "jsonpath={.data.a}"); found != "b\r\n" {
		l.Errorf("the ConfigMap has %q", found)
	}
	l.must("lab", "reset")
}
