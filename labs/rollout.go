package labs

import (
	"cmp"
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/polymorphichelpers"
	"k8s.io/kubectl/pkg/util/deployment"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// untilDeployment waits until ok reports true for a Deployment whose latest change its controller has seen.
func (l *Labs) untilDeployment(ctx context.Context, namespace, name string, ok func(context.Context, *appsv1.Deployment) (bool, error)) error {
	return await.Watches(ctx, func(ctx context.Context) (bool, error) {
		found, err := l.Cluster.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil || found.Status.ObservedGeneration < found.Generation {
			return false, err
		}
		return ok(ctx, found)
	}, l.Cluster.Watch(deploymentNamed(namespace, name)), func(ctx context.Context) (watch.Interface, error) {
		return l.Cluster.AppsV1().ReplicaSets(namespace).Watch(ctx, metav1.ListOptions{})
	})
}

func deploymentNamed(namespace, name string) kube.Reference {
	return kube.Reference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: name}
}

// untilObserved waits until a Deployment has a ReplicaSet for its present template, with its revision.
func (l *Labs) untilObserved(ctx context.Context, namespace, name string) error {
	err := l.untilDeployment(ctx, namespace, name, func(_ context.Context, found *appsv1.Deployment) (bool, error) {
		_, _, current, err := deployment.GetAllReplicaSets(found, l.Cluster.AppsV1())
		if err != nil || current == nil {
			return false, err
		}
		number := current.Annotations[deployment.RevisionAnnotation]
		return number != "" && number == found.Annotations[deployment.RevisionAnnotation], nil
	})
	if err != nil {
		return messages.Errorf("Kubernetes does not act on deployment/%s", name).Because(err)
	}
	return nil
}

// untilRolledOut waits until all pods of a Deployment are new and Ready, as kubectl rollout status does. It ends at once if
// the Deployment exceeds its progress deadline.
func (l *Labs) untilRolledOut(ctx context.Context, namespace, name string) error {
	var failed error
	err := l.untilDeployment(ctx, namespace, name, func(_ context.Context, found *appsv1.Deployment) (done bool, err error) {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(found)
		if err != nil {
			return false, err
		}
		_, done, failed = new(polymorphichelpers.DeploymentStatusViewer).Status(&unstructured.Unstructured{Object: content}, 0)
		return done || failed != nil, nil
	})
	if err := cmp.Or(failed, err); err != nil {
		return messages.Errorf("deployment/%s does not roll out", name).Because(err)
	}
	return nil
}

// untilComplete waits until a Deployment has rolled out, a Job is Complete, or a Pod is Ready.
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
	}, l.Cluster.Watch(of))
	if err != nil {
		return messages.Errorf("%s does not become %s", workload, wanted).Because(err)
	}
	return nil
}

// undo rolls a Deployment back, as kubectl rollout undo does.
func (l *Labs) undo(ctx context.Context, namespace string, undo *course.Undo) error {
	found, err := l.deployment(ctx, namespace, undo.Deployment)
	if err != nil {
		return err
	}
	rollbacker, err := polymorphichelpers.RollbackerFor(appsv1.SchemeGroupVersion.WithKind("Deployment").GroupKind(), l.Cluster)
	if err != nil {
		return err
	}
	// not tried again: a second one would undo the first
	if _, err := rollbacker.Rollback(found, nil, undo.Revision, util.DryRunNone); err != nil {
		return err
	}
	return l.untilObserved(ctx, namespace, undo.Deployment)
}

func (l *Labs) deployment(ctx context.Context, namespace, name string) (found *appsv1.Deployment, err error) {
	err = l.Cluster.Retry(ctx, func(ctx context.Context) (err error) {
		found, err = l.Cluster.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	return found, err
}

// replace deletes a pod of a Deployment, and waits for the one that replaces it.
func (l *Labs) replace(ctx context.Context, namespace, name string) error {
	if err := l.untilRolledOut(ctx, namespace, name); err != nil {
		return err
	}
	found, err := l.deployment(ctx, namespace, name)
	if err != nil {
		return err
	}
	pods, err := l.Cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(found.Spec.Selector)})
	if err != nil || len(pods.Items) == 0 {
		return err
	}
	old := kube.Reference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: pods.Items[0].Name, UID: string(pods.Items[0].UID)}
	if err := l.Cluster.Delete(ctx, []kube.Reference{old}); err != nil {
		return err
	}
	return l.untilRolledOut(ctx, namespace, name)
}
