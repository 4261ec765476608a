package labs

import (
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/polymorphichelpers"
	"k8s.io/kubectl/pkg/util/deployment"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// untilDeployment waits until something is true of a Deployment.
func (l *Labs) untilDeployment(ctx context.Context, namespace, name string, what messages.Text, ok func(context.Context, *appsv1.Deployment) (bool, error)) error {
	err := await.Watches(ctx, func(ctx context.Context) (bool, error) {
		found, err := l.Cluster.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil || found.Status.ObservedGeneration < found.Generation {
			return false, err
		}
		return ok(ctx, found)
	}, func(ctx context.Context) (watch.Interface, error) {
		return l.Cluster.AppsV1().Deployments(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	}, func(ctx context.Context) (watch.Interface, error) {
		return l.Cluster.AppsV1().ReplicaSets(namespace).Watch(ctx, metav1.ListOptions{})
	})
	if err != nil && context.Cause(ctx) != nil {
		return &messages.Error{What: what, Cause: err}
	}
	return err
}

// untilObserved waits until a Deployment's ReplicaSet for what was applied is there, with its revision.
func (l *Labs) untilObserved(ctx context.Context, namespace, name string) error {
	return l.untilDeployment(ctx, namespace, name, messages.T("Kubernetes does not act on deployment/%s", name), func(_ context.Context, found *appsv1.Deployment) (bool, error) {
		_, _, current, err := deployment.GetAllReplicaSets(found, l.Cluster.AppsV1())
		if err != nil || current == nil {
			return false, err
		}
		number := current.Annotations[deployment.RevisionAnnotation]
		return number != "" && number == found.Annotations[deployment.RevisionAnnotation], nil
	})
}

// untilRolledOut waits until all pods of a Deployment are new and Ready, as kubectl rollout status does.
func (l *Labs) untilRolledOut(ctx context.Context, namespace, name string) error {
	return l.untilDeployment(ctx, namespace, name, messages.T("deployment/%s does not roll out", name), func(_ context.Context, found *appsv1.Deployment) (bool, error) {
		wanted, status := *found.Spec.Replicas, found.Status
		return status.UpdatedReplicas == wanted && status.Replicas == wanted && status.AvailableReplicas == wanted, nil
	})
}

// untilComplete waits until a Deployment has rolled out, a Job has come to its end, or a Pod is Ready.
func (l *Labs) untilComplete(ctx context.Context, namespace, workload string) error {
	kind, name, _ := strings.Cut(workload, "/")
	if kind == "deployment" {
		return l.untilRolledOut(ctx, namespace, name)
	}
	of := map[string]kube.Reference{
		"pod": {APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: name},
		"job": {APIVersion: "batch/v1", Kind: "Job", Namespace: namespace, Name: name},
	}[kind]
	wanted := map[string]string{"pod": "Ready", "job": "Complete"}[kind]
	err := await.Watches(ctx, func(ctx context.Context) (bool, error) {
		found, err := l.Cluster.Get(ctx, of)
		if err != nil || found == nil {
			return false, err
		}
		conditions, _, _ := unstructured.NestedSlice(found.Object, "status", "conditions")
		return slices.ContainsFunc(conditions, func(condition any) bool {
			fields, _ := condition.(map[string]any)
			return fields["type"] == wanted && fields["status"] == "True"
		}), nil
	}, l.Cluster.Changes()...)
	if err != nil {
		return messages.Errorf("%s does not get %s", workload, wanted).Because(err)
	}
	return nil
}

// undo rolls a Deployment back, as kubectl rollout undo does.
func (l *Labs) undo(ctx context.Context, namespace string, undo *course.Undo) error {
	found, err := l.Cluster.AppsV1().Deployments(namespace).Get(ctx, undo.Deployment, metav1.GetOptions{})
	if err != nil {
		return err
	}
	rollbacker, err := polymorphichelpers.RollbackerFor(appsv1.SchemeGroupVersion.WithKind("Deployment").GroupKind(), l.Cluster)
	if err != nil {
		return err
	}
	if _, err := rollbacker.Rollback(found, nil, undo.Revision, util.DryRunNone); err != nil {
		return err
	}
	return l.untilObserved(ctx, namespace, undo.Deployment)
}

// replace deletes a pod of a Deployment, and waits for the one that comes in its place.
func (l *Labs) replace(ctx context.Context, namespace, name string) error {
	if err := l.untilRolledOut(ctx, namespace, name); err != nil {
		return err
	}
	found, err := l.Cluster.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	selector := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(found.Spec.Selector)}
	pods, err := l.Cluster.CoreV1().Pods(namespace).List(ctx, selector)
	if err != nil || len(pods.Items) == 0 {
		return err
	}
	old := pods.Items[0]
	if err := l.Cluster.CoreV1().Pods(namespace).Delete(ctx, old.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	gone := func(ctx context.Context) (bool, error) {
		pods, err := l.Cluster.CoreV1().Pods(namespace).List(ctx, selector)
		return err == nil && !slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool { return pod.UID == old.UID }), err
	}
	if err := await.Watches(ctx, gone, func(ctx context.Context) (watch.Interface, error) {
		return l.Cluster.CoreV1().Pods(namespace).Watch(ctx, selector)
	}); err != nil {
		return err
	}
	return l.untilRolledOut(ctx, namespace, name)
}
