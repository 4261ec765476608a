package labs

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Install brings the cluster to a step's snapshot, whatever ran before, and gives the rows of its check; or to the
// snapshot before the step, whose rows are none.
func (l *Labs) Install(ctx context.Context, step *course.Step, before bool) ([]check.Row, error) {
	if slices.Contains(step.Needs, "ingress") && !l.Ingress {
		return nil, messages.Errorf("the step %s needs the ingress controller, which this lab was made without", step.ID()).
			WithHint("hellolab down, then hellolab up")
	}
	goal := step
	if before {
		goal = step.Before()
	}
	objects := step.Chapter().GivenObjects()
	if goal != nil {
		objects = goal.Objects()
	}
	if err := l.Images(ctx, slices.Concat(goal.Images(), step.Runs())); err != nil { // a reader will need the step's
		return nil, err
	}
	var rows []check.Row
	err := l.Story.Do(ctx, l.title(step, before), func(ctx context.Context) error {
		leaving, err := l.clear(ctx, State{Step: step.ID(), Before: before}, objects, l.inTheWay(goal, objects))
		if err != nil {
			return err
		}
		work, ctx := errgroup.WithContext(ctx)
		work.Go(func() error { return l.remove(ctx, leaving) }) // a namespace takes 5 s to go
		work.Go(func() (err error) {
			if goal == nil {
				return l.give(ctx, step.Chapter())
			}
			rows, err = l.make(ctx, goal)
			return err
		})
		return work.Wait()
	})
	if err != nil {
		return nil, err
	}
	if before {
		rows = nil
	}
	state, err := l.State(ctx)
	if err != nil {
		return nil, err
	}
	state.Installing = false
	return rows, l.remember(ctx, state)
}

func (l *Labs) title(step *course.Step, before bool) messages.Text {
	if before {
		return messages.T("the state before %s", step.ID())
	}
	return messages.T("the state after %s", step.ID())
}

// within bounds one wait.
func (l *Labs) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.Timeout, messages.Errorf("it was not done within %s", l.Timeout))
}

// give applies what a chapter takes for granted.
func (l *Labs) give(ctx context.Context, chapter *course.Chapter) error {
	for _, manifest := range chapter.GivenManifests() {
		if err := l.apply(ctx, chapter, manifest); err != nil {
			return err
		}
	}
	return nil
}

// make goes along the steps that lead to goal, and waits until all is as goal expects it.
func (l *Labs) make(ctx context.Context, goal *course.Step) (rows []check.Row, err error) {
	if slices.Contains(goal.Needs, "tunnel") {
		var end func() error
		ctx, end = l.openTunnel(ctx)
		defer func() { err = errors.Join(err, end()) }()
	}
	if err := l.walk(ctx, goal); err != nil {
		return nil, err
	}
	return l.untilMet(ctx, goal)
}

// openTunnel gives LoadBalancer Services addresses until end is called. What is done with its context ends where the
// tunnel fails.
func (l *Labs) openTunnel(ctx context.Context) (_ context.Context, end func() error) {
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := l.Tunnel(ctx)
		if err != nil {
			stop(err)
		}
		ended <- err
	}()
	return ctx, func() error {
		stop(nil)
		return <-ended
	}
}

// walk goes along the steps that lead to goal.
func (l *Labs) walk(ctx context.Context, goal *course.Step) error {
	if err := l.give(ctx, goal.Chapter()); err != nil {
		return err
	}
	for _, step := range goal.Path() {
		actions := step.Do
		if step == goal {
			actions = slices.Concat(step.Do, step.Exercise)
		}
		for _, action := range actions {
			if err := l.act(ctx, step, action); err != nil {
				return messages.Errorf("the step %s cannot be made", step.ID()).Because(err).
					WithHint("run the same command again; hellolab status shows how the lab is")
			}
		}
	}
	return nil
}

func (l *Labs) act(ctx context.Context, step *course.Step, action course.Action) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	namespace := action.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	switch {
	case action.Undo != nil:
		return l.undo(ctx, namespace, action.Undo)
	case action.Complete != "":
		return l.untilComplete(ctx, namespace, action.Complete)
	case action.Replace != "":
		return l.replace(ctx, namespace, action.Replace)
	case action.Install != nil:
		return l.install(ctx, step, action)
	case action.Upgrade != nil:
		return l.upgrade(ctx, action)
	case action.Rollback != nil:
		return l.rollback(action.Rollback)
	case action.Publish != nil:
		return l.publish(ctx, action.Publish)
	}
	for _, manifest := range action.Manifests() {
		if err := l.apply(ctx, step.Chapter(), manifest); err != nil {
			return err
		}
	}
	return nil
}

