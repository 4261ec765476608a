package labs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// A saved file is YAML that kubectl can read, below one line that says what it is and what its content's SHA-256 is.
const (
	firstWords  = "# hellolab lab save 1 sha256:"
	savedKind   = "SavedLab"
	savedSchema = "hellolab/v1"
)

// Save writes the state of the course's namespaces into a file: what the reader or hellolab made there, Secrets'
// content and the revisions of Deployments included. What programs have written into volumes is not in it. A file that is
// there already is kept unless force is set.
func (l *Labs) Save(ctx context.Context, file string, force bool) error {
	if _, err := os.Stat(file); err == nil && !force {
		return messages.Usagef("%s is there already", file).WithHint("name another file, or add --force to overwrite it")
	}
	objects, err := l.Cluster.List(ctx, l.Course.Namespaces, true)
	if err != nil {
		return err
	}
	namespaces, err := l.namespaces(ctx, l.Course.Namespaces)
	if err != nil {
		return err
	}
	state, err := l.State(ctx)
	if err != nil {
		return err
	}
	content, err := write(l.saved(state, namespaces, objects))
	if err != nil {
		return err
	}
	if err := replaceFile(file, content); err != nil {
		return messages.Errorf("the lab cannot be saved").Because(err).WithHint("name a file that you can write: hellolab lab save FILE")
	}
	return nil
}

// saved lists what goes into a file. What is on its way out does not, nor what is in a namespace that is.
func (l *Labs) saved(state State, namespaces []corev1.Namespace, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
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
			there = append(there, portable(object))
		}
	}
	return append([]*unstructured.Unstructured{l.header(state, kept)}, there...)
}

// header is the first object of a saved file: where hellolab finds the course's state again, and which of its objects
// the reader has changed.
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

// worthSaving reports whether an object of all those there is nobody's offspring, or holds a Deployment's revision. What
// is on its way out is not.
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

// portable is an object without what only its cluster gave it, so that another can take it. Its status stays, as the
// record of what to wait for.
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
	}
	return object
}

// withoutToken takes the volume away that the API server adds to every pod, for the service account's token.
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

// write puts objects into a saved file's form.
func write(objects []*unstructured.Unstructured) ([]byte, error) {
	body, err := encode(objects)
	sum := sha256.Sum256(body)
	return append([]byte(firstWords+hex.EncodeToString(sum[:])+"\n"), body...), err
}

// encode puts objects into YAML.
func encode(objects []*unstructured.Unstructured) ([]byte, error) {
	var body bytes.Buffer
	for _, object := range objects {
		body.WriteString("---\n")
		encoder := yaml.NewEncoder(&body)
		encoder.SetIndent(2)
		if err := encoder.Encode(object.Object); err != nil {
			return nil, err
		}
	}
	return body.Bytes(), nil
}

// replaceFile writes a file in one go: a program that is killed leaves the old one, or the new one. Others may not read
// it, since it holds Secrets.
func replaceFile(file string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // gone already, where all went well
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}

// writeAside keeps objects of the reader's that have to go, as YAML for kubectl apply, and gives the file's name.
func (l *Labs) writeAside(objects []*unstructured.Unstructured) (string, error) {
	var namespaces []string
	var saved []*unstructured.Unstructured
	for _, object := range objects {
		if name := object.GetNamespace(); name != metav1.NamespaceDefault && !slices.Contains(namespaces, name) {
			namespaces = append(namespaces, name)
			saved = append(saved, namespaceObject(corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
		}
		saved = append(saved, portable(object))
	}
	content, err := encode(saved)
	if err != nil {
		return "", err
	}
	return l.keep(".yaml", content)
}

// keep writes what is the reader's into a new file, whose name is the time, a number where that is taken, and an ending.
func (l *Labs) keep(ending string, content []byte) (string, error) {
	if err := os.MkdirAll(l.Saved, 0o700); err != nil {
		return "", err
	}
	now := filepath.Join(l.Saved, time.Now().Format("2006-01-02T15-04-05.000"))
	file := now + ending
	for n := 2; ; n++ {
		if _, err := os.Stat(file); err != nil {
			return file, replaceFile(file, content)
		}
		file = fmt.Sprintf("%s-%d%s", now, n, ending)
	}
}

// savedLab is what a saved file holds.
type savedLab struct {
	state   State
	objects []*unstructured.Unstructured
	// touched are hellolab's objects that the reader has changed: "configmap/hellok8s-config -n dev".
	touched []string
}

// open reads a saved file, and refuses what is none.
func (l *Labs) open(file string) (lab savedLab, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return lab, messages.Usagef("%s cannot be read", file).Because(err).WithHint("name a file that hellolab lab save wrote")
	}
	line, body, _ := bytes.Cut(content, []byte("\n"))
	sum, found := strings.CutPrefix(strings.TrimSuffix(string(line), "\r"), firstWords)
	if !found {
		return lab, messages.Usagef("%s is not a file that hellolab lab save wrote", file).WithHint("hellolab lab save FILE writes one; other YAML is for kubectl apply -f")
	}
	if actual := sha256.Sum256(body); hex.EncodeToString(actual[:]) != sum {
		return lab, messages.Usagef("%s is damaged or has been changed: its content is not what was saved", file).
			WithHint("get the file again, as it was saved; what it holds can be read, and kubectl apply -f takes the parts")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	for {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return lab, messages.Usagef("%s is not YAML", file).Because(err)
		}
		lab.objects = append(lab.objects, &unstructured.Unstructured{Object: course.Integers(object)})
	}
	return l.unpack(file, lab)
}

// unpack takes the header off the objects, and refuses what does not belong to the course.
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
		name := object.GetNamespace()
		if object.GetKind() == "Namespace" {
			name = object.GetName()
		}
		if !slices.Contains(l.Course.Namespaces, name) {
			return lab, foreign(messages.T("it has a namespace %s", name))
		}
		if object.GetLabels()[kube.ChapterLabel] != "" {
			lab.state.Objects = append(lab.state.Objects, kube.Refer(object))
		}
	}
	return lab, nil
}

