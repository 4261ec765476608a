package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/images"
)

// TestShowWrite holds that a step's files are written where they are wanted, that those of another step give way, and that what the reader
// has changed does not.
func TestShowWrite(t *testing.T) {
	m := newMachine(t)
	m.must(exitDone, []string{"lab", "show", "deployment/create", "--write", "work"}, filepath.Join("work", "deployment.yaml"))
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join("work", filepath.FromSlash(name)))
		m.check(err)
		return string(content)
	}
	first := read("deployment.yaml")
	m.check(os.WriteFile(filepath.Join("work", "deployment.yaml"), []byte(strings.ReplaceAll(first, "\n", "\r\n")), 0o644)) // by an editor
	m.must(exitDone, []string{"lab", "show", "deployment/scale", "--write", "work", "-o", "json"}, "deployment.yaml")
	if second := read("deployment.yaml"); second == first || !strings.Contains(second, "replicas: 3") {
		t.Errorf("after the second step the file is\n%s", second)
	}
	m.must(exitDone, []string{"lab", "show", "helm/chart", "--write", "work"}, filepath.Join("work", "hello-helm", "Chart.yaml"))
	m.check(os.WriteFile(filepath.Join("work", "deployment.yaml"), []byte("mine: true\n"), 0o644))
	m.must(exitUsage, []string{"lab", "show", "deployment/scale", "--write", "work"}, "these files have been changed: deployment.yaml", "--force")
	if read("deployment.yaml") != "mine: true\n" {
		t.Error("the reader's file has been overwritten")
	}
	m.must(exitDone, []string{"lab", "show", "deployment/scale", "--write", "work", "--force"})
	m.must(exitUsage, []string{"lab", "show", "deployment", "--write", "work"}, "next: hellolab lab show deployment/create --write work")
	m.must(exitUsage, []string{"lab", "show", "deployment/rollback", "--write", "none"}, "has no files", "next: hellolab lab show deployment/rollback")
	if _, err := os.Stat("none"); err == nil {
		t.Error("there is a folder without files")
	}
	m.must(exitFailed, []string{"lab", "show", "pod/nginx", "--write", filepath.Join("work", "deployment.yaml", "x")}, "the files cannot be written")
}

// TestShowWriteSources holds that each of the course's images has its sources at the step that introduces it, where a reader builds it.
func TestShowWriteSources(t *testing.T) {
	m := newMachine(t)
	steps := map[string]string{"v1": "container", "v2": "deployment/upgrade", "liveness": "deployment/liveness", "bad": "deployment/readiness",
		"v3": "service/clusterip", "v4": "configmap", "v5": "secret", "v6": "helm/chart"}
	for _, tag := range images.Tags() {
		folder := "hellok8s-" + tag.Name
		m.must(exitDone, []string{"lab", "show", steps[tag.Name]}, "--- "+folder+"/main.go", "--- "+folder+"/Dockerfile")
		m.must(exitDone, []string{"lab", "show", steps[tag.Name], "--write", "work"}, filepath.Join("work", folder, "go.mod"))
		source, err := tag.Source("")
		m.check(err)
		written, err := os.ReadFile(filepath.Join("work", folder, "main.go"))
		m.check(err)
		if string(written) != string(source) {
			t.Errorf("%s is\n%s", tag.Name, written)
		}
	}
}
