package labs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/cluster"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Install brings the cluster to a step's snapshot, whatever ran before, and gives the rows of its check; or to the
// snapshot before the step, whose rows are none.
func (l *Labs) Install(ctx context.Context, step *course.Step, before bool) ([]check.Row, error) {
	if slices.Contains(step.Needs, "ingress") && !l.Ingress {
		return nil, messages.Errorf("the step %s needs the ingress controller, which this lab was made without", step.ID()).
			WithHint("hellolab down, then hellolab up")
	}
	goal := step
	if before {
		goal = step.Before()
	}
	objects := step.Chapter().GivenObjects()
	if goal != nil {
		objects = goal.Objects()
	}
	if err := l.Images(ctx, slices.Concat(goal.Images(), step.Runs())); err != nil { // a reader will need the step's
		return nil, err
	}
	var rows []check.Row
	err := l.Story.Do(ctx, l.title(step, before), func(ctx context.Context) error {
		leaving, err := l.clear(ctx, State{Step: step.ID(), Before: before}, objects, l.inTheWay(goal, objects))
		if err != nil {
			return err
		}
		work, ctx := errgroup.WithContext(ctx)
		work.Go(func() error { return l.remove(ctx, leaving) }) // a namespace takes 5 s to go
		work.Go(func() (err error) {
			if goal == nil {
				return l.give(ctx, step.Chapter())
			}
			rows, err = l.make(ctx, goal)
			return err
		})
		return work.Wait()
	})
	if err != nil {
		return nil, err
	}
	if before {
		rows = nil
	}
	state, err := l.State(ctx)
	if err != nil {
		return nil, err
	}
	state.Installing = false
	return rows, l.remember(ctx, state)
}

func (l *Labs) title(step *course.Step, before bool) messages.Text {
	if before {
		return messages.T("the state before %s", step.ID())
	}
	return messages.T("the state after %s", step.ID())
}

// within bounds one wait.
func (l *Labs) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.Timeout, messages.Errorf("it was not done within %s", l.Timeout))
}

// give applies what a chapter takes for granted.
func (l *Labs) give(ctx context.Context, chapter *course.Chapter) error {
	for _, manifest := range chapter.GivenManifests() {
		if err := l.apply(ctx, chapter, manifest); err != nil {
			return err
		}
	}
	return nil
}

// make goes along the steps that lead to goal, and waits until all is as goal expects it.
func (l *Labs) make(ctx context.Context, goal *course.Step) (rows []check.Row, err error) {
	if slices.Contains(goal.Needs, "tunnel") {
		var end func() error
		ctx, end = l.openTunnel(ctx)
		defer func() { err = errors.Join(err, end()) }()
	}
	if err := l.walk(ctx, goal); err != nil {
		return nil, err
	}
	return l.untilMet(ctx, goal)
}

// openTunnel gives LoadBalancer Services addresses until end is called. What is done with its context ends where the
// tunnel fails.
func (l *Labs) openTunnel(ctx context.Context) (_ context.Context, end func() error) {
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := l.Tunnel(ctx)
		if err != nil {
			stop(err)
		}
		ended <- err
	}()
	return ctx, func() error {
		stop(nil)
		return <-ended
	}
}

// walk goes along the steps that lead to goal.
func (l *Labs) walk(ctx context.Context, goal *course.Step) error {
	if err := l.give(ctx, goal.Chapter()); err != nil {
		return err
	}
	for _, step := range goal.Path() {
		actions := step.Do
		if step == goal {
			actions = slices.Concat(step.Do, step.Exercise)
		}
		for _, action := range actions {
			if err := l.act(ctx, step, action); err != nil {
				return messages.Errorf("the step %s cannot be made", step.ID()).Because(err).
					WithHint("run the same command again; hellolab status shows how the lab is")
			}
		}
	}
	return nil
}

func (l *Labs) act(ctx context.Context, step *course.Step, action course.Action) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	namespace := action.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	switch {
	case action.Undo != nil:
		return l.undo(ctx, namespace, action.Undo)
	case action.Complete != "":
		return l.untilComplete(ctx, namespace, action.Complete)
	case action.Replace != "":
		return l.replace(ctx, namespace, action.Replace)
	case action.Install != nil:
		return l.install(ctx, step, action)
	case action.Upgrade != nil:
		return l.upgrade(ctx, action)
	case action.Rollback != nil:
		return l.rollback(action.Rollback)
	case action.Publish != nil:
		return l.publish(ctx, action.Publish)
	}
	for _, manifest := range action.Manifests() {
		if err := l.apply(ctx, step.Chapter(), manifest); err != nil {
			return err
		}
	}
	return nil
}

