package course

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// FuzzLoad holds that a course is read or refused in a moment, whatever its files say, and that all of it can be shown. What
// a chart's templates do has bounds of its own, which a fuzz test cannot wait for: the template stays.
func FuzzLoad(f *testing.F) {
	const chart, values = "apiVersion: v2\nname: chart\nversion: 0.1.0\n", "a: b\n"
	f.Add(soundCourse, soundChapter, soundPod, chart, values, "{}")
	for _, name := range []string{"pod", "deployment", "service", "ingress", "namespace", "configmap", "secret", "job", "helm", "dashboard"} {
		lab, err := Embedded().Open(name + "/lab.yaml")
		if err != nil {
			f.Fatal(err)
		}
		content := make([]byte, 8<<10)
		n, _ := lab.Read(content)
		f.Add(soundCourse, string(content[:n]), soundPod, chart, values, "{}")
	}
	f.Add(soundCourse, "title: {en: One}\nsteps:\n  - name: first\n    do: [apply: [first/pod.yaml], install: {release: web, chart: one/chart, edits: [one/chart/values.yaml], values: [one/chart/values.yaml]}, upgrade: {release: web, chart: one/chart, version: 2.0.0}, rollback: {release: web}, publish: {chart: one/chart}]\n    expect: [chart: {name: chart, version: .}, release: {name: web, chart: chart}]\n",
		soundPod+"---\n{apiVersion: v1, kind: List, metadata: {name: a}, items: [{spec: {containers: [{securityContext: {privileged: true}}]}}, 1]}\n", chart, "a: &a [b]\nc: *a\n", `{"$ref": "#", "properties": {"a": {"pattern": "("}}}`)
	f.Add(soundCourse, soundChapter+"    faults: [{name: a, symptom: {en: b}, cause: {en: c}, remedy: [d], plant: [patch: {kind: Pod, name: web, with: {spec: {containers: [{name: web, securityContext: {privileged: true}}]}}}, delete: {kind: Node, labels: a=b}]}]\n",
		soundPod, chart, values, "{}")
	f.Fuzz(func(t *testing.T, course, chapter, manifest, metadata, values, schema string) {
		started := time.Now()
		loaded, err := Load(fstest.MapFS{"course.yaml": {Data: []byte(course)}, "one/lab.yaml": {Data: []byte(chapter)}, "one/first/pod.yaml": {Data: []byte(manifest)},
			"one/chart/Chart.yaml": {Data: []byte(metadata)}, "one/chart/values.yaml": {Data: []byte(values)}, "one/chart/values.schema.json": {Data: []byte(schema)},
			"one/chart/templates/a.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name | quote }}}\ndata: {{ .Values | toJson }}\n")}}, "my", "them")
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
		if err != nil {
			if !messages.IsUsage(err) {
				t.Errorf("it is refused with %v", err)
			}
			return
		}
		loaded.Charts()
		for _, chapter := range loaded.Chapters {
			for _, step := range chapter.Steps {
				_ = (Place{}).Guide(step).String()
				step.Snapshot().Dangers()
				for _, fault := range step.Faults {
					fault.Dangers()
					fault.Images(loaded)
					if loaded.Fault(fault.ID()) != fault {
						t.Errorf("%s is not found", fault.ID())
					}
				}
				step.Start().FileOf("Pod", "default", "web")
				if found, err := loaded.Find(step.ID()); found != step || err != nil {
					t.Errorf("%s is not found: %v", step.ID(), err)
				}
			}
		}
	})
}

// FuzzFill holds that a text is filled in with nothing but the lab's fields, or refused.
func FuzzFill(f *testing.F) {
	for _, seed := range []string{"ask {{.NodePort}}", "{{\"{{\"}}.Id}}", "{{`}}`}}", "{{{{.Name}}}}", "{{ .Name }", "{{.Name}}{{", "{{\"a\\\"}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filled, err := Place{Name: "web"}.fill(text)
		if err == nil && !strings.Contains(text, "{{") && filled != text || len(filled) > 10*len(text) {
			t.Errorf("%q becomes %q", text, filled)
		}
	})
}

// FuzzMatcher holds that every pattern that is taken can be compared with any value, and that a plain value equals itself.
func FuzzMatcher(f *testing.F) {
	for _, seed := range []string{"a: !match ^v1$", "a: !image web:v1", "a: !base64 .", "a: !least 3", "a: v1", "a: 1.0", "a: ~", "a: !!str 1", "a: !least NaN", "a: !least 0x1p-2", "a: !most 1"} {
		f.Add(seed, "v1", 1.5)
	}
	f.Fuzz(func(t *testing.T, pattern, text string, number float64) {
		var node yaml.Node
		if yaml.Unmarshal([]byte(pattern), &node) != nil || len(node.Content) == 0 || node.Content[0].Kind != yaml.MappingNode || len(node.Content[0].Content) < 2 {
			return
		}
		matcher, err := NewMatcher(node.Content[0].Content[1])
		if err != nil {
			return
		}
		for _, value := range []any{text, number, nil, true, int64(number), []any{text}, map[string]any{text: number}} {
			matcher.Match(value)
		}
		if leaf := node.Content[0].Content[1]; leaf.Kind == yaml.ScalarNode && strings.HasPrefix(leaf.Tag, "!!") && !matcher.Match(leaf.Value) {
			t.Errorf("%s does not match itself", leaf.Value)
		}
	})
}

// FuzzDangers holds that every object can be looked at, and that a privileged container is found wherever it is.
func FuzzDangers(f *testing.F) {
	for _, seed := range []string{soundPod, "kind: List\nitems: [{kind: List, items: [{kind: Pod}]}]\n", "spec: {volumes: [1, {hostPath: x}], containers: {a: b}}\n", "roleRef: []\nkind: RoleBinding\n",
		"kind: Service\nspec: {externalIPs: [1, {a: b}]}\n", "metadata: []\nitems: {}\n", "spec: {containers: [{ports: [{hostPort: 1e400}], securityContext: []}]}\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, manifest string) {
		var node yaml.Node
		if yaml.Unmarshal([]byte(manifest), &node) != nil || node.Kind == 0 {
			return
		}
		object, err := DecodeObject(&node)
		if err != nil || object.Object == nil {
			return
		}
		for _, danger := range Dangers(inList([]any{object.Object})) {
			_ = danger.Text().String()
		}
		ImagesIn(object.Object)
		object.Object["hidden"] = []any{map[string]any{"initContainers": []any{map[string]any{"securityContext": map[string]any{"privileged": true}}}}}
		if !strings.Contains(joined(Dangers(inList([]any{object.Object}))), "privileged: ") {
			t.Errorf("%s hides a privileged container", manifest)
		}
	})
}

func joined(dangers []Danger) string {
	var lines strings.Builder
	for _, danger := range dangers {
		lines.WriteString(danger.Text().String() + "\n")
	}
	return lines.String()
}
