// Command hellolab starts a local Kubernetes lab for the readers of a course: a kind cluster, an image registry and an
// ingress controller, with nothing else to install than a Docker Engine.
//
// This package is the table of commands and all that touches the outside: it alone reads arguments and the
// environment, opens connections, prints errors and exits.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/docker/docker/client"
	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// The exit statuses, as docs/commands.md lists them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitNotYet = 3
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
	stdout  io.Writer
	stderr  io.Writer
	getenv  func(string) string
	printer messages.Printer
	story   *progress.Progress
	log     *logrus.Logger
	// here is the lab that this run is about, once the settings have been read.
	here messages.Lab
}

func run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	p := &program{stdout: stdout, stderr: stderr, getenv: os.Getenv}
	p.printer = messages.In(languages(args, p.getenv)...)
	p.printer.Lab = func() messages.Lab { return p.here }
	p.story = progress.New(p.storyOptions(stderr))
	p.log = logrus.New()
	p.log.SetOutput(p.story)
	p.log.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
	helm.SetFieldManager()
	err := p.dispatch(ctx, byItsName(args))
	var status exitStatus
	switch {
	case errors.As(err, &status):
		return int(status)
	case err == nil:
		return exitDone
	case errors.Is(err, errNotYet{}):
		return exitNotYet
	case ctx.Err() != nil && !errors.As(err, new(afterInterrupt)):
		err = messages.Errorf("interrupted").WithHint("the same command goes on where this stopped; hellolab down removes the lab")
	}
	return p.report(err)
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

// report prints an error, and what to do about it.
func (p *program) report(err error) int {
	fmt.Fprint(p.stderr, p.printer.Report(err))
	if messages.IsUsage(err) {
		return exitUsage
	}
	return exitFailed
}

