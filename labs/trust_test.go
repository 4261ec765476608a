package labs

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

const privilegedPod = "{apiVersion: v1, kind: Pod, metadata: {name: bad, namespace: dev}, spec: {containers: [{name: a, image: a, securityContext: {privileged: true}}]}}"

// fullRecord is Helm's record of a release with a manifest and a hook.
func fullRecord(t *testing.T, manifest, hook string) *unstructured.Unstructured {
	t.Helper()
	content, err := json.Marshal(map[string]any{"manifest": manifest, "hooks": []any{nil, map[string]any{"manifest": hook}}})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	writer.Write(content)
	writer.Close()
	once := base64.StdEncoding.EncodeToString(packed.Bytes())
	secret := object(t, "{apiVersion: v1, kind: Secret, metadata: {name: sh.helm.release.v1.web.v1, namespace: dev, labels: {owner: helm, name: web, version: '1'}}}")
	secret.Object["data"] = map[string]any{"release": base64.StdEncoding.EncodeToString([]byte(once))}
	return secret
}

// TestVetFile holds that a saved file is refused before anything is done, with each object that could do more than run
// containers, and that the user's word lets it pass.
func TestVetFile(t *testing.T) {
	t.Parallel()
	l := small(t)
	for _, test := range []struct {
		name   string
		object *unstructured.Unstructured
		want   string // in the error, or "" for none
	}{
		{"a plain object", tricky(t), ""},
		{"a privileged pod", object(t, privilegedPod), "pod/bad -n dev: privileged: it has the rights of root on the node"},
		{"a release", fullRecord(t, "---\n# Source: a\nkind: ConfigMap\n", "kind: Pod\n"), ""},
		{"a release with a privileged pod", fullRecord(t, "---\n"+privilegedPod+"\n---\nkind: ConfigMap\n", ""), "pod/bad -n dev: privileged: it has the rights of root on the node"},
		{"a release with such a hook", fullRecord(t, "", privilegedPod), "pod/bad -n dev: privileged: it has the rights of root on the node"},
		{"a release in the lab's namespace", fullRecord(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}}", ""),
			"configmap/coredns -n kube-system: the namespace kube-system belongs to the lab itself"},
		{"a release that is none", object(t, "{apiVersion: v1, kind: Secret, metadata: {name: r, namespace: dev, labels: {owner: helm, name: web, version: '1'}}, data: {release: eA==}}"),
			"secret/r -n dev: what helm has recorded there cannot be read: "},
		{"a release that is no YAML", fullRecord(t, "a: b: c\n", ""), "secret/sh.helm.release.v1.web.v1 -n dev: what helm has recorded there cannot be read: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := l.vetFile("my lab.yaml", []*unstructured.Unstructured{test.object})
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !messages.IsUsage(err) {
				t.Fatalf("it is %v", err)
			}
			report := messages.Printer{}.Report(err)
			for _, want := range []string{"error: my lab.yaml could do more than to run containers in its namespaces; nothing was changed\n",
				"error: " + test.want, "hellolab lab restore --trust 'my lab.yaml'\n"} {
				if !strings.Contains(report, want) {
					t.Errorf("it says\n%s\nwithout %q", report, want)
				}
			}
			trusting := *l
			trusting.Trust.Given = true
			if err := trusting.vetFile("my lab.yaml", []*unstructured.Unstructured{test.object}); err != nil {
				t.Errorf("with the user's word: %v", err)
			}
		})
	}
}

// TestVet holds that somebody else's course needs the user's word for what the built-in one may do, and that not all of a long
// list is told.
func TestVet(t *testing.T) {
	t.Parallel()
	var pods strings.Builder
	for i := range mostNamed + 7 {
		fmt.Fprintf(&pods, "---\n%s\n", strings.Replace(privilegedPod, "name: bad", fmt.Sprintf("name: bad%d", i), 1))
	}
	lessons, err := course.Load(fstest.MapFS{
		"course.yaml":       {Data: []byte("title: {en: Theirs}\nnamespaces: [default, dev]\nchapters: [pod]\n")},
		"pod/lab.yaml":      {Data: []byte("steps: [{name: first, expect: [runs: {name: a}]}, {name: second, expect: [runs: {name: a}]}]\n")},
		"pod/first/a.yaml":  {Data: []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n")},
		"pod/second/a.yaml": {Data: []byte(pods.String())},
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	steps := lessons.Chapters[0].Steps
	l := &Labs{Course: lessons, Trust: Trust{Foreign: true}}
	if err := l.Vet(steps[0], steps[0].Snapshot()); err != nil {
		t.Errorf("a harmless step: %v", err)
	}
	err = l.Vet(steps[1], steps[1].Snapshot())
	if err == nil || !messages.IsUsage(err) {
		t.Fatalf("a privileged step: %v", err)
	}
	report := messages.Printer{}.Report(err)
	for _, want := range []string{"error: the course Theirs could do more", "error: pod/bad49 -n dev: privileged", "error: and 7 more\n", ": hellolab lab --trust pod/second\n"} {
		if !strings.Contains(report, want) {
			t.Errorf("it says\n%s\nwithout %q", report, want)
		}
	}
	if err := l.Vet(steps[1], steps[1].Start()); err != nil {
		t.Errorf("the state before it: %v", err)
	}
	if err := l.VetObject(object(t, privilegedPod)); err == nil || messages.IsUsage(err) || !strings.HasSuffix(err.Error(), "; it is not installed without hellolab lab --trust CHAPTER/STEP") {
		t.Errorf("what a chart makes: %v", err)
	}
	for _, trust := range []Trust{{}, {Foreign: true, Given: true}} {
		l.Trust = trust
		if err := l.Vet(steps[1], steps[1].Snapshot()); err != nil || l.VetObject(object(t, privilegedPod)) != nil {
			t.Errorf("%+v: %v", trust, err)
		}
	}
}
