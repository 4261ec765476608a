package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/rest"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// errNotYet is the end of `lab check` where the cluster is not yet as the step leaves it: exit status 3.
type errNotYet struct{}

func (errNotYet) Error() string { return "not there yet" }

// course reads the course that --course names, or the built-in one.
func (p *program) course(c *cli.Context, account string) (*course.Course, error) {
	folder := c.String("course")
	if folder == "" {
		return course.Load(course.Embedded(), "", account)
	}
	return course.Load(os.DirFS(folder), folder, account)
}

// place is where the course's guides lead the reader of a lab.
func place(s session) course.Place {
	settings, at := s.lab.Settings().Bootstrap, s.lab.Addresses()
	return course.Place{
		Name: settings.Name, Context: bootstrap.Context(settings.Name), Node: s.lab.Node(),
		Ingress: at.Ingress, NodePort: at.NodePort, Registry: at.Registry, Charts: at.Charts, Account: s.all.Images.Account,
	}
}

// labs gives the course on the lab's cluster, which has to run.
func (p *program) labs(c *cli.Context, s session, lessons *course.Course) (*labs.Labs, error) {
	config, err := s.lab.API(c.Context)
	if err != nil {
		return nil, err
	}
	api, err := kube.New(config)
	if err != nil {
		return nil, err
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		folder = os.TempDir()
	}
	return &labs.Labs{
		Course: lessons, Cluster: api, Story: p.story, Timeout: s.all.Labs.Timeout,
		Ingress: s.lab.Settings().Bootstrap.Ingress.Enabled,
		Saved:   filepath.Join(folder, "hellolab", "saved", s.lab.Settings().Bootstrap.Name),
		Lab:     supplies{p, c, s, config, api},
		Checker: &check.Checker{Cluster: api, Place: place(s), Course: lessons, Registry: supplies{p, c, s, config, api}},
	}, nil
}

// supplies is what a course needs of a lab.
type supplies struct {
	p      *program
	c      *cli.Context
	s      session
	config *rest.Config
	api    *kube.Cluster
}

func (l supplies) FetchImages(ctx context.Context, images []string) error {
	return l.p.fetch(ctx, l.c, l.s, images)
}

func (l supplies) Releases(namespace string) (*helm.Client, error) {
	return l.s.lab.Releases(namespace)
}

func (l supplies) PublishedCharts(ctx context.Context, chart helm.Package) ([][]byte, error) {
	return published(ctx, l.s, chart)
}

func (l supplies) PublishChart(ctx context.Context, chart helm.Package) error {
	return publish(ctx, l.s, chart)
}

func (l supplies) Tunnel(ctx context.Context) error {
	_, err := l.p.runTunnel(ctx, l.s, l.config, l.api)
	return err
}

func (l supplies) HasImage(ctx context.Context, image string) (bool, error) {
	manifest, _, err := l.s.lab.Registry().Find(ctx, strings.TrimPrefix(image, l.s.lab.Registry().Address()+"/"))
	return manifest != nil, err
}

func (l supplies) ChartVersions(ctx context.Context, name string) ([]string, error) {
	return l.s.lab.Registry().Tags(ctx, chartsFolder+"/"+name)
}

// fetch brings images into the lab's registry, where they are missing: the course's own are built, others copied.
func (p *program) fetch(ctx context.Context, c *cli.Context, s session, wanted []string) error {
	if err := s.lab.StartRegistry(ctx); err != nil {
		return err
	}
	var tags []images.Tag
	var missing error
	for _, image := range wanted {
		own, isOwn := strings.CutPrefix(image, s.all.Images.Account+"/hellok8s:")
		at := slices.IndexFunc(images.Tags(), func(tag images.Tag) bool { return tag.Name == own })
		switch {
		case isOwn && at >= 0:
			tags = append(tags, images.Tags()[at])
		case strings.HasPrefix(image, s.lab.Registry().Address()+"/"): // the reader's own: there, or nowhere
		default:
			missing = errors.Join(missing, s.lab.Registry().Copy(ctx, image)) // the others are of use without it
		}
	}
	if len(tags) == 0 {
		return missing
	}
	_, _, err := p.builder(c, s).Build(ctx, tags)
	return errors.Join(missing, err)
}

// chartsFolder is where charts lie in the registry.
const chartsFolder = "charts"

// published gives what the lab's registry and its chart repository have as the chart's version: others' packages of it, too.
func published(ctx context.Context, s session, chart helm.Package) (all [][]byte, err error) {
	versions, err := s.lab.Registry().Tags(ctx, chartsFolder+"/"+chart.Chart())
	if err != nil {
		return nil, err
	}
	if slices.Contains(versions, chart.Tag()) {
		content, err := helm.Pull(ctx, s.lab.Registry().Address()+"/"+chartsFolder, chart)
		if err != nil {
			return nil, messages.Errorf("%s cannot be read from the image registry", chart.File).Because(err).WithHint("hellolab up")
		}
		all = append(all, content)
	}
	if s.lab.Settings().Bootstrap.Ingress.Enabled {
		content, err := helm.Download(ctx, s.lab.Addresses().Charts, chart)
		if err != nil {
			return nil, messages.Errorf("%s cannot be read from the chart repository", chart.File).Because(err).WithHint("hellolab up")
		}
		if content != nil {
			all = append(all, content)
		}
	}
	return all, nil
}

