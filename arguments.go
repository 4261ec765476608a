package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/messages"
)

// helpAsked is what arrange answers when somebody asked for help on a command, the last of commands.
type helpAsked struct{ commands []*cli.Command }

func (helpAsked) Error() string { return "help asked" }

// missingArgument is the error about a command line that ends too early.
type missingArgument struct{ error }

func (m missingArgument) Unwrap() error { return m.error }

// arrange puts the arguments in the order that urfave/cli v2 understands: each command's flags right behind it.
// Left alone, it takes a flag after an argument for one more argument, without a word
// (https://github.com/urfave/cli/issues/427), and says little about wrong input. So all that can be wrong with a
// command line is found here: unknown commands and flags, missing values, too few or too many arguments.
func arrange(app *cli.App, args []string) ([]string, error) {
	line := newCommandLine(app)
	for i := 1; i < len(args); i++ {
		used, err := line.take(args[i:])
		if err != nil {
			return nil, err
		}
		i += used - 1
	}
	if line.help {
		return nil, helpAsked{line.commands}
	}
	if err := line.complete(); err != nil {
		return nil, err
	}
	return line.arranged(args[0]), nil
}

// commandLine is what has been read of the arguments.
type commandLine struct {
	commands  []*cli.Command
	next      []*cli.Command // those that may follow
	levels    [][]cli.Flag   // the flags that may be used: the program's, then each command's
	flags     [][]string     // those that were, by level
	arguments []string
	help      bool
}

func newCommandLine(app *cli.App) commandLine {
	return commandLine{flags: [][]string{nil}, levels: [][]cli.Flag{app.Flags}, next: app.Commands}
}

// take reads what stands first in args, and tells how many of them that was.
func (l *commandLine) take(args []string) (int, error) {
	first := args[0]
	switch {
	case first == "--":
		l.arguments = append(l.arguments, args[1:]...)
		return len(args), nil
	case first == "-h" || first == "--help" || first == "help" && len(l.commands) == 0:
		l.help = true
		return 1, nil
	case strings.HasPrefix(first, "-") && first != "-":
		return l.takeFlag(args)
	case len(l.next) > 0:
		if err := l.takeCommand(first); err != nil || !l.passesOn() {
			return 1, err
		}
		l.arguments = args[1:]
		return len(args), nil
	}
	l.arguments = append(l.arguments, first)
	return 1, nil
}

// passesOn reports whether all that follows is another program's.
func (l *commandLine) passesOn() bool { return len(l.commands) > 0 && l.last().SkipFlagParsing }

func (l *commandLine) takeCommand(name string) error {
	var names []string
	for _, command := range l.next {
		if !command.Hidden {
			names = append(names, command.Name)
		}
		if command.Name == name {
			l.commands = append(l.commands, command)
			l.levels = append(l.levels, command.Flags)
			l.flags = append(l.flags, nil)
			l.next = command.Subcommands
			return nil
		}
	}
	if len(l.commands) > 0 && l.last().ArgsUsage != "" { // it takes a name of the user's where it takes a command
		l.next = nil
		l.arguments = append(l.arguments, name)
		return nil
	}
	failure := messages.Usagef("unknown command %q", name)
	if best := cmp.Or(minikubes()[name], messages.Meant(name, names)); slices.Contains(names, best) {
		return failure.WithHint("did you mean: %s", messages.Hellolab(append(l.names(), best)...))
	}
	return failure.Next(messages.Hellolab("help"))
}

// minikubes are the commands that stand for those of minikube's that have another name.
func minikubes() map[string]string {
	return map[string]string{"unpause": "resume", "delete": "down", "profile": "status", "image": "images"}
}

func (l *commandLine) takeFlag(args []string) (int, error) {
	dashed, value, hasValue := strings.Cut(args[0], "=")
	flag, level := l.find(dashed)
	if flag == nil {
		failure := messages.Usagef("unknown flag %s", dashed)
		if dashed == "--version" {
			return 0, failure.WithHint("did you mean: %s", messages.Hellolab("version"))
		}
		if best := messages.Meant(dashed, l.known()); best != "" {
			return 0, failure.WithHint("did you mean: %s", best)
		}
		return 0, failure.Next(messages.Hellolab(append([]string{"help"}, l.names()...)...))
	}
	used := 1
	if _, isBool := flag.(*cli.BoolFlag); isBool && !hasValue {
		value = "true"
	} else if !hasValue {
		if len(args) < 2 {
			return 0, missingArgument{messages.Usagef("the flag %s needs a value", dashed).Next(messages.Hellolab("help"))}
		}
		value, used = args[1], 2
	}
	if err := checkValue(flag, dashed, value); err != nil {
		return 0, err
	}
	l.flags[level] = append(l.flags[level], dashed+"="+value)
	return used, nil
}

