package labs

import (
	"context"
	"errors"
	"fmt"
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

// Install brings the cluster to the state after a step, whatever is there, and returns the rows of the step's check; or to
// the state in which a user begins the step, without rows.
func (l *Labs) Install(ctx context.Context, step *course.Step, before bool) ([]check.Row, error) {
	if slices.Contains(step.Needs, "ingress") && !l.Ingress {
		return nil, messages.Errorf("the step %s needs the ingress controller, which this lab was made without", step.ID()).
			WithHint("%s, then %s", messages.Hellolab("down"), messages.Hellolab("up"))
	}
	snapshot, title := step.Snapshot(), messages.T("the state after %s", step.ID())
	if before {
		snapshot, title = step.Start(), messages.T("the state before %s", step.ID())
	}
	var rows []check.Row
	err := l.Story.Do(ctx, title, func(ctx context.Context) error {
		room, err := l.clear(ctx, State{Step: step.ID(), Before: before}, snapshot)
		if err != nil {
			return err
		}
		work, ctx := errgroup.WithContext(ctx)
		work.Go(func() error { // it takes 5 s to delete a namespace, and nothing has to wait for it
			if err := l.remove(ctx, room.leaving); err != nil && ctx.Err() == nil {
				l.Story.Say(messages.T("%s; next: %s", err, messages.HintOf(err)))
			}
			return nil
		})
		work.Go(func() (err error) {
			rows, err = l.make(ctx, snapshot)
			return err
		})
		if err := work.Wait(); err != nil {
			return wayBack(err, messages.Text{}, room)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if before {
		rows = nil // they are another step's
	}
	return rows, l.finish(ctx)
}

// finish notes that the snapshot which is being installed is complete.
func (l *Labs) finish(ctx context.Context) error {
	state, err := l.State(ctx)
	if err != nil {
		return err
	}
	state.Installing = false
	return l.remember(ctx, state)
}

// within bounds one wait.
func (l *Labs) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.Timeout, messages.Errorf("timed out after %s", l.Timeout))
}

// make makes a snapshot on a cleared cluster, and waits until everything is as it expects.
func (l *Labs) make(ctx context.Context, snapshot *course.Snapshot) (rows []check.Row, err error) {
	withNeeds := func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	if slices.Contains(snapshot.Needs, "tunnel") {
		withNeeds = l.withTunnel
	}
	err = withNeeds(ctx, func(ctx context.Context) (err error) {
		if err = l.walk(ctx, snapshot); err == nil {
			rows, err = l.untilMet(ctx, snapshot)
		}
		return err
	})
	return rows, err
}

// withTunnel does something while LoadBalancer Services get addresses. The context of what is done ends when the tunnel
// fails, which is then the failure that is returned.
func (l *Labs) withTunnel(ctx context.Context, do func(context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := l.Lab.Tunnel(ctx)
		if err != nil {
			stop(err)
		}
		ended <- err
	}()
	err := do(ctx)
	stop(nil)
	if failed := <-ended; failed != nil && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, failed)) {
		return failed
	}
	return err
}

// walk applies what is given, and does the actions.
func (l *Labs) walk(ctx context.Context, snapshot *course.Snapshot) error {
	if err := l.applyAll(ctx, snapshot.Chapter, snapshot.Given); err != nil {
		return err
	}
	for _, action := range snapshot.Actions {
		if err := l.act(ctx, action); err != nil {
			failed := messages.Errorf("the step %s cannot be made", action.Step.ID()).Because(err)
			switch {
			case !messages.HintOf(err).IsZero():
			case kube.Passing(err):
				failed.WithHint("run the same command again; %s shows how the lab is", messages.Hellolab("status"))
			default: // it will be so again
				failed.WithHint("correct what it names, then run the same command again")
			}
			return failed
		}
	}
	return nil
}

// act does one action.
func (l *Labs) act(ctx context.Context, action course.Action) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	switch operation := action.Operation.(type) {
	case *course.Apply:
		return l.applyAll(ctx, action.Step.Chapter(), action.Manifests())
	case *course.Undo:
		return l.undo(ctx, action.Namespace, operation)
	case *course.Complete:
		return l.untilComplete(ctx, action.Namespace, operation.Workload)
	case *course.Replace:
		return l.replace(ctx, action.Namespace, operation.Deployment)
	case *course.Install:
		return l.install(ctx, action, &operation.Release)
	case *course.Upgrade:
		return l.upgrade(ctx, action, &operation.Release)
	case *course.Rollback:
		return l.rollback(operation)
	case *course.Publish:
		return l.publish(ctx, operation)
	case *course.Push:
		return l.Lab.PushImage(ctx, operation.Image)
	case *course.Patch:
		return l.patch(ctx, operation)
	case *course.Delete:
		targets, err := l.meant(ctx, operation.Target)
		if err != nil {
			return err
		}
		return l.Cluster.Remove(ctx, targets)
	}
	panic(fmt.Sprintf("nothing is written that does %T", action.Operation))
}

