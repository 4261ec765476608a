package course

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/messages"
)

// Action changes the cluster.
type Action struct {
	// Operation is what it does.
	Operation Operation
	// Namespace is where it does so, unless the operation names another one; "default" unless set.
	Namespace string
	// Step is the one that the action is part of.
	Step *Step

	line      int
	manifests []Manifest
}

// Manifests are the files to apply, or those of a chart.
func (a Action) Manifests() []Manifest { return a.manifests }

// Operation is what can be done to a cluster: a pointer to one of the types of this file.
type Operation interface {
	// check refuses what is wrong with it, and reads the files that it names.
	check(at spot, action *Action)
}

// operations are the kinds of actions.
func operations() []kind[Operation] {
	return []kind[Operation]{
		{"apply", func() Operation { return &Apply{} }},
		{"undo", func() Operation { return &Undo{} }},
		{"complete", func() Operation { return &Complete{} }},
		{"replace", func() Operation { return &Replace{} }},
		{"install", func() Operation { return &Install{} }},
		{"upgrade", func() Operation { return &Upgrade{} }},
		{"rollback", func() Operation { return &Rollback{} }},
		{"publish", func() Operation { return &Publish{} }},
		{"push", func() Operation { return &Push{} }},
		{"patch", func() Operation { return &Patch{} }},
		{"delete", func() Operation { return &Delete{} }},
	}
}

// UnmarshalYAML reads the action by the key of its operation.
func (a *Action) UnmarshalYAML(decode func(any) error) (err error) {
	a.Operation, a.line, err = oneOf(decode, operations(), map[string]any{"namespace": &a.Namespace})
	return err
}

func (a *Action) check(at spot) {
	a.Namespace = cmp.Or(a.Namespace, metav1.NamespaceDefault)
	if a.Operation == nil {
		at.notOne(keys(operations()))
		return
	}
	at.notOfTheLab(a.Namespace)
	a.Operation.check(at, a)
}

// notOfTheLab refuses to act in a namespace of the lab's own.
func (s spot) notOfTheLab(namespace string) {
	if Reserved(namespace) {
		s.wrong(messages.T("the namespace %s belongs to the lab itself", namespace))
	}
}

// Apply applies manifests.
type Apply struct {
	// Files are paths below the chapter's folder.
	Files []string
}

// UnmarshalYAML reads the list alone.
func (a *Apply) UnmarshalYAML(decode func(any) error) error { return decode(&a.Files) }

func (a *Apply) check(at spot, action *Action) {
	if len(a.Files) == 0 {
		at.missing("apply")
	}
	action.manifests = at.manifests(action.Step.chapter.Name, a.Files, action.Namespace)
}

// Undo is `kubectl rollout undo deployment/NAME --to-revision=N`.
type Undo struct {
	Deployment string `yaml:"deployment"`
	// Revision to go back to; 0 is the one before.
	Revision int64 `yaml:"revision"`
}

func (u *Undo) check(at spot, _ *Action) {
	if u.Deployment == "" {
		at.missing("deployment")
	}
}

// Complete waits until deployment/NAME has rolled out, job/NAME has come to its end, or pod/NAME is Ready.
type Complete struct {
	Workload string
}

// UnmarshalYAML reads the name alone.
func (c *Complete) UnmarshalYAML(decode func(any) error) error { return decode(&c.Workload) }

func (c *Complete) check(at spot, _ *Action) {
	kind, name, _ := strings.Cut(c.Workload, "/")
	if name == "" || !slices.Contains([]string{"deployment", "job", "pod"}, kind) {
		at.wrong(messages.T("%q is not deployment/NAME, job/NAME or pod/NAME", c.Workload))
	}
}

// Replace deletes a pod of a Deployment, and waits for the one that comes in its place.
type Replace struct {
	Deployment string
}

// UnmarshalYAML reads the name alone.
func (r *Replace) UnmarshalYAML(decode func(any) error) error { return decode(&r.Deployment) }

func (r *Replace) check(at spot, _ *Action) {
	if r.Deployment == "" {
		at.missing("replace")
	}
}

// Push builds an image of the course's own and pushes it, as a reader does.
type Push struct {
	Image string
}

// UnmarshalYAML reads the name alone.
func (p *Push) UnmarshalYAML(decode func(any) error) error { return decode(&p.Image) }

func (p *Push) check(at spot, _ *Action) {
	p.Image = string(at.renamed([]byte(p.Image)))
	if p.Image == "" {
		at.missing("push")
	}
}

// Release is a chart, and what it is installed with.
type Release struct {
	// Name of the release, in Namespace: the action's unless set.
	Name      string `yaml:"release"`
	Namespace string `yaml:"namespace"`
	// Chart is the chart's folder, a path below the course's. Version takes the place of the one in its Chart.yaml.
	Chart   string `yaml:"chart"`
	Version string `yaml:"version"`
	// Edits are files with values that the user writes into the chart's values.yaml; Values those for helm -f.
	Edits  []string `yaml:"edits"`
	Values []string `yaml:"values"`
	// Repository is the chart repository that the user takes the chart from, where it is not a folder of theirs.
	Repository string `yaml:"repository"`

	chart  *helm.Chart
	values map[string]any
}

// Loaded returns the chart, and the values for it.
func (r *Release) Loaded() (*helm.Chart, map[string]any) { return r.chart, r.values }

func (r *Release) check(at spot, action *Action) {
	r.Namespace = cmp.Or(r.Namespace, action.Namespace)
	at.notOfTheLab(r.Namespace)
	if r.Name == "" {
		at.missing("release")
	}
	action.manifests = at.release(r)
}

// Install is `helm install`.
type Install struct {
	Release `yaml:",inline"`
}

// Upgrade is `helm upgrade`, which gives a release its next revision.
type Upgrade struct {
	Release `yaml:",inline"`
}

// Rollback is `helm rollback RELEASE REVISION`.
type Rollback struct {
	Release   string `yaml:"release"`
	Namespace string `yaml:"namespace"`
	Revision  int    `yaml:"revision"`
}

func (r *Rollback) check(at spot, action *Action) {
	r.Namespace = cmp.Or(r.Namespace, action.Namespace)
	at.notOfTheLab(r.Namespace)
	if r.Release == "" {
		at.missing("release")
	}
}

// Publish puts a chart into the lab's chart repositories, under a version of its own.
type Publish struct {
	Chart   string `yaml:"chart"`
	Version string `yaml:"version"`

	chart *helm.Chart
}

// Loaded returns the chart.
func (p *Publish) Loaded() *helm.Chart { return p.chart }

func (p *Publish) check(at spot, _ *Action) {
	if p.chart = at.chart(p.Chart); p.chart != nil {
		p.chart = helm.Version(p.chart, p.Version)
	}
}
