package bootstrap

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// Down takes the lab away: its nodes, its registry (unless keepRegistry), its volumes and its kubeconfig entries, and
// makes the kubectl context from before the lab the current one again. What belongs to anybody else stays. Where there
// is nothing, that is said, and is no failure.
func (l *Lab) Down(ctx context.Context, keepRegistry bool) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if l.exists {
		if err := engine.CheckCommand(); err != nil {
			return err
		}
		if err := l.downCluster(ctx); err != nil {
			return err
		}
	}
	removed := false
	if !keepRegistry {
		if removed, err = l.registry.Remove(ctx); err != nil {
			return err
		}
	}
	if !l.exists && !removed {
		l.story.Say(messages.T("there is no lab named %s: nothing to remove", l.name()))
		return nil
	}
	if err := l.forget(ctx); err != nil {
		return err
	}
	l.story.Say(messages.T("the lab %s is gone", l.name()))
	return nil
}

func (l *Lab) downCluster(ctx context.Context) error {
	if _, err := l.nodes(ctx); err != nil {
		return err
	}
	wasCurrent := l.kubeconfig.current() == l.kubeconfig.context
	if err := l.story.Do(ctx, messages.T("removing the cluster %s", l.name()), l.removeNodes); err != nil {
		return err
	}
	if wasCurrent {
		return l.kubeconfig.use(l.previous)
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
			return l.story.Do(ctx, messages.T("stopping node %s", node.Names[0][1:]), func(ctx context.Context) error {
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
	if !l.exists {
		return l.missing()
	}
	return l.Up(ctx, nil)
}

// existing gives the nodes of a lab that exists, locked.
func (l *Lab) existing(ctx context.Context) ([]container.Summary, func(), error) {
	if !l.exists {
		return nil, nil, l.missing()
	}
	unlock, err := l.lock()
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
