package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// shellsOwn is what examples have around a command of hellolab's: another program reads its output, or it reads another's.
var shellsOwn = strings.NewReplacer(`eval "$(`, "", `)"`, "", "source <(", "", ")", "", " > ~/.config/fish/completions/hellolab.fish", "",
	" | Out-String | Invoke-Expression", "", " > class.html", "")

// TestHelp holds that every command has a help of 80 columns in both languages, with examples that its parser understands.
func TestHelp(t *testing.T) {
	m := newMachine(t)
	seen := map[string]bool{"": true}
	var each func(words []string, commands []*cli.Command)
	each = func(words []string, commands []*cli.Command) {
		for _, command := range commands {
			if command.Hidden {
				continue
			}
			full := append(slices.Clone(words), command.Name)
			seen[strings.Join(full, " ")] = true
			each(full, command.Subcommands)
		}
	}
	each(nil, (&program{printer: messages.Printer{}}).app().Commands)
	for command := range seen {
		all := examples()[command]
		if len(all) == 0 {
			t.Errorf("hellolab %s has no example", command)
		}
		for _, example := range all {
			words := strings.Fields(shellsOwn.Replace(example.line))
			if words[0] != "hellolab" || !strings.HasPrefix(strings.Join(words[1:], " "), command) && command != "up" {
				t.Errorf("the example %q is none of hellolab %s", example.line, command)
			}
			if err := understood(words[1:]); err != nil {
				t.Errorf("the example %q is refused: %v", example.line, err)
			}
		}
		for _, language := range []string{"en", "zh"} {
			args := slices.Concat([]string{"--lang", language, "help"}, strings.Fields(command))
			for line := range strings.Lines(m.must(exitDone, args).stdout) {
				line = strings.TrimRight(line, "\n")
				if progress.Columns(line) > columns && !strings.HasPrefix(line, "  hellolab ") { // a command stays whole
					t.Errorf("hellolab %s: %d columns: %s", strings.Join(args, " "), progress.Columns(line), line)
				}
			}
		}
	}
	for command := range examples() {
		if !seen[command] {
			t.Errorf("there are examples of %q, which is no command", command)
		}
	}
}
