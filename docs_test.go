package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// named finds a test in a document: `TestA`, or `TestA/part/part`.
var named = regexp.MustCompile("`(Test[A-Za-z]+)(/[^`]+)?`")

// TestFaultsAreTested holds that the tests which docs/faults.md names exist, and so do their parts.
func TestFaultsAreTested(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sources := all.String()
	var found [][]string
	for _, name := range []string{"faults.md", "faults.zh-CN.md"} {
		document, err := os.ReadFile(filepath.Join("docs", name))
		if err != nil {
			t.Fatal(err)
		}
		tests := named.FindAllStringSubmatch(string(document), -1)
		if len(tests) < 100 {
			t.Errorf("%s names %d tests", name, len(tests))
		}
		found = append(found, tests...)
	}
	for _, test := range found {
		if !strings.Contains(sources, "func "+test[1]+"(t *testing.T)") {
			t.Errorf("there is no %s", test[1])
		}
		if part := test[2][strings.LastIndex(test[2], "/")+1:]; part != "" && !strings.Contains(sources, `"`+part+`"`) {
			t.Errorf("there is no %s%s", test[1], test[2])
		}
	}
}

// pages are the documents for readers, which are there in both languages.
func pages() []string {
	return []string{"README", "docs/commands", "docs/comparison", "docs/contributing", "docs/courses", "docs/differences", "docs/practice", "docs/teaching", "docs/troubleshooting"}
}

// span is a piece of code in a document: between backticks, or a line that is indented or in a block.
var span = regexp.MustCompile("`[^`\n]+`")

// codeOf returns all pieces of code in a document, in their order.
func codeOf(document string) (all []string) {
	inBlock, inSession := false, false
	for line := range strings.Lines(document) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			inBlock, inSession = !inBlock, strings.HasSuffix(line, "console")
		case inSession && !strings.HasPrefix(line, "$ "): // what a command prints
		case inBlock || strings.HasPrefix(line, "    "):
			all = append(all, strings.TrimSpace(line))
		default:
			for _, piece := range span.FindAllString(line, -1) {
				all = append(all, strings.Trim(piece, "`"))
			}
		}
	}
	return all
}

// commandIn is a command of hellolab's in a piece of code, without what follows it: a comment, or what it is good for.
var commandIn = regexp.MustCompile(`^(?:\$ )?(?:.*[("]|eval "\$\()?(hellolab(?: [^#;|>()]*)?)`)

// commandsIn are the commands of hellolab's in a document, in their order.
func commandsIn(document string) (all []string) {
	for _, piece := range codeOf(document) {
		if found := commandIn.FindStringSubmatch(piece); found != nil && piece != "hellolab" {
			command, _, _ := strings.Cut(found[1], "  ") // two spaces begin what it is good for
			all = append(all, strings.Trim(command, ` "。，`))
		}
	}
	return all
}

// TestPages holds that both languages of a page name the same commands in the same order, that the program's parser takes them, and that
// what the page links to is there.
func TestPages(t *testing.T) {
	t.Parallel()
	linked := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, page := range append(pages(), "docs/architecture", "docs/benchmarks", "docs/coverage", "docs/faults") {
		read := func(file string) string {
			content, err := os.ReadFile(filepath.FromSlash(file))
			if err != nil {
				t.Fatal(err)
			}
			for _, link := range linked.FindAllStringSubmatch(string(content), -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(file), filepath.FromSlash(link[1]))); err != nil {
					t.Errorf("%s links to %s, which is not there", file, link[1])
				}
			}
			return string(content)
		}
		english, chinese := commandsIn(read(page+".md")), commandsIn(read(page+".zh-CN.md"))
		for i := range max(len(english), len(chinese)) {
			if i >= len(english) || i >= len(chinese) || english[i] != chinese[i] {
				t.Errorf("%s: the %dth command differs: %q, %q", page, i+1, english[min(i, len(english)):min(i+3, len(english))], chinese[min(i, len(chinese)):min(i+3, len(chinese))])
				break
			}
		}
		for _, command := range english {
			words := stoodIn(command)
			if len(words) == 1 && slices.Contains([]string{"images", "bundle"}, words[0]) { // all commands of that name
				continue
			}
			if err := understood(words); err != nil {
				t.Errorf("%s: %s is refused: %v", page, command, err)
			}
		}
	}
}

// stoodIn are the words of a command behind its first, with stand-ins for what a reader has to fill in.
func stoodIn(command string) []string {
	fill := strings.NewReplacer("STEP", "pod/nginx", "KIND/NAME", "pod/nginx-pod", "--port N", "--port 1", "KEY=VALUE", "registry.port=auto", "VALUE", "auto", "...", "", "[", "", "]", "", "'", "", "COMMAND", "up", "Application Support", "Application")
	return strings.Fields(fill.Replace(command))[1:]
}

