package main

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/labs/guide"
	"github.com/hellolab/hellolab/messages"
)

// beginCourse finds the lab, and reads the course that it has. Where the lab cannot be looked for, it says first what is
// wrong with the arguments.
func (p *program) beginCourse(c *cli.Context) (session, *course.Course, error) {
	config, err := p.configure(c)
	if err != nil {
		return session{}, nil, err
	}
	read := readAhead(config)
	s, notFound := p.open(c, config)
	lessons, err := read(s.config)
	if name := c.Args().First(); err == nil && name != "" && takesStep(c.Command) {
		_, err = lessons.Find(name)
	}
	if err != nil {
		return s, nil, err
	}
	return s, lessons, notFound
}

// takesStep reports whether a command's argument is a step of the course.
func takesStep(command *cli.Command) bool { return strings.Contains(command.ArgsUsage, "STEP") }

// onCourse is the action that does one thing with the course on the lab's cluster. Where it changes something, no other
// hellolab may meanwhile.
func (p *program) onCourse(changes bool, do func(*cli.Context, *labs.Labs) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, lessons, err := p.beginCourse(c)
		if err != nil {
			return err
		}
		if changes {
			unlock, err := s.lab.Lock(c.Context)
			if err != nil {
				return err
			}
			defer unlock()
		}
		l, err := p.labs(c.Context, s, lessons, changes)
		if err != nil {
			return err
		}
		l.Trust.Given = c.Bool("trust")
		return do(c, l)
	}
}

// labs is the course on the lab's cluster, which has to run. What changes something outlasts an API server that is away for a while.
func (p *program) labs(ctx context.Context, s session, lessons *course.Course, changes bool) (*labs.Labs, error) {
	cluster, err := s.lab.API(ctx)
	if err == nil && changes {
		cluster, err = cluster.Patient(ctx, s.config.Labs.Timeout, p.story.Say)
	}
	if err != nil {
		return nil, err
	}
	provided := p.supply(s, cluster)
	l := &labs.Labs{
		Course: lessons, Cluster: cluster, Story: p.story, Lab: provided, Timeout: s.config.Labs.Timeout,
		Ingress: s.config.Bootstrap.Ingress.Enabled, Saved: savedFolder(s.config.Bootstrap.Name),
		Checker: &check.Checker{Cluster: cluster, Place: p.place(s), Course: lessons, Registry: provided, Engine: engineImages{s.docker},
			Namespace: cmp.Or(kube.Kubeconfig{Context: bootstrap.Context(s.config.Bootstrap.Name)}.Namespace(), metav1.NamespaceDefault)},
		Trust: labs.Trust{Foreign: s.config.Labs.Course != ""},
	}
	provided.OpenReleases = func(namespace string) (*helm.Client, error) {
		releases, err := helm.New(cluster, namespace, p.log)
		if err == nil {
			releases.Vet(l.VetObject)
		}
		return releases, err
	}
	return l, nil
}

// savedFolder is where objects of the user's are kept that had to go.
func savedFolder(lab string) string {
	folder, err := os.UserConfigDir()
	if err != nil {
		folder = os.TempDir()
	}
	return filepath.Join(folder, "hellolab", "saved", lab)
}

// place is where the course's guides lead the reader of a lab.
func (p *program) place(s session) course.Place {
	at := s.lab.Addresses()
	return course.Place{
		Hellolab: p.printer.Command(messages.Hellolab()), Name: s.config.Bootstrap.Name, Context: bootstrap.Context(s.config.Bootstrap.Name), Node: s.lab.Node(),
		Ingress: at.Ingress, NodePort: at.NodePort, Registry: at.Registry, Charts: at.Charts,
		Account: s.config.Images.Account,
	}
}

// installed is what `lab CHAPTER -o json` prints.
type installed struct {
	checkResult
	Guide string `json:"guide"`
}

// labInstall brings the cluster to a step's snapshot, and shows what there is to see.
func (p *program) labInstall(c *cli.Context, l *labs.Labs) error {
	step, err := l.Course.Find(c.Args().First())
	if err != nil {
		return err
	}
	before := c.Bool("before")
	snapshot := step.Snapshot()
	if before {
		snapshot = step.Start()
	}
	if err := l.Vet(step, snapshot); err != nil {
		return err
	}
	l.DropData = c.Bool("force")
	rows, err := l.Install(c.Context, step, before)
	if err != nil {
		return err
	}
	markdown := p.printer.Text(l.Checker.Place.Guide(step))
	p.tellContext()
	return p.printLines(c, installed{p.checkResult(step, rows), markdown}, func() []guide.Line {
		text := p.rowsText(rows, false)
		if text != "" {
			text += "\n"
		}
		if !before && len(step.Manifests()) > 0 {
			text += p.wrapped(messages.T("what follows is done already; %s shows its files", messages.Hellolab("lab", "show", step.ID())), "") + "\n"
		}
		next := ""
		if before {
			next = p.wrapped(messages.T("%s shows the files, %s what is still missing",
				messages.Hellolab("lab", "show", step.ID()), messages.Hellolab("lab", "check", step.ID())), "")
		} else {
			next = p.afterStep(c.Context, l, step)
		}
		return slices.Concat(guide.Verbatim(text), p.guideText(markdown), guide.Verbatim("\n"+next))
	})
}

