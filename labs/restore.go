package labs

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Restore brings the course's namespaces to the state in a saved file, of this lab or of another one. Objects of the user's
// that are there are named and saved first. A Job that had finished runs once more. Of a file that objects were kept in
// which had to go, it brings these back, beside what is there.
func (l *Labs) Restore(ctx context.Context, file string) error {
	lab, err := l.open(file)
	if err != nil {
		return err
	}
	if err := l.vetFile(file, lab.objects); err != nil && !l.keptHere(file) {
		return err
	}
	for _, object := range lab.objects {
		if err := l.Cluster.Knows(object); err != nil && !meta.IsNoMatchError(err) {
			return err
		} else if err != nil {
			return messages.Usagef("%s holds %s, whose kind this lab does not know", file, kube.Refer(object)).Because(err).
				WithHint("install what brings that kind, then run the same command again")
		}
	}
	var images []string
	for _, object := range lab.objects {
		images = append(images, course.ImagesIn(object.Object)...)
	}
	slices.Sort(images)
	if err := l.Lab.FetchImages(ctx, slices.Compact(images)); err != nil {
		l.Story.Say(messages.T("some images cannot be pulled: %s", err))
	}
	return l.Story.Do(ctx, messages.T("restoring %s", file), func(ctx context.Context) error {
		again := messages.Hellolab("lab", "restore", "--force", file)
		if lab.apart {
			return l.restoreApart(ctx, lab, again)
		}
		room, err := l.empty(ctx, lab.state, lab.objects, again)
		if err == nil {
			err = l.recreate(ctx, lab)
		}
		if err != nil && !room.begun {
			return err
		}
		if err != nil {
			return wayBack(err, messages.T("the lab is only half restored"), room)
		}
		if err := l.Cluster.Retry(ctx, func(ctx context.Context) error { return l.addMarks(ctx, lab.state.Marks) }); err != nil {
			return err
		}
		lab.state.Since = now()
		return l.remember(ctx, lab.state)
	})
}

// keptHere reports whether a file lies where hellolab has kept the user's own objects, and so is nobody else's.
func (l *Labs) keptHere(file string) bool {
	absolute, err := filepath.Abs(file)
	return err == nil && filepath.Dir(absolute) == filepath.Clean(l.Saved)
}

// restoreApart brings objects back that had to go. What has their names, ports or routes now goes; it is saved if it is the
// user's.
func (l *Labs) restoreApart(ctx context.Context, lab savedLab, again messages.Command) error {
	there, err := l.inventory(ctx)
	if err != nil {
		return err
	}
	inTheWay := func(object *unstructured.Unstructured) bool {
		return slices.ContainsFunc(lab.objects, func(coming *unstructured.Unstructured) bool {
			return kube.Refer(coming).Same(kube.Refer(object)) || coming.GetKind() == object.GetKind() && intersect(claims(coming), claims(object))
		})
	}
	plan := planApart(there, inTheWay)
	lab.objects = slices.DeleteFunc(lab.objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == "Namespace" && slices.Contains(usable(there.namespaces), o.GetName())
	})
	if err := l.obstacles(ctx, there, plan, change{objects: lab.objects, again: again}); err != nil {
		return err
	}
	var room cleared
	if room.file, err = l.setAside(plan.own, there.volumes); err != nil {
		return err
	}
	if err = l.leavePractice(ctx); err == nil {
		err = l.carryOut(ctx, plan)
	}
	if err == nil {
		err = l.recreate(ctx, lab)
	}
	if err != nil {
		return wayBack(err, messages.T("not everything is back"), room)
	}
	return nil
}

// planApart decides what goes for objects that come back: what is in the way, and nothing else. Namespaces that are being
// removed are waited for.
func planApart(there inventory, inTheWay func(*unstructured.Unstructured) bool) (plan room) {
	for _, unit := range units(there.objects) {
		if !slices.ContainsFunc(unit.objects, inTheWay) {
			continue
		}
		plan.add(unit)
	}
	for _, namespace := range there.namespaces {
		if namespace.DeletionTimestamp != nil && inTheWay(namespaceObject(namespace)) {
			plan.gone = append(plan.gone, kube.Reference{APIVersion: "v1", Kind: "Namespace", Name: namespace.Name, UID: string(namespace.UID)})
		}
	}
	return plan
}

// wayBack adds to an error what state a change has left, and how the user gets back what had to go for it.
func wayBack(err error, left messages.Text, room cleared) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	all := []error{err}
	if !left.IsZero() {
		said := &messages.Error{What: left}
		if messages.HintOf(err).IsZero() {
			said.WithHint("once that is mended, run the same command again")
		}
		all = append(all, said)
	}
	if room.file != "" {
		all = append(all, messages.Errorf("objects of your own had to go; they are kept in %s", room.file).
			WithHint("%s brings your own objects back", messages.Hellolab("lab", "restore", room.file)))
	}
	return errors.Join(all...)
}

