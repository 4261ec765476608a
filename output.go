package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
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

// print writes a result on stdout: value as JSON where -o json asks for it, text otherwise.
func (p *program) print(c *cli.Context, value any, text func() string) error {
	switch c.String("output") {
	case "json":
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case "":
		_, err := fmt.Fprint(p.stdout, text())
		return err
	}
	return messages.Usagef("-o %s is not known", c.String("output")).WithHint("-o json, or no -o at all")
}

// welcome tells what there is now, and what to try first.
func (p *program) welcome(lab *bootstrap.Lab) error {
	settings := lab.Settings().Bootstrap
	if p.story.Steps() == 0 {
		p.story.Say(messages.T("the lab %s is up already; nothing to change", settings.Name))
		return nil
	}
	p.story.Say(messages.T("the lab %s is up; kubectl's context for it is %s", settings.Name, bootstrap.Context(settings.Name)))
	p.story.Say(messages.T("  image registry      %s", lab.Registry().Address()))
	if settings.Ingress.Enabled {
		p.story.Say(messages.T("  Ingress             %s", lab.Addresses().Ingress+"/"))
	}
	p.story.Say(messages.T("  NodePort 30000      %s", lab.Addresses().NodePort+"/"))
	return nil
}

func (p *program) statusText(status bootstrap.Status) string {
	rows := [][]string{{p.say("lab"), status.Name + "  " + p.state(status.State)}}
	if status.State != bootstrap.Absent {
		rows = append(rows, []string{p.say("kubectl context"), status.Context})
		if status.Kubernetes != "" {
			rows = append(rows, []string{"Kubernetes", status.Kubernetes})
		}
		for _, node := range status.Nodes {
			state := node.State
			if node.Ready {
				state = "Ready"
			}
			rows = append(rows, []string{p.say("node"), node.Name + "  " + state})
		}
		rows = append(rows,
			[]string{p.say("image registry"), status.Registry.Address + "  " + p.state(status.Registry.State)},
			[]string{"Ingress", status.Ingress.Address + "  " + p.state(status.Ingress.State)},
			[]string{"NodePort 30000", status.NodePort})
	}
	text := table(rows)
	if next := nextStep(status.State); next != "" {
		text += p.say("next") + ": " + next + "\n"
	}
	return text
}

// imagesText is a table of the tags, and what to do where one is not up to date.
func (p *program) imagesText(states []images.State) string {
	rows := [][]string{{p.say("TAG"), p.say("CHAPTER"), p.say("SIZE"), p.say("STATE"), p.say("DIGEST")}}
	stale := false
	for _, state := range states {
		size, how, digest := "", p.say("absent"), ""
		if state.Digest != "" {
			size, how, digest = fmt.Sprintf("%.1f MB", float64(state.Size)/1e6), p.say("up to date"), strings.TrimPrefix(state.Digest, "sha256:")[:12]
		}
		switch {
		case state.Own && !state.Current:
			how = p.say("your own")
		case state.Digest != "" && !state.Current:
			how, stale = p.say("other source"), true
		case !state.Current:
			stale = true
		}
		rows = append(rows, []string{state.Tag, state.Chapter, size, how, digest})
	}
	text := table(rows)
	if stale {
		text += p.say("next") + ": " + p.printer.Command(messages.Hellolab("images", "build")) + "\n"
	}
	return text
}

func nextStep(state string) string {
	switch state {
	case bootstrap.Absent, bootstrap.Broken:
		return "hellolab up"
	case bootstrap.Stopped:
		return "hellolab start"
	case bootstrap.Paused:
		return "hellolab resume"
	}
	return ""
}

// state translates a state for people; -o json keeps the English word.
func (p *program) state(state string) string {
	switch state {
	case bootstrap.Absent:
		return p.say("absent")
	case bootstrap.Stopped:
		return p.say("stopped")
	case bootstrap.Paused:
		return p.say("paused")
	case bootstrap.Running:
		return p.say("running")
	case bootstrap.Broken:
		return p.say("broken")
	}
	return state
}

func (p *program) say(format string) string { return p.printer.Text(messages.T(format)) }

// table lines up columns.
func table(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], progress.Columns(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-progress.Columns(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func (p *program) config(c *cli.Context) error {
	all, _, err := p.settings(c)
	if err != nil {
		return err
	}
	encoder := yaml.NewEncoder(p.stdout)
	encoder.SetIndent(2)
	return encoder.Encode(all)
}

// version tells what this program is built from.
func (p *program) version(c *cli.Context) error {
	build := struct {
		Version string `json:"version"`
		Kind    string `json:"kind"`
		Helm    string `json:"helm"`
		Go      string `json:"go"`
		System  string `json:"system"`
	}{Version: version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			switch module.Path {
			case "sigs.k8s.io/kind":
				build.Kind = module.Version
			case "helm.sh/helm/v3":
				build.Helm = module.Version
			}
		}
	}
	return p.print(c, build, func() string {
		return fmt.Sprintf("hellolab %s (kind %s, helm %s, %s, %s)\n", build.Version, build.Kind, build.Helm, build.Go, build.System)
	})
}

// version is set by the Makefile.
var version = "devel"

// printHelp writes the help on the program, or on the last of commands, to stdout.
func (p *program) printHelp(app *cli.App, commands []*cli.Command) {
	name, usage, flags, children := app.Name, app.Usage, app.Flags, app.Commands
	arguments := ""
	for _, command := range commands {
		name, usage, arguments, children = name+" "+command.Name, command.Usage, command.ArgsUsage, command.Subcommands
		flags = append(append([]cli.Flag{}, command.Flags...), flags...)
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
	for _, flag := range flags {
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
