package course

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Snapshot is a state that a course brings the cluster to: how it is made, and what is there then. The zero Snapshot is
// the empty lab. [Load] computes the snapshots of a course once; nobody changes them afterwards.
type Snapshot struct {
	// Step is the last one on the way; nil where no step is, which is how a chapter begins.
	Step *Step
	// Steps lead to it, in this order.
	Steps []*Step
	// Chapter labels what Given applies.
	Chapter *Chapter
	// Given are the manifests that the chapter takes for granted. They are applied first.
	Given []Manifest
	// Actions follow in this order, the exercise of the last step included.
	Actions []Action
	// Objects as the manifests have them: where two manifests have the same object, as the later one has it.
	Objects []*unstructured.Unstructured
	// Images have to be in the registry before: those that containers run, and those that a step expects there. Each is
	// listed once.
	Images []string
	// Releases are the Helm releases that are installed on the way, as NAMESPACE/NAME.
	Releases []string
	// Needs lists parts of the lab that it cannot be made without: "ingress", "tunnel".
	Needs []string
	// Expect is what can be seen then.
	Expect []Expectation

	// runs are the images that containers run, each once.
	runs []string
}

// Snapshot is the state after the step.
func (s *Step) Snapshot() *Snapshot { return s.after }

// Start is the state in which a user begins the step: that after the previous step, or the beginning of the chapter. Its
// images include those that the step will run.
func (s *Step) Start() *Snapshot { return s.start }

// snapshots computes the states before and after a step, those of earlier steps being known.
func (s *Step) snapshots() {
	path := []*Step{s}
	if base := s.base(); base != nil {
		path = append(slices.Clone(base.after.Steps), s)
	}
	s.after = snapshot(s.chapter, path)
	start := snapshot(s.chapter, nil)
	if before := s.before(); before != nil && before.after != nil { // a chapter that is refused has none
		*start = *before.after
	}
	start.Images = unique(start.Images, s.after.runs)
	s.start = start
}

// base is the step that the snapshot of s builds on, or nil.
func (s *Step) base() *Step {
	if s.After != "" {
		return s.chapter.step(s.After) // no step is named nothing
	}
	return s.previous
}

// before is the step whose snapshot a user comes with, or nil.
func (s *Step) before() *Step {
	if s.previous != nil {
		return s.previous
	}
	return s.chapter.before
}

// snapshot is the state of a chapter after steps.
func snapshot(chapter *Chapter, steps []*Step) *Snapshot {
	s := &Snapshot{Chapter: chapter, Steps: steps, Given: chapter.given}
	manifests := slices.Clone(chapter.given)
	var expected []string
	for _, step := range steps {
		manifests = append(manifests, step.Manifests()...)
		s.Actions = append(s.Actions, step.Do...)
		s.Releases = append(s.Releases, step.releases()...)
		expected = append(expected, step.images()...)
	}
	s.Objects, s.runs = objects(manifests), running(manifests)
	s.Images = unique(s.runs, expected)
	if len(steps) > 0 {
		s.Step = steps[len(steps)-1]
		s.Actions = append(s.Actions, s.Step.Exercise...)
		s.Needs, s.Expect = s.Step.Needs, s.Step.Expect
	}
	return s
}

// objects lists each object of manifests once.
func objects(manifests []Manifest) (all []*unstructured.Unstructured) {
	for _, manifest := range manifests {
		for _, object := range manifest.Objects {
			at := slices.IndexFunc(all, func(o *unstructured.Unstructured) bool { return same(o, object) })
			if at < 0 {
				all = append(all, object)
			} else {
				all[at] = object
			}
		}
	}
	return all
}

func same(a, b *unstructured.Unstructured) bool {
	return a.GroupVersionKind().GroupKind() == b.GroupVersionKind().GroupKind() &&
		a.GetNamespace() == b.GetNamespace() && a.GetName() == b.GetName()
}

// running lists the images of all containers in manifests, those that a later manifest replaces included.
func running(manifests []Manifest) (all []string) {
	for _, manifest := range manifests {
		for _, object := range manifest.Objects {
			all = append(all, ImagesIn(object.Object)...)
		}
	}
	return unique(all)
}

// unique merges lists into a sorted one without repetition.
func unique(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// ImagesIn finds the images of containers anywhere in an object.
func ImagesIn(value any) (images []string) {
	switch value := value.(type) {
	case map[string]any:
		for key, field := range value {
			containers, ok := field.([]any)
			if !ok || key != "containers" && key != "initContainers" {
				images = append(images, ImagesIn(field)...)
				continue
			}
			for _, container := range containers {
				if container, ok := container.(map[string]any); ok {
					if image, ok := container["image"].(string); ok {
						images = append(images, image)
					}
				}
			}
		}
	case []any:
		for _, element := range value {
			images = append(images, ImagesIn(element)...)
		}
	}
	return images
}

// FileOf returns the name of the manifest that has an object of that kind and name, the newest on the way to the
// snapshot, or "". The templates of a chart are not files to apply.
func (s *Snapshot) FileOf(kind, namespace, name string) string {
	for _, step := range slices.Backward(s.Steps) {
		for _, manifest := range step.Manifests() {
			for _, object := range manifest.Objects {
				if manifest.Release == "" && object.GetKind() == kind && object.GetName() == name && object.GetNamespace() == namespace {
					return manifest.Name
				}
			}
		}
	}
	return ""
}
