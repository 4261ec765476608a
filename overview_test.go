package main

import (
	"strings"
	"testing"

	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/course"
)

// TestOverview holds what hellolab says without a command: how the lab is, how far the reader is, and what to type next.
func TestOverview(t *testing.T) {
	m := newMachine(t)
	m.must(exitDone, nil, "Commands:", "next: hellolab up")
	m.must(exitDone, []string{"--name", "mine"}, "next: hellolab --name mine up")
	m.addLab("hellolab")
	m.pushed("guangzhengli/hellok8s:v1", "nginx")
	m.must(exitDone, nil, "hellolab  running", "0 of 28 steps done; next: container/build-run-push (An image of your own)", "next: hellolab lab show container/build-run-push")
	m.must(exitDone, []string{"lab", "check", "container"}, "all 1 are as expected\nnext: hellolab lab show pod/nginx\n")
	m.must(exitDone, nil, "1 of 28 steps done", "next: hellolab lab show pod/nginx")
	m.must(exitDone, []string{"lab", "deployment/create", "--before"}, "hellolab lab check deployment/create")
	m.must(exitUsage, []string{"--", "down"}, "unknown command", "next: hellolab help")
	m.must(exitDone, []string{"--lang", "zh"}, "共 28 步，已完成 1 步；下一步：deployment/create", "下一步：hellolab lab show deployment/create")
	m.engine.Stop("hellolab-control-plane")
	m.engine.Stop("hellolab-registry")
	m.must(exitDone, nil, "hellolab  stopped", "next: hellolab start")
}

// TestCompletion holds what may stand where somebody completes a word. Real shells are in TestLab/words are completed (e2e).
func TestCompletion(t *testing.T) {
	m := newMachine(t)
	m.addLab("hellolab")
	m.addLab("second")
	m.engine.AddImage("redis:7")
	for _, test := range []struct{ typed, want, never string }{
		{"", "up\tstart the lab", completing},
		{"images ", "push\tbring", "up"},
		{"lab ", "pod/nginx\tThe first pod\n", ""},
		{"lab ", "check\t", ""},
		{"lab check pod", "pod/hellok8s\t", "restore"},
		{"lab check pod ", ":4", "pod/"},
		{"lab check --watch pod", "pod\tPod", ""},
		{"images build v1 ", "liveness", ""},
		{"images push ", "redis:7", ""},
		{"images build --builder ", "docker\n", "redis"},
		{"up --", "--workers\t", ""},
		{"--name ", "hellolab\nsecond\n", "up"},
		{"--name second status -o ", "json\n", "second"},
		{"bundle load ", ":0", "serve"},
		{"--course ", ":16", "up"},
		{"help la", "lab\t", "--name"},
		{"completion ", "bash\nzsh\nfish\npowershell\n", "up"},
		{"nope ", ":4", "up"},
		{"lab show --", "--write\t", "--before"},
		{"status --output=", "--output=json", "--config"},
		{"--lang=z", "--lang=zh", "up"},
		{"ma", ":4", "man"},
		{"--lang zh ", "up\t启动实验环境", "start the lab"},
	} {
		done := m.must(exitDone, append([]string{completing}, strings.Split(test.typed, " ")...), test.want)
		if test.never != "" && strings.Contains("\n"+done.stdout, "\n"+test.never) {
			t.Errorf("%q may become %q:\n%s", test.typed, test.never, done.stdout)
		}
	}
	for _, shell := range completionShells() {
		m.must(exitDone, []string{"completion", shell}, completing)
	}
	m.must(exitUsage, []string{"completion", "tcsh"}, "bash, zsh, fish, powershell")
}

// TestNextInCourse holds that an interrupted installation is to be done again as it was asked for.
func TestNextInCourse(t *testing.T) {
	t.Parallel()
	lessons, err := course.Load(course.Embedded(), "", "guangzhengli")
	if err != nil {
		t.Fatal(err)
	}
	for want, state := range map[string]labs.State{
		"hellolab lab show container/build-run-push": {},
		"hellolab lab pod/nginx":                     {Step: "pod/nginx", Installing: true},
		"hellolab lab pod/nginx --before":            {Step: "pod/nginx", Installing: true, Before: true},
		"hellolab lab show pod/nginx":                {Step: "pod/nginx", Before: true},
	} {
		if next, found := nextInCourse(lessons, state); !found || next.String() != want {
			t.Errorf("after %+v comes %s, not %s", state, next, want)
		}
	}
	var all []string
	for _, step := range lessons.Steps() {
		all = append(all, step.ID())
	}
	if next, found := nextInCourse(lessons, labs.State{Marks: done(all...)}); found {
		t.Errorf("after the last step comes %s", next)
	}
	if got := progressed(lessons, labs.State{Marks: done(append(all, "other/step")...)}).String(); got != "28 of 28 steps done" {
		t.Errorf("it says %q", got)
	}
}
