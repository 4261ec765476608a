package check

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// missing explains an object that does not exist.
func (c *Checker) missing(ctx context.Context, step *course.Step, r kube.Reference) cause {
	file := savedFile(step, r)
	if file == "" {
		return cause{}
	}
	found := cause{next: messages.Kubectl(r.Namespace, "apply", "-f", file).Text()}
	if r.Namespace == "" {
		return found
	}
	for _, namespace := range c.Course.Namespaces {
		elsewhere := r
		if elsewhere.Namespace = namespace; namespace == r.Namespace || step.Snapshot().FileOf(r.Kind, namespace, r.Name) != "" {
			continue
		}
		if other, err := c.Cluster.Get(ctx, elsewhere); err == nil && other != nil {
			found.why = messages.T("there is one of that name in the namespace %s", namespace)
		}
	}
	return found
}

// why finds the cause of an object's differences: first in what its author wrote, then in what became of it.
func (c *Checker) why(ctx context.Context, step *course.Step, object *unstructured.Unstructured, differences []difference) (cause, error) {
	written := slices.DeleteFunc(slices.Clone(differences), func(d difference) bool { return d.under("status") })
	running, err := c.runningCause(ctx, object)
	if err != nil {
		return cause{}, err
	}
	if len(written) == 0 {
		return running, nil
	}
	found, err := c.writtenCause(ctx, step, object, written)
	if running.found() && written[0].last() == "image" {
		found.why = messages.T("%s; %s", found.why, running.why)
	}
	return found, err
}

// writtenCause explains the first of the fields that are written otherwise than expected.
func (c *Checker) writtenCause(ctx context.Context, step *course.Step, object *unstructured.Unstructured, written []difference) (cause, error) {
	d, kind := written[0], object.GetKind()
	change := edit(step, object, written...)
	switch {
	case d.path == "spec.replicas":
		if command, found := scale(kube.Refer(object), d); found {
			change = command
		}
		return cause{why: messages.T("it asks for %s pods", d.shown()), next: change}, nil
	case d.last() == "image":
		return cause{why: messages.T("its container runs the image %s", d.shown()), next: setImage(step, object, d)}, nil
	case kind == "Service":
		return c.serviceWrittenCause(ctx, object, d, change)
	case kind == "Ingress" && strings.Contains(d.path, ".backend.service"):
		if found, err := c.backendCause(ctx, step, object); err != nil || found.found() {
			return found, err
		}
	case strings.Contains(d.path, "Probe"):
		return cause{why: probeCause(d), next: change}, nil
	case d.under("data"):
		return cause{why: dataCause(object, d), next: change}, nil
	}
	return cause{why: fieldCause(d), next: change}, nil
}

// fieldCause explains a field of which nothing else is known.
func fieldCause(d difference) messages.Text {
	if d.have == nil {
		return messages.T("the field %s is missing", shorten(d.path))
	}
	return messages.T("the field %s is %s", shorten(d.path), d.shown())
}

// probeCause explains a container's probe.
func probeCause(d difference) messages.Text {
	probe := regexp.MustCompile(`\w+Probe`).FindString(d.path)
	if d.have == nil {
		return messages.T("it has no %s like that", probe)
	}
	return messages.T("the %s has %s %s, not %s", probe, d.last(), d.shown(), d.wanted())
}

// dataCause explains a ConfigMap's or a Secret's data.
func dataCause(object *unstructured.Unstructured, d difference) messages.Text {
	switch {
	case d.have != nil && d.secret:
		return messages.T("the value of %s is another one", d.last())
	case d.have != nil:
		return messages.T("the value of %s is %s", d.last(), d.shown())
	}
	data, _, _ := unstructured.NestedMap(object.Object, "data")
	keys := []string{}
	for key := range data {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if len(keys) == 0 {
		return messages.T("the key %s is missing; there are no keys at all", d.last())
	}
	return messages.T("the key %s is missing; the keys that are there: %s", d.last(), keys)
}

// runningCause explains what became of an object.
func (c *Checker) runningCause(ctx context.Context, object *unstructured.Unstructured) (cause, error) {
	namespace := object.GetNamespace()
	switch object.GetKind() {
	case "Pod":
		pod, err := c.Cluster.CoreV1().Pods(namespace).Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			return cause{}, ignoreMissing(err)
		}
		return c.podsCause(ctx, []corev1.Pod{*pod})
	case "Deployment":
		selector, _, _ := unstructured.NestedStringMap(object.Object, "spec", "selector", "matchLabels")
		pods, err := c.listPods(ctx, namespace, labels.Set(selector).String())
		if err != nil {
			return cause{}, err
		}
		return c.podsCause(ctx, pods)
	case "Job":
		var job batchv1.Job
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &job); err != nil {
			return cause{}, err
		}
		return c.jobCause(ctx, namespace, job)
	}
	return cause{}, nil
}

func ignoreMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// podsCause explains the first pod that is not Ready, the newest being the first.
func (c *Checker) podsCause(ctx context.Context, pods []corev1.Pod) (cause, error) {
	for _, pod := range pods {
		if ready(pod) || pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		found, err := c.podCause(ctx, pod)
		if err != nil || found.found() {
			return found, err
		}
	}
	return cause{}, nil
}

// podCause explains a pod that is not Ready.
func (c *Checker) podCause(ctx context.Context, pod corev1.Pod) (cause, error) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return cause{why: messages.T("no node takes the pod %s: %s", pod.Name, condition.Message), next: describe(pod.Namespace, "pod", pod.Name)}, nil
		}
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if found, err := c.containerCause(ctx, pod, status); err != nil || found.found() {
			return found, err
		}
	}
	return c.eventCause(ctx, pod)
}

// containerCause explains a container that waits for something or has failed.
func (c *Checker) containerCause(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus) (cause, error) {
	ended := status.State.Terminated
	if waiting := status.State.Waiting; waiting != nil {
		switch waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
			return c.imageCause(ctx, pod, status)
		case "CreateContainerConfigError":
			return configCause(pod, waiting.Message), nil
		case "ContainerCreating", "PodInitializing":
			return cause{why: messages.T("the pod %s is just being made", pod.Name),
				next: messages.Kubectl(pod.Namespace, "get", "pods", "--watch").Text(), passing: true}, nil
		}
		ended = status.LastTerminationState.Terminated // CrashLoopBackOff
	}
	if ended != nil && ended.ExitCode != 0 {
		return c.exitCause(ctx, pod, status, ended)
	}
	return cause{}, nil
}

// eventCause explains a pod by the newest warning about a failure of it.
func (c *Checker) eventCause(ctx context.Context, pod corev1.Pod) (cause, error) {
	events, err := kube.Events(ctx, c.Cluster, pod.Namespace, "type=Warning,involvedObject.uid="+string(pod.UID))
	if err != nil {
		return cause{}, err
	}
	for _, event := range slices.Backward(events) {
		if event.Reason == "Unhealthy" || strings.HasPrefix(event.Reason, "Failed") {
			return cause{why: messages.T("pod %s: %s", pod.Name, firstLine(event.Message)), next: describe(pod.Namespace, "pod", pod.Name)}, nil
		}
	}
	return cause{}, nil
}

// imageCause explains an image that cannot be pulled.
func (c *Checker) imageCause(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus) (cause, error) {
	if found, err := c.Registry.HasImage(ctx, status.Image); err == nil && !found {
		return cause{why: messages.T("pod %s cannot pull %s: the registry %s has no such image", pod.Name, status.Image, c.Place.Registry),
			next: c.getImage(status.Image)}, nil
	}
	return cause{why: messages.T("pod %s cannot pull %s: %s", pod.Name, status.Image, firstLine(status.State.Waiting.Message)),
		next: describe(pod.Namespace, "pod", pod.Name)}, nil
}

// configCause explains a container whose environment cannot be put together.
func configCause(pod corev1.Pod, message string) cause {
	next := describe(pod.Namespace, "pod", pod.Name)
	if parts := regexp.MustCompile(`(?i)key (\S+) in (configmap|secret) \S*?/(\S+)`).FindStringSubmatch(message); parts != nil {
		kind := strings.ToLower(parts[2])
		return cause{why: messages.T("pod %s cannot start: its %s %s has no key %s", pod.Name, kind, parts[3], parts[1]),
			next: messages.Kubectl(pod.Namespace, "edit", kind, parts[3]).Text()}
	}
	if parts := regexp.MustCompile(`(configmap|secret) "(\S+)" not found`).FindStringSubmatch(message); parts != nil {
		return cause{why: messages.T("pod %s cannot start: there is no %s %s in its namespace", pod.Name, parts[1], parts[2]), next: next}
	}
	return cause{why: messages.T("pod %s cannot start: %s", pod.Name, message), next: next}
}

