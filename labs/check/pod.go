package check

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

func (c *Checker) ofPod(object *unstructured.Unstructured) look {
	return func(ctx context.Context) (cause, error) {
		pod, err := as[corev1.Pod](object)
		if err != nil || done(pod) {
			return cause{}, err
		}
		return c.podCause(ctx, pod)
	}
}

// done reports whether a pod needs no explanation: it works, and has not failed a moment ago.
func done(pod corev1.Pod) bool {
	flapping := slices.ContainsFunc(pod.Status.ContainerStatuses, failedLately)
	return ready(pod) && !flapping || pod.Status.Phase == corev1.PodSucceeded
}

// failedLately reports whether a container runs that has failed within the last minute.
func failedLately(status corev1.ContainerStatus) bool {
	ended := status.LastTerminationState.Terminated
	restarted := ended != nil && ended.Reason == "Unknown" // with its node, which the container knew nothing of
	return ended != nil && !restarted && ended.ExitCode != 0 && status.State.Running != nil && time.Since(ended.FinishedAt.Time) < time.Minute
}

func podReference(pod corev1.Pod) kube.Reference {
	return kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
}

// podsCause explains the first pod that is not Ready.
func (c *Checker) podsCause(ctx context.Context, pods []corev1.Pod) (cause, error) {
	var looks []look
	for _, pod := range pods {
		if !done(pod) {
			looks = append(looks, func(ctx context.Context) (cause, error) {
				found, err := c.podCause(ctx, pod)
				return found.through(podReference(pod)), err
			})
		}
	}
	return first(ctx, looks...)
}

// podCause explains a pod that is not Ready.
func (c *Checker) podCause(ctx context.Context, pod corev1.Pod) (cause, error) {
	looks := []look{
		func(ctx context.Context) (cause, error) { return c.volumesCause(ctx, pod) },
		func(ctx context.Context) (cause, error) { return c.unscheduled(ctx, pod) },
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		looks = append(looks, func(ctx context.Context) (cause, error) { return c.containerCause(ctx, pod, status) })
	}
	looks = append(looks, func(ctx context.Context) (cause, error) { return c.eventCause(ctx, pod) })
	found, err := first(ctx, looks...)
	if err == nil && (!found.found() || found.passing) && pod.Status.Phase == corev1.PodFailed && pod.Status.Message != "" { // evicted
		return cause{why: messages.T("pod %s: %s", pod.Name, pod.Status.Message), next: describe(pod.Namespace, "pod", pod.Name)}, nil
	}
	return found, err
}

// author is what has to be changed to change a pod: the controller that somebody made, or the pod itself.
func (c *Checker) author(ctx context.Context, pod corev1.Pod) kube.Reference {
	at := podReference(pod)
	owner := metav1.GetControllerOf(&pod)
	for owner != nil {
		above := kube.Reference{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: pod.Namespace, Name: owner.Name}
		object, err := c.Cluster.Get(ctx, above)
		if err != nil || object == nil {
			break
		}
		at, owner = above, metav1.GetControllerOf(object)
	}
	return at
}

// change is the command that changes how a pod is made. Of a pod without a controller nothing but the image can be changed.
func (c *Checker) change(ctx context.Context, pod corev1.Pod) messages.Text {
	author := c.author(ctx, pod)
	if author.Kind == "Pod" || author.Kind == "Job" {
		return describeIt(author)
	}
	return messages.Kubectl(author.Namespace, "edit", typed(author)).Text()
}

// volumesCause explains a pod that waits for a claim.
func (c *Checker) volumesCause(ctx context.Context, pod corev1.Pod) (cause, error) {
	if pod.Status.Phase == corev1.PodRunning {
		return cause{}, nil
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		r := kube.Reference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: pod.Namespace, Name: volume.PersistentVolumeClaim.ClaimName}
		claim, err := c.Cluster.Get(ctx, r)
		if err != nil {
			return cause{}, err
		}
		if claim == nil {
			return cause{why: messages.T("pod %s waits for the claim %s, which is not there", pod.Name, r.Name), next: c.change(ctx, pod)}, nil
		}
		if found, err := c.explain(ctx, claim); err != nil || found.found() {
			return found, err
		}
	}
	return cause{}, nil
}

