package course

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hellolab/hellolab/messages"
)

const (
	soundCourse = `title: {en: A course, zh: 一门课}
account: us
namespaces: [default, dev]
chapters: [one]
`
	soundChapter = `title: {en: One, zh: 一}
steps:
  - name: first
    title: {en: First, zh: 第一步}
    guide: {en: "ask {{.NodePort}}", zh: "访问 {{.NodePort}}"}
    expect:
      - absent: {kind: Pod, name: web}
`
	soundPod = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: us/web:v1}]}
`
)

// files gives a sound course with other content for some of its files; "" takes one away.
func files(changed map[string]string) fstest.MapFS {
	all := fstest.MapFS{}
	for name, content := range map[string]string{"course.yaml": soundCourse, "one/lab.yaml": soundChapter, "one/first/pod.yaml": soundPod} {
		all[name] = &fstest.MapFile{Data: []byte(content)}
	}
	for name, content := range changed {
		all[name] = &fstest.MapFile{Data: []byte(content)}
		if content == "" {
			delete(all, name)
		}
	}
	return all
}

// step is a chapter of one step with other lines from line 4 on.
func step(lines ...string) map[string]string {
	return map[string]string{"one/lab.yaml": "title: {en: One}\nsteps:\n  - name: first\n    " + strings.Join(lines, "\n    ") + "\n"}
}

// expecting is a chapter of one step with one expectation, which begins in line 5.
func expecting(lines ...string) map[string]string {
	return step("expect:", "  - "+strings.Join(lines, "\n        "))
}

// pod is a course with another manifest.
func pod(content string) map[string]string { return map[string]string{"one/first/pod.yaml": content} }

// TestLoadRefuses holds what an author reads about each mistake. The lines are all that is said, so that nothing is
// told twice either.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	justOne := " it has to be just one of: object, absent, http, pods, endpoints, history, replaced, logs, image, pushed, runs, release, chart, loadBalancer"
	for _, test := range []struct {
		name    string
		changed map[string]string
		want    []string
	}{
		{"nothing", nil, nil},
		{"no course", map[string]string{"course.yaml": ""}, []string{"my/course.yaml cannot be read: open course.yaml: file does not exist"}},
		{"an empty course", map[string]string{"course.yaml": "# later\n"}, []string{"my/course.yaml: it is empty"}},
		{"an unknown key in the course", map[string]string{"course.yaml": soundCourse + "author: me\n"},
			[]string{`my/course.yaml, line 5: "author" is not a known key here`}},
		{"a wrong type in the course", map[string]string{"course.yaml": "namespaces: [default]\nchapters: one\n"},
			[]string{`my/course.yaml, line 2: "one" is not valid here: it must be a list`}},
		{"no chapters and no namespaces", map[string]string{"course.yaml": "title: {en: A}\n"},
			[]string{"my/course.yaml: it lists no chapters", "my/course.yaml: it lists no namespaces"}},
		{"namespaces of the lab's own", map[string]string{"course.yaml": "namespaces:\n  - default\n  - kube-system\n  - hellolab\n  - ingress-nginx\n  - local-path-storage\nchapters: [one]\n"},
			[]string{"my/course.yaml, line 3: the namespace kube-system belongs to the lab itself", "my/course.yaml, line 4: the namespace hellolab belongs to the lab itself",
				"my/course.yaml, line 5: the namespace ingress-nginx belongs to the lab itself", "my/course.yaml, line 6: the namespace local-path-storage belongs to the lab itself"}},
		{"a chapter with a bad name", map[string]string{"course.yaml": "namespaces: [default]\nchapters:\n  - one\n  - ../two\n"},
			[]string{`my/course.yaml, line 4: "../two" is not a valid name: use lower-case letters, digits and - only`}},
		{"a chapter twice", map[string]string{"course.yaml": "namespaces: [default]\nchapters:\n  - one\n  - one\n"},
			[]string{`my/course.yaml, line 4: "one" is there twice`}},
		{"a chapter without a file", map[string]string{"course.yaml": "namespaces: [default]\nchapters: [one, two]\n"},
			[]string{"my/two/lab.yaml cannot be read: open two/lab.yaml: file does not exist"}},

		{"an unknown key in a chapter", map[string]string{"one/lab.yaml": soundChapter + "      - absent: {kind: Pod, named: web}\n"},
			[]string{`my/one/lab.yaml, line 8: "named" is not a known key here`}},
		{"a wrong type in a chapter", expecting("pods: {labels: app=web, image: web, count: three}"),
			[]string{`my/one/lab.yaml, line 5: "three" is not valid here: it must be a whole number`}},
		{"a chapter that is not YAML", map[string]string{"one/lab.yaml": "title: {en: One\nsteps: []\n"},
			[]string{"my/one/lab.yaml, line 1: did not find expected ',' or '}'"}},
		{"no steps", map[string]string{"one/lab.yaml": "title: {en: One}\n"}, []string{"my/one/lab.yaml: it has no steps"}},
		{"a step with a bad name", map[string]string{"one/lab.yaml": strings.Replace(soundChapter, "first", "First", 1)},
			[]string{`my/one/lab.yaml, line 3: "First" is not a valid name: use lower-case letters, digits and - only`}},
		{"two steps of one name", map[string]string{"one/lab.yaml": soundChapter + "  - name: first\n    expect: [absent: {kind: Pod, name: web}]\n"},
			[]string{`my/one/lab.yaml, line 8: "first" is there twice`}},
		{"after an unknown step", map[string]string{"one/lab.yaml": soundChapter + "  - name: second\n    after: zeroth\n    expect: [absent: {kind: Pod, name: web}]\n"},
			[]string{`my/one/lab.yaml, line 9: no step before this one is called "zeroth"`}},
		{"after a later step", map[string]string{"one/lab.yaml": strings.Replace(soundChapter, "    title", "    after: second\n    title", 1) + "  - name: second\n    expect: [absent: {kind: Pod, name: web}]\n"},
			[]string{`my/one/lab.yaml, line 4: no step before this one is called "second"`}},
		{"after itself", step("after: first", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{`my/one/lab.yaml, line 4: no step before this one is called "first"`}},
		{"before an unknown chapter", map[string]string{"one/lab.yaml": "before: zero/first\n" + soundChapter},
			[]string{`my/one/lab.yaml, line 1: no chapter before this one has a step "zero/first"`}},
		{"before itself", map[string]string{"one/lab.yaml": "before: one/first\n" + soundChapter},
			[]string{`my/one/lab.yaml, line 1: no chapter before this one has a step "one/first"`}},
		{"a part that no lab has", step("needs: [ingress, gpu]", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{`my/one/lab.yaml, line 4: a lab has no part "gpu"`}},
		{"a guide that names an unknown field", step(`guide:`, `  en: "ask {{.Port}}"`, `  zh: "{{.Name"`, "expect: [absent: {kind: Pod, name: web}]"),
			[]string{`my/one/lab.yaml, line 5: it is not a valid guide: there is no {{.Port}}; there are Account, Charts, Context, Hellolab, Ingress, Name, Node, NodePort, Registry`,
				`my/one/lab.yaml, line 6: it is not a valid guide: "{{.Name" is not {{.NAME}}`}},

		{"two actions in one", step("do:", "  - apply: [first/pod.yaml]", "    complete: pod/web", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{"my/one/lab.yaml, line 5: it has to be just one of: apply, undo, complete, replace, install, upgrade, rollback, publish, push, patch, delete"}},
		{"no action", step("exercise:", "  - namespace: dev", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{"my/one/lab.yaml, line 5: it has to be just one of: apply, undo, complete, replace, install, upgrade, rollback, publish, push, patch, delete"}},
		{"an unknown key beside an action", step("do:", "  - complete: pod/web", "    within: 1m", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{`my/one/lab.yaml, line 6: "within" is not a known key here`}},
		{"an action without a value", step("do:", "  - complete:", "  -", "  - {replace: '', namespace: dev}", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{"my/one/lab.yaml, line 6: it is empty",
				"my/one/lab.yaml, line 5: it has to be just one of: apply, undo, complete, replace, install, upgrade, rollback, publish, push, patch, delete",
				`my/one/lab.yaml, line 7: "replace" is missing`}},
		{"an action that is a word, and one with a wrong value", step("do:", "  - apply", "  - apply: first/pod.yaml", "  - undo: {deployment: web, revision: last, to: 1}", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{`my/one/lab.yaml, line 5: "apply" is not valid here: it must be a group of settings`,
				`my/one/lab.yaml, line 6: "first/p..." is not valid here: it must be a list`,
				`my/one/lab.yaml, line 7: "last" is not valid here: it must be a whole number`,
				`my/one/lab.yaml, line 7: "to" is not a known key here`}},
		{"something else to complete", step("do:", "  - complete: service/web", "  - complete: pod", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{`my/one/lab.yaml, line 5: "service/web" is not deployment/NAME, job/NAME or pod/NAME`,
				`my/one/lab.yaml, line 6: "pod" is not deployment/NAME, job/NAME or pod/NAME`}},
		{"a manifest that is not there", step("do:", "  - apply: [first/pod.yaml, first/gone.yaml]", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{"my/one/lab.yaml, line 5: first/gone.yaml cannot be read: open one/first/gone.yaml: file does not exist"}},
		{"a given manifest that is not there", map[string]string{"one/lab.yaml": strings.Replace(soundChapter, "steps", "given: [one/gone.yaml]\nsteps", 1)},
			[]string{"my/one/lab.yaml, line 2: one/gone.yaml cannot be read: open one/gone.yaml: file does not exist"}},

		{"a manifest that is not YAML", pod("kind: Pod\nmetadata: {name: web\n"), []string{"my/one/first/pod.yaml, line 1: did not find expected ',' or '}'"}},
		{"a manifest with tabs", pod("kind: Pod\nmetadata:\n\tname: web\n"), []string{"my/one/first/pod.yaml, line 3, character 1: there is a tab; type spaces instead"}},
		{"a manifest without objects", pod("---\n# later\n---\n"), []string{"my/one/first/pod.yaml: it has no objects"}},
		{"an object without a kind", pod(soundPod + "---\napiVersion: v1\nmetadata: {name: web}\n"),
			[]string{"my/one/first/pod.yaml, line 6: an object needs apiVersion, kind and metadata.name"}},
		{"an object without a name", pod("apiVersion: v1\nkind: Pod\n---\n" + soundPod),
			[]string{"my/one/first/pod.yaml, line 1: an object needs apiVersion, kind and metadata.name"}},
		{"an object without a version", pod("kind: Pod\nmetadata: {name: web}\n---\n" + soundPod),
			[]string{"my/one/first/pod.yaml, line 1: an object needs apiVersion, kind and metadata.name"}},

		{"objects that are in no namespace", pod(soundPod + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: dev}\n---\n" +
			"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: web}\n---\n" +
			"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: web, namespace: dev}\n---\n" +
			"apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: web}\n---\n" +
			"apiVersion: example.com/v1\nkind: ClusterRole\nmetadata: {name: web}\n"),
			[]string{"my/one/first/pod.yaml, line 10: ClusterRole web is not in a namespace: apart from Namespaces, a course can only have objects that are",
				"my/one/first/pod.yaml, line 14: PersistentVolume web is not in a namespace: apart from Namespaces, a course can only have objects that are",
				"my/one/first/pod.yaml, line 18: IngressClass web is not in a namespace: apart from Namespaces, a course can only have objects that are"}},

		{"no expectation", step("title: {en: First}"), []string{"my/one/lab.yaml, line 3: the step first expects nothing"}},
		{"an empty expectation", expecting("why: {en: so}"), []string{"my/one/lab.yaml, line 5:" + justOne}},
		{"two expectations in one", expecting("image: us/web:v1", "runs: {name: web}"), []string{"my/one/lab.yaml, line 5:" + justOne}},
		{"a next command that names an unknown field", expecting("image: us/web:v1", `next: "curl {{.Port}}"`),
			[]string{`my/one/lab.yaml, line 5: "curl {{.Port}}" is not a valid command: there is no {{.Port}}; there are Account, Charts, Context, Hellolab, Ingress, Name, Node, NodePort, Registry`}},
		{"an object that names nothing", expecting("object: {spec: {replicas: 1}}"),
			[]string{`my/one/lab.yaml, line 5: "apiVersion" is missing`, `my/one/lab.yaml, line 5: "kind" is missing`, `my/one/lab.yaml, line 5: "metadata.name" is missing`}},
		{"a bad pattern in an object", expecting("object:", "  apiVersion: v1", "  kind: Pod", "  metadata: {name: web}", "  spec:", "    a: !match '('", "    b: !base64 '['", "    c: !least many"),
			[]string{"my/one/lab.yaml, line 10: !match ( is not a valid pattern: error parsing regexp: missing closing ): `(`",
				"my/one/lab.yaml, line 11: !base64 [ is not a valid pattern: error parsing regexp: missing closing ]: `[`",
				`my/one/lab.yaml, line 12: !least many is not a valid pattern: strconv.ParseFloat: parsing "many": invalid syntax`}},
		{"an unknown tag", expecting("object:", "  apiVersion: v1", "  kind: Pod", "  metadata: {name: web}", "  spec: {replicas: !most 3}"),
			[]string{"my/one/lab.yaml, line 9: !most 3 is not a valid pattern: there is no tag !most"}},
		{"an alias in an object", expecting("object:", "  apiVersion: v1", "  kind: Pod", "  metadata: {name: &name web}", "  spec:", "    name: *name"),
			[]string{"my/one/lab.yaml, line 10: an object has to be written out, without an alias"}},
		{"nothing to be absent", expecting("absent: {}"), []string{`my/one/lab.yaml, line 5: "name" is missing`, `my/one/lab.yaml, line 5: "kind" is missing`}},
		{"nobody to ask", expecting("http: {path: /}"), []string{"my/one/lab.yaml, line 5: it has to be just one of: pod, pods, service, nodePort, ingress",
			`my/one/lab.yaml, line 5: "port" is missing`, `my/one/lab.yaml, line 5: "answers" is missing`}},
		{"two to ask", expecting("http: {nodePort: web, ingress: /, answers: .}"), []string{"my/one/lab.yaml, line 5: it has to be just one of: pod, pods, service, nodePort, ingress"}},
		{"no port to ask at", expecting("http: {service: web, answers: .}"), []string{`my/one/lab.yaml, line 5: "port" is missing`}},
		{"labels that are none, asked", expecting("http: {pods: 'app in', port: 80, answers: .}"),
			[]string{`my/one/lab.yaml, line 5: "app in" is not a valid list of labels: unable to parse requirement: found '' expected: '('`}},
		{"labels that are none, counted", expecting("pods: {labels: 'app in', image: web}"),
			[]string{`my/one/lab.yaml, line 5: "app in" is not a valid list of labels: unable to parse requirement: found '' expected: '('`}},
		{"unknown keys, in the order of the file", expecting("image: us/web:v1", "when: later", "because: {en: so}", "after: that"),
			[]string{`my/one/lab.yaml, line 6: "when" is not a known key here`, `my/one/lab.yaml, line 7: "because" is not a known key here`,
				`my/one/lab.yaml, line 8: "after" is not a known key here`}},
		{"an explanation that names an unknown field", expecting("image: us/web:v1", "why: {en: 'see {{.Port}}', zh: '{{'}"),
			[]string{`my/one/lab.yaml, line 5: "see {{.Port}}" is not a valid explanation: there is no {{.Port}}; there are Account, Charts, Context, Hellolab, Ingress, Name, Node, NodePort, Registry`,
				`my/one/lab.yaml, line 5: "{{" is not a valid explanation: "{{" is not {{.NAME}}`}},
		{"an ingress that leads elsewhere", expecting("http: {ingress: '@evil.example/', answers: .}"),
			[]string{`my/one/lab.yaml, line 5: ingress: "@evil.example/" is not a valid path: it has to begin with / and must not lead back`}},
		{"an ingress at another port", expecting("http: {ingress: ':8080/', answers: .}"),
			[]string{`my/one/lab.yaml, line 5: ingress: ":8080/" is not a valid path: it has to begin with / and must not lead back`}},
		{"an ingress of another name", expecting("http: {ingress: .evil.example/, answers: .}"),
			[]string{`my/one/lab.yaml, line 5: ingress: ".evil.example/" is not a valid path: it has to begin with / and must not lead back`}},
		{"paths that lead back", expecting("http: {service: web, port: 80, path: ../../../secrets, answers: .}"),
			[]string{`my/one/lab.yaml, line 5: path: "/../../../secrets" is not a valid path: it has to begin with / and must not lead back`}},
		{"paths that lead back in disguise", expecting(`http: {pod: web, port: 80, path: "/%2e%2e/secrets", answers: .}`),
			[]string{`my/one/lab.yaml, line 5: path: "/%2e%2e/secrets" is not a valid path: it has to begin with / and must not lead back`}},
		{"a path that is none", expecting(`http: {nodePort: web, path: "/a\nb", answers: .}`),
			[]string{`my/one/lab.yaml, line 5: path: "/a\nb" is not a valid path: it has to begin with / and must not lead back`}},
		{"paths", expecting("http: {ingress: '/a@b:8080/?c=//d', answers: .}"), nil},
		{"a manifest that is a folder", step("do: [apply: [first]]", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{"my/one/lab.yaml, line 4: first cannot be read: it is not a regular file"}},
		{"actions in the lab's namespaces", step("do:", "  - {namespace: kube-system, replace: coredns}", "  - rollback: {release: charts, namespace: hellolab}", "expect: [absent: {kind: Pod, name: web}]"),
			[]string{"my/one/lab.yaml, line 5: the namespace kube-system belongs to the lab itself", "my/one/lab.yaml, line 6: the namespace hellolab belongs to the lab itself"}},
		{"a chart whose schema leads elsewhere", merged(step("do: [install: {release: web, chart: one/chart}]", "expect: [absent: {kind: Pod, name: web}]"), map[string]string{
			"one/chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 0.1.0\n", "one/chart/templates/a.yaml": soundPod,
			"one/chart/values.schema.json": `{"$schema": "https://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/b"}, "c": {"$ref": "file:///etc/passwd"}, "d": [{"$ref": "http://127.0.0.1/"}]}}`}),
			[]string{"my/one/lab.yaml, line 4: one/chart: values.schema.json refers to file:///etc/passwd, http://127.0.0.1/; it may refer to parts of itself (#...) only"}},
		{"values with a slip", merged(step("do: [install: {release: web, chart: one/chart, values: [one/values.yaml]}]", "expect: [absent: {kind: Pod, name: web}]"), map[string]string{
			"one/chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 0.1.0\n", "one/chart/templates/a.yaml": soundPod, "one/values.yaml": "replicas：3\n"}),
			[]string{"my/one/values.yaml, line 1, character 9: type : instead of ："}},
		{"a manifest with a slip", pod("apiVersion: v1\nkind： Pod\nmetadata: {name: web}\n"), []string{"my/one/first/pod.yaml, line 2, character 5: type : instead of ："}},
		{"a chapter with a slip", map[string]string{"one/lab.yaml": strings.Replace(soundChapter, "expect:", "expect：", 1)},
			[]string{"my/one/lab.yaml, line 6, character 11: type : instead of ："}},
		{"files of Windows'", map[string]string{"course.yaml": "\ufeff" + strings.ReplaceAll(soundCourse, "\n", "\r\n"), "one/first/pod.yaml": "\ufeff" + strings.ReplaceAll(soundPod, "\n", "\r\n")}, nil},
		{"no image", expecting("image: ''"), []string{`my/one/lab.yaml, line 5: "image" is missing`}},
		{"no service", expecting("endpoints: {count: 1}"), []string{`my/one/lab.yaml, line 5: "service" is missing`}},
		{"no deployment", expecting("history: {images: [web]}"), []string{`my/one/lab.yaml, line 5: "deployment, images" is missing`}},
		{"a history of nothing", expecting("history: {deployment: web}"), []string{`my/one/lab.yaml, line 5: "deployment, images" is missing`}},
		{"no name of what was replaced", expecting("replaced: {kind: Deployment}"), []string{`my/one/lab.yaml, line 5: "name" is missing`}},
		{"no name of what runs", expecting("runs: {namespace: dev}"), []string{`my/one/lab.yaml, line 5: "name" is missing`}},
		{"logs of nothing", expecting("logs: {match: a}"), []string{`my/one/lab.yaml, line 5: "job" is missing`}},
		{"logs like nothing", expecting("logs: {job: a}"), []string{`my/one/lab.yaml, line 5: "match" is missing`}},
		{"a tag on a group", expecting("object: {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: !foo {a: b}}"), []string{`my/one/lab.yaml, line 5: !foo belongs to a single value`}},
		{"an image's account", expecting("object: {apiVersion: v1, kind: Pod, metadata: {name: web}, a: !image me/web}"),
			[]string{`my/one/lab.yaml, line 5: !image me/web is not a valid pattern: only the end of an image's name counts, behind the last /`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(files(test.changed), "my", "us")
			var got string
			if err != nil {
				got = err.Error()
			}
			if want := strings.Join(test.want, "\n"); got != want {
				t.Errorf("the errors are\n%s\nwant\n%s", got, want)
			}
			if err != nil && !messages.IsUsage(err) {
				t.Error("they are not about wrong input")
			}
		})
	}
}

