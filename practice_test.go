package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// brittle writes a course with two faults of one step, which the API server in memory can have, into a folder.
func brittle(t *testing.T) string {
	t.Helper()
	fault := func(name, plant string) string {
		return "\n      - {name: " + name + ", symptom: {en: It is wrong., zh: 不对了。}, cause: {en: a was " + name + "}, remedy: [kubectl apply -f web.yaml], plant: [" + plant + "]}"
	}
	folder := t.TempDir()
	for name, content := range map[string]string{
		"course.yaml":       "title: {en: Brittle}\nnamespaces: [default]\nchapters: [web]\n",
		"web/only/web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n",
		"web/lab.yaml": `title: {en: Web}
steps:
  - name: only
    title: {en: The only one}
    expect: [object: {apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: b}}]
    faults:` + fault("changed", "patch: {kind: ConfigMap, name: web, with: {data: {a: c}}}") + fault("deleted", "delete: {kind: ConfigMap, name: web}") + "\n",
	} {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestPracticeCommands goes through a practice and an exam as a reader does.
func TestPracticeCommands(t *testing.T) {
	m := newMachine(t)
	m.lasting = time.Millisecond // labs.TestPractise waits longer
	m.addLab("hellolab")
	folder := brittle(t)
	lab := func(status int, texts []string, args ...string) string {
		t.Helper()
		done := m.must(status, append([]string{"lab", "--course", folder}, args...), texts...)
		return done.stdout
	}
	mend := func() {
		m.api.Put(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Data: map[string]string{"a": "b"}})
	}
	lab(exitUsage, []string{"no practice is on"}, "practice", "--give-up")
	lab(exitUsage, []string{"there has been no exam yet"}, "practice", "--end")
	lab(exitUsage, []string{`there is no chapter "wbe"`}, "practice", "wbe")
	lab(exitUsage, []string{"only an exam has a time limit"}, "practice", "--minutes", "3")
	lab(exitUsage, []string{"an exam may have 1 to 2 faults here, not 3"}, "practice", "--exam", "3")
	for _, minutes := range []string{"-5", "0", "1441"} {
		lab(exitUsage, []string{"--minutes " + minutes + ": an exam may take 1 to 1440 minutes"}, "practice", "--exam", "1", "--minutes="+minutes)
	}
	for _, faults := range []string{"-1", "0"} {
		lab(exitUsage, []string{"--exam " + faults + ": an exam has at least one fault"}, "practice", "--exam="+faults)
	}
	if m.api.Get("ConfigMap", "default", "web") != nil {
		t.Error("what is refused has changed something")
	}

	lab(exitDone, []string{"web/only  The only one\nseed 5\n\na colleague reports:\n    It is wrong.\n", "lab check", "is it mended?", "--give-up"}, "practice", "--seed", "5")
	lab(exitDone, []string{`"symptom": "不对了。"`, `"seed": 5`}, "practice", "--lang", "zh", "-o", "json") // it is on
	if done := m.must(exitDone, []string{"lab", "--course", folder, "practice", "--seed", "5"}, "seed 5"); strings.Contains(done.stderr, "planting") {
		t.Errorf("what is on is planted again:\n%s", done.stderr)
	}
	lab(exitUsage, []string{"only an exam has a time limit"}, "practice", "--minutes", "3")
	lab(exitUsage, []string{`there is no chapter "wbe"`}, "practice", "wbe")
	for _, asked := range [][]string{{"web"}, {"web", "--seed", "8"}, {"--seed", "5"}} {
		lab(exitDone, []string{"planting a fault", "a colleague reports:"}, append([]string{"practice"}, asked...)...)
	}
	m.must(exitDone, []string{"--course", folder}, "web/only, planted ", "next: hellolab --course "+folder+" lab practice\n")
	lab(exitNotYet, []string{"✗ configmap/web", "a hint:", "hellolab --course " + folder + " lab hint web/only"}, "check")
	lab(exitNotYet, []string{"✗ configmap/web", "do  "}, "check", "--explain")
	mend()
	lab(exitDone, []string{"all 1 are as expected\nmended in ", "the fault: a was ", "what mends it:\n    kubectl apply -f web.yaml\nnext: hellolab", "lab practice --next\n"}, "check")
	if list := lab(exitDone, nil, "list"); strings.Contains(list, "✓") {
		t.Errorf("it marks the step as done:\n%s", list)
	}
	lab(exitDone, []string{"a colleague reports:"}, "practice", "--next")
	lab(exitDone, []string{"the fault: a was ", "--next"}, "practice", "--give-up")

	lab(exitDone, []string{"seed 7; fault 1 of 2; 9m5"}, "practice", "--exam", "2", "--seed", "7", "--minutes", "10")
	for _, asked := range [][]string{{"--exam", "2"}, {"web"}, {"--seed", "7"}, {"--minutes", "3"}, {"--next", "--seed", "7"}} {
		lab(exitUsage, []string{"an exam is on already"}, append([]string{"practice"}, asked...)...)
	}
	lab(exitUsage, []string{"there is no help in an exam"}, "hint")
	m.must(exitUsage, []string{"why", "--course", folder}, "there is no help in an exam")
	lab(exitUsage, []string{"in an exam, nothing is told before its end"}, "practice", "--give-up")
	if said := lab(exitNotYet, []string{"✗ configmap/web"}, "check", "--explain"); strings.Contains(said, "do  ") || strings.Contains(said, "why") || strings.Contains(said, "hint") {
		t.Errorf("in an exam the check tells\n%s", said)
	}
	mend()
	lab(exitDone, []string{"mended in ", "lab practice --next"}, "check")
	lab(exitDone, []string{"fault 2 of 2"}, "practice", "--next")
	mend()
	lab(exitDone, []string{"2 of 2 mended, in "}, "check")
	lab(exitDone, []string{`"score": 2`, `"of": 2`, `"solved": true`}, "practice", "--end", "-o", "json")
	m.must(exitDone, []string{completing, "--course", folder, "lab", "practice", ""}, "web\tWeb\n")
}
