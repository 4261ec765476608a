//go:build e2e

package e2e

import (
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// interactive is a shell in which somebody completes words: how it starts, and what has it complete hellolab's.
type interactive struct{ name, start, setUp string }

func interactives() []interactive {
	return []interactive{
		{"bash", "bash --norc --noprofile -i", `source /usr/share/bash-completion/bash_completion; source <(hellolab completion bash)`},
		{"zsh", "zsh -f -i", `bindkey -e; unsetopt prompt_cr; autoload -Uz compinit && compinit -u -D; source <(hellolab completion zsh)`},
		{"fish", "fish --no-config -i", `hellolab completion fish | source`},
	}
}

// completesInShells types the beginnings of command lines into real shells, and the key that completes them. testbed/shells installs those
// that are missing on a machine for tests.
func (l *lab) completesInShells() {
	for _, shell := range interactives() {
		l.Run(shell.name, func(t *testing.T) { l.in(t).completesIn(shell) })
	}
}

func (l *lab) completesIn(shell interactive) {
	if _, err := exec.LookPath(shell.name); err != nil {
		l.Fatalf("there is no %s here: testbed/shells installs it", shell.name)
	}
	terminal := l.inTerminal(shell.start)
	terminal.types(shell.setUp + "; echo rea''dy\r")
	terminal.shows(`(?m)^ready`)
	for typed, want := range map[string]string{
		"hellolab ima":                               "hellolab images",
		"hellolab lab check deployment/sc":           "hellolab lab check deployment/scale",
		"hellolab images build v1 liv":               "hellolab images build v1 liveness",
		"hellolab up --wor":                          "hellolab up --workers",
		"hellolab --name e2e-la":                     "hellolab --name " + l.name,
		"hellolab kubectl get names":                 "hellolab kubectl get namespaces",
		"hellolab kubectl -n kube-system get pod et": "hellolab kubectl -n kube-system get pod etcd-" + l.node(),
	} {
		const atBegin, atEnd = "\x01", "\x05"
		terminal.types(typed + "\t" + atBegin + `echo "` + atEnd + `<end"` + "\r")
		terminal.shows(`(?m)^` + regexp.QuoteMeta(want) + `\s*<end`)
	}
	terminal.types("exit\r")
}

// terminal is a program in a terminal of 200 columns.
type terminal struct {
	*lab
	keyboard io.Writer
	mu       sync.Mutex
	screen   strings.Builder
}

// inTerminal starts a command in a terminal, and ends it with the test.
func (l *lab) inTerminal(line string) *terminal {
	l.Helper()
	script, err := exec.LookPath("script")
	l.check(err)
	command := exec.Command(script, "-qec", "stty cols 200 rows 50; exec "+line, "/dev/null")
	command.Dir, command.Env = l.folder, append(slices.Clip(l.env), "SHELL=/bin/sh", "TERM=xterm", "PS1=> ", "HISTFILE=/dev/null", "HOME="+l.TempDir())
	keyboard, err := command.StdinPipe()
	l.check(err)
	t := &terminal{lab: l, keyboard: keyboard}
	command.Stdout = t
	l.check(command.Start())
	l.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	return t
}

// Write takes what is shown.
func (t *terminal) Write(shown []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.screen.Write(shown)
	return len(shown), nil
}

func (t *terminal) types(text string) {
	t.Helper()
	_, err := io.WriteString(t.keyboard, text)
	t.check(err)
}

// escape is what moves the cursor, or changes colours.
var escape = regexp.MustCompile(`\x1b(\[[0-9;?<>=]*[a-zA-Z]|[()][A-Z0-9]|[=>78]|\][^\x07]*\x07)`)

// shows waits until the terminal has shown something that matches, and forgets what it has shown till then.
func (t *terminal) shows(pattern string) {
	t.Helper()
	wanted := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		t.mu.Lock()
		shown := strings.ReplaceAll(escape.ReplaceAllString(t.screen.String(), ""), "\r", "\n")
		found := wanted.MatchString(shown)
		if found {
			t.screen.Reset()
		}
		t.mu.Unlock()
		switch {
		case found:
			return
		case time.Now().After(deadline):
			t.Fatalf("the terminal does not show %s, but\n%s", pattern, shown)
		}
	}
}
