package bootstrap

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/registry"
)

// gate is closed when what others wait for is there.
type gate chan struct{}

func (g gate) wait(ctx context.Context) error {
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Up makes the lab run: cluster, registry and ingress controller. What is missing is made, what is there is left
// alone, and what does not depend on each other happens at the same time. asked are the settings that the user asked
// for in so many words, or nil.
func (l *Lab) Up(ctx context.Context, asked *Settings) error {
	if err := engine.CheckCommand(); err != nil {
		return err
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	nodes, err := l.prepare(ctx, asked)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.settings.Bootstrap.Timeout, errTimeout(l.settings.Bootstrap.Timeout))
	defer cancel()

	var (
		work, together  = errgroup.WithContext(ctx)
		started         = make(chan string, 1+l.settings.Bootstrap.Workers)
		registryRuns    = make(gate)
		controllerIn    = make(gate) // the controller's image, in the registry
		nodesSetUp      = make(gate)
		clusterRuns     = make(gate)
		controllerImage = registry.Tagged(l.settings.Bootstrap.Ingress.Image)
		withIngress     = l.settings.Bootstrap.Ingress.Enabled
	)
	if len(nodes) == 0 {
		go forward(together, l.watchNodes(together), started)
	}
	work.Go(func() error { // the registry and what it holds
		if err := l.registry.Ensure(together); err != nil {
			return err
		}
		close(registryRuns)
		if withIngress && l.settings.Bootstrap.Ingress.Chart == "" {
			if err := l.registry.Copy(together, l.settings.Bootstrap.Ingress.Image); err != nil {
				return err
			}
			close(controllerIn)
		}
		for _, image := range l.settings.Registry.Images {
			if err := l.registry.Copy(together, image); err != nil {
				return err
			}
		}
		return nil
	})
	work.Go(func() error { // the cluster
		if err := l.ensureCluster(together, nodes, started); err != nil {
			return err
		}
		close(clusterRuns)
		return nil
	})
	work.Go(func() error { // how the nodes find the registry
		if err := l.setUpNodes(together, started); err != nil {
			return err
		}
		if err := registryRuns.wait(together); err != nil {
			return err
		}
		if err := l.connectRegistry(together); err != nil {
			return err
		}
		close(nodesSetUp)
		if len(nodes) > 0 || !withIngress || l.settings.Bootstrap.Ingress.Chart != "" {
			return nil
		}
		if err := controllerIn.wait(together); err != nil {
			return err
		}
		l.prePull(together, controllerImage)
		return nil
	})
	work.Go(func() error { // what runs in the cluster
		if err := clusterRuns.wait(together); err != nil {
			return err
		}
		kube, err := l.connect(together)
		if err != nil {
			return err
		}
		if err := kube.ensureRegistryHint(together, l.registry); err != nil {
			return err
		}
		if err := nodesSetUp.wait(together); err != nil {
			return err
		}
		if !withIngress {
			return l.untilNodesReady(together, kube)
		}
		return l.ensureIngress(together, kube)
	})
	return work.Wait()
}

// prepare looks at what is there, and refuses to begin where it would fail later. It leaves the nodes of a finished
// cluster, or none, and the lab's settings on record.
func (l *Lab) prepare(ctx context.Context, asked *Settings) ([]container.Summary, error) {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil, err
	}
	if l.exists && asked != nil {
		if nodes, err = l.insist(ctx, *asked, nodes); err != nil {
			return nil, err
		}
	}
	if err := l.kubeconfig.check(); err != nil {
		return nil, messages.Errorf("kubectl's configuration cannot be read").Because(err).
			WithHint("mend that file, or name another one: export KUBECONFIG=FILE")
	}
	if !l.exists {
		if _, err := l.registry.State(ctx); err != nil {
			return nil, err
		}
		if err := l.settings.claimPorts(ctx, l.docker, port.Loopback()); err != nil {
			return nil, err
		}
		l.registry = registry.New(l.docker, l.story, l.name(), l.settings.Registry)
		l.previous = l.kubeconfig.current()
		if err := l.record(ctx); err != nil {
			return nil, err
		}
		l.exists = true
	}
	if len(nodes) > 0 && !l.finished(ctx, nodes) {
		return nil, l.story.Do(ctx, messages.T("removing the rest of an interrupted start"), l.removeNodes)
	}
	return nodes, nil
}

// ensureCluster creates the cluster, or starts those of its nodes that do not run. It tells the names of nodes that
// exist already to started.
func (l *Lab) ensureCluster(ctx context.Context, nodes []container.Summary, started chan<- string) error {
	if len(nodes) == 0 {
		if err := l.createCluster(ctx); err != nil {
			return err
		}
		if l.settings.Bootstrap.KeepContext {
			return l.kubeconfig.use(l.previous)
		}
		return nil
	}
	for _, node := range nodes {
		name := node.Names[0][1:]
		if node.State == container.StatePaused {
			if err := l.docker.ContainerUnpause(ctx, node.ID); err != nil {
				return err
			}
		}
		if node.State == container.StateExited || node.State == container.StateCreated {
			if err := l.startNode(ctx, node.ID, name); err != nil {
				return err
			}
		}
		started <- name
	}
	return nil
}

func (l *Lab) startNode(ctx context.Context, id, name string) error {
	return l.story.Do(ctx, messages.T("starting node %s", name), func(ctx context.Context) error {
		if err := l.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
			return messages.Errorf("the node %s does not start", name).Because(err).
				WithHint("if a port is taken, stop the program that took it and run the same command again; docker logs %s shows more", name)
		}
		return nil
	})
}

// connectRegistry puts the registry on the network that the nodes are on.
func (l *Lab) connectRegistry(ctx context.Context) error {
	node, err := l.docker.ContainerInspect(ctx, l.name()+"-"+controlPlane)
	if err != nil {
		return err
	}
	for network := range node.NetworkSettings.Networks {
		if err := l.registry.EnsureConnected(ctx, network); err != nil {
			return err
		}
	}
	return nil
}

func forward(ctx context.Context, from <-chan string, to chan<- string) {
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-from:
			to <- name
		}
	}
}

func errTimeout(limit time.Duration) error {
	return messages.Errorf("it was not done within %s", limit).
		WithHint("hellolab up goes on where this stopped; hellolab status shows what is there")
}