// others are the columns of tables that have other programs' commands, and the course's where they do not hold.
var others = []string{"the course", "教程", "the course wants", "教程要求的", "minikube", "kind + its scripts",
	"kind 加官方脚本", "k3d", "ctlptl", "idpbuilder", "Educates", "kubelings"}

// withoutOthers is a document without the cells of those columns.
func withoutOthers(document string) string {
	var all strings.Builder
	var columns []string
	for line := range strings.Lines(document) {
		if !strings.HasPrefix(line, "|") {
			columns = nil
			all.WriteString(line)
			continue
		}
		const bar = "\x00" // one that separates no cells
		cells := strings.Split(strings.ReplaceAll(line, `\|`, bar), "|")
		if columns == nil {
			columns = slices.Clone(cells)
		}
		for i := range min(len(cells), len(columns)) {
			if slices.Contains(others, strings.TrimSpace(columns[i])) {
				cells[i] = ""
			}
		}
		all.WriteString(strings.ReplaceAll(strings.Join(cells, "|"), bar, "|"))
	}
	return all.String()
}

// toType begins with a program that readers have.
var toType = regexp.MustCompile(`^(?:(?:bin/|\.\\hellolab\\)?hellolab(?:\.exe)?|kubectl|helm|docker|curl(?:\.exe)?|sudo|make [a-z0-9-]+(?: [A-Z]+=.*)?$|go|` +
	`git|tar|man|mkdir|mv|cp|echo|printf|eval|export|unset|source|for|brew|colima|k9s|scoop|xattr|netsh|Expand-Archive|Copy-Item)(?: |$)`)

// linesIn returns the lines among pieces of code that readers type.
func linesIn(code []string) (all []string) {
	for _, piece := range code {
		line, _, _ := strings.Cut(strings.TrimPrefix(piece, "$ "), "  ") // two spaces begin what it is good for
		if toType.MatchString(line) {
			all = append(all, line)
		}
	}
	return all
}

// adviceIn returns the pieces of docs/troubleshooting.md's advice, which the program says, and so has no backticks.
func adviceIn(document string) (all []string) {
	for _, advice := range regexp.MustCompile(`(?m)^What to do: (.*)\.$`).FindAllStringSubmatch(document, -1) {
		for _, piece := range regexp.MustCompile(`: |; |, (?:then )?|[()]`).Split(advice[1], -1) {
			all = append(all, regexp.MustCompile(` (?:shows|mends) .*`).ReplaceAllString(piece, ""))
		}
	}
	return all
}

// TestEveryCommandIsTyped holds that each command in a document for readers is typed by a test on a real lab, or has a reason why it cannot
// be, that the list of those has no command that no document prints any more, and that both languages have the same.
func TestEveryCommandIsTyped(t *testing.T) {
	t.Parallel()
	read := func(file string) string {
		content, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	listed := map[string]bool{} // by whether a document prints it
	var looks, notLooks *regexp.Regexp
	for line := range strings.Lines(read("e2e/documented.txt")) {
		sign, text, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		switch sign {
		case "$", "&", "+":
			listed[text] = false
		case "x":
			line, reason, _ := strings.Cut(text, " ## ")
			if listed[line] = false; reason == "" {
				t.Errorf("%s is not typed, without a reason", line)
			}
		case "?":
			looks = regexp.MustCompile("^" + text + "$")
		case "?!":
			notLooks = regexp.MustCompile(text)
		}
	}
	for _, page := range pages() {
		english := linesIn(codeOf(withoutOthers(read(page + ".md"))))
		chinese := linesIn(codeOf(withoutOthers(read(page + ".zh-CN.md"))))
		for i := range max(len(english), len(chinese)) {
			if i >= len(english) || i >= len(chinese) || english[i] != chinese[i] {
				t.Errorf("%s: the %dth line to type differs: %q, %q", page, i+1,
					english[min(i, len(english)):min(i+1, len(english))], chinese[min(i, len(chinese)):min(i+1, len(chinese))])
				break
			}
		}
		for _, line := range append(english, linesIn(adviceIn(read(page+".md")))...) {
			if _, there := listed[line]; there {
				listed[line] = true
			} else if !isName(line, listed) && (!looks.MatchString(line) || notLooks.MatchString(line)) {
				t.Errorf("%s.md: no test types %s: e2e/documented.txt does not have it", page, line)
			}
		}
	}
	for line, printed := range listed {
		if !printed {
			t.Errorf("e2e/documented.txt: no document prints %s", line)
		}
	}
}

// isName reports whether this is no line to type but a command's name, which a line begins with.
func isName(name string, lines map[string]bool) bool {
	for line := range lines {
		if strings.HasPrefix(line, name+" ") && regexp.MustCompile(`^[a-z]+( [a-z][a-z0-9-]*){0,2}$`).MatchString(name) {
			return true
		}
	}
	return false
}
