package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

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

// connect gives the lab's API server once it is ready.
func (l *Lab) connect(ctx context.Context) (kube, error) {
	if !l.kubeconfig.has() {
		if err := l.exportKubeconfig(); err != nil {
			return kube{}, err
		}
	}
	config, err := l.kubeconfig.rest()
	if err != nil {
		return kube{}, err
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return kube{}, err
	}
	server := kube{clientset, l.kubeconfig.client()}
	if server.ready(ctx) == nil {
		return server, nil
	}
	return server, l.story.Do(ctx, messages.T("waiting for the API server"), server.untilReady)
}

// exportKubeconfig writes the lab's context anew, where the user's kubeconfig has lost it.
func (l *Lab) exportKubeconfig() error {
	before := l.kubeconfig.current()
	if err := l.kind.ExportKubeConfig(l.name(), "", false); err != nil {
		return messages.Errorf("kubectl's configuration cannot be written").Because(firstLine(err)).
			WithHint("check that the file that $KUBECONFIG names, or ~/.kube/config, can be written")
	}
	if l.settings.Bootstrap.KeepContext {
		return l.kubeconfig.use(before)
	}
	return nil
}

func (k kube) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := k.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

func (k kube) untilReady(ctx context.Context) error {
	return poll(ctx, messages.T("the API server does not get ready"), k.ready)
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
		name := node.Names[0][1:]
		if since[name], err = time.Parse(time.RFC3339Nano, found.State.StartedAt); err != nil {
			return err
		}
	}
	ready := func(ctx context.Context) (bool, error) { return kube.nodesReady(ctx, since) }
	if done, err := ready(ctx); done && err == nil {
		return nil
	}
	return l.story.Do(ctx, messages.T("waiting for the nodes to be Ready"), func(ctx context.Context) error {
		err := await(ctx, ready,
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

// await checks, and checks again after every event of the watches, until done or ctx ends. A watch that breaks (the
// API server restarts, say) is opened again.
func await(ctx context.Context, done func(context.Context) (bool, error), watches ...func(context.Context) (watch.Interface, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, open := range watches {
		go follow(ctx, open, notify)
	}
	for {
		if ok, err := done(ctx); err == nil && ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

func follow(ctx context.Context, open func(context.Context) (watch.Interface, error), notify func()) {
	for ctx.Err() == nil {
		events, err := open(ctx)
		if err == nil {
			notify()
			for range events.ResultChan() {
				notify()
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// retryEvery is how often something is tried again that tells nobody when it comes true: a server that does not answer
// yet.
const retryEvery = 100 * time.Millisecond

// poll tries until it succeeds or ctx ends; the failure then tells what the last try said.
func poll(ctx context.Context, failure messages.Text, try func(context.Context) error) error {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return &messages.Error{What: failure, Cause: errors.Join(context.Cause(ctx), err)}
		case <-tick.C:
		}
	}
}

// answersHTTP reports whether a web server, any, answers at url.
func answersHTTP(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: this is loopback
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