// TestSources holds that the sources of images are among a step's files, and that a tag without any is refused where the chapter names it.
func TestSources(t *testing.T) {
	t.Parallel()
	course, err := Load(files(step("sources: [v1, v9]", "expect: [absent: {kind: Pod, name: web}]")), "my", "us")
	if err != nil {
		t.Fatal(err)
	}
	err = course.AddSources(func(tag string) ([]File, error) {
		if tag == "v9" {
			return nil, messages.Usagef("there is no image tag %q", tag)
		}
		return []File{{tag + "/main.go", "package main"}}, nil
	})
	if err == nil || err.Error() != `my/one/lab.yaml, line 4: there is no image tag "v9"` || !messages.IsUsage(err) {
		t.Errorf("the error is %v", err)
	}
	shown := course.Chapters[0].Steps[0].Files()
	if len(shown) != 2 || shown[0].Name != "pod.yaml" || shown[1] != (File{"v1/main.go", "package main"}) {
		t.Errorf("the files are %v", shown)
	}
}

// TestLoadRefusesBadAnswers holds that a pattern which the YAML library reads has its file and line, too.
func TestLoadRefusesBadAnswers(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"http: {pod: web, port: 80, answers: '('}", "logs: {job: web, match: '('}"} {
		_, err := Load(files(expecting(bad)), "my", "us")
		if err == nil {
			t.Errorf("%s is taken", bad)
			continue
		}
		for _, want := range []string{"my/one/lab.yaml, line 5: ", "is not a valid pattern: error parsing regexp: missing closing ): `(`"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s gives %q, which lacks %q", bad, err, want)
			}
		}
	}
}

