package course

import (
	"cmp"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/hellolab/hellolab/messages"
)

// Target are the objects that something is done to: one by its name, or those with labels.
type Target struct {
	Kind string `yaml:"kind" json:"kind"`
	// Namespace is the action's unless set.
	Namespace string `yaml:"namespace" json:"namespace,omitempty"`
	Name      string `yaml:"name" json:"name,omitempty"`
	Labels    string `yaml:"labels" json:"labels,omitempty"`
}

// Patch changes fields of objects, as `kubectl patch` does.
type Patch struct {
	Target `yaml:",inline"`
	// With is what changes: a field that is null goes, and lists of a kind's own are merged by the names of their elements.
	With yaml.Node `yaml:"with"`

	content map[string]any
}

// Content is what changes, as JSON.
func (p *Patch) Content() ([]byte, error) { return json.Marshal(p.content) }

func (p *Patch) check(at spot, action *Action) {
	p.Target.check(at, action)
	if p.With.Kind != yaml.MappingNode {
		at.missing("with")
		return
	}
	object, err := DecodeObject(&p.With)
	if err != nil {
		at.refuse(at.file, p.With.Line, messages.T("it is not a valid object: %s", err))
		return
	}
	p.content, _ = at.ownImages(object.Object).(map[string]any)
}

// reaches is what the patch makes of an object, as far as the patch tells.
func (p *Patch) reaches() *unstructured.Unstructured {
	object := p.stub()
	for _, key := range slices.Sorted(maps.Keys(p.content)) {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata"}, key) { // which say what object it is
			object.Object[key] = p.content[key]
		}
	}
	return object
}

// Delete removes objects, and waits until they are gone, but for those that a finalizer keeps.
type Delete struct {
	Target `yaml:",inline"`
}

func (d *Delete) check(at spot, action *Action) { d.Target.check(at, action) }

func (d *Delete) reaches() *unstructured.Unstructured { return d.stub() }

func (t *Target) check(at spot, action *Action) {
	t.Namespace = cmp.Or(t.Namespace, action.Namespace)
	at.notOfTheLab(t.Namespace)
	if t.Kind == "" {
		at.missing("kind")
	}
	if (t.Name == "") == (t.Labels == "") {
		at.notOne([]string{"name", "labels"})
	}
	at.labels(t.Labels)
}

// stub is an object of that name with nothing in it.
func (t *Target) stub() *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": versionOf(t.Kind), "kind": t.Kind}}
	object.SetName(cmp.Or(t.Name, t.Labels))
	if !clusterWide(object) {
		object.SetNamespace(t.Namespace)
	}
	return object
}

// versionOf is a version of the API that has a kind of the whole cluster, or "v1".
func versionOf(kind string) string {
	for group, kinds := range clusterKinds() {
		if group != "" && slices.Contains(kinds, kind) {
			return group + "/v1"
		}
	}
	return "v1"
}

// ownImages returns a value with the course's own images under the account of this lab.
func (l *loader) ownImages(value any) any {
	switch value := value.(type) {
	case string:
		return string(l.renamed([]byte(value)))
	case []any:
		for i := range value {
			value[i] = l.ownImages(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = l.ownImages(value[key])
		}
	}
	return value
}

// change is an operation that changes objects which are there.
type change interface {
	// reaches is what becomes of an object, as far as the operation tells.
	reaches() *unstructured.Unstructured
	// target are the objects.
	target() *Target
}

func (p *Patch) target() *Target  { return &p.Target }
func (d *Delete) target() *Target { return &d.Target }

// noChanges refuses to change what is there, which only a fault does: what a step makes is what its manifests say.
func (l *loader) noChanges(file string, lists ...[]Action) {
	for _, action := range slices.Concat(lists...) {
		if _, is := action.Operation.(change); is {
			l.refuse(file, action.line, messages.T("patch and delete are for faults only"))
		}
	}
}

// changesOnly refuses what a cleanup cannot do: it has to work without the course's files.
func (l *loader) changesOnly(file string, cleanup []Action) {
	for _, action := range cleanup {
		if _, is := action.Operation.(change); !is && action.Operation != nil {
			l.refuse(file, action.line, messages.T("a cleanup may only patch and delete"))
		}
	}
}

// ownChanges refuses to change objects by name that are not the step's, and so may be the reader's.
func (l *loader) ownChanges(file string, fault *Fault) {
	there := slices.Clone(fault.step.after.Objects)
	for _, action := range fault.Plant {
		for _, manifest := range action.manifests {
			there = append(there, manifest.Objects...)
		}
	}
	for _, action := range slices.Concat(fault.Plant, fault.Cleanup) {
		change, is := action.Operation.(change)
		if !is || change.target().Name == "" || change.target().Wide() && change.target().Kind != "Namespace" {
			continue
		}
		stub := change.target().stub()
		if !slices.ContainsFunc(there, func(o *unstructured.Unstructured) bool { return alike(o, stub) }) {
			l.refuse(file, action.line, messages.T("the step %s has no %s", fault.step.Name, called(stub)))
		}
	}
}

// alike reports whether two objects have one kind, namespace and name.
func alike(a, b *unstructured.Unstructured) bool {
	return a.GetKind() == b.GetKind() && a.GetNamespace() == b.GetNamespace() && a.GetName() == b.GetName()
}

// objectsOf are all that actions apply, or change.
func objectsOf(actions []Action) (all []*unstructured.Unstructured) {
	for _, action := range actions {
		for _, manifest := range action.manifests {
			all = append(all, manifest.Objects...)
		}
		if change, is := action.Operation.(change); is {
			all = append(all, change.reaches())
		}
	}
	return all
}

// Wide reports whether the kind is one of the whole cluster, in no namespace.
func (t *Target) Wide() bool { return t.stub().GetNamespace() == "" }
