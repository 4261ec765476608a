package course

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// clusterWide reports whether an object is one of the whole cluster, in no namespace. Only Kubernetes' own kinds are
// known here: a CustomResourceDefinition, which brings others, is of the whole cluster itself.
func clusterWide(object *unstructured.Unstructured) bool {
	kind := object.GroupVersionKind().GroupKind()
	return slices.Contains(clusterKinds()[kind.Group], kind.Kind)
}

// clusterKinds are the kinds without a namespace, by their API group
// (https://kubernetes.io/docs/reference/kubernetes-api/).
func clusterKinds() map[string][]string {
	return map[string][]string{
		"":                     {"Namespace", "Node", "PersistentVolume"},
		"apiextensions.k8s.io": {"CustomResourceDefinition"},
		"admissionregistration.k8s.io": {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy",
			"ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
		"apiregistration.k8s.io":       {"APIService"},
		"certificates.k8s.io":          {"CertificateSigningRequest", "ClusterTrustBundle"},
		"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
		"networking.k8s.io":            {"IngressClass", "IPAddress", "ServiceCIDR"},
		"node.k8s.io":                  {"RuntimeClass"},
		"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
		"resource.k8s.io":              {"DeviceClass", "ResourceSlice"},
		"scheduling.k8s.io":            {"PriorityClass"},
		"storage.k8s.io":               {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"},
	}
}
