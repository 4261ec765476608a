//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// session is a command line of a document's, and what the document says that it prints: … stands for anything.
type session struct{ line, prints string }

// sessionsOf are those in a document's blocks of the kind "console".
func sessionsOf(document string) (all []session) {
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(document, -1) {
		for _, typed := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			line, prints, _ := strings.Cut(typed, "\n")
			all = append(all, session{line, strings.TrimRight(prints, "\n")})
		}
	}
	return all
}

// matches reports whether a command has printed what a document says.
func (s session) matches(printed string) bool {
	pattern := regexp.QuoteMeta(strings.TrimRight(s.prints, "\n") + "\n")
	pattern = regexp.MustCompile(`(?m)^…\n`).ReplaceAllString(pattern, `(?s:.*)`)
	pattern = strings.ReplaceAll(pattern, "…", `[^\n]*`)
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(strings.TrimRight(printed, "\n") + "\n")
}

// TestSessions holds what the … in a document stands for.
func TestSessions(t *testing.T) {
	all := sessionsOf("text\n```console\n$ one\n…\nend …\n$ two\n404\n```\nmore\n```console\n$ three\n```\n")
	if len(all) != 3 || all[0].line != "one" || all[1] != (session{"two", "404"}) {
		t.Fatalf("the sessions are %q", all)
	}
	for printed, want := range map[string]bool{"a\nb\nend of it\n": true, "end \n": true, "a\nend\n": false, "end of it\nmore\n": false} {
		if all[0].matches(printed) != want {
			t.Errorf("%q: it is %v that this was said", printed, !want)
		}
	}
	if all[1].matches("405\n") || !all[1].matches("404\n") {
		t.Error("404 is not what it matches")
	}
}

// follows types what a document shows, in its order, and compares what is printed.
func (l *lab) follows(file, locale string) {
	l.Helper()
	document, err := os.ReadFile(filepath.Join("..", file))
	l.check(err)
	sessions := sessionsOf(string(document))
	if len(sessions) < 10 {
		l.Fatalf("%s has %d sessions", file, len(sessions))
	}
	for _, session := range sessions {
		command := exec.Command("bash", "-c", session.line)
		command.Dir, command.Env = l.folder, append(slices.Clip(l.env), "LANG="+locale, "LC_ALL=")
		printed, err := command.CombinedOutput()
		l.Logf("$ %s\n%s", session.line, printed)
		if !session.matches(string(printed)) {
			l.Errorf("%s says that %s prints\n%s\nand it prints (%v)\n%s", file, session.line, session.prints, err, printed)
		}
	}
}

// looking are the patterns of commands that look, and change nothing, and of those among them that are filled in, that do not end, or that are about
// a course or an object of another test's. documented.txt has them.
func (l *lab) looking() (named, filledIn *regexp.Regexp) {
	l.Helper()
	content, err := os.ReadFile("documented.txt")
	l.check(err)
	pattern := func(sign string) string {
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(sign) + ` (.+)$`).FindSubmatch(content)
		if found == nil {
			l.Fatalf("documented.txt has no line with %s", sign)
		}
		return string(found[1])
	}
	// in backticks, on a line of its own, or in a session
	return regexp.MustCompile("(?m)(?:`|^    |^\\$ )(" + strings.ReplaceAll(pattern("?"), "[^", "[^`\n") + ")"), regexp.MustCompile(pattern("?!"))
}

// runsWhatDocumentsName runs every such command of the documents, but for those that are filled in.
func (l *lab) runsWhatDocumentsName() {
	named, filledIn := l.looking()
	files, err := filepath.Glob("../docs/*.md")
	l.check(err)
	ran := map[string]bool{}
	for _, file := range append(files, "../README.md") {
		document, err := os.ReadFile(file)
		l.check(err)
		for _, found := range named.FindAllStringSubmatch(string(document), -1) {
			line, _, _ := strings.Cut(strings.TrimSpace(found[1]), "  ") // two spaces begin what it is good for
			if ran[line] || filledIn.MatchString(line) {
				continue
			}
			ran[line] = true
			command := exec.Command("bash", "-c", line)
			command.Dir, command.Env = l.folder, l.env
			said, _ := command.CombinedOutput()
			if status := command.ProcessState.ExitCode(); status != 0 && status != 3 {
				l.Errorf("%s: %s ends with status %d:\n%s", filepath.Base(file), line, status, said)
			}
		}
	}
	if len(ran) < 60 {
		l.Errorf("the documents name %d commands", len(ran))
	}
	l.Logf("%d commands", len(ran))
}
