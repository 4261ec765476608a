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

// inNamespace is how a command names a namespace.
func inNamespace(namespace string) string {
	if namespace == "" || namespace == metav1.NamespaceDefault {
		return ""
	}
	return " -n " + namespace
}

// missing tells what to do about an object that is not there.
func (c *Checker) missing(ctx context.Context, step *course.Step, r kube.Reference) cause {
	file := step.Snapshot().FileOf(r.Kind, r.Namespace, r.Name)
	if file == "" {
		return cause{}
	}
	found := cause{next: command("kubectl apply -f " + file + inNamespace(r.Namespace))}
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

// why finds the cause of an object's differences: first what its author wrote otherwise, then what the cluster made of
// it.
func (c *Checker) why(ctx context.Context, step *course.Step, object *unstructured.Unstructured, differences []difference) (cause, error) {
	reference := kube.Refer(object)
	written := slices.DeleteFunc(slices.Clone(differences), func(d difference) bool { return d.under("status") })
	running, err := c.runningCause(ctx, object)
	if err != nil {
		return cause{}, err
	}
	if len(written) == 0 {
		return running, nil
	}
	found := c.writtenCause(ctx, step, reference, object, written[0])
	if running.found() && written[0].last() == "image" {
		found.why = messages.T("%s; %s", found.why, running.why)
	}
	return found, nil
}

// writtenCause explains a field that is written otherwise than expected.
func (c *Checker) writtenCause(ctx context.Context, step *course.Step, r kube.Reference, object *unstructured.Unstructured, d difference) cause {
	edit := command("kubectl edit " + r.String())
	if file := step.Snapshot().FileOf(r.Kind, r.Namespace, r.Name); file != "" && slices.Contains([]string{"Pod", "Job"}, r.Kind) {
		edit = command("kubectl replace --force -f " + file + inNamespace(r.Namespace)) // most of their fields cannot be changed
	}
	switch {
	case d.path == "spec.replicas":
		return cause{why: messages.T("it asks for %s pods", orNone(d.have)), next: command(fmt.Sprintf("kubectl scale %s --replicas=%s", r, d.expected))}

	case d.last() == "image":
		return cause{why: messages.T("its container runs the image %s", orNone(d.have)), next: c.setImage(step, r, d)}
	case r.Kind == "Service":
		why := c.serviceWrittenCause(ctx, object, d)
		if why.next.IsZero() {
			why.next = edit
		}
		return why
	case r.Kind == "Ingress" && strings.Contains(d.path, ".backend.service"):
		if why := c.backendCause(ctx, object); why.found() {
			return why
		}
	case strings.Contains(d.path, "Probe"):
		probe := regexp.MustCompile(`\w+Probe`).FindString(d.path)
		if d.have == nil {
			return cause{why: messages.T("it has no %s like that", probe), next: edit}
		}
		return cause{why: messages.T("the %s has %s %s, not %s", probe, d.last(), course.Leaf(d.have), d.expected), next: edit}
	case d.under("data"):
		return cause{why: c.dataCause(object, d), next: edit}
	case d.have == nil:
		return cause{why: messages.T("the field %s is missing", shorten(d.path)), next: edit}
	}
	return cause{why: messages.T("the field %s is %s", shorten(d.path), course.Leaf(d.have)), next: edit}
}

// setImage is the command that gives a container the image that the step's manifest has.
func (c *Checker) setImage(step *course.Step, r kube.Reference, d difference) messages.Text {
	container := regexp.MustCompile(`ontainers\[([^\]]+)\]\.image$`).FindStringSubmatch(d.path)
	image := d.expected
	for _, known := range step.Snapshot().Images {
		if course.MatchImage(d.expected, known) {
			image = known
		}
	}
	if container == nil || r.Kind == "Job" {
		return command("kubectl edit " + r.String())
	}
	return command(fmt.Sprintf("kubectl set image %s %s=%s", r, container[1], image))
}

// dataCause explains a ConfigMap's or a Secret's data.
func (c *Checker) dataCause(object *unstructured.Unstructured, d difference) messages.Text {
	if d.have != nil {
		if object.GetKind() == "Secret" {
			return messages.T("the value of %s is another one", d.last())
		}
		return messages.T("the value of %s is %s", d.last(), course.Leaf(d.have))
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

// runningCause looks at what became of an object.
func (c *Checker) runningCause(ctx context.Context, object *unstructured.Unstructured) (cause, error) {
	namespace := object.GetNamespace()
	switch object.GetKind() {
	case "Pod":
		pod, err := c.Cluster.CoreV1().Pods(namespace).Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			return cause{}, ignoreMissing(err)
		}
		return c.podsCause(ctx, namespace, []corev1.Pod{*pod})
	case "Deployment":
		selector, _, _ := unstructured.NestedStringMap(object.Object, "spec", "selector", "matchLabels")
		pods, err := c.listPods(ctx, namespace, labels.Set(selector).String())
		if err != nil {
			return cause{}, err
		}
		return c.podsCause(ctx, namespace, pods)
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

// podsCause finds the first pod, the newest first, that does not do what it should, and tells why.
func (c *Checker) podsCause(ctx context.Context, namespace string, pods []corev1.Pod) (cause, error) {
	for _, pod := range pods {
		if ready(pod) || pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		found, err := c.podCause(ctx, namespace, pod)
		if err != nil || found.found() {
			return found, err
		}
	}
	return cause{}, nil
}

func (c *Checker) podCause(ctx context.Context, namespace string, pod corev1.Pod) (cause, error) {
	describe := command("kubectl describe pod " + pod.Name + inNamespace(namespace))
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return cause{why: messages.T("no node takes the pod %s: %s", pod.Name, condition.Message), next: describe}, nil
		}
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if waiting := status.State.Waiting; waiting != nil {
			switch waiting.Reason {
			case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
				return c.imageCause(ctx, pod, status)
			case "CreateContainerConfigError":
				return configCause(namespace, pod, waiting.Message), nil
			case "ContainerCreating", "PodInitializing":
				return cause{why: messages.T("the pod %s is just being made", pod.Name), next: command("kubectl get pods --watch" + inNamespace(namespace)), passing: true}, nil
			}
		}
		ended := status.State.Terminated
		if ended == nil && status.State.Waiting != nil { // CrashLoopBackOff
			ended = status.LastTerminationState.Terminated
		}
		if ended != nil && ended.ExitCode != 0 {
			return c.exitCause(ctx, namespace, pod, status, ended)
		}
	}
	events, err := c.Cluster.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning,involvedObject.name=" + pod.Name})
	if err != nil {
		return cause{}, err
	}
	for i := len(events.Items) - 1; i >= 0; i-- {
		if event := events.Items[i]; event.Reason == "Unhealthy" || event.Reason == "Failed" || strings.HasPrefix(event.Reason, "Failed") {
			return cause{why: messages.T("pod %s: %s", pod.Name, firstLine(event.Message)), next: describe}, nil
		}
	}
	return cause{}, nil
}

// imageCause explains an image that cannot be pulled.
func (c *Checker) imageCause(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus) (cause, error) {
	if found, err := c.Registry.HasImage(ctx, status.Image); err == nil && !found {
		return cause{why: messages.T("pod %s cannot pull %s: the registry %s has no such image", pod.Name, status.Image, c.Place.Registry), next: c.getImage(status.Image)},
			nil
	}
	return cause{why: messages.T("pod %s cannot pull %s: %s", pod.Name, status.Image, firstLine(status.State.Waiting.Message)), next: command("kubectl describe pod " + pod.Name + inNamespace(pod.Namespace))},
		nil
}

// getImage is the command that brings an image into the registry; for one that the course does not have, it is the one
// that shows which there are.
func (c *Checker) getImage(image string) messages.Text {
	image = strings.TrimPrefix(image, "docker.io/")
	switch {
	case !c.Course.Runs(image):
		return command("hellolab images list")
	case strings.HasPrefix(image, c.Place.Account+"/"):
		return command("hellolab images build")
	}
	return command("hellolab up")
}

// configCause explains a container whose environment cannot be put together.
func configCause(namespace string, pod corev1.Pod, message string) cause {
	next := command("kubectl describe pod " + pod.Name + inNamespace(namespace))
	if parts := regexp.MustCompile(`(?i)key (\S+) in (configmap|secret) \S*?/(\S+)`).FindStringSubmatch(message); parts != nil {
		kind := strings.ToLower(parts[2])
		return cause{why: messages.T("pod %s cannot start: its %s %s has no key %s", pod.Name, kind, parts[3], parts[1]), next: command("kubectl edit " + kind + " " + parts[3] + inNamespace(namespace))}

	}
	if parts := regexp.MustCompile(`(configmap|secret) "(\S+)" not found`).FindStringSubmatch(message); parts != nil {
		return cause{why: messages.T("pod %s cannot start: there is no %s %s in its namespace", pod.Name, parts[1], parts[2]), next: next}
	}
	return cause{why: messages.T("pod %s cannot start: %s", pod.Name, message), next: next}
}

// exitCause explains a container that ended, by its last words.
func (c *Checker) exitCause(ctx context.Context, namespace string, pod corev1.Pod, status corev1.ContainerStatus, ended *corev1.ContainerStateTerminated) (cause, error) {
	lines := int64(1)
	log, err := c.Cluster.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: status.Name, TailLines: &lines, Previous: status.State.Terminated == nil}).DoRaw(ctx)
	last := strings.TrimSpace(string(log))
	if err != nil || last == "" {
		last = firstLine(ended.Message)
	}
	why := messages.T("the container %s of pod %s ended with status %v", status.Name, pod.Name, ended.ExitCode)
	if last != "" {
		why = messages.T("the container %s of pod %s ended with status %v; its last words: %s", status.Name, pod.Name, ended.ExitCode, last)
	}
	return cause{why: why, next: command("kubectl logs " + pod.Name + inNamespace(namespace))}, nil
}

