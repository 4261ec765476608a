package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// overview is hellolab without a command: how the lab is, how far the reader is, and what to type next. Where there is no lab, or none
// can be looked for, it shows the commands.
func (p *program) overview(c *cli.Context) error {
	s, lessons, err := p.beginCourse(c)
	if err != nil {
		p.printHelp(c.App, nil)
		return err
	}
	status, err := s.lab.Status(c.Context)
	if err != nil {
		return err
	}
	if status.State == bootstrap.Absent {
		p.printHelp(c.App, nil)
		return p.printText("\n" + p.next(messages.Hellolab("up")))
	}
	if next, found := nextStep(status.State); found {
		return p.printText(table(p.statusRows(status)) + p.next(next))
	}
	state, err := p.courseState(c.Context, s, lessons)
	if err != nil {
		return err
	}
	rows := append(p.statusRows(status), []string{p.say("course"), p.printer.Text(progressed(lessons, state))})
	return p.printText(table(rows) + p.nextInCourse(lessons, state) + p.printer.Text(messages.T("all commands: %s", messages.Hellolab("help"))) + "\n")
}

// progressed tells how far the reader of a course is.
func progressed(lessons *course.Course, state labs.State) messages.Text {
	done := messages.T("%v of %v steps done", len(state.Passed), len(lessons.Steps()))
	if next := state.Next(lessons); next != nil {
		return messages.T("%s; next: %s", done, messages.T("%s (%s)", next.ID(), next.Title.Text()))
	}
	return done
}

// afterStep is the line that leads from a step that is done to the next one, or tells that it was the last.
func (p *program) afterStep(ctx context.Context, l *labs.Labs, step *course.Step) (string, error) {
	next, err := l.After(ctx, step)
	switch {
	case err != nil:
		return "", err
	case next == nil:
		return p.say("all steps of the course are done") + "\n", nil
	}
	return p.next(messages.Hellolab("lab", "show", next.ID())), nil
}

// nextInCourse is the line that leads to what comes next in the course, or nothing at its end.
func (p *program) nextInCourse(lessons *course.Course, state labs.State) string {
	next := state.Next(lessons)
	switch {
	case next == nil:
		return ""
	case state.Installing && state.Step == next.ID():
		return p.next(messages.Hellolab("lab", state.Step))
	}
	return p.next(messages.Hellolab("lab", "show", next.ID()))
}

// firstSteps is what to read first in a lab that has just come up: where the reader is in the course. What cannot be read now is no
// reason to say that the lab is not up.
func (p *program) firstSteps(ctx context.Context, s session) messages.Command {
	lessons, err := s.course()
	if err != nil {
		return messages.Hellolab("lab", "list")
	}
	state, err := p.courseState(ctx, s, lessons)
	next := state.Next(lessons)
	if err != nil || next == nil {
		return messages.Hellolab("lab", "list")
	}
	return messages.Hellolab("lab", "show", next.ID())
}
