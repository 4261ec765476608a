package labs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
)

// Who has done a step.
const (
	// ByHand is the reader.
	ByHand = "hand"
	// BySnapshot is hellolab, which was told to install the state after it.
	BySnapshot = "snapshot"
)

// Marks are the steps that a check has passed on, by CHAPTER/STEP.
type Marks map[string]Mark

// Mark is what is known of such a step.
type Mark struct {
	// By is ByHand or BySnapshot, or "" where an older hellolab has noted no more than that it was done.
	By string `json:"by,omitempty"`
	// At is when the check passed, and Fell when one failed again afterwards. Either may be zero.
	At   time.Time `json:"at,omitzero"`
	Fell time.Time `json:"fell,omitzero"`
	// Hints is how many the reader had asked for by then.
	Hints int `json:"hints,omitempty"`
	// Seal is [Mark.seal], so that a mark which was written by somebody else does not count.
	Seal string `json:"seal,omitempty"`
}

// Stands reports whether the step is done: a check has passed, and none has failed again.
func (m Mark) Stands() bool { return m.Fell.IsZero() }

// seal is a sum over the step and the mark. The key is in this program's sources: it stops an editor, and nobody who programs.
func (m Mark) seal(id string) string {
	m.Seal = ""
	content, _ := json.Marshal(m) // a struct of such fields always can be
	return sumOf(append([]byte(id+"\n"), content...))
}

// sumOf is the sum over something that this program has written.
func sumOf(content []byte) string {
	sum := hmac.New(sha256.New, []byte("github.com/hellolab/hellolab/labs"))
	sum.Write(content)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Done reports whether a step is.
func (m Marks) Done(id string) bool {
	mark, found := m[id]
	return found && mark.Stands()
}

// Steps are those that are done, sorted.
func (m Marks) Steps() (all []string) {
	for id := range m {
		if m.Done(id) {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

// with is a copy of m with a step's mark, which is sealed.
func (m Marks) with(id string, mark Mark) Marks {
	all := Marks{}
	maps.Copy(all, m)
	mark.Seal = mark.seal(id)
	all[id] = mark
	return all
}

// readMarks reads what [Labs.rememberMarks] wrote, and leaves out what somebody else has written. passed are the steps that an older hellolab has
// noted.
func readMarks(content string, passed []string) Marks {
	var all Marks
	if json.Unmarshal([]byte(content), &all) != nil || all == nil {
		all = Marks{}
	}
	maps.DeleteFunc(all, func(id string, mark Mark) bool { return mark.By != "" && mark.Seal != mark.seal(id) })
	for _, id := range passed {
		if _, known := all[id]; !known {
			all[id] = Mark{}
		}
	}
	return all
}

// Check returns a row for every expectation of a step, and marks the step as done if all are met; or notes that a fault which was planted in it
// is mended.
func (l *Labs) Check(ctx context.Context, step *course.Step) ([]check.Row, error) {
	begun := time.Now()
	rows, err := l.Checker.Step(ctx, step)
	if err != nil {
		return rows, err
	}
	state, err := l.State(ctx)
	switch {
	case err != nil:
	case check.Met(rows) && state.Practice.Of(step):
		err = l.mended(ctx, state, begun)
	case check.Met(rows):
		err = l.markDone(ctx, state, step)
	}
	return l.withheld(rows, state), err
}

// Judge is Check, and takes the mark away from a step that is not met any more. Where the reader has gone on since, to another step, it stays:
// what comes next changes what there is.
func (l *Labs) Judge(ctx context.Context, step *course.Step) ([]check.Row, error) {
	rows, err := l.Check(ctx, step)
	if err != nil || check.Met(rows) {
		return rows, err
	}
	state, err := l.State(ctx)
	mark := state.Marks[step.ID()]
	if err != nil || !state.Marks.Done(step.ID()) || state.wentOn(step) || state.Practice.Of(step) {
		return rows, err
	}
	mark.Fell = now()
	return rows, l.rememberMarks(ctx, state.Marks.with(step.ID(), mark))
}

// now is the time as marks have it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// wentOn reports whether another snapshot was installed, or another step done, after step.
func (s State) wentOn(step *course.Step) bool {
	at := s.Marks[step.ID()].At
	if s.Step != step.ID() && s.Since.After(at) {
		return true
	}
	for id, other := range s.Marks {
		if id != step.ID() && other.At.After(at) {
			return true
		}
	}
	return false
}

// markDone marks a step as done. What was done by hand stays so, whoever does it afterwards; done by hand anew, it has the time of that.
func (l *Labs) markDone(ctx context.Context, state State, step *course.Step) error {
	old, stands := state.Marks[step.ID()], state.Marks.Done(step.ID())
	if stands && old.By == ByHand && !state.wentOn(step) {
		return nil
	}
	by, err := l.doneBy(ctx, state, step)
	if err != nil || stands && by != ByHand && (old.By == ByHand || old.By == by) {
		return err
	}
	return l.rememberMarks(ctx, state.Marks.with(step.ID(), Mark{By: by, At: now(), Hints: state.Hints.Given[step.ID()]}))
}

// doneBy tells who has done a step: hellolab, where any of what the step is about is as a snapshot has left it; and where the step is about
// nothing that can be seen on an object, if a snapshot is installed that the step leads to.
func (l *Labs) doneBy(ctx context.Context, state State, step *course.Step) (string, error) {
	about := aboutStep(step)
	if len(about) == 0 {
		if state.leads(l.Course, step) {
			return BySnapshot, nil
		}
		return ByHand, nil
	}
	var namespaces []string
	for _, object := range about {
		namespaces = append(namespaces, object.GetNamespace())
	}
	slices.Sort(namespaces)
	there, _, err := l.present(ctx, slices.Compact(namespaces), false)
	if err != nil {
		return "", err
	}
	for _, unit := range units(there) {
		made := unit.ours && !unit.touched
		if made && slices.ContainsFunc(unit.objects, func(o *unstructured.Unstructured) bool {
			return slices.ContainsFunc(about, func(of *unstructured.Unstructured) bool { return kube.Refer(o).Same(kube.Refer(of)) })
		}) {
			return BySnapshot, nil
		}
	}
	return ByHand, nil
}

// aboutStep are the objects that a step makes or changes, as its manifests have them.
func aboutStep(step *course.Step) (all []*unstructured.Unstructured) {
	before := step.Start().Objects
	for _, manifest := range step.Manifests() {
		for _, object := range manifest.Objects {
			if !slices.ContainsFunc(before, func(o *unstructured.Unstructured) bool { return equality.Semantic.DeepEqual(o.Object, object.Object) }) {
				all = append(all, object)
			}
		}
	}
	return all
}

// leads reports whether step is on the way to the snapshot that is installed.
func (s State) leads(lessons *course.Course, step *course.Step) bool {
	installed, err := lessons.Find(s.Step)
	if s.Step == "" || err != nil {
		return false
	}
	if s.Before {
		return slices.Contains(installed.Start().Steps, step)
	}
	return slices.Contains(installed.Snapshot().Steps, step)
}
