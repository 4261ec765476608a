package check

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// cause is why something is not as expected, and what to do about it.
type cause struct {
	why, next messages.Text
	// passing says that it resolves itself.
	passing bool
	// way leads from what was asked about to what is at fault.
	way []kube.Reference
}

func (c cause) found() bool { return !c.why.IsZero() }

// through is the cause as it is seen from an object that leads to it.
func (c cause) through(r kube.Reference) cause {
	if c.found() && (len(c.way) == 0 || !c.way[0].Same(r)) {
		c.way = append([]kube.Reference{r}, c.way...)
	}
	return c
}

// look looks for a cause in one place.
type look func(context.Context) (cause, error)

// first returns the first cause that does not resolve itself, or else the first that does.
func first(ctx context.Context, looks ...look) (passing cause, err error) {
	for _, look := range looks {
		found, err := look(ctx)
		if err != nil || found.found() && !found.passing {
			return found, err
		}
		if !passing.found() {
			passing = found
		}
	}
	return passing, nil
}

// explain finds out what is wrong with an object, if anything is: it follows what the object leads to (a Service to its pods, a
// Deployment to its ReplicaSets) down to containers and their last words; then it reads the object's own conditions and events.
func (c *Checker) explain(ctx context.Context, object *unstructured.Unstructured) (cause, error) {
	found, err := first(ctx, c.looks(object)...)
	return found.through(kube.Refer(object)), err
}

// looks are the places where the cause of an object's trouble can be, in their order.
func (c *Checker) looks(object *unstructured.Unstructured) []look {
	if object.GetDeletionTimestamp() != nil {
		return []look{c.leaving(object)}
	}
	switch object.GetKind() {
	case "Pod":
		return []look{c.ofPod(object)}
	case "Service":
		return []look{c.ofService(object)}
	case "Ingress":
		return []look{c.ofIngress(object)}
	case "PersistentVolumeClaim":
		return []look{c.ofClaim(object)}
	case "Job":
		return []look{c.ofJob(object)}
	case "CronJob":
		return []look{switchedOff(object), c.ofCronJob(object)}
	case "Node":
		return []look{c.ofNode(object)}
	case "PodDisruptionBudget":
		return []look{c.ofBudget(object)}
	}
	if asWished(object) {
		return nil
	}
	all := []look{unseen(object), switchedOff(object), c.below(object)}
	if _, _, counts := wished(object); !counts { // warnings of other kinds may be about what was before
		return append(all, conditions(object))
	}
	return append(all, c.refusedBelow(object), conditions(object), c.warning(object))
}

// wished is how many pods a workload is to have, and how many of these are Ready and of its newest version.
func wished(object *unstructured.Unstructured) (ready, wanted int64, counts bool) {
	number := func(otherwise int64, path ...string) int64 {
		if n, found, err := unstructured.NestedInt64(object.Object, path...); found && err == nil {
			return n
		}
		return otherwise
	}
	ready = number(0, "status", "readyReplicas")
	switch object.GetKind() {
	case "Deployment":
		old := number(0, "status", "replicas") - number(0, "status", "updatedReplicas")
		return ready - max(0, old), number(1, "spec", "replicas"), true
	case "ReplicaSet", "ReplicationController", "StatefulSet":
		return ready, number(1, "spec", "replicas"), true
	case "DaemonSet":
		return number(0, "status", "numberReady"), number(0, "status", "desiredNumberScheduled"), true
	case "Job":
		return number(0, "status", "succeeded"), number(1, "spec", "completions"), true
	}
	return 0, 0, false
}

// asWished reports whether a workload has all of its pods, and the controller has seen its latest change.
func asWished(object *unstructured.Unstructured) bool {
	ready, wanted, counts := wished(object)
	return counts && ready >= wanted && observed(object)
}

// observed reports whether the controller of an object has seen its latest change.
func observed(object *unstructured.Unstructured) bool {
	seen, found, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	if !found || err != nil { // few kinds have it; a controller that has not come to the object has written nothing yet
		kinds := []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"}
		return !slices.Contains(kinds, object.GetKind()) || object.GetGeneration() == 0
	}
	return seen >= object.GetGeneration()
}

