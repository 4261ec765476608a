package labs

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Practice is the fault that the reader looks for, and the exam that it is part of.
type Practice struct {
	// Fault in the installed snapshot, by its ID, or "". It is still named when it has been mended, until something else is installed.
	Fault string `json:"fault,omitempty"`
	// Since is when it was planted: zero until that is done. Ended is when it was mended (Solved) or given up: zero until then.
	Since  time.Time `json:"since,omitzero"`
	Ended  time.Time `json:"ended,omitzero"`
	Solved bool      `json:"solved,omitempty"`
	// Chapter that it was drawn from, or "" for all, and the Seed.
	Chapter string `json:"chapter,omitempty"`
	Seed    int    `json:"seed"`
	// Last is the fault that was planted last.
	Last string `json:"last,omitempty"`
	// Cleanup takes away what would outlive the objects of the fault's step, and Trusted says that it may do everything, as planting might.
	Cleanup []Repair `json:"cleanup,omitempty"`
	Trusted bool     `json:"trusted,omitempty"`
	// Running is the exam that is not over, or nil.
	Running *ExamResult `json:"exam,omitempty"`
}

// On reports whether there is a fault to be found.
func (p Practice) On() bool { return p.Fault != "" && !p.Since.IsZero() && p.Ended.IsZero() }

// Of reports whether the fault is in the snapshot of a step: no check of that step counts as the reader's own.
func (p Practice) Of(step *course.Step) bool { return strings.HasPrefix(p.Fault, step.ID()+"/") }

// Exam reports whether an exam goes on.
func (p Practice) Exam() bool { return p.Running != nil }

// Alone refuses to help while an exam goes on.
func (p Practice) Alone() error {
	if !p.Exam() {
		return nil
	}
	return messages.Usagef("there is no help in an exam").WithHint("%s tells the task again, %s ends the exam",
		messages.Hellolab("lab", "practice"), messages.Hellolab("lab", "practice", "--end"))
}

// Seconds is how long the reader has looked for the fault, or did.
func (p Practice) Seconds(now time.Time) int {
	switch {
	case p.Since.IsZero():
		return 0
	case !p.Ended.IsZero():
		now = p.Ended
	}
	return int(now.Sub(p.Since).Seconds())
}

// end notes how the search for the fault ended, if it has not yet.
func (p *Practice) end(now time.Time, solved bool) {
	if !p.On() {
		return
	}
	p.Ended, p.Solved = now, solved
	if p.Running == nil {
		return
	}
	for i := range p.Running.Faults {
		if result := &p.Running.Faults[i]; result.Fault == p.Fault && result.Planted {
			result.Solved, result.Seconds = solved, p.Seconds(now)
		}
	}
}

// ExamResult is how an exam goes, or went.
type ExamResult struct {
	// Seed and Chapter ("" for all) that the faults were drawn with.
	Seed    int    `json:"seed"`
	Chapter string `json:"chapter,omitempty"`
	// Minutes that it may take; 0 is any time.
	Minutes int       `json:"minutes,omitempty"`
	Started time.Time `json:"started"`
	// Ended is zero until it is over.
	Ended  time.Time     `json:"ended,omitzero"`
	Faults []FaultResult `json:"faults"`
}

// FaultResult is how the search for a fault of an exam went.
type FaultResult struct {
	// Fault is its ID: CHAPTER/STEP/FAULT.
	Fault string `json:"fault"`
	// Planted says that the exam came to it.
	Planted bool `json:"planted"`
	Solved  bool `json:"solved"`
	// Seconds that the reader took to mend it, or to give it up.
	Seconds int `json:"seconds"`
}

// Score is how many faults were mended.
func (e ExamResult) Score() (solved int) {
	for _, fault := range e.Faults {
		if fault.Solved {
			solved++
		}
	}
	return solved
}

