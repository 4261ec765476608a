package check

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// How much is shown of a failure: events of a namespace, and lines of a pod's log.
const (
	lastEvents = 5
	lastLines  = 3
)

// Evidence is what the cluster reports about a step that was not met in time: the newest warnings, and the last lines of the
// logs of the pods that are not Ready. What cannot be read is left out.
func (c *Checker) Evidence(ctx context.Context, step *course.Step) (all []error) {
	var namespaces []string
	for _, object := range step.Snapshot().Objects {
		if namespace := object.GetNamespace(); namespace != "" && !slices.Contains(namespaces, namespace) {
			namespaces = append(namespaces, namespace)
		}
	}
	for _, namespace := range namespaces {
		events, err := kube.Events(ctx, c.Cluster, namespace, "type=Warning")
		if err != nil {
			continue
		}
		events = slices.DeleteFunc(events, func(event corev1.Event) bool { return event.InvolvedObject.Kind == "Node" })
		for _, event := range events[max(0, len(events)-lastEvents):] {
			about := strings.ToLower(event.InvolvedObject.Kind) + "/" + event.InvolvedObject.Name
			all = append(all, messages.Errorf("event of %s: %s", about, firstLine(event.Message)))
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

// lastWords are the last lines that a pod has printed: those of the first container that is not ready.
func (c *Checker) lastWords(ctx context.Context, pod corev1.Pod) []string {
	container, tail := firstContainer(pod), int64(lastLines)
	for _, status := range pod.Status.ContainerStatuses {
		if !status.Ready {
			container = status.Name
			break
		}
	}
	options := &corev1.PodLogOptions{Container: container, TailLines: &tail}
	log, err := c.Cluster.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).DoRaw(ctx)
	if err != nil || len(log) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(log)), "\n")
}
