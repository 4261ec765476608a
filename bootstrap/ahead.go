package bootstrap

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// adminConf is where kubeadm puts the administrator's kubeconfig, some seconds before the API server answers.
const adminConf = "/etc/kubernetes/admin.conf"

// installAhead installs the lab's own charts in a new cluster as soon as its API server answers, while kubeadm and kind still work on the
// rest. Their pods use the node's own network, so they need not wait for that of the others. Nothing depends on it but time: what it does not
// get done follows when the cluster runs.
func (a *assembly) installAhead(ctx context.Context) error {
	defer close(a.tried)
	if len(a.nodes) > 0 || !a.builtInIngress() {
		return nil
	}
	ctx, cancel := a.within(ctx)
	defer cancel()
	api, err := a.answering(ctx)
	if err == nil {
		defer a.story.Silent(messages.T("installing the charts ahead"))()
		err = a.installBoth(ctx, api)
	}
	a.log.Debugf("installed ahead: %v", err)
	return nil
}

// answering returns the API server of the cluster that kind is still creating, once it lets the administrator in: kubeadm gives him his
// rights a moment after it answers. It fails when the cluster runs.
func (a *assembly) answering(ctx context.Context) (api *kube.Cluster, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if a.clusterRuns.wait(ctx) == nil {
			cancel()
		}
	}()
	err = await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
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
	if api, err = kube.Parse([]byte(content)); err != nil {
		return nil, err
	}
	return api, await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
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
