package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/labs/guide"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// checkResult is what `lab check -o json` prints, in the reader's language where it is for people.
type checkResult struct {
	Step   string       `json:"step"`
	Passed bool         `json:"passed"`
	Rows   []check.Told `json:"rows"`
}

func (p *program) checkResult(step *course.Step, rows []check.Row) checkResult {
	result := checkResult{Step: step.ID(), Passed: check.Met(rows), Rows: []check.Told{}}
	for _, row := range rows {
		result.Rows = append(result.Rows, row.Tell(p.printer))
	}
	return result
}

// heading names a step.
func (p *program) heading(step *course.Step) string {
	return step.ID() + "  " + p.printer.Text(step.Title.Text()) + "\n"
}

// checkText is the result of a check. Where something is not met, it is explained, or it is told where the hints are.
func (p *program) checkText(step *course.Step, rows []check.Row, explain bool) string {
	text := p.heading(step) + p.rowsText(rows, explain) + p.summary(rows)
	if explain || check.Met(rows) {
		return text
	}
	return text + p.wrapped(messages.T("a hint: %s", messages.Hellolab("lab", "hint", step.ID())), "")
}

// summary tells how many of the rows are met.
func (p *program) summary(rows []check.Row) string {
	met := len(slices.DeleteFunc(slices.Clone(rows), func(row check.Row) bool { return !row.Met }))
	if met == len(rows) {
		return p.printer.Text(messages.T("all %v are as expected", len(rows))) + "\n"
	}
	return p.printer.Text(messages.T("%v of %v are as expected", met, len(rows))) + "\n"
}

// rowsText is a line for every row that is met, and a paragraph for every other one: with the cause and the command that mends it where explain
// is set.
func (p *program) rowsText(rows []check.Row, explain bool) string {
	var b strings.Builder
	for _, row := range rows {
		if row.Met {
			b.WriteString("✓ " + p.printer.Text(row.Subject) + "\n")
			continue
		}
		b.WriteString("✗ " + p.printer.Text(row.Subject) + "\n")
		told := []field{{p.say("have"), row.Have, false}, {p.say("expected"), row.Expected, false}}
		if explain {
			told = append(told, field{p.say("why"), row.Why, false}, field{p.say("do"), row.Next, true})
		}
		b.WriteString(p.fields(told))
	}
	return b.String()
}

// field is a part of a paragraph. A command stays on one line, so that it can be copied.
type field struct {
	label   string
	text    messages.Text
	command bool
}

// fields lines up what a paragraph tells, without what is "".
func (p *program) fields(all []field) string {
	widest := 0
	for _, each := range all {
		widest = max(widest, progress.Columns(each.label))
	}
	text := ""
	for _, each := range all {
		indent := "    " + each.label + strings.Repeat(" ", widest-progress.Columns(each.label)+2)
		switch {
		case each.text.IsZero() || p.printer.Text(each.text) == "":
		case each.command:
			text += indent + p.printer.Text(each.text) + "\n"
		default:
			text += p.wrapped(each.text, indent)
		}
	}
	return text
}

// wrapped is a sentence behind a prefix, in lines that are not too wide. Commands stay whole, so that they can be copied.
func (p *program) wrapped(text messages.Text, prefix string) string {
	printer := p.printer
	printer.Glued = true
	return messages.Unglued(progress.Wrap(printer.Text(text), prefix, columns))
}

// columns is how wide what is for people may be.
const columns = 80

// listedChapter is a chapter in `lab list -o json`.
type listedChapter struct {
	Name  string       `json:"name"`
	Title string       `json:"title"`
	Steps []listedStep `json:"steps"`
}

type listedStep struct {
	// ID is what the other commands take: CHAPTER/STEP.
	ID    string `json:"id"`
	Title string `json:"title"`
	// Installed is "", "installed", "before" (the state before the step), or "interrupted".
	Installed string `json:"installed"`
	// Passed says that it is done: a check has passed, and none has failed again.
	Passed bool `json:"passed"`
	// By is how it was done, "hand" or "snapshot"; "" is not known. At is when, and Fell when a check failed again.
	By   string     `json:"by"`
	At   *time.Time `json:"at"`
	Fell *time.Time `json:"fell"`

	mark *labs.Mark
}

func (p *program) list(lessons *course.Course, state labs.State) []listedChapter {
	all := []listedChapter{}
	for _, chapter := range lessons.Chapters {
		listed := listedChapter{Name: chapter.Name, Title: p.printer.Text(chapter.Title.Text())}
		for _, step := range chapter.Steps {
			row := listedStep{ID: step.ID(), Title: p.printer.Text(step.Title.Text()), Passed: state.Marks.Done(step.ID())}
			if mark, found := state.Marks[step.ID()]; found {
				row.By, row.At, row.Fell, row.mark = mark.By, timeOrNil(mark.At), timeOrNil(mark.Fell), &mark
			}
			switch {
			case state.Step != step.ID():
			case state.Installing:
				row.Installed = "interrupted"
			case state.Before:
				row.Installed = "before"
			default:
				row.Installed = "installed"
			}
			listed.Steps = append(listed.Steps, row)
		}
		all = append(all, listed)
	}
	return all
}

// timeOrNil is a time, or nil where it is not known.
func timeOrNil(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func (p *program) listText(list []listedChapter) string {
	var rows [][]string
	for _, chapter := range list {
		for _, step := range chapter.Steps {
			how := ""
			switch step.Installed {
			case "installed":
				how = p.say("installed")
			case "before":
				how = p.say("installed: the state before it")
			case "interrupted":
				how = p.say("interrupted")
			}
			rows = append(rows, []string{sign(step.mark), step.ID, step.Title, how})
		}
	}
	return progress.Table(rows)
}

// shownStep is a step in `lab show -o json`.
type shownStep struct {
	ID    string      `json:"id"`
	Title string      `json:"title"`
	Guide string      `json:"guide"`
	Files []shownFile `json:"files"`
}

type shownFile struct {
	Name    string `json:"name"`
	Content string `json:"content"`
}

// shown is all there is to know of a step: what to do, and the files.
func (p *program) shown(place course.Place, step *course.Step) shownStep {
	shown := shownStep{ID: step.ID(), Title: p.printer.Text(step.Title.Text()), Guide: p.printer.Text(place.Guide(step)), Files: []shownFile{}}
	for _, file := range step.Files() {
		shown.Files = append(shown.Files, shownFile{file.Name, file.Content})
	}
	return shown
}

func (p *program) stepText(step *course.Step, shown shownStep) []guide.Line {
	text := guide.Verbatim(p.heading(step))
	text[0].Heading = true
	text = slices.Concat(text, guide.Verbatim("\n"), p.guideText(shown.Guide))
	for _, file := range shown.Files {
		text = append(text, guide.Verbatim(fmt.Sprintf("\n--- %s\n%s", file.Name, file.Content))...)
	}
	return text
}

// guideText is a guide, which is Markdown, as lines of a terminal.
func (p *program) guideText(markdown string) []guide.Line {
	return guide.Lines(guide.Parse(markdown), p.printer, columns)
}