// app is the table of commands: a command is a row, and its action one call.
func (p *program) app() *cli.App {
	say := func(format string) string { return p.printer.Text(messages.T(format)) }
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: say("json: for programs to read")}
	return &cli.App{
		Name:           "hellolab",
		Usage:          say("a Kubernetes lab on this machine, for the hellok8s course"),
		HideHelp:       true,
		HideVersion:    true,
		ExitErrHandler: func(*cli.Context, error) {}, // run reports, and exits
		Writer:         p.stderr,
		ErrWriter:      p.stderr,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: say("a file with settings that differ from the defaults (HELLOLAB_CONFIG)")},
			&cli.StringFlag{Name: "name", Usage: say("the lab's name (hellolab)")},
			&cli.StringFlag{Name: "lang", Usage: say("en or zh; otherwise the system's language")},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: say("show what the parts of the lab say")},
		},
		Before: func(c *cli.Context) error {
			if c.Bool("verbose") {
				p.log.SetLevel(logrus.DebugLevel)
			}
			return nil
		},
		Commands: []*cli.Command{
			{Name: "up", Usage: say("start the lab, or complete it"), Action: p.up, Flags: []cli.Flag{
				&cli.IntFlag{Name: "workers", Usage: say("nodes beside the control plane")},
				&cli.BoolFlag{Name: "no-ingress", Usage: say("leave the ingress controller out")},
				&cli.BoolFlag{Name: "no-images", Usage: say("do not build the course's images")},
			}},
			{Name: "down", Usage: say("remove the lab"), Action: p.down, Flags: []cli.Flag{
				&cli.BoolFlag{Name: "keep-registry", Usage: say("keep the image registry and what it holds")},
			}},
			{Name: "stop", Usage: say("stop the lab and keep its state"), Action: p.lab((*bootstrap.Lab).Stop)},
			{Name: "start", Usage: say("go on with a stopped lab"), Action: p.lab((*bootstrap.Lab).Start)},
			{Name: "pause", Usage: say("freeze the lab"), Action: p.lab((*bootstrap.Lab).Pause)},
			{Name: "resume", Usage: say("go on with a paused lab"), Action: p.lab((*bootstrap.Lab).Resume)},
			{Name: "status", Usage: say("show how the lab is"), Action: p.status, Flags: []cli.Flag{output}},
			{Name: "images", Usage: say("the course's eight image tags"), Subcommands: []*cli.Command{
				{Name: "list", Usage: say("show what the registry holds"), Action: p.imagesList, Flags: []cli.Flag{output}},
				{Name: "build", ArgsUsage: "[TAG...]", Usage: say("build all of them, or those named"), Action: p.imagesBuild, Flags: []cli.Flag{
					&cli.StringFlag{Name: "builder", Usage: say("auto, docker (in a container) or host (this machine's Go)")},
					&cli.StringFlag{Name: "source", Usage: say("a folder that images export wrote, to build from instead")},
				}},
				{Name: "export", ArgsUsage: "DIR", Usage: say("write the sources, to build by hand"), Action: p.imagesExport, Flags: []cli.Flag{
					&cli.BoolFlag{Name: "force", Usage: say("overwrite files that have been changed")},
				}},
				{Name: "env", Usage: say("print what lets docker push reach the lab's registry"), Action: p.imagesEnv, Flags: []cli.Flag{
					&cli.StringFlag{Name: "shell", Usage: say("bash, zsh, sh, fish, powershell or cmd; otherwise yours")},
				}},
			}},
			{Name: "lab", ArgsUsage: "CHAPTER[/STEP]", Usage: say("the course's chapters: bring the cluster to a step's state"), Action: p.onCourse(true, p.labInstall), Flags: []cli.Flag{
				&cli.BoolFlag{Name: "before", Usage: say("the state before the step, to do it by hand")},
				&cli.StringFlag{Name: "course", Usage: say("a folder with another course")},
			}, Subcommands: []*cli.Command{
				{Name: "list", Usage: say("show the chapters and steps, and how far you are"), Action: p.labList, Flags: []cli.Flag{output}},
				{Name: "show", ArgsUsage: "CHAPTER[/STEP]", Usage: say("show what to do, and the files"), Action: p.labShow},
				{Name: "check", ArgsUsage: "[CHAPTER[/STEP]]", Usage: say("compare the cluster with what the step leaves"), Action: p.onCourse(false, p.labCheck), Flags: []cli.Flag{output,
					&cli.BoolFlag{Name: "watch", Usage: say("go on while you work, and to the next step")}}},
				{Name: "reset", Usage: say("empty the course's namespaces"), Action: p.onCourse(true, p.labReset)},
				{Name: "save", ArgsUsage: "FILE", Usage: say("save the state of the course's namespaces"), Action: p.onCourse(true, p.labSave), Flags: []cli.Flag{
					&cli.BoolFlag{Name: "force", Usage: say("overwrite the file")}}},
				{Name: "restore", ArgsUsage: "FILE", Usage: say("bring the namespaces back to what was saved"), Action: p.onCourse(true, p.labRestore)},
			}},
			{Name: "kubectl", ArgsUsage: "[ARGS...]", SkipFlagParsing: true, HideHelp: true, Usage: say("kubectl itself, on the lab"), Action: p.kubectl},
			{Name: "tunnel", Usage: say("give LoadBalancer Services addresses, until Ctrl-C"), Action: p.tunnel},
			{Name: "ip", Usage: say("print the address that the lab answers at"), Action: p.ip},
			{Name: "config", Usage: say("show the settings"), Action: p.config},
			{Name: "version", Usage: say("show the version"), Action: p.version, Flags: []cli.Flag{output}},
		},
	}
}

func (p *program) up(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	lessons, err := p.course(c, s.all.Images.Account)
	if err != nil {
		return err
	}
	packages, files, err := repository(lessons)
	if err != nil {
		return err
	}
	fill := func(ctx context.Context) error {
		err := pushCharts(ctx, s, packages)
		if c.Bool("no-images") {
			return err
		}
		_, _, building := p.builder(c, s).Build(ctx, images.Tags())
		return errors.Join(err, building)
	}
	if err := s.lab.Up(c.Context, &s.asked, bootstrap.More{Fill: fill, Charts: files}); err != nil {
		return err
	}
	return p.welcome(s.lab)
}

func (p *program) down(c *cli.Context) error {
	return p.lab(func(lab *bootstrap.Lab, ctx context.Context) error { return lab.Down(ctx, c.Bool("keep-registry")) })(c)
}

func (p *program) status(c *cli.Context) error {
	return p.lab(func(lab *bootstrap.Lab, ctx context.Context) error {
		status, err := lab.Status(ctx)
		if err != nil {
			return err
		}
		return p.print(c, status, func() string { return p.statusText(status) })
	})(c)
}

