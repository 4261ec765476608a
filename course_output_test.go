package main

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

func say(text string) messages.Text { return messages.Verbatim(text) }

// TestRowsText holds that a reader sees at once what is missing, and what to type.
func TestRowsText(t *testing.T) {
	t.Parallel()
	p := &program{}
	rows := []check.Row{
		{Subject: say("pod/web"), Met: true, Have: say("as expected"), Expected: say("as expected")},
		{Subject: say("deployment/web"), Have: say("replicas: 1"), Expected: say("replicas: 3"),
			Why: say("it asks for one pod only, " + strings.Repeat("and ", 15) + "so on"), Next: say("kubectl scale deployment/web --replicas=3")},
		{Subject: say("image web"), Have: say("-"), Expected: say("in the registry"), Next: say("docker push web")},
	}
	want := `✓ pod/web
✗ deployment/web
    have      replicas: 1
    expected  replicas: 3
    why       it asks for one pod only, and and and and and and and and and and
              and and and and and so on
    do        kubectl scale deployment/web --replicas=3
✗ image web
    have      -
    expected  in the registry
    do        docker push web
`
	if got, want := p.rowsText(rows, false), "✓ pod/web\n✗ deployment/web\n    have      replicas: 1\n    expected  replicas: 3\n✗ image web\n    have      -\n    expected  in the registry\n"; got != want {
		t.Errorf("without hints, the rows are\n%s\nwant\n%s", got, want)
	}
	got := p.rowsText(rows, true)
	if got != want {
		t.Errorf("the rows are\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if progress.Columns(strings.TrimSuffix(line, "\n")) > columns {
			t.Errorf("the line is too long: %s", line)
		}
	}
	if got := p.summary(rows); got != "1 of 3 are as expected\n" {
		t.Errorf("the summary is %q", got)
	}
	if got := p.summary(rows[:1]); got != "all 1 are as expected\n" {
		t.Errorf("the summary is %q", got)
	}
}

