package labs

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// clear removes hellolab's objects and those that are in the way of a coming snapshot, and notes what is to come. The
// user's own objects are named and saved before. It returns the namespaces that are to be removed, too, and that nothing
// has to wait for.
func (l *Labs) clear(ctx context.Context, coming State, snapshot *course.Snapshot) (leaving []kube.Reference, err error) {
	return l.makeRoom(ctx, coming, snapshot.Objects, inTheWay(snapshot))
}

// empty removes everything, and notes what is to come.
func (l *Labs) empty(ctx context.Context, coming State) error {
	leaving, err := l.makeRoom(ctx, coming, nil, func(*unstructured.Unstructured) bool { return true })
	if err != nil {
		return err
	}
	return l.remove(ctx, leaving)
}

func (l *Labs) makeRoom(ctx context.Context, coming State, objects []*unstructured.Unstructured, inTheWay func(*unstructured.Unstructured) bool) (leaving []kube.Reference, err error) {
	state, err := l.State(ctx)
	if err != nil {
		return nil, err
	}
	names := l.Course.Namespaces
	for _, object := range state.Objects { // another course may have worked elsewhere
		names = append(slices.Clone(names), object.Namespace)
	}
	there, err := l.present(ctx, names)
	if err != nil {
		return nil, err
	}
	namespaces, err := l.namespaces(ctx, names)
	if err != nil {
		return nil, err
	}
	var gone []kube.Reference
	var readers, staying []*unstructured.Unstructured
	releases := releasesOf(there)
	for _, object := range there {
		ours := object.GetLabels()[kube.ChapterLabel] != ""
		unwanted, touched := inTheWay(object), !kube.Untouched(object)
		if release := releases[releaseOf(object)]; release != nil { // it goes as a whole, or not at all
			ours, touched = release.ours, release.touched
			unwanted = slices.ContainsFunc(release.objects, inTheWay)
		}
		if !ours && (!slices.Contains(l.Course.Namespaces, object.GetNamespace()) || !unwanted) {
			staying = append(staying, object)
			delete(releases, releaseOf(object))
			continue
		}
		gone = append(gone, kube.Refer(object))
		if !ours || touched {
			readers = append(readers, object)
		}
	}
	if err := l.setAside(readers); err != nil {
		return nil, err
	}
	coming.Installing = true
	for _, object := range objects {
		coming.Objects = append(coming.Objects, kube.Refer(object))
	}
	if err := l.remember(ctx, coming); err != nil {
		return nil, err
	}
	for _, namespace := range namespaces {
		reference := kube.Reference{APIVersion: "v1", Kind: "Namespace", Name: namespace.Name, UID: string(namespace.UID)}
		needed := needs(objects, reference)
		switch {
		case namespace.DeletionTimestamp != nil && needed:
			gone = append(gone, reference)
		case namespace.DeletionTimestamp != nil || !needed && l.mayGo(namespace, staying, inTheWay):
			leaving = append(leaving, reference)
		}
	}
	if err := l.uninstall(releases); err != nil {
		return nil, err
	}
	return leaving, l.remove(ctx, gone)
}

// remove takes objects away, within the time that there is for it.
func (l *Labs) remove(ctx context.Context, references []kube.Reference) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	if err := l.Cluster.Delete(ctx, references); err != nil {
		return messages.Errorf("objects from the previous snapshot cannot be removed").Because(err)
	}
	return nil
}

// namespaces are those of these names that are there, but for the one that is always.
func (l *Labs) namespaces(ctx context.Context, names []string) ([]corev1.Namespace, error) {
	list, err := l.Cluster.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(n corev1.Namespace) bool {
		return n.Name == metav1.NamespaceDefault || !slices.Contains(names, n.Name)
	}), nil
}

// needs reports whether objects cannot be without a namespace.
func needs(objects []*unstructured.Unstructured, namespace kube.Reference) bool {
	return slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetNamespace() == namespace.Name || kube.Refer(o).Same(namespace)
	})
}