// unscheduled explains a pod that no node takes.
func (c *Checker) unscheduled(ctx context.Context, pod corev1.Pod) (cause, error) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type != corev1.PodScheduled || condition.Status != corev1.ConditionFalse {
			continue
		}
		nodes, err := c.Cluster.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return cause{}, err
		}
		for _, node := range nodes.Items {
			if found := closed(node, pod.Spec.Tolerations); found.found() {
				found.why = messages.T("no node takes the pod %s: %s", pod.Name, found.why)
				return found, nil
			}
		}
		found := cause{why: messages.T("no node takes the pod %s: %s", pod.Name, condition.Message), next: c.change(ctx, pod)}
		return c.heldPort(ctx, pod, found)
	}
	return cause{}, nil
}

// closed explains a node that takes no pods with those tolerations.
func closed(node corev1.Node, tolerations []corev1.Toleration) cause {
	r := kube.Reference{APIVersion: "v1", Kind: "Node", Name: node.Name}
	if node.Spec.Unschedulable {
		return cause{why: messages.T("the node %s is cordoned", node.Name), next: messages.Kubectl("", "uncordon", node.Name).Text()}.through(r)
	}
	for _, taint := range node.Spec.Taints {
		tolerated := slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool { return tolerates(t, taint) })
		if taint.Effect == corev1.TaintEffectPreferNoSchedule || tolerated {
			continue
		}
		written := taint.ToString()
		if strings.HasPrefix(taint.Key, "node.kubernetes.io/") { // Kubernetes puts it there, and takes it away
			return cause{why: messages.T("the node %s is in trouble: %s", node.Name, written), next: describe("", "node", node.Name)}.through(r)
		}
		return cause{why: messages.T("the node %s has the taint %s", node.Name, written),
			next: messages.Kubectl("", "taint", "nodes", node.Name, written+"-").Text()}.through(r)
	}
	return cause{}
}

// tolerates is the rule of https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/ for "Equal" and "Exists".
func tolerates(t corev1.Toleration, taint corev1.Taint) bool {
	return (t.Effect == "" || t.Effect == taint.Effect) && (t.Key == taint.Key || t.Key == "" && t.Operator == corev1.TolerationOpExists) &&
		(t.Operator == corev1.TolerationOpExists || t.Value == taint.Value)
}

func (c *Checker) ofNode(object *unstructured.Unstructured) look {
	return func(ctx context.Context) (cause, error) {
		node, err := as[corev1.Node](object)
		if err != nil {
			return cause{}, err
		}
		if node.Spec.Unschedulable {
			return closed(node, nil), nil
		}
		return conditions(object)(ctx)
	}
}

// heldPort names the pod that has a port of the node that a pod wants.
func (c *Checker) heldPort(ctx context.Context, pod corev1.Pod, found cause) (cause, error) {
	wanted := hostPorts(pod)
	if len(wanted) == 0 {
		return found, nil
	}
	all, err := c.Cluster.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	for _, other := range all.Items {
		for _, port := range hostPorts(other) {
			if other.UID != pod.UID && other.Spec.NodeName != "" && slices.Contains(wanted, port) {
				found.why = messages.T("no node takes the pod %s: %s has the node's port %s (hostPort)", pod.Name, podReference(other), port)
				return found.through(podReference(other)), nil
			}
		}
	}
	return found, nil
}

// hostPorts are the ports of the node that a pod takes: "80/TCP".
func hostPorts(pod corev1.Pod) (all []string) {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.HostPort > 0 {
				all = append(all, fmt.Sprintf("%d/%s", port.HostPort, cmp.Or(port.Protocol, corev1.ProtocolTCP)))
			}
		}
	}
	return all
}

// containerCause explains a container that waits for something or has failed.
func (c *Checker) containerCause(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus) (cause, error) {
	ended := status.State.Terminated
	if waiting := status.State.Waiting; waiting != nil {
		switch waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
			return c.imageCause(ctx, pod, status)
		case "CreateContainerConfigError":
			return c.configCause(ctx, pod, waiting.Message)
		case "ContainerCreating", "PodInitializing":
			return beingMade(pod), nil
		}
		if ended = status.LastTerminationState.Terminated; ended == nil && waiting.Message != "" { // RunContainerError and the like
			return cause{why: messages.T("the container %s of pod %s cannot start: %s", status.Name, pod.Name, lastPart(waiting.Message)), next: c.change(ctx, pod)}, nil
		}
	}
	if failedLately(status) {
		ended = status.LastTerminationState.Terminated
	}
	switch {
	case ended == nil || ended.ExitCode == 0 && status.State.Waiting == nil && !goesOn(pod, status.Name):
		return cause{}, nil
	case ended.Reason == "StartError" || ended.Reason == "ContainerCannotRun":
		return cause{why: messages.T("the container %s of pod %s cannot start: %s", status.Name, pod.Name, lastPart(ended.Message)), next: c.change(ctx, pod)}, nil
	case ended.Reason == "OOMKilled":
		return c.hungryCause(ctx, pod, status.Name), nil
	}
	return c.exitCause(ctx, pod, status, ended)
}

