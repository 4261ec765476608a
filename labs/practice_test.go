package labs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
)

// withFaults is a world whose course has faults: three of one step, one of another, which needs the ingress controller.
func withFaults(t *testing.T) world {
	t.Helper()
	w := begin(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{"os": "linux"}}})
	fault := func(name, plant string) string {
		return "\n      - {name: " + name + ", symptom: {en: It is wrong.}, cause: {en: it was wrong}, remedy: [kubectl get], " + plant + "}"
	}
	lessons, err := course.Load(fstest.MapFS{
		"course.yaml": {Data: []byte("namespaces: [default]\nchapters: [web, more]\n")},
		"web/lab.yaml": {Data: []byte(`steps:
  - name: only
    do: [apply: [web.yaml]]
    expect: [object: {apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: b}}]
    faults:` + fault("patched", "plant: [patch: {kind: ConfigMap, name: web, with: {data: {a: c}}}]") +
			fault("deleted", "plant: [delete: {kind: ConfigMap, name: web}]") +
			fault("cordoned", "plant: [{patch: {kind: Node, labels: os=linux, with: {spec: {unschedulable: true}}}}, {patch: {kind: ConfigMap, name: web, with: {data: {a: null}}}}], "+
				"cleanup: [{patch: {kind: Node, labels: os=linux, with: {spec: {unschedulable: null}}}}, {patch: {kind: ConfigMap, name: web, with: {data: {a: b}}}}]") + "\n")},
		"more/lab.yaml": {Data: []byte(`steps:
  - name: ingress
    needs: [ingress]
    do: [apply: [web.yaml]]
    expect: [object: {apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: b}}]
    faults:` + fault("patched", "plant: [patch: {kind: ConfigMap, name: web, with: {data: {a: d}}}]") + "\n")},
		"web/web.yaml":  {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n")},
		"more/web.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n")},
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	w.Course, w.Checker.Course = lessons, lessons
	return w
}

// state is the state of the course, which can be read.
func (w world) state(t *testing.T) State {
	t.Helper()
	state, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// mend has the ConfigMap be as the step leaves it.
func (w world) mend() {
	w.server.Put(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Data: map[string]string{"a": "b"}})
}

// passes checks the step that the practice is in.
func (w world) passes(t *testing.T) bool {
	t.Helper()
	step, err := w.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := w.Check(t.Context(), step)
	if err != nil {
		t.Fatal(err)
	}
	return check.Met(rows)
}

// TestPractise holds that a fault is planted and kept in mind, that its check judges, that it marks no step as done, and that another
// one follows.
func TestPractise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		last := ""
		for range 10 {
			if err := w.Practise(t.Context(), "web", 3); err != nil {
				t.Fatal(err)
			}
			practice := w.state(t).Practice
			if !practice.On() || practice.Seed != 3 || practice.Chapter != "web" || practice.Fault == last || practice.Exam() {
				t.Errorf("after %s the practice is %+v", last, practice)
			}
			last = practice.Fault
			if w.passes(t) {
				t.Errorf("the check passes with %s", last)
			}
			time.Sleep(90 * time.Second)
			w.mend()
			if !w.passes(t) {
				t.Errorf("the check does not pass without %s", last)
			}
			practice = w.state(t).Practice
			if practice.On() || !practice.Solved || practice.Seconds(time.Now()) != 90 {
				t.Errorf("once %s is mended, the practice is %+v", last, practice)
			}
			w.passes(t) // again
			if state := w.state(t); len(state.Marks) != 0 || state.Practice.Seconds(time.Now()) != 90 {
				t.Errorf("a practice marks %v as done, %+v", state.Marks, state.Practice)
			}
		}
		w.install(t, "web/only")
		if state := w.state(t); !w.passes(t) || len(w.state(t).Marks) != 1 || state.Practice.Fault != "" {
			t.Errorf("after the practice the state is %+v", state)
		}
	})
}

