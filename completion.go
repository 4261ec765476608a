package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/spf13/cobra"
	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/messages"
)

// completing is the command that a shell's completion calls, with the words typed so far. It is the one of cobra's scripts, which kubectl
// has, too (https://github.com/spf13/cobra/blob/main/site/content/completions/_index.md).
const completing = cobra.ShellCompRequestCmd

// completion prints the script that has a shell complete hellolab's commands. It is cobra's: it asks the program for each word.
func (p *program) completion(c *cli.Context) error {
	root := &cobra.Command{Use: c.App.Name}
	switch shell := c.Args().First(); shell {
	case "bash":
		return root.GenBashCompletionV2(p.raw, true)
	case "zsh":
		return root.GenZshCompletion(p.raw)
	case "fish":
		return root.GenFishCompletion(p.raw, true)
	case "powershell", "pwsh":
		return root.GenPowerShellCompletionWithDesc(p.raw)
	default:
		return messages.Usagef("the shell %q is not known", shell).WithHint("use one of: %s", completionShells())
	}
}

func completionShells() []string { return []string{"bash", "zsh", "fish", "powershell"} }

// answer is what may stand where somebody completes a word.
type answer struct {
	// words may have a description behind a tab.
	words     []string
	directive cobra.ShellCompDirective
}

// longestAnswer is how long a completion may take: somebody waits for it at the keyboard.
const longestAnswer = 2 * time.Second

// complete answers what the last of the arguments may become, in the words that cobra's scripts read.
func (p *program) complete(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, longestAnswer)
	defer cancel()
	c.Context = ctx
	args := c.Args().Slice()
	if len(args) == 0 {
		return nil
	}
	before, word := args[:len(args)-1], args[len(args)-1]
	line := newCommandLine(c.App)
	for at := 0; at < len(before); {
		used, err := line.take(before[at:])
		if err != nil {
			if at == len(before)-1 && strings.HasPrefix(before[at], "-") { // a flag whose value is being typed
				return p.answer(p.flagValues(c, &line, before[at]))
			}
			return p.answer(answer{directive: cobra.ShellCompDirectiveNoFileComp})
		}
		at += used
	}
	for _, set := range line.flags[0] {
		name, value, _ := strings.Cut(strings.TrimLeft(set, "-"), "=")
		if err := c.Set(name, value); err != nil {
			return err
		}
	}
	if line.passesOn() {
		return p.completeKubectl(c, append(line.arguments, word))
	}
	return p.answer(p.candidates(c, &line, word))
}

// completeKubectl has kubectl complete what is behind its name. It reads no defaults of ours then, so it is told the context.
func (p *program) completeKubectl(c *cli.Context, args []string) error {
	all, err := p.configure(c)
	if err != nil {
		return err
	}
	context := bootstrap.Context(all.Bootstrap.Name)
	if len(args) > 1 && args[0] == "--" { // as in minikube kubectl -- get pods
		args = args[1:]
	}
	return p.runKubectl(context, slices.Concat([]string{completing, "--context", context, "--request-timeout", longestAnswer.String()}, args))
}

// answer prints an answer as cobra's scripts read it: a line for each word, and a number.
func (p *program) answer(a answer) error {
	_, err := fmt.Fprintf(p.stdout, "%s:%d\n", strings.Join(append(a.words, ""), "\n"), a.directive)
	return err
}

func (p *program) candidates(c *cli.Context, line *commandLine, word string) answer {
	none := answer{directive: cobra.ShellCompDirectiveNoFileComp}
	switch {
	case line.help:
		return answer{p.commandWords(line.next), cobra.ShellCompDirectiveNoFileComp}
	case strings.HasPrefix(word, "-") && strings.Contains(word, "="):
		dashed, _, _ := strings.Cut(word, "=")
		values := p.flagValues(c, line, dashed)
		for i, value := range values.words {
			values.words[i] = dashed + "=" + value
		}
		return values
	case strings.HasPrefix(word, "-"):
		return answer{line.flagWords(c.App), cobra.ShellCompDirectiveNoFileComp}
	case len(line.commands) == 0:
		return answer{p.commandWords(line.next), cobra.ShellCompDirectiveNoFileComp}
	}
	given := answer{directive: cobra.ShellCompDirectiveNoFileComp}
	if usage := strings.Fields(line.last().ArgsUsage); len(usage) > 0 {
		at := min(len(line.arguments), len(usage)-1)
		if at < len(line.arguments) && !strings.Contains(usage[at], "...") {
			return none // there are enough
		}
		given = p.arguments(c, usage[at])
	}
	if len(line.arguments) == 0 {
		given.words = append(p.commandWords(line.next), given.words...)
	}
	return given
}