// goesOn reports whether a container is one that is not meant to end.
func goesOn(pod corev1.Pod, container string) bool {
	return pod.Spec.RestartPolicy == corev1.RestartPolicyAlways && slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == container })
}

// beingMade tells what a pod that has just come waits for.
func beingMade(pod corev1.Pod) cause {
	for _, init := range pod.Status.InitContainerStatuses {
		if init.State.Running != nil && !init.Ready {
			return cause{why: messages.T("the pod %s waits for its init container %s, which has not ended", pod.Name, init.Name),
				next: logs(pod, init.Name, false), passing: true}
		}
	}
	return cause{why: messages.T("the pod %s is just being made", pod.Name),
		next: messages.Kubectl(pod.Namespace, "get", "pods", "--watch").Text(), passing: true}
}

// lastPart is the end of a message of the container runtime, which wraps its cause several times.
func lastPart(message string) string {
	if at := strings.LastIndex(message, "exec: "); at >= 0 {
		message = message[at:]
	}
	return firstLine(message)
}

// hungryCause explains a container that was killed for lack of memory.
func (c *Checker) hungryCause(ctx context.Context, pod corev1.Pod, name string) cause {
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		limit, limited := container.Resources.Limits[corev1.ResourceMemory]
		if container.Name != name || !limited {
			continue
		}
		next, author := describe(pod.Namespace, "pod", pod.Name), c.author(ctx, pod)
		if templated(author.Kind) && author.Kind != "Pod" && author.Kind != "Job" {
			double := limit.DeepCopy()
			double.Add(limit)
			next = messages.Kubectl(author.Namespace, "set", "resources", typed(author), "-c", name, "--limits=memory="+double.String()).Text()
		}
		return cause{why: messages.T("the container %s of pod %s was killed because it used more memory than its limit, %s", name, pod.Name, limit.String()), next: next}
	}
	return cause{why: messages.T("the container %s of pod %s was killed because the node had no memory left", name, pod.Name),
		next: describe(pod.Namespace, "pod", pod.Name)}
}

// eventCause explains a pod by the newest warning about a failure of it.
func (c *Checker) eventCause(ctx context.Context, pod corev1.Pod) (cause, error) {
	events, err := kube.Events(ctx, c.Cluster, pod.Namespace, "type=Warning,involvedObject.uid="+string(pod.UID))
	if err != nil {
		return cause{}, err
	}
	for _, event := range slices.Backward(events) {
		// "Failed" alone repeats what the container's state says, or tells of what was before it
		if event.Reason == "Unhealthy" || strings.HasPrefix(event.Reason, "Failed") && event.Reason != "FailedScheduling" && event.Reason != "Failed" {
			return cause{why: messages.T("pod %s: %s", pod.Name, firstLine(event.Message)), next: c.mount(pod, event.Message)}, nil
		}
	}
	return cause{}, nil
}

// mount is the command that makes what a volume lacks: kubelet's message is about a ConfigMap or a Secret that is not there.
func (c *Checker) mount(pod corev1.Pod, message string) messages.Text {
	if parts := missingConfig.FindStringSubmatch(message); parts != nil {
		return createConfig(pod, parts[1], parts[2])
	}
	return describe(pod.Namespace, "pod", pod.Name)
}

var (
	missingKey    = regexp.MustCompile(`(?i)key (\S+) in (configmap|secret) \S*?/(\S+)`)
	missingConfig = regexp.MustCompile(`(configmap|secret) "([^"]+)" not found`)
)

