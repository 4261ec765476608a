package bootstrap

import (
	"context"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/registry"
)

// The states of a lab and of its parts.
const (
	Absent  = registry.Absent
	Stopped = registry.Stopped
	Paused  = "paused"
	Running = registry.Running
	// Lost is a lab whose cluster something else than hellolab has removed; `hellolab up` makes a new one.
	Lost = "lost"
	// Broken is a lab, or a part of one, that is there and does not work; `hellolab up` repairs it.
	Broken = registry.Broken
)

// Status is what `hellolab status` shows.
type Status struct {
	Name string `json:"name"`
	// State of the lab as a whole: Absent, Stopped, Paused, Running, Lost or Broken.
	State string `json:"state"`
	// Context is the lab's kubectl context.
	Context string `json:"context"`
	// Kubernetes is the API server's version, "" while it does not answer.
	Kubernetes string       `json:"kubernetes"`
	Nodes      []NodeStatus `json:"nodes"`
	Registry   PartStatus   `json:"registry"`
	// Ingress is Absent in a lab without one, and Stopped or Paused with the lab.
	Ingress PartStatus `json:"ingress"`
	// NodePort is the address that reaches port 30000 of the nodes.
	NodePort string `json:"nodePort"`
	// Mirrors are what the nodes ask for images before the registry that these stand for.
	Mirrors map[string][]string `json:"mirrors,omitempty"`
}

// NodeStatus is one node's.
type NodeStatus struct {
	Name string `json:"name"`
	Role string `json:"role"`
	// State of the node's container, in Docker's words.
	State string `json:"state"`
	Ready bool   `json:"ready"`
	// Schedulable is false for a node that takes no new pods: one that was cordoned, or drained.
	Schedulable bool `json:"schedulable"`
}

// PartStatus is where a part of the lab answers, and whether it does.
type PartStatus struct {
	State   string `json:"state"`
	Address string `json:"address"`
}

// Status looks at the lab and changes nothing.
func (l *Lab) Status(ctx context.Context) (Status, error) {
	settings, at := l.settings.Bootstrap, l.Addresses()
	status := Status{Name: l.name(), State: Absent, Context: l.kubectl.Context, Nodes: []NodeStatus{},
		Registry: PartStatus{Address: at.Registry, State: Absent},
		Ingress:  PartStatus{Address: at.Ingress + "/", State: Absent},
		NodePort: at.NodePort + "/"}
	if !l.record.exists {
		return status, nil
	}
	status.Mirrors = l.registry.Mirrors()
	nodes, err := l.nodes(ctx)
	if err != nil {
		return status, err
	}
	if status.Registry.State, err = l.registry.State(ctx); err != nil {
		return status, err
	}
	for _, node := range nodes {
		status.Nodes = append(status.Nodes, NodeStatus{
			Name: nodeName(node), Role: node.Labels[roleLabel], State: node.State})
	}
	status.State = stateOf(nodes)
	if finished, err := l.finished(ctx, nodes); err != nil || !finished {
		status.State = Broken
	}
	if settings.Ingress.Enabled && len(nodes) > 0 {
		status.Ingress.State = status.State
	}
	if l.isLost(nodes) {
		status.State = Lost
	}
	if status.State == Running {
		l.statusOfKubernetes(ctx, &status)
	}
	if status.State == Running && status.Registry.State != Running {
		status.State = Broken
	}
	return status, nil
}

// stateOf sums up the states of the nodes' containers.
func stateOf(nodes []container.Summary) string {
	count := map[string]int{}
	for _, node := range nodes {
		count[node.State]++
	}
	switch len(nodes) {
	case 0:
		return Broken
	case count[container.StateRunning]:
		return Running
	case count[container.StatePaused]:
		return Paused
	case count[container.StateExited] + count[container.StateCreated]:
		return Stopped
	}
	return Broken
}

// looksFor is how long the API server may take to tell how it is.
const looksFor = 10 * time.Second

// statusOfKubernetes fills in what the API server knows.
func (l *Lab) statusOfKubernetes(ctx context.Context, status *Status) {
	ctx, cancel := context.WithTimeout(ctx, looksFor)
	defer cancel()
	status.State = Broken
	if l.settings.Bootstrap.Ingress.Enabled {
		status.Ingress.State = Broken
	}
	server, err := l.kubectl.Cluster()
	if err != nil || ready(ctx, server) != nil {
		return
	}
	if version, err := server.Discovery().ServerVersion(); err == nil {
		status.Kubernetes = version.GitVersion
	}
	if found, err := server.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		status.State = readiness(found.Items, status.Nodes)
	}
	if l.settings.Bootstrap.Ingress.Enabled {
		status.Ingress.State = Running
		if l.ingressWorks(ctx, server) != nil {
			status.Ingress.State, status.State = Broken, Broken
		}
	}
}

// readiness marks the nodes that are Ready, and that take pods, and returns the lab's state: Running where all are Ready and one takes pods.
func readiness(found []corev1.Node, nodes []NodeStatus) string {
	state := Running
	for i := range nodes {
		node := findNode(found, nodes[i].Name)
		if nodes[i].Ready = node != nil && isReady(*node); !nodes[i].Ready {
			state = Broken
		}
		nodes[i].Schedulable = node != nil && !node.Spec.Unschedulable
	}
	if !slices.ContainsFunc(nodes, func(node NodeStatus) bool { return node.Schedulable }) {
		return Broken
	}
	return state
}
