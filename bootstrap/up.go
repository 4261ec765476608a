package bootstrap

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/mirror"
	"github.com/hellolab/hellolab/port"
)

// Course is what a course puts into a lab.
type Course struct {
	// Fill puts images and charts into the registry, as soon as that runs; nil is nothing.
	Fill func(context.Context) error
	// Charts are the files of the chart repository, by name; without any, the repository stays as it is.
	Charts map[string][]byte
}

// Up makes the lab run: cluster, registry and ingress controller. What is missing is made, what is there is left
// alone, and what does not depend on each other happens at the same time. A lab that was made with other settings than
// the user asks for is refused. An image that cannot be had does not keep the rest from getting ready: it is reported
// at the end.
func (l *Lab) Up(ctx context.Context, course Course) error { return l.up(ctx, &l.asked, course) }

// Start is Up for a lab that exists, with the settings that it has.
func (l *Lab) Start(ctx context.Context, course Course) error {
	if !l.record.exists {
		return l.missing()
	}
	return l.up(ctx, nil, course)
}

func (l *Lab) up(ctx context.Context, asked *Asked, course Course) error {
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
	return l.assemble(ctx, nodes, course)
}

// prepare looks at what is there, and refuses to begin where it would fail later. It returns the nodes of a finished
// cluster, or none; the lab is on record with its ports then.
func (l *Lab) prepare(ctx context.Context, asked *Asked) ([]container.Summary, error) {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil, err
	}
	finished, err := l.finished(ctx, nodes)
	if err != nil {
		return nil, err
	}
	if err := l.kubectl.Check(); err != nil {
		return nil, err
	}
	if finished {
		if err := l.refuseChanges(asked); err != nil {
			return nil, err
		}
		if err := l.keepChanges(ctx); err != nil {
			return nil, err
		}
	} else {
		if err := l.tellLoss(nodes, asked); err != nil {
			return nil, err
		}
		if err := l.clearInterrupted(ctx, len(nodes) > 0); err != nil {
			return nil, err
		}
		if nodes = nil; asked != nil {
			l.use(l.begun(*asked))
		}
		l.findImages(ctx)
	}
	return nodes, l.settle(ctx, len(nodes) > 0)
}

// findImages asks who has the images that a new lab needs, all at once. Where only the mirrors of China do, the lab is one that uses
// these, for its nodes too.
func (l *Lab) findImages(ctx context.Context) {
	settings := l.settings
	l.images.Survey(ctx, settings.Images()...)
	if away := l.images.Unreachable(); settings.Registry.Mirrors.Preset == mirror.Auto && len(away) > 0 {
		l.story.Say(messages.T("%s does not give images here: the lab uses the mirrors of China (registry.mirrors: %s)", away, mirror.China))
		settings.Registry.Mirrors = mirror.Config{Preset: mirror.China}
		l.use(settings)
	}
}

// refuseChanges fails where the user asks for settings that the lab was not made with.
func (l *Lab) refuseChanges(asked *Asked) error {
	if asked == nil {
		return nil
	}
	differences := l.settings.Differences(*asked)
	if len(differences) == 0 {
		return nil
	}
	return messages.Errorf("the lab %s was made with other settings (%s), and a lab keeps its settings", l.name(), differences).
		WithHint("leave the new settings out; or remove the lab with all that is in it, and make it with them: %s, then %s",
			messages.Hellolab("down"), messages.Hellolab("up"))
}

// begun returns the settings that a lab begins with: the asked ones, or those of a lost lab where nothing else is asked for.
func (l *Lab) begun(asked Asked) Settings {
	if l.record.finished() {
		return l.settings.WithAll(asked)
	}
	return asked.Settings
}

