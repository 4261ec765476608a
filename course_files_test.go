package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	m.must(exitUsage, []string{"lab", "show", "container", "--write", "none"}, "has no files", "next: hellolab lab show container/build-run-push")
	if _, err := os.Stat("none"); err == nil {
		t.Error("there is a folder without files")
	}
	m.must(exitFailed, []string{"lab", "show", "pod/nginx", "--write", filepath.Join("work", "deployment.yaml", "x")}, "the files cannot be written")
}
