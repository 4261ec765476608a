package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/registry"
)

// owner is hellolab's name as a field manager.
const owner = "hellolab"

// kube is the lab's API server.
type kube struct {
	*kubernetes.Clientset
	config clientcmd.ClientConfig
}

// connect gives the lab's API server once it is ready, and sees to it that the user's kubeconfig leads there.
func (l *Lab) connect(ctx context.Context) (kube, error) {
	node, err := l.docker.ContainerInspect(ctx, l.controlPlane())
	if err != nil {
		return kube{}, err
	}
	if server := l.kubectl.server(); server == "" || !strings.HasSuffix(server, ":"+published(node, apiServerPort)) {
		if err := l.exportKubeconfig(ctx); err != nil {
			return kube{}, err
		}
	}
	server, err := l.kube()
	if err != nil || server.ready(ctx) == nil {
		return server, err
	}
	ctx, cancel := l.within(ctx)
	defer cancel()
	return server, l.story.Do(ctx, messages.T("waiting for the API server"), func(ctx context.Context) error {
		return await.Poll(ctx, messages.T("the API server does not get ready"), server.ready)
	})
}

// API tells how a program reaches the lab's API server, once that is ready. A lab that is not there or does not run is
// told.
func (l *Lab) API(ctx context.Context) (*rest.Config, error) {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil, err
	}
	finished, err := l.finished(ctx, nodes)
	if err != nil {
		return nil, err
	}
	state := stateOf(nodes)
	switch {
	case !l.record.exists:
		return nil, messages.Errorf("there is no lab named %s", l.name()).WithHint("hellolab up")
	case state == Paused:
		return nil, messages.Errorf("the lab %s is paused", l.name()).WithHint("hellolab resume")
	case state == Stopped:
		return nil, messages.Errorf("the lab %s does not run", l.name()).WithHint("hellolab start")
	case state != Running || !finished:
		return nil, messages.Errorf("the lab %s is not whole", l.name()).WithHint("hellolab up")
	}
	if _, err := l.connect(ctx); err != nil {
		return nil, err
	}
	return l.kubectl.rest()
}

// Releases works on the Helm releases of a namespace of the lab's.
func (l *Lab) Releases(namespace string) (*helm.Client, error) {
	return helm.New(l.kubectl.client(), namespace, l.log)
}

// Node is the name of the control plane, and of its container.
func (l *Lab) Node() string { return l.controlPlane() }

// kube is the client of the API server that the lab's context names.
func (l *Lab) kube() (kube, error) {
	config, err := l.kubectl.rest()
	if err != nil {
		return kube{}, err
	}
	clientset, err := kubernetes.NewForConfig(config)
	return kube{clientset, l.kubectl.client()}, err
}

// apiServerPort is the port of the API server in the control plane's container.
const apiServerPort = 6443

// exportKubeconfig writes the lab's context into the user's kubeconfig. kind makes it the current one. Another program
// may hold that file's lock for a moment.
func (l *Lab) exportKubeconfig(ctx context.Context) error {
	before := l.kubectl.current()
	name := l.kubectl.context
	return l.story.Do(ctx, messages.T("kubectl context %s", name), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, staleLock)
		defer cancel()
		var last error
		err := await.Poll(ctx, messages.Text{}, func(context.Context) error {
			last = l.kind.ExportKubeConfig(l.name(), "", false)
			return last
		})
		if err != nil {
			return messages.Errorf("kubectl's configuration cannot be written").Because(cause(last)).
				WithHint("check that the file that $KUBECONFIG names, or ~/.kube/config, can be written, and that nobody left a .lock beside it")
		}
		if l.settings.Bootstrap.KeepContext {
			return l.kubectl.use(before)
		}
		return nil
	})
}

func (k kube) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := k.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// ensureRegistryHint tells other tools of the registry, as
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry
// asks for.
func (k kube) ensureRegistryHint(ctx context.Context, registry *registry.Registry) error {
	hint := fmt.Sprintf("host: %q\nhostFromContainerRuntime: %q\nhostFromClusterNetwork: %q\n",
		registry.Address(), registry.InsideAddress(), registry.InsideAddress())
	const key, name = "localRegistryHosting.v1", "local-registry-hosting"
	configMaps := k.CoreV1().ConfigMaps(metav1.NamespacePublic)
	if found, err := configMaps.Get(ctx, name, metav1.GetOptions{}); err == nil && found.Data[key] == hint {
		return nil
	}
	_, err := configMaps.Apply(ctx, applycore.ConfigMap(name, metav1.NamespacePublic).WithData(map[string]string{key: hint}),
		metav1.ApplyOptions{FieldManager: owner, Force: true})
	return err
}

// untilNodesReady waits until every node is Ready, and its kubelet has been heard of since its container started: for
// 40 s after a restart the API server still shows what was true before.
func (l *Lab) untilNodesReady(ctx context.Context, kube kube) error {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return err
	}
	since := map[string]time.Time{}
	for _, node := range nodes {
		found, err := l.docker.ContainerInspect(ctx, node.ID)
		if err != nil {
			return err
		}
		name := nodeName(node)
		if since[name], err = time.Parse(time.RFC3339Nano, found.State.StartedAt); err != nil {
			return err
		}
	}
	ready := func(ctx context.Context) (bool, error) { return kube.nodesReady(ctx, since) }
	if done, err := ready(ctx); done && err == nil {
		return nil
	}
	ctx, cancel := l.within(ctx)
	defer cancel()
	return l.story.Do(ctx, messages.T("waiting for the nodes to be Ready"), func(ctx context.Context) error {
		err := await.Watches(ctx, ready,
			func(ctx context.Context) (watch.Interface, error) {
				return kube.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
			},
			func(ctx context.Context) (watch.Interface, error) {
				return kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Watch(ctx, metav1.ListOptions{})
			})
		if err != nil {
			return messages.Errorf("the nodes do not get Ready").Because(err).WithHint("hellolab status, and kubectl describe nodes")
		}
		return nil
	})
}

func (k kube) nodesReady(ctx context.Context, since map[string]time.Time) (bool, error) {
	nodes, err := k.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	leases, err := k.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	renewed := map[string]coordinationv1.LeaseSpec{}
	for _, lease := range leases.Items {
		renewed[lease.Name] = lease.Spec
	}
	for name, start := range since {
		node := findNode(nodes.Items, name)
		lease := renewed[name].RenewTime
		if node == nil || !isReady(*node) || lease == nil || !lease.After(start) {
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

func isReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

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
