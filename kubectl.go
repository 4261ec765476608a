package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/kubectl"
	"github.com/hellolab/hellolab/messages"
)

// byItsName puts the word kubectl behind a program that was called by that name: through a link, say.
func byItsName(args []string) []string {
	if len(args) > 0 && strings.TrimSuffix(filepath.Base(args[0]), ".exe") == "kubectl" {
		return append([]string{"hellolab", "kubectl"}, args[1:]...)
	}
	return args
}

// kubectl runs the real kubectl against the lab. It asks no engine: the context's name is all that it needs.
func (p *program) kubectl(c *cli.Context) error {
	all, err := p.configure(c)
	if err != nil {
		return err
	}
	args := c.Args().Slice()
	if len(args) > 0 && args[0] == "--" { // as in minikube kubectl -- get pods
		args = args[1:]
	}
	return p.runKubectl(bootstrap.Context(all.Bootstrap.Name), args)
}

// runKubectl runs kubectl with a context, unless args name another one.
func (p *program) runKubectl(context string, args []string) error {
	signal.Reset(ends()...)                        // kubectl ends by them, or handles them itself
	os.Args = append([]string{"kubectl"}, args...) // it tells the API server its name, and the reader in advice
	next := func(command messages.Command) string { return p.say("next: ") + p.printer.Command(command) }
	status := kubectl.Run(context, kubectl.Hints{Lost: next(messages.Hellolab("up")), Refused: next(messages.Hellolab("status"))},
		os.Args, kubectl.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	if status != exitDone {
		return exitStatus(status)
	}
	return nil
}
