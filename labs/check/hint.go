package check

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// The commands that rows suggest. Each has to work as it stands; where none would, the row falls back to the course's
// own hint, or to the step's guide.

// inNamespace is how the subject of a row names a namespace.
func inNamespace(namespace string) string {
	if namespace == "" || namespace == corev1.NamespaceDefault {
		return ""
	}
	return " -n " + namespace
}

// typed is how a command names an object: "deployment/web".
func typed(r kube.Reference) string { return strings.ToLower(r.Kind) + "/" + r.Name }

// describe is the command that shows all about an object.
func describe(namespace, kind, name string) messages.Text {
	return messages.Kubectl(namespace, "describe", kind, name).Text()
}

// logs is the command that shows what a container of a pod has printed, or its previous run.
func logs(pod corev1.Pod, container string, previous bool) messages.Text {
	words := []string{"logs", pod.Name}
	if len(pod.Spec.InitContainers)+len(pod.Spec.Containers) > 1 {
		words = append(words, "-c", container)
	}
	if previous {
		words = append(words, "--previous")
	}
	return messages.Kubectl(pod.Namespace, words...).Text()
}

// savedFile is the file of an object that a guide on the way to the step tells the user to save, or "". Objects that the
// chapter takes for granted have none.
func savedFile(step *course.Step, r kube.Reference) string {
	snapshot := step.Snapshot()
	file := snapshot.FileOf(r.Kind, r.Namespace, r.Name)
	mentioned := func(s *course.Step) bool {
		return strings.Contains(s.Guide.English, file) || strings.Contains(s.Guide.Chinese, file)
	}
	if file == "" || !slices.ContainsFunc(snapshot.Steps, mentioned) {
		return ""
	}
	return file
}

// edit is the command that changes fields of an object. An object with a field that cannot be changed has to be made anew
// from its file, which may have the same fault.
func edit(step *course.Step, object *unstructured.Unstructured, fields ...difference) messages.Text {
	r := kube.Refer(object)
	if !slices.ContainsFunc(fields, func(d difference) bool { return immutable(object, d) }) {
		return messages.Kubectl(r.Namespace, "edit", typed(r)).Text()
	}
	if file := savedFile(step, r); file != "" {
		return messages.T("compare %s with the guide, then run %s", file, messages.Kubectl(r.Namespace, "replace", "--force", "-f", file))
	}
	return messages.Text{}
}

// immutable reports whether the API server refuses to change a field.
func immutable(object *unstructured.Unstructured, d difference) bool {
	under := func(paths ...string) bool { return slices.ContainsFunc(paths, d.under) }
	switch object.GetKind() {
	case "Pod":
		return under("spec") && d.last() != "image"
	case "Job":
		return under("spec.template", "spec.selector", "spec.completions", "spec.completionMode")
	case "Deployment", "ReplicaSet", "DaemonSet":
		return under("spec.selector")
	case "StatefulSet":
		return under("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates", "spec.podManagementPolicy")
	case "PersistentVolumeClaim":
		return under("spec") && !under("spec.resources")
	case "RoleBinding", "ClusterRoleBinding":
		return under("roleRef")
	case "ConfigMap", "Secret":
		return under("type") || object.Object["immutable"] == true && under("data", "binaryData", "immutable")
	}
	return false
}

// scale is the command that brings a workload to the expected number of pods, or none where that is not a number.
func scale(r kube.Reference, d difference) (command messages.Text, found bool) {
	number := strings.TrimPrefix(d.expected, "≥ ")
	if _, err := strconv.Atoi(number); err != nil {
		return messages.Text{}, false
	}
	return messages.Kubectl(r.Namespace, "scale", typed(r), "--replicas="+number).Text(), true
}

// setImage is the command that gives a container the image that the step's manifests have.
func setImage(step *course.Step, object *unstructured.Unstructured, d difference) messages.Text {
	container, image := containerOf(object, d), imageOf(step, d)
	if container == "" || image == "" || !templated(object.GetKind()) || immutable(object, d) {
		return edit(step, object, d)
	}
	r := kube.Refer(object)
	return messages.Kubectl(r.Namespace, "set", "image", typed(r), container+"="+image).Text()
}

// templated reports whether kubectl set image knows where a kind has its containers.
func templated(kind string) bool {
	return slices.Contains([]string{"Pod", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "CronJob", "Job"}, kind)
}

var imagePath = regexp.MustCompile(`^(.*\b(?:initContainers|containers))\[([^\]]+)\]\.image$`)

// containerOf is the name of the container that the path of an image leads to, or "" where it leads to none for sure:
// containers without a name in the expectation are numbered.
func containerOf(object *unstructured.Unstructured, d difference) string {
	path := imagePath.FindStringSubmatch(d.path)
	if path == nil {
		return ""
	}
	list, _, _ := unstructured.NestedFieldNoCopy(object.Object, strings.Split(path[1], ".")...)
	containers, _ := list.([]any)
	var names []string
	for _, container := range containers {
		if fields, ok := container.(map[string]any); ok {
			names = append(names, course.Leaf(fields["name"]))
		}
	}
	switch {
	case slices.Contains(names, path[2]):
		return path[2]
	case len(names) == 1:
		return names[0]
	}
	return ""
}

// imageOf is the full name of an expected image, as the manifests of the course have it, or "".
func imageOf(step *course.Step, d difference) string {
	for _, known := range step.Snapshot().Images {
		if known == d.expected || course.MatchImage(d.expected, known) {
			return known
		}
	}
	return ""
}

// setSelector is the command that corrects one label of a Service's selector, or none where a pattern is expected. kubectl
// replaces the whole selector, so the command repeats the other labels.
func setSelector(object *unstructured.Unstructured, d difference) (command messages.Text, found bool) {
	key, labelled := strings.CutPrefix(d.path, "spec.selector")
	if !labelled || key == "" || len(validation.IsValidLabelValue(d.expected)) > 0 {
		return messages.Text{}, false
	}
	selector, _, _ := unstructured.NestedStringMap(object.Object, "spec", "selector")
	if selector == nil {
		selector = map[string]string{}
	}
	selector[d.last()] = d.expected
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		pairs = append(pairs, key+"="+selector[key])
	}
	return messages.Kubectl(object.GetNamespace(), "set", "selector", "service", object.GetName(), strings.Join(pairs, ",")).Text(), true
}
