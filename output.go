package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/labs/guide"
	"github.com/hellolab/hellolab/messages"
)

// languages are the ones to speak, the user's choice first.
func languages(args []string, getenv func(string) string) []language.Tag {
	var wanted []string
	for i, arg := range args {
		if value, found := strings.CutPrefix(arg, "--lang="); found {
			wanted = append(wanted, value)
		} else if arg == "--lang" && i+1 < len(args) {
			wanted = append(wanted, args[i+1])
		}
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := getenv(name); value != "" {
			locale, _, _ := strings.Cut(value, ".")
			wanted = append(wanted, locale)
			break
		}
	}
	if len(wanted) == 0 {
		wanted = systemLanguages()
	}
	var tags []language.Tag
	for _, name := range wanted {
		if tag, err := language.Parse(name); err == nil {
			tags = append(tags, tag)
		}
	}
	return tags
}

// print writes a result on stdout: value as JSON where -o json asks for it, text otherwise. The command line has been
// checked for other formats before anything was done.
func (p *program) print(c *cli.Context, value any, text func() string) error {
	if c.String("output") == "json" {
		content, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return err
		}
		return p.printJSON(content)
	}
	return p.printText(text())
}

// printJSON writes a JSON value and ends the line. What a terminal would act on is escaped, where JSON does not ask for it
// already, so that programs get all of it.
func (p *program) printJSON(content []byte) error {
	var b strings.Builder
	for _, r := range string(content) {
		if r != '\n' && messages.Clean(string(r)) == "" {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	_, err := fmt.Fprintln(p.stdout, b.String())
	return err
}

// printText writes a result that only people read.
func (p *program) printText(text string) error {
	_, err := fmt.Fprint(p.stdout, text)
	return err
}

// printList is print for a list of names: a line each.
func (p *program) printList(c *cli.Context, names []string) error {
	if len(names) == 0 {
		return p.print(c, []string{}, func() string { return "" })
	}
	return p.print(c, names, func() string { return strings.Join(names, "\n") + "\n" })
}

func (p *program) say(format string) string { return p.printer.Text(messages.T(format)) }

// bold and usual turn on and off what makes a heading stand out.
const bold, usual = "\x1b[1m", "\x1b[22m"

// printLines is print for lines of which some are headings: they are bold, where the terminal has colours.
func (p *program) printLines(c *cli.Context, value any, lines func() []guide.Line) error {
	if c.String("output") == "json" {
		return p.print(c, value, nil)
	}
	for _, line := range lines() {
		if line.Heading && p.colors {
			line.Text = bold + messages.Clean(line.Text) + usual
			if _, err := fmt.Fprintln(p.raw, line.Text); err != nil {
				return err
			}
			continue
		}
		if err := p.printText(line.Text + "\n"); err != nil {
			return err
		}
	}
	return nil
}
