//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// hasNothingDone holds that no check passes in a lab that nobody has done anything in: not for what hellolab has put there itself.
func (l *lab) hasNothingDone() {
	l.Helper()
	var work errgroup.Group
	work.SetLimit(4)
	for _, lesson := range lessons() {
		work.Go(func() error {
			if done := l.run("lab", "check", lesson.step); done.status != 3 {
				return fmt.Errorf("lab check %s ends with %d:\n%s", lesson.step, done.status, done.stdout)
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		l.Error(err)
	}
}

// marksFall holds who has done a step, that its mark falls with what it stands for, and that it comes back.
func (l *lab) marksFall() {
	for step, breaks := range map[string]string{
		"pod/nginx":        "kubectl delete pod nginx-pod --now",
		"namespace/create": "kubectl delete deployment hellok8s-deployment -n dev",
	} {
		at := slices.IndexFunc(lessons(), func(l lesson) bool { return l.step == step })
		l.must("lab", step, "--before")
		lessons()[at].byHand(l)
		l.watch(step).until(step, true)
		if mark := l.markOf(step); mark.By != "hand" || !mark.Passed || mark.Fell != "" {
			l.Errorf("%s, done by hand, has the mark %+v", step, mark)
		}
		l.shell(breaks)
		if l.run("lab", "check", step).status != 3 {
			l.Errorf("%s passes without what it is about", step)
		}
		if mark := l.markOf(step); mark.Passed || mark.Fell == "" {
			l.Errorf("%s, broken again, has the mark %+v", step, mark)
		}
		l.must("lab", step)
		l.must("lab", "check", step)
		if mark := l.markOf(step); mark.By != "snapshot" || !mark.Passed || mark.Fell != "" {
			l.Errorf("%s, made by hellolab, has the mark %+v", step, mark)
		}
	}
}

// TestReports hands in thirty reports, as a class does, and collects them.
func TestReports(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-reports", nil)
	l.must("up", "--no-images")
	l.must("lab", "pod/nginx")
	l.must("lab", "check", "pod/nginx")
	class := filepath.Join(l.folder, "class")
	l.check(os.Mkdir(class, 0o755))
	for i := range 30 {
		l.must("lab", "report", filepath.Join(class, fmt.Sprintf("%02d.json", i)), "--as", fmt.Sprintf("reader %02d", i))
	}
	changed := filepath.Join(class, "07.json")
	content, err := os.ReadFile(changed)
	l.check(err)
	l.check(os.WriteFile(changed, []byte(strings.Replace(string(content), `"by": "snapshot"`, `"by": "hand"`, 1)), 0o600))
	var collected []struct {
		File, Name string
		Remarks    []string
		Steps      []struct{ Step, By string }
	}
	l.check(json.Unmarshal([]byte(l.must("lab", "report", "--collect", class, "-o", "json").stdout), &collected))
	if len(collected) != 30 {
		t.Fatalf("%d reports are collected", len(collected))
	}
	for _, each := range collected {
		wanted, steps := "same lab", 1 // which it is here
		if each.File == "07.json" {
			wanted, steps = "changed", 0
		}
		if strings.Join(each.Remarks, " ") != wanted || len(each.Steps) != steps {
			t.Errorf("%s: %v, %v", each.File, each.Remarks, each.Steps)
		}
	}
	for _, format := range []string{"csv", "html"} {
		if out := l.must("lab", "report", "--collect", class, "-o", format).stdout; !strings.Contains(out, "reader 29") {
			t.Errorf("the table as %s is\n%s", format, out)
		}
	}
	if text := l.must("lab", "report", "--collect", class).stdout; !strings.Contains(text, "changed by somebody") || !strings.Contains(text, "30 reports") {
		t.Errorf("the table is\n%s", text)
	}
}
