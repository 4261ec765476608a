package check

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// replaced looks for a pod that replaced a deleted one.
func (c *Checker) replaced(ctx context.Context, e *course.Reference) (Row, cause, error) {
	row := Row{Subject: messages.T("a deleted pod of deployment/%s", e.Name+inNamespace(e.Namespace)),
		Have: messages.T("none has been deleted yet"), Expected: messages.T("another one has come in its place")}
	sets, err := c.replicaSets(ctx, e.Namespace, e.Name)
	if err != nil || len(sets) == 0 {
		row.Have = messages.T("there is no Deployment of that name")
		return row, cause{}, err
	}
	list, err := c.Cluster.CoreV1().Pods(e.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return row, cause{}, err
	}
	taken := false // a pod has gone without having been deleted
	for _, set := range sets {
		pods := slices.DeleteFunc(slices.Clone(list.Items), func(pod corev1.Pod) bool { return !metav1.IsControlledBy(&pod, &set) })
		successor := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return ready(pod) && pod.DeletionTimestamp == nil })
		gone, other, err := c.gone(ctx, set, pods)
		if err != nil {
			return row, cause{}, err
		}
		taken = taken || other
		if successor >= 0 && gone {
			row.Met, row.Have = true, messages.T("%s has come", pods[successor].Name)
			return row, cause{}, nil
		}
	}
	if taken {
		return row, cause{why: messages.T("pods have gone, but nobody deleted them: the Deployment or its node gave them up (scaling, a rollout, an eviction)"),
			next: messages.Kubectl(e.Namespace, "delete", "pod", "-l", labelsOf(sets[0])).Text()}, nil
	}
	return row, cause{}, nil
}

// labelsOf are those by which a reader knows the pods of a Deployment's ReplicaSet.
func labelsOf(set appsv1.ReplicaSet) string {
	known := maps.Clone(set.Spec.Template.Labels)
	delete(known, appsv1.DefaultDeploymentUniqueLabelKey)
	return labels.Set(known).String()
}

// gone reports whether a pod of a ReplicaSet was deleted by somebody else than the ReplicaSet (which says so of those that it
// deletes itself, to scale down or to roll out), and whether others went.
//
// Events are kept for an hour. Once those of the ReplicaSet have expired, a pod that is younger than it is the only trace.
func (c *Checker) gone(ctx context.Context, set appsv1.ReplicaSet, pods []corev1.Pod) (deleted, other bool, err error) {
	all, err := kube.Events(ctx, c.Cluster, set.Namespace, "involvedObject.uid="+string(set.UID))
	if err != nil {
		return false, false, err
	}
	if len(all) == 0 {
		return slices.ContainsFunc(pods, func(pod corev1.Pod) bool {
			return ready(pod) && pod.CreationTimestamp.Sub(set.CreationTimestamp.Time) > settled
		}), false, nil
	}
	created, removed := named(all, "SuccessfulCreate"), named(all, "SuccessfulDelete")
	combined := len(removed) < times(all, "SuccessfulDelete") // Kubernetes folds many events into one, and their names are lost
	for _, name := range created {
		at := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return pod.Name == name })
		switch {
		case at >= 0 && pods[at].DeletionTimestamp == nil:
			continue
		case slices.Contains(removed, name) || combined || at >= 0 && disrupted(pods[at]):
			other = true
			continue
		}
		evicted, err := c.evicted(ctx, set, name)
		if err != nil {
			return false, false, err
		}
		deleted, other = deleted || !evicted, other || evicted
	}
	return deleted, other, nil
}

// named are the pods that a ReplicaSet's events of a reason name: "Created pod: web-1".
func named(events []corev1.Event, reason string) (all []string) {
	for _, event := range events {
		if _, name, found := strings.Cut(event.Message, " pod: "); found && event.Reason == reason {
			all = append(all, name)
		}
	}
	return all
}

// times is how often something has happened.
func times(events []corev1.Event, reason string) (n int) {
	for _, event := range events {
		if event.Reason == reason {
			n += max(1, int(event.Count))
		}
	}
	return n
}

// disrupted reports whether a pod goes because it was evicted
// (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions).
func disrupted(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.DisruptionTarget && condition.Status == corev1.ConditionTrue
	})
}

// evicted reports whether a pod that is no more was evicted: an event says so, or it was stopped while its node was cordoned. kubectl
// drain cordons a node first, and the eviction itself leaves no event; but then no node takes the pod that comes in its place.
func (c *Checker) evicted(ctx context.Context, set appsv1.ReplicaSet, name string) (bool, error) {
	events, err := kube.Events(ctx, c.Cluster, set.Namespace, "involvedObject.kind=Pod")
	if err != nil {
		return false, err
	}
	var stopped []time.Time
	for _, event := range events {
		switch {
		case event.InvolvedObject.Name != name:
		case slices.Contains([]string{"TaintManagerEviction", "Evicted", "Preempted", "Preempting"}, event.Reason):
			return true, nil
		case event.Reason == "Killing":
			stopped = append(stopped, event.FirstTimestamp.Time)
		}
	}
	return slices.ContainsFunc(events, func(event corev1.Event) bool {
		refused := event.Reason == "FailedScheduling" && strings.Contains(event.Message, "unschedulable") && strings.HasPrefix(event.InvolvedObject.Name, set.Name+"-")
		return refused && slices.ContainsFunc(stopped, func(at time.Time) bool { return event.CreationTimestamp.Sub(at).Abs() <= settled })
	}), nil
}
