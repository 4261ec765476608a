//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// documented is a command of documented.txt, which says what the fields stand for.
type documented struct {
	line          string // what is typed
	ofTheDocument bool
	begins        bool // a paragraph
	goesOn        bool // until the paragraph ends
	prints        []string
	later         bool // is typed again until it prints that
	status        int
}

type part struct {
	name     string
	commands []*documented
}

// documentedParts reads documented.txt, without the commands that are not typed.
func documentedParts(t *testing.T) (parts []part) {
	t.Helper()
	content, err := os.ReadFile("documented.txt")
	if err != nil {
		t.Fatal(err)
	}
	var command *documented
	begins := true
	for number, line := range strings.Split(string(content), "\n") {
		sign, text, _ := strings.Cut(line, " ")
		switch sign {
		case "":
			begins = true
		case "#", "x", "?", "?!", "+":
		case "##":
			parts = append(parts, part{name: text})
		case "$", "&", "-":
			command = &documented{line: text, ofTheDocument: sign != "-", begins: begins, goesOn: sign == "&"}
			begins = false
			last := &parts[len(parts)-1]
			last.commands = append(last.commands, command)
		case "=":
			command.line = text
		case ">", "~":
			command.prints, command.later = append(command.prints, text), command.later || sign == "~"
		case "!":
			if command.status, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("documented.txt:%d begins with %q", number+1, sign)
		}
	}
	return parts
}

// missingIn is what a command has not printed though it has to, or "". Where lines are broken does not matter.
func (d *documented) missingIn(printed string) string {
	for _, text := range d.prints {
		pattern := strings.Join(strings.Fields(regexp.QuoteMeta(text)), `\s+`)
		pattern = strings.ReplaceAll(pattern, "…", "(?s:.*)")
		if !regexp.MustCompile(pattern).MatchString(printed) {
			return text
		}
	}
	return ""
}

// TestDocumented types all that README.md and docs/*.md print for readers to type, on a lab as they have it, and compares what is printed
// with what the documents say of it. On an engine of its own, since some of it is about the whole engine, and its ports are the usual ones.
func TestDocumented(t *testing.T) {
	long(t)
	onItsOwn(t, func(e *engine) {
		l := newLab(t, "hellolab", usualPorts())
		second := &lab{T: t, name: "second"}
		t.Cleanup(second.removeEverything)
		second.removeEverything() // what a killed run left
		checkout, err := filepath.Abs("..")
		l.check(err)
		l.env = append(l.env, "CHECKOUT="+checkout, "DOCKER_CONFIG="+filepath.Join(l.folder, "docker-config"), "LANG=C.UTF-8", "LC_ALL=")
		l.writesTheDocumentedCourse()
		count := 0
		for _, part := range documentedParts(t) {
			t.Run(part.name, func(t *testing.T) { count += l.in(t).typesAll(part.commands) })
		}
		t.Logf("%d commands of the documents", count)
	})
}

// typesAll types commands, and returns how many of them are the documents'.
func (l *lab) typesAll(commands []*documented) (count int) {
	interrupt := func() {}
	defer func() { interrupt() }()
	for _, command := range commands {
		if command.begins {
			interrupt()
			interrupt = func() {}
		}
		if command.ofTheDocument {
			count++
		}
		if command.goesOn {
			interrupt = l.begins(command)
		} else {
			l.typesOne(command)
		}
	}
	return count
}

// inBash is a line in a shell of its own, which is killed with its children when the context ends.
func (l *lab) inBash(ctx context.Context, line string) *exec.Cmd {
	command := exec.CommandContext(ctx, "bash", "-c", line)
	command.Dir, command.Env = l.folder, l.env
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	return command
}

// typesOne types a command that ends by itself.
func (l *lab) typesOne(d *documented) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), patience)
	defer cancel()
	for start := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		command := l.inBash(ctx, d.line)
		printed, err := command.CombinedOutput()
		status, missing := command.ProcessState.ExitCode(), d.missingIn(string(printed))
		if d.later && time.Since(start) < patience/2 && (status != d.status || missing != "") {
			continue
		}
		l.Logf("%5.1fs $ %s\n%s", time.Since(start).Seconds(), d.line, printed)
		if status != d.status || missing != "" {
			l.Errorf("%s ends with %v, and has to with status %d; it does not print %q", d.line, err, d.status, missing)
		}
		return
	}
}

// begins types a command that does not end by itself, and waits until it has printed what it has to. What it returns interrupts it.
func (l *lab) begins(d *documented) (interrupt func()) {
	l.Helper()
	ctx, cancel := context.WithCancel(l.Context())
	file := filepath.Join(l.TempDir(), "output")
	output, err := os.Create(file)
	l.check(err)
	command := l.inBash(ctx, d.line)
	command.Stdout, command.Stderr = output, output
	l.check(command.Start())
	printed := func() string {
		content, err := os.ReadFile(file)
		l.check(err)
		return string(content)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	interrupt = func() {
		defer cancel()
		syscall.Kill(-command.Process.Pid, syscall.SIGINT) // as Ctrl-C does
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			l.Errorf("%s does not end when it is interrupted", d.line)
		}
		l.Logf("$ %s\n%s", d.line, printed())
	}
	for deadline := time.Now().Add(time.Minute); d.missingIn(printed()) != ""; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) || len(ended) > 0 {
			interrupt()
			l.Fatalf("%s does not print %q, but\n%s", d.line, d.missingIn(printed()), printed())
		}
	}
	return interrupt
}
