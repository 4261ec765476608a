package check

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// How much of what the cluster says is shown of a failure.
const (
	lastEvents = 5
	lastLines  = 3
)

// Evidence is what the cluster says about a step that does not come true in time: the newest warnings, and the last
// words of the pods that are not Ready. What cannot be read is left out.
func (c *Checker) Evidence(ctx context.Context, step *course.Step) (all []error) {
	var namespaces []string
	for _, object := range step.Snapshot().Objects {
		if namespace := object.GetNamespace(); namespace != "" && !slices.Contains(namespaces, namespace) {
			namespaces = append(namespaces, namespace)
		}
	}
	for _, namespace := range namespaces {
		events, err := c.Cluster.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
		if err != nil {
			continue
		}
		events.Items = slices.DeleteFunc(events.Items, func(event corev1.Event) bool { return event.InvolvedObject.Kind == "Node" })
		slices.SortFunc(events.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
		for _, event := range events.Items[max(0, len(events.Items)-lastEvents):] {
			all = append(all, messages.Errorf("event of %s: %s", strings.ToLower(event.InvolvedObject.Kind)+"/"+event.InvolvedObject.Name, firstLine(event.Message)))
		}
		pods, err := c.listPods(ctx, namespace, "")
		if err != nil {
			continue
		}
		for _, pod := range pods {
			if ready(pod) || pod.Status.Phase == corev1.PodSucceeded {
				continue
			}
			for _, line := range c.lastWords(ctx, pod) {
				all = append(all, messages.Errorf("log of pod/%s: %s", pod.Name, line))
			}
		}
	}
	return all
}

func (c *Checker) lastWords(ctx context.Context, pod corev1.Pod) []string {
	tail := int64(lastLines)
	log, err := c.Cluster.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{TailLines: &tail}).DoRaw(ctx)
	if err != nil || len(log) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(log)), "\n")
}
