package check

import (
	"context"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// ofCronJob explains the last run of a CronJob.
func (c *Checker) ofCronJob(object *unstructured.Unstructured) look {
	return func(ctx context.Context) (cause, error) {
		jobs, err := c.made(ctx, object)
		if err != nil || len(jobs) == 0 {
			return cause{}, err
		}
		return c.explain(ctx, jobs[0])
	}
}

// ofJob explains a Job that does not succeed.
func (c *Checker) ofJob(object *unstructured.Unstructured) look {
	return func(ctx context.Context) (cause, error) {
		job, err := as[batchv1.Job](object)
		if err != nil || asWished(object) {
			return cause{}, err
		}
		pods, err := c.listPods(ctx, job.Namespace, batchv1.JobNameLabel+"="+job.Name)
		if err != nil {
			return cause{}, err
		}
		return first(ctx, switchedOff(object), func(ctx context.Context) (cause, error) { return c.podsCause(ctx, pods) },
			c.refusedBelow(object), failedJob(job))
	}
}

// failedJob tells why a Job was given up. Kubernetes does not try it again, whatever is changed.
func failedJob(job batchv1.Job) look {
	return func(context.Context) (cause, error) {
		for _, condition := range job.Status.Conditions {
			if condition.Type == batchv1.JobFailed && condition.Status == corev1.ConditionTrue {
				return cause{why: messages.T("job %s has failed: %s", job.Name, condition.Message), next: describe(job.Namespace, "job", job.Name)}, nil
			}
		}
		return cause{}, nil
	}
}

// ofBudget explains a budget that keeps pods on a node that somebody drains. Otherwise one that lets no pod go is as it should be.
func (c *Checker) ofBudget(object *unstructured.Unstructured) look {
	r := kube.Refer(object)
	return func(ctx context.Context) (cause, error) {
		budget, err := as[policyv1.PodDisruptionBudget](object)
		if err != nil || budget.Status.DisruptionsAllowed > 0 || budget.Status.ExpectedPods == 0 {
			return cause{}, err
		}
		nodes, err := c.Cluster.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil || !slices.ContainsFunc(nodes.Items, func(node corev1.Node) bool { return node.Spec.Unschedulable }) {
			return cause{}, err
		}
		return cause{why: messages.T("%s wants %v pods, there are %v, and so none of them may be evicted: a node with one of them cannot be drained",
			r, budget.Status.DesiredHealthy, budget.Status.CurrentHealthy), next: messages.Kubectl(r.Namespace, "delete", typed(r)).Text()}, nil
	}
}

// scaler is the autoscaler that sets a workload's number of pods, or nil.
func (c *Checker) scaler(ctx context.Context, r kube.Reference) (*unstructured.Unstructured, error) {
	all, err := c.Cluster.Of(ctx, "autoscaling/v2", "HorizontalPodAutoscaler", r.Namespace)
	if err != nil {
		return nil, err
	}
	for _, scaler := range all {
		target, _, _ := unstructured.NestedStringMap(scaler.Object, "spec", "scaleTargetRef")
		if target["kind"] == r.Kind && target["name"] == r.Name {
			return scaler, nil
		}
	}
	return nil, nil
}

// ofClaim explains a claim that has no volume. One that waits for its first pod is as it should be.
func (c *Checker) ofClaim(object *unstructured.Unstructured) look {
	r := kube.Refer(object)
	return func(ctx context.Context) (cause, error) {
		claim, err := as[corev1.PersistentVolumeClaim](object)
		if err != nil || claim.Status.Phase == corev1.ClaimBound {
			return cause{}, err
		}
		events, err := kube.Events(ctx, c.Cluster, r.Namespace, "involvedObject.uid="+string(claim.UID))
		if err != nil {
			return cause{}, err
		}
		said := string(claim.Status.Phase)
		for _, event := range events {
			if said = firstLine(event.Message); event.Reason == "WaitForFirstConsumer" {
				return cause{}, nil
			}
		}
		found, err := c.released(ctx, claim)
		if err != nil || found.found() {
			return found, err
		}
		return cause{why: messages.T("the claim %s has no volume: %s", claim.Name, said), next: describeIt(r)}, nil
	}
}

// released finds the volume that an earlier claim of that name had: it keeps the data, and goes to no other claim
// (https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retain).
func (c *Checker) released(ctx context.Context, claim corev1.PersistentVolumeClaim) (cause, error) {
	volumes, err := c.Cluster.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	at := slices.IndexFunc(volumes.Items, func(volume corev1.PersistentVolume) bool {
		of := volume.Spec.ClaimRef
		return volume.Status.Phase == corev1.VolumeReleased && of != nil && of.Namespace == claim.Namespace && of.Name == claim.Name
	})
	if at < 0 {
		return cause{}, nil
	}
	name := volumes.Items[at].Name
	return cause{why: messages.T("the volume %s still belongs to an earlier claim %s, which was deleted", name, claim.Name),
		next: messages.Kubectl("", "patch", "persistentvolume", name, "--type=json", "-p", "[{op: remove, path: /spec/claimRef}]").Text(),
		way:  []kube.Reference{{APIVersion: "v1", Kind: "PersistentVolume", Name: name}}}, nil
}