// Restore brings the course's namespaces to what a saved file holds, on the lab that it was saved from or on another
// one. Objects of the reader's that are there are named and saved first. A Job that had finished runs once more.
func (l *Labs) Restore(ctx context.Context, file string) error {
	lab, err := l.open(file)
	if err != nil {
		return err
	}
	for _, object := range lab.objects {
		if err := l.Cluster.Knows(object); err != nil {
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
		if err := l.empty(ctx, lab.state); err != nil {
			return err
		}
		if err := l.recreate(ctx, lab); err != nil {
			return messages.Errorf("the lab is only half restored").Because(err).WithHint("run the same command again")
		}
		if err := l.write(ctx, passedManager, passedKey, lab.state.Passed); err != nil {
			return err
		}
		return l.remember(ctx, lab.state)
	})
}

// recreate makes objects in an order in which they find each other: what pods need first, then the revisions of
// Deployments with their pods and all else, which may need each other to get ready, then the Deployments, which take the
// revisions for their own.
func (l *Labs) recreate(ctx context.Context, lab savedLab) error {
	for now := range ranks {
		work, together := errgroup.WithContext(ctx)
		for _, object := range lab.objects {
			manager := kube.Owner
			if slices.Contains(lab.touched, kube.Refer(object).String()) {
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

// reader is the field manager of what the reader had changed before it was saved, so that it does not pass for
// untouched.
const reader = "reader"

// ranks is how many there are.
const ranks = 5

// rank orders the kinds for recreate.
func rank(kind string) int {
	switch kind {
	case "Namespace":
		return 0
	case "ServiceAccount": // which a Secret with its token does not live without
		return 1
	case "ConfigMap", "Secret", "Role", "RoleBinding", "PersistentVolumeClaim", "LimitRange", "ResourceQuota":
		return 2
	case "Deployment":
		return 4
	}
	return 3
}

func (l *Labs) recreateOne(parent context.Context, object *unstructured.Unstructured, manager string) error {
	ctx, cancel := l.within(parent)
	defer cancel()
	wanted := object.DeepCopy()
	unstructured.RemoveNestedField(wanted.Object, "status")
	var refused error
	err := await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
		_, err := l.Cluster.Create(ctx, wanted, manager)
		if err != nil && !kube.Passing(err) {
			refused = err
			return nil
		}
		return err
	})
	if err := errors.Join(refused, err); err != nil {
		return messages.Errorf("the API server does not take %s", kube.Refer(object)).Because(err)
	}
	if object.GetKind() == "Namespace" {
		return l.untilUsable(ctx, object.GetName())
	}
	l.untilAsSaved(ctx, object)
	return parent.Err()
}

// untilAsSaved waits until an object is as far as it was when it was saved. One that does not get there is told of: it is
// restored all the same.
func (l *Labs) untilAsSaved(ctx context.Context, saved *unstructured.Unstructured) {
	reference := kube.Refer(saved)
	fields := map[string][]string{
		"ReplicaSet": {"readyReplicas"}, "Deployment": {"readyReplicas", "updatedReplicas"}, "Job": {"succeeded"}, "Pod": {"phase"},
	}[saved.GetKind()]
	if len(fields) == 0 {
		return
	}
	err := await.Changes(ctx, time.Second, func(ctx context.Context) (bool, error) {
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
	}, l.Cluster.Changes()...)
	if err != nil && !errors.Is(err, context.Canceled) {
		l.Story.Say(messages.T("%s is there, but not yet as it was", reference))
	}
}

// asFar reports whether a field of a status has got to where it was: a number, or a pod's phase. It may be beyond that.
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
