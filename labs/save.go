package labs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

// The header of a saved file.
const (
	savedKind   = "SavedLab"
	savedSchema = "hellolab/v1"
)

// Save writes the state of the course's namespaces to a file: everything that the user or hellolab made there, with the
// content of Secrets, the revisions of Deployments and the volumes that a user has made for claims there, but without what
// programs have written to volumes. A file that exists is kept unless force is set. It fails if any object cannot be read:
// a file without it would look complete.
func (l *Labs) Save(ctx context.Context, file string, force bool) error {
	if err := savable(file, force); err != nil {
		return err
	}
	content, err := l.Saving(ctx)
	if err != nil {
		return err
	}
	if err := replaceFile(file, content); err != nil {
		return messages.Errorf("the lab cannot be saved").Because(err).
			WithHint("name a file that you can write: %s", messages.Hellolab("lab", "save").Usage("FILE"))
	}
	return nil
}

// savable refuses a file that cannot be written, or that there is already.
func savable(file string, force bool) error {
	switch found, err := os.Stat(file); {
	case err == nil && found.IsDir():
		return messages.Usagef("%s is a folder", file).
			WithHint("name a file in it: %s", messages.Hellolab("lab", "save", filepath.Join(file, "lab.yaml")))
	case err == nil && found.Mode().IsRegular() && !force:
		return messages.Usagef("%s exists already", file).
			WithHint("%s overwrites it", messages.Hellolab("lab", "save", "--force", file))
	}
	return nil
}

// Saving is the content of the file that [Labs.Save] writes.
func (l *Labs) Saving(ctx context.Context) ([]byte, error) {
	objects, _, err := l.present(ctx, l.Course.Namespaces, true)
	if err != nil {
		return nil, err
	}
	namespaces, err := l.namespaces(ctx, l.Course.Namespaces)
	if err != nil {
		return nil, err
	}
	volumes, err := l.Cluster.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	state, err := l.State(ctx)
	if err != nil {
		return nil, err
	}
	all := l.saved(state, namespaces, objects, volumes.Items)
	if err := l.sayOutside(ctx, all); err != nil {
		return nil, err
	}
	return write(all)
}

// sayOutside names the user's objects that are in no namespace of the course's, and so not in a file.
func (l *Labs) sayOutside(ctx context.Context, saved []*unstructured.Unstructured) error {
	wide, err := l.Cluster.Wide(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, reference := range wide {
		inside := slices.ContainsFunc(saved, func(o *unstructured.Unstructured) bool { return kube.Refer(o).Same(reference) })
		if !inside && (reference.Kind != "Namespace" || !slices.Contains(l.Course.Namespaces, reference.Name)) {
			names = append(names, reference.String())
		}
	}
	if len(names) > 0 {
		l.Story.Say(messages.T("not in the file, since it is in no namespace of the course: %s", names))
	}
	return nil
}

// saved returns the objects of a file: without those that are being deleted, or whose namespace is.
func (l *Labs) saved(state State, namespaces []corev1.Namespace, objects []*unstructured.Unstructured,
	volumes []corev1.PersistentVolume) []*unstructured.Unstructured {
	var there []*unstructured.Unstructured
	leaving := map[string]bool{}
	for _, namespace := range namespaces {
		if leaving[namespace.Name] = namespace.DeletionTimestamp != nil; !leaving[namespace.Name] {
			there = append(there, namespaceObject(namespace))
		}
	}
	var kept []*unstructured.Unstructured
	for _, object := range objects {
		if worthSaving(object, objects) && !leaving[object.GetNamespace()] {
			kept = append(kept, object)
		}
	}
	there = append(there, volumesOf(kept, volumes)...)
	for _, object := range kept {
		there = append(there, portable(object))
	}
	return append([]*unstructured.Unstructured{l.header(state, kept)}, there...)
}

// header is the first object of a saved file: the course's state, and which of hellolab's objects the user has changed.
func (l *Labs) header(state State, objects []*unstructured.Unstructured) *unstructured.Unstructured {
	var touched []string
	for _, object := range objects {
		if (object.GetLabels()[kube.ChapterLabel] != "" || releaseOf(object) != "") && !kube.Untouched(object) {
			touched = append(touched, kube.Refer(object).String())
		}
	}
	text := func(list []string) []any {
		all := []any{}
		for _, s := range list {
			all = append(all, s)
		}
		return all
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": savedSchema, "kind": savedKind,
		"metadata":   map[string]any{"name": stateName},
		"namespaces": text(l.Course.Namespaces), "step": state.Step, "before": state.Before, "installing": state.Installing,
		"passed": text(state.Passed), "touched": text(touched),
	}}
}

func namespaceObject(namespace corev1.Namespace) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("v1")
	object.SetKind("Namespace")
	object.SetName(namespace.Name)
	object.SetLabels(namespace.Labels)
	object.SetAnnotations(namespace.Annotations)
	return object
}

