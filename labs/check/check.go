// Package check compares a lab with the state after a step of the course, whoever did the step, and finds the causes of
// differences.
package check

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Row is one expectation, and whether it is met.
type Row struct {
	// Subject is what the expectation is about: "deployment/hellok8s-deployment".
	Subject messages.Text
	// Met says that the cluster is as expected.
	Met bool
	// Have is what there is, and Expected what there should be.
	Have, Expected messages.Text
	// Answers are what the requests of the expectation got, each different one once.
	Answers []Answer
	// Look is a command that shows what it is about. It is empty where there is none, or where the expectation is met.
	Look messages.Text
	// Why it is not met, and the Next command to type. Both are empty where it is met.
	Why, Next messages.Text
}

// Answer is what a request got.
type Answer struct {
	// Text is the body, or "" where there was no answer at all.
	Text string
	// Good says that it is like the expectation wants it.
	Good bool
}

// Told is a row in a reader's language, as programs and pages get it.
type Told struct {
	Subject  string `json:"subject"`
	Met      bool   `json:"met"`
	Have     string `json:"have"`
	Expected string `json:"expected"`
	Look     string `json:"look"`
	Why      string `json:"why"`
	Next     string `json:"next"`
}

// Tell tells a row in the printer's language.
func (r Row) Tell(printer messages.Printer) Told {
	return Told{printer.Text(r.Subject), r.Met, printer.Text(r.Have), printer.Text(r.Expected), printer.Text(r.Look), printer.Text(r.Why), printer.Text(r.Next)}
}

// Bare returns rows without causes and commands, as somebody gets them who is to find these.
func Bare(rows []Row) []Row {
	bare := make([]Row, len(rows))
	for i, row := range rows {
		bare[i] = Row{Subject: row.Subject, Met: row.Met, Have: row.Have, Expected: row.Expected}
	}
	return bare
}

// Checker looks at one lab.
type Checker struct {
	Cluster *kube.Cluster
	Place   course.Place
	Course  *course.Course
	// Registry is the lab's.
	Registry Registry
	// Engine has the images of this machine's Docker Engine; nil is none.
	Engine Engine
	// Namespace is the one that the reader's kubectl works in.
	Namespace string
}

// Engine is what a check asks the Docker Engine.
type Engine interface {
	// HasImage reports whether it has an image.
	HasImage(ctx context.Context, image string) (bool, error)
	// Proxy returns the URL of the proxy through which a node reaches other registries, or "".
	Proxy(ctx context.Context, node string) (string, error)
}

// Registry is what a check asks the lab's registry.
type Registry interface {
	// HasImage reports whether it has an image.
	HasImage(ctx context.Context, image string) (bool, error)
	// PushedBy reports whether an image was pushed by the reader, or by a snapshot in the reader's stead.
	PushedBy(ctx context.Context, image string) (reader, snapshot bool, err error)
	// ChartVersions returns the versions that it has of a chart.
	ChartVersions(ctx context.Context, name string) ([]string, error)
}

// Step returns a row for every expectation of a step, once the cluster has come to the latest changes. An error means that the
// lab cannot be reached.
func (c *Checker) Step(ctx context.Context, step *course.Step) ([]Row, error) {
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	rows := make([]Row, len(step.Expect))
	work, ctx := errgroup.WithContext(ctx)
	for i := range step.Expect {
		work.Go(func() (err error) {
			rows[i], err = c.Row(ctx, step, i)
			return err
		})
	}
	return rows, work.Wait()
}

// Met reports whether all rows are.
func Met(rows []Row) bool {
	for _, row := range rows {
		if !row.Met {
			return false
		}
	}
	return true
}

// Row checks one expectation of a step. A cause that the cluster shows takes precedence over the course's explanation.
func (c *Checker) Row(ctx context.Context, step *course.Step, number int) (Row, error) {
	e := &step.Expect[number]
	row, cause, err := c.compare(ctx, step, e.Condition)
	if err != nil && answered(err) {
		row.Met, row.Have = false, messages.T("it cannot be looked at: %s", firstLine(err.Error()))
		cause.why, err = row.Have, nil
	}
	if err != nil || row.Met {
		row.Look = messages.Text{}
		return row, err
	}
	if row.Look.IsZero() {
		row.Look = c.look(e.Condition)
	}
	if row.Why = cause.why; row.Why.IsZero() {
		row.Why = c.Place.Text(e.Why)
	}
	if row.Next = cause.next; e.Next != "" && (cause.why.IsZero() || cause.next.IsZero()) {
		row.Next = c.Place.Command(e.Next)
	}
	if row.Next.IsZero() {
		row.Next = messages.Hellolab("lab", "show", step.ID()).Text()
	}
	return row, nil
}

