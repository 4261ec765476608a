package bootstrap

import (
	"context"
	"errors"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

// StartRegistry makes the registry run, with or without a lab around it. It does so under the lab's lock, or as a guest
// of the hellolab that has it: an `up`, whose registry it uses as soon as the lab is on record, or this very one. After
// a `down` it begins again.
func (l *Lab) StartRegistry(ctx context.Context) error {
	if done, err := l.tryStartRegistry(ctx); done || err != nil {
		return err
	}
	waiting, cancel := l.within(ctx)
	defer cancel()
	return l.story.Do(waiting, messages.T("waiting for another hellolab"), func(waiting context.Context) error {
		var failed error // for good: only the other hellolab is worth a wait
		err := await.Poll(waiting, messages.Text{}, func(context.Context) error {
			var done bool
			if done, failed = l.tryStartRegistry(ctx); failed == nil && !done {
				return l.busy(ctx)
			}
			return nil
		})
		return errors.Join(failed, err)
	})
}

// tryStartRegistry makes the registry run, unless another hellolab has the lab, and may not want it to.
func (l *Lab) tryStartRegistry(ctx context.Context) (done bool, err error) {
	unlock, err := l.tryLock(ctx)
	if err != nil {
		return false, err
	}
	if unlock != nil {
		defer unlock()
		return true, l.ensureRegistry(ctx)
	}
	if err := l.load(ctx); err != nil || !l.record.exists {
		return false, err
	}
	if err := l.ensureRegistry(ctx); err != nil {
		return false, err
	}
	// a `down` may have removed the registry before, and the record since
	err = l.load(ctx)
	return l.record.exists, err
}

// ensureRegistry makes the registry run: the lab's, one that was left without a lab, or a new one.
func (l *Lab) ensureRegistry(ctx context.Context) error {
	if l.record.exists {
		if err := l.registry.Ensure(ctx); err != nil {
			return err
		}
		return l.rejoinNodes(ctx)
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
		settings, err := l.settings.claimPorts(ctx, l.docker, port.Localhost(), clusterPorts())
		if err != nil {
			return err
		}
		l.use(settings)
	}
	return l.registry.Ensure(ctx)
}

// rejoinNodes puts a registry that was made anew where the nodes of a finished cluster find it. Whatever else there may be
// is `up`'s business.
func (l *Lab) rejoinNodes(ctx context.Context) error {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil
	}
	if finished, err := l.finished(ctx, nodes); err != nil || !finished {
		return nil
	}
	return l.setUpNodes(ctx)
}

// RegistryRuns reports whether the registry answers.
func (l *Lab) RegistryRuns(ctx context.Context) (bool, error) {
	if _, err := l.adoptRegistry(ctx); err != nil {
		return false, err
	}
	state, err := l.registry.State(ctx)
	return state == Running, err
}

// adoptRegistry reports whether there is a registry without a lab. If so, the lab takes its port, whatever the settings
// say.
func (l *Lab) adoptRegistry(ctx context.Context) (bool, error) {
	if l.record.exists {
		return false, nil
	}
	kept, err := l.registry.PublishedPort(ctx)
	if err != nil || kept == 0 {
		return false, err
	}
	settings := l.settings
	settings.Registry.Port = port.Port{Number: kept}
	l.use(settings)
	return true, nil
}
