package bootstrap

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/registry"
)

// Context is the kubectl context of a lab. kind names it so.
func Context(lab string) string { return "kind-" + lab }

// API returns the lab's API server once it is ready. Where there is no lab, or none that runs, the error says so.
func (l *Lab) API(ctx context.Context) (*kube.Cluster, error) {
	if !l.record.exists {
		return nil, l.missing()
	}
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil, err
	}
	finished, err := l.finished(ctx, nodes)
	if err != nil {
		return nil, err
	}
	switch state := stateOf(nodes); {
	case l.isLost(nodes):
		return nil, l.lost()
	case state == Paused:
		return nil, messages.Errorf("the lab %s is paused", l.name()).Next(messages.Hellolab("resume"))
	case state == Stopped:
		return nil, l.notRunning()
	case state != Running || !finished:
		return nil, l.incomplete()
	}
	return l.connect(ctx, false)
}

// connect returns the lab's API server once it is ready, and sees to it that the user's kubeconfig leads there. It makes the lab's
// context the current one where that had to be written, if current asks for it.
func (l *Lab) connect(ctx context.Context, current bool) (*kube.Cluster, error) {
	node, err := l.docker.ContainerInspect(ctx, l.controlPlane())
	if err != nil {
		return nil, err
	}
	if server := l.kubectl.Server(); server == "" || !strings.HasSuffix(server, ":"+published(node, apiServerPort)) {
		if err := l.exportKubeconfig(ctx, current); err != nil {
			return nil, err
		}
	}
	server, err := l.kubectl.Cluster()
	if err != nil || ready(ctx, server) == nil {
		return server, err
	}
	ctx, cancel := l.within(ctx)
	defer cancel()
	return server, l.story.Do(ctx, messages.T("waiting for the API server"), func(ctx context.Context) error {
		var failed error // for good
		err := await.Poll(ctx, messages.T("the API server does not become ready"), func(ctx context.Context) error {
			err := ready(ctx, server)
			if failed = expired(err); failed != nil {
				return nil
			}
			return err
		})
		return errors.Join(failed, err)
	})
}

// expired returns what is to be said where a certificate is not valid at this time, or nil: kubeadm's are so for a year from the
// cluster's creation on.
func expired(err error) error {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return nil
	}
	return messages.Errorf("the certificate of the API server is not valid at this machine's time, %s", time.Now().Format(time.DateTime)).Because(err).
		WithHint("correct this machine's clock, or start over (the cluster is lost): %s, then %s", messages.Hellolab("down"), messages.Hellolab("up"))
}

// Releases returns a client for the Helm releases of a namespace of the lab.
func (l *Lab) Releases(namespace string) (*helm.Client, error) {
	cluster, err := l.kubectl.Cluster()
	if err != nil {
		return nil, err
	}
	return helm.New(cluster, namespace, l.log)
}

// releases are the Helm releases of a namespace: [helm.Client] is one.
type releases interface {
	Get(name string) (*release.Release, error)
	Whole(ctx context.Context, found *release.Release) (bool, error)
	Ensure(ctx context.Context, name string, wanted *chart.Chart, values map[string]any) error
}

// Node is the name of the control plane, and of its container.
func (l *Lab) Node() string { return l.controlPlane() }

// apiServerPort is the port of the API server in the control plane's container.
const apiServerPort = 6443

// exportKubeconfig writes the lab's context into the user's kubeconfig. It makes it the current one if asked to, or where none is,
// unless the one that is current is to stay, or the file cannot be written.
func (l *Lab) exportKubeconfig(ctx context.Context, current bool) error {
	return l.story.Do(ctx, messages.T("kubectl context %s", l.kubectl.Context), func(ctx context.Context) error {
		content, err := l.kind.KubeConfig(l.name(), false)
		if err != nil {
			return messages.Errorf("the kubeconfig of the cluster %s cannot be read", l.name()).Because(cause(err)).Next(messages.Hellolab("up"))
		}
		if err := l.kubectl.Add(ctx, content); err != nil || !current && l.kubectl.Current() != "" || l.settings.Bootstrap.KeepContext {
			return err
		}
		if err := l.kubectl.Use(ctx, l.kubectl.Context); err != nil {
			l.log.Debug(err)
			l.story.Say(messages.T("kubectl's current context stays %s, since that file cannot be written; the lab's is reached by %s",
				l.kubectl.Current(), messages.Hellolab("kubectl", "get", "nodes")))
		}
		return nil
	})
}

// ready fails while an API server does not say that it is ready.
func ready(ctx context.Context, api *kube.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := api.CoreV1().RESTClient().Get().AbsPath("/readyz").MaxRetries(0).DoRaw(ctx) // whoever asks tries again sooner than the client does
	return err
}

