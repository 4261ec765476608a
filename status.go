package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// status shows how the lab is.
func (p *program) status(c *cli.Context) error {
	return p.onLab(func(lab *bootstrap.Lab, ctx context.Context) error {
		status, err := lab.Status(ctx)
		if err != nil {
			return err
		}
		return p.print(c, status, func() string { return p.statusText(status) })
	})(c)
}

func (p *program) statusText(status bootstrap.Status) string {
	text := progress.Table(p.statusRows(status))
	if next, found := nextStep(status.State); found {
		text += p.next(next)
	}
	return text
}

// next is the line that names what to type next.
func (p *program) next(command messages.Command) string {
	return p.say("next: ") + p.printer.Command(command) + "\n"
}

func (p *program) statusRows(status bootstrap.Status) [][]string {
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
			if node.Ready && !node.Schedulable {
				state = p.say("Ready, and takes no new pods")
			}
			rows = append(rows, []string{p.say("node"), node.Name + "  " + state})
		}
		rows = append(rows,
			[]string{p.say("image registry"), status.Registry.Address + "  " + p.state(status.Registry.State)},
			[]string{"Ingress", status.Ingress.Address + "  " + p.state(status.Ingress.State)},
			[]string{"NodePort 30000", status.NodePort})
		for _, upstream := range slices.Sorted(maps.Keys(status.Mirrors)) {
			rows = append(rows, []string{p.printer.Text(messages.T("mirrors of %s", upstream)), strings.Join(status.Mirrors[upstream], ", ")})
		}
	}
	return rows
}

// nextStep is the command that makes a lab in that state run, if it does not.
func nextStep(state string) (messages.Command, bool) {
	next, found := map[string]messages.Command{
		bootstrap.Absent: messages.Hellolab("up"), bootstrap.Broken: messages.Hellolab("up"), bootstrap.Lost: messages.Hellolab("up"),
		bootstrap.Stopped: messages.Hellolab("start"), bootstrap.Paused: messages.Hellolab("resume"),
	}[state]
	return next, found
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
	case bootstrap.Lost:
		return p.say("lost: something other than hellolab has removed its cluster")
	case bootstrap.Broken:
		return p.say("broken")
	}
	return state
}
