// Command hellolab starts a local Kubernetes lab for the readers of a course: a kind cluster, an image registry and an
// ingress controller, with nothing else to install than a Docker Engine.
//
// This package is the table of commands and all that touches the outside: it alone reads arguments and the
// environment, opens connections, prints errors and exits.
package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
	"github.com/hellolab/hellolab/redact"
	_ "github.com/hellolab/hellolab/startup" // before what the others import
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), ends()...)
	context.AfterFunc(ctx, func() { // the second Ctrl-C kills at once: kind's Create takes no context
		signal.Ignore(syscall.SIGHUP) // a terminal that is closed sends it twice
		stop()
	})
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// ends are the signals that end a program: the last one comes when its terminal is closed, unless nohup keeps it away.
func ends() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// program is one run of hellolab: where it writes, and in which language.
type program struct {
	// stdout and stderr are [messages.Cleaned], since what is printed may come from a course, a pod or a server. Only the story
	// and kubectl write past them.
	stdout io.Writer
	// raw is stdout for what is a file's content, and goes where the user sends it.
	raw *os.File
	// colors says that stdout is a terminal with colours, which the user has not switched off.
	colors  bool
	stderr  io.Writer
	getenv  func(string) string
	printer messages.Printer
	story   *progress.Progress
	log     *logrus.Logger
	// lab is the name of the lab that this run is about, flags lead hellolab there, and settingFlags are the settings that it
	// was given, once they have been read.
	lab                 string
	flags, settingFlags []string
	// lasting is that of [labs.Labs], which tests shorten.
	lasting time.Duration
}

func run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	p := &program{getenv: os.Getenv}
	return p.run(ctx, args, stdout, stderr)
}

// run does what args say, and returns the exit status.
func (p *program) run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	p.raw, p.stdout, p.stderr = stdout, messages.Cleaned(stdout), messages.Cleaned(stderr)
	p.printer = messages.In(languages(args, p.getenv)...)
	p.printer.Lab, p.printer.Advise = p.here, advice
	p.story = progress.New(p.storyOptions(stderr))
	p.colors = p.draws(stdout) && p.getenv("NO_COLOR") == ""
	p.log = logrus.New()
	p.log.SetOutput(redact.Writer{Writer: p.story, Redactor: redact.New(nil)}) // kind says what it runs, with a proxy's password
	p.log.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
	helm.SetFieldManager()
	return p.exit(ctx, p.dispatch(ctx, byItsName(args)))
}

// here is the lab that this run is about, for the commands that the user is told to type. The word kubectl alone leads to
// it where there is such a program, and the lab's context is the current one.
func (p *program) here() messages.Lab {
	lab := messages.Lab{Flags: p.flags, Settings: p.settingFlags}
	config := kube.Kubeconfig{Context: bootstrap.Context(p.lab)}
	if p.lab == "" || config.Server() == "" { // there is no lab yet
		return lab
	}
	lab.Namespace = config.Namespace()
	isCurrent := config.Current() == config.Context
	if !isCurrent {
		lab.Context = config.Context
	}
	if _, err := exec.LookPath("kubectl"); err != nil || !isCurrent {
		lab.Kubectl = slices.Concat([]string{"hellolab"}, p.flags, []string{"kubectl"})
	}
	return lab
}

// dispatch runs the command that args name.
func (p *program) dispatch(ctx context.Context, args []string) error {
	app := p.app()
	arranged, err := arrange(app, args)
	if help, asked := err.(helpAsked); asked {
		p.printHelp(app, help.commands)
		return nil
	}
	if err != nil {
		return err
	}
	return app.RunContext(ctx, arranged)
}

