package main

import (
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
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
		return p.printText(progress.Table(p.statusRows(status)) + p.next(next))
	}
	state, err := p.courseState(c.Context, s, lessons)
	if err != nil {
		return errors.Join(p.printText(progress.Table(p.statusRows(status))), err)
	}
	rows := append(p.statusRows(status), []string{p.say("course"), p.printer.Text(progressed(lessons, state))})
	next := ""
	if command, found := nextInCourse(lessons, state); found {
		next = p.next(command)
	}
	if practice := state.Practice; practice.On() {
		ago := messages.T("%s, planted %s ago", state.Step, seconds(practice.Seconds(time.Now())))
		rows, next = append(rows, []string{p.say("practice"), p.printer.Text(ago)}), p.next(messages.Hellolab("lab", "practice"))
	}
	return p.printText(progress.Table(rows) + next + p.printer.Text(messages.T("all commands: %s", messages.Hellolab("help"))) + "\n")
}

// progressed tells how far the reader of a course is.
func progressed(lessons *course.Course, state labs.State) messages.Text {
	passed := 0
	for _, step := range lessons.Steps() {
		if state.Marks.Done(step.ID()) {
			passed++
		}
	}
	done := messages.T("%v of %v steps done", passed, len(lessons.Steps()))
	if next := state.Next(lessons); next != nil {
		return messages.T("%s; next: %s", done, messages.T("%s (%s)", next.ID(), next.Title.Text()))
	}
	return done
}

// afterStep is the line that leads from a step that is done to the next one, or tells that it was the last. What cannot be read now is no
// reason to say that the step is not done: there is no line then.
func (p *program) afterStep(ctx context.Context, l *labs.Labs, step *course.Step) string {
	next, err := l.After(ctx, step)
	switch {
	case err != nil:
		return ""
	case next == nil:
		return p.say("all steps of the course are done") + "\n"
	}
	return p.next(messages.Hellolab("lab", "show", next.ID()))
}

// nextInCourse is the command that leads to what comes next in the course, if anything does.
func nextInCourse(lessons *course.Course, state labs.State) (messages.Command, bool) {
	next := state.Next(lessons)
	switch {
	case next == nil:
		return messages.Command{}, false
	case state.Installing && state.Before && state.Step == next.ID():
		return messages.Hellolab("lab", state.Step, "--before"), true
	case state.Installing && state.Step == next.ID():
		return messages.Hellolab("lab", state.Step), true
	}
	return messages.Hellolab("lab", "show", next.ID()), true
}

// firstSteps is what to type first in a lab that has just come up: what comes next in the course. What cannot be read now is no
// reason to say that the lab is not up.
func (p *program) firstSteps(ctx context.Context, s session) messages.Command {
	if lessons, err := s.course(); err == nil {
		if state, err := p.courseState(ctx, s, lessons); err == nil {
			if next, found := nextInCourse(lessons, state); found {
				return next
			}
		}
	}
	return messages.Hellolab("lab", "list")
}