// worthSaving reports whether an object has no controller, or is a ReplicaSet of a live Deployment. Objects that are being
// deleted are skipped.
func worthSaving(object *unstructured.Unstructured, all []*unstructured.Unstructured) bool {
	if object.GetDeletionTimestamp() != nil {
		return false
	}
	owner := metav1.GetControllerOf(object)
	return owner == nil || object.GetKind() == "ReplicaSet" && owner.Kind == "Deployment" &&
		slices.ContainsFunc(all, func(o *unstructured.Unstructured) bool {
			return o.GetUID() == owner.UID && o.GetDeletionTimestamp() == nil
		})
}

// portable is an object without the fields that belong to its cluster, so that it can be created in another one. It keeps
// its status, as the record of what to wait for.
func portable(object *unstructured.Unstructured) *unstructured.Unstructured {
	object = object.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences", "selfLink", "finalizers", "deletionTimestamp"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	remove := func(paths ...string) {
		for _, path := range paths {
			unstructured.RemoveNestedField(object.Object, strings.Split(path, ".")...)
		}
	}
	switch object.GetKind() {
	case "Service":
		if ip, _, _ := unstructured.NestedString(object.Object, "spec", "clusterIP"); ip != "None" {
			remove("spec.clusterIP", "spec.clusterIPs")
		}
	case "Pod":
		remove("spec.nodeName", "spec.serviceAccount", "metadata.generateName", "spec.ephemeralContainers") // kubectl debug's
		withoutToken(object)
	case "Job":
		if manual, _, _ := unstructured.NestedBool(object.Object, "spec", "manualSelector"); !manual {
			remove("spec.selector")
			for _, label := range []string{"controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"} {
				unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "labels", label)
				unstructured.RemoveNestedField(object.Object, "metadata", "labels", label)
			}
		}
	case "Secret":
		if kind, _, _ := unstructured.NestedString(object.Object, "type"); kind == string(corev1.SecretTypeServiceAccountToken) {
			remove("data.token", "data.namespace") // of another cluster, which its own controller fills in
			unstructured.RemoveNestedField(object.Object, "data", corev1.ServiceAccountRootCAKey)
			unstructured.RemoveNestedField(object.Object, "metadata", "annotations", corev1.ServiceAccountUIDKey)
		}
	case "PersistentVolumeClaim":
		remove("spec.volumeName")
		for _, annotation := range []string{"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
			"volume.kubernetes.io/selected-node", "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"} {
			unstructured.RemoveNestedField(object.Object, "metadata", "annotations", annotation)
		}
	case "PersistentVolume": // which is kept for its claim, by name
		remove("spec.claimRef.uid", "spec.claimRef.resourceVersion")
		unstructured.RemoveNestedField(object.Object, "metadata", "annotations", "pv.kubernetes.io/bound-by-controller")
	}
	return object
}

// volumesOf are the volumes of claims that somebody made by hand, as they are saved. Others are made anew for their claim.
func volumesOf(objects []*unstructured.Unstructured, volumes []corev1.PersistentVolume) (all []*unstructured.Unstructured) {
	for _, volume := range volumes {
		of := volume.Spec.ClaimRef
		if of == nil || volume.Annotations["pv.kubernetes.io/provisioned-by"] != "" || volume.DeletionTimestamp != nil {
			continue
		}
		claim := kube.Reference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: of.Namespace, Name: of.Name}
		if !slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return kube.Refer(o).Same(claim) }) {
			continue
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&volume)
		if err != nil {
			continue // a volume that was decoded can be encoded
		}
		object := &unstructured.Unstructured{Object: content}
		object.SetAPIVersion("v1")
		object.SetKind("PersistentVolume")
		all = append(all, portable(object))
	}
	return all
}

// withoutToken removes the volume that the API server adds to every pod for the service account's token.
func withoutToken(pod *unstructured.Unstructured) {
	const prefix = "kube-api-access-"
	drop := func(list []any) []any {
		return slices.DeleteFunc(list, func(element any) bool {
			fields, _ := element.(map[string]any)
			name, _ := fields["name"].(string)
			return strings.HasPrefix(name, prefix)
		})
	}
	if volumes, found, _ := unstructured.NestedSlice(pod.Object, "spec", "volumes"); found {
		unstructured.SetNestedSlice(pod.Object, drop(volumes), "spec", "volumes")
	}
	for _, kind := range []string{"containers", "initContainers"} {
		containers, _, _ := unstructured.NestedSlice(pod.Object, "spec", kind)
		for _, container := range containers {
			fields, _ := container.(map[string]any)
			if mounts, ok := fields["volumeMounts"].([]any); ok {
				fields["volumeMounts"] = drop(mounts)
			}
		}
		if len(containers) > 0 {
			unstructured.SetNestedSlice(pod.Object, containers, "spec", kind)
		}
	}
}

