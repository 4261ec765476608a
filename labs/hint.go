package labs

import (
	"context"
	"maps"

	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Hints are what a reader has been told on demand.
type Hints struct {
	// Step, Subject and Why tell which row of a check the last hints were about, and Told how many of them.
	Step    string `json:"step"`
	Subject string `json:"subject"`
	Why     string `json:"why"`
	Told    int    `json:"told"`
	// Given are the hints so far, by CHAPTER/STEP.
	Given map[string]int `json:"given"`
}

// Hint is one of the hints about a row: what to look at, then the cause, then the command that mends it.
type Hint struct {
	Row check.Row
	// Number of the hint, from 1, and how many there are about this row.
	Number, Of int
	// Stage is course.HintsLook, HintsCause or HintsCommand.
	Stage string
	// Text is what it says: a sentence for the cause, and a command to type for the others.
	Text messages.Text
}

// Hint returns the next hint about the first row of a step that is not met: each once, and the last one again. It is nil where all are met. Where
// the cause changes, they begin anew.
func (l *Labs) Hint(ctx context.Context, step *course.Step) (*Hint, error) {
	state, err := l.State(ctx)
	if err == nil {
		err = state.Practice.Alone()
	}
	if err != nil {
		return nil, err
	}
	rows, err := l.Check(ctx, step)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if !row.Met {
			return l.hint(ctx, step, row)
		}
	}
	return nil, nil
}

func (l *Labs) hint(ctx context.Context, step *course.Step, row check.Row) (*Hint, error) {
	all := stages(row)
	if len(all) == 0 {
		return nil, messages.Errorf("the course gives no hints about %s", row.Subject).Next(messages.Hellolab("lab", "show", step.ID()))
	}
	state, err := l.State(ctx)
	if err != nil {
		return nil, err
	}
	given := state.Hints
	if given.Step != step.ID() || given.Subject != row.Subject.String() || given.Why != row.Why.String() {
		given.Step, given.Subject, given.Why, given.Told = step.ID(), row.Subject.String(), row.Why.String(), 0
	}
	if given.Told < len(all) {
		given.Told++
		given = given.counted()
	}
	hint := all[given.Told-1]
	hint.Row, hint.Number, hint.Of = row, given.Told, len(all)
	return &hint, l.write(ctx, hintsManager+l.courseSuffix(), l.hintsKey(), given)
}

// counted is h with one hint more.
func (h Hints) counted() Hints {
	given := map[string]int{}
	maps.Copy(given, h.Given)
	given[h.Step]++
	h.Given = given
	return h
}

// stages are the hints about a row, without those that there are not.
func stages(row check.Row) (all []Hint) {
	for _, hint := range []Hint{{Stage: course.HintsLook, Text: row.Look}, {Stage: course.HintsCause, Text: row.Why}, {Stage: course.HintsCommand, Text: row.Next}} {
		if !hint.Text.IsZero() {
			all = append(all, hint)
		}
	}
	return all
}

// withheld are rows without the hints that the course keeps back; in an exam there are none.
func (l *Labs) withheld(rows []check.Row, state State) []check.Row {
	if state.Practice.Exam() {
		return check.Bare(rows)
	}
	for i := range rows {
		switch l.Course.Hints {
		case course.HintsLook:
			rows[i].Why, rows[i].Next = messages.Text{}, messages.Text{}
		case course.HintsCause:
			rows[i].Next = messages.Text{}
		}
	}
	return rows
}