// unseen tells of a change that the object's controller has not come to yet.
func unseen(object *unstructured.Unstructured) look {
	return func(context.Context) (cause, error) {
		if observed(object) {
			return cause{}, nil
		}
		r := kube.Refer(object)
		return cause{why: messages.T("%s was changed a moment ago, and its controller has not processed that yet", r), next: describeIt(r), passing: true}, nil
	}
}

// switchedOff tells of an object whose work somebody has switched off.
func switchedOff(object *unstructured.Unstructured) look {
	r := kube.Refer(object)
	return func(context.Context) (cause, error) {
		if paused, _, _ := unstructured.NestedBool(object.Object, "spec", "paused"); paused && r.Kind == "Deployment" {
			return cause{why: messages.T("%s is paused, so it makes no new pods", r), next: messages.Kubectl(r.Namespace, "rollout", "resume", typed(r)).Text()}, nil
		}
		if suspended, _, _ := unstructured.NestedBool(object.Object, "spec", "suspend"); suspended {
			return cause{why: messages.T("it is suspended"), next: messages.Kubectl(r.Namespace, "patch", typed(r), "--type=merge", "-p", "spec: {suspend: false}").Text()}, nil
		}
		return cause{}, nil
	}
}

// leaving tells what keeps an object that is being deleted.
func (c *Checker) leaving(object *unstructured.Unstructured) look {
	r := kube.Refer(object)
	return func(ctx context.Context) (cause, error) {
		why := messages.T("%s is being deleted", r)
		if finalizers := kube.ForeignFinalizers(object); len(finalizers) > 0 {
			return cause{why: messages.T("%s is being deleted, and stays until its finalizers are gone: %s", r, finalizers),
				next: messages.Kubectl(r.Namespace, "patch", typed(r), "--type=merge", "-p", "metadata: {finalizers: null}").Text()}, nil
		}
		found, err := conditions(object)(ctx) // a namespace tells what is left in it
		if err != nil || found.found() {
			return found, err
		}
		return cause{why: why, next: describeIt(r), passing: true}, nil
	}
}

// below looks at what an object's controller has made for it, the newest first.
func (c *Checker) below(object *unstructured.Unstructured) look {
	return func(ctx context.Context) (cause, error) {
		made, err := c.made(ctx, object)
		if err != nil {
			return cause{}, err
		}
		// a rollout takes away what older revisions have, working or not
		if now := object.GetAnnotations()[revisionAnnotation]; now != "" && object.GetKind() == "Deployment" {
			made = slices.DeleteFunc(made, func(o *unstructured.Unstructured) bool { return o.GetAnnotations()[revisionAnnotation] != now })
		}
		var looks []look
		for _, each := range made {
			looks = append(looks, func(ctx context.Context) (cause, error) { return c.explain(ctx, each) })
		}
		return first(ctx, looks...)
	}
}

// revisionAnnotation has the revision of a Deployment, and that of each of its ReplicaSets.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// made returns what an object's controller has made for it, and has not deleted, the newest first.
func (c *Checker) made(ctx context.Context, owner *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	all, err := c.list(ctx, owner.GetNamespace(), map[string]string{"ReplicaSet": "apps/v1", "Job": "batch/v1", "Pod": "v1"})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(object *unstructured.Unstructured) bool {
		return !metav1.IsControlledBy(object, owner) || object.GetDeletionTimestamp() != nil
	})
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int {
		return b.GetCreationTimestamp().Compare(a.GetCreationTimestamp().Time)
	})
	return all, nil
}

// list returns the objects of kinds, which are given with the versions of their API.
func (c *Checker) list(ctx context.Context, namespace string, kinds map[string]string) (all []*unstructured.Unstructured, err error) {
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		objects, err := c.Cluster.Of(ctx, kinds[kind], kind, namespace)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// as is an object as a value of its own type.
func as[T any](object *unstructured.Unstructured) (typed T, err error) {
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed)
	return typed, err
}