// exitCause explains a container that ended with an error, by the last line that it printed.
func (c *Checker) exitCause(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus, ended *corev1.ContainerStateTerminated) (cause, error) {
	lines, previous := int64(1), status.State.Terminated == nil
	log, err := c.Cluster.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: status.Name, TailLines: &lines, Previous: previous}).DoRaw(ctx)
	last := strings.TrimSpace(string(log))
	if err != nil || last == "" {
		last = firstLine(ended.Message)
	}
	why := messages.T("the container %s of pod %s ended with status %v", status.Name, pod.Name, ended.ExitCode)
	if last != "" {
		why = messages.T("the container %s of pod %s ended with status %v; its last words: %s", status.Name, pod.Name, ended.ExitCode, last)
	}
	return cause{why: why, next: logs(pod, status.Name, previous)}, nil
}

// jobCause explains a Job that does not succeed.
func (c *Checker) jobCause(ctx context.Context, namespace string, job batchv1.Job) (cause, error) {
	pods, err := c.listPods(ctx, namespace, batchv1.JobNameLabel+"="+job.Name)
	if err != nil {
		return cause{}, err
	}
	found, err := c.podsCause(ctx, pods)
	if err != nil || found.found() {
		return found, err
	}
	for _, condition := range job.Status.Conditions {
		if condition.Type == batchv1.JobFailed && condition.Status == corev1.ConditionTrue {
			return cause{why: messages.T("job %s has failed: %s", job.Name, condition.Message), next: describe(namespace, "job", job.Name)}, nil
		}
	}
	return cause{}, nil
}

// unanswered finds out why a web server does not answer as expected, along the path that a request takes.
func (c *Checker) unanswered(ctx context.Context, step *course.Step, namespace string, e *course.HTTP) (cause, error) {
	switch {
	case e.Ingress != "":
		return c.ingressCause(ctx, step, namespace, e.Ingress)
	case e.NodePort != "":
		return c.serviceCause(ctx, namespace, e.NodePort)
	case e.Service != "":
		return c.serviceCause(ctx, namespace, e.Service)
	case e.Pod != "":
		pod, err := c.Cluster.CoreV1().Pods(namespace).Get(ctx, e.Pod, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			missing := c.missing(ctx, step, kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: e.Pod})
			return cause{why: messages.T("there is no Pod %s", e.Pod), next: missing.next}, nil
		}
		if err != nil {
			return cause{}, err
		}
		return c.podsCause(ctx, []corev1.Pod{*pod})
	}
	pods, err := c.listPods(ctx, namespace, e.Pods)
	if err != nil {
		return cause{}, err
	}
	if len(pods) == 0 {
		return cause{why: messages.T("there are no pods with the label %s", e.Pods)}, nil
	}
	return c.podsCause(ctx, pods)
}

// serviceWrittenCause explains a field of a Service; change is the command that corrects it.
func (c *Checker) serviceWrittenCause(ctx context.Context, object *unstructured.Unstructured, d difference, change messages.Text) (cause, error) {
	found := cause{}
	if d.under("spec.selector") || d.under("spec.ports") {
		var err error
		if found, err = c.serviceCause(ctx, object.GetNamespace(), object.GetName()); err != nil {
			return cause{}, err
		}
	}
	switch command, known := setSelector(object, d); {
	case known:
		found.next = command
	case found.next.IsZero():
		found.next = change
	}
	if !found.found() {
		found.why = fieldCause(d)
		if d.under("spec.selector") {
			found.why = messages.T("its selector has %s", d.last()+": "+d.shown().String())
		}
	}
	return found, nil
}

// serviceCause follows a Service to its pods.
func (c *Checker) serviceCause(ctx context.Context, namespace, name string) (cause, error) {
	edit := messages.Kubectl(namespace, "edit", "service", name).Text()
	service, err := c.Cluster.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return cause{why: messages.T("there is no Service %s", name)}, nil
	}
	if err != nil {
		return cause{}, err
	}
	if len(service.Spec.Selector) == 0 {
		return cause{why: messages.T("service %s has no selector, so it finds no pods", name), next: edit}, nil
	}
	selector := labels.Set(service.Spec.Selector).String()
	pods, err := c.listPods(ctx, namespace, selector)
	if err != nil {
		return cause{}, err
	}
	if len(pods) == 0 {
		return c.selectorCause(ctx, service, selector, edit)
	}
	if found, err := c.podsCause(ctx, pods); err != nil || found.found() {
		return found, err
	}
	for _, port := range service.Spec.Ports {
		for _, pod := range pods {
			target := port.TargetPort.String()
			if target == "" || target == "0" {
				target = fmt.Sprint(port.Port)
			}
			if c.listens(ctx, pod, target) {
				continue
			}
			return cause{why: messages.T("service %s sends requests to port %s of its pods (targetPort), and nothing listens there%s",
					name, target, c.openPorts(ctx, pod)), next: edit},
				nil
		}
	}
	return cause{}, nil
}

