package course

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/messages"
)

// Danger is what an object could do beyond the containers and the namespaces that a course works with: to the node, to the
// rest of the cluster, or to the lab's own parts.
type Danger struct {
	// Object as kubectl names it: "pod/web -n dev".
	Object string
	What   messages.Text
}

// Text is the danger as a line.
func (d Danger) Text() messages.Text { return messages.T("%s: %s", d.Object, d.What) }

// Dangers lists those of everything that is applied on the way to the snapshot.
func (s *Snapshot) Dangers() []Danger {
	var all []*unstructured.Unstructured
	for _, manifest := range s.Given {
		all = append(all, manifest.Objects...)
	}
	return Dangers(append(all, objectsOf(s.Actions)...))
}

// Dangers lists those of objects, each once.
func Dangers(objects []*unstructured.Unstructured) (all []Danger) {
	known := map[string]bool{}
	for _, object := range objects {
		for _, what := range dangersOf(object) {
			danger := Danger{called(object), what}
			if line := danger.Text().String(); !known[line] {
				known[line] = true
				all = append(all, danger)
			}
		}
		if items, isList := object.Object["items"].([]any); isList { // kubectl takes a List for what is in it
			all = append(all, Dangers(inList(items))...)
		}
	}
	return all
}

func inList(items []any) (all []*unstructured.Unstructured) {
	for _, item := range items {
		if fields, ok := item.(map[string]any); ok {
			all = append(all, &unstructured.Unstructured{Object: fields})
		}
	}
	return all
}

// called is an object as kubectl names it.
func called(object *unstructured.Unstructured) string {
	name := strings.ToLower(object.GetKind()) + "/" + object.GetName()
	if object.GetNamespace() != "" {
		name += " -n " + object.GetNamespace()
	}
	return name
}

// dangersOf lists those of one object.
func dangersOf(object *unstructured.Unstructured) (all []messages.Text) {
	namespace := object.GetNamespace()
	if object.GetKind() == "Namespace" {
		namespace = object.GetName()
	} else if clusterWide(object) {
		all = append(all, messages.T("it is of the whole cluster"))
	}
	if Reserved(namespace) {
		all = append(all, messages.T("the namespace %s belongs to the lab itself", namespace))
	}
	switch object.GetKind() {
	case "RoleBinding": // whoever may make pods in a namespace may make privileged ones
		kind, _, _ := unstructured.NestedString(object.Object, "roleRef", "kind")
		role, _, _ := unstructured.NestedString(object.Object, "roleRef", "name")
		all = append(all, messages.T("it gives the rights of %s %s", kind, role))
	case "Service":
		if addresses, found, _ := unstructured.NestedSlice(object.Object, "spec", "externalIPs"); found && len(addresses) > 0 {
			all = append(all, messages.T("it takes over what goes to %v", addresses))
		}
	}
	return append(all, inPods(object.Object)...)
}

// Reserved reports whether a namespace holds what makes the lab work.
func Reserved(namespace string) bool {
	return strings.HasPrefix(namespace, "kube-") || slices.Contains([]string{"hellolab", "ingress-nginx", "local-path-storage"}, namespace)
}

// inPods looks for dangers in what has containers, anywhere in an object: a pod is part of objects of many kinds. They are
// what Kubernetes' "baseline" forbids (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
func inPods(value any) (all []messages.Text) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			all = append(all, inPods(element)...)
		}
	case map[string]any:
		if value["containers"] != nil || value["initContainers"] != nil || value["ephemeralContainers"] != nil {
			all = append(all, inPod(value)...)
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			all = append(all, inPods(value[key])...)
		}
	}
	return all
}

// inPod looks for dangers in the spec of a pod.
func inPod(spec map[string]any) (all []messages.Text) {
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if spec[key] == true {
			all = append(all, messages.T("%s: it is not kept apart from the node", key))
		}
	}
	for _, volume := range groups(spec["volumes"]) {
		if source, ok := volume["hostPath"].(map[string]any); ok {
			all = append(all, messages.T("hostPath: it reads and writes %v of the node", source["path"]))
		}
	}
	all = append(all, privileges(spec)...)
	for _, key := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range groups(spec[key]) {
			all = append(all, privileges(container)...)
			for _, port := range groups(container["ports"]) {
				if number := port["hostPort"]; number != nil && Leaf(number) != "0" {
					all = append(all, messages.T("hostPort: it takes the port %v of the node", number))
				}
			}
		}
	}
	return all
}

// privileges are those that the securityContext of a pod or a container asks for.
func privileges(of map[string]any) (all []messages.Text) {
	context, _ := of["securityContext"].(map[string]any)
	if context["privileged"] == true {
		all = append(all, messages.T("privileged: it has the rights of root on the node"))
	}
	capabilities, _ := context["capabilities"].(map[string]any)
	if added, ok := capabilities["add"].([]any); ok && len(added) > 0 {
		all = append(all, messages.T("it has added capabilities: %v", added))
	}
	if mount := context["procMount"]; mount != nil && mount != "Default" {
		all = append(all, messages.T("procMount: it sees all of the node's /proc"))
	}
	windows, _ := context["windowsOptions"].(map[string]any)
	if windows["hostProcess"] == true {
		all = append(all, messages.T("hostProcess: it has the rights of the node"))
	}
	return all
}

// groups are the groups in a list.
func groups(list any) (all []map[string]any) {
	elements, _ := list.([]any)
	for _, element := range elements {
		if group, ok := element.(map[string]any); ok {
			all = append(all, group)
		}
	}
	return all
}
