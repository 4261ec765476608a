package check

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// settle waits until the cluster has come to what was changed a moment ago, so that no check passes on what was before: until the
// controllers have seen the workloads, the endpoints are those of the pods, and the ingress controller has had its time. It gives
// up after a few seconds: the rows tell what is wrong then.
func (c *Checker) settle(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, routedWithin)
	defer cancel()
	var failed error
	_ = await.Poll(waiting, messages.Text{}, func(ctx context.Context) error {
		var late atomic.Bool
		work, ctx := errgroup.WithContext(ctx)
		for _, unsettled := range c.unsettled() {
			work.Go(func() error {
				yes, err := unsettled(ctx)
				if yes {
					late.Store(true)
				}
				return err
			})
		}
		if failed = work.Wait(); failed == nil && late.Load() {
			return messages.Errorf("the cluster has not processed the latest changes yet")
		}
		return nil
	})
	if waiting.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return failed
}

// unsettled are the questions whether something of the latest changes has not been done yet.
func (c *Checker) unsettled() []func(context.Context) (bool, error) {
	all := []func(context.Context) (bool, error){c.unrouting}
	for _, kind := range []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"} {
		all = append(all, func(ctx context.Context) (bool, error) { return c.unobserved(ctx, kind) })
	}
	for _, namespace := range c.Course.Namespaces {
		all = append(all, func(ctx context.Context) (bool, error) { return c.unlinked(ctx, namespace) })
	}
	return all
}

// ours leaves those objects that are in the course's namespaces.
func (c *Checker) ours(all []*unstructured.Unstructured) []*unstructured.Unstructured {
	return slices.DeleteFunc(all, func(object *unstructured.Unstructured) bool {
		return !slices.Contains(c.Course.Namespaces, object.GetNamespace())
	})
}

// unobserved reports whether there is a workload of a kind whose controller has not seen its latest change.
func (c *Checker) unobserved(ctx context.Context, kind string) (bool, error) {
	all, err := c.Cluster.Of(ctx, "apps/v1", kind, "")
	return slices.ContainsFunc(c.ours(all), func(object *unstructured.Unstructured) bool { return !observed(object) }), err
}

// unrouting reports whether an Ingress was changed, by somebody else than hellolab, so lately that the controller may still do what
// it said before.
func (c *Checker) unrouting(ctx context.Context) (bool, error) {
	all, err := c.Cluster.Of(ctx, "networking.k8s.io/v1", "Ingress", "")
	return slices.ContainsFunc(c.ours(all), func(object *unstructured.Unstructured) bool {
		return slices.ContainsFunc(object.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
			return entry.Subresource == "" && entry.Manager != kube.Owner && entry.Time != nil && time.Since(entry.Time.Time) < routedWithin
		})
	}), err
}

// unlinked reports whether the endpoints of a namespace's Services are not those of their Ready pods.
func (c *Checker) unlinked(ctx context.Context, namespace string) (bool, error) {
	services, err := c.Cluster.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	for _, service := range services.Items {
		if len(service.Spec.Selector) == 0 || service.Spec.PublishNotReadyAddresses {
			continue
		}
		wanted, err := c.readyAddresses(ctx, namespace, service.Spec.Selector)
		if err != nil {
			return false, err
		}
		there, err := c.addresses(ctx, namespace, service.Name)
		if err != nil || !slices.Equal(wanted, there) {
			return err == nil, err
		}
	}
	return false, nil
}

// readyAddresses are the sorted addresses of the Ready pods that a Service selects.
func (c *Checker) readyAddresses(ctx context.Context, namespace string, selector map[string]string) (all []string, err error) {
	pods, err := c.listPods(ctx, namespace, labels.SelectorFromSet(selector).String())
	for _, pod := range slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return !ready(pod) || pod.Status.PodIP == "" }) {
		all = append(all, pod.Status.PodIP)
	}
	slices.Sort(all)
	return all, err
}