// recreate creates objects in the order of their dependencies: first what pods need, then the revisions of Deployments with
// their pods and everything else, which may need each other to become ready, then the Deployments, which adopt the
// revisions.
func (l *Labs) recreate(ctx context.Context, lab savedLab) error {
	for now := range ranks {
		work, together := errgroup.WithContext(ctx)
		for _, object := range lab.objects {
			manager := kube.Owner
			if lab.apart || slices.Contains(lab.touched, kube.Refer(object).String()) {
				manager = reader
			}
			if rank(object.GetKind()) == now {
				work.Go(func() error { return l.recreateOne(together, object, manager) })
			}
		}
		if err := work.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// reader is the field manager of objects that the user had changed before they were saved, so that they do not count as
// untouched.
const reader = "reader"

// ranks is the number of ranks.
const ranks = 5

// rank is the round of recreate in which a kind is created.
func rank(kind string) int {
	switch kind {
	case "Namespace":
		return 0
	case "ServiceAccount", "PersistentVolume": // which a Secret with its token, or a claim, does not live without
		return 1
	case "ConfigMap", "Secret", "Role", "RoleBinding", "PersistentVolumeClaim", "LimitRange", "ResourceQuota":
		return 2
	case "Deployment":
		return 4
	}
	return 3
}

// recreateOne creates an object and waits until it is as far as it was.
func (l *Labs) recreateOne(parent context.Context, object *unstructured.Unstructured, manager string) error {
	ctx, cancel := l.within(parent)
	defer cancel()
	create := l.create
	if object.GetKind() == "PersistentVolume" {
		create = l.createVolume
	}
	if err := create(ctx, object, manager); err != nil {
		return messages.Errorf("the API server does not accept %s", kube.Refer(object)).Because(err)
	}
	if object.GetKind() == "Namespace" {
		return l.untilUsable(ctx, object.GetName())
	}
	l.untilAsSaved(ctx, object)
	return parent.Err()
}

// create creates an object without its status. A request that seemed to fail may have been carried out all the same: then
// the object is there at the next try.
func (l *Labs) create(ctx context.Context, object *unstructured.Unstructured, manager string) error {
	wanted := object.DeepCopy()
	unstructured.RemoveNestedField(wanted.Object, "status")
	tries := 0
	return l.Cluster.Retry(ctx, func(ctx context.Context) error {
		tries++
		_, err := l.Cluster.Create(ctx, wanted, manager)
		if apierrors.IsAlreadyExists(err) && wanted.GetKind() == "Namespace" {
			return nil
		}
		if !apierrors.IsAlreadyExists(err) || tries == 1 {
			return err
		}
		there, getErr := l.Cluster.Get(ctx, kube.Refer(wanted))
		if getErr != nil {
			return getErr
		}
		if there != nil && !createdBy(there, manager) {
			return err
		}
		return nil
	})
}

// createVolume creates a volume, or has the one that is there be free for its claim again, once the old claim is gone.
func (l *Labs) createVolume(ctx context.Context, object *unstructured.Unstructured, manager string) error {
	there, err := l.Cluster.CoreV1().PersistentVolumes().Get(ctx, object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return l.create(ctx, object, manager)
	}
	if err != nil {
		return err
	}
	namespace, _, _ := unstructured.NestedString(object.Object, "spec", "claimRef", "namespace")
	name, _, _ := unstructured.NestedString(object.Object, "spec", "claimRef", "name")
	if of := there.Spec.ClaimRef; of == nil || of.Namespace != namespace || of.Name != name {
		l.Story.Say(messages.T("%s is there, and left as it is: it is not for the claim %s any more", kube.Refer(object), name))
		return nil
	}
	return l.Cluster.Retry(ctx, func(ctx context.Context) error {
		_, err := l.Cluster.CoreV1().PersistentVolumes().Patch(ctx, object.GetName(), types.MergePatchType,
			[]byte(`{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}`), metav1.PatchOptions{FieldManager: manager})
		return err
	})
}

// createdBy reports whether a field manager has written an object itself, not only its status or scale.
func createdBy(object *unstructured.Unstructured, manager string) bool {
	return slices.ContainsFunc(object.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == manager && entry.Subresource == ""
	})
}

// untilAsSaved waits until an object is as far as it was when it was saved. One that does not get there in time is
// reported, but still restored.
func (l *Labs) untilAsSaved(ctx context.Context, saved *unstructured.Unstructured) {
	reference := kube.Refer(saved)
	fields := map[string][]string{
		"ReplicaSet": {"readyReplicas"}, "Deployment": {"readyReplicas", "updatedReplicas"}, "Job": {"succeeded"}, "Pod": {"phase"},
	}[saved.GetKind()]
	if len(fields) == 0 {
		return
	}
	err := await.Watches(ctx, func(ctx context.Context) (bool, error) {
		now, err := l.Cluster.Get(ctx, reference)
		if err != nil || now == nil {
			return false, err
		}
		for _, field := range fields {
			before, _, _ := unstructured.NestedFieldNoCopy(saved.Object, "status", field)
			if after, _, _ := unstructured.NestedFieldNoCopy(now.Object, "status", field); !asFar(before, after) {
				return false, nil
			}
		}
		return true, nil
	}, l.Cluster.Watch(reference))
	if err != nil && !errors.Is(err, context.Canceled) {
		l.Story.Say(messages.T("%s is there, but not yet as it was", reference))
	}
}

// asFar reports whether a field of a status has reached its earlier value, or is beyond it: a number, or a pod's phase.
func asFar(before, after any) bool {
	switch before := before.(type) {
	case nil:
		return true
	case int64:
		after, _ := after.(int64)
		return after >= before
	}
	return before == string(corev1.PodPending) || before == after || after == string(corev1.PodSucceeded) || after == string(corev1.PodFailed)
}