// app is the table of commands: a command is a row, and its action one call.
func (p *program) app() *cli.App {
	say := func(format string) string { return p.printer.Text(messages.T(format)) }
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: say("json: output for programs")}
	trace := &cli.StringFlag{Name: "trace", Usage: say("write what took how long into this file, for ui.perfetto.dev or chrome://tracing")}
	return &cli.App{
		Name:                      "hellolab",
		Usage:                     say("a Kubernetes lab on this machine, for the hellok8s course"),
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,                         // a value may have commas
		ExitErrHandler:            func(*cli.Context, error) {}, // run reports, and exits
		Writer:                    p.stderr,
		ErrWriter:                 p.stderr,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: say("a file with settings that differ from the defaults (HELLOLAB_CONFIG)")},
			&cli.StringSliceFlag{Name: "set", Usage: say("one setting, KEY=VALUE: for example bootstrap.ports.http=8080")},
			&cli.StringFlag{Name: "name", Usage: say("the lab's name (hellolab)")},
			&cli.StringFlag{Name: "course", Usage: say("a folder with another course")},
			&cli.StringFlag{Name: "lang", Usage: say("en or zh; otherwise the system's language")},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: say("show the messages of the lab's parts")},
		},
		Action: p.overview,
		Before: func(c *cli.Context) error {
			if c.Bool("verbose") {
				p.log.SetLevel(logrus.DebugLevel)
			}
			return nil
		},
		Commands: []*cli.Command{
			{Name: "up", Usage: say("start the lab, or add what is missing"), Action: p.up, Flags: []cli.Flag{
				&cli.IntFlag{Name: "workers", Usage: say("nodes in addition to the control plane")},
				&cli.BoolFlag{Name: "no-ingress", Usage: say("leave the ingress controller out")},
				&cli.BoolFlag{Name: "no-images", Usage: say("do not build the course's images")},
				&cli.StringFlag{Name: "from", Usage: say("take the images from a class' server: the address that bundle serve says")},
				trace,
			}},
			{Name: "down", Usage: say("delete the lab"), Action: p.down, Flags: []cli.Flag{
				&cli.BoolFlag{Name: "keep-registry", Usage: say("keep the image registry and what it holds")},
			}},
			{Name: "stop", Usage: say("stop the lab and keep its state"), Action: p.onLab((*bootstrap.Lab).Stop)},
			{Name: "start", Usage: say("start a stopped lab"), Action: p.start, Flags: []cli.Flag{trace}},
			{Name: "pause", Usage: say("freeze the lab"), Action: p.onLab((*bootstrap.Lab).Pause)},
			{Name: "resume", Usage: say("resume a paused lab"), Action: p.onLab((*bootstrap.Lab).Resume)},
			{Name: "status", Usage: say("show the state of the lab"), Action: p.status, Flags: []cli.Flag{output}},
			{Name: "doctor", Usage: say("find what keeps the lab from working on this machine"), Action: p.doctor, Flags: []cli.Flag{output}},
			{Name: "logs", ArgsUsage: "FILE", Usage: say("collect what a bug report needs in a ZIP archive, without secrets"), Action: p.logs, Flags: []cli.Flag{output,
				&cli.BoolFlag{Name: "force", Usage: say("overwrite the file")},
			}},
			{Name: "images", Usage: say("the course's eight image tags"), Subcommands: []*cli.Command{
				{Name: "list", Usage: say("show what the registry holds"), Action: p.imagesList, Flags: []cli.Flag{output}},
				{Name: "build", ArgsUsage: "[TAG...]", Usage: say("build all of them, or those named"), Action: p.imagesBuild, Flags: []cli.Flag{output,
					&cli.StringFlag{Name: "builder", Usage: say("auto, docker (in a container) or host (this machine's Go)")},
					&cli.StringFlag{Name: "source", Usage: say("a folder that images export wrote, to build from instead")},
				}},
				{Name: "push", ArgsUsage: "NAME...", Usage: say("bring images of your own into the lab, under the names that YAML has"), Action: p.imagesPush, Flags: []cli.Flag{output}},
				{Name: "export", ArgsUsage: "DIR", Usage: say("write the sources, to build them by hand"), Action: p.imagesExport, Flags: []cli.Flag{output,
					&cli.BoolFlag{Name: "force", Usage: say("overwrite files that have been changed")},
				}},
				{Name: "env", Usage: say("print the environment variables for pushing to the lab's registry"), Action: p.imagesEnv, Flags: []cli.Flag{output,
					&cli.StringFlag{Name: "shell", Usage: say("bash, zsh, sh, fish, powershell or cmd; otherwise yours")},
				}},
			}},
			{Name: "bundle", Usage: say("all images of a lab in one file, for machines that cannot download them"), Subcommands: []*cli.Command{
				{Name: "save", ArgsUsage: "FILE", Usage: say("write the file, on a machine that can"), Action: p.bundleSave, Flags: []cli.Flag{output,
					&cli.StringSliceFlag{Name: "platform", Usage: say("linux/amd64, linux/arm64 or both; otherwise this machine's")},
					&cli.BoolFlag{Name: "force", Usage: say("overwrite the file")},
				}},
				{Name: "load", ArgsUsage: "FILE", Usage: say("take the images from the file; up needs no network then"), Action: p.bundleLoad, Flags: []cli.Flag{output}},
				{Name: "serve", ArgsUsage: "FILE", Usage: say("give the file to a class, until Ctrl-C; anybody in the network can fetch it"), Action: p.bundleServe, Flags: []cli.Flag{output,
					&cli.IntFlag{Name: "port", Value: 8765, Usage: say("the port to serve at")},
					&cli.StringFlag{Name: "address", Usage: say("the address to serve at; otherwise all of this machine's")},
				}},
			}},
			{Name: "lab", ArgsUsage: "CHAPTER[/STEP]", Usage: say("the course: set the cluster up as it is after a step"), Action: p.onCourse(true, p.labInstall), Flags: []cli.Flag{
				&cli.BoolFlag{Name: "before", Usage: say("set up the state before the step, to do it yourself")},
				&cli.BoolFlag{Name: "trust", Usage: say("let somebody else's course do everything; only for people you trust")},
				&cli.BoolFlag{Name: "force", Usage: say("delete volumes with what is in them, too")},
				output,
			}, Subcommands: []*cli.Command{
				{Name: "list", Usage: say("list the chapters and steps, and your progress"), Action: p.labList, Flags: []cli.Flag{output}},
				{Name: "show", ArgsUsage: "CHAPTER[/STEP]", Usage: say("show what to do, and the files"), Action: p.labShow, Flags: []cli.Flag{output,
					&cli.StringFlag{Name: "write", Usage: say("write a step's files into this folder")},
					&cli.BoolFlag{Name: "force", Usage: say("overwrite files that have been changed")}}},
				{Name: "check", ArgsUsage: "[CHAPTER[/STEP]]", Usage: say("check the cluster against the step's result"), Action: p.onCourse(false, p.labCheck), Flags: []cli.Flag{output,
					&cli.BoolFlag{Name: "watch", Usage: say("keep checking while you work, and go on to the next step")},
					&cli.BoolFlag{Name: "explain", Usage: say("tell all hints at once: the cause, and the command that mends it")}}},
				{Name: "hint", ArgsUsage: "[CHAPTER[/STEP]]", Usage: say("give the next hint: what to look at, the cause, the command"), Action: p.onCourse(false, p.labHint), Flags: []cli.Flag{output}},
				{Name: "report", ArgsUsage: "[FILE]", Usage: say("report how far you are, for a teacher; or collect the reports of a class"), Action: p.labReport, Flags: []cli.Flag{
					formatFlag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: say("json; csv or html with --collect")}, []string{"json", "csv", "html"}},
					&cli.StringFlag{Name: "as", Usage: say("your name; otherwise the one that this machine knows")},
					&cli.StringFlag{Name: "collect", Usage: say("make the table of a class out of the reports in this folder")},
					&cli.BoolFlag{Name: "force", Usage: say("overwrite the file")}}},
				{Name: "practice", ArgsUsage: "[CHAPTER]", Usage: say("find and mend a fault that hellolab plants, or several in an exam"), Action: p.onCourse(true, p.labPractice), Flags: []cli.Flag{output,
					&cli.IntFlag{Name: "seed", Usage: say("choose by this number: it gives everybody the same; otherwise any")},
					&cli.IntFlag{Name: "exam", Usage: say("so many faults, one after the other, without help")},
					&cli.IntFlag{Name: "minutes", Usage: say("how long the exam may take; otherwise any time")},
					&cli.BoolFlag{Name: "next", Usage: say("leave this fault, for another one")},
					&cli.BoolFlag{Name: "give-up", Usage: say("tell what the fault is, and what mends it")},
					&cli.BoolFlag{Name: "end", Usage: say("end the exam, and show its result; or that of the last one")},
					&cli.BoolFlag{Name: "trust", Usage: say("let somebody else's course do everything; only for people you trust")}}},
				{Name: "reset", Usage: say("empty the course's namespaces"), Action: p.onCourse(true, p.labReset), Flags: []cli.Flag{
					&cli.BoolFlag{Name: "force", Usage: say("delete volumes with what is in them, too")}}},
				{Name: "save", ArgsUsage: "FILE", Usage: say("save the state of the course's namespaces"), Action: p.onCourse(true, p.labSave), Flags: []cli.Flag{output,
					&cli.BoolFlag{Name: "force", Usage: say("overwrite the file")}}},
				{Name: "restore", ArgsUsage: "FILE", Usage: say("restore the namespaces from a saved file"), Action: p.onCourse(true, p.labRestore), Flags: []cli.Flag{
					&cli.BoolFlag{Name: "trust", Usage: say("let the file do everything; only for files from people you trust")},
					&cli.BoolFlag{Name: "force", Usage: say("delete volumes with what is in them, too")}}},
			}},
			{Name: "why", ArgsUsage: "[KIND/NAME]", Usage: say("find out what is wrong, with one object or all of a namespace"), Action: p.onCourse(false, p.why), Flags: []cli.Flag{output,
				&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: say("the namespace; otherwise kubectl's")}}},
			{Name: "kubectl", ArgsUsage: "[ARGS...]", SkipFlagParsing: true, HideHelp: true, Usage: say("the built-in kubectl, on the lab"), Action: p.kubectl},
			{Name: "tunnel", Usage: say("give LoadBalancer Services addresses, until Ctrl-C"), Action: p.tunnel},
			{Name: "dashboard", Usage: say("show the lab live in the browser, until Ctrl-C"), Action: p.dashboard, Flags: []cli.Flag{
				&cli.IntFlag{Name: "port", Usage: say("the port of this machine to serve at; otherwise any free one")},
				&cli.BoolFlag{Name: "no-browser", Usage: say("only print the address")},
			}},
			{Name: "ip", Usage: say("print the lab's address"), Action: p.ip, Flags: []cli.Flag{output}},
			{Name: "config", Usage: say("show the settings"), Action: p.showConfig, Flags: []cli.Flag{output}},
			{Name: "completion", ArgsUsage: "SHELL", Usage: say("print the script that completes commands in bash, zsh, fish or PowerShell"), Action: p.completion},
			{Name: "version", Usage: say("show the version"), Action: p.version, Flags: []cli.Flag{output}},
			{Name: completing, ArgsUsage: "[WORD...]", SkipFlagParsing: true, HideHelp: true, Hidden: true, Action: p.complete},
			{Name: "man", Hidden: true, Usage: say("print the manual page"), Action: p.man},
		},
	}
}

// storyOptions say how the story is told: with a line that turns on a terminal, in plain lines elsewhere.
func (p *program) storyOptions(stderr *os.File) progress.Options {
	options := progress.Options{Out: stderr, Printer: p.printer}
	if !p.draws(stderr) {
		return options
	}
	options.Color = p.getenv("NO_COLOR") == ""
	options.Columns = func() int {
		if columns, _, err := term.GetSize(int(stderr.Fd())); err == nil && columns > 0 {
			return columns
		}
		return 80
	}
	return options
}

// draws reports whether a file is a terminal that does more than to show one line after another.
func (p *program) draws(file *os.File) bool {
	return term.IsTerminal(int(file.Fd())) && p.getenv("TERM") != "dumb" && enableTerminal(file)
}