// apply applies a manifest, and waits until the Deployments among it have the revision of what was applied: only so do
// the next step's become revisions of their own.
func (l *Labs) apply(ctx context.Context, chapter *course.Chapter, manifest course.Manifest) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	for _, object := range manifest.Objects {
		var refused error
		err := await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
			err := l.Cluster.Apply(ctx, object, chapter.Name)
			if err != nil && !kube.Passing(err) {
				refused = err
				return nil
			}
			return err
		})
		if err := errors.Join(refused, err); err != nil {
			return messages.Errorf("%s: the API server does not take %s", manifest.Name, kube.Refer(object)).Because(err)
		}
		switch object.GetKind() {
		case "Deployment":
			err = l.untilObserved(ctx, object.GetNamespace(), object.GetName())
		case "Namespace":
			err = l.untilUsable(ctx, object.GetName())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// untilUsable waits until a namespace has what every pod needs: without the service account, pods are refused.
func (l *Labs) untilUsable(ctx context.Context, namespace string) error {
	return await.Watches(ctx, func(ctx context.Context) (bool, error) {
		if _, err := l.Cluster.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return false, err
		}
		_, err := l.Cluster.CoreV1().ConfigMaps(namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil, err
	}, func(ctx context.Context) (watch.Interface, error) {
		return l.Cluster.CoreV1().ServiceAccounts(namespace).Watch(ctx, metav1.ListOptions{})
	}, func(ctx context.Context) (watch.Interface, error) {
		return l.Cluster.CoreV1().ConfigMaps(namespace).Watch(ctx, metav1.ListOptions{})
	})
}

// untilMet waits until everything is as the step expects it: for one expectation after the other, which is all that has
// to be asked meanwhile, and then for all of them at once.
func (l *Labs) untilMet(ctx context.Context, step *course.Step) (rows []check.Row, err error) {
	waiting, cancel := l.within(ctx)
	defer cancel()
	met := 0
	err = await.Changes(waiting, probeEvery, func(ctx context.Context) (bool, error) {
		for ; met < len(step.Expect); met++ {
			if row, err := l.Checker.Row(ctx, step, met); err != nil || !row.Met {
				return false, err
			}
		}
		met = 0
		if rows, err = l.Checker.Step(ctx, step); err != nil {
			return false, err
		}
		return check.Met(rows), nil
	}, l.Cluster.Changes()...)
	if err == nil || ctx.Err() != nil {
		return rows, err
	}
	if rows, err = l.Checker.Step(ctx, step); err != nil {
		return nil, err
	}
	return nil, messages.Errorf("%s: not everything is as it should be after %s", step.ID(), l.Timeout).
		Because(errors.Join(append(unmet(rows), l.Checker.Evidence(ctx, step)...)...)).
		WithHint("hellolab lab check %s", step.ID())
}

// probeEvery is how often something is looked at that tells nobody of its changes: a web server's answer.
const probeEvery = 100 * time.Millisecond

// unmet tells of the expectations that are not met.
func unmet(rows []check.Row) (all []error) {
	for _, row := range rows {
		if row.Met {
			continue
		}
		said := messages.Errorf("%s: have %s; expected %s", row.Subject, row.Have, row.Expected)
		if !row.Why.IsZero() {
			said = messages.Errorf("%s: have %s; expected %s; %s", row.Subject, row.Have, row.Expected, row.Why)
		}
		all = append(all, said)
	}
	return all
}

// Reset empties the course's namespaces. The reader's own objects are named and saved first.
func (l *Labs) Reset(ctx context.Context) error {
	return l.Story.Do(ctx, messages.T("emptying the namespaces %s", l.Course.Namespaces), func(ctx context.Context) error {
		all := func(*unstructured.Unstructured) bool { return true }
		leaving, err := l.clear(ctx, State{}, nil, all)
		if err != nil {
			return err
		}
		if err := l.remove(ctx, leaving); err != nil {
			return err
		}
		state, err := l.State(ctx)
		if err != nil {
			return err
		}
		state.Installing = false
		return l.remember(ctx, state)
	})
}