// tellContext says so where the word kubectl, which guides have, leads to another cluster.
func (p *program) tellContext() {
	if lab := p.here(); lab.Context != "" {
		p.story.Say(messages.T("kubectl's current context is not this lab's: type %s where a guide has kubectl, or change that: %s",
			messages.Hellolab("kubectl"), messages.Shell("kubectl", "config", "use-context", lab.Context)))
	}
}

// labCheck compares the cluster with what a step leaves.
func (p *program) labCheck(c *cli.Context, l *labs.Labs) error {
	step, err := p.stepToCheck(c, l)
	if err != nil {
		return err
	}
	state, err := l.State(c.Context)
	if err != nil {
		return err
	}
	if practice := state.Practice; practice.Of(step) && !practice.Since.IsZero() {
		return p.checkPractice(c, l, step, practice)
	}
	if c.Bool("watch") {
		return p.labWatch(c, l, step)
	}
	rows, err := l.Judge(c.Context, step)
	if err != nil {
		return err
	}
	err = p.print(c, p.checkResult(step, rows), func() string {
		text := p.checkText(step, rows, c.Bool("explain"))
		if check.Met(rows) {
			text += p.afterStep(c.Context, l, step)
		}
		return text
	})
	if err != nil {
		return err
	}
	if !check.Met(rows) {
		return errNotYet{}
	}
	return nil
}

// toldHint is what `lab hint -o json` prints.
type toldHint struct {
	Step    string `json:"step"`
	Subject string `json:"subject"`
	Number  int    `json:"number"`
	Of      int    `json:"of"`
	Hint    string `json:"hint"`
}

// labHint gives the next hint about what is not met yet.
func (p *program) labHint(c *cli.Context, l *labs.Labs) error {
	step, err := p.stepToCheck(c, l)
	if err != nil {
		return err
	}
	hint, err := l.Hint(c.Context, step)
	if err != nil {
		return err
	}
	if hint == nil {
		return p.print(c, toldHint{Step: step.ID()}, func() string {
			return p.heading(step) + p.say("all is as expected: there is nothing to give a hint about") + "\n" + p.afterStep(c.Context, l, step)
		})
	}
	row := hint.Row.Tell(p.printer)
	told := toldHint{step.ID(), row.Subject, hint.Number, hint.Of, p.printer.Text(hint.Text)}
	return p.print(c, told, func() string { return p.hintText(step, hint) })
}

// hintText is a hint below the row that it is about.
func (p *program) hintText(step *course.Step, hint *labs.Hint) string {
	label := map[string]string{course.HintsLook: p.say("look"), course.HintsCause: p.say("why"), course.HintsCommand: p.say("do")}[hint.Stage]
	text := p.heading(step) + "✗ " + p.printer.Text(hint.Row.Subject) + "\n" + p.fields([]field{{p.say("have"), hint.Row.Have, false},
		{p.say("expected"), hint.Row.Expected, false}, {label, hint.Text, hint.Stage != course.HintsCause}})
	number := messages.T("hint %v of %v", hint.Number, hint.Of)
	if hint.Number < hint.Of {
		number = messages.T("%s; the next one: %s", number, messages.Hellolab("lab", "hint", step.ID()))
	}
	return text + p.wrapped(number, "")
}

// stepToCheck is the step that the arguments name, or the installed one. To watch a chapter is to begin with its first
// step.
func (p *program) stepToCheck(c *cli.Context, l *labs.Labs) (*course.Step, error) {
	name := c.Args().First()
	if name == "" {
		return l.Current(c.Context)
	}
	if c.Bool("watch") && !strings.Contains(name, "/") {
		chapter, err := l.Course.Chapter(name)
		if err != nil {
			return nil, err
		}
		return chapter.Steps[0], nil
	}
	return l.Course.Find(name)
}

// labWatch shows the rows that change while the reader works, until the chapter is done.
func (p *program) labWatch(c *cli.Context, l *labs.Labs, step *course.Step) error {
	p.tellContext()
	var at *course.Step
	var shown []string
	err := l.Follow(c.Context, step, func(step *course.Step, rows []check.Row) error {
		changed := p.changed(at == step, shown, rows)
		first := at != step
		at, shown = step, p.marks(rows)
		switch {
		case len(changed) == 0:
			return nil
		case c.String("output") == "json":
			line, err := json.Marshal(p.checkResult(step, rows))
			if err != nil {
				return err
			}
			return p.printJSON(line)
		case first:
			return p.printText(p.checkText(step, rows, c.Bool("explain")))
		}
		return p.printText(p.rowsText(changed, c.Bool("explain")) + p.summary(rows))
	})
	if c.Context.Err() != nil { // Ctrl-C is how a reader stops looking
		return errNotYet{}
	}
	if err != nil || c.String("output") == "json" {
		return err
	}
	return p.printText(p.afterStep(c.Context, l, at))
}