// lab is the action that does one thing with the lab that the settings name.
func (p *program) lab(do func(*bootstrap.Lab, context.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, err := p.begin(c)
		if err != nil {
			return err
		}
		return do(s.lab, c.Context)
	}
}

func (p *program) imagesList(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	runs, err := s.lab.RegistryRuns(c.Context)
	if err != nil {
		return err
	}
	builder := p.builder(c, s)
	if !runs {
		builder.Store = nil
	}
	states, err := builder.List(c.Context)
	if err != nil {
		return err
	}
	return p.print(c, states, func() string { return p.imagesText(states) })
}

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
	builder := p.builder(c, s)
	builder.Replace = c.Args().Present() || builder.Folder != ""
	references, kept, err := builder.Build(c.Context, tags)
	if err != nil {
		return err
	}
	if len(kept) > 0 {
		p.story.Say(messages.T("these images in the registry are your own, and stay: %s; to replace one: hellolab images build TAG", kept))
	}
	_, err = fmt.Fprintln(p.stdout, strings.Join(references, "\n"))
	return err
}

func (p *program) imagesExport(c *cli.Context) error {
	all, _, err := p.settings(c)
	if err != nil {
		return err
	}
	folders, err := images.Export(c.Args().First(), all.Images.Builder, c.Bool("force"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, strings.Join(folders, "\n"))
	return err
}

// builder makes the course's images for a lab.
func (p *program) builder(c *cli.Context, s session) *images.Builder {
	builder := &images.Builder{Docker: s.docker, Story: p.story, Store: s.lab.Registry(), Config: s.all.Images,
		Lab: s.lab.Settings().Bootstrap.Name, Compiler: "auto", Folder: c.String("source")}
	if c.IsSet("builder") {
		builder.Compiler = c.String("builder")
	}
	if caches, err := os.UserCacheDir(); err == nil {
		builder.Cache = filepath.Join(caches, "hellolab", "images")
	}
	return builder
}

// session is what a command that needs the engine works with.
type session struct {
	all    configuration
	asked  bootstrap.Asked
	docker *client.Client
	lab    *bootstrap.Lab
}

// begin reads the settings, connects to the Docker Engine and finds the lab there. kind's docker commands are sent to
// the same engine.
func (p *program) begin(c *cli.Context) (s session, err error) {
	if s.all, s.asked, err = p.settings(c); err != nil {
		return s, err
	}
	if s.docker, err = p.connect(c.Context); err != nil {
		return s, err
	}
	if err := p.bypassProxy(s.all.Bootstrap.Name + "-registry"); err != nil {
		return s, err
	}
	s.lab, err = bootstrap.Open(c.Context, s.docker, p.story, p.log, s.asked)
	return s, err
}

func (p *program) connect(ctx context.Context) (*client.Client, error) {
	endpoint, err := engine.Endpoint(p.getenv)
	if err != nil {
		return nil, err
	}
	if endpoint != "" {
		if err := os.Setenv("DOCKER_HOST", endpoint); err != nil {
			return nil, err
		}
	}
	return engine.Connect(ctx, endpoint)
}

// bypassProxy has the nodes reach a host without the proxy that kind tells them to use, if it does: kind takes it from
// these variables, or from the docker command's configuration, whose exceptions must not be lost then.
func (p *program) bypassProxy(host string) error {
	exceptions := p.getenv("NO_PROXY")
	if exceptions == "" {
		exceptions = p.getenv("no_proxy")
	}
	proxied := p.getenv("HTTP_PROXY")+p.getenv("http_proxy")+p.getenv("HTTPS_PROXY")+p.getenv("https_proxy") != ""
	if configured := engine.Proxies(p.getenv); configured.HTTPProxy+configured.HTTPSProxy != "" {
		proxied = true
		if exceptions == "" {
			exceptions = configured.NoProxy
		}
	}
	if !proxied {
		return nil
	}
	all := strings.Trim(exceptions+","+host, ",")
	return errors.Join(os.Setenv("NO_PROXY", all), os.Setenv("no_proxy", all))
}

// storyOptions say how the story is told: with a line that turns on a terminal, in plain lines elsewhere.
func (p *program) storyOptions(stderr *os.File) progress.Options {
	options := progress.Options{Out: stderr, Printer: p.printer}
	if !term.IsTerminal(int(stderr.Fd())) || p.getenv("TERM") == "dumb" || !enableTerminal(stderr) {
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
