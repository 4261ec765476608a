package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/progress"
)

// build is what this program is built from, and for.
type build struct {
	Version string `json:"version"`
	Kind    string `json:"kind"`
	Helm    string `json:"helm"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

// version tells what this program is built from.
func (p *program) version(c *cli.Context) error {
	built := thisBuild()
	return p.print(c, built, func() string {
		return fmt.Sprintf("hellolab %s (kind %s, helm %s, %s, %s)\n", built.Version, built.Kind, built.Helm, built.Go, built.System)
	})
}

func thisBuild() build {
	built := build{Version: version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			switch module.Path {
			case "sigs.k8s.io/kind":
				built.Kind = module.Version
			case "helm.sh/helm/v3":
				built.Helm = module.Version
			}
		}
	}
	return built
}

// version is set by the Makefile, and by .goreleaser.yaml.
var version = "devel"

// man prints the manual page, for those who make packages.
func (p *program) man(c *cli.Context) error {
	p.document("", c.App.Commands)
	page, err := c.App.ToManWithSection(1)
	if err != nil {
		return err
	}
	return p.printText(page)
}

// printHelp writes the help on the program, or on the last of commands, to stdout.
func (p *program) printHelp(app *cli.App, commands []*cli.Command) {
	name, usage, children := app.Name, app.Usage, app.Commands
	var own []cli.Flag // the last one's: those of `lab` are not `lab save`'s
	arguments := ""
	for _, command := range commands {
		name, usage, arguments, children = name+" "+command.Name, command.Usage, command.ArgsUsage, command.Subcommands
		own = command.Flags
	}
	fmt.Fprintf(p.stdout, "%s\n\n", usage)
	if arguments != "" || len(children) == 0 {
		fmt.Fprintln(p.stdout, "  "+strings.Join(strings.Fields(name+" "+arguments+" "+p.say("[FLAGS]")), " "))
	}
	if len(children) > 0 {
		fmt.Fprintln(p.stdout, "  "+name, p.say("COMMAND"), p.say("[FLAGS]"))
	}
	var rows [][]string
	for _, child := range children {
		if !child.Hidden {
			rows = append(rows, []string{"  " + child.Name, child.Usage})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(p.stdout, "\n%s\n%s", p.say("Commands:"), list(rows))
	}
	rows = nil
	for _, flag := range slices.Concat(own, app.Flags) {
		rows = append(rows, []string{"  " + flagNames(flag), flag.(cli.DocGenerationFlag).GetUsage()})
	}
	fmt.Fprintf(p.stdout, "\n%s\n%s", p.say("Flags, before or after the arguments:"), list(rows))
	if text := p.examplesText(strings.TrimPrefix(strings.TrimPrefix(name, app.Name), " ")); text != "" {
		fmt.Fprintf(p.stdout, "\n%s\n%s", p.say("Examples:"), text)
	}
}

// list lines up names and what is to be said of each, in lines that are not too wide.
func list(rows [][]string) string {
	widest := 0
	for _, row := range rows {
		widest = max(widest, progress.Columns(row[0]))
	}
	var b strings.Builder
	for _, row := range rows {
		prefix := row[0] + strings.Repeat(" ", widest-progress.Columns(row[0])+2)
		if widest > columns/2 { // the purpose has no room beside it
			b.WriteString(row[0] + "\n")
			prefix = "        "
		}
		b.WriteString(progress.Wrap(row[1], prefix, columns))
	}
	return b.String()
}

func flagNames(flag cli.Flag) string {
	var names []string
	for _, name := range flag.Names() {
		if len(name) == 1 {
			names = append([]string{"-" + name}, names...)
		} else {
			names = append(names, "--"+name)
		}
	}
	text := strings.Join(names, ", ")
	if _, isBool := flag.(*cli.BoolFlag); !isBool {
		text += " " + cmp.Or(placeholders()[flag.Names()[0]], strings.ToUpper(flag.Names()[0]))
	}
	return text
}

// placeholders stand for the values of flags, where that is not the flag's own name.
func placeholders() map[string]string {
	return map[string]string{"config": "FILE", "set": "KEY=VALUE", "course": "DIR", "source": "DIR", "write": "DIR", "collect": "DIR", "as": "NAME", "output": "json", "workers": "N", "seed": "N", "exam": "N", "minutes": "N", "from": "ADDRESS", "trace": "FILE"}
}
