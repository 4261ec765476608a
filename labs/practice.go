package labs

import (
	"context"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

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

// practiceKey is where the practices of this course are kept.
func (l *Labs) practiceKey() string { return "practice" + l.courseSuffix() + ".json" }

// keepPractice writes the practice and the exams of a state.
func (l *Labs) keepPractice(ctx context.Context, state State) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	exams := state.Exams[max(0, len(state.Exams)-mostExams):]
	return l.Cluster.Retry(ctx, func(ctx context.Context) error {
		return l.write(ctx, kube.Owner+"-practice"+l.courseSuffix(), l.practiceKey(), practised{state.Practice, exams})
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
	return l.GoOn(ctx)
}

// GoOn plants the next fault of the exam, and ends it where there is none. A fault that the reader has not mended counts as such.
func (l *Labs) GoOn(ctx context.Context) error {
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
	fault := l.Course.Fault(exam.Faults[next].Fault)
	if fault == nil {
		return messages.Errorf("the course has no fault %s any more", exam.Faults[next].Fault).Next(messages.Hellolab("lab", "practice", "--end"))
	}
	return l.plant(ctx, fault, exam.Seed, exam.Chapter)
}

// EndExam ends the exam that goes on, and returns how it went: what has not been mended by now counts as such. Without one it returns
// the last.
func (l *Labs) EndExam(ctx context.Context) (ExamResult, error) {
	state, err := l.State(ctx)
	if err != nil {
		return ExamResult{}, err
	}
	if state.Practice.Exam() {
		state.endExam(time.Now())
		err = l.keepPractice(ctx, state)
	}
	if len(state.Exams) == 0 {
		return ExamResult{}, messages.Usagef("there has been no exam yet").Next(messages.Hellolab("lab", "practice").Usage("--exam N"))
	}
	return state.Exams[len(state.Exams)-1], err
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
	state.Practice = Practice{Fault: fault.ID(), Last: fault.ID(), Chapter: chapter, Seed: seed, Running: state.Practice.Running}
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

// lasting is how long a fault has to show: what fails only until a controller has come to it is none.
const lasting = 2 * time.Second

// untilFailing waits until a fault shows.
func (l *Labs) untilFailing(ctx context.Context, fault *course.Fault) error {
	waiting, cancel := l.within(ctx)
	defer cancel()
	var since time.Time
	err := await.Changes(waiting, time.Second, func(ctx context.Context) (bool, error) {
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
		return messages.Errorf("the fault %s does not show", fault.ID()).Because(err).Next(messages.Hellolab("lab", "practice", "--next"))
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

// leavePractice ends the practice, if one is on, and takes away what would outlive the objects of its step.
func (l *Labs) leavePractice(ctx context.Context) error {
	state, err := l.State(ctx)
	if err != nil || state.Practice.Fault == "" {
		return err
	}
	if fault := l.Course.Fault(state.Practice.Fault); fault != nil {
		for _, action := range fault.Cleanup {
			if err := l.act(ctx, action); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
	}
	state.Practice.end(time.Now(), false)
	state.Practice.Fault = ""
	return l.keepPractice(ctx, state)
}

// mended notes that the check of a fault's step passes.
func (l *Labs) mended(ctx context.Context, state State) error {
	now := time.Now()
	if !state.Practice.On() {
		return nil
	}
	state.Practice.end(now, !state.Practice.Overdue(now))
	if exam := state.Practice.Running; exam != nil && exam.Number() == len(exam.Faults) {
		state.endExam(now)
	}
	return l.keepPractice(ctx, state)
}

// Watch checks a step whenever something changes and shows the rows, until all are met or ctx ends; see [Labs.Follow].
func (l *Labs) Watch(ctx context.Context, step *course.Step, show func(*course.Step, []check.Row) error) error {
	return l.follow(ctx, step, show)
}

// vetFault is [Labs.Vet] for a fault with the snapshot of its step.
func (l *Labs) vetFault(fault *course.Fault) error {
	if !l.Trust.Foreign || l.Trust.Given {
		return nil
	}
	dangers := append(fault.Step().Snapshot().Dangers(), fault.Dangers()...)
	return refused(messages.T("the course %s", l.Course.Title.Text()), dangers, messages.Hellolab("lab", "practice", "--trust"))
}

// patch patches an object, or all of a kind.
func (l *Labs) patch(ctx context.Context, patch *course.Patch) error {
	content, err := patch.Content()
	if err != nil {
		return err
	}
	targets, err := l.meant(ctx, patch.Target)
	for _, target := range targets {
		if err == nil {
			err = l.vetPatch(ctx, target, content)
		}
		if err == nil {
			_, err = l.Cluster.Patch(ctx, target, content, false)
		}
	}
	return err
}

// vetPatch tries a patch of somebody else's course out, and refuses what it would make of an object as [Labs.VetObject] does.
func (l *Labs) vetPatch(ctx context.Context, target kube.Reference, content []byte) error {
	if !l.Trust.Foreign || l.Trust.Given {
		return nil
	}
	patched, err := l.Cluster.Patch(ctx, target, content, true)
	if err != nil {
		return err
	}
	return l.VetObject(patched)
}

// meant are the objects that an action is done to.
func (l *Labs) meant(ctx context.Context, target course.Target) (all []kube.Reference, err error) {
	version, err := l.Cluster.APIVersion(target.Kind)
	if err != nil || target.Name != "" {
		return []kube.Reference{{APIVersion: version, Kind: target.Kind, Namespace: target.Namespace, Name: target.Name}}, err
	}
	selector, err := labels.Parse(target.Labels)
	if err != nil {
		return nil, err
	}
	namespace := target.Namespace
	if target.Wide() {
		namespace = ""
	}
	objects, err := l.Cluster.Of(ctx, version, target.Kind, namespace)
	for _, object := range objects {
		own := !target.Wide() && object.GetLabels()[kube.ChapterLabel] == "" && metav1.GetControllerOf(object) == nil // the reader's
		if !own && selector.Matches(labels.Set(object.GetLabels())) {
			all = append(all, kube.Refer(object))
		}
	}
	return all, err
}