// TestLoadReportsEverything holds that one run shows the mistakes of all files, each on a line, and the hint once.
func TestLoadReportsEverything(t *testing.T) {
	t.Parallel()
	_, err := Load(files(map[string]string{
		"course.yaml": "namespaces:\n  - kube-public\nchapters: [one, two, three]\n",
		"one/lab.yaml": `title: {en: One}
given: [one/given/none.yaml]
steps:
  - name: first
    after: second
    expect:
      - image: us/web:v1
        runs: {name: web}
      - absent: {kind: Pod}
  - name: first
    do:
      - apply: [first/pod.yaml]
        replace: web
`,
		"one/first/pod.yaml": "kind: Pod\n",
		"two/lab.yaml":       "steps:\n  - nam: first\n    expect: yes\n",
	}), "my/course", "us")
	if err == nil {
		t.Fatal("the course is taken")
	}
	want := `error: my/course/course.yaml, line 2: the namespace kube-public belongs to the lab itself
error: my/course/one/lab.yaml, line 2: one/given/none.yaml cannot be read: open one/given/none.yaml: file does not exist
error: my/course/one/lab.yaml, line 5: no step before this one is called "second"
error: my/course/one/first/pod.yaml, line 1: an object needs apiVersion, kind and metadata.name
error: my/course/one/first/pod.yaml: it has no objects
error: my/course/one/lab.yaml, line 7: it has to be just one of: object, absent, http, pods, endpoints, history, replaced, logs, image, pushed, runs, release, chart, loadBalancer
error: my/course/one/lab.yaml, line 9: "name" is missing
error: my/course/one/lab.yaml, line 10: "first" is there twice
error: my/course/one/lab.yaml, line 12: it has to be just one of: apply, undo, complete, replace, install, upgrade, rollback, publish, push, patch, delete
error: my/course/one/lab.yaml, line 10: the step first expects nothing
error: my/course/two/lab.yaml, line 2: "nam" is not a known key here
error: my/course/two/lab.yaml, line 3: "yes" is not valid here: it must be a list
error: my/course/three/lab.yaml cannot be read: open three/lab.yaml: file does not exist
next: docs/courses.md describes the format of a course
`
	if got := (messages.Printer{}).Report(err); got != want {
		t.Errorf("the report is\n%s\nwant\n%s", got, want)
	}
}

