package bootstrap

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// Down takes the lab away: its nodes, its registry (unless keepRegistry), its volumes and its kubeconfig entries, and
// makes the kubectl context from before the lab the current one again. What belongs to anybody else stays. Where there
// is nothing, that is said, and is no failure.
func (l *Lab) Down(ctx context.Context, keepRegistry bool) error {
	if err := engine.CheckCommand(); err != nil {
		return err
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	var forgetting error
	if l.record.exists {
		err := l.story.Do(ctx, messages.T("removing the cluster %s", l.name()), l.removeNodes)
		var foreign foreignCluster
		switch {
		case errors.As(err, &foreign): // made by somebody since the lab's own went; it stays, and so does its context
			l.story.Say(messages.T("%s", foreign.told))
		case err != nil:
			return err
		default:
			forgetting = l.forgetContext(ctx) // told last: the rest can go all the same
		}
	}
	removed := false
	if !keepRegistry {
		if removed, err = l.registry.Remove(ctx); err != nil {
			return err
		}
	}
	if !l.record.exists && !removed {
		l.story.Say(messages.T("there is no lab named %s: nothing to remove", l.name()))
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
		l.story.Say(messages.T("its image registry stays, with what it holds: hellolab up goes on with it, hellolab down removes it"))
	}
	return forgetting
}

// removeCaches takes the lab's other volumes away: what builds kept in them.
func (l *Lab) removeCaches(ctx context.Context) error {
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
				WithHint("wait until what uses it is done, then run the same command again")
		}
	}
	return nil
}

// forgetContext takes the lab's entries out of the user's kubeconfig, the context from before having been made the
// current one.
func (l *Lab) forgetContext(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, staleLock)
	defer cancel()
	var last error
	err := await.Poll(ctx, messages.Text{}, func(context.Context) error {
		if l.kubectl.current() == l.kubectl.context {
			if last = l.kubectl.use(l.record.previousContext); last != nil {
				return last
			}
		}
		last = l.kind.Delete(l.name(), "") // there are no nodes any more
		return last
	})
	if err == nil {
		return nil
	}
	return messages.Errorf("kubectl's configuration cannot be written").Because(cause(last)).
		WithHint("kubectl config delete-context %s, when that file can be written", l.kubectl.context)
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
				return l.docker.ContainerStop(ctx, node.ID, container.StopOptions{})
			})
		})
	}
	work.Go(func() error { return l.registry.Stop(ctx) })
	if err := work.Wait(); err != nil {
		return err
	}
	l.story.Say(messages.T("the lab %s is stopped; hellolab start goes on with it", l.name()))
	return nil
}

// Start is Up for a lab that exists.
func (l *Lab) Start(ctx context.Context) error {
	if !l.record.exists {
		return l.missing()
	}
	return l.Up(ctx, nil, More{})
}

// existing gives the nodes of a lab that exists, locked.
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

func (l *Lab) missing() error {
	return messages.Errorf("there is no lab named %s", l.name()).WithHint("hellolab up")
}