// jobCause explains a Job that does not succeed.
func (c *Checker) jobCause(ctx context.Context, namespace string, job batchv1.Job) (cause, error) {
	pods, err := c.listPods(ctx, namespace, batchv1.JobNameLabel+"="+job.Name)
	if err != nil {
		return cause{}, err
	}
	found, err := c.podsCause(ctx, namespace, pods)
	if err != nil || found.found() {
		return found, err
	}
	for _, condition := range job.Status.Conditions {
		if condition.Type == batchv1.JobFailed && condition.Status == corev1.ConditionTrue {
			return cause{why: messages.T("job %s has failed: %s", job.Name, condition.Message), next: command("kubectl describe job " + job.Name + inNamespace(namespace))}, nil
		}
	}
	return cause{}, nil
}

// unanswered finds out why a web server does not answer as expected, along the way that the question goes.
func (c *Checker) unanswered(ctx context.Context, step *course.Step, namespace string, e *course.HTTP) (cause, error) {
	switch {
	case e.Ingress != "":
		return c.ingressCause(ctx, namespace, e.Ingress)
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
		return c.podsCause(ctx, namespace, []corev1.Pod{*pod})
	}
	pods, err := c.listPods(ctx, namespace, e.Pods)
	if err != nil {
		return cause{}, err
	}
	if len(pods) == 0 {
		return cause{why: messages.T("there are no pods with the label %s", e.Pods)}, nil
	}
	return c.podsCause(ctx, namespace, pods)
}

