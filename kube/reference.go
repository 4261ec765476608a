package kube

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/messages"
)

// Reference names an object; with a UID, that very one and none that comes after it under the same name.
type Reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

// Refer returns the reference to an object.
func Refer(object *unstructured.Unstructured) Reference {
	return Reference{object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName(), string(object.GetUID())}
}

// String is how people know the object: "deployment/hellok8s-deployment -n dev".
func (r Reference) String() string {
	name := r.kindName()
	if r.Namespace != "" && r.Namespace != metav1.NamespaceDefault {
		name += " -n " + r.Namespace
	}
	return name
}

// kindName is the object as an argument of kubectl's.
func (r Reference) kindName() string { return strings.ToLower(r.Kind) + "/" + r.Name }

// Describe is the command that shows everything about the object: kubectl get REFERENCE -o yaml.
func (r Reference) Describe() messages.Command {
	return messages.Kubectl(r.Namespace, "get", r.kindName(), "-o", "yaml")
}

// Remove is the command that removes the object.
func (r Reference) Remove() messages.Command {
	return messages.Kubectl(r.Namespace, "delete", r.argument())
}

// free is the command that takes the object's finalizers away.
func (r Reference) free() messages.Command {
	return messages.Kubectl(r.Namespace, "patch", r.argument(), "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
}

// argument is kindName with the group of a kind that is not Kubernetes' own: others may have a kind of that name.
func (r Reference) argument() string {
	if name := group(r.APIVersion); strings.Contains(name, ".") && !strings.HasSuffix(name, ".k8s.io") {
		return strings.ToLower(r.Kind) + "." + name + "/" + r.Name
	}
	return r.kindName()
}

// Same reports whether both name an object of one kind, namespace and name, in whatever version of its API.
func (r Reference) Same(other Reference) bool {
	return r.Kind == other.Kind && r.Namespace == other.Namespace && r.Name == other.Name && group(r.APIVersion) == group(other.APIVersion)
}

func group(apiVersion string) string {
	name, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return name
}
