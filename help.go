package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
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

// version is set by the Makefile.
var version = "devel"

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
		rows = append(rows, []string{"  " + child.Name, child.Usage})
	}
	if len(rows) > 0 {
		fmt.Fprintf(p.stdout, "\n%s\n%s", p.say("Commands:"), table(rows))
	}
	rows = nil
	for _, flag := range slices.Concat(own, app.Flags) {
		rows = append(rows, []string{"  " + flagNames(flag), flag.(cli.DocGenerationFlag).GetUsage()})
	}
	fmt.Fprintf(p.stdout, "\n%s\n%s", p.say("Flags, before or after the arguments:"), table(rows))
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
		text += " " + strings.ToUpper(flag.Names()[0])
	}
	return text
}