// Deadline is when its time is over; zero where it has not begun, or may take any time.
func (e ExamResult) Deadline() time.Time {
	if e.Minutes == 0 || e.Started.IsZero() {
		return time.Time{}
	}
	return e.Started.Add(time.Duration(e.Minutes) * time.Minute)
}

// over reports whether its time is over.
func (e ExamResult) over(now time.Time) bool {
	deadline := e.Deadline()
	return !deadline.IsZero() && now.After(deadline)
}

// Number is that of the fault which the exam has come to, from 1 on, or 0.
func (e ExamResult) Number() (number int) {
	for _, fault := range e.Faults {
		if fault.Planted {
			number++
		}
	}
	return number
}

// practised is what is kept of practices.
type practised struct {
	Practice Practice     `json:"practice"`
	Exams    []ExamResult `json:"exams,omitempty"`
}

// mostExams is how many exams are kept, the latest.
const mostExams = 50

// practiceKey is where the practices of this course are kept. Each course has a key and a field manager of its own.
func (l *Labs) practiceKey() string { return practicePrefix + l.courseSuffix() + keySuffix }

const (
	practicePrefix  = "practice"
	keySuffix       = ".json"
	practiceManager = kube.Owner + "-practice"
)

// keepPractice writes the practice and the exams of a state.
func (l *Labs) keepPractice(ctx context.Context, state State) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	exams := state.Exams[max(0, len(state.Exams)-mostExams):]
	return l.Cluster.Retry(ctx, func(ctx context.Context) error {
		return l.write(ctx, practiceManager+l.courseSuffix(), l.practiceKey(), practised{state.Practice, exams})
	})
}

// Practise plants a fault of a chapter, or of all where that is "", in the snapshot of its step: which one is a matter of the seed and of
// the fault before, which does not come twice in a row.
func (l *Labs) Practise(ctx context.Context, chapter string, seed int) error {
	state, err := l.State(ctx)
	if err != nil {
		return err
	}
	possible, err := l.possible(chapter)
	if err != nil {
		return err
	}
	return l.plant(ctx, course.Draw(possible, seed, state.Practice.Last)[0], seed, chapter)
}

// Examine begins an exam: so many faults, the same ones in the same order for a seed, in so many minutes (0 is any time).
func (l *Labs) Examine(ctx context.Context, chapter string, seed, count, minutes int) error {
	possible, err := l.possible(chapter)
	if err != nil {
		return err
	}
	if count < 1 || count > len(possible) {
		return messages.Usagef("an exam may have 1 to %v faults here, not %v", len(possible), count).
			Next(messages.Hellolab("lab", "practice").Usage("--exam N"))
	}
	exam := &ExamResult{Seed: seed, Chapter: chapter, Minutes: minutes}
	for _, fault := range course.Draw(possible, seed, "")[:count] {
		exam.Faults = append(exam.Faults, FaultResult{Fault: fault.ID()})
	}
	state, err := l.State(ctx)
	if err != nil {
		return err
	}
	state.Practice.Running = exam
	if err := l.keepPractice(ctx, state); err != nil {
		return err
	}
	err = l.GoOn(ctx)
	if err == nil {
		return nil
	}
	if failed := l.callOff(ctx); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// callingOff is how long an exam that could not begin may take to be forgotten, even after Ctrl-C.
const callingOff = 10 * time.Second

// callOff forgets an exam that has not begun.
func (l *Labs) callOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callingOff)
	defer cancel()
	state, err := l.State(ctx)
	if err != nil || !state.Practice.Exam() || state.Practice.Running.Number() > 0 {
		return err
	}
	state.Practice.Running = nil
	return l.keepPractice(ctx, state)
}