// applyAll applies manifests one after the other.
func (l *Labs) applyAll(ctx context.Context, chapter *course.Chapter, manifests []course.Manifest) error {
	for _, manifest := range manifests {
		if err := l.apply(ctx, chapter, manifest); err != nil {
			return err
		}
	}
	return nil
}

// apply applies a manifest, and waits until its Deployments have the revision of what was applied: otherwise two steps
// would become one revision.
func (l *Labs) apply(ctx context.Context, chapter *course.Chapter, manifest course.Manifest) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	for _, object := range manifest.Objects {
		err := l.Cluster.Retry(ctx, func(ctx context.Context) error { return l.Cluster.Apply(ctx, object, chapter.Name) })
		if err != nil {
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

// untilMet waits until everything is as the snapshot expects it: for one expectation after the other, so that nothing
// else is asked meanwhile, and then for all of them at once.
func (l *Labs) untilMet(ctx context.Context, snapshot *course.Snapshot) (rows []check.Row, err error) {
	if len(snapshot.Expect) == 0 {
		return nil, nil
	}
	step := snapshot.Step
	waiting, cancel := l.within(ctx)
	defer cancel()
	go l.tellCauses(waiting, snapshot.Objects)
	next := 0 // the expectation that is waited for
	every := func() time.Duration {
		if check.Watched(snapshot.Expect[next].Condition) {
			return lookEvery
		}
		return probeEvery
	}
	err = await.Changes(waiting, every, func(ctx context.Context) (bool, error) {
		for ; next < len(snapshot.Expect); next++ {
			if row, err := l.Checker.Row(ctx, step, next); err != nil || !row.Met {
				return false, err
			}
		}
		next = 0
		if rows, err = l.Checker.Step(ctx, step); err != nil || check.Met(rows) {
			return err == nil, err
		}
		next = slices.IndexFunc(rows, func(row check.Row) bool { return !row.Met })
		return false, nil
	}, l.Cluster.Changes()...)
	if err == nil || ctx.Err() != nil {
		return rows, err
	}
	if rows, err = l.Checker.Step(ctx, step); err != nil {
		return nil, err
	}
	return nil, messages.Errorf("%s: not everything is as it should be after %s", step.ID(), l.Timeout).
		Because(errors.Join(append(unmet(rows), l.Checker.Evidence(ctx, step)...)...)).
		Next(messages.Hellolab("lab", "check", step.ID()))
}

// tellEvery is how often tellCauses looks.
const tellEvery = 10 * time.Second

// tellCauses names what keeps objects from what they should be, each cause once, while somebody waits: what does not resolve itself
// is better known before the time is over.
func (l *Labs) tellCauses(ctx context.Context, wanted []*unstructured.Unstructured) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for told := map[string]bool{}; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var there []*unstructured.Unstructured
		for _, object := range wanted {
			if found, err := l.Cluster.Get(ctx, kube.Refer(object)); err == nil && found != nil {
				there = append(there, found)
			}
		}
		findings, err := l.Checker.Explain(ctx, there)
		for _, finding := range findings {
			if why := finding.Why.String(); err == nil && ctx.Err() == nil && !finding.Passing && !told[why] {
				told[why] = true
				l.Story.Say(messages.T("still waiting: %s; next: %s", finding.Why, finding.Next))
			}
		}
	}
}

const (
	// probeEvery is how often things are checked whose changes no watch reports: the answers of a web server.
	probeEvery = 100 * time.Millisecond
	// lookEvery is how often the others are: it costs a small machine what it needs to start the pods.
	lookEvery = time.Second
)

// unmet lists the expectations that are not met.
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

// Reset empties the course's namespaces. The user's own objects are named and saved first.
func (l *Labs) Reset(ctx context.Context) error {
	return l.Story.Do(ctx, messages.T("emptying the namespaces %s", l.Course.Namespaces), func(ctx context.Context) error {
		if _, err := l.empty(ctx, State{}, nil, messages.Hellolab("lab", "reset", "--force")); err != nil {
			return err
		}
		return l.finish(ctx)
	})
}
