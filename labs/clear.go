package labs

import (
	"cmp"
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
	return l.makeRoom(ctx, coming, snapshot, inTheWay(snapshot))
}

// empty removes everything from the course's namespaces, and notes what is to come.
func (l *Labs) empty(ctx context.Context, coming State) error {
	everything := func(*unstructured.Unstructured) bool { return true }
	leaving, err := l.makeRoom(ctx, coming, &course.Snapshot{}, everything)
	if err != nil {
		return err
	}
	return l.remove(ctx, leaving)
}

// makeRoom removes hellolab's objects, and those of the user's that are unwanted.
func (l *Labs) makeRoom(ctx context.Context, coming State, snapshot *course.Snapshot,
	unwanted func(*unstructured.Unstructured) bool) (leaving []kube.Reference, err error) {
	objects, namespaces, err := l.inventory(ctx)
	if err != nil {
		return nil, err
	}
	room := l.planRoom(objects, namespaces, snapshot, unwanted)
	if err := l.setAside(room.own); err != nil {
		return nil, err
	}
	coming.Installing = true
	for _, object := range snapshot.Objects {
		coming.Objects = append(coming.Objects, kube.Refer(object))
	}
	if err := l.remember(ctx, coming); err != nil {
		return nil, err
	}
	for _, namespace := range room.kept {
		l.Story.Say(messages.T("the namespace %s stays: it holds objects of your own", namespace))
	}
	if err := l.uninstall(room.releases); err != nil {
		return nil, err
	}
	return room.leaving, l.remove(ctx, room.gone)
}

// inventory lists what is in the namespaces that the course works in, or that another course has worked in before, and
// these namespaces.
func (l *Labs) inventory(ctx context.Context) ([]*unstructured.Unstructured, []corev1.Namespace, error) {
	state, err := l.State(ctx)
	if err != nil {
		return nil, nil, err
	}
	names := slices.Clone(l.Course.Namespaces)
	for _, object := range state.Objects {
		names = append(names, object.Namespace)
	}
	objects, err := l.present(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	namespaces, err := l.namespaces(ctx, names)
	return objects, namespaces, err
}

// room is how room is made for a snapshot.
type room struct {
	// own are the user's objects that have to go, and those of hellolab's that the user has changed.
	own []*unstructured.Unstructured
	// releases are uninstalled, and then everything that is gone is removed.
	releases []*release
	gone     []kube.Reference
	// leaving are namespaces that are removed, and that nothing has to wait for; kept are those that would be, if they did
	// not hold objects of the user's.
	leaving []kube.Reference
	kept    []string
}

// planRoom decides what goes. A Helm release goes as a whole or not at all.
func (l *Labs) planRoom(objects []*unstructured.Unstructured, namespaces []corev1.Namespace, snapshot *course.Snapshot,
	unwanted func(*unstructured.Unstructured) bool) (plan room) {
	goes := func(object *unstructured.Unstructured) bool {
		return slices.Contains(l.Course.Namespaces, cmp.Or(object.GetNamespace(), object.GetName())) && unwanted(object)
	}
	staying := map[string]bool{} // the namespaces of what stays
	for _, unit := range units(objects) {
		if !unit.ours && !slices.ContainsFunc(unit.objects, goes) {
			for _, object := range unit.objects {
				staying[object.GetNamespace()] = true
			}
			continue
		}
		if unit.name != "" {
			plan.releases = append(plan.releases, unit)
		}
		if !unit.ours || unit.touched {
			plan.own = append(plan.own, unit.objects...)
		}
		for _, object := range unit.objects {
			plan.gone = append(plan.gone, kube.Refer(object))
		}
	}
	for _, namespace := range namespaces {
		reference := kube.Reference{APIVersion: "v1", Kind: "Namespace", Name: namespace.Name, UID: string(namespace.UID)}
		ending, needed := namespace.DeletionTimestamp != nil, needs(snapshot.Objects, reference)
		removable := namespace.Labels[kube.ChapterLabel] != "" || goes(namespaceObject(namespace))
		switch {
		case ending && needed:
			plan.gone = append(plan.gone, reference)
		case ending, !needed && removable && !staying[namespace.Name]:
			plan.leaving = append(plan.leaving, reference)
		case !needed && removable:
			plan.kept = append(plan.kept, namespace.Name)
		}
	}
	return plan
}

// units groups objects by what goes as a whole or not at all: a Helm release, or an object that is part of none, which is
// a release without a name here.
func units(objects []*unstructured.Unstructured) (all []*release) {
	releases := releasesOf(objects)
	for _, object := range objects {
		of := releases[releaseOf(object)]
		switch {
		case of == nil:
			all = append(all, &release{objects: []*unstructured.Unstructured{object},
				ours: object.GetLabels()[kube.ChapterLabel] != "", touched: !kube.Untouched(object)})
		case of.objects[0] == object:
			all = append(all, of)
		}
	}
	return all
}

// remove deletes objects, and waits until they are gone.
func (l *Labs) remove(ctx context.Context, references []kube.Reference) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	if err := l.Cluster.Delete(ctx, references); err != nil {
		return messages.Errorf("objects from the previous snapshot cannot be removed").Because(err)
	}
	return nil
}

// namespaces lists those of these names that exist, without the one that always does.
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

// setAside names objects of the user's and saves them to a file, before they are removed.
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

// collide reports whether an object of the user's cannot exist beside a coming one.
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

// claims lists what only one object of a cluster can have: node ports, and routes of the ingress controller.
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
