package bootstrap

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// Down removes the lab: its nodes, its registry (unless keepRegistry), its volumes and its kubeconfig entries, and makes
// the kubectl context from before the lab the current one again. What belongs to anybody else stays. It is no failure
// where there is nothing.
func (l *Lab) Down(ctx context.Context, keepRegistry bool) error {
	if err := engine.CheckCommand(); err != nil {
		return err
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	forgetting, err := l.removeCluster(ctx)
	if err != nil {
		return err
	}
	removed := false
	if !keepRegistry {
		if removed, err = l.registry.Remove(ctx); err != nil {
			return err
		}
	}
	if !l.record.exists && !removed {
		l.story.Say(messages.T("there is no lab named %s in the Docker Engine at %s: nothing to remove", l.name(), l.docker.DaemonHost()))
		if l.kubectl.Server() != "" { // it may lead to another engine's cluster
			l.story.Say(messages.T("kubectl's configuration still has the context %s; to remove it: %s",
				l.kubectl.Context, messages.Kubectl("", "config", "delete-context", l.kubectl.Context)))
		}
		return nil
	}
	if err := l.removeCaches(ctx); err != nil {
		return err
	}
	if err := l.forget(ctx); err != nil {
		return err
	}
	l.story.Say(messages.T("the lab %s is gone", l.name()))
	if keepRegistry {
		l.story.Say(messages.T("its image registry stays, with what it holds: %s uses it again, %s removes it",
			messages.Hellolab("up"), messages.Hellolab("down")))
	}
	return forgetting
}

// removeCluster removes the lab's nodes, and its entries in the user's kubeconfig. What keeps it from the latter is
// returned apart: everything else can go all the same.
func (l *Lab) removeCluster(ctx context.Context) (forgetting, err error) {
	if !l.record.exists {
		return nil, nil
	}
	err = l.story.Do(ctx, messages.T("removing the cluster %s", l.name()), l.removeNodes)
	var foreign foreignCluster
	switch {
	case errors.As(err, &foreign): // made by somebody since the lab's own went; it stays, and so does its context
		l.story.Say(messages.T("%s", foreign.failure))
		return nil, nil
	case err != nil:
		return nil, err
	}
	return l.forgetContext(ctx), nil
}

// removeCaches removes the lab's other volumes: what builds kept in them. A build that was killed may have left a
// container that has one.
func (l *Lab) removeCaches(ctx context.Context) error {
	if err := l.removeLeftContainers(ctx); err != nil {
		return err
	}
	found, err := l.docker.VolumeList(ctx, volume.ListOptions{Filters: engine.Labelled(l.name())})
	if err != nil {
		return err
	}
	for _, disk := range found.Volumes {
		if disk.Name == l.registry.Name() || disk.Name == settingsVolume(l.name()) {
			continue
		}
		if err := l.docker.VolumeRemove(ctx, disk.Name, false); err != nil && !errdefs.IsNotFound(err) {
			return messages.Errorf("the Docker volume %s cannot be removed", disk.Name).Because(err).
				WithHint("%s shows what uses it; when that is done, run the same command again",
					messages.Shell("docker", "ps", "-a", "--filter", "volume="+disk.Name))
		}
	}
	return nil
}

// removeLeftContainers removes the lab's containers that do not run, but for its registry.
func (l *Lab) removeLeftContainers(ctx context.Context) error {
	wanted := engine.Labelled(l.name())
	wanted.Add("status", container.StateCreated)
	wanted.Add("status", container.StateExited)
	left, err := l.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: wanted})
	if err != nil {
		return err
	}
	for _, found := range left {
		if nodeName(found) == l.registry.Name() {
			continue
		}
		if err := l.docker.ContainerRemove(ctx, found.ID, container.RemoveOptions{RemoveVolumes: true}); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// forgetContext makes the context from before the lab the current one, and removes the lab's entries from the user's
// kubeconfig.
func (l *Lab) forgetContext(ctx context.Context) error {
	if err := l.kubectl.Remove(ctx, l.record.previousContext); err != nil {
		return messages.Errorf("the lab's context stays in kubectl's configuration").Because(err).
			WithHint("when that file can be written: %s", messages.Kubectl("", "config", "delete-context", l.kubectl.Context))
	}
	return nil
}

// Stop stops the lab and keeps all of its state.
func (l *Lab) Stop(ctx context.Context) error {
	nodes, unlock, err := l.existing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	work, ctx := errgroup.WithContext(ctx)
	for _, node := range nodes {
		if node.State != container.StateRunning && node.State != container.StatePaused {
			continue
		}
		work.Go(func() error {
			return l.story.Do(ctx, messages.T("stopping node %s", nodeName(node)), func(ctx context.Context) error {
				if nodeName(node) == l.controlPlane() && node.State == container.StateRunning {
					l.endControlPlane(ctx)
				}
				return l.docker.ContainerStop(ctx, node.ID, container.StopOptions{})
			})
		})
	}
	work.Go(func() error { return l.registry.Stop(ctx) })
	if err := work.Wait(); err != nil {
		return err
	}
	l.story.Say(messages.T("the lab %s is stopped; to start it again: %s", l.name(), messages.Hellolab("start")))
	return nil
}

// endsWithin bounds what comes before a node is stopped.
const endsWithin = 6 * time.Second

// endControlPlane ends what would not end when the whole node does: an API server waits for etcd, which ends at the same time, until the
// engine kills both after 10 s. It keeps nothing that etcd does not have, so it has the time to take its address off the Service kubernetes, and not
// the second in which it waits for watches to end. DNS servers wait 5 s for those who still ask them, and here everybody goes. Pods have the time
// that they always have. It ends with the node's own end, so that no node is left without its kubelet if hellolab is killed meanwhile: the engine
// starts the node again then, which kind has asked it for. What fails here is no more than lost time.
func (l *Lab) endControlPlane(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, endsWithin)
	defer cancel()
	err := l.inControlPlane(ctx, "bash", "-c", `
		systemctl stop kubelet # which starts again what ends
		pkill -KILL -x coredns
		pid=$(pgrep -x kube-apiserver) && kill $pid && ! timeout 0.3 tail --pid=$pid --sleep-interval=0.05 --follow /dev/null && kill -KILL $pid
		kill -s SIGRTMIN+3 1`)
	l.log.Debugf("ended the control plane: %s", withOutput(err))
}

// existing returns the nodes of a lab that exists, and locks it.
func (l *Lab) existing(ctx context.Context) ([]container.Summary, func(), error) {
	if !l.record.exists {
		return nil, nil, l.missing()
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	nodes, err := l.nodes(ctx)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return nodes, unlock, nil
}
