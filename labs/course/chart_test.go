package course

import (
	"strings"
	"testing"
	"testing/fstest"
)

// packaged is a course with a chart, whose second step begins anew.
func packaged(change map[string]string) fstest.MapFS {
	all := map[string]string{
		"course.yaml":                  "account: them\nnamespaces: [default, dev]\nchapters: [one]\n",
		"one/small/Chart.yaml":         "apiVersion: v2\nname: small\nversion: 0.1.0\n",
		"one/small/values.yaml":        "image: them/web:v1\nmessage: hello\n",
		"one/small/templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Values.message }}\nspec:\n  containers:\n    - name: web\n      image: {{ .Values.image }}\n",
		"one/edited.yaml":              "message: edited\n",
		"one/dev.yaml":                 "message: dev\n",
		"one/lab.yaml": `steps:
  - name: install
    do: [install: {release: mine, chart: one/small, repository: us}]
    expect: [release: {name: mine, chart: small}]
  - name: own
    after: nothing
    do:
      - install: {release: own, chart: one/small, version: 0.1.1, namespace: dev, values: [one/dev.yaml]}
      - upgrade: {release: own, chart: one/small, namespace: dev, edits: [one/edited.yaml]}
    expect: [release: {name: own, chart: small, version: '^0'}]
`,
	}
	for name, content := range change {
		all[name] = content
	}
	return files(all)
}

// TestCharts holds what comes out of a chart: objects in the release's namespace with the account that is asked for, which
// have no file to apply; and the files that a reader has of it.
func TestCharts(t *testing.T) {
	t.Parallel()
	course, err := Load(packaged(nil), "", "us")
	if err != nil {
		t.Fatal(err)
	}
	steps := course.Chapters[0].Steps
	for i, test := range []struct{ objects, files, images, releases string }{
		{"default/hello", "", "us/web:v1", "default/mine"},
		{"dev/dev dev/edited", "small/Chart.yaml small/templates/pod.yaml small/values.yaml edited.yaml", "us/web:v1", "dev/own"},
	} {
		var objects, files []string
		for _, object := range steps[i].Snapshot().Objects {
			objects = append(objects, object.GetNamespace()+"/"+object.GetName())
			if file := steps[i].Snapshot().FileOf(object.GetKind(), object.GetNamespace(), object.GetName()); file != "" {
				t.Errorf("%s comes with the file %s", object.GetName(), file)
			}
		}
		for _, manifest := range steps[i].Manifests() {
			if manifest.Name != "" {
				files = append(files, manifest.Name)
			}
		}
		got := []string{strings.Join(objects, " "), strings.Join(files, " "), strings.Join(steps[i].Snapshot().Images, " "), strings.Join(steps[i].Snapshot().Releases, " ")}
		if want := []string{test.objects, test.files, test.images, test.releases}; strings.Join(got, ";") != strings.Join(want, ";") {
			t.Errorf("%s has %q, want %q", steps[i].ID(), got, want)
		}
	}
	if before, path := steps[1].Start().Step, steps[1].Snapshot().Steps; before != steps[0] || len(path) != 1 {
		t.Errorf("a user comes to own with %v, and its path is %v", before, path)
	}
	if charts := course.Charts(); len(charts) != 1 || charts[0].Metadata.Version != "0.1.0" {
		t.Errorf("the chart repository holds %v", charts)
	}
	if chart, values := steps[1].Do[0].Operation.(*Install).Loaded(); chart.Metadata.Version != "0.1.1" || values["message"] != "dev" {
		t.Errorf("own installs %s with %v", chart.Metadata.Version, values)
	}
}

// TestChartsRefused holds that what is wrong with a chart is found before anything is installed.
func TestChartsRefused(t *testing.T) {
	t.Parallel()
	step := func(do string) map[string]string {
		return map[string]string{"one/lab.yaml": "steps:\n  - name: install\n    do:\n      - " + do + "\n    expect: [absent: {kind: Pod, name: web}]\n"}
	}
	for _, test := range []struct {
		change map[string]string
		want   string
	}{
		{step("install: {release: mine, chart: one/gone}"), "one/lab.yaml, line 4: one/gone cannot be read"},
		{step("install: {chart: one/small}"), `one/lab.yaml, line 4: "release" is missing`},
		{step("upgrade: {release: mine}"), `one/lab.yaml, line 4: "chart" is missing`},
		{step("rollback: {revision: 1}"), `one/lab.yaml, line 4: "release" is missing`},
		{step("publish: {version: 0.1.1}"), `one/lab.yaml, line 4: "chart" is missing`},
		{step("install: {release: mine, chart: one/small, values: [one/none.yaml]}"), "one/lab.yaml, line 4: one/none.yaml cannot be read"},
		{map[string]string{"one/small/templates/pod.yaml": "{{ .Values.message "}, "one/lab.yaml, line 3: one/small cannot be read"},
		{map[string]string{"one/small/templates/pod.yaml": "kind: Pod\n"}, "one/small/templates/pod.yaml, line 1: an object needs apiVersion, kind and metadata.name"},
		{map[string]string{"one/small/Chart.yaml": "name: small\n"}, "one/lab.yaml, line 3: one/small cannot be read"},
	} {
		_, err := Load(packaged(test.change), "", "us")
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("the failure is %v, want %s", err, test.want)
		}
	}
}