// find gives the flag that is written as dashed ("--name", "-o"), and whose it is.
func (l *commandLine) find(dashed string) (cli.Flag, int) {
	name := strings.TrimLeft(dashed, "-")
	if len(name) > 1 && !strings.HasPrefix(dashed, "--") {
		return nil, 0
	}
	for level, flags := range slices.Backward(l.levels) { // a command's own before those of the command above it
		for _, flag := range flags {
			if slices.Contains(flag.Names(), name) {
				return flag, level
			}
		}
	}
	return nil, 0
}

// known gives the long names of the flags that may be used.
func (l *commandLine) known() []string {
	var names []string
	for _, flags := range l.levels {
		for _, flag := range flags {
			names = append(names, "--"+flag.Names()[0])
		}
	}
	return names
}

func checkValue(flag cli.Flag, dashed, value string) error {
	if formats := formats(flag); slices.Contains(flag.Names(), "output") && !slices.Contains(formats, value) {
		return messages.Usagef("-o %s is not known", value).WithHint("use -o %s, or leave it out", strings.Join(formats, ", -o "))
	}
	if slices.Contains(flag.Names(), "lang") && !slices.Contains([]string{"en", "zh"}, value) {
		return messages.Usagef("--lang %s is not known", value).WithHint("use --lang en or --lang zh, or leave it out")
	}
	var err error
	switch flag.(type) {
	case *cli.IntFlag:
		number, err := strconv.Atoi(value)
		if err != nil {
			return messages.Usagef("the flag %s needs a whole number, not %q", dashed, value).Next(messages.Hellolab("help"))
		}
		if slices.Contains(flag.Names(), "port") && (number < 1 || number > 65535) {
			return messages.Usagef("--port %s: a port is a number from 1 to 65535", value).WithHint("leave --port out, or give another one")
		}
	case *cli.BoolFlag:
		if _, err = strconv.ParseBool(value); err != nil {
			return messages.Usagef("the flag %s needs true or false, not %q", dashed, value).Next(messages.Hellolab("help"))
		}
	}
	return nil
}

func (l *commandLine) last() *cli.Command { return l.commands[len(l.commands)-1] }

// names are the words of the command: "images", "export".
func (l *commandLine) names() (all []string) {
	for _, command := range l.commands {
		all = append(all, command.Name)
	}
	return all
}

// command is the command in full, without flags and arguments.
func (l *commandLine) command() messages.Command { return messages.Hellolab(l.names()...) }

// complete checks the number of arguments against the command's own words: "NAME", "[TAG...]".
func (l *commandLine) complete() error {
	if len(l.commands) == 0 && len(l.arguments) > 0 { // behind --
		return messages.Usagef("unknown command %q", l.arguments[0]).Next(messages.Hellolab("help"))
	}
	if len(l.commands) == 0 {
		return nil
	}
	last := l.last()
	if len(last.Subcommands) > 0 && last.ArgsUsage == "" {
		var names []string
		for _, command := range last.Subcommands {
			names = append(names, command.Name)
		}
		return messages.Usagef("%s needs one of: %s", l.command(), names).Next(messages.Hellolab(append([]string{"help"}, l.names()...)...))
	}
	least, most := arity(last.ArgsUsage)
	switch {
	case len(l.arguments) < least:
		return missingArgument{messages.Usagef("an argument is missing").Next(l.command().Usage(last.ArgsUsage))}
	case len(l.arguments) > most && most == 0:
		return messages.Usagef("%s takes no arguments, not %q", l.command(), l.arguments[0]).Next(l.command())
	case len(l.arguments) > most:
		return messages.Usagef("one argument too many: %q", l.arguments[most]).Next(l.command().Usage(last.ArgsUsage))
	}
	return nil
}

// arity tells how many arguments usage stands for.
func arity(usage string) (least, most int) {
	for _, word := range strings.Fields(usage) {
		if strings.Contains(word, "...") {
			most += 1 << 20
		} else {
			most++
		}
		if !strings.HasPrefix(word, "[") {
			least++
		}
	}
	return least, most
}

func (l *commandLine) arranged(program string) []string {
	args := append([]string{program}, l.flags[0]...)
	for i, command := range l.commands {
		args = append(append(args, command.Name), l.flags[i+1]...)
	}
	if !l.passesOn() {
		args = append(args, "--")
	}
	return append(args, l.arguments...)
}

// formatFlag is the flag --output of a command that knows more formats than JSON.
type formatFlag struct {
	*cli.StringFlag
	formats []string
}

// formats are those that the flag --output takes.
func formats(flag cli.Flag) []string {
	if output, more := flag.(formatFlag); more {
		return output.formats
	}
	return []string{"json"}
}
