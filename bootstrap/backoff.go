package bootstrap

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
)

// releaseController restarts kubelet once if it holds the ingress controller back for nothing, until stop is called. On a node that has been
// started again, kubelet asks for Services and pods in steps, since the API server is one of its pods itself. At one start in seven or so it gets
// the pods first and fails ("services have not yet been read at least once"), and takes for a crash at its second try that the containers ended
// with the node: all pods wait until that was 10 s ago. Only kubelet's memory says so (doBackOff in
// https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/kuberuntime_manager.go).
func (l *Lab) releaseController(ctx context.Context, api *kube.Cluster) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.untilControllerIsHeld(ctx, api); err != nil {
			l.log.Debugf("kubelet holds nothing back: %v", err)
			return
		}
		l.log.Debugf("kubelet held pods back, and was restarted: %v", l.inControlPlane(ctx, "systemctl", "restart", "kubelet"))
	}()
	return func() {
		cancel()
		<-done
	}
}

// untilControllerIsHeld waits until kubelet waits with a container of the ingress controller's that has not run since its node was started.
func (l *Lab) untilControllerIsHeld(ctx context.Context, api *kube.Cluster) error {
	started, err := l.startedAt(ctx, l.controlPlane())
	if err != nil {
		return err
	}
	pods := api.CoreV1().Pods(ingressName)
	return await.Watches(ctx, func(ctx context.Context) (bool, error) {
		found, err := pods.List(ctx, metav1.ListOptions{})
		return err == nil && slices.ContainsFunc(found.Items, func(pod corev1.Pod) bool { return heldSince(pod, started) }), err
	}, func(ctx context.Context) (watch.Interface, error) { return pods.Watch(ctx, metav1.ListOptions{}) })
}

// heldSince reports whether a pod has a container that kubelet does not try again yet, though it has not run since then.
func heldSince(pod corev1.Pod, then time.Time) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(status corev1.ContainerStatus) bool {
		waiting, last := status.State.Waiting, status.LastTerminationState.Terminated
		return waiting != nil && waiting.Reason == "CrashLoopBackOff" && last != nil && last.StartedAt.Time.Before(then)
	})
}