// TestPracticeEnds holds that whatever installs something else ends a practice, and cleans up after it, and that giving up does.
func TestPracticeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		cordoned := w.Course.Fault("web/only/cordoned")
		for name, end := range map[string]func() error{
			"a step":   func() error { _, err := w.Install(t.Context(), w.step(t, "web/only"), false); return err },
			"a reset":  func() error { return w.Reset(t.Context()) },
			"practice": func() error { return w.plant(t.Context(), w.Course.Fault("web/only/patched"), 1, "") },
		} {
			if err := w.plant(t.Context(), cordoned, 1, ""); err != nil {
				t.Fatal(err)
			}
			node := func() any {
				spec, _ := w.server.Get("Node", "", "node").Object["spec"].(map[string]any)
				return spec["unschedulable"]
			}
			if node() != true {
				t.Errorf("before %s the node is %v", name, node())
			}
			w.server.Delete("ConfigMap", "default", "web") // what is to be cleaned up may be gone
			if err := end(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if node() != nil {
				t.Errorf("after %s the node is %v", name, node())
			}
			if practice := w.state(t).Practice; practice.Fault == cordoned.ID() {
				t.Errorf("after %s there is still %+v", name, practice)
			}
		}
		if err := errors.Join(w.plant(t.Context(), cordoned, 1, ""), w.GiveUp(t.Context())); err != nil {
			t.Fatal(err)
		}
		if practice := w.state(t).Practice; practice.On() || practice.Solved || practice.Fault == "" {
			t.Errorf("given up, the practice is %+v", practice)
		}
	})
}

// TestExam holds that a seed gives the same exam on two labs, and what becomes of each fault: mended, left, or out of time.
func TestExam(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var drawn [][]string
		for range 2 {
			w := withFaults(t)
			w.Ingress = true
			if err := w.Practise(t.Context(), "", len(drawn)); err != nil { // what was before does not matter
				t.Fatal(err)
			}
			drawn = append(drawn, sits(t, w))
		}
		if !slices.Equal(drawn[0], drawn[1]) {
			t.Errorf("two labs have the exams %q", drawn)
		}
	})
}

// sits takes an exam of four faults in ten minutes: the first is mended, the second left, the third takes too long.
func sits(t *testing.T, w world) (faults []string) {
	t.Helper()
	if err := w.Examine(t.Context(), "", 7, 4, 10); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	w.mend()
	if !w.passes(t) || !w.state(t).Practice.Exam() {
		t.Errorf("the first fault is not mended: %+v", w.state(t).Practice)
	}
	for _, wait := range []time.Duration{2 * time.Minute, 8 * time.Minute} {
		if err := w.GoOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait)
	}
	if !w.state(t).Practice.Overdue(time.Now()) {
		t.Error("its time is not over")
	}
	w.mend()
	w.passes(t)
	result, err := w.EndExam(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []FaultResult{{Planted: true, Solved: true, Seconds: 60}, {Planted: true, Seconds: 120}, {Planted: true, Seconds: 480}, {}} {
		faults = append(faults, result.Faults[i].Fault)
		if want.Fault = result.Faults[i].Fault; result.Faults[i] != want {
			t.Errorf("the fault %d is %+v, want %+v", i+1, result.Faults[i], want)
		}
	}
	if result.Score() != 1 || result.Ended.Sub(result.Started) != 10*time.Minute {
		t.Errorf("the result is %+v", result)
	}
	if again, err := w.EndExam(t.Context()); err != nil || !again.Ended.Equal(result.Ended) {
		t.Errorf("its report comes twice as %+v, %v", again, err)
	}
	return faults
}

// TestExamToItsEnd holds that the last fault ends an exam, that exams are kept, and that nothing but an exam counts as one.
func TestExamToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		if _, err := w.EndExam(t.Context()); err == nil {
			t.Error("there is a report without an exam")
		}
		for count, want := range map[int]string{0: "1 to 3", 4: "1 to 3", -1: "1 to 3"} { // one needs the ingress controller
			if err := w.Examine(t.Context(), "", 7, count, 0); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("an exam of %d faults: %v", count, err)
			}
		}
		if err := w.Practise(t.Context(), "more", 7); err == nil {
			t.Error("a chapter without faults has one")
		}
		for exam := range 2 {
			if err := w.Examine(t.Context(), "", 7, 1, 0); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Hour)
			w.mend()
			w.passes(t)
			if state := w.state(t); state.Practice.Exam() || len(state.Exams) != exam+1 || state.Exams[exam].Score() != 1 || len(state.Marks) != 0 {
				t.Errorf("after the last fault the state is %+v", state)
			}
		}
		content, err := json.Marshal(w.state(t).Exams[0])
		if err != nil || !strings.Contains(string(content), `"solved":true,"seconds":360000`) {
			t.Errorf("as JSON it is %s, %v", content, err)
		}
	})
}

// TestForeignFaults holds that faults of somebody else's course are refused as its steps are, before anything is done.
func TestForeignFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		w.Trust.Foreign = true
		cordoned := w.Course.Fault("web/only/cordoned")
		err := w.plant(t.Context(), cordoned, 1, "")
		if err == nil || !strings.Contains(err.Error(), "node/os=linux: it is of the whole cluster") || w.state(t).Step != "" {
			t.Errorf("it is planted: %v", err)
		}
		w.Trust.Given = true
		if err := w.plant(t.Context(), cordoned, 1, ""); err != nil {
			t.Errorf("with trust: %v", err)
		}
	})
}