// selectorCause explains a Service that selects no pod.
func (c *Checker) selectorCause(ctx context.Context, service *corev1.Service, selector string, edit messages.Text) (cause, error) {
	others, err := c.listPods(ctx, service.Namespace, "")
	if err != nil {
		return cause{}, err
	}
	var there []string
	for _, pod := range others {
		set := labels.Set{}
		for key, value := range pod.Labels {
			if key != "pod-template-hash" && key != kube.ChapterLabel {
				set[key] = value
			}
		}
		if len(set) > 0 && !slices.Contains(there, set.String()) {
			there = append(there, set.String())
		}
	}
	slices.Sort(there)
	if len(there) == 0 {
		return cause{why: messages.T("the selector %s of service %s matches no pod, and there are no pods with labels",
			selector, service.Name), next: edit}, nil
	}
	return cause{why: messages.T("the selector %s of service %s matches no pod; the pods there have %s",
		selector, service.Name, there), next: edit}, nil
}

// listens reports whether a web server answers at a port of a pod. If the connection is refused, the API server responds with
// status 503 or 502 itself.
func (c *Checker) listens(ctx context.Context, pod corev1.Pod, port string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status := 0
	err := c.Cluster.CoreV1().RESTClient().Get().Namespace(pod.Namespace).Resource("pods").
		SubResource("proxy").Name("http:" + pod.Name + ":" + port).Suffix("/").Do(ctx).StatusCode(&status).Error()
	return err == nil || status != http.StatusServiceUnavailable && status != http.StatusBadGateway && status != 0
}

// openPorts names the one of the course's usual ports that answers.
func (c *Checker) openPorts(ctx context.Context, pod corev1.Pod) messages.Text {
	for _, port := range []string{"3000", "80"} {
		if c.listens(ctx, pod, port) {
			return messages.T("; they listen on %s", port)
		}
	}
	return messages.Verbatim("")
}

// ingressCause follows a path of the ingress controller to the pods.
func (c *Checker) ingressCause(ctx context.Context, step *course.Step, namespace, path string) (cause, error) {
	list, err := c.Cluster.NetworkingV1().Ingresses(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	for _, ingress := range list.Items {
		for _, backend := range backends(&ingress) {
			if backend.path == path {
				return c.backend(ctx, step, namespace, ingress.Name, backend)
			}
		}
	}
	return cause{why: messages.T("no Ingress has the path %s", path)}, nil
}

// route is one path of an Ingress.
type route struct {
	path    string
	service *networkingv1.IngressServiceBackend
}

func backends(ingress *networkingv1.Ingress) (all []route) {
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service != nil {
				all = append(all, route{path.Path, path.Backend.Service})
			}
		}
	}
	return all
}

// backendCause looks at every path of an Ingress.
func (c *Checker) backendCause(ctx context.Context, step *course.Step, object *unstructured.Unstructured) (cause, error) {
	var ingress networkingv1.Ingress
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &ingress); err != nil {
		return cause{}, err
	}
	for _, route := range backends(&ingress) {
		if found, err := c.backend(ctx, step, ingress.Namespace, ingress.Name, route); err != nil || found.found() {
			return found, err
		}
	}
	return cause{}, nil
}

// backend follows one path to its Service.
func (c *Checker) backend(ctx context.Context, step *course.Step, namespace, ingress string, route route) (cause, error) {
	edit := messages.Kubectl(namespace, "edit", "ingress", ingress).Text()
	service, err := c.Cluster.CoreV1().Services(namespace).Get(ctx, route.service.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		why := messages.T("ingress %s sends %s to the Service %s, which is not there", ingress, route.path, route.service.Name)
		missing := c.missing(ctx, step, kube.Reference{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: route.service.Name})
		if missing.next.IsZero() { // it is no Service of the course's
			missing.next = edit
		}
		return cause{why: why, next: missing.next}, nil
	}
	if err != nil {
		return cause{}, err
	}
	var ports []string
	for _, port := range service.Spec.Ports {
		if port.Port == route.service.Port.Number || port.Name != "" && port.Name == route.service.Port.Name {
			return c.serviceCause(ctx, namespace, route.service.Name)
		}
		ports = append(ports, fmt.Sprint(port.Port))
	}
	wanted := route.service.Port.Name
	if wanted == "" {
		wanted = fmt.Sprint(route.service.Port.Number)
	}
	return cause{why: messages.T("ingress %s sends %s to port %s of service %s, which has port %s only",
		ingress, route.path, wanted, route.service.Name, ports), next: edit}, nil
}