// savedLab is the content of a saved file.
type savedLab struct {
	state   State
	objects []*unstructured.Unstructured
	// touched are hellolab's objects that the user has changed: "configmap/hellok8s-config -n dev".
	touched []string
	// apart says that these are objects that had to go for something else: they come back beside what is there.
	apart bool
}

// open reads a saved file, and refuses any other.
func (l *Labs) open(file string) (lab savedLab, err error) {
	save := messages.Hellolab("lab", "save")
	content, err := os.ReadFile(file)
	if err != nil {
		return lab, messages.Usagef("%s cannot be read", file).Because(err).WithHint("name a file that %s wrote", save)
	}
	content = strict.Plain(content) // editors and git may have changed the ends of its lines
	line, body, _ := bytes.Cut(content, []byte("\n"))
	sum, found := strings.CutPrefix(strings.TrimSuffix(string(line), "\r"), firstWords)
	if !found {
		sum, lab.apart = strings.CutPrefix(strings.TrimSuffix(string(line), "\r"), firstWordsApart)
	}
	if !found && !lab.apart {
		return lab, messages.Usagef("%s is not a file that %s wrote", file, save).
			WithHint("%s writes one; for other YAML, use %s", save.Usage("FILE"), messages.Kubectl("", "apply", "-f", file))
	}
	if actual := sha256.Sum256(body); hex.EncodeToString(actual[:]) != sum {
		return lab, messages.Usagef("%s is damaged or has been changed: its content is not what was saved", file).
			WithHint("get the original file again; or copy what you need of it to another file, and use %s", messages.Kubectl("", "apply", "-f").Usage("FILE"))
	}
	documents, err := strict.Documents(file, body, strict.Saved)
	if err != nil {
		return lab, err
	}
	for _, document := range documents {
		object, err := course.DecodeObject(document)
		if err != nil {
			return lab, messages.Usagef("%s is not YAML", file).Because(err)
		}
		lab.objects = append(lab.objects, object)
	}
	if lab.apart {
		return lab, within(file, lab)
	}
	return l.unpack(file, lab)
}

// within refuses a file of kept objects that has some where no course's may be.
func within(file string, lab savedLab) error {
	for _, object := range lab.objects {
		name := placeOf(object)
		if name == "" || course.Reserved(name) {
			return messages.Usagef("%s holds %s, which is no course's", file, kube.Refer(object)).
				WithHint("use %s, if that is what you want", messages.Kubectl("", "apply", "--server-side", "-f", file))
		}
	}
	return nil
}

// placeOf is the namespace that an object is in, or is, or is a volume for; "" where it belongs to the whole cluster.
func placeOf(object *unstructured.Unstructured) string {
	switch object.GetKind() {
	case "Namespace":
		return object.GetName()
	case "PersistentVolume":
		name, _, _ := unstructured.NestedString(object.Object, "spec", "claimRef", "namespace")
		return name
	}
	return object.GetNamespace()
}

// unpack reads the header off the objects, and refuses a file of another course.
func (l *Labs) unpack(file string, lab savedLab) (savedLab, error) {
	foreign := func(why messages.Text) error {
		return messages.Usagef("%s was saved from another course: %s", file, why).WithHint("name the course that it is from: --course DIR")
	}
	if len(lab.objects) == 0 || lab.objects[0].GetKind() != savedKind || lab.objects[0].GetAPIVersion() != savedSchema {
		return lab, foreign(messages.T("it does not name this one"))
	}
	header := lab.objects[0]
	lab.objects = lab.objects[1:]
	lab.state.Step, _, _ = unstructured.NestedString(header.Object, "step")
	lab.state.Before, _, _ = unstructured.NestedBool(header.Object, "before")
	lab.state.Installing, _, _ = unstructured.NestedBool(header.Object, "installing")
	lab.state.Passed, _, _ = unstructured.NestedStringSlice(header.Object, "passed")
	lab.touched, _, _ = unstructured.NestedStringSlice(header.Object, "touched")
	if lab.state.Step != "" {
		if _, err := l.Course.Find(lab.state.Step); err != nil {
			return lab, foreign(messages.T("it has a step %s", lab.state.Step))
		}
	}
	for _, object := range lab.objects {
		name := placeOf(object)
		if !slices.Contains(l.Course.Namespaces, name) {
			return lab, foreign(messages.T("it has a namespace %s", name))
		}
		if object.GetLabels()[kube.ChapterLabel] != "" {
			lab.state.Objects = append(lab.state.Objects, kube.Refer(object))
		}
	}
	return lab, nil
}

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
		l.Story.Say(messages.T("not every image can be had: %s", err))
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
		if err := l.Cluster.Retry(ctx, func(ctx context.Context) error { return l.write(ctx, passedManager, passedKey, lab.state.Passed) }); err != nil {
			return err
		}
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
	if err = l.carryOut(ctx, plan); err == nil {
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
