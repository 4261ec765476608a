// Package course is a course as data: chapters, their steps, the manifests, what is to be seen after each step, and the
// guide. The one that hellolab is made for is embedded; anybody's own, in the same format (docs/courses.md), can be
// read from a folder.
package course

import (
	"embed"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/messages"
)

//go:embed *.yaml */lab.yaml */*/*.yaml helm/hello-helm
var embedded embed.FS

// Embedded are the files of the course that hellolab is made for.
func Embedded() fs.FS { return embedded }

// Words are a text in the course's two languages. One of them may be missing, and the other stands for it then.
type Words struct {
	English string `yaml:"en"`
	Chinese string `yaml:"zh"`
}

// Text is the text in the language of whoever reads it.
func (w Words) Text() messages.Text { return messages.Both(w.English, w.Chinese) }

// How far a course's hints go, each further than the one before.
const (
	// HintsLook tells what to look at.
	HintsLook = "look"
	// HintsCause tells why something is not as expected, too.
	HintsCause = "cause"
	// HintsCommand tells the command that mends it, too.
	HintsCommand = "command"
)

// Course is a list of chapters.
type Course struct {
	Title Words `yaml:"title"`
	// Account whose images are the course's own, as its manifests name them: the ACCOUNT in ACCOUNT/NAME:TAG.
	Account string `yaml:"account"`
	// Namespaces that the course works in, and that are emptied for it.
	Namespaces []string `yaml:"namespaces"`
	// Hints is how far hints go: HintsLook, HintsCause or HintsCommand, which is the default.
	Hints string `yaml:"hints"`
	// Order of the chapters: the names of their folders.
	Order    []string   `yaml:"chapters"`
	Chapters []*Chapter `yaml:"-"`
}

// Chapter is a folder of the course, with its lab.yaml.
type Chapter struct {
	Name  string `yaml:"-"`
	Title Words  `yaml:"title"`
	// Given are manifests that the chapter's first step takes for granted, as paths below the course's folder: they may be
	// an earlier chapter's.
	Given []string `yaml:"given"`
	// Before names the step that a user has done before the chapter, CHAPTER/STEP, if there is one.
	Before string  `yaml:"before"`
	Steps  []*Step `yaml:"steps"`

	given  []Manifest
	before *Step
}

// Step is what a user does in one go. The state after it is its snapshot.
type Step struct {
	Name  string `yaml:"name"`
	Title Words  `yaml:"title"`
	// Guide describes what to do and to look at; a template, see [Place].
	Guide Words `yaml:"guide"`
	// After names the step of the chapter whose snapshot this one builds on, where that is not the step before; "nothing"
	// is an empty one.
	After string `yaml:"after"`
	// Sources are the tags of the images that the step introduces; see [Course.AddSources].
	Sources []string `yaml:"sources"`
	// Needs lists parts of the lab that may be missing: "ingress", "tunnel".
	Needs []string `yaml:"needs"`
	// Do makes the snapshot out of the one before. Empty: apply all manifests in the folder of the step's name.
	Do []Action `yaml:"do"`
	// Exercise is done after Do where the step is the goal, and leaves nothing that a later step needs.
	Exercise []Action `yaml:"exercise"`
	// Expect is what there is to see after the step.
	Expect []Expectation `yaml:"expect"`
	// Faults can be planted in the step's snapshot, for practice.
	Faults []*Fault `yaml:"faults"`

	chapter      *Chapter
	previous     *Step
	start, after *Snapshot
	sources      []File
	// file and line are where the chapter names the sources.
	file string
	line int
}

// File is one that a reader of a step needs.
type File struct {
	// Name below the folder that the reader works in, with slashes: "deployment.yaml", "hellok8s-v2/main.go".
	Name    string
	Content string
}

// Manifest is one file of the course's.
type Manifest struct {
	// Name as the course has it: "deployment.yaml". It is "" for a chart from a repository, of which the user has no files.
	Name    string
	Content string
	Objects []*unstructured.Unstructured
	// Release that the objects come with, where they come out of a chart.
	Release string
}

// Chapter is the one that the step is part of.
func (s *Step) Chapter() *Chapter { return s.chapter }

// ID is CHAPTER/STEP.
func (s *Step) ID() string { return s.chapter.Name + "/" + s.Name }

// Previous is the step before in the chapter, or nil.
func (s *Step) Previous() *Step { return s.previous }

// Next is the step that follows in the chapter, or nil.
func (s *Step) Next() *Step {
	at := slices.Index(s.chapter.Steps, s)
	if at+1 == len(s.chapter.Steps) {
		return nil
	}
	return s.chapter.Steps[at+1]
}

// GivenManifests are those that the chapter takes for granted.
func (c *Chapter) GivenManifests() []Manifest { return c.given }

// Manifests are the files that s adds or changes.
func (s *Step) Manifests() []Manifest {
	var all []Manifest
	for _, action := range s.Do {
		all = append(all, action.manifests...)
	}
	return all
}

