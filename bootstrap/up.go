package bootstrap

import (
	"context"
	"errors"
	"strings"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/await"
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

// More is what the course adds to a lab.
type More struct {
	// Fill puts more into the registry, as soon as that runs; nil is nothing more.
	Fill func(context.Context) error
	// Charts are the files of the chart repository, by name; none leave alone what there is.
	Charts map[string][]byte
}

// Up makes the lab run: cluster, registry and ingress controller. What is missing is made, what is there is left
// alone, and what does not depend on each other happens at the same time. asked is what the user asked for in so many
// words, or nil; a lab that is not like that is refused. An image that cannot be had does not keep the rest from getting
// ready: that is told at the end.
func (l *Lab) Up(ctx context.Context, asked *Asked, more More) error {
	if err := engine.CheckCommand(); err != nil {
		return err
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	nodes, err := l.prepare(ctx, asked)
	if err != nil {
		return err
	}

	work, together := errgroup.WithContext(ctx)
	var (
		registryRuns = make(gate)
		controllerIn = make(gate) // the ingress controller's image, in the registry
		imagesIn     = make(gate) // what can be had of the images that the course pulls
		clusterRuns  = make(gate)
		nodesSetUp   = make(gate)
		fresh        = len(nodes) == 0
		started      = l.watchNodes(together, fresh)
		filled       error
		copied       error
	)
	work.Go(func() error { // the registry and what it holds
		if err := l.registry.Ensure(together); err != nil {
			return err
		}
		close(registryRuns)
		if more.Fill != nil {
			work.Go(func() error {
				filled = more.Fill(together)
				return nil
			})
		}
		if l.builtInIngress() {
			if err := l.registry.Copy(together, l.settings.Bootstrap.Ingress.Image); err != nil {
				return err
			}
			close(controllerIn)
		}
		for _, image := range l.settings.Registry.Images {
			copied = errors.Join(copied, l.registry.Copy(together, image))
		}
		close(imagesIn)
		return nil
	})
	work.Go(func() error { // the cluster
		if err := l.ensureCluster(together, nodes); err != nil {
			return err
		}
		close(clusterRuns)
		return nil
	})
	work.Go(func() error { // how the nodes find the registry: as soon as they start, and once more when all have
		if err := registryRuns.wait(together); err != nil {
			return err
		}
		for {
			select {
			case <-together.Done():
				return context.Cause(together)
			case node := <-started:
				if err := l.setUpNode(together, node); err != nil {
					l.log.Debugf("node %s: %v", node, err)
				} else if node == l.controlPlane() && l.builtInIngress() {
					work.Go(func() error { return l.prePull(together, controllerIn) })
				}
			case <-clusterRuns:
				if err := l.setUpNodes(together); err != nil {
					return err
				}
				close(nodesSetUp)
				return nil
			}
		}
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
		if !l.settings.Bootstrap.Ingress.Enabled {
			return l.untilNodesReady(together, kube)
		}
		if err := l.ensureIngress(together, kube); err != nil {
			return err
		}
		if err := imagesIn.wait(together); err != nil {
			return err
		}
		return l.ensureCharts(together, kube, more.Charts)
	})
	if err := work.Wait(); err != nil {
		return err
	}
	return errors.Join(copied, filled)
}

// prepare looks at what is there, and refuses to begin where it would fail later. It leaves the nodes of a finished
// cluster, or none, and the lab's settings on record.
func (l *Lab) prepare(ctx context.Context, asked *Asked) ([]container.Summary, error) {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil, err
	}
	finished, err := l.finished(ctx, nodes)
	if err != nil {
		return nil, err
	}
	if err := l.kubectl.check(); err != nil {
		return nil, err
	}
	if l.record.exists && asked != nil {
		if differences := l.settings.Differences(*asked); len(differences) > 0 && finished {
			return nil, messages.Errorf("the lab %s was made with other settings (%s), and a lab keeps its settings", l.name(), differences).
				WithHint("hellolab down, then hellolab up with the new ones; or hellolab up without them")
		}
	}
	if l.record.exists && !finished {
		if err := l.clearInterrupted(ctx, len(nodes) > 0); err != nil {
			return nil, err
		}
		if nodes = nil; asked != nil {
			l.settings = asked.Settings
		}
	}
	unlock, err := l.lockPorts(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := l.claimPorts(ctx, len(nodes) > 0); err != nil {
		return nil, err
	}
	if !l.record.exists {
		if err := l.remember(ctx); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// clearInterrupted takes away what an `up` left that did not get to its end, down to its settings.
func (l *Lab) clearInterrupted(ctx context.Context, nodes bool) error {
	clear := l.removeNodes
	if nodes {
		clear = func(ctx context.Context) error {
			return l.story.Do(ctx, messages.T("removing the rest of an interrupted start"), l.removeNodes)
		}
	}
	if err := clear(ctx); err != nil {
		return err
	}
	if err := l.forget(ctx); err != nil {
		return err
	}
	l.record.exists = false
	return nil
}

// claimPorts settles the lab's ports, and fails where one of what has to be made is taken.
func (l *Lab) claimPorts(ctx context.Context, nodes bool) error {
	kept, err := l.registry.PublishedPort(ctx)
	if err != nil {
		return err
	}
	wanted := &l.settings.Registry.Port
	if wanted.Auto && kept != 0 {
		*wanted = port.Port{Number: kept}
	}
	ours := map[string]bool{}
	if nodes {
		ours = clusterPorts()
	}
	ours["registry.port"] = kept != 0 && kept == wanted.Number
	if err := l.settings.claimPorts(ctx, l.docker, port.Loopback(), ours); err != nil {
		return err
	}
	l.registry = registry.New(l.docker, l.story, l.name(), l.settings.Registry)
	if kept != 0 && kept != wanted.Number { // kept from an earlier lab; its content is in the volume
		return l.registry.RemoveContainer(ctx)
	}
	return nil
}

// StartRegistry makes the registry run, with or without a lab around it. Where another hellolab is about to make the
// lab, it waits for that one's settings.
func (l *Lab) StartRegistry(ctx context.Context) error {
	var unlock func()
	var failed error // for good: only the other hellolab is worth a wait
	waiting, cancel := l.within(ctx)
	defer cancel()
	err := await.Poll(waiting, messages.Text{}, func(ctx context.Context) error {
		if failed = l.load(ctx); failed != nil || l.record.exists {
			return nil
		}
		if unlock, failed = l.tryLock(ctx); failed == nil && unlock == nil {
			return l.busy()
		}
		return nil
	})
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	if unlock != nil {
		defer unlock()
	}
	if l.record.exists {
		return l.registry.Ensure(ctx)
	}
	kept, err := l.adoptRegistry(ctx)
	if err != nil {
		return err
	}
	if !kept {
		unlockPorts, err := l.lockPorts(ctx) // until the port is the container's: there is no record
		if err != nil {
			return err
		}
		defer unlockPorts()
		if err := l.settings.claimPorts(ctx, l.docker, port.Loopback(), clusterPorts()); err != nil {
			return err
		}
		l.registry = registry.New(l.docker, l.story, l.name(), l.settings.Registry)
	}
	return l.registry.Ensure(ctx)
}

// RegistryRuns reports whether the registry can be asked.
func (l *Lab) RegistryRuns(ctx context.Context) (bool, error) {
	if _, err := l.adoptRegistry(ctx); err != nil {
		return false, err
	}
	state, err := l.registry.State(ctx)
	return state == Running, err
}

// adoptRegistry finds a registry that is there without a lab: at its own port, whatever the settings say.
func (l *Lab) adoptRegistry(ctx context.Context) (bool, error) {
	if l.record.exists {
		return false, nil
	}
	kept, err := l.registry.PublishedPort(ctx)
	if err != nil || kept == 0 {
		return false, err
	}
	l.settings.Registry.Port = port.Port{Number: kept}
	l.registry = registry.New(l.docker, l.story, l.name(), l.settings.Registry)
	return true, nil
}

// clusterPorts are the settings of the ports that the cluster has.
func clusterPorts() map[string]bool {
	return map[string]bool{"bootstrap.ports.http": true, "bootstrap.ports.https": true, "bootstrap.ports.nodePort": true}
}

// ensureCluster creates the cluster, or starts those of its nodes that do not run.
func (l *Lab) ensureCluster(ctx context.Context, nodes []container.Summary) error {
	if len(nodes) == 0 {
		return l.createCluster(ctx)
	}
	work, ctx := errgroup.WithContext(ctx)
	for _, node := range nodes {
		work.Go(func() error { return l.startNode(ctx, node) })
	}
	return work.Wait()
}

func (l *Lab) startNode(ctx context.Context, node container.Summary) error {
	var start func(context.Context) error
	switch node.State {
	case container.StatePaused:
		start = func(ctx context.Context) error { return l.docker.ContainerUnpause(ctx, node.ID) }
	case container.StateExited, container.StateCreated:
		start = func(ctx context.Context) error {
			return l.docker.ContainerStart(ctx, node.ID, container.StartOptions{})
		}
	default:
		return nil
	}
	name := nodeName(node)
	return l.story.Do(ctx, messages.T("starting node %s", name), func(ctx context.Context) error {
		if err := start(ctx); err != nil {
			return messages.Errorf("the node %s does not start", name).Because(err).
				WithHint("if a port is taken, stop the program that took it and run the same command again; docker logs %s shows more", name)
		}
		return nil
	})
}

// setUpNodes makes every node's containerd ask the registry.
func (l *Lab) setUpNodes(ctx context.Context) error {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if err := l.setUpNode(ctx, nodeName(node)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) controlPlane() string { return l.name() + "-" + controlPlane }

// builtInIngress reports whether the lab has hellolab's own ingress controller.
func (l *Lab) builtInIngress() bool {
	return l.settings.Bootstrap.Ingress.Enabled && l.settings.Bootstrap.Ingress.Chart == ""
}

func nodeName(node container.Summary) string {
	if len(node.Names) == 0 { // on its way out
		return node.ID
	}
	return strings.TrimPrefix(node.Names[0], "/")
}
