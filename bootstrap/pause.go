package bootstrap

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

// Pause freezes the nodes, with all that runs on them, and nothing is lost. The registry goes on.
func (l *Lab) Pause(ctx context.Context) error {
	err := l.eachNode(ctx, container.StateRunning, func(ctx context.Context, id, name string) error {
		return l.story.Do(ctx, messages.T("pausing node %s", name), func(ctx context.Context) error {
			return l.docker.ContainerPause(ctx, id)
		})
	})
	if err != nil {
		return err
	}
	l.story.Say(messages.T("the lab %s is paused; to resume it: %s", l.name(), messages.Hellolab("resume")))
	return nil
}

// Resume lets a paused lab go on.
func (l *Lab) Resume(ctx context.Context) error {
	err := l.eachNode(ctx, container.StatePaused, func(ctx context.Context, id, name string) error {
		return l.story.Do(ctx, messages.T("resuming node %s", name), func(ctx context.Context) error {
			return l.docker.ContainerUnpause(ctx, id)
		})
	})
	if err != nil {
		return err
	}
	nodes, err := l.nodes(ctx)
	switch {
	case err != nil:
		return err
	case stateOf(nodes) != Running: // some were stopped beside
		return l.incomplete()
	}
	if _, err := l.connect(ctx, false); err != nil {
		return err
	}
	l.story.Say(messages.T("the lab %s runs", l.name()))
	return nil
}

// eachNode calls do with the nodes in one state. A lab whose nodes are stopped, or gone, is refused.
func (l *Lab) eachNode(ctx context.Context, state container.ContainerState, do func(ctx context.Context, id, name string) error) error {
	nodes, unlock, err := l.existing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	switch {
	case l.isLost(nodes):
		return l.lost()
	case stateOf(nodes) == Stopped:
		return l.notRunning()
	case len(nodes) == 0:
		return l.incomplete()
	}
	work, ctx := errgroup.WithContext(ctx)
	for _, node := range nodes {
		if node.State == state {
			work.Go(func() error { return do(ctx, node.ID, nodeName(node)) })
		}
	}
	return work.Wait()
}

// IP is the address of this machine that the lab's published ports answer at: that of "minikube ip" in the course's
// commands. It fails where there is no lab.
func (l *Lab) IP() (string, error) {
	if !l.record.exists {
		return "", l.missing()
	}
	return port.Loopback, nil
}