// publish puts a chart into the lab's registry, and into its chart repository, where there is one.
func publish(ctx context.Context, s session, chart helm.Package) error {
	if err := helm.Push(ctx, s.lab.Registry().Address()+"/"+chartsFolder, chart); err != nil {
		return messages.Errorf("%s cannot be written into the image registry", chart.File).Because(err).WithHint("hellolab up")
	}
	if !s.lab.Settings().Bootstrap.Ingress.Enabled {
		return nil
	}
	err := helm.Upload(ctx, s.lab.Addresses().Charts, chart)
	if err == nil {
		return nil
	}
	said := messages.Errorf("%s cannot be put into the chart repository", chart.File).Because(err)
	if errors.As(err, new(helm.BadIndex)) {
		return said.WithHint("curl -X DELETE %s/index.yaml brings back the first index; then run the same command again", s.lab.Addresses().Charts)
	}
	return said.WithHint("hellolab up")
}

// onCourse is the action that does one thing with the course on the lab's cluster. Where it changes something, no other
// hellolab may meanwhile.
func (p *program) onCourse(changes bool, do func(*cli.Context, *labs.Labs) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		lessons, err := p.lessons(c) // before the lab is looked for
		if err != nil {
			return err
		}
		s, err := p.begin(c)
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
		l, err := p.labs(c, s, lessons)
		if err != nil {
			return err
		}
		return do(c, l)
	}
}

// lessons reads the course, and refuses a step that it does not have.
func (p *program) lessons(c *cli.Context) (*course.Course, error) {
	all, _, err := p.settings(c)
	if err != nil {
		return nil, err
	}
	lessons, err := p.course(c, all.Images.Account)
	if err != nil {
		return nil, err
	}
	if name := c.Args().First(); name != "" && takesStep(c.Command) {
		_, err = lessons.Find(name)
	}
	return lessons, err
}

// takesStep reports whether a command's argument is a step of the course.
func takesStep(command *cli.Command) bool { return strings.Contains(command.ArgsUsage, "STEP") }

// labInstall brings the cluster to a step's snapshot, and tells what is to be seen there.
func (p *program) labInstall(c *cli.Context, l *labs.Labs) error {
	step, err := l.Course.Find(c.Args().First())
	if err != nil {
		return err
	}
	before := c.Bool("before")
	rows, err := l.Install(c.Context, step, before)
	if err != nil {
		return err
	}
	text := p.rowsText(rows)
	if text != "" {
		text += "\n"
	}
	text += p.guideText(l.Checker.Place, step)
	if before {
		text += "\n" + wrap(p.printer.Text(messages.T("%s shows the files, %s what is still missing",
			messages.Hellolab("lab", "show", step.ID()), messages.Hellolab("lab", "check", step.ID()))), "", columns)
	}
	_, err = fmt.Fprint(p.stdout, text)
	return err
}

// labCheck compares the cluster with what a step leaves.
func (p *program) labCheck(c *cli.Context, l *labs.Labs) error {
	step, err := p.stepToCheck(c, l)
	if err != nil {
		return err
	}
	if c.Bool("watch") {
		return p.labWatch(c, l, step)
	}
	rows, err := l.Check(c.Context, step)
	if err != nil {
		return err
	}
	if err := p.print(c, p.checkResult(step, rows), func() string { return p.checkText(step, rows) }); err != nil {
		return err
	}
	if !check.Met(rows) {
		return errNotYet{}
	}
	return nil
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
	var at *course.Step
	var shown []string
	encoder := json.NewEncoder(p.stdout)
	err := l.Follow(c.Context, step, func(step *course.Step, rows []check.Row) error {
		changed := p.changed(at == step, shown, rows)
		first := at != step
		at, shown = step, p.marks(rows)
		switch {
		case len(changed) == 0:
			return nil
		case c.String("output") == "json":
			return encoder.Encode(p.checkResult(step, rows))
		case first:
			_, err := fmt.Fprint(p.stdout, p.checkText(step, rows))
			return err
		}
		_, err := fmt.Fprint(p.stdout, p.rowsText(changed)+p.summary(rows))
		return err
	})
	if c.Context.Err() != nil { // Ctrl-C is how a reader stops looking
		return errNotYet{}
	}
	return err
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

// labList shows the chapters and steps, and how far the reader is. It works without a lab, too.
func (p *program) labList(c *cli.Context) error {
	lessons, err := p.lessons(c)
	if err != nil {
		return err
	}
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	var state labs.State
	if status, err := s.lab.Status(c.Context); err != nil {
		return err
	} else if status.State == bootstrap.Running {
		l, err := p.labs(c, s, lessons)
		if err != nil {
			return err
		}
		if state, err = l.State(c.Context); err != nil {
			return err
		}
	}
	list := p.list(lessons, state)
	return p.print(c, list, func() string { return p.listText(list) })
}

// labShow shows a step's guide and files, or those of all steps of a chapter. It works without a lab, too.
func (p *program) labShow(c *cli.Context) error {
	lessons, err := p.lessons(c)
	if err != nil {
		return err
	}
	s, err := p.begin(c)
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
	var parts []string
	for _, step := range steps {
		parts = append(parts, p.stepText(place(s), step))
	}
	_, err = fmt.Fprint(p.stdout, strings.Join(parts, "\n"))
	return err
}

func (p *program) labSave(c *cli.Context, l *labs.Labs) error {
	file := c.Args().First()
	if err := l.Save(c.Context, file, c.Bool("force")); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.stdout, file)
	return err
}

func (p *program) labRestore(c *cli.Context, l *labs.Labs) error {
	return l.Restore(c.Context, c.Args().First())
}

func (p *program) labReset(c *cli.Context, l *labs.Labs) error { return l.Reset(c.Context) }
