package labs

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// done are marks of steps that are done by hand.
func done(ids ...string) Marks {
	marks := Marks{}
	for _, id := range ids {
		marks = marks.with(id, Mark{By: ByHand, At: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)})
	}
	return marks
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

// TestReadMarks holds that marks which somebody else has written do not count, and that those of older versions do.
func TestReadMarks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, content, want string }{
		{"nothing", "", "old"},
		{"no JSON", "[", "old"},
		{"ours", marshal(t, done("web/first")), "old web/first"},
		{"written by hand", `{"web/first":{"by":"hand","at":"2026-11-28T12:00:00Z"}}`, "old"},
		{"another step's seal", strings.Replace(marshal(t, done("web/first")), "web/first", "web/second", 1), "old"},
		{"a later time", strings.Replace(marshal(t, done("web/first")), "T12:", "T11:", 1), "old"},
		{"fallen", marshal(t, Marks{}.with("old", Mark{Fell: now()})), ""},
	} {
		if got := strings.Join(readMarks(test.content, []string{"old"}).Steps(), " "); got != test.want {
			t.Errorf("%s: done are %q, want %q", test.name, got, test.want)
		}
	}
}

// judge checks a step as `lab check` does, and returns its mark.
func (w world) judge(t *testing.T, name string) (met bool, mark Mark) {
	t.Helper()
	rows, err := w.Judge(t.Context(), w.step(t, name))
	if err != nil {
		t.Fatal(err)
	}
	state, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return check.Met(rows), state.Marks[name]
}

// TestMarks holds who has done a step, and that a mark falls with what it stands for.
func TestMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		w.install(t, "web/second")
		if met, mark := w.judge(t, "web/second"); !met || mark.By != BySnapshot || !mark.Stands() {
			t.Errorf("after its snapshot, the step is met %v and has the mark %+v", met, mark)
		}
		web := w.Cluster.AppsV1().Deployments("dev")
		if _, err := web.Patch(t.Context(), "web", types.MergePatchType, []byte(`{"metadata":{"annotations":{"mine":"yes"}}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if met, mark := w.judge(t, "web/second"); !met || mark.By != ByHand || !mark.At.Equal(now()) {
			t.Errorf("changed by the reader, the step is met %v and has the mark %+v", met, mark)
		}
		if err := web.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if met, mark := w.judge(t, "web/second"); met || mark.Stands() || !mark.Fell.Equal(now()) || mark.By != ByHand {
			t.Errorf("without its Deployment, the step is met %v and has the mark %+v", met, mark)
		}
		w.install(t, "web/second")
		if met, mark := w.judge(t, "web/second"); !met || !mark.Stands() || mark.By != BySnapshot {
			t.Errorf("installed again, the step is met %v and has the mark %+v", met, mark)
		}
	})
}

// TestMarksStay holds that a step stays done where the reader has gone on to what changes it.
func TestMarksStay(t *testing.T) {
	t.Parallel()
	step := small(t).Course.Steps()[0]
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		state State
		went  bool
	}{
		{"nothing since", State{}, false},
		{"an earlier step", State{Marks: Marks{"pod/other": {At: at.Add(-time.Minute)}}}, false},
		{"a later step", State{Marks: Marks{"pod/other": {At: at.Add(time.Minute)}}}, true},
		{"installed before", State{Step: "pod/other", Since: at.Add(-time.Minute)}, false},
		{"another installed since", State{Step: "pod/other", Since: at.Add(time.Minute)}, true},
		{"emptied since", State{Since: at.Add(time.Minute)}, true},
	} {
		if test.state.Marks == nil {
			test.state.Marks = Marks{}
		}
		test.state.Marks[step.ID()] = Mark{By: ByHand, At: at}
		if got := test.state.wentOn(step); got != test.went {
			t.Errorf("%s: the reader went on: %v", test.name, got)
		}
	}
}

// TestHints holds that hints come one by one, once each, and begin anew with what changes.
func TestHints(t *testing.T) {
	t.Parallel()
	w := begin(t)
	var got []string
	for range 3 {
		hint, err := w.Hint(t.Context(), w.step(t, "web/second"))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, hint.Stage)
	}
	if want := []string{course.HintsLook, course.HintsCause, course.HintsCommand}; !slices.Equal(got, want) {
		t.Errorf("the hints are %q, want %q", got, want)
	}
	state, err := w.State(t.Context())
	if err != nil || state.Hints.Given["web/second"] != 3 {
		t.Errorf("given are %+v, %v", state.Hints, err)
	}
	if err := w.keepPractice(t.Context(), State{Practice: Practice{Running: &ExamResult{}}}); err != nil {
		t.Fatal(err)
	}
	bare, err := w.Check(t.Context(), w.step(t, "web/second"))
	if err != nil || !bare[0].Look.IsZero() || !bare[0].Why.IsZero() || !bare[0].Next.IsZero() || bare[0].Have.IsZero() {
		t.Errorf("in an exam a check says %+v, %v", bare[0], err)
	}
	if hint, err := w.Hint(t.Context(), w.step(t, "web/second")); err == nil || !messages.IsUsage(err) {
		t.Errorf("in an exam the hint is %+v, %v", hint, err)
	}
	if err := w.keepPractice(t.Context(), State{}); err != nil {
		t.Fatal(err)
	}
	w.Course.Hints = course.HintsLook
	rows, err := w.Check(t.Context(), w.step(t, "web/second"))
	if err != nil || rows[0].Look.IsZero() || !rows[0].Why.IsZero() || !rows[0].Next.IsZero() {
		t.Errorf("a course that only tells what to look at says %+v, %v", rows[0], err)
	}
}

func marshal(t *testing.T, marks Marks) string {
	t.Helper()
	content, err := json.Marshal(marks)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