// serviceWrittenCause explains a field of a Service.
func (c *Checker) serviceWrittenCause(ctx context.Context, object *unstructured.Unstructured, d difference) cause {
	namespace, name := object.GetNamespace(), object.GetName()
	if d.under("spec.selector") {
		found, err := c.serviceCause(ctx, namespace, name)
		if err != nil || !found.found() {
			found.why = messages.T("its selector has %s", d.String())
		}
		found.next = command(fmt.Sprintf("kubectl set selector service %s %s=%s%s", name, d.last(), d.expected, inNamespace(namespace)))
		return found
	}
	if d.last() == "targetPort" || d.last() == "port" || d.under("spec.ports") {
		if found, err := c.serviceCause(ctx, namespace, name); err == nil && found.found() {
			return found
		}
	}
	return cause{why: messages.T("the field %s is %s", shorten(d.path), orNone(d.have))}
}

// serviceCause follows a Service to its pods.
func (c *Checker) serviceCause(ctx context.Context, namespace, name string) (cause, error) {
	edit := command("kubectl edit service " + name + inNamespace(namespace))
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
	if found, err := c.podsCause(ctx, namespace, pods); err != nil || found.found() {
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
			if key != "pod-template-hash" {
				set[key] = value
			}
		}
		if len(set) > 0 && !slices.Contains(there, set.String()) {
			there = append(there, set.String())
		}
	}
	slices.Sort(there)
	if len(there) == 0 {
		return cause{why: messages.T("the selector %s of service %s matches no pod, and there are no pods with labels", selector, service.Name), next: edit}, nil
	}
	return cause{why: messages.T("the selector %s of service %s matches no pod; the pods there have %s", selector, service.Name, there), next: edit}, nil
}

