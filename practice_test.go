package main

import (
	"strings"
	"testing"
	"time"

	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// practiceIn is a program that speaks a language, and the built-in course.
func practiceIn(t *testing.T, language int) (*program, *labs.Labs) {
	t.Helper()
	lessons, err := course.Load(course.Embedded(), "", "guangzhengli")
	if err != nil {
		t.Fatal(err)
	}
	return &program{printer: messages.In(messages.Languages()[language])}, &labs.Labs{Course: lessons, Checker: &check.Checker{Course: lessons}}
}

// TestExamReport holds the report of an exam, and that it tells of each fault what became of it, but not of those that were not begun.
func TestExamReport(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	exam := labs.ExamResult{Seed: 7, Started: began, Ended: began.Add(10 * time.Minute), Faults: []labs.FaultResult{
		{Fault: "service/clusterip/selector", Planted: true, Solved: true, Seconds: 75},
		{Fault: "pod/hellok8s/command", Planted: true, Seconds: 400},
		{Fault: "ingress/routes/class"},
		{Fault: "gone/with/it", Planted: true, Solved: true, Seconds: 3},
	}}
	for language, want := range []string{`the exam with the seed 7
✓ service/clusterip/selector  mended in 1m15s
    the Service's selector was app=hello, and no pod has that label
✗ pod/hellok8s/command  not mended
    the manifest had a command that calls /bin/bash, and there is no shell in
    this image
✗ ingress/routes/class  not begun
✓ gone/with/it  mended in 3s
2 of 4 mended, in 10m0s
`, `考试（种子 7）
✓ service/clusterip/selector  已修复，用时 1m15s
    Service 的 selector 是 app=hello，没有 Pod 带这个标签
✗ pod/hellok8s/command  未修复
    YAML 里写了 command，要运行 /bin/bash，而这个镜像里没有 shell
✗ ingress/routes/class  未开始
✓ gone/with/it  已修复，用时 3s
4 个故障修复了 2 个，总用时 10m0s
`} {
		p, l := practiceIn(t, language)
		if got := p.examReport(l, exam); got != want {
			t.Errorf("the report is\n%s\nwant\n%s", got, want)
		}
	}
}

// TestPracticeTexts holds that every fault of the course is told within the width of a page in both languages, and that nothing of its
// cause is told before it is mended.
func TestPracticeTexts(t *testing.T) {
	t.Parallel()
	for language := range messages.Languages() {
		p, l := practiceIn(t, language)
		for _, fault := range l.Course.Faults("") {
			practice := labs.Practice{Fault: fault.ID(), Seed: 9999, Since: time.Now().Add(-time.Hour),
				Running: &labs.ExamResult{Started: time.Now().Add(-time.Hour), Minutes: 90, Faults: []labs.FaultResult{{Planted: true}, {}}}}
			told := p.practiceTold(l, practice, fault)
			if told.Cause != "" || told.Remedy != nil || told.Exam.Number != 1 || told.Exam.Of != 2 || *told.Exam.SecondsLeft < 1790 {
				t.Errorf("%s: it is told as %+v", fault.ID(), told)
			}
			text := p.practiceText(l, fault, told)
			practice.Ended, practice.Running = time.Now(), nil
			if told := p.practiceTold(l, practice, fault); told.Cause == "" || len(told.Remedy) != len(fault.Remedy) || told.Exam != nil {
				t.Errorf("%s: once it has ended, it is told as %+v", fault.ID(), told)
			}
			text += p.practiceText(l, fault, practiceTold{Seconds: 3}) + p.wrapped(l.Checker.Place.Text(fault.Cause), "")
			for line := range strings.Lines(text) {
				if progress.Columns(strings.TrimSuffix(line, "\n")) > columns {
					t.Errorf("%s: the line is too long: %s", fault.ID(), line)
				}
			}
		}
	}
}