// apply applies a manifest, and waits until the Deployments among it have the revision of what was applied: only so do
// the next step's become revisions of their own.
func (l *Labs) apply(ctx context.Context, chapter *course.Chapter, manifest course.Manifest) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	for _, object := range manifest.Objects {
		var refused error
		err := await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
			err := l.Cluster.Apply(ctx, object, chapter.Name)
			if err != nil && !cluster.Passing(err) {
				refused = err
				return nil
			}
			return err
		})
		if err := errors.Join(refused, err); err != nil {
			return messages.Errorf("%s: the API server does not take %s", manifest.Name, cluster.Refer(object)).Because(err)
		}
		switch object.GetKind() {
		case "Deployment":
			err = l.untilObserved(ctx, object.GetNamespace(), object.GetName())
		case "Namespace":
			err = l.untilUsable(ctx, object.GetName())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// untilUsable waits until a namespace has what every pod needs: without the service account, pods are refused.
func (l *Labs) untilUsable(ctx context.Context, namespace string) error {
	return await.Watches(ctx, func(ctx context.Context) (bool, error) {
		if _, err := l.Cluster.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return false, err
		}
		_, err := l.Cluster.CoreV1().ConfigMaps(namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil, err
	}, func(ctx context.Context) (watch.Interface, error) {
		return l.Cluster.CoreV1().ServiceAccounts(namespace).Watch(ctx, metav1.ListOptions{})
	}, func(ctx context.Context) (watch.Interface, error) {
		return l.Cluster.CoreV1().ConfigMaps(namespace).Watch(ctx, metav1.ListOptions{})
	})
}

// untilMet waits until everything is as the step expects it: for one expectation after the other, which is all that has
// to be asked meanwhile, and then for all of them at once.
func (l *Labs) untilMet(ctx context.Context, step *course.Step) (rows []check.Row, err error) {
	waiting, cancel := l.within(ctx)
	defer cancel()
	met := 0
	err = await.Changes(waiting, probeEvery, func(ctx context.Context) (bool, error) {
		for ; met < len(step.Expect); met++ {
			if row, err := l.Checker.Row(ctx, step, met); err != nil || !row.Met {
				return false, err
			}
		}
		met = 0
		if rows, err = l.Checker.Step(ctx, step); err != nil {
			return false, err
		}
		return check.Met(rows), nil
	}, l.Cluster.Changes()...)
	if err == nil || ctx.Err() != nil {
		return rows, err
	}
	if rows, err = l.Checker.Step(ctx, step); err != nil {
		return nil, err
	}
	return nil, messages.Errorf("%s: not everything is as it should be after %s", step.ID(), l.Timeout).
		Because(errors.Join(append(unmet(rows), l.Checker.Evidence(ctx, step)...)...)).
		WithHint("hellolab lab check %s", step.ID())
}

// probeEvery is how often something is looked at that tells nobody of its changes: a web server's answer.
const probeEvery = 100 * time.Millisecond

// unmet tells of the expectations that are not met.
func unmet(rows []check.Row) (all []error) {
	for _, row := range rows {
		if row.Met {
			continue
		}
		said := messages.Errorf("%s: have %s; expected %s", row.Subject, row.Have, row.Expected)
		if !row.Why.IsZero() {
			said = messages.Errorf("%s: have %s; expected %s; %s", row.Subject, row.Have, row.Expected, row.Why)
		}
		all = append(all, said)
	}
	return all
}

// clear takes away what is hellolab's and what is in the way of the coming objects, and notes what is to come. A
// reader's own objects are named and saved before that. It gives the namespaces that are to be removed, too, and that
// nothing has to wait for.
func (l *Labs) clear(ctx context.Context, coming State, objects []*unstructured.Unstructured, inTheWay func(*unstructured.Unstructured) bool) (leaving []cluster.Reference, err error) {
	state, err := l.State(ctx)
	if err != nil {
		return nil, err
	}
	names := l.Course.Namespaces
	for _, object := range state.Objects { // another course may have worked elsewhere
		names = append(slices.Clone(names), object.Namespace)
	}
	there, err := l.Cluster.List(ctx, names, false)
	if err != nil {
		return nil, err
	}
	namespaces, err := l.namespaces(ctx, names)
	if err != nil {
		return nil, err
	}
	var gone []cluster.Reference
	var readers, staying []*unstructured.Unstructured
	releases := releasesOf(there)
	for _, object := range there {
		ours := object.GetLabels()[cluster.ChapterLabel] != ""
		unwanted, touched := inTheWay(object), !cluster.Untouched(object)
		if release := releases[releaseOf(object)]; release != nil { // it goes as a whole, or not at all
			ours, touched = release.ours, release.touched
			unwanted = slices.ContainsFunc(release.objects, inTheWay)
		}
		if !ours && (!slices.Contains(l.Course.Namespaces, object.GetNamespace()) || !unwanted) {
			staying = append(staying, object)
			delete(releases, releaseOf(object))
			continue
		}
		gone = append(gone, cluster.Refer(object))
		if !ours || touched {
			readers = append(readers, object)
		}
	}
	if err := l.setAside(readers); err != nil {
		return nil, err
	}
	coming.Installing = true
	for _, object := range objects {
		coming.Objects = append(coming.Objects, cluster.Refer(object))
	}
	if err := l.remember(ctx, coming); err != nil {
		return nil, err
	}
	for _, namespace := range namespaces {
		reference := cluster.Reference{APIVersion: "v1", Kind: "Namespace", Name: namespace.Name, UID: string(namespace.UID)}
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
func (l *Labs) remove(ctx context.Context, references []cluster.Reference) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	if err := l.Cluster.Delete(ctx, references); err != nil {
		return messages.Errorf("the objects of before cannot be removed").Because(err).WithHint("run the same command again")
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
func needs(objects []*unstructured.Unstructured, namespace cluster.Reference) bool {
	return slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetNamespace() == namespace.Name || cluster.Refer(o).Same(namespace)
	})
}

// mayGo reports whether a namespace is hellolab's, and holds nothing of the reader's.
func (l *Labs) mayGo(namespace corev1.Namespace, staying []*unstructured.Unstructured, inTheWay func(*unstructured.Unstructured) bool) bool {
	object := &unstructured.Unstructured{}
	object.SetKind("Namespace")
	object.SetName(namespace.Name)
	if namespace.Labels[cluster.ChapterLabel] == "" && !inTheWay(object) {
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

// inTheWay tells which of the reader's own objects cannot stand beside the coming ones: those of the same name, those
// that a step wants to be gone, those with the same node port or route, and those whose pods would be taken for the
// chapter's.
func (l *Labs) inTheWay(goal *course.Step, objects []*unstructured.Unstructured) func(*unstructured.Unstructured) bool {
	var unwanted []*course.Reference
	var releases []string
	if goal != nil {
		releases = goal.Releases()
		for _, expectation := range goal.Expect {
			if expectation.Absent != nil {
				unwanted = append(unwanted, expectation.Absent)
			}
		}
	}
	return func(object *unstructured.Unstructured) bool {
		if object.GetKind() == "Namespace" {
			return false
		}
		if slices.Contains(releases, releaseOf(object)) {
			return true
		}
		for _, absent := range unwanted {
			namespace := absent.Namespace
			if namespace == "" {
				namespace = metav1.NamespaceDefault
			}
			if absent.Kind == object.GetKind() && absent.Name == object.GetName() && namespace == object.GetNamespace() {
				return true
			}
		}
		return slices.ContainsFunc(objects, func(coming *unstructured.Unstructured) bool { return collide(coming, object) })
	}
}

// collide reports whether an object of the reader's cannot stand beside a coming one.
func collide(coming, object *unstructured.Unstructured) bool {
	if cluster.Refer(coming).Same(cluster.Refer(object)) {
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

// Reset empties the course's namespaces. The reader's own objects are named and saved first.
func (l *Labs) Reset(ctx context.Context) error {
	return l.Story.Do(ctx, messages.T("emptying the namespaces %s", l.Course.Namespaces), func(ctx context.Context) error {
		all := func(*unstructured.Unstructured) bool { return true }
		leaving, err := l.clear(ctx, State{}, nil, all)
		if err != nil {
			return err
		}
		if err := l.remove(ctx, leaving); err != nil {
			return err
		}
		state, err := l.State(ctx)
		if err != nil {
			return err
		}
		state.Installing = false
		return l.remember(ctx, state)
	})
}
