package labs

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
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
	marks := []byte("{}")
	if len(state.Marks) > 0 {
		marks, _ = json.Marshal(state.Marks) // a map of such structs always can be
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": savedSchema, "kind": savedKind,
		"metadata":   map[string]any{"name": stateName},
		"namespaces": text(l.Course.Namespaces), "step": state.Step, "before": state.Before, "installing": state.Installing,
		"marks": string(marks), "touched": text(touched),
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