// listens reports whether a web server answers at a port of a pod. Whoever refuses the connection is told by the API
// server with status 503 or 502 of its own.
func (c *Checker) listens(ctx context.Context, pod corev1.Pod, port string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status := 0
	err := c.Cluster.CoreV1().RESTClient().Get().Namespace(pod.Namespace).Resource("pods").
		SubResource("proxy").Name("http:" + pod.Name + ":" + port).Suffix("/").Do(ctx).StatusCode(&status).Error()
	return err == nil || status != http.StatusServiceUnavailable && status != http.StatusBadGateway && status != 0
}

// openPorts tells which of the course's usual ports answers.
func (c *Checker) openPorts(ctx context.Context, pod corev1.Pod) messages.Text {
	for _, port := range []string{"3000", "80"} {
		if c.listens(ctx, pod, port) {
			return messages.T("; they listen on %s", port)
		}
	}
	return messages.Verbatim("")
}

// ingressCause follows a path of the ingress controller to the pods.
func (c *Checker) ingressCause(ctx context.Context, namespace, path string) (cause, error) {
	list, err := c.Cluster.NetworkingV1().Ingresses(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	for _, ingress := range list.Items {
		for _, backend := range backends(&ingress) {
			if backend.path == path {
				return c.backend(ctx, namespace, ingress.Name, backend)
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
func (c *Checker) backendCause(ctx context.Context, object *unstructured.Unstructured) cause {
	var ingress networkingv1.Ingress
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &ingress); err != nil {
		return cause{}
	}
	for _, route := range backends(&ingress) {
		if found, err := c.backend(ctx, ingress.Namespace, ingress.Name, route); err == nil && found.found() {
			return found
		}
	}
	return cause{}
}

// backend follows one path to its Service.
func (c *Checker) backend(ctx context.Context, namespace, ingress string, route route) (cause, error) {
	edit := command("kubectl edit ingress " + ingress + inNamespace(namespace))
	service, err := c.Cluster.CoreV1().Services(namespace).Get(ctx, route.service.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return cause{why: messages.T("ingress %s sends %s to the Service %s, which is not there", ingress, route.path, route.service.Name), next: edit}, nil
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
	return cause{why: messages.T("ingress %s sends %s to port %s of service %s, which has port %s only", ingress, route.path, wanted, route.service.Name, ports), next: edit}, nil
}