// TestLoadApplies holds what a step applies: the files that it lists, or else all in its folder.
func TestLoadApplies(t *testing.T) {
	t.Parallel()
	more := map[string]string{"one/first/a.yaml": soundPod, "one/first/b.yaml": soundPod, "one/first/b.txt": "notes"}
	for _, test := range []struct {
		name, do, want string
	}{
		{"nothing said", "", "a.yaml b.yaml pod.yaml"},
		{"two files", "    do: [apply: [first/pod.yaml, first/a.yaml]]\n", "pod.yaml a.yaml"},
		{"something else", "    do: [complete: pod/web]\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := files(more)
			all["one/lab.yaml"] = &fstest.MapFile{Data: []byte(soundChapter + test.do)}
			course, err := Load(all, "my", "us")
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, manifest := range course.Chapters[0].Steps[0].Manifests() {
				names = append(names, manifest.Name)
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("it applies %q, want %q", got, test.want)
			}
		})
	}
}

// TestLoadObjects holds that objects have the namespace of their manifest, their action's, or default, and numbers as
// the API server's clients have them.
func TestLoadObjects(t *testing.T) {
	t.Parallel()
	manifest := `# a comment
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 3000, weight: 0.5, large: 1152921504606846977}]}
---
# nothing but a comment
---
apiVersion: v1
kind: Namespace
metadata: {name: dev}
---
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: test, annotations: {since: 2020-01-01T00:00:00Z}}
`
	for _, test := range []struct{ namespace, want string }{
		{"", "Service default/web, Namespace /dev, Secret test/web"},
		{"dev", "Service dev/web, Namespace /dev, Secret test/web"},
	} {
		all := files(pod(manifest))
		all["one/lab.yaml"] = &fstest.MapFile{Data: []byte(soundChapter + "    do: [{apply: [first/pod.yaml], namespace: '" + test.namespace + "'}]\n")}
		course, err := Load(all, "my", "us")
		if err != nil {
			t.Fatal(err)
		}
		objects := course.Chapters[0].Steps[0].Snapshot().Objects
		var names []string
		for _, object := range objects {
			names = append(names, object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName())
		}
		if got := strings.Join(names, ", "); got != test.want {
			t.Fatalf("the objects are %s, want %s", got, test.want)
		}
		port := objects[0].Object["spec"].(map[string]any)["ports"].([]any)[0].(map[string]any)
		if port["port"] != int64(3000) || port["weight"] != 0.5 || port["large"] != int64(1)<<60+1 {
			t.Errorf("the numbers are %T %v, %T %v and %T %v", port["port"], port["port"], port["weight"], port["weight"], port["large"], port["large"])
		}
		objects[0].DeepCopy() // which panics on what JSON does not have
		objects[2].DeepCopy()
	}
}