// GoOn plants the next fault of the exam, and ends it where there is none. A fault that the reader has not mended counts as such; one that
// cannot be had is left out of the exam, with a message.
func (l *Labs) GoOn(ctx context.Context) error {
	for {
		state, err := l.State(ctx)
		if err != nil {
			return err
		}
		exam := state.Practice.Running
		next := slices.IndexFunc(exam.Faults, func(fault FaultResult) bool { return !fault.Planted })
		if next < 0 {
			_, err := l.EndExam(ctx)
			return err
		}
		id, why := exam.Faults[next].Fault, lacking{}
		if err := l.plantOf(ctx, exam, id); !errors.As(err, &why) {
			return err
		}
		l.Story.Say(messages.T("%s; the exam goes on without it", why))
		if err := l.leaveOut(ctx, id); err != nil {
			return err
		}
	}
}

// lacking is why a fault cannot be had, and could not be the next time.
type lacking struct{ error }

func (l lacking) Unwrap() error { return l.error }

// plantOf plants a fault of an exam.
func (l *Labs) plantOf(ctx context.Context, exam *ExamResult, id string) error {
	fault := l.Course.Fault(id)
	if fault == nil {
		return lacking{messages.Errorf("the course has no fault %s any more", id)}
	}
	return l.plant(ctx, fault, exam.Seed, exam.Chapter)
}

// leaveOut takes a fault out of the exam that goes on.
func (l *Labs) leaveOut(ctx context.Context, id string) error {
	state, err := l.State(ctx)
	if err != nil || !state.Practice.Exam() {
		return err
	}
	exam := state.Practice.Running
	exam.Faults = slices.DeleteFunc(exam.Faults, func(fault FaultResult) bool { return fault.Fault == id })
	return l.keepPractice(ctx, state)
}

// EndExam ends the exam that goes on, and returns how it went: what has not been mended by now counts as such. Without one it returns
// the last. Of an exam without a planted fault there is nothing to tell, but that it had not begun: an error.
func (l *Labs) EndExam(ctx context.Context) (ExamResult, error) {
	state, err := l.State(ctx)
	if err != nil {
		return ExamResult{}, err
	}
	another := messages.Hellolab("lab", "practice").Usage("--exam N")
	if exam := state.Practice.Running; exam != nil {
		state.endExam(time.Now())
		if err := l.keepPractice(ctx, state); err != nil {
			return ExamResult{}, err
		}
		if exam.Number() == 0 {
			return ExamResult{}, messages.Usagef("the exam had not begun: none of its faults was planted").Next(another)
		}
	}
	if len(state.Exams) == 0 {
		return ExamResult{}, messages.Usagef("there has been no exam yet").Next(another)
	}
	return state.Exams[len(state.Exams)-1], nil
}

// endExam has the exam be over, at its deadline at the latest.
func (s *State) endExam(now time.Time) {
	exam := s.Practice.Running
	if exam.over(now) {
		now = exam.Deadline()
	}
	s.Practice.end(now, false)
	exam.Ended = now
	s.Practice.Running = nil
	if exam.Number() > 0 { // the first fault was planted
		s.Exams = append(s.Exams, *exam)
	}
}

// Overdue reports whether an exam goes on whose time is over.
func (p Practice) Overdue(now time.Time) bool { return p.Running != nil && p.Running.over(now) }

// GiveUp ends the search for the fault: its remedy may be told.
func (l *Labs) GiveUp(ctx context.Context) error {
	state, err := l.State(ctx)
	if err != nil {
		return err
	}
	state.Practice.end(time.Now(), false)
	return l.keepPractice(ctx, state)
}

// possible are the faults of a chapter, or of all, that this lab can have.
func (l *Labs) possible(chapter string) ([]*course.Fault, error) {
	faults := slices.DeleteFunc(l.Course.Faults(chapter), func(fault *course.Fault) bool {
		return slices.Contains(fault.Step().Needs, "ingress") && !l.Ingress
	})
	if len(faults) == 0 {
		return nil, messages.Usagef("there are no faults to practise with in %s", chapterOr(chapter, l.Course)).
			Next(messages.Hellolab("lab", "practice"))
	}
	return faults, nil
}

func chapterOr(chapter string, all *course.Course) messages.Text {
	if chapter == "" {
		return all.Title.Text()
	}
	return messages.Verbatim(chapter)
}