// answered reports whether an error is the API server's answer to one question, and tells nothing of others: it has no objects of
// such a kind, or refuses to show them.
func answered(err error) bool {
	return meta.IsNoMatchError(err) || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) || apierrors.IsInvalid(err)
}

// compare compares the lab with a condition.
func (c *Checker) compare(ctx context.Context, step *course.Step, condition course.Condition) (Row, cause, error) {
	switch condition := condition.(type) {
	case *course.Object:
		return c.object(ctx, step, &condition.Part)
	case *course.Absent:
		return c.absent(ctx, &condition.Reference)
	case *course.HTTP:
		return c.http(ctx, step, condition)
	case *course.Pods:
		return c.pods(ctx, condition)
	case *course.Endpoints:
		return c.endpoints(ctx, condition)
	case *course.History:
		return c.history(ctx, condition)
	case *course.Replaced:
		return c.replaced(ctx, &condition.Reference)
	case *course.Logs:
		return c.logs(ctx, condition)
	case *course.Image:
		return c.image(ctx, condition.Name)
	case *course.Pushed:
		return c.pushed(ctx, condition.Name)
	case *course.Runs:
		return c.runs(ctx, &condition.Reference)
	case *course.ReleaseState:
		return c.release(ctx, step, condition)
	case *course.PublishedChart:
		return c.chart(ctx, condition)
	case *course.LoadBalancer:
		return c.loadBalancer(ctx, condition)
	}
	panic(fmt.Sprintf("no check is written for %T", condition))
}

// Watched reports whether [kube.Cluster.Changes] tell of whatever a condition depends on.
func Watched(condition course.Condition) bool {
	switch condition := condition.(type) {
	case *course.Object:
		return kube.Watched(condition.Kind())
	case *course.Absent:
		return kube.Watched(condition.Kind)
	case *course.Pods, *course.Endpoints, *course.History, *course.Replaced:
		return true
	}
	return false
}

func (c *Checker) image(ctx context.Context, image string) (Row, cause, error) {
	row := Row{Subject: messages.T("image %s", image), Have: messages.T("it is not in the registry"),
		Expected: messages.T("in the registry %s", c.Place.Registry)}
	found, err := c.Registry.HasImage(ctx, image)
	if row.Met = found; found {
		row.Have = row.Expected
	}
	return row, cause{}, err
}

// pushed is an image of the reader's own.
func (c *Checker) pushed(ctx context.Context, image string) (Row, cause, error) {
	row, _, err := c.image(ctx, image)
	row.Expected = messages.T("your own, in the registry %s", c.Place.Registry)
	if err != nil || !row.Met {
		return row, cause{why: messages.T("the cluster pulls images from the lab's registry, and nobody has pushed this one there")}, err
	}
	reader, snapshot, err := c.Registry.PushedBy(ctx, image)
	if row.Met = err == nil && (reader || snapshot); row.Met {
		row.Have = row.Expected
		return row, cause{}, err
	}
	row.Have = messages.T("the one that hellolab has built")
	return row, cause{why: messages.T("nobody has pushed another one since the lab was made")}, err
}

func (c *Checker) absent(ctx context.Context, r *course.Reference) (Row, cause, error) {
	reference := kube.Reference{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
	row := Row{Subject: messages.T("no %s", reference), Have: messages.T("it is still there"), Expected: messages.T("not there")}
	var err error
	if reference.APIVersion, err = c.Cluster.APIVersion(r.Kind); meta.IsNoMatchError(err) {
		row.Met, row.Have = true, row.Expected // there is none of a kind that there is not
		return row, cause{}, nil
	}
	if err != nil {
		return row, cause{}, err
	}
	found, err := c.Cluster.Get(ctx, reference)
	if row.Met = err == nil && found == nil; row.Met {
		row.Have = row.Expected
	}
	return row, cause{next: messages.Kubectl(r.Namespace, "delete", typed(reference)).Text()}, err
}
