package course

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// Fault is something wrong with the state after a step, which a reader has to find and mend.
type Fault struct {
	Name string `yaml:"name"`
	// Symptom is what a colleague reports, who does not know the cause. Cause is told once the reader has mended it. Both are
	// templates, see [Place].
	Symptom Words `yaml:"symptom"`
	Cause   Words `yaml:"cause"`
	// Plant makes the fault out of the step's snapshot.
	Plant []Action `yaml:"plant"`
	// Cleanup takes away what would outlive the step's objects: each is a Patch or a Delete. What it changes may be gone.
	Cleanup []Action `yaml:"cleanup"`
	// Remedy are the lines to type that mend it, in the folder of the step's files; templates, see [Place].
	Remedy []string `yaml:"remedy"`
	// Fails is the kind of an expectation that is not met because of it: "endpoints"; "" is any.
	Fails string `yaml:"fails"`

	step *Step
}

// Step is the one whose snapshot has the fault.
func (f *Fault) Step() *Step { return f.step }

// ID is CHAPTER/STEP/FAULT.
func (f *Fault) ID() string { return f.step.ID() + "/" + f.Name }

// Images are those of the course's own that the fault makes run, each once: others may be missing on purpose.
func (f *Fault) Images(course *Course) []string {
	var all [][]string
	for _, object := range objectsOf(f.Plant) {
		all = append(all, ImagesIn(object.Object))
	}
	return slices.DeleteFunc(unique(all...), func(image string) bool { return !course.Runs(image) })
}

// Dangers lists those of what planting it, and cleaning up, applies or changes.
func (f *Fault) Dangers() []Danger { return Dangers(objectsOf(slices.Concat(f.Plant, f.Cleanup))) }

// Failing reports whether an expectation of the step is of the kind that the fault is to fail.
func (f *Fault) Failing(number int) bool {
	return f.Fails == "" || f.step.Expect[number].key() == f.Fails
}

// key is the word that the expectation has in its file.
func (e *Expectation) key() string {
	for _, kind := range conditions() {
		if reflect.TypeOf(kind.new()) == reflect.TypeOf(e.Condition) {
			return kind.key
		}
	}
	return ""
}

// Faults are those of a chapter, or of all where that is "", in the course's order.
func (c *Course) Faults(chapter string) (all []*Fault) {
	for _, each := range c.Chapters {
		for _, step := range each.Steps {
			if chapter == "" || chapter == each.Name {
				all = append(all, step.Faults...)
			}
		}
	}
	return all
}

// Fault returns the fault of that ID, or nil.
func (c *Course) Fault(id string) *Fault {
	for _, fault := range c.Faults("") {
		if fault.ID() == id {
			return fault
		}
	}
	return nil
}

// Draw returns faults in the order that a seed gives them: the same on every machine, whatever the order that they come in, with
// the one of the ID last at the end.
func Draw(faults []*Fault, seed int, last string) []*Fault {
	ranks := map[*Fault]string{}
	for _, fault := range faults {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", seed, fault.ID()))
		ranks[fault] = fmt.Sprintf("%t %x", fault.ID() == last, sum)
	}
	drawn := slices.Clone(faults)
	slices.SortFunc(drawn, func(a, b *Fault) int { return strings.Compare(ranks[a], ranks[b]) })
	return drawn
}

// faults checks those of a step.
func (l *loader) faults(file string, lines *yaml.Node, step *Step) {
	l.noGaps(file, child(lines, "faults"))
	if slices.Contains(step.Faults, nil) { // the lines of the others are not known any more
		step.Faults = nil
	}
	for i, fault := range step.Faults {
		fault.step = step
		at := child(lines, "faults", i)
		named := slices.IndexFunc(step.Faults, func(f *Fault) bool { return f.Name == fault.Name })
		if named < i {
			l.refuse(file, line(at, "name"), messages.T("%q is there twice", fault.Name))
		}
		l.fault(file, at, fault)
	}
}

func (l *loader) fault(file string, lines *yaml.Node, fault *Fault) {
	at := spot{l, file, line(lines)}
	if !validName.MatchString(fault.Name) {
		l.refuse(file, line(lines, "name"), messages.T("%q is not a valid name: use lower-case letters, digits and - only", fault.Name))
	}
	at.says("symptom", lines, fault.Symptom)
	at.says("cause", lines, fault.Cause)
	if len(fault.Plant) == 0 {
		at.missing("plant")
	}
	if len(fault.Remedy) == 0 {
		at.missing("remedy")
	}
	for i, command := range fault.Remedy {
		if _, err := (Place{}).fill(command); err != nil {
			l.refuse(file, line(lines, "remedy", i), messages.T("%q is not a valid command: %s", command, err))
		}
	}
	for _, list := range []string{"plant", "cleanup"} {
		l.noGaps(file, child(lines, list))
	}
	l.actions(file, fault.step, fault.Plant, fault.Cleanup)
	l.changesOnly(file, fault.Cleanup)
	l.ownChanges(file, fault)
	if fault.Fails != "" && !slices.ContainsFunc(fault.step.Expect, func(e Expectation) bool { return e.key() == fault.Fails }) {
		l.refuse(file, line(lines, "fails"), messages.T("the step %s expects no %q", fault.step.Name, fault.Fails))
	}
}

// says refuses words that are missing, or that cannot be filled in.
func (s spot) says(key string, lines *yaml.Node, words Words) {
	if words == (Words{}) {
		s.missing(key)
	}
	for _, text := range []string{words.English, words.Chinese} {
		if _, err := (Place{}).fill(text); err != nil {
			s.refuse(s.file, line(lines, key), messages.T("%q is not a valid explanation: %s", text, err))
		}
	}
}
