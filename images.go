package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// imagesList shows which of the course's images the registry holds.
func (p *program) imagesList(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	runs, err := s.lab.RegistryRuns(c.Context)
	if err != nil {
		return err
	}
	builder := p.builder(s)
	if !runs {
		builder.Store = nil
	}
	states, err := builder.List(c.Context)
	if err != nil {
		return err
	}
	return p.print(c, states, func() string { return p.imagesText(states) })
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
	text := progress.Table(rows)
	if stale {
		text += p.say("next: ") + p.printer.Command(messages.Hellolab("images", "build")) + "\n"
	}
	return text
}

// imagesBuild builds images, and prints their references.
func (p *program) imagesBuild(c *cli.Context) error {
	tags, err := images.Select(c.Args().Slice())
	if err != nil {
		return err
	}
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	if err := s.lab.StartRegistry(c.Context); err != nil {
		return err
	}
	builder := p.builder(s)
	builder.Folder = c.String("source")
	if builder.Folder != "" {
		builder.Origin = images.User
	}
	if c.IsSet("builder") {
		builder.Compiler = c.String("builder")
	}
	builder.Replace = c.Args().Present() || builder.Folder != ""
	references, kept, err := builder.Build(c.Context, tags)
	if err != nil {
		return err
	}
	if builder.Replace {
		replaced := map[string]string{}
		for _, reference := range references {
			name, digest, _ := strings.Cut(strings.TrimPrefix(reference, s.lab.Addresses().Registry+"/"), "@")
			replaced[name] = digest
		}
		if err := s.lab.Refresh(c.Context, replaced); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		p.story.Say(messages.T("these images in the registry are your own, and stay: %s; to replace one: %s",
			kept, messages.Hellolab("images", "build").Usage("TAG")))
	}
	return p.printList(c, references)
}

// imagesPush brings images of the Docker Engine's, or of others, into the lab under the names that YAML has for them, and prints their
// references.
func (p *program) imagesPush(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	if err := s.lab.StartRegistry(c.Context); err != nil {
		return err
	}
	registry := s.lab.Registry()
	pushed, failed := map[string]string{}, []error(nil)
	for _, name := range c.Args().Slice() {
		digest, err := registry.Push(c.Context, name)
		if err != nil {
			failed = append(failed, err) // the others are none the worse for it
			continue
		}
		pushed[name] = digest
	}
	var references []string
	for _, name := range slices.Sorted(maps.Keys(pushed)) {
		references = append(references, registry.Reference(name, pushed[name]))
	}
	failed = append(failed, s.lab.Refresh(c.Context, pushed))
	if len(references) > 0 {
		failed = append(failed, p.printList(c, references))
	}
	return errors.Join(failed...)
}

// imagesExport writes the sources of the images into a folder.
func (p *program) imagesExport(c *cli.Context) error {
	all, err := p.configure(c)
	if err != nil {
		return err
	}
	folders, err := images.Export(c.Args().First(), all.Images.Builder, c.Bool("force"))
	if err != nil {
		return err
	}
	return p.printList(c, folders)
}

// variable is one of the environment variables that `images env` sets.
type variable struct{ name, value string }

// shells are those that hellolab knows, with the line that sets a variable in each.
func shells() map[string]string {
	return map[string]string{
		"bash": "export %s=%q\n", "zsh": "export %s=%q\n", "sh": "export %s=%q\n", "fish": "set -gx %s %q;\n",
		"powershell": "$Env:%s = %q\n", "cmd": "SET %s=%s\n",
	}
}

// imagesEnv prints the lines that let a shell's docker push reach the lab's registry.
func (p *program) imagesEnv(c *cli.Context) error {
	shell := c.String("shell")
	if shell == "" {
		shell = p.shell()
	}
	set, found := shells()[shell]
	if !found {
		return messages.Usagef("%q is not a shell that hellolab knows", shell).
			WithHint("name one of: bash, zsh, sh, fish, powershell, cmd: %s", messages.Hellolab("images", "env", "--shell").Usage("SHELL"))
	}
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	endpoint, err := engine.Endpoint(p.getenv)
	if err != nil {
		return err
	}
	var variables []variable
	if endpoint != "" {
		variables = append(variables, variable{"DOCKER_HOST", endpoint})
	}
	registry := s.lab.Addresses().Registry
	variables = append(variables, variable{"HELLOLAB_REGISTRY", registry})
	values := map[string]string{}
	for _, v := range variables {
		values[v.name] = v.value
	}
	return p.print(c, values, func() string {
		var text strings.Builder
		for _, v := range variables {
			fmt.Fprintf(&text, set, v.name, v.value)
		}
		env := p.printer.Command(messages.Hellolab("images", "env"))
		return text.String() + strings.Join(envComments(shell, env, registry+"/"+s.config.Images.Account+"/hellok8s:v1"), "\n") + "\n"
	})
}

// envComments say what the lines before are good for; env is the command that printed them.
func envComments(shell, env, image string) []string {
	sign, evaluate := "# ", `eval "$(`+env+`)"`
	switch shell {
	case "fish":
		evaluate = env + " | source"
	case "powershell":
		evaluate = env + " | Out-String | Invoke-Expression"
	case "cmd":
		sign, evaluate = "REM ", `@FOR /f "tokens=*" %i IN ('`+env+` --shell cmd') DO @%i`
	}
	return []string{sign + evaluate, sign + "docker build -t " + image + " .", sign + "docker push " + image}
}

// shell is the user's, as far as it can be told.
func (p *program) shell() string {
	switch name := strings.TrimSuffix(filepath.Base(p.getenv("SHELL")), ".exe"); {
	case name == "fish":
		return name
	case runtime.GOOS == "windows" && name != "bash": // Git Bash sets it, too
		return "powershell"
	}
	return "bash"
}