// good are the types of conditions that ought to be True, bad those that ought not to be. Others mean something to those who
// know them.
func good() []string {
	return []string{"Available", "Progressing", "Ready", "Established", "NamesAccepted", "AbleToScale", "ScalingActive"}
}

func bad() []string {
	return []string{"ReplicaFailure", "Failed", "FailureTarget", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable",
		"NamespaceDeletionDiscoveryFailure", "NamespaceDeletionContentFailure", "NamespaceDeletionGroupVersionParsingFailure",
		"NamespaceContentRemaining", "NamespaceFinalizersRemaining"}
}

// conditions tells what an object's own conditions say: of those that are not as they ought to be, the one that changed last.
func conditions(object *unstructured.Unstructured) look {
	r := kube.Refer(object)
	return func(context.Context) (cause, error) {
		list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
		var found cause
		latest := ""
		for _, entry := range list {
			fields, _ := entry.(map[string]any)
			text := func(key string) string { value, _ := fields[key].(string); return value }
			wrong := text("status") == "False" && slices.Contains(good(), text("type")) || text("status") == "True" && slices.Contains(bad(), text("type"))
			if !wrong || text("lastTransitionTime") < latest || text("reason") == "MinimumReplicasUnavailable" { // that is no cause
				continue
			}
			latest = text("lastTransitionTime")
			said := cmp.Or(text("message"), text("reason"))
			found = cause{why: messages.T("%s: %s", r, text("type")+": "+firstLine(said)), next: describeIt(r)}
		}
		return found, nil
	}
}

// warning tells the newest warning about an object.
func (c *Checker) warning(object *unstructured.Unstructured) look {
	r := kube.Refer(object)
	return func(ctx context.Context) (cause, error) {
		event, err := c.lastWarning(ctx, object)
		if err != nil || event == nil {
			return cause{}, err
		}
		return cause{why: messages.T("%s: %s", r, firstLine(event.Message)), next: describeIt(r)}, nil
	}
}

func (c *Checker) lastWarning(ctx context.Context, object metav1.Object) (*corev1.Event, error) {
	if object.GetUID() == "" {
		return nil, nil
	}
	namespace := cmp.Or(object.GetNamespace(), metav1.NamespaceDefault) // where events of what has no namespace are
	events, err := kube.Events(ctx, c.Cluster, namespace, "type=Warning,involvedObject.uid="+string(object.GetUID()))
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return &events[len(events)-1], nil
}

// workloads are the objects whose template makes pods that a selector of labels finds, and no controller's.
func (c *Checker) workloads(ctx context.Context, namespace string, selector labels.Selector) ([]*unstructured.Unstructured, error) {
	all, err := c.list(ctx, namespace, map[string]string{"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1"})
	return slices.DeleteFunc(all, func(object *unstructured.Unstructured) bool {
		set, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
		return metav1.GetControllerOf(object) != nil || !selector.Matches(labels.Set(set))
	}), err
}

// makers explains why the objects that make pods with some labels make none, or not enough.
func (c *Checker) makers(ctx context.Context, namespace string, selector labels.Selector) (cause, error) {
	if selector.Empty() {
		return cause{}, nil
	}
	all, err := c.workloads(ctx, namespace, selector)
	if err != nil {
		return cause{}, err
	}
	var looks []look
	for _, each := range all {
		looks = append(looks, func(ctx context.Context) (cause, error) { return c.explain(ctx, each) })
		if _, wanted, counts := wished(each); counts && wanted == 0 && each.GetKind() != "DaemonSet" {
			r := kube.Refer(each)
			looks = append(looks, func(context.Context) (cause, error) {
				return cause{why: messages.T("%s asks for %s pods", r, "0"), next: messages.Kubectl(r.Namespace, "scale", typed(r), "--replicas=1").Text()}.through(r), nil
			})
		}
	}
	return first(ctx, looks...)
}

// describeIt is the command that shows all about an object.
func describeIt(r kube.Reference) messages.Text {
	return describe(r.Namespace, strings.ToLower(r.Kind), r.Name)
}

func ignoreMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
