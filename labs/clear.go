package labs

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// change is what room is made for.
type change struct {
	// state is what is to be noted before anything is touched.
	state State
	// objects will be made: where one has several states on the way, each of them.
	objects []*unstructured.Unstructured
	// unwanted are the objects of the user's that cannot stay.
	unwanted func(*unstructured.Unstructured) bool
	// again is the command that makes this change and lets volumes with data go.
	again messages.Command
	// prepare gets ready what the change needs, while it is looked for what hinders it; nil is nothing.
	prepare func(context.Context) error
}

// clear makes room for a snapshot.
func (l *Labs) clear(ctx context.Context, coming State, snapshot *course.Snapshot) (cleared, error) {
	again := messages.Hellolab("lab", "--force", coming.Step)
	if coming.Before {
		again = messages.Hellolab("lab", "--force", "--before", coming.Step)
	}
	for _, object := range snapshot.Objects {
		coming.Objects = append(coming.Objects, kube.Refer(object))
	}
	prepare := func(ctx context.Context) error { return l.Lab.FetchImages(ctx, snapshot.Images) }
	return l.makeRoom(ctx, change{coming, made(snapshot), inTheWay(snapshot), again, prepare})
}

// made lists all objects that are made on the way to a snapshot, in each of their states.
func made(snapshot *course.Snapshot) (all []*unstructured.Unstructured) {
	manifests := snapshot.Given
	for _, action := range snapshot.Actions {
		manifests = slices.Concat(manifests, action.Manifests())
	}
	for _, manifest := range manifests {
		all = append(all, manifest.Objects...)
	}
	return all
}

// empty removes everything from the course's namespaces, and notes what is to come: objects are what will be made then.
func (l *Labs) empty(ctx context.Context, coming State, objects []*unstructured.Unstructured, again messages.Command) (cleared, error) {
	everything := func(*unstructured.Unstructured) bool { return true }
	room, err := l.makeRoom(ctx, change{coming, objects, everything, again, nil})
	if err != nil {
		return room, err
	}
	return room, l.remove(ctx, room.leaving)
}

// cleared is what comes of making room.
type cleared struct {
	// leaving are namespaces that are to be removed, too, and that nothing has to wait for.
	leaving []kube.Reference
	// file holds the user's objects that had to go, or is "".
	file string
	// begun says that something may be gone.
	begun bool
}

// makeRoom removes hellolab's objects, and those of the user's that are unwanted: these are named and saved before.
// Nothing is touched where it can be told beforehand that something will fail.
func (l *Labs) makeRoom(ctx context.Context, change change) (done cleared, err error) {
	var unprepared error
	var preparing sync.WaitGroup
	if change.prepare != nil {
		preparing.Go(func() { unprepared = change.prepare(ctx) })
	}
	there, plan, err := l.survey(ctx, change)
	if preparing.Wait(); unprepared != nil {
		return done, unprepared
	}
	if err != nil {
		return done, err
	}
	if done.file, err = l.setAside(plan.own, there.volumes); err != nil {
		return done, err
	}
	if err := l.leavePractice(ctx); err != nil {
		return done, err
	}
	change.state.Installing, change.state.Since = true, now()
	if err := l.remember(ctx, change.state); err != nil {
		return done, err
	}
	for _, namespace := range plan.kept {
		l.Story.Say(messages.T("the namespace %s stays: it holds objects of your own", namespace))
	}
	done.leaving, done.begun = plan.leaving, true
	return done, l.carryOut(ctx, plan)
}

// survey looks at what there is and plans what goes. It fails where something hinders the change.
func (l *Labs) survey(ctx context.Context, change change) (there inventory, plan room, err error) {
	if there, err = l.inventory(ctx); err != nil {
		return there, plan, err
	}
	plan = l.planRoom(there.objects, there.namespaces, change.objects, change.unwanted)
	return there, plan, l.obstacles(ctx, there, plan, change)
}

// carryOut uninstalls and removes what goes.
func (l *Labs) carryOut(ctx context.Context, plan room) error {
	if err := l.uninstall(ctx, plan.releases); err != nil {
		return err
	}
	return l.remove(ctx, plan.gone)
}

// inventory is what there is.
type inventory struct {
	objects    []*unstructured.Unstructured
	namespaces []corev1.Namespace
	// volumes are all PersistentVolumes.
	volumes []corev1.PersistentVolume
	// missing are parts of the API whose objects nobody knows, or nil.
	missing *kube.Unavailable
}

