package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// seeds is how many seeds there are to take one from: so few that a teacher can call it out.
const seeds = 10000

// labPractice plants a fault for the reader to mend, or says again what is to be done.
func (p *program) labPractice(c *cli.Context, l *labs.Labs) error {
	if err := practiceNumbers(c); err != nil {
		return err
	}
	l.Lasting = p.lasting
	state, err := l.State(c.Context)
	if err != nil {
		return err
	}
	practice := state.Practice
	switch {
	case c.Bool("end") || practice.Overdue(time.Now()):
		return p.endExam(c, l)
	case c.Bool("give-up"):
		return p.giveUp(c, l, practice)
	case practice.Exam() && (c.IsSet("exam") || c.IsSet("seed") || c.IsSet("minutes") || c.Args().Present()):
		return messages.Usagef("an exam is on already").WithHint("%s goes on with it, %s ends it",
			messages.Hellolab("lab", "practice"), messages.Hellolab("lab", "practice", "--end"))
	case c.IsSet("minutes") && !c.IsSet("exam"):
		return messages.Usagef("only an exam has a time limit").Next(messages.Hellolab("lab", "practice").Usage("--exam N --minutes M"))
	case practice.On() && !c.Bool("next") && !c.IsSet("exam") && asksFor(c, practice):
		return p.tellPractice(c, l)
	}
	if err := p.plantNext(c, l, practice); err != nil {
		return err
	}
	return p.tellPractice(c, l)
}

// mostMinutes is how long an exam may take at most: a day.
const mostMinutes = 24 * 60

// practiceNumbers refuses numbers that no exam can have.
func practiceNumbers(c *cli.Context) error {
	if n := c.Int("exam"); c.IsSet("exam") && n < 1 {
		return messages.Usagef("--exam %v: an exam has at least one fault", n).Next(messages.Hellolab("lab", "practice").Usage("--exam N"))
	}
	if n := c.Int("minutes"); c.IsSet("minutes") && (n < 1 || n > mostMinutes) {
		return messages.Usagef("--minutes %v: an exam may take 1 to %v minutes; without --minutes any time", n, mostMinutes).
			Next(messages.Hellolab("lab", "practice").Usage("--exam N --minutes M"))
	}
	return nil
}

// asksFor reports whether the practice that is on is what the flags ask for.
func asksFor(c *cli.Context, practice labs.Practice) bool {
	chapter, anything := c.Args().First(), !c.Args().Present() && !c.IsSet("seed")
	return anything || chapter == practice.Chapter && (!c.IsSet("seed") || c.Int("seed") == practice.Seed)
}

// plantNext plants what the flags ask for: the next fault of the exam that is on, the first of one that begins, or just one.
func (p *program) plantNext(c *cli.Context, l *labs.Labs, practice labs.Practice) error {
	chapter, seed := c.Args().First(), c.Int("seed")
	if chapter != "" {
		if _, err := l.Course.Chapter(chapter); err != nil {
			return err
		}
	}
	if !c.IsSet("seed") {
		seed = rand.IntN(seeds)
	}
	switch {
	case practice.Exam():
		return l.GoOn(c.Context)
	case c.IsSet("exam"):
		return l.Examine(c.Context, chapter, seed, c.Int("exam"), c.Int("minutes"))
	case c.Bool("next"):
		chapter = cmp.Or(chapter, practice.Chapter)
	}
	return l.Practise(c.Context, chapter, seed)
}

// practiceTold is what `lab practice -o json` prints. The fault's name is not in it, which would tell too much.
type practiceTold struct {
	Step    string `json:"step"`
	Seed    int    `json:"seed"`
	Symptom string `json:"symptom"`
	// Seconds since the fault was planted, or until it was mended.
	Seconds int  `json:"seconds"`
	Solved  bool `json:"solved"`
	// Cause and Remedy are told once it is mended or given up.
	Cause  string    `json:"cause,omitempty"`
	Remedy []string  `json:"remedy,omitempty"`
	Exam   *examTold `json:"exam,omitempty"`
}

// examTold is how far an exam is.
type examTold struct {
	Number int `json:"number"`
	Of     int `json:"of"`
	// SecondsLeft is nil where there is no limit.
	SecondsLeft *int `json:"secondsLeft"`
}