// announceRegistry tells other tools of the registry, as
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry
// asks for.
func announceRegistry(ctx context.Context, api *kube.Cluster, registry *registry.Registry) error {
	hint := fmt.Sprintf("host: %q\nhostFromContainerRuntime: %q\nhostFromClusterNetwork: %q\n",
		registry.Address(), registry.InsideAddress(), registry.InsideAddress())
	const key, name = "localRegistryHosting.v1", "local-registry-hosting"
	configMaps := api.CoreV1().ConfigMaps(metav1.NamespacePublic)
	if found, err := configMaps.Get(ctx, name, metav1.GetOptions{}); err == nil && found.Data[key] == hint {
		return nil
	}
	_, err := configMaps.Apply(ctx, applycore.ConfigMap(name, metav1.NamespacePublic).WithData(map[string]string{key: hint}),
		metav1.ApplyOptions{FieldManager: kube.Owner, Force: true})
	return err
}

// uncordon has the control plane take pods again, which a reader may have drained: the lab's own pods run there.
func (l *Lab) uncordon(ctx context.Context, api *kube.Cluster) error {
	node, err := api.CoreV1().Nodes().Get(ctx, l.controlPlane(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !node.Spec.Unschedulable {
		return nil
	}
	if err != nil {
		return err
	}
	return l.story.Do(ctx, messages.T("letting node %s take pods again", node.Name), func(ctx context.Context) error {
		_, err := api.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, []byte(`{"spec": {"unschedulable": null}}`),
			metav1.PatchOptions{FieldManager: kube.Owner})
		return err
	})
}

// untilNodesReady waits until every node is Ready, and its kubelet has been heard of since its container started: for
// 40 s after a restart the API server still shows what was true before.
func (l *Lab) untilNodesReady(ctx context.Context, api *kube.Cluster) error {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return err
	}
	since := map[string]time.Time{}
	for _, node := range nodes {
		if since[nodeName(node)], err = l.startedAt(ctx, node.ID); err != nil {
			return err
		}
	}
	ready := func(ctx context.Context) (bool, error) { return nodesReady(ctx, api, since) }
	if done, err := ready(ctx); done && err == nil {
		return nil
	}
	ctx, cancel := l.within(ctx)
	defer cancel()
	return l.story.Do(ctx, messages.T("waiting for the nodes to be Ready"), func(ctx context.Context) error {
		err := await.Watches(ctx, ready,
			func(ctx context.Context) (watch.Interface, error) {
				return api.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
			},
			func(ctx context.Context) (watch.Interface, error) {
				return api.CoordinationV1().Leases(corev1.NamespaceNodeLease).Watch(ctx, metav1.ListOptions{})
			})
		if err != nil {
			return messages.Errorf("the nodes do not become Ready").Because(err).WithHint("%s shows why", messages.Kubectl("", "describe", "nodes"))
		}
		return nil
	})
}

// startedAt returns when a node's container was started last.
func (l *Lab) startedAt(ctx context.Context, node string) (time.Time, error) {
	found, err := l.docker.ContainerInspect(ctx, node)
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339Nano, found.State.StartedAt)
}

// nodesReady reports whether all nodes of since are Ready, and their kubelets were heard of after that time: by a lease, which a new node's
// kubelet may have only 10 s after it has told its status, or by that status.
func nodesReady(ctx context.Context, api *kube.Cluster, since map[string]time.Time) (bool, error) {
	nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	leases, err := api.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	renewed := map[string]coordinationv1.LeaseSpec{}
	for _, lease := range leases.Items {
		renewed[lease.Name] = lease.Spec
	}
	for name, start := range since {
		node := findNode(nodes.Items, name)
		if node == nil {
			return false, nil
		}
		lease, status := renewed[name].RenewTime, readyCondition(*node)
		heard := lease != nil && lease.After(start) || status.LastHeartbeatTime.After(start)
		if status.Status != corev1.ConditionTrue || !heard {
			return false, nil
		}
	}
	return true, nil
}

func findNode(nodes []corev1.Node, name string) *corev1.Node {
	for i := range nodes {
		if nodes[i].Name == name {
			return &nodes[i]
		}
	}
	return nil
}

// readyCondition is what a node's kubelet said last of whether it is Ready, or nothing yet.
func readyCondition(node corev1.Node) corev1.NodeCondition {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition
		}
	}
	return corev1.NodeCondition{}
}

func isReady(node corev1.Node) bool { return readyCondition(node).Status == corev1.ConditionTrue }

// answersHTTP reports whether a web server, any, answers at url.
func answersHTTP(ctx context.Context, url string) error { return answersWith(ctx, url, 0) }

// answersWith reports whether a web server answers at url with that status; 0 is any.
func answersWith(ctx context.Context, url string, status int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: this is loopback
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if status != 0 && response.StatusCode != status {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return errors.Join(err, response.Body.Close())
}