// Files are what a reader of the step needs as files, each name once: its manifests, with the first step of a chapter those that the
// chapter takes for granted, and the sources of the images that it introduces.
func (s *Step) Files() (files []File) {
	manifests := s.Manifests()
	if s.previous == nil {
		manifests = slices.Concat(s.chapter.given, manifests)
	}
	for _, manifest := range manifests {
		if manifest.Name != "" && !slices.ContainsFunc(files, func(file File) bool { return file.Name == manifest.Name }) {
			files = append(files, File{manifest.Name, manifest.Content})
		}
	}
	return append(files, s.sources...)
}

// AddSources puts the sources of the images that steps introduce among their files; of returns those of a tag, and an error for one that
// there is none of.
func (c *Course) AddSources(of func(tag string) ([]File, error)) error {
	var wrong []error
	for _, step := range c.Steps() {
		step.sources = nil
		for _, tag := range step.Sources {
			files, err := of(tag)
			if err != nil {
				wrong = append(wrong, messages.Usagef("%s, line %v: %s", step.file, step.line, err).WithHint("%s", help()))
			}
			step.sources = append(step.sources, files...)
		}
	}
	return errors.Join(wrong...)
}

// images are those that the step expects in the registry.
func (s *Step) images() (all []string) {
	for _, expectation := range s.Expect {
		switch condition := expectation.Condition.(type) {
		case *Image:
			all = append(all, condition.Name)
		case *Pushed:
			all = append(all, condition.Name)
		}
	}
	return all
}

// releases are those that the step installs, as NAMESPACE/NAME.
func (s *Step) releases() (all []string) {
	for _, action := range s.Do {
		if install, ok := action.Operation.(*Install); ok {
			all = append(all, install.Namespace+"/"+install.Name)
		}
	}
	return all
}

func (c *Chapter) step(name string) *Step {
	for _, step := range c.Steps {
		if step.Name == name {
			return step
		}
	}
	return nil
}

// Find returns the step of that name: CHAPTER/STEP, or CHAPTER for its last step.
func (c *Course) Find(name string) (*Step, error) {
	chapterName, stepName, hasStep := strings.Cut(name, "/")
	chapter, err := c.Chapter(chapterName)
	if err != nil {
		return nil, err
	}
	if !hasStep && len(chapter.Steps) > 0 {
		return chapter.Steps[len(chapter.Steps)-1], nil
	}
	if step := chapter.step(stepName); step != nil {
		return step, nil
	}
	var names []string
	for _, step := range chapter.Steps {
		names = append(names, step.Name)
	}
	unknown := messages.Usagef("the chapter %s has no step %q", chapter.Name, stepName)
	if meant := messages.Meant(stepName, names); meant != "" {
		return nil, unknown.WithHint("did you mean: %s", chapter.Name+"/"+meant)
	}
	return nil, unknown.WithHint("its steps are: %s", names)
}

// Steps are all of the course's, in its order.
func (c *Course) Steps() (all []*Step) {
	for _, chapter := range c.Chapters {
		all = append(all, chapter.Steps...)
	}
	return all
}

// Runs reports whether one of the course's containers runs an image.
func (c *Course) Runs(image string) bool { return slices.Contains(c.Images(), image) }

// Images are those that the course's containers run, each once.
func (c *Course) Images() []string {
	var all [][]string
	for _, chapter := range c.Chapters {
		for _, step := range chapter.Steps {
			all = append(all, step.after.runs)
		}
	}
	return unique(all...)
}

// Teaches returns the first step that adds an object of a kind, or nil.
func (c *Course) Teaches(kind string) *Step {
	for _, chapter := range c.Chapters {
		for _, step := range chapter.Steps {
			for _, manifest := range step.Manifests() {
				if slices.ContainsFunc(manifest.Objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind }) {
					return step
				}
			}
		}
	}
	return nil
}

// Charts are those that users take from the chart repository, each once.
func (c *Course) Charts() (all []*helm.Chart) {
	for _, chapter := range c.Chapters {
		for _, step := range chapter.Steps {
			for _, action := range step.Do {
				install, ok := action.Operation.(*Install)
				if !ok || install.Repository == "" {
					continue
				}
				if !slices.ContainsFunc(all, func(known *helm.Chart) bool { return known.Name() == install.chart.Name() }) {
					all = append(all, install.chart)
				}
			}
		}
	}
	return all
}

// Chapter returns the chapter of that name.
func (c *Course) Chapter(name string) (*Chapter, error) {
	for _, chapter := range c.Chapters {
		if chapter.Name == name {
			return chapter, nil
		}
	}
	return nil, messages.Usagef("there is no chapter %q", name).
		WithHint("the chapters are: %s; %s shows them with their steps", c.Order, messages.Hellolab("lab", "list")).OrMeant(name, c.Order)
}