// arguments are what an argument may be, by its name in the command's usage.
func (p *program) arguments(c *cli.Context, usage string) answer {
	none := answer{directive: cobra.ShellCompDirectiveNoFileComp}
	switch strings.Trim(usage, "[].") {
	case "FILE":
		return answer{directive: cobra.ShellCompDirectiveDefault}
	case "DIR":
		return answer{directive: cobra.ShellCompDirectiveFilterDirs}
	case "CHAPTER[/STEP":
		return answer{p.stepWords(c), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder}
	case "CHAPTER":
		return answer{p.chapterWords(c), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder}
	case "TAG":
		for _, tag := range images.Tags() {
			none.words = append(none.words, tag.Name)
		}
		return none
	case "NAME":
		return answer{p.imageWords(c), cobra.ShellCompDirectiveNoFileComp}
	case "SHELL":
		return answer{completionShells(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder}
	}
	return none
}

// flagValues are what a flag's value may be.
func (p *program) flagValues(c *cli.Context, line *commandLine, dashed string) answer {
	flag, _ := line.find(dashed)
	if flag == nil {
		return answer{directive: cobra.ShellCompDirectiveNoFileComp}
	}
	known := map[string][]string{
		"output": formats(flag), "lang": {"en", "zh"}, "builder": {"auto", "docker", "host"}, "platform": {"linux/amd64", "linux/arm64"},
		"shell": slices.Sorted(maps.Keys(shells())),
	}
	switch name := flag.Names()[0]; {
	case name == "config":
		return answer{directive: cobra.ShellCompDirectiveDefault}
	case slices.Contains([]string{"course", "source", "write", "collect"}, name):
		return answer{directive: cobra.ShellCompDirectiveFilterDirs}
	case name == "name":
		return answer{p.labWords(c), cobra.ShellCompDirectiveNoFileComp}
	default:
		return answer{known[name], cobra.ShellCompDirectiveNoFileComp}
	}
}

func (p *program) commandWords(commands []*cli.Command) (words []string) {
	for _, command := range commands {
		if !command.Hidden {
			words = append(words, command.Name+"\t"+command.Usage)
		}
	}
	return words
}

// flagWords are the flags that help shows here: the last command's own, and those of all.
func (l *commandLine) flagWords(app *cli.App) (words []string) {
	flags := app.Flags
	if len(l.commands) > 0 {
		flags = slices.Concat(l.last().Flags, app.Flags)
	}
	for _, flag := range flags {
		words = append(words, "--"+flag.Names()[0]+"\t"+flag.(cli.DocGenerationFlag).GetUsage())
	}
	return words
}

// stepWords are the course's chapters and steps. Where no engine answers it is the course that the settings name.
func (p *program) stepWords(c *cli.Context) (words []string) {
	_, lessons, _ := p.beginCourse(c)
	if lessons == nil {
		return nil
	}
	for _, chapter := range lessons.Chapters {
		words = append(words, chapter.Name+"\t"+p.printer.Text(chapter.Title.Text()))
		for _, step := range chapter.Steps {
			words = append(words, step.ID()+"\t"+p.printer.Text(step.Title.Text()))
		}
	}
	return words
}

// chapterWords are the chapters with faults to practise with.
func (p *program) chapterWords(c *cli.Context) (words []string) {
	_, lessons, _ := p.beginCourse(c)
	if lessons == nil {
		return nil
	}
	for _, chapter := range lessons.Chapters {
		if len(lessons.Faults(chapter.Name)) > 0 {
			words = append(words, chapter.Name+"\t"+p.printer.Text(chapter.Title.Text()))
		}
	}
	return words
}

// labWords are the names of the labs that there are.
func (p *program) labWords(c *cli.Context) []string {
	docker, err := p.connect(c.Context)
	if err != nil {
		return nil
	}
	names, err := bootstrap.Names(c.Context, docker)
	if err != nil {
		return nil
	}
	return names
}

// imageWords are the images that the Docker Engine has.
func (p *program) imageWords(c *cli.Context) (words []string) {
	docker, err := p.connect(c.Context)
	if err != nil {
		return nil
	}
	all, err := docker.ImageList(c.Context, image.ListOptions{})
	if err != nil {
		return nil
	}
	for _, each := range all {
		words = append(words, each.RepoTags...)
	}
	slices.Sort(words)
	return words
}