// mayGo reports whether a namespace is hellolab's, and holds nothing of the reader's.
func (l *Labs) mayGo(namespace corev1.Namespace, staying []*unstructured.Unstructured, inTheWay func(*unstructured.Unstructured) bool) bool {
	object := &unstructured.Unstructured{}
	object.SetKind("Namespace")
	object.SetName(namespace.Name)
	if namespace.Labels[kube.ChapterLabel] == "" && !inTheWay(object) {
		return false
	}
	if slices.ContainsFunc(staying, func(o *unstructured.Unstructured) bool { return o.GetNamespace() == namespace.Name }) {
		l.Story.Say(messages.T("the namespace %s stays: it holds objects of your own", namespace.Name))
		return false
	}
	return true
}

// setAside names objects of the reader's and saves them to a file, before they are removed.
func (l *Labs) setAside(objects []*unstructured.Unstructured) error {
	if len(objects) == 0 {
		return nil
	}
	var names []string
	for _, object := range objects {
		if name := called(object); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	file, err := l.writeAside(objects)
	if err != nil {
		return messages.Errorf("objects of your own would have to go (%s), and cannot be saved", names).Because(err).
			WithHint("make %s a folder that you can write to; or delete these objects yourself", l.Saved)
	}
	l.Story.Say(messages.T("objects of your own have to go: %s", names))
	l.Story.Say(messages.T("they are kept in %s", file))
	return nil
}

// inTheWay returns which of the user's own objects cannot stay beside a snapshot: those of the same name, those that its
// step expects to be absent, those with the same node port or route, and those whose pods would be taken for the
// snapshot's.
func inTheWay(snapshot *course.Snapshot) func(*unstructured.Unstructured) bool {
	return func(object *unstructured.Unstructured) bool {
		switch {
		case object.GetKind() == "Namespace":
			return false
		case slices.Contains(snapshot.Releases, releaseOf(object)):
			return true
		}
		return slices.ContainsFunc(snapshot.Expect, func(e course.Expectation) bool {
			absent, ok := e.Condition.(*course.Absent)
			return ok && absent.Kind == object.GetKind() && absent.Name == object.GetName() && absent.Namespace == object.GetNamespace()
		}) || slices.ContainsFunc(snapshot.Objects, func(coming *unstructured.Unstructured) bool { return collide(coming, object) })
	}
}

// collide reports whether an object of the reader's cannot stand beside a coming one.
func collide(coming, object *unstructured.Unstructured) bool {
	if kube.Refer(coming).Same(kube.Refer(object)) {
		return true
	}
	if coming.GetKind() == object.GetKind() && intersect(claims(coming), claims(object)) {
		return true
	}
	if coming.GetNamespace() != object.GetNamespace() {
		return false
	}
	labels, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
	if object.GetKind() == "Pod" {
		labels = object.GetLabels()
	}
	return selects(coming, labels)
}

// claims are what only one object of a cluster can have: node ports, and routes of the ingress controller.
func claims(object *unstructured.Unstructured) (all []string) {
	switch object.GetKind() {
	case "Service":
		ports, _, _ := unstructured.NestedSlice(object.Object, "spec", "ports")
		for _, port := range ports {
			fields, _ := port.(map[string]any)
			if number, found, _ := unstructured.NestedInt64(fields, "nodePort"); found {
				all = append(all, fmt.Sprint("nodePort ", number))
			}
		}
	case "Ingress":
		rules, _, _ := unstructured.NestedSlice(object.Object, "spec", "rules")
		for _, rule := range rules {
			fields, _ := rule.(map[string]any)
			host, _, _ := unstructured.NestedString(fields, "host")
			paths, _, _ := unstructured.NestedSlice(fields, "http", "paths")
			for _, path := range paths {
				fields, _ := path.(map[string]any)
				route, _, _ := unstructured.NestedString(fields, "path")
				all = append(all, host+route)
			}
		}
	}
	return all
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// selects reports whether a Service or Deployment takes pods with labels for its own.
func selects(object *unstructured.Unstructured, labels map[string]string) bool {
	var selector map[string]string
	switch object.GetKind() {
	case "Service":
		selector, _, _ = unstructured.NestedStringMap(object.Object, "spec", "selector")
	case "Deployment":
		selector, _, _ = unstructured.NestedStringMap(object.Object, "spec", "selector", "matchLabels")
	}
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}