// tellLoss says so before a new cluster takes the place of one that something else than hellolab has removed. Without new
// settings (a `start`), it is an error: that is about what there was.
func (l *Lab) tellLoss(nodes []container.Summary, asked *Asked) error {
	switch lost := l.isLost(nodes); {
	case lost && asked == nil:
		return l.lost()
	case lost:
		l.story.Say(messages.T("something other than hellolab has removed the cluster of the lab %s, and all that was in it; a new, empty one follows", l.name()))
	case !l.record.exists && l.kubectl.Server() != "":
		l.story.Say(messages.T("this Docker Engine has nothing of the lab %s, which kubectl's configuration names; a new, empty one follows", l.name()))
	}
	return nil
}

// isLost reports whether the lab's cluster was there once and has no control plane any more, among nodes.
func (l *Lab) isLost(nodes []container.Summary) bool {
	return l.record.finished() && (len(nodes) == 0 || nodes[0].Labels[roleLabel] != controlPlane)
}

// lost is the error for a lab whose cluster something else than hellolab has removed.
func (l *Lab) lost() error {
	return messages.Errorf("something other than hellolab has removed the cluster of the lab %s, and all that was in it", l.name()).
		WithHint("%s does that to a stopped lab; %s makes a new, empty one, and %s brings back what you have saved",
			messages.Shell("docker", "system", "prune"), messages.Hellolab("up"), messages.Hellolab("lab", "restore").Usage("FILE"))
}

// clearInterrupted removes what an `up` left that did not get to its end, down to its record.
func (l *Lab) clearInterrupted(ctx context.Context, nodes bool) error {
	if !l.record.exists {
		return nil
	}
	clear := l.removeNodes
	if nodes {
		clear = func(ctx context.Context) error {
			return l.story.Do(ctx, messages.T("removing the rest of an interrupted start"), l.removeNodes)
		}
	}
	if err := clear(ctx); err != nil {
		return err
	}
	return l.forget(ctx)
}