// TestFaultThatDoesNotShow holds that an exam leaves out a fault that does not show, says so, and goes on; and that one without any other
// has not begun.
func TestFaultThatDoesNotShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		w.Ingress, w.Timeout = true, 10*time.Second
		exam := func(faults ...string) error {
			running := &ExamResult{Seed: 7}
			for _, fault := range faults {
				running.Faults = append(running.Faults, FaultResult{Fault: fault})
			}
			if err := w.keepPractice(t.Context(), State{Practice: Practice{Running: running}}); err != nil {
				t.Fatal(err)
			}
			return w.GoOn(t.Context())
		}
		hidden := w.Course.Fault("web/only/patched")
		hidden.Plant = nil
		if err := exam(hidden.ID(), "web/only/gone", "more/ingress/patched"); err != nil {
			t.Fatal(err)
		}
		practice := w.state(t).Practice
		if !practice.On() || practice.Fault != "more/ingress/patched" || practice.Running.Number() != 1 || len(practice.Running.Faults) != 1 {
			t.Errorf("it goes on with %+v in %+v", practice, practice.Running)
		}
		for _, want := range []string{"the fault web/only/patched does not show", "the course has no fault web/only/gone any more; the exam goes on without it"} {
			if !strings.Contains(w.said.String(), want) {
				t.Errorf("it does not say %q, but\n%s", want, w.said)
			}
		}
		if err := exam(hidden.ID()); err == nil || !strings.Contains(err.Error(), "the exam had not begun") || w.state(t).Practice.Exam() {
			t.Errorf("without any fault: %v, %+v", err, w.state(t).Practice)
		}
	})
}

// TestExamThatDoesNotBegin holds that an exam whose first fault cannot be planted is none: help is not refused, and no other exam's result is
// shown in its place.
func TestExamThatDoesNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		lab := &failing{memoryLab: w.lab}
		w.Lab = lab
		if err := w.Examine(t.Context(), "", 7, 1, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := w.EndExam(t.Context()); err != nil {
			t.Fatal(err)
		}
		lab.err = errors.New("no images")
		if err := w.Examine(t.Context(), "", 7, 2, 0); !errors.Is(err, lab.err) || w.state(t).Practice.Alone() != nil {
			t.Errorf("it fails with %v, and the practice is %+v", err, w.state(t).Practice)
		}
		running := State{Practice: Practice{Running: &ExamResult{Faults: []FaultResult{{Fault: "web/only/patched"}}}}, Exams: w.state(t).Exams}
		if err := w.keepPractice(t.Context(), running); err != nil { // as if it had been killed then
			t.Fatal(err)
		}
		if _, err := w.EndExam(t.Context()); err == nil || !strings.Contains(err.Error(), "the exam had not begun") || len(w.state(t).Exams) != 1 {
			t.Errorf("it ends with %v, and there are %v", err, w.state(t).Exams)
		}
	})
}

// failing is a lab that cannot have images.
type failing struct {
	*memoryLab
	err error
}

func (f *failing) FetchImages(context.Context, []string) error { return f.err }

// TestEndOfAnExamFails holds that an exam which cannot be ended is not taken for the one before.
func TestEndOfAnExamFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		for range 2 {
			if _, err := w.EndExam(t.Context()); w.state(t).Practice.Exam() {
				t.Fatal(err)
			}
			if err := w.Examine(t.Context(), "", 7, 1, 0); err != nil {
				t.Fatal(err)
			}
		}
		w.server.Fail(http.MethodPatch, "/configmaps/"+stateName, 1, refusal("no"))
		if result, err := w.EndExam(t.Context()); err == nil || len(result.Faults) != 0 || !w.state(t).Practice.Exam() {
			t.Errorf("it ends with %+v, %v", result, err)
		}
	})
}

// TestEarlyCheck holds that a check which began before a fault was planted does not count as its repair.
func TestEarlyCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withFaults(t)
		begun := time.Now()
		time.Sleep(time.Second)
		if err := w.Practise(t.Context(), "web", 3); err != nil {
			t.Fatal(err)
		}
		if err := w.mended(t.Context(), w.state(t), begun); err != nil || !w.state(t).Practice.On() {
			t.Errorf("an early check has ended %+v, %v", w.state(t).Practice, err)
		}
		w.mend()
		if !w.passes(t) || !w.state(t).Practice.Solved {
			t.Errorf("a later one has not: %+v", w.state(t).Practice)
		}
	})
}

// refusal is what an API server answers that forbids something.
func refusal(why string) apierrors.APIStatus {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "all"}, "this", errors.New(why))
}