// practiceTold tells of the fault that is planted; what it is only once it has ended.
func (p *program) practiceTold(l *labs.Labs, practice labs.Practice, fault *course.Fault) practiceTold {
	place, now := l.Checker.Place, time.Now()
	told := practiceTold{Step: fault.Step().ID(), Seed: practice.Seed, Symptom: p.printer.Text(place.Text(fault.Symptom)),
		Seconds: practice.Seconds(now), Solved: practice.Solved}
	if !practice.On() {
		told.Cause = p.printer.Text(place.Text(fault.Cause))
		for _, line := range fault.Remedy {
			told.Remedy = append(told.Remedy, p.printer.Text(place.Command(line)))
		}
	}
	if exam := practice.Running; exam != nil {
		told.Exam = &examTold{Number: exam.Number(), Of: len(exam.Faults)}
		if deadline := exam.Deadline(); !deadline.IsZero() {
			left := int(deadline.Sub(now).Seconds())
			told.Exam.SecondsLeft = &left
		}
	}
	return told
}

// tellPractice says what is to be done; or how the exam went that has just come to its end.
func (p *program) tellPractice(c *cli.Context, l *labs.Labs) error {
	state, err := l.State(c.Context)
	if err != nil {
		return err
	}
	fault := l.Course.Fault(state.Practice.Fault)
	if !state.Practice.On() || fault == nil {
		return p.endExam(c, l)
	}
	told := p.practiceTold(l, state.Practice, fault)
	p.tellContext()
	return p.print(c, told, func() string { return p.practiceText(l, fault, told) })
}

func (p *program) practiceText(l *labs.Labs, fault *course.Fault, told practiceTold) string {
	step := fault.Step()
	text := p.heading(step) + p.printer.Text(messages.T("seed %v", told.Seed)) + p.examText(told) + p.sinceText(told) + "\n\n" +
		p.say("a colleague reports:") + "\n" + p.wrapped(l.Checker.Place.Text(fault.Symptom), "    ") + "\n" +
		p.say("find out why, and mend it with kubectl:") + "\n"
	what := []field{{p.say("is it mended?"), messages.Hellolab("lab", "check").Text(), true},
		{p.say("how it should be"), messages.Hellolab("lab", "show", step.ID()).Text(), true}}
	if told.Exam == nil {
		return text + p.fields(append(what, field{p.say("tell me"), messages.Hellolab("lab", "practice", "--give-up").Text(), true}))
	}
	return text + p.fields(append(what, field{p.say("leave it"), messages.Hellolab("lab", "practice", "--next").Text(), true},
		field{p.say("end the exam"), messages.Hellolab("lab", "practice", "--end").Text(), true}))
}

// examText is how far the exam is.
func (p *program) examText(told practiceTold) string {
	if told.Exam == nil {
		return ""
	}
	text := p.printer.Text(messages.T("; fault %v of %v", told.Exam.Number, told.Exam.Of))
	if left := told.Exam.SecondsLeft; left != nil {
		text += p.printer.Text(messages.T("; %s left", seconds(*left)))
	}
	return text
}

