package labs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/retry"

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
	return rows, l.mark(ctx, step, mark)
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

// mark writes one mark, beside what others may have written meanwhile: a check takes no lock.
func (l *Labs) mark(ctx context.Context, step *course.Step, mark Mark) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found, err := l.Cluster.CoreV1().ConfigMaps(stateNamespace).Get(ctx, stateName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return l.rememberMarks(ctx, Marks{}.with(step.ID(), mark))
		}
		if err != nil {
			return err
		}
		content, err := json.Marshal(l.marksIn(found.Data).with(step.ID(), mark))
		if err != nil {
			return err
		}
		if found.Data == nil {
			found.Data = map[string]string{}
		}
		found.Data[l.marksKey()] = string(content)
		_, err = l.Cluster.CoreV1().ConfigMaps(stateNamespace).Update(ctx, found, metav1.UpdateOptions{FieldManager: marksManager + l.courseSuffix()})
		return err
	})
}

// addMarks adds those of a saved file: what has been done here since stays.
func (l *Labs) addMarks(ctx context.Context, saved Marks) error {
	state, err := l.State(ctx)
	if err != nil {
		return err
	}
	all := Marks{}
	maps.Copy(all, saved)
	maps.Copy(all, state.Marks)
	return l.rememberMarks(ctx, all)
}

// marksIn are the marks of this course in what is kept.
func (l *Labs) marksIn(kept map[string]string) Marks {
	var passed []string
	if json.Unmarshal([]byte(kept[l.passedKey()]), &passed) != nil {
		passed = nil
	}
	return readMarks(kept[l.marksKey()], passed)
}

// markDone marks a step as done. What was done stays so, whoever does it afterwards, until it falls; done by hand anew, it has the time of that.
func (l *Labs) markDone(ctx context.Context, state State, step *course.Step) error {
	old, stands := state.Marks[step.ID()], state.Marks.Done(step.ID())
	if stands && old.By == ByHand && !state.wentOn(step) {
		return nil
	}
	by, err := l.doneBy(ctx, state, step)
	if err != nil || stands && by != ByHand {
		return err
	}
	return l.mark(ctx, step, Mark{By: by, At: now(), Hints: state.Hints.Given[step.ID()]})
}

// doneBy tells who has done a step: hellolab, where any of what the step is about is as a snapshot has left it; and where the step is about
// nothing that can be seen, if a snapshot is installed that the step leads to.
func (l *Labs) doneBy(ctx context.Context, state State, step *course.Step) (string, error) {
	for _, expected := range step.Expect {
		pushed, is := expected.Condition.(*course.Pushed)
		if !is {
			continue
		}
		if _, snapshot, err := l.Checker.Registry.PushedBy(ctx, pushed.Name); err != nil || snapshot {
			return BySnapshot, err
		}
	}
	about := aboutStep(step)
	if len(about) == 0 {
		if state.leads(l.Course, step) {
			return BySnapshot, nil
		}
		return ByHand, nil
	}
	there, err := l.withRecords(ctx, about)
	if err != nil {
		return "", err
	}
	made := slices.ContainsFunc(units(there), func(unit *release) bool {
		return unit.ours && !unit.touched && slices.ContainsFunc(unit.objects, func(o *unstructured.Unstructured) bool { return isAmong(about, o) })
	})
	if made {
		return BySnapshot, nil
	}
	return ByHand, nil
}

func isAmong(all []*unstructured.Unstructured, object *unstructured.Unstructured) bool {
	return slices.ContainsFunc(all, func(o *unstructured.Unstructured) bool { return kube.Refer(o).Same(kube.Refer(object)) })
}

// withRecords are objects as the cluster has them, with the records of the Helm releases that they are part of.
func (l *Labs) withRecords(ctx context.Context, objects []*unstructured.Unstructured) (there []*unstructured.Unstructured, err error) {
	released := map[string]bool{}
	for _, object := range objects {
		found, err := l.Cluster.Get(ctx, kube.Refer(object))
		if err != nil {
			return nil, err
		}
		if found == nil {
			continue
		}
		there = append(there, found)
		namespace, name, isReleased := strings.Cut(releaseOf(found), "/")
		if !isReleased || released[namespace+"/"+name] {
			continue
		}
		released[namespace+"/"+name] = true
		records, err := l.records(ctx, namespace, name)
		if err != nil {
			return nil, err
		}
		there = append(there, records...)
	}
	return there, nil
}

// records are the Secrets in which Helm keeps the revisions of a release.
func (l *Labs) records(ctx context.Context, namespace, release string) (all []*unstructured.Unstructured, err error) {
	list, err := l.Cluster.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,name=" + release})
	if err != nil {
		return nil, err
	}
	for _, secret := range list.Items {
		record := &unstructured.Unstructured{}
		record.SetAPIVersion("v1")
		record.SetKind("Secret")
		record.SetNamespace(namespace)
		record.SetName(secret.Name)
		record.SetLabels(secret.Labels)
		record.SetManagedFields(secret.ManagedFields)
		all = append(all, record)
	}
	return all, nil
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
