package check

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Finding is something that is not as it should be.
type Finding struct {
	// Objects suffer from it: those that were asked about.
	Objects []kube.Reference
	// Way leads from the first of Objects to what is at fault, both included.
	Way []kube.Reference
	// Why it is so, and the Next command to type.
	Why, Next messages.Text
	// Passing says that it resolves itself.
	Passing bool
	// Step of the course that teaches objects of that kind; nil is none.
	Step *course.Step
}

// atOnce is how many objects are looked at at the same time.
const atOnce = 8

// Explain finds out what is wrong with objects: nothing, or a finding for every cause, the causes of others first.
func (c *Checker) Explain(ctx context.Context, objects []*unstructured.Unstructured) ([]Finding, error) {
	causes := make([]cause, len(objects))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(atOnce)
	for i, object := range objects {
		work.Go(func() (err error) {
			causes[i], err = c.wrong(ctx, object)
			if answered(err) { // it has gone meanwhile, or part of what it leads to cannot be seen
				err = nil
			}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	var all []Finding
	for i, found := range causes {
		if found.found() {
			all = c.add(all, kube.Refer(objects[i]), found)
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(rank(a), rank(b)) })
	return all, nil
}

// ExplainNamespace is Explain for all that somebody has made in a namespace, and for the nodes. APIs that another server than
// Kubernetes' own serves, and that do not answer, are left out.
func (c *Checker) ExplainNamespace(ctx context.Context, namespace string) ([]Finding, error) {
	nodes, err := c.Cluster.Of(ctx, "v1", "Node", "")
	if err != nil {
		return nil, err
	}
	objects, err := c.Cluster.List(ctx, []string{namespace}, false)
	if err != nil && !errors.As(err, new(kube.Unavailable)) {
		return nil, err
	}
	return c.Explain(ctx, slices.Concat(nodes, objects))
}

// wrong is explain, with a word on a workload that lacks pods though nothing tells why.
func (c *Checker) wrong(ctx context.Context, object *unstructured.Unstructured) (cause, error) {
	found, err := c.explain(ctx, object)
	ready, wanted, counts := wished(object)
	if err != nil || found.found() || !counts || asWished(object) || object.GetKind() == "Job" {
		return found, err
	}
	r := kube.Refer(object)
	return cause{why: messages.T("%v of %v pods are Ready", ready, wanted), next: describeIt(r), passing: true}.through(r), nil
}

// add puts a cause to the finding that it repeats, or after the others.
func (c *Checker) add(all []Finding, of kube.Reference, found cause) []Finding {
	root := found.way[len(found.way)-1]
	for i, known := range all {
		if known.Way[len(known.Way)-1].Same(root) && known.Next.String() == found.next.String() {
			all[i].Objects = append(all[i].Objects, of)
			return all
		}
	}
	return append(all, Finding{Objects: []kube.Reference{of}, Way: found.way, Why: found.why, Next: found.next, Passing: found.passing,
		Step: c.Course.Teaches(of.Kind)})
}

// rank orders findings: what others depend on comes first, and what resolves itself last.
func rank(f Finding) int {
	order := []string{"Node", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota", "LimitRange", "ConfigMap", "Secret",
		"Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Service", "Ingress"}
	at := slices.Index(order, f.Way[len(f.Way)-1].Kind)
	if at < 0 {
		at = len(order)
	}
	if f.Passing {
		at += len(order) + 1
	}
	return at
}