// sinceText is how long the reader has looked for the fault, if that is worth a word.
func (p *program) sinceText(told practiceTold) string {
	if told.Seconds < 5 {
		return ""
	}
	return p.printer.Text(messages.T("; planted %s ago", seconds(told.Seconds)))
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// giveUp ends a practice, and tells what it was.
func (p *program) giveUp(c *cli.Context, l *labs.Labs, practice labs.Practice) error {
	fault := l.Course.Fault(practice.Fault)
	switch {
	case practice.Exam():
		return messages.Usagef("in an exam, nothing is told before its end").WithHint("%s leaves this fault, %s ends the exam",
			messages.Hellolab("lab", "practice", "--next"), messages.Hellolab("lab", "practice", "--end"))
	case fault == nil:
		return messages.Usagef("no practice is on").Next(messages.Hellolab("lab", "practice"))
	}
	if err := l.GiveUp(c.Context); err != nil {
		return err
	}
	state, err := l.State(c.Context)
	if err != nil {
		return err
	}
	return p.print(c, p.practiceTold(l, state.Practice, fault), func() string {
		return p.remedyText(l, fault) + p.next(messages.Hellolab("lab", "practice", "--next"))
	})
}

// remedyText tells what a fault was, and what mends it.
func (p *program) remedyText(l *labs.Labs, fault *course.Fault) string {
	place := l.Checker.Place
	text := p.wrapped(messages.T("the fault: %s", place.Text(fault.Cause)), "") + p.say("what mends it:") + "\n"
	for _, line := range fault.Remedy {
		text += "    " + p.printer.Text(place.Command(line)) + "\n"
	}
	return text
}

// practiceCheck is what `lab check -o json` prints where a fault was planted in the step.
type practiceCheck struct {
	checkResult
	Practice practiceTold `json:"practice"`
}

// checkPractice is labCheck for a step with a planted fault.
func (p *program) checkPractice(c *cli.Context, l *labs.Labs, step *course.Step, practice labs.Practice) error {
	if practice.Overdue(time.Now()) {
		return p.endExam(c, l)
	}
	rows, err := p.lookAtPractice(c, l, step)
	if err != nil {
		return err
	}
	state, err := l.State(c.Context)
	if err != nil {
		return err
	}
	fault := l.Course.Fault(practice.Fault)
	result := practiceCheck{p.checkResult(step, rows), p.practiceTold(l, state.Practice, fault)}
	err = p.print(c, result, func() string {
		return p.checkText(step, rows, c.Bool("explain") || practice.Exam()) + p.afterPractice(l, fault, rows, state) // no hints in an exam
	})
	if err == nil && !check.Met(rows) {
		return errNotYet{}
	}
	return err
}

// lookAtPractice returns the rows of the step: with --watch those that are all met, others being shown until then.
func (p *program) lookAtPractice(c *cli.Context, l *labs.Labs, step *course.Step) (rows []check.Row, err error) {
	if !c.Bool("watch") {
		return l.Check(c.Context, step)
	}
	var shown []string
	err = l.Watch(c.Context, step, func(_ *course.Step, now []check.Row) error {
		changed := p.changed(rows != nil, shown, now)
		rows, shown = now, p.marks(now)
		if len(changed) == 0 || check.Met(now) || c.String("output") == "json" {
			return nil
		}
		return p.printText(p.rowsText(changed, c.Bool("explain")) + p.summary(now))
	})
	if c.Context.Err() != nil { // Ctrl-C is how a reader stops looking
		return nil, errNotYet{}
	}
	return rows, err
}

// afterPractice tells what follows a check: nothing where there is still something to mend.
func (p *program) afterPractice(l *labs.Labs, fault *course.Fault, rows []check.Row, state labs.State) string {
	if !check.Met(rows) {
		return ""
	}
	text := ""
	if practice := state.Practice; practice.Solved {
		text = p.printer.Text(messages.T("mended in %s", seconds(practice.Seconds(time.Now())))) + "\n"
	}
	text += p.remedyText(l, fault)
	if lastOf(state, fault) && !state.Practice.Exam() {
		return text + "\n" + p.examReport(l, state.Exams[len(state.Exams)-1])
	}
	return text + p.next(messages.Hellolab("lab", "practice", "--next"))
}

// lastOf reports whether the last exam ended with a fault.
func lastOf(state labs.State, fault *course.Fault) bool {
	if len(state.Exams) == 0 {
		return false
	}
	exam := state.Exams[len(state.Exams)-1]
	return exam.Faults[len(exam.Faults)-1].Fault == fault.ID() && exam.Ended.Equal(state.Practice.Ended)
}

// examTally is what `lab practice --end -o json` prints.
type examTally struct {
	labs.ExamResult
	Seconds int `json:"seconds"`
	Score   int `json:"score"`
	Of      int `json:"of"`
}

// endExam ends the exam that is on, and tells how it or the last one went.
func (p *program) endExam(c *cli.Context, l *labs.Labs) error {
	exam, err := l.EndExam(c.Context)
	if err != nil {
		return err
	}
	tally := examTally{exam, int(exam.Ended.Sub(exam.Started).Seconds()), exam.Score(), len(exam.Faults)}
	return p.print(c, tally, func() string {
		return p.examReport(l, exam) + p.next(messages.Hellolab("lab", "practice"))
	})
}

// examReport tells how an exam went: a line for each fault, and what it was.
func (p *program) examReport(l *labs.Labs, exam labs.ExamResult) string {
	text := p.printer.Text(messages.T("the exam with the seed %v", exam.Seed)) + "\n"
	for _, result := range exam.Faults {
		text += p.resultText(l, result)
	}
	return text + p.printer.Text(messages.T("%v of %v mended, in %s", exam.Score(), len(exam.Faults), exam.Ended.Sub(exam.Started))) + "\n"
}

// resultText is how the search for a fault went.
func (p *program) resultText(l *labs.Labs, result labs.FaultResult) string {
	how := messages.T("not mended")
	switch {
	case result.Solved:
		how = messages.T("mended in %s", seconds(result.Seconds))
	case !result.Planted:
		how = messages.T("not begun")
	}
	mark := map[bool]string{true: "✓", false: "✗"}[result.Solved]
	text := fmt.Sprintf("%s %s  %s\n", mark, result.Fault, p.printer.Text(how))
	if fault := l.Course.Fault(result.Fault); fault != nil && result.Planted {
		text += p.wrapped(l.Checker.Place.Text(fault.Cause), "    ")
	}
	return text
}
