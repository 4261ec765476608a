package check

import (
	"context"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// missing explains an object that does not exist: the API server would refuse it, or it is somewhere else.
func (c *Checker) missing(ctx context.Context, step *course.Step, r kube.Reference) (cause, error) {
	file := savedFile(step, r)
	found := cause{}
	if file != "" {
		found.next = messages.Kubectl(r.Namespace, "apply", "-f", file).Text()
	}
	if at := slices.IndexFunc(step.Snapshot().Objects, func(o *unstructured.Unstructured) bool { return kube.Refer(o).Same(r) }); at >= 0 {
		refusal, err := c.wouldBeRefused(ctx, step.Snapshot().Objects[at])
		if err != nil || refusal.found() {
			return refusal, err
		}
	}
	if file == "" {
		return found, nil
	}
	for _, namespace := range c.elsewhere(ctx, r) {
		switch {
		case step.Snapshot().FileOf(r.Kind, namespace, r.Name) != "": // it belongs there, too
		case namespace == c.Namespace:
			found.why = messages.T("it is in the namespace %s, where your kubectl works (%s changes that)", namespace,
				messages.Kubectl("", "config", "set-context", c.Place.Context, "--namespace="+r.Namespace))
			return found, nil
		default:
			found.why = messages.T("there is one of that name in the namespace %s", namespace)
		}
	}
	return found, nil
}

// elsewhere are the other namespaces that have an object of that kind and name.
func (c *Checker) elsewhere(ctx context.Context, r kube.Reference) (all []string) {
	if r.Namespace == "" {
		return nil
	}
	others, err := c.Cluster.Of(ctx, r.APIVersion, r.Kind, "")
	if err != nil {
		return nil
	}
	for _, other := range others {
		if other.GetName() == r.Name && other.GetNamespace() != r.Namespace {
			all = append(all, other.GetNamespace())
		}
	}
	return all
}

// wouldBeRefused explains why the API server would not take an object.
func (c *Checker) wouldBeRefused(ctx context.Context, object *unstructured.Unstructured) (cause, error) {
	err := c.Cluster.Try(ctx, object)
	if err == nil || ctx.Err() != nil {
		return cause{}, context.Cause(ctx)
	}
	found, failed := c.refused(ctx, kube.Refer(object), err.Error())
	if failed != nil || found.found() {
		return found, failed
	}
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || meta.IsNoMatchError(err) {
		return cause{why: messages.T("the API server would refuse it: %s", refusalOf(err.Error()))}, nil
	}
	return cause{}, nil
}

// why finds the cause of an object's differences: first in what its author wrote, then in what became of it.
func (c *Checker) why(ctx context.Context, step *course.Step, object *unstructured.Unstructured, differences []difference) (cause, error) {
	written := slices.DeleteFunc(slices.Clone(differences), func(d difference) bool { return d.under("status") })
	if len(written) == 0 {
		return c.explain(ctx, object)
	}
	found, err := c.writtenCause(ctx, step, object, written)
	if err != nil || written[0].last() != "image" {
		return found, err
	}
	running, err := c.explain(ctx, object)
	if running.found() {
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
		return c.replicasCause(ctx, object, d, change)
	case d.last() == "name" && strings.Contains(strings.ToLower(d.path), "containers["):
		return cause{why: messages.T("its container is called %s, not %s", d.shown(), d.wanted()), next: change}, nil
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

// replicasCause explains the number of pods that a workload asks for. An autoscaler would undo what kubectl scale does.
func (c *Checker) replicasCause(ctx context.Context, object *unstructured.Unstructured, d difference, change messages.Text) (cause, error) {
	r := kube.Refer(object)
	scaler, err := c.scaler(ctx, r)
	if err != nil {
		return cause{}, err
	}
	if scaler != nil {
		by := kube.Refer(scaler)
		return cause{why: messages.T("it asks for %s pods, as %s has set it", d.shown(), by),
			next: messages.Kubectl(by.Namespace, "delete", typed(by)).Text(), way: []kube.Reference{by}}, nil
	}
	if command, found := scale(r, d); found {
		change = command
	}
	return cause{why: messages.T("it asks for %s pods", d.shown()), next: change}, nil
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

// unanswered finds out why a web server does not answer as expected, along the path that a request takes.
func (c *Checker) unanswered(ctx context.Context, step *course.Step, namespace string, e *course.HTTP) (cause, error) {
	switch {
	case e.Ingress != "":
		return c.ingressCause(ctx, step, namespace, e.Ingress)
	case e.NodePort != "":
		return first(ctx,
			func(ctx context.Context) (cause, error) { return c.serviceCause(ctx, namespace, e.NodePort) },
			func(ctx context.Context) (cause, error) { return c.nodePortCause(ctx, namespace, e.NodePort) },
		)
	case e.Service != "":
		return c.serviceCause(ctx, namespace, e.Service)
	case e.Pod != "":
		pod, err := c.Cluster.CoreV1().Pods(namespace).Get(ctx, e.Pod, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			missing, err := c.missing(ctx, step, kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: e.Pod})
			return cause{why: messages.T("there is no Pod %s", e.Pod), next: missing.next}, err
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
	found, err := c.labelled(ctx, namespace, e.Pods, pods)
	if err == nil && !found.found() && len(pods) == 0 {
		found.why = messages.T("there are no pods with the label %s", e.Pods)
	}
	return found, err
}

// outdated explains why a server that answers will not do so for long: what leads to it says something else by now.
func (c *Checker) outdated(ctx context.Context, e *course.HTTP) (cause, error) {
	switch {
	case e.Ingress != "":
		return c.unrouted(ctx, e.Namespace, e.Ingress)
	case e.NodePort != "":
		return c.nodePortCause(ctx, e.Namespace, e.NodePort)
	}
	return cause{}, nil
}

// labelled explains what is wrong with pods, or with what makes those with these labels.
func (c *Checker) labelled(ctx context.Context, namespace, selector string, pods []corev1.Pod) (cause, error) {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return cause{}, err
	}
	return first(ctx,
		func(ctx context.Context) (cause, error) { return c.podsCause(ctx, pods) },
		func(ctx context.Context) (cause, error) { return c.makers(ctx, namespace, parsed) })
}

// serviceWrittenCause explains a field of a Service; change is the command that corrects it.
func (c *Checker) serviceWrittenCause(ctx context.Context, object *unstructured.Unstructured, d difference, change messages.Text) (cause, error) {
	found := cause{}
	if d.last() == "nodePort" || d.path == "spec.type" && d.expected == string(corev1.ServiceTypeNodePort) {
		if found, err := c.nodePortCause(ctx, object.GetNamespace(), object.GetName()); err != nil || found.found() {
			return found, err
		}
	}
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