func lessons(t *testing.T) *course.Course {
	t.Helper()
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
	read, err := course.Load(fstest.MapFS{
		"course.yaml":         {Data: []byte("namespaces: [default]\nchapters: [pod, service]\n")},
		"pod/given/base.yaml": {Data: []byte(pod)},
		"pod/first/pod.yaml":  {Data: []byte(pod)},
		"pod/second/pod.yaml": {Data: []byte(pod + "spec: {}\n")},
		"pod/lab.yaml": {Data: []byte(`title: {en: Pods, zh: 容器组}
given: [pod/given/base.yaml]
steps:
  - name: first
    title: {en: The first pod, zh: 第一个}
    guide: {en: "Ask {{.NodePort}}.\n"}
    do: [apply: [first/pod.yaml], {apply: [first/pod.yaml], namespace: dev}]
    expect: [image: web]
  - name: second
    title: {en: Another one, zh: 另一个}
    expect: [image: web]
`)},
		"service/lab.yaml": {Data: []byte("steps: [{name: first, title: {zh: 一个 Service}, expect: [image: web]}]\n")},
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// TestList holds how far a reader is, for every state that the lab can be in.
func TestList(t *testing.T) {
	t.Parallel()
	p := &program{}
	for _, test := range []struct {
		name  string
		state labs.State
		want  string
	}{
		{"nothing yet", labs.State{}, "   pod/first      The first pod\n   pod/second     Another one\n   service/first  一个 Service\n"},
		{"installed", labs.State{Step: "pod/second", Marks: done("pod/first", "pod/second")},
			"✓  pod/first      The first pod\n✓  pod/second     Another one    installed\n   service/first  一个 Service\n"},
		{"before", labs.State{Step: "pod/first", Before: true}, "   pod/first      The first pod  installed: the state before it\n   pod/second     Another one\n   service/first  一个 Service\n"},
		{"not by hand", labs.State{Marks: labs.Marks{"pod/first": {By: labs.BySnapshot, At: time.Unix(1, 0)}, "pod/second": {By: labs.ByHand, Fell: time.Unix(1, 0)}, "service/first": {}}},
			"○  pod/first      The first pod\n✗  pod/second     Another one\n✓  service/first  一个 Service\n"},
		{"interrupted", labs.State{Step: "service/first", Before: true, Installing: true, Marks: done("pod/first")},
			"✓  pod/first      The first pod\n   pod/second     Another one\n   service/first  一个 Service   interrupted\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			list := p.list(lessons(t), test.state)
			if got := p.listText(list); got != test.want {
				t.Errorf("the list is\n%swant\n%s", got, test.want)
			}
			var chapters []string
			for _, chapter := range list {
				chapters = append(chapters, chapter.Name+" "+chapter.Title)
			}
			if want := []string{"pod Pods", "service "}; !slices.Equal(chapters, want) {
				t.Errorf("the chapters are %q, want %q", chapters, want)
			}
		})
	}
}

// TestStepText holds that a reader gets every file once, and those that are given with the first step.
func TestStepText(t *testing.T) {
	t.Parallel()
	p, place := &program{}, course.Place{NodePort: "http://localhost:30000"}
	steps := lessons(t).Chapters[0].Steps
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
	for i, want := range []string{
		"pod/first  The first pod\n\nAsk http://localhost:30000.\n\n--- base.yaml\n" + pod + "\n--- pod.yaml\n" + pod,
		"pod/second  Another one\n\n\n--- pod.yaml\n" + pod + "spec: {}\n",
	} {
		got := ""
		for _, line := range p.stepText(steps[i], p.shown(place, steps[i])) {
			got += line.Text + "\n"
		}
		if got != want {
			t.Errorf("the step is\n%s\nwant\n%s", got, want)
		}
	}
}

// TestCheckText holds that a check which explains nothing leads to the hints, and one that has nothing to explain does not.
func TestCheckText(t *testing.T) {
	t.Parallel()
	p, step := &program{}, lessons(t).Chapters[0].Steps[0]
	wrong := []check.Row{{Subject: say("pod/web"), Have: say("none"), Expected: say("one"), Next: say("make it")}}
	for _, test := range []struct {
		rows    []check.Row
		explain bool
		want    string
	}{
		{wrong, false, "    have      none\n    expected  one\n0 of 1 are as expected\na hint: hellolab lab hint pod/first\n"},
		{wrong, true, "    have      none\n    expected  one\n    do        make it\n0 of 1 are as expected\n"},
		{[]check.Row{{Subject: say("pod/web"), Met: true}}, false, "✓ pod/web\nall 1 are as expected\n"},
	} {
		if got := p.checkText(step, test.rows, test.explain); !strings.HasSuffix(got, test.want) {
			t.Errorf("it is\n%swant\n%s", got, test.want)
		}
	}
}

// TestCheckResult holds the JSON's fields against the rows.
func TestCheckResult(t *testing.T) {
	t.Parallel()
	p := &program{}
	step := lessons(t).Chapters[0].Steps[0]
	row := check.Row{Subject: say("s"), Have: say("h"), Expected: say("e"), Why: say("w"), Next: say("n")}
	got := p.checkResult(step, []check.Row{{Subject: say("a"), Met: true}, row})
	if got.Step != "pod/first" || got.Passed || len(got.Rows) != 2 || !got.Rows[0].Met || got.Rows[1] != (check.Told{Subject: "s", Have: "h", Expected: "e", Why: "w", Next: "n"}) {
		t.Errorf("the result is %+v", got)
	}
	if none := p.checkResult(step, nil); !none.Passed || none.Rows == nil {
		t.Errorf("without rows, the result is %+v", none)
	}
}

// done are marks of steps that are done by hand.
func done(ids ...string) labs.Marks {
	marks := labs.Marks{}
	for _, id := range ids {
		marks[id] = labs.Mark{By: labs.ByHand, At: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	}
	return marks
}