// TestLoadAccount holds that the course's own images come from another account, and nobody else's do.
func TestLoadAccount(t *testing.T) {
	t.Parallel()
	manifest := `apiVersion: v1
kind: Pod
metadata: {name: web, annotations: {from: us/web}}
spec:
  containers:
    - {name: a, image: us/web:v1}
    - name: b
      image: "us/web:v2"
    - image: 'us/web:v3'
    - image: nginx
    - image: bus/web:v1
    - image: docker.io/us/web:v1
`
	all := files(pod(manifest))
	all["one/lab.yaml"] = &fstest.MapFile{Data: []byte(soundChapter + "      - image: us/web:v4\n      - image: bus/web:v2\n")}
	for account, want := range map[string]string{
		"us":   "bus/web:v1 bus/web:v2 docker.io/us/web:v1 nginx us/web:v1 us/web:v2 us/web:v3 us/web:v4",
		"them": "bus/web:v1 bus/web:v2 docker.io/us/web:v1 nginx them/web:v1 them/web:v2 them/web:v3 them/web:v4",
	} {
		course, err := Load(all, "my", account)
		if err != nil {
			t.Fatal(err)
		}
		step := course.Chapters[0].Steps[0]
		if got := strings.Join(step.Snapshot().Images, " "); got != want {
			t.Errorf("with the account %s, the images are\n%s\nwant\n%s", account, got, want)
		}
		shown := step.Manifests()[0].Content
		if wanted := strings.NewReplacer("image: us/", "image: "+account+"/", `"us/`, `"`+account+"/", "'us/", "'"+account+"/").Replace(manifest); shown != wanted {
			t.Errorf("with the account %s, readers see\n%s\nwant\n%s", account, shown, wanted)
		}
		if course.Account != account {
			t.Errorf("the account is %s, want %s", course.Account, account)
		}
	}
}

// TestLoadRefusesEmptySteps holds that a list item without content, and a chapter that another one builds on and that
// cannot be read, are told, and do not end the program.
func TestLoadRefusesEmptySteps(t *testing.T) {
	t.Parallel()
	_, err := Load(fstest.MapFS{
		"course.yaml":  {Data: []byte("namespaces: [default]\nchapters: [one, two]\n")},
		"one/lab.yaml": {Data: []byte("steps:\n  -\n")},
		"two/lab.yaml": {Data: []byte("before: one\nsteps:\n  - name: a\n    expect: [{image: b}]\n")},
	}, "my", "us")
	for _, want := range []string{"my/one/lab.yaml, line 2: it is empty", `my/two/lab.yaml, line 1: no chapter before this one has a step "one"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}