// settle gives the lab its ports and puts it on record, while no other lab chooses its own.
func (l *Lab) settle(ctx context.Context, nodes bool) error {
	unlock, err := l.lockPorts(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	settings, err := l.claimPorts(ctx, nodes)
	if err != nil {
		return err
	}
	l.use(settings)
	return l.remember(ctx)
}

// claimPorts returns the lab's settings with a number for each port, and fails where one of what has to be made is
// taken.
func (l *Lab) claimPorts(ctx context.Context, nodes bool) (Settings, error) {
	settings := l.settings
	kept, err := l.registry.PublishedPort(ctx)
	if err != nil {
		return settings, err
	}
	wanted := &settings.Registry.Port
	if wanted.Auto && kept != 0 {
		*wanted = port.Port{Number: kept}
	}
	ours := map[string]bool{}
	if nodes {
		ours = clusterPorts()
	}
	ours["registry.port"] = kept != 0 && kept == wanted.Number
	if settings, err = settings.claimPorts(ctx, l.docker, port.Localhost(), ours); err != nil {
		return settings, err
	}
	if kept != 0 && kept != settings.Registry.Port.Number { // left by an earlier lab; its content is in the volume
		err = l.registry.RemoveContainer(ctx)
	}
	return settings, err
}

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

// assembly is one `up` at work: its parts run at the same time, and meet at the gates.
type assembly struct {
	*Lab
	course Course
	// nodes are those of a finished cluster; without any, a cluster is created.
	nodes []container.Summary
	// started has the names of new nodes as their containers start.
	started <-chan string
	work    *errgroup.Group

	registryRuns gate
	controllerIn gate // the ingress controller's image, in the registry
	imagesIn     gate // what can be had of the images that the course pulls
	apiAnswers   gate // kind's work goes on after that
	clusterRuns  gate
	nodesSetUp   gate
	tried        gate // what can be done before the cluster runs

	// copied and filled are the failures that keep nothing else from getting ready.
	copied, filled error
}

// assemble makes all parts of the lab run.
func (l *Lab) assemble(ctx context.Context, nodes []container.Summary, course Course) error {
	if err := engine.EnsureNetwork(ctx, l.docker, engine.Network); err != nil { // once, before several parts want it
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	a := &assembly{Lab: l, course: course, nodes: nodes, started: l.watchNodes(ctx, len(nodes) == 0), work: work,
		registryRuns: make(gate), controllerIn: make(gate), imagesIn: make(gate), apiAnswers: make(gate), clusterRuns: make(gate), nodesSetUp: make(gate), tried: make(gate)}
	for _, part := range []func(context.Context) error{a.runRegistry, a.runCluster, a.connectNodes, a.installAhead, a.runWorkloads} {
		work.Go(func() error { return part(ctx) })
	}
	if err := work.Wait(); err != nil {
		return err
	}
	return errors.Join(a.copied, a.filled)
}

// runRegistry makes the registry run, and fills it.
func (a *assembly) runRegistry(ctx context.Context) error {
	if err := a.registry.Ensure(ctx); err != nil {
		return err
	}
	close(a.registryRuns)
	if a.course.Fill != nil {
		a.work.Go(func() error {
			a.filled = a.course.Fill(ctx)
			return nil
		})
	}
	if a.builtInIngress() {
		if err := a.registry.Copy(ctx, a.settings.Bootstrap.Ingress.Image); err != nil {
			return err
		}
		close(a.controllerIn)
	}
	a.copied = a.copyImages(ctx)
	close(a.imagesIn)
	return nil
}

// copyImages copies what the course pulls, a few images at a time.
func (a *assembly) copyImages(ctx context.Context) error {
	images := a.settings.Registry.Images
	failures := make([]error, len(images))
	var copies errgroup.Group
	copies.SetLimit(3)
	for i, image := range images {
		copies.Go(func() error {
			failures[i] = a.registry.Copy(ctx, image)
			return nil
		})
	}
	return errors.Join(append(failures, copies.Wait())...)
}

// runCluster creates the cluster, or starts its nodes.
func (a *assembly) runCluster(ctx context.Context) error {
	if err := a.ensureCluster(ctx, a.nodes); err != nil {
		return err
	}
	close(a.clusterRuns)
	return nil
}

// connectNodes shows the nodes the way to the registry: each as soon as it starts, and all once more when the cluster
// runs.
func (a *assembly) connectNodes(ctx context.Context) error {
	if err := a.registryRuns.wait(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case node := <-a.started:
			if err := a.setUpNode(ctx, node); err != nil {
				a.log.Debugf("node %s: %v", node, err)
			} else if node == a.controlPlane() && a.builtInIngress() {
				a.work.Go(func() error { return a.prePullController(ctx) })
				if len(a.course.Charts) > 0 {
					a.work.Go(func() error { return a.prePullCharts(ctx) })
				}
			}
		case <-a.clusterRuns:
			if err := a.setUpNodes(ctx); err != nil {
				return err
			}
			close(a.nodesSetUp)
			return nil
		}
	}
}

// runWorkloads makes what the lab has in the cluster run.
func (a *assembly) runWorkloads(ctx context.Context) error {
	if err := a.clusterRuns.wait(ctx); err != nil {
		return err
	}
	api, err := a.connect(ctx, true)
	if err != nil {
		return err
	}
	if err := announceRegistry(ctx, api, a.registry); err != nil {
		return err
	}
	if err := a.uncordon(ctx, api); err != nil {
		return err
	}
	if err := a.nodesSetUp.wait(ctx); err != nil {
		return err
	}
	if !a.settings.Bootstrap.Ingress.Enabled {
		return a.untilNodesReady(ctx, api)
	}
	if err := a.tried.wait(ctx); err != nil {
		return err
	}
	if err := a.ensureIngress(ctx, api); err != nil {
		return err
	}
	if err := a.imagesIn.wait(ctx); err != nil {
		return err
	}
	return a.ensureCharts(ctx, api, a.course.Charts)
}

// builtInIngress reports whether the lab has hellolab's own ingress controller.
func (l *Lab) builtInIngress() bool { return l.settings.Bootstrap.builtInIngress() }
