//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hellolab/hellolab/labs/course"
)

// practised is what `lab practice -o json` says, and `lab check -o json` of a practice.
type practised struct {
	Step, Symptom, Cause string
	Solved               bool
	Remedy               []string
	Exam                 *struct{ Number, Of int }
}

// examined is what `lab practice --end -o json` says.
type examined struct {
	Seed, Score, Of int
	Faults          []struct {
		Fault           string
		Planted, Solved bool
	}
}

// practising is a lab whose reader practises.
type practising struct {
	*lab
	course *course.Course
	last   string // the fault before
}

func (l *lab) practising() *practising {
	l.Helper()
	lessons, err := course.Load(course.Embedded(), "", "guangzhengli")
	l.check(err)
	return &practising{lab: l, course: lessons}
}

// plants has hellolab plant a fault, by a seed that leads to it, and sees its check fail at what the fault is to fail.
func (p *practising) plants(fault *course.Fault) {
	p.Helper()
	chapter, seed := fault.Step().Chapter().Name, 0
	for course.Draw(p.course.Faults(chapter), seed, p.last)[0] != fault {
		seed++
	}
	p.last = fault.ID()
	var told practised
	p.check(json.Unmarshal([]byte(p.must("lab", "practice", chapter, "--next", "--seed", strconv.Itoa(seed), "-o", "json").stdout), &told))
	if told.Step != fault.Step().ID() || told.Symptom == "" || told.Cause != "" || told.Remedy != nil {
		p.Errorf("the practice says %+v", told)
	}
	rows := p.checkStep(told.Step).Rows
	if len(rows) != len(fault.Step().Expect) {
		p.Fatalf("the check has %d rows", len(rows))
	}
	for i, row := range rows {
		if !row.Met && fault.Failing(i) {
			return
		}
	}
	p.Errorf("%s does not fail: %+v", fault.Fails, rows)
}

// mends types the remedy of the fault, and sees the check pass; it returns how long that took.
func (p *practising) mends(fault *course.Fault) time.Duration {
	p.Helper()
	began := time.Now()
	for _, line := range fault.Remedy {
		p.shell((course.Place{Account: "guangzhengli", Node: p.node()}).Command(line).String())
	}
	var found struct {
		Passed   bool
		Practice practised
	}
	p.check(json.Unmarshal([]byte(p.must("lab", "check", "--watch", "-o", "json").stdout), &found))
	if told := found.Practice; !found.Passed || !told.Solved || told.Cause == "" || len(told.Remedy) != len(fault.Remedy) {
		p.Errorf("once it is mended, the check says %+v", found)
	}
	return time.Since(began)
}

// in is the same in a subtest.
func (p *practising) in(t *testing.T) *practising {
	inner := *p
	inner.lab = p.lab.in(t)
	return &inner
}

// TestFaultsOfPractice plants every fault of the course and mends it as its remedy says. It prints the table of docs/practice.md. Then
// it holds that a seed gives the same exam on another lab.
func TestFaultsOfPractice(t *testing.T) {
	long(t)
	p := newLab(t, "e2e-practice", nil).practising()
	p.must("up")
	table := "| fault | what fails | planted | mended |\n|---|---|---|---|\n"
	for _, fault := range p.course.Faults("") {
		t.Run(fault.ID(), func(t *testing.T) {
			inner := p.in(t)
			began := time.Now()
			inner.plants(fault)
			planted := time.Since(began)
			mended := inner.mends(fault)
			table += fmt.Sprintf("| `%s` | `%s` | %.0f s | %.0f s |\n", fault.ID(), fault.Fails, planted.Seconds(), mended.Seconds())
		})
		p.last = fault.ID()
	}
	t.Log("\n" + table)
	if list := p.must("lab", "list").stdout; strings.Contains(list, "✓") {
		t.Errorf("practices have marked steps as done:\n%s", list)
	}
	t.Run("the same exam elsewhere", func(t *testing.T) {
		other := newLab(t, "e2e-practice-other", nil).practising()
		other.must("up", "--no-images")
		if here, there := p.in(t).drawn(), other.drawn(); !slices.Equal(here, there) {
			t.Errorf("two labs have the exams %q and %q", here, there)
		}
	})
}

// drawn are the faults of an exam of five with the seed 7.
func (p *practising) drawn() (faults []string) {
	p.Helper()
	p.must("lab", "practice", "--exam", "5", "--seed", "7")
	for _, fault := range p.ends(5).Faults {
		faults = append(faults, fault.Fault)
	}
	return faults
}

// ends ends an exam of so many faults.
func (p *practising) ends(count int) (exam examined) {
	p.Helper()
	p.check(json.Unmarshal([]byte(p.must("lab", "practice", "--end", "-o", "json").stdout), &exam))
	if exam.Seed != 7 || exam.Of != count || len(exam.Faults) != count || !exam.Faults[0].Planted {
		p.Errorf("the exam went %+v", exam)
	}
	return exam
}

// practisesOnce finds one fault and mends it, and ends an exam of two after the first.
func (l *lab) practisesOnce() {
	p := l.practising()
	before := l.must("lab", "list").stdout
	fault := p.course.Fault("pod/nginx/image-tag")
	p.plants(fault)
	if again := l.must("lab", "practice").stdout; !strings.Contains(again, "pod/nginx") {
		l.Errorf("lab practice says\n%s", again)
	}
	p.mends(fault)
	l.must("lab", "practice", "pod", "--exam", "2", "--seed", "7", "--minutes", "9")
	l.fails(2, []string{"lab", "practice", "--give-up"}, words{`lab practice --end`})
	var found checked
	l.check(json.Unmarshal([]byte(l.run("lab", "check", "-o", "json").stdout), &found))
	for _, row := range found.Rows {
		if row.Why != "" || row.Next != "" || row.Expected == "" {
			l.Errorf("in an exam, the check says %+v", row)
		}
	}
	drawn := course.Draw(p.course.Faults("pod"), 7, "")
	if exam := p.ends(2); exam.Score != 0 || exam.Faults[0].Fault != drawn[0].ID() || exam.Faults[1].Fault != drawn[1].ID() {
		l.Errorf("the exam went %+v", exam)
	}
	if after := l.must("lab", "list").stdout; strings.Count(before, "✓") != strings.Count(after, "✓") {
		l.Errorf("practice has changed the marks:\n%s", after)
	}
}
