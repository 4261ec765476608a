package main

import (
	"errors"
	"go/ast"
	"go/token"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// typed is a command that the sources tell the user to type, with stand-ins for what is only known when it is printed.
type typed struct {
	program  string
	words    []string
	position token.Position
}

// stand-ins for words of a command that the sources compute, by what they are called there.
func standIn(expression string) string {
	for _, known := range []struct{ part, word string }{
		{"step", "pod/nginx"}, {"ID()", "pod/nginx"}, {"setting", "bootstrap.ports.http"}, {"folder", "hello"}, {"file", "saved.yaml"}, {"tag", "v1"},
	} {
		if strings.Contains(strings.ToLower(expression), strings.ToLower(known.part)) {
			return known.word
		}
	}
	return "name"
}

// commands are all calls of messages.Hellolab and its like in the sources. Those whose words are a list that the sources
// compute as a whole are left out; dynamic counts them.
func commands(t *testing.T) (all []typed, dynamic int) {
	t.Helper()
	for _, file := range sources(t) {
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			if command, found := commandOf(call); found {
				if call.Ellipsis.IsValid() {
					dynamic++
					return true
				}
				command.position = file.at(call)
				all = append(all, command)
			}
			return true
		})
	}
	return all, dynamic
}

// commandOf reads one call of a constructor of commands.
func commandOf(call *ast.CallExpr) (typed, bool) {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return typed{}, false
	}
	if of, ok := selector.X.(*ast.Ident); !ok || of.Name != "messages" {
		return typed{}, false
	}
	arguments := call.Args
	switch selector.Sel.Name {
	case "Hellolab":
	case "Kubectl", "Helm": // the first is the namespace
		arguments = arguments[1:]
	default:
		return typed{}, false
	}
	command := typed{program: strings.ToLower(selector.Sel.Name)}
	for _, argument := range arguments {
		command.words = append(command.words, word(argument))
	}
	return command, true
}

// word evaluates a word of a command: literals as they are, and stand-ins for the rest.
func word(expression ast.Expr) string {
	switch expression := expression.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(expression.Value); err == nil {
			return text
		}
	case *ast.BinaryExpr:
		return word(expression.X) + word(expression.Y)
	}
	return standIn(nameOf(expression))
}

// nameOf is what an expression is called in the sources: "step.ID()".
func nameOf(expression ast.Expr) string {
	switch expression := expression.(type) {
	case *ast.Ident:
		return expression.Name
	case *ast.SelectorExpr:
		return nameOf(expression.X) + "." + expression.Sel.Name
	case *ast.CallExpr:
		return nameOf(expression.Fun) + "()"
	}
	return ""
}

// TestHintsAreCommands runs every command of hellolab's that the program may tell somebody to type through the program's
// own parser, and the settings in it through the reader of the configuration.
func TestHintsAreCommands(t *testing.T) {
	t.Parallel()
	all, dynamic := commands(t)
	if len(all) < 40 {
		t.Fatalf("only %d commands were found: the test does not see the sources", len(all))
	}
	// those of the parser itself, which knows its commands, of courses and of the dashboard's actions, which their own tests look at
	if dynamic > 13 {
		t.Errorf("%d commands are computed as a whole, and so not looked at here", dynamic)
	}
	for _, command := range all {
		if command.program != "hellolab" || len(command.words) == 0 {
			continue
		}
		if err := understood(command.words); err != nil {
			t.Errorf("%s: hellolab %s is refused: %v", command.position, strings.Join(command.words, " "), err)
		}
	}
}

// TestCourseNamesCommandsThatExist does the same for the commands in the course's guides.
func TestCourseNamesCommandsThatExist(t *testing.T) {
	t.Parallel()
	lessons, err := course.Load(course.Embedded(), "", "guangzhengli")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, chapter := range lessons.Chapters {
		for _, step := range chapter.Steps {
			for _, text := range []string{step.Guide.English, step.Guide.Chinese} {
				for _, line := range regexp.MustCompile(`\{\{\.Hellolab\}\} ([a-z][^\n；。，)）\x60]*)`).FindAllStringSubmatch(text, -1) {
					found++
					words := strings.Fields(line[1])
					if !strings.HasPrefix(text[strings.Index(text, line[0]):], line[0]) || len(words) == 0 {
						continue
					}
					if err := understood(inProse(words)); err != nil {
						t.Errorf("%s: hellolab %s is refused: %v", step.ID(), line[1], err)
					}
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d commands were found in the guides", found)
	}
}

// inProse cuts a command in the middle of a sentence down to the words that can be its own.
func inProse(words []string) []string {
	for n := len(words); n > 0; n-- {
		if understood(words[:n]) == nil {
			return words[:n]
		}
	}
	return words
}

// understood runs the words behind hellolab through the program's own parser.
func understood(words []string) error {
	p := &program{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
	words = slices.Clone(words)
	_, err := arrange(p.app(), append([]string{"hellolab"}, words...))
	if short := (missingArgument{}); errors.As(err, &short) { // the sentence names the command alone, or its usage follows
		err = nil
	}
	if help := (helpAsked{}); errors.As(err, &help) {
		err = nil
	}
	for i, word := range words {
		if word == "--set" && err == nil {
			err = known(words[i+1])
		}
	}
	return err
}

// known refuses a setting that there is not, or a value that it cannot have.
func known(setting string) error {
	var all configuration
	if err := yaml.Unmarshal(defaultConfig, &all); err != nil {
		return err
	}
	key, value, _ := strings.Cut(setting, "=")
	if value == "VALUE" {
		return nil
	}
	return layer{"--set", nest(key, value)}.over(&all)
}

// command finds what looks like a command in a sentence.
var command = regexp.MustCompile(`\b(hellolab (up|down|start|stop|pause|resume|status|images|lab|kubectl|tunnel|ip|config|version|help)\b|` +
	`kubectl (get|describe|delete|apply|config|logs|edit|scale|patch|set|rollout|exec|run|port-forward)\b|` +
	`helm (install|uninstall|upgrade|rollback|status|history|push|pull|repo)\b|` +
	`docker (rm|rmi|volume|logs|tag|pull|system|rename|run|build|context (ls|use)|ps|image)\b|sudo )`)

// TestSentencesHoldNoCommands holds that a command is never part of a sentence, where nothing could make it lead to the
// right lab: it is one of the sentence's arguments.
func TestSentencesHoldNoCommands(t *testing.T) {
	t.Parallel()
	chinese, err := messages.Chinese()
	if err != nil {
		t.Fatal(err)
	}
	for english, translated := range chinese {
		for _, sentence := range []string{english, translated} {
			if found := command.FindString(sentence); found != "" {
				t.Errorf("%q has the command %q in it: make it a messages.Command", sentence, found)
			}
		}
	}
}
