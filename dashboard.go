package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"

	"github.com/cli/browser"
	"github.com/urfave/cli/v2"
	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/dashboard"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/lock"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/progress"
)

// dashboard serves the live picture of the lab until Ctrl-C, and opens it in the browser.
func (p *program) dashboard(c *cli.Context) error {
	s, lessons, err := p.beginCourse(c)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(c.Context, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Int("port"))))
	if number := c.Int("port"); err != nil && number != 0 && !port.Free([]string{"127.0.0.1"}, number) {
		return messages.Usagef("port %v is taken", c.Int("port")).WithHint("leave --port out: any free one will do")
	}
	if err != nil {
		return messages.Errorf("the dashboard cannot listen").Because(err).WithHint("leave --port out: any free one will do")
	}
	board := &dashboard.Dashboard{Name: s.config.Bootstrap.Name, Course: lessons, Place: p.place(s), Connect: p.connectDashboard(s, lessons), Printer: p.speaking, Kubectl: p.kubectlItself}
	spoken, _ := p.printer.Language().Base()
	err = board.Run(c.Context, listener, spoken.String(), func(url, once string) {
		p.printText(url + "\n")
		p.story.Say(messages.T("the dashboard runs until Ctrl-C; only this machine reaches it"))
		if !c.Bool("no-browser") {
			p.browse(once)
		}
	})
	if c.Context.Err() != nil { // Ctrl-C is how it ends
		return nil
	}
	return err
}

// browse opens an address in the browser. Where there is none, the reader has the address.
func (p *program) browse(url string) {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	go func() { // some return when the browser is closed
		if err := browser.OpenURL(url); err != nil {
			p.log.Debug(err)
			p.story.Say(messages.T("no browser could be opened: open that address yourself"))
		}
	}()
}

// speaking is this run's printer in another language.
func (p *program) speaking(tag language.Tag) messages.Printer {
	printer := messages.In(tag)
	printer.Lab, printer.Advise = p.printer.Lab, p.printer.Advise
	return printer
}

// connectDashboard connects to the lab as it is at that time. Nothing is said of it: the page shows it.
func (p *program) connectDashboard(s session, lessons *course.Course) func(context.Context) (*labs.Labs, dashboard.Condition) {
	quiet := *p
	quiet.story = progress.New(progress.Options{Out: io.Discard})
	return func(ctx context.Context) (*labs.Labs, dashboard.Condition) {
		lab, err := bootstrap.Open(ctx, s.docker, quiet.story, p.log, bootstrap.Asked{Settings: s.config.settings(), Keys: s.config.asked})
		if err != nil {
			return nil, condition(dashboard.Away, err)
		}
		now := session{config: s.config, docker: s.docker, lab: lab}
		if now.config, err = s.config.of(lab.Settings()); err != nil {
			return nil, condition(dashboard.Broken, err)
		}
		l, err := quiet.labs(ctx, now, lessons, false)
		if err == nil {
			return l, dashboard.Condition{State: dashboard.Ready}
		}
		if at := s.config.Bootstrap.Name; isBusy(at) { // an `up` say, in the middle of which there may be no lab for a moment
			return nil, dashboard.Condition{State: dashboard.Away, Text: messages.T("another hellolab is working on the lab %s", at)}
		}
		status, failed := lab.Status(ctx)
		if failed != nil || ctx.Err() != nil {
			return nil, dashboard.Condition{State: dashboard.Away, Text: messages.T("the API server does not answer"), Next: messages.Hellolab("status").Text()}
		}
		states := map[string]string{bootstrap.Absent: dashboard.Absent, bootstrap.Stopped: dashboard.Stopped, bootstrap.Paused: dashboard.Paused,
			bootstrap.Running: dashboard.Away}
		state, known := states[status.State]
		if !known {
			state = dashboard.Broken
		}
		return nil, condition(state, err)
	}
}

// isBusy reports whether another hellolab has the lab's lock.
func isBusy(lab string) bool {
	unlock, err := lock.Try(lab)
	if unlock != nil {
		unlock()
	}
	return err == nil && unlock == nil
}

// condition is how a lab is that cannot be asked, by the error about it.
func condition(state string, err error) dashboard.Condition {
	return dashboard.Condition{State: state, Text: messages.T("%s", err), Next: messages.HintOf(err)}
}

// kubectlItself runs hellolab's kubectl in a process of its own, since kubectl ends the one that it is in.
func (p *program) kubectlItself(ctx context.Context, input io.Reader, words ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, self, append([]string{"--name", p.lab, "kubectl", "--"}, words...)...)
	var output bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = input, &output, &output
	err = command.Run()
	return output.String(), err
}