// marks are what has to change of a row for it to be shown again: not an answer that differs each time.
func (p *program) marks(rows []check.Row) []string {
	all := make([]string, len(rows))
	for i, row := range rows {
		if all[i] = "met"; !row.Met {
			all[i] = p.printer.Text(row.Why) + p.printer.Text(row.Next)
		}
	}
	return all
}

// changed are the rows that are not as shown; all of them where none has been shown.
func (p *program) changed(same bool, shown []string, rows []check.Row) (changed []check.Row) {
	for i, mark := range p.marks(rows) {
		if !same || shown[i] != mark {
			changed = append(changed, rows[i])
		}
	}
	return changed
}

// labList shows the chapters and steps, and how far the reader is. Without a lab it shows the course alone; where there is
// one that cannot be asked, it says that it does not know how far.
func (p *program) labList(c *cli.Context) error {
	s, lessons, err := p.beginCourse(c)
	if err != nil {
		return err
	}
	state, err := p.courseState(c.Context, s, lessons)
	if err != nil {
		return err
	}
	list := p.list(lessons, state)
	return p.print(c, list, func() string { return p.listText(list) })
}

// courseState is what the lab remembers of the course: nothing where there is no lab, or where it has been switched off.
func (p *program) courseState(ctx context.Context, s session, lessons *course.Course) (state labs.State, err error) {
	if !s.lab.Exists() {
		return state, nil
	}
	l, err := p.labs(ctx, s, lessons, false)
	if err == nil {
		return l.State(ctx)
	}
	if status, failed := s.lab.Status(ctx); failed != nil || status.State != bootstrap.Stopped && status.State != bootstrap.Paused {
		return state, err
	}
	p.story.Say(messages.T("%s: how far you are is not shown", err))
	return state, nil
}

// labShow shows a step's guide and files, or those of all steps of a chapter. It works without a lab, too.
func (p *program) labShow(c *cli.Context) error {
	s, lessons, err := p.beginCourse(c)
	if err != nil {
		return err
	}
	name := c.Args().First()
	step, err := lessons.Find(name)
	if err != nil {
		return err
	}
	steps := []*course.Step{step}
	if !strings.Contains(name, "/") {
		steps = step.Chapter().Steps
	}
	switch {
	case c.IsSet("write") && len(steps) > 1:
		return messages.Usagef("the steps of %s have files of the same names", name).
			Next(messages.Hellolab("lab", "show", steps[0].ID(), "--write", c.String("write")))
	case c.IsSet("write"):
		return p.writeStep(c, s, lessons, step)
	}
	var shown []shownStep
	for _, step := range steps {
		shown = append(shown, p.shown(p.place(s), step))
	}
	p.tellContext()
	return p.printLines(c, shown, func() []guide.Line {
		var parts []guide.Line
		for i, step := range steps {
			parts = append(parts, append(p.stepText(step, shown[i]), guide.Line{})...)
		}
		if len(steps) == 1 && len(shown[0].Files) > 0 {
			parts = append(parts, guide.Verbatim(p.wrapped(messages.T("to have these files in a folder: %s", messages.Hellolab("lab", "show", steps[0].ID(), "--write", ".")), ""))...)
		}
		return append(parts, guide.Verbatim(p.wrapped(messages.T("do this, then compare: %s, or %s while you work",
			messages.Hellolab("lab", "check", steps[0].ID()), messages.Hellolab("lab", "check", name, "--watch")), ""))...)
	})
}

// labSave writes the state of the course's namespaces into a file, and prints its name; "-" is stdout.
func (p *program) labSave(c *cli.Context, l *labs.Labs) error {
	file := c.Args().First()
	if file == "-" || p.isStdout(file) {
		content, err := l.Saving(c.Context)
		if err != nil {
			return err
		}
		_, err = p.raw.Write(content)
		return err
	}
	if err := l.Save(c.Context, file, c.Bool("force")); err != nil {
		return err
	}
	return p.print(c, map[string]string{"file": file}, func() string { return file + "\n" })
}

// isStdout reports whether a file is where this program writes its results already: /dev/stdout.
func (p *program) isStdout(file string) bool {
	is, err := p.raw.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(file)
	return err == nil && os.SameFile(is, named)
}

// labRestore brings back what a file holds.
func (p *program) labRestore(c *cli.Context, l *labs.Labs) error {
	l.DropData = c.Bool("force")
	return l.Restore(c.Context, c.Args().First())
}

// labReset empties the course's namespaces.
func (p *program) labReset(c *cli.Context, l *labs.Labs) error {
	l.DropData = c.Bool("force")
	return l.Reset(c.Context)
}
