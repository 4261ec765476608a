package bootstrap

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// adminConf is where kubeadm puts the administrator's kubeconfig, some seconds before the API server answers.
const adminConf = "/etc/kubernetes/admin.conf"

// installAhead installs the lab's own charts in a new cluster as soon as its API server lets the administrator in, while kubeadm and kind still
// work on the rest. Their pods use the node's own network, so they need not wait for that of the others. Nothing depends on it but time: what it
// does not get done follows when the cluster runs.
func (a *assembly) installAhead(ctx context.Context) error {
	defer close(a.tried)
	if len(a.nodes) > 0 {
		close(a.apiAnswers)
		return nil
	}
	api, err := a.untilAPIAnswers(ctx)
	close(a.apiAnswers)
	if err == nil {
		a.work.Go(func() error { return a.bindPods(ctx, api) })
		err = a.untilAdmitted(ctx, api)
	}
	if err == nil && a.builtInIngress() {
		err = a.installBoth(ctx, api)
	}
	a.log.Debugf("installed ahead: %v", err)
	return nil
}

// untilAPIAnswers returns the API server of the cluster that kind is still creating, once it says anything. It fails when the cluster runs.
func (a *assembly) untilAPIAnswers(ctx context.Context) (*kube.Cluster, error) {
	ctx, cancel := a.untilClusterRuns(ctx)
	defer cancel()
	err := await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
		_, err := a.docker.ContainerStatPath(ctx, a.controlPlane(), adminConf)
		return err
	})
	if err != nil {
		return nil, err
	}
	content, err := a.kind.KubeConfig(a.name(), false)
	if err != nil {
		return nil, err
	}
	api, err := kube.Parse([]byte(content))
	if err != nil {
		return nil, err
	}
	return api, await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
		err := ready(ctx, api)
		if status := apierrors.APIStatus(nil); errors.As(err, &status) {
			return nil // it speaks, if only to say no
		}
		return err
	})
}

// untilAdmitted waits until the API server lets the administrator in: kubeadm gives him his rights a moment after it answers.
func (a *assembly) untilAdmitted(ctx context.Context, api *kube.Cluster) error {
	ctx, cancel := a.untilClusterRuns(ctx)
	defer cancel()
	return await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
		if err := ready(ctx, api); err != nil {
			return err
		}
		_, err := api.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		return err
	})
}

// installBoth installs both charts. The chart repository comes first if its image is there already: once the controller's webhook is
// registered, no Ingress is accepted until the controller runs. The controller knows it from its start then.
func (a *assembly) installBoth(ctx context.Context, api *kube.Cluster) error {
	defer a.story.Silent(messages.T("installing the charts ahead"))()
	ctx, cancel := a.within(ctx)
	defer cancel()
	if within(ctx, momentary, a.imagesIn.wait) == nil { // on a slow network they take minutes
		if err := a.installCharts(ctx, api); err != nil {
			return err
		}
	}
	controller, err := a.ingressController(ctx, api)
	if err != nil {
		return err
	}
	return controller.install(ctx)
}

// installCharts installs the chart repository, if there are charts, and its image is in the registry.
func (a *assembly) installCharts(ctx context.Context, api *kube.Cluster) error {
	image, _, err := a.registry.Find(ctx, chartsImage)
	if err != nil || image == nil || len(a.course.Charts) == 0 {
		return err
	}
	charts, err := a.chartServer(ctx, api, a.course.Charts)
	if err != nil {
		return err
	}
	return charts.install(ctx)
}

// untilClusterRuns returns a context that ends when kind is done.
func (a *assembly) untilClusterRuns(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		if a.clusterRuns.wait(ctx) == nil {
			cancel()
		}
	}()
	return ctx, cancel
}

// bindPods gives the control plane the pods that tolerate every node and may be on this one, until the cluster runs. That is the scheduler's work,
// but its first look at a new API server comes before it has the right to look, and it waits up to two seconds until the next. Nothing else needs
// room on a new node; a pod that the scheduler has been quicker with stays as it is.
func (a *assembly) bindPods(ctx context.Context, api *kube.Cluster) error {
	ctx, cancel := a.untilClusterRuns(ctx)
	defer cancel()
	unbound := metav1.ListOptions{FieldSelector: "spec.nodeName="}
	pods := api.CoreV1().Pods(metav1.NamespaceAll)
	err := await.Watches(ctx, func(ctx context.Context) (bool, error) {
		node, err := api.CoreV1().Nodes().Get(ctx, a.controlPlane(), metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		waiting, err := pods.List(ctx, unbound)
		if err != nil {
			return false, err
		}
		for _, pod := range waiting.Items {
			if goesTo(pod, node) {
				err = errors.Join(err, api.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
					ObjectMeta: metav1.ObjectMeta{Name: pod.Name, UID: pod.UID},
					Target:     corev1.ObjectReference{Kind: "Node", Name: node.Name}}, metav1.CreateOptions{}))
			}
		}
		return false, err
	}, func(ctx context.Context) (watch.Interface, error) { return pods.Watch(ctx, unbound) })
	a.log.Debugf("bound pods ahead: %v", err)
	return nil
}

// goesTo reports whether a pod tolerates every node, and chooses one like this.
func goesTo(pod corev1.Pod, node *corev1.Node) bool {
	everything := func(t corev1.Toleration) bool {
		return t.Operator == corev1.TolerationOpExists && t.Key == "" && t.Effect == ""
	}
	matches, err := nodeaffinity.GetRequiredNodeAffinity(&pod).Match(node)
	return err == nil && matches && slices.ContainsFunc(pod.Spec.Tolerations, everything)
}
