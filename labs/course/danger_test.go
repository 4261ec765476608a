package course

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// dangerous is a course whose only step has other files.
func dangerous(t *testing.T, changed map[string]string) []string {
	t.Helper()
	loaded, err := Load(files(changed), "my", "us")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, danger := range loaded.Chapters[0].Steps[0].Snapshot().Dangers() {
		lines = append(lines, danger.Text().String())
	}
	return lines
}

// TestDangers holds that whatever reaches beyond the containers of a course is named, wherever in an object it is.
func TestDangers(t *testing.T) {
	t.Parallel()
	const inPod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: "
	const inJob = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: web, namespace: dev}\nspec: {jobTemplate: {spec: {template: {spec: "
	for _, test := range []struct {
		name, manifest string
		want           []string
	}{
		{"a pod", inPod + "{hostNetwork: false, containers: [{name: web, image: web, securityContext: {privileged: false, capabilities: {drop: [ALL]}}, ports: [{containerPort: 80}]}], volumes: [{name: a, emptyDir: {}}]}\n", nil},
		{"a privileged container", inPod + "{containers: [{name: web, image: web, securityContext: {privileged: true}}]}\n",
			[]string{"pod/web -n default: privileged: it has the rights of root on the node"}},
		{"one that comes before", inJob + "{initContainers: [{name: web, image: web, securityContext: {privileged: true}}]}}}}}\n",
			[]string{"cronjob/web -n dev: privileged: it has the rights of root on the node"}},
		{"the node's network", inJob + "{hostNetwork: true, hostPID: true, hostIPC: true, containers: []}}}}}\n",
			[]string{"cronjob/web -n dev: hostNetwork: it is not kept apart from the node", "cronjob/web -n dev: hostPID: it is not kept apart from the node",
				"cronjob/web -n dev: hostIPC: it is not kept apart from the node"}},
		{"the node's files", inPod + "{containers: [{name: web, image: web}], volumes: [{name: a, hostPath: {path: /etc}}]}\n",
			[]string{"pod/web -n default: hostPath: it reads and writes /etc of the node"}},
		{"the node's ports", inPod + "{containers: [{name: web, image: web, ports: [{containerPort: 1, hostPort: 22}, {hostPort: 0}]}]}\n",
			[]string{"pod/web -n default: hostPort: it takes the port 22 of the node"}},
		{"capabilities", inPod + "{containers: [{name: web, image: web, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}\n",
			[]string{"pod/web -n default: it has added capabilities: [SYS_ADMIN]"}},
		{"/proc, and Windows", inPod + "{securityContext: {windowsOptions: {hostProcess: true}}, containers: [{name: web, image: web, securityContext: {procMount: Unmasked}}]}\n",
			[]string{"pod/web -n default: hostProcess: it has the rights of the node", "pod/web -n default: procMount: it sees all of the node's /proc"}},
		{"rights", "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: web}\nroleRef: {kind: ClusterRole, name: cluster-admin}\n",
			[]string{"rolebinding/web -n default: it gives the rights of ClusterRole cluster-admin"}},
		{"addresses", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {externalIPs: [1.2.3.4]}\n",
			[]string{"service/web -n default: it takes over what goes to [1.2.3.4]"}},
		{"the lab's namespaces", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: hellolab}\n",
			[]string{"configmap/coredns -n kube-system: the namespace kube-system belongs to the lab itself", "namespace/hellolab: the namespace hellolab belongs to the lab itself"}},
		{"a list", "apiVersion: v1\nkind: List\nmetadata: {name: all}\nitems: [{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: web}}]\n",
			[]string{"clusterrole/web: it is of the whole cluster"}},
		{"each once", inPod + "{containers: [{name: a, image: a, securityContext: {privileged: true}}, {name: b, image: b, securityContext: {privileged: true}}]}\n",
			[]string{"pod/web -n default: privileged: it has the rights of root on the node"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := dangerous(t, pod(test.manifest)); !slices.Equal(got, test.want) {
				t.Errorf("named are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// TestDangersOnTheWay holds that all that is applied counts: what a chart makes, its hooks and definitions, what comes with the
// exercise, what is given, and what a later manifest replaces.
func TestDangersOnTheWay(t *testing.T) {
	t.Parallel()
	const bad = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {hostPID: true, containers: []}\n"
	named := func(name string) string { return strings.Replace(bad, "%s", name, 1) }
	changed := map[string]string{
		"one/lab.yaml": "title: {en: One}\ngiven: [one/given.yaml]\nsteps:\n  - name: first\n    do: [apply: [first/bad.yaml], apply: [first/pod.yaml], install: {release: web, chart: one/chart}]\n" +
			"    exercise: [apply: [first/more.yaml]]\n    expect: [absent: {kind: Pod, name: web}]\n",
		"one/given.yaml": named("given"), "one/first/bad.yaml": named("web"), "one/first/more.yaml": named("more"),
		"one/chart/Chart.yaml":          "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
		"one/chart/templates/a.yaml":    "{{ if true }}" + named("{{ .Release.Name }}-chart") + "{{ end }}",
		"one/chart/templates/hook.yaml": strings.Replace(named("hook"), "{name: hook}", "{name: hook, annotations: {helm.sh/hook: pre-install}}", 1),
		"one/chart/crds/a.yaml":         "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: as.example.com}\n",
	}
	const is = ": hostPID: it is not kept apart from the node"
	want := []string{"pod/given -n default" + is, "pod/web -n default" + is, "customresourcedefinition/as.example.com: it is of the whole cluster",
		"pod/web-chart -n default" + is, "pod/hook -n default" + is, "pod/more -n default" + is}
	got := dangerous(t, changed)
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("named are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNoDangers holds that the built-in course asks for nobody's trust.
func TestNoDangers(t *testing.T) {
	t.Parallel()
	loaded, err := Load(Embedded(), "", "us")
	if err != nil {
		t.Fatal(err)
	}
	for _, chapter := range loaded.Chapters {
		for _, step := range chapter.Steps {
			if dangers := slices.Concat(step.Snapshot().Dangers(), step.Start().Dangers()); len(dangers) > 0 {
				t.Errorf("%s: %s", step.ID(), dangers[0].Text())
			}
		}
	}
}

// onDisk writes a course into a folder, and opens it as the program does.
func onDisk(t *testing.T, all fstest.MapFS) (string, fs.FS) {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, all); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return folder, root.FS()
}

// TestLinks holds that a course cannot show a file that is not its own, and that links within it work.
func TestLinks(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(secret, []byte(soundPod), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ link, to, want string }{
		"a manifest":      {"one/first/pod.yaml", secret, "path escapes from parent"},
		"a relative link": {"one/first/pod.yaml", "../../../id_ed25519", "path escapes from parent"},
		"a folder":        {"one/first", filepath.Dir(secret), "path escapes from parent"},
		"the course":      {"course.yaml", secret, "path escapes from parent"},
		"a link within":   {"one/first/pod.yaml", "../other.yaml", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := step("do: [apply: [first/pod.yaml]]", "expect: [absent: {kind: Pod, name: web}]")
			changed["one/other.yaml"] = soundPod
			folder, files := onDisk(t, files(changed))
			link := filepath.Join(folder, filepath.FromSlash(test.link))
			if err := os.RemoveAll(link); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.FromSlash(test.to), link); err != nil {
				t.Skip(err) // Windows asks for rights
			}
			_, err := Load(files, "my", "us")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("it is %v, want %q", err, test.want)
			}
		})
	}
}

// TestLoadIsBounded holds that a course cannot wear out who reads it.
func TestLoadIsBounded(t *testing.T) {
	t.Parallel()
	var steps strings.Builder
	for i := range mostSteps + 1 {
		steps.WriteString("  - {name: s" + strings.Repeat("x", i) + ", expect: [absent: {kind: Pod, name: web}]}\n")
	}
	apply := "do: [" + strings.Repeat("apply: [first/pod.yaml], ", 20) + "]"
	for name, test := range map[string]struct {
		changed map[string]string
		want    string
	}{
		"many steps":   {map[string]string{"one/lab.yaml": "title: {en: One}\nsteps:\n" + steps.String()}, "all of it may have 500 steps"},
		"many objects": {pod(strings.Repeat(soundPod+"---\n", mostObjects+1)), "all of it may have 5000 objects"},
		"many bytes": {merged(pod("# "+strings.Repeat("x", 3<<20)+"\n"+soundPod), step(apply, "expect: [absent: {kind: Pod, name: web}]")),
			"all of its files may have 32 MiB"},
		"a large file": {pod("# " + strings.Repeat("x", 5<<20) + "\n" + soundPod), "pod.yaml is too large"},
		"a long guide": {step("guide: {en: \""+strings.Repeat("x", longest+1)+"\"}", "expect: [absent: {kind: Pod, name: web}]"), "a text may have 64 KiB"},
		"a guide that repeats": {step("guide: {en: \"{{range 1000000000}}x{{end}}\"}", "expect: [absent: {kind: Pod, name: web}]"),
			`it is not a valid guide: "{{range 1000000000}}x{{end}}" is not {{.NAME}}`},
		"aliases": {pod("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\na: &a " + strings.Repeat("x", 1<<20) + "\nb: [*a, *a, *a, *a, *a]\n"), "pod.yaml is too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			_, err := Load(files(test.changed), "my", "us")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it is %.300v, want %q", err, test.want)
			}
			if took := time.Since(started); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func merged(all ...map[string]string) map[string]string {
	one := map[string]string{}
	for _, part := range all {
		for name, content := range part {
			one[name] = content
		}
	}
	return one
}

// TestFill holds what texts may name, and how braces that are meant are written.
func TestFill(t *testing.T) {
	t.Parallel()
	place := Place{NodePort: "http://localhost:30000", Account: "us"}
	for text, want := range map[string]string{
		"ask {{.NodePort}}/":                  "ask http://localhost:30000/",
		"{{ .Account }}{{.Account}}":          "usus",
		"{{.Hellolab}} lab":                   "hellolab lab",
		"docker inspect -f '{{\"{{\"}}.Id}}'": "docker inspect -f '{{.Id}}'",
		"{{`{{.Id}}`}} }} {":                  "{{.Id}} }} {",
		"":                                    "",
	} {
		if got, err := place.fill(text); err != nil || got != want {
			t.Errorf("%q becomes %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{"{{", "{{.}}", "{{.account}}", "{{.Account.Name}}", "{{printf \"%99999d\" 1}}", "{{define \"a\"}}", "{{- .Account}}", "{{.Account | len}}", "{{\"a\nb\"}}"} {
		if got, err := place.fill(bad); err == nil {
			t.Errorf("%q becomes %q", bad, got)
		}
	}
}