// plant makes the snapshot of a fault's step, and the fault in it.
func (l *Labs) plant(ctx context.Context, fault *course.Fault, seed int, chapter string) error {
	if err := l.vetFault(fault); err != nil {
		return err
	}
	if err := l.Lab.FetchImages(ctx, fault.Images(l.Course)); err != nil {
		return err
	}
	if _, err := l.Install(ctx, fault.Step(), false); err != nil {
		return err
	}
	state, err := l.State(ctx)
	if err != nil {
		return err
	}
	repairs, err := repairsOf(fault)
	if err != nil {
		return err
	}
	state.Practice = Practice{Fault: fault.ID(), Last: fault.ID(), Chapter: chapter, Seed: seed, Running: state.Practice.Running,
		Cleanup: repairs, Trusted: !l.Trust.Foreign || l.Trust.Given}
	if err := l.keepPractice(ctx, state); err != nil { // before anything is done that has to be cleaned up
		return err
	}
	err = l.Story.Do(ctx, messages.T("planting a fault"), func(ctx context.Context) error {
		for _, action := range fault.Plant {
			if err := l.act(ctx, action); err != nil {
				return err
			}
		}
		return l.untilFailing(ctx, fault)
	})
	if err != nil {
		return err
	}
	return l.keepPractice(ctx, state.planted(time.Now()))
}

// planted is the state in which the reader begins to look for the fault.
func (s State) planted(now time.Time) State {
	s.Practice.Since = now
	if exam := s.Practice.Running; exam != nil {
		if exam.Started.IsZero() {
			exam.Started = now
		}
		for i := range exam.Faults {
			if exam.Faults[i].Fault == s.Practice.Fault {
				exam.Faults[i].Planted = true
			}
		}
	}
	return s
}

// untilFailing waits until a fault shows.
func (l *Labs) untilFailing(ctx context.Context, fault *course.Fault) error {
	waiting, cancel := l.within(ctx)
	defer cancel()
	lasting := cmp.Or(l.Lasting, 2*time.Second)
	var since time.Time
	err := await.Changes(waiting, await.Every(lasting/2), func(ctx context.Context) (bool, error) {
		rows, err := l.Checker.Step(ctx, fault.Step())
		switch {
		case err != nil:
			return false, err
		case !shows(fault, rows):
			since = time.Time{}
			return false, nil
		case since.IsZero():
			since = time.Now()
		}
		return time.Since(since) >= lasting, nil
	}, l.Cluster.Changes()...)
	if err != nil && ctx.Err() == nil {
		return lacking{messages.Errorf("the fault %s does not show", fault.ID()).Because(err).Next(messages.Hellolab("lab", "practice", "--next"))}
	}
	return err
}

// shows reports whether a fault fails what it is to fail.
func shows(fault *course.Fault, rows []check.Row) bool {
	for i, row := range rows {
		if !row.Met && fault.Failing(i) {
			return true
		}
	}
	return false
}

// mended notes that the check of a fault's step passes. One that had begun before the fault was planted says nothing of it.
func (l *Labs) mended(ctx context.Context, state State, begun time.Time) error {
	now := time.Now()
	if !state.Practice.On() || begun.Before(state.Practice.Since) {
		return nil
	}
	state.Practice.end(now, !state.Practice.Overdue(now))
	if exam := state.Practice.Running; exam != nil && exam.Number() == len(exam.Faults) {
		state.endExam(now)
	}
	return l.keepPractice(ctx, state)
}

// vetFault is [Labs.Vet] for a fault with the snapshot of its step.
func (l *Labs) vetFault(fault *course.Fault) error {
	if !l.Trust.Foreign || l.Trust.Given {
		return nil
	}
	dangers := append(fault.Step().Snapshot().Dangers(), fault.Dangers()...)
	return refused(messages.T("the course %s", l.Course.Title.Text()), dangers, messages.Hellolab("lab", "practice", "--trust"))
}
