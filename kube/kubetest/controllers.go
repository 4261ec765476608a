package kubetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// revision is where Kubernetes writes the number of a Deployment's revision.
const revision = "deployment.kubernetes.io/revision"

// RunControllers has the server do at once what a cluster does after a while: namespaces get what pods need, Deployments
// get ReplicaSets with revisions and pods, pods are Ready, Jobs are complete.
func (s *Server) RunControllers() {
	s.Control(func(object *unstructured.Unstructured) {
		switch object.GetKind() {
		case "Namespace":
			s.supply(object.GetName())
		case "Deployment":
			s.rollOut(typed[appsv1.Deployment](s, object))
		case "ReplicaSet":
			s.scale(typed[appsv1.ReplicaSet](s, object))
		case "Pod":
			s.start(typed[corev1.Pod](s, object))
		case "Job":
			s.complete(typed[batchv1.Job](s, object))
		}
	})
}

// typed converts an object.
func typed[T any](s *Server, object *unstructured.Unstructured) *T {
	converted := new(T)
	s.check(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, converted))
	return converted
}

func (s *Server) supply(namespace string) {
	if s.Get("ServiceAccount", namespace, "default") == nil {
		s.Put(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}},
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kube-root-ca.crt"}})
	}
}

func (s *Server) rollOut(d *appsv1.Deployment) {
	if d.Status.ObservedGeneration == d.Generation || d.DeletionTimestamp != nil {
		return
	}
	hash := hashOf(d.Spec.Template)
	var current *appsv1.ReplicaSet
	latest := 0
	for _, set := range s.replicaSets(d) {
		number, _ := strconv.Atoi(set.Annotations[revision])
		latest = max(latest, number)
		if withoutHash(set.Spec.Template) == hash {
			current = set
			continue
		}
		set.Spec.Replicas = new(int32)
		s.Put(set)
	}
	if current == nil {
		current = newReplicaSet(d, hash)
	}
	if current.Annotations[revision] != strconv.Itoa(latest) || latest == 0 {
		current.Annotations[revision] = strconv.Itoa(latest + 1)
	}
	current.Spec.Replicas = d.Spec.Replicas
	s.Put(current)
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[revision] = current.Annotations[revision]
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: wanted, UpdatedReplicas: wanted, ReadyReplicas: wanted, AvailableReplicas: wanted,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}, {Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue}}}
	s.Put(d)
}

// replicaSets are those of a Deployment, and the orphans that it adopts.
func (s *Server) replicaSets(d *appsv1.Deployment) (all []*appsv1.ReplicaSet) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	s.check(err)
	for _, object := range s.objectsOf("ReplicaSet", d.Namespace) {
		set := typed[appsv1.ReplicaSet](s, object)
		switch owner := metav1.GetControllerOf(set); {
		case owner == nil && selector.Matches(labels.Set(set.Spec.Template.Labels)):
			set.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
		case owner == nil || owner.UID != d.UID:
			continue
		}
		if set.Annotations == nil {
			set.Annotations = map[string]string{}
		}
		all = append(all, set)
	}
	return all
}

func newReplicaSet(d *appsv1.Deployment, hash string) *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name + "-" + hash, Annotations: map[string]string{},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}}}
	set.Spec.Template = *d.Spec.Template.DeepCopy()
	set.Spec.Template.Labels = maps.Clone(d.Spec.Template.Labels)
	set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set.Labels = set.Spec.Template.Labels
	set.Spec.Selector = d.Spec.Selector.DeepCopy()
	if set.Spec.Selector.MatchLabels == nil {
		set.Spec.Selector.MatchLabels = map[string]string{}
	}
	set.Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return set
}

func (s *Server) scale(set *appsv1.ReplicaSet) {
	wanted := int32(1)
	if set.Spec.Replicas != nil {
		wanted = *set.Spec.Replicas
	}
	if set.Status.ObservedGeneration == set.Generation {
		return
	}
	for n := range max(wanted, set.Status.Replicas) {
		name := fmt.Sprintf("%s-%d", set.Name, n)
		there := s.Get("Pod", set.Namespace, name) != nil
		switch {
		case n >= wanted:
			s.Delete("Pod", set.Namespace, name)
		case !there:
			s.Put(&corev1.Pod{Spec: *set.Spec.Template.Spec.DeepCopy(), ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: name, Labels: set.Spec.Template.Labels,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}}})
		}
	}
	set.Status = appsv1.ReplicaSetStatus{ObservedGeneration: set.Generation, Replicas: wanted, ReadyReplicas: wanted, AvailableReplicas: wanted}
	s.Put(set)
}

func (s *Server) start(pod *corev1.Pod) {
	if pod.Status.Phase != "" {
		return
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for _, container := range pod.Spec.Containers {
		now := metav1.Now()
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: container.Name, Image: container.Image, Ready: true,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}})
	}
	s.Put(pod)
}

func (s *Server) complete(job *batchv1.Job) {
	if len(job.Status.Conditions) > 0 {
		return
	}
	job.Status.Succeeded = 1
	if job.Spec.Completions != nil {
		job.Status.Succeeded = *job.Spec.Completions
	}
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	s.Put(job)
}

// objectsOf are the objects of a kind in a namespace.
func (s *Server) objectsOf(kind, namespace string) (all []*unstructured.Unstructured) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for at, object := range s.objects {
		if object.GetKind() == kind && at.namespace == namespace {
			all = append(all, object.DeepCopy())
		}
	}
	return all
}

// withoutHash is the hash of a ReplicaSet's template as its Deployment has it.
func withoutHash(template corev1.PodTemplateSpec) string {
	template = *template.DeepCopy()
	delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return hashOf(template)
}

func hashOf(template corev1.PodTemplateSpec) string {
	content, _ := json.Marshal(template)
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:5])
}