// inventory lists what is in the namespaces that the course works in, or that another course has worked in before, and
// these namespaces.
func (l *Labs) inventory(ctx context.Context) (there inventory, err error) {
	state, err := l.State(ctx)
	if err != nil {
		return there, err
	}
	names := slices.Clone(l.Course.Namespaces)
	for _, object := range state.Objects {
		names = append(names, object.Namespace)
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() (err error) {
		there.objects, there.missing, err = l.present(ctx, names, false)
		return err
	})
	work.Go(func() (err error) {
		there.namespaces, err = l.namespaces(ctx, names)
		return err
	})
	work.Go(func() error {
		volumes, err := l.Cluster.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err == nil {
			there.volumes = volumes.Items
		}
		return err
	})
	return there, work.Wait()
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
func (l *Labs) planRoom(objects []*unstructured.Unstructured, namespaces []corev1.Namespace, coming []*unstructured.Unstructured,
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
		plan.add(unit)
	}
	for _, namespace := range namespaces {
		reference := kube.Reference{APIVersion: "v1", Kind: "Namespace", Name: namespace.Name, UID: string(namespace.UID)}
		ending, needed := namespace.DeletionTimestamp != nil, needs(coming, reference)
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

// add has a release go, or an object that is part of none.
func (r *room) add(unit *release) {
	if unit.name != "" {
		r.releases = append(r.releases, unit)
	}
	if !unit.ours || unit.touched {
		r.own = append(r.own, unit.objects...)
	}
	for _, object := range unit.objects {
		r.gone = append(r.gone, kube.Refer(object))
	}
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
	return l.Cluster.Delete(ctx, references)
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

// setAside names objects of the user's and saves them to a file, before they are removed; it returns the file, or "". Those
// that are being removed already have been saved, or the user has done so.
func (l *Labs) setAside(objects []*unstructured.Unstructured, volumes []corev1.PersistentVolume) (string, error) {
	objects = slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool { return o.GetDeletionTimestamp() != nil })
	if len(objects) == 0 {
		return "", nil
	}
	var names []string
	for _, object := range objects {
		if name := called(object); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	file, err := l.writeAside(append(objects, volumesOf(objects, volumes)...))
	if err != nil {
		return "", messages.Errorf("objects of your own would have to go (%s), and cannot be saved", names).Because(err).
			WithHint("make %s a folder that you can write to; or delete these objects yourself", l.Saved)
	}
	l.Story.Say(messages.T("objects of your own have to go: %s", names))
	l.Story.Say(messages.T("they are kept in %s; to have them back: %s", file, messages.Hellolab("lab", "restore", file)))
	return file, nil
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

// claim is what only one object of a cluster can have.
type claim struct {
	// nodePort is the number, or route the host and the path that an Ingress answers.
	nodePort int64
	route    string
}

func (c claim) text() messages.Text {
	if c.route != "" {
		return messages.T("the route %s", c.route)
	}
	return messages.T("the node port %v", c.nodePort)
}

// claims lists the node ports of a Service, and the routes of an Ingress. One that is for another controller than the lab's
// has none, and a canary may have those of another one.
func claims(object *unstructured.Unstructured) (all []claim) {
	switch object.GetKind() {
	case "Service":
		ports, _, _ := unstructured.NestedSlice(object.Object, "spec", "ports")
		for _, port := range ports {
			fields, _ := port.(map[string]any)
			if number, found, _ := unstructured.NestedInt64(fields, "nodePort"); found {
				all = append(all, claim{nodePort: number})
			}
		}
	case "Ingress":
		class, _, _ := unstructured.NestedString(object.Object, "spec", "ingressClassName")
		if class != "" && class != "nginx" || object.GetAnnotations()["nginx.ingress.kubernetes.io/canary"] == "true" {
			return nil
		}
		rules, _, _ := unstructured.NestedSlice(object.Object, "spec", "rules")
		for _, rule := range rules {
			fields, _ := rule.(map[string]any)
			host, _, _ := unstructured.NestedString(fields, "host")
			paths, _, _ := unstructured.NestedSlice(fields, "http", "paths")
			for _, path := range paths {
				fields, _ := path.(map[string]any)
				route, _, _ := unstructured.NestedString(fields, "path")
				all = append(all, claim{route: host + cmp.Or(route, "/")})
			}
		}
	}
	return all
}

func intersect(a, b []claim) bool {
	return slices.ContainsFunc(a, func(c claim) bool { return slices.Contains(b, c) })
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