// configCause explains a container whose environment cannot be put together.
func (c *Checker) configCause(ctx context.Context, pod corev1.Pod, message string) (cause, error) {
	if parts := missingKey.FindStringSubmatch(message); parts != nil {
		kind := strings.ToLower(parts[2])
		return cause{why: messages.T("pod %s cannot start: its %s %s has no key %s", pod.Name, kind, parts[3], parts[1]),
			next: messages.Kubectl(pod.Namespace, "edit", kind, parts[3]).Text()}, nil
	}
	if parts := missingConfig.FindStringSubmatch(message); parts != nil {
		why := messages.T("pod %s cannot start: there is no %s %s in its namespace", pod.Name, parts[1], parts[2])
		r := kube.Reference{APIVersion: "v1", Kind: map[string]string{"configmap": "ConfigMap", "secret": "Secret"}[parts[1]], Namespace: pod.Namespace, Name: parts[2]}
		if there, err := c.Cluster.Get(ctx, r); err != nil || there != nil { // since a moment ago
			return beingMade(pod), err
		}
		if others := c.elsewhere(ctx, r); len(others) > 0 {
			why = messages.T("%s; there is one of that name in the namespace %s", why, others[0])
		}
		if file := c.fileOf(r); file != "" {
			return cause{why: why, next: messages.Kubectl(pod.Namespace, "apply", "-f", file).Text()}, nil
		}
		return cause{why: why, next: createConfig(pod, parts[1], parts[2])}, nil
	}
	return cause{why: messages.T("pod %s cannot start: %s", pod.Name, message), next: c.change(ctx, pod)}, nil
}

// fileOf is the file of the course's that has an object, or "".
func (c *Checker) fileOf(r kube.Reference) string {
	for _, chapter := range c.Course.Chapters {
		for _, step := range chapter.Steps {
			if file := step.Snapshot().FileOf(r.Kind, r.Namespace, r.Name); file != "" {
				return file
			}
		}
	}
	return ""
}

// createConfig is the command that creates a ConfigMap or a Secret with the keys that a pod reads, VALUE being each value.
func createConfig(pod corev1.Pod, kind, name string) messages.Text {
	words := []string{"create", kind, name}
	if kind == "secret" {
		words = []string{"create", kind, "generic", name}
	}
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, variable := range container.Env {
			key := ""
			switch from := variable.ValueFrom; {
			case from == nil:
			case from.ConfigMapKeyRef != nil && kind == "configmap" && from.ConfigMapKeyRef.Name == name:
				key = from.ConfigMapKeyRef.Key
			case from.SecretKeyRef != nil && kind == "secret" && from.SecretKeyRef.Name == name:
				key = from.SecretKeyRef.Key
			}
			if word := "--from-literal=" + key + "=VALUE"; key != "" && !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	return messages.Kubectl(pod.Namespace, words...).Text()
}

// exitCause explains a container that ended, by the probe that had it killed, or by the last line that it printed.
func (c *Checker) exitCause(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus, ended *corev1.ContainerStateTerminated) (cause, error) {
	if found, err := c.probed(ctx, pod, status); err != nil || found.found() {
		return found, err
	}
	lines, previous := int64(1), status.State.Terminated == nil
	log, err := c.Cluster.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: status.Name, TailLines: &lines, Previous: previous}).DoRaw(ctx)
	last := strings.TrimSpace(string(log))
	if err != nil || last == "" {
		last = firstLine(ended.Message)
	}
	found := cause{why: messages.T("the container %s of pod %s ended with status %v", status.Name, pod.Name, ended.ExitCode), next: logs(pod, status.Name, previous)}
	switch {
	case strings.Contains(last, "exec format error"):
		found.why = messages.T("the container %s of pod %s cannot start: its program is for another kind of processor than the node's (%s)", status.Name, pod.Name, last)
		found.next = c.getImage(status.Image)
	case ended.ExitCode == 0:
		found.why = messages.T("the container %s of pod %s has nothing more to do and ends, and is started again and again", status.Name, pod.Name)
		found.next = c.change(ctx, pod)
	case last != "":
		found.why = messages.T("the container %s of pod %s ended with status %v; its last output: %s", status.Name, pod.Name, ended.ExitCode, last)
	}
	return found, nil
}

// probed explains a container that kubelet has killed because its liveness or startup probe failed.
func (c *Checker) probed(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus) (cause, error) {
	if pod.UID == "" {
		return cause{}, nil
	}
	events, err := kube.Events(ctx, c.Cluster, pod.Namespace, "involvedObject.uid="+string(pod.UID))
	if err != nil {
		return cause{}, err
	}
	killed, said := false, ""
	for _, event := range events {
		about := strings.Contains(event.InvolvedObject.FieldPath, "{"+status.Name+"}")
		killed = killed || about && event.Reason == "Killing" && strings.Contains(event.Message, "probe")
		if about && event.Reason == "Unhealthy" && !strings.HasPrefix(event.Message, "Readiness") {
			said = firstLine(event.Message)
		}
	}
	if !killed || said == "" {
		return cause{}, nil
	}
	return cause{why: messages.T("the container %s of pod %s is restarted again and again: %s", status.Name, pod.Name, said), next: c.change(ctx, pod)}, nil
}
