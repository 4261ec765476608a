//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// buildK9s builds the k9s that e2e/k9s pins, which takes some minutes the first time, and returns its path.
func buildK9s(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(cache(), "k9s")
	command := exec.Command("go", "build", "-ldflags", "-s -w", "-o", folder+string(filepath.Separator), "tool")
	command.Dir = "k9s"
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("k9s cannot be built: %v\n%s", err, output)
	}
	return filepath.Join(folder, "k9s")
}

// screen is a terminal that draws what a program moves about on it, as tmux does: the name of tmux' server.
type screen struct {
	*lab
	server string
}

// onScreen starts a command on a screen, and ends both with the test. testbed/shells installs tmux.
func (l *lab) onScreen(line string) *screen {
	l.Helper()
	s := &screen{l, l.name}
	l.Cleanup(func() {
		if l.Failed() {
			l.Logf("the screen:\n%s", s.tmux("capture-pane", "-p"))
		}
		exec.Command("tmux", "-L", s.server, "kill-server").Run()
	})
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", "160", "-y", "45", line)
	return s
}

func (s *screen) tmux(args ...string) string {
	s.Helper()
	command := exec.Command("tmux", append([]string{"-L", s.server}, args...)...)
	command.Env = append(s.env, "HOME="+s.folder, "LC_ALL=C.UTF-8", "TERM=xterm")
	output, err := command.CombinedOutput()
	if err != nil {
		s.Fatalf("tmux %s: %v\n%s", args, err, output)
	}
	return string(output)
}

// shows waits until the screen shows something that matches.
func (s *screen) shows(pattern string) {
	s.Helper()
	wanted := regexp.MustCompile(pattern)
	eventually(s.T, "the screen shows "+pattern, func() bool { return wanted.MatchString(s.tmux("capture-pane", "-p")) })
}

// TestK9s does the step dashboard/k9s as a reader does: the real k9s, in a terminal, with the lab's context as hellolab has written it.
func TestK9s(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatal("there is no tmux here: testbed/shells installs it")
	}
	k9s := buildK9s(t)
	l := newLab(t, "e2e-k9s", nil)
	l.must("up")
	l.must("lab", "dashboard/k9s", "--before")
	log, ended := filepath.Join(l.folder, "k9s.log"), filepath.Join(l.folder, "ended")
	s := l.onScreen(fmt.Sprintf("%s --context kind-%s --logFile %s; echo $? > %s", k9s, l.name, log, ended))
	s.looksAround()
	s.tmux("send-keys", "C-d")
	s.shows(`<Delete>`)
	s.tmux("send-keys", "Tab", "Enter")
	eventually(t, "the step passes", func() bool { return l.checkStep("dashboard/k9s").Passed })
	s.tmux("send-keys", ":q", "Enter")
	eventually(t, "k9s ends", func() bool { return exists(ended) })
	content, err := os.ReadFile(log)
	l.check(err)
	if said := string(content); !strings.Contains(said, "Kubernetes connectivity OK") || strings.Contains(said, "ERR") {
		t.Errorf("k9s says:\n%s", said)
	}
}

// looksAround has k9s show what the step's guide names, and leaves it with the cursor on a pod.
func (s *screen) looksAround() {
	const pods = `(?s:pods\(default\)\[5\].*)hellok8s-deployment-[0-9a-f]+-[0-9a-z]{5} .*1/1 +Running`
	s.shows(pods)
	for _, look := range []struct {
		keys  []string
		shows string
	}{
		{[]string{":svc", "Enter"}, `service-hellok8s-nodeport +NodePort`},
		{[]string{":ing", "Enter"}, `ingresses\(default\)\[0\]`},
		{[]string{":deploy", "Enter"}, `hellok8s-deployment +5/5`},
		{[]string{"d"}, `StrategyType: +RollingUpdate`},
		{[]string{"Escape"}, `hellok8s-deployment +5/5`},
		{[]string{":pod", "Enter"}, pods},
		{[]string{"0"}, `kube-system +etcd-` + s.node()},
		{[]string{":pod default", "Enter"}, pods},
		{[]string{"y"}, `kind: Pod`},
		{[]string{"Escape"}, pods},
		{[]string{"l"}, `Autoscroll`},
		{[]string{"Escape"}, pods},
	} {
		s.tmux(append([]string{"send-keys"}, look.keys...)...)
		s.shows(look.shows)
	}
}
