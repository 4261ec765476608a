// Package labs brings the cluster to the chapters' snapshots and back: it installs, checks, explains, saves and
// restores them.
//
// A snapshot is always made anew, along the steps that lead to it: what the one before left is removed first, and
// every step's actions follow in order. So it is the same one whatever was there before, and its revisions are true.
package labs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// Labs is a course on a cluster.
type Labs struct {
	Course  *course.Course
	Cluster *kube.Cluster
	Checker *check.Checker
	Story   *progress.Progress
	Lab     Lab
	// Ingress says that the lab has an ingress controller.
	Ingress bool
	// Saved is the folder for objects of the reader's that had to go.
	Saved string
	// Timeout bounds each wait.
	Timeout time.Duration
	// Trust is how far what is installed may go.
	Trust Trust
	// Lasting is how long a fault has to show before it counts as planted: what fails only until a controller has come to it is none.
	// 0 is 2 s.
	Lasting time.Duration
	// DropData is the user's word that volumes may go with what is in them.
	DropData bool
}

// Config is the section "labs" of config.yaml.
type Config struct {
	// Course is the folder of another course than the built-in one, or "".
	Course string `yaml:"course"`
	// Timeout bounds each wait for a chapter's state.
	Timeout time.Duration `yaml:"timeout"`
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	if c.Timeout < time.Second {
		return messages.Usagef("labs.timeout: %s is too short: use 3m, for example", c.Timeout)
	}
	return nil
}

// State is the course's state, kept in a ConfigMap of the cluster.
type State struct {
	// Step whose snapshot is installed: CHAPTER/STEP, or "".
	Step string `json:"step"`
	// Before says that it is the state before that step.
	Before bool `json:"before"`
	// Installing says that its installation did not get to its end.
	Installing bool `json:"installing"`
	// Objects that hellolab has made, or was about to make.
	Objects []kube.Reference `json:"objects"`
	// Since is when that was, or when the namespaces were emptied; zero where an older hellolab did it.
	Since time.Time `json:"since,omitzero"`
	// Marks are the steps that are done, and Hints those that the reader has asked for.
	Marks Marks `json:"-"`
	Hints Hints `json:"-"`
	// Practice is the fault that the reader looks for, and Exams are those that are over, the latest last.
	Practice Practice     `json:"-"`
	Exams    []ExamResult `json:"-"`
}

// Where the state is kept.
const (
	stateNamespace = kube.Namespace
	stateName      = "labs"
	stateKey       = "state.json"
	// Marks and hints are keys of their own, with field managers of their own: a check may run beside an installation.
	marksManager = kube.Owner + "-check"
	hintsManager = kube.Owner + "-hint"
)

// State reads the course's state from the cluster.
func (l *Labs) State(ctx context.Context) (state State, err error) {
	found, err := l.Cluster.CoreV1().ConfigMaps(stateNamespace).Get(ctx, stateName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	// if somebody has edited it, the labels of the objects still say which are hellolab's
	if json.Unmarshal([]byte(found.Data[stateKey]), &state) != nil {
		state = State{}
	}
	if json.Unmarshal([]byte(found.Data[l.hintsKey()]), &state.Hints) != nil {
		state.Hints = Hints{}
	}
	state.Marks = l.marksIn(found.Data)
	var kept practised
	if json.Unmarshal([]byte(found.Data[l.practiceKey()]), &kept) == nil {
		state.Practice, state.Exams = kept.Practice, kept.Exams
	}
	switch {
	case l.Course.Fault(state.Practice.Fault) == nil: // there is none, or the course has it no more
		state.Practice.Fault = ""
	case !strings.HasPrefix(state.Practice.Fault, state.Step+"/"): // another course has taken its place
		state.Practice.Since = time.Time{}
	}
	return state, nil
}

// remember writes the state, but for the passed steps.
func (l *Labs) remember(ctx context.Context, state State) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	return l.Cluster.Retry(ctx, func(ctx context.Context) error { return l.write(ctx, kube.Owner, stateKey, state) })
}

// write writes one key of the state.
func (l *Labs) write(ctx context.Context, manager, key string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	options := metav1.ApplyOptions{FieldManager: manager, Force: true}
	apply := func() error {
		_, err := l.Cluster.CoreV1().ConfigMaps(stateNamespace).Apply(ctx,
			applycore.ConfigMap(stateName, stateNamespace).WithData(map[string]string{key: string(content)}), options)
		return err
	}
	if err = apply(); !apierrors.IsNotFound(err) {
		return err
	}
	if _, err := l.Cluster.CoreV1().Namespaces().Apply(ctx, applycore.Namespace(stateNamespace), options); err != nil {
		return err
	}
	return apply()
}

// rememberMarks writes the marks. Each course has a key and a field manager of its own: another one may have steps of the same names.
func (l *Labs) rememberMarks(ctx context.Context, marks Marks) error {
	return l.write(ctx, marksManager+l.courseSuffix(), l.marksKey(), marks)
}

// The keys of this course; passedKey is where an older hellolab has noted the steps that are done.
func (l *Labs) marksKey() string  { return "marks" + l.courseSuffix() + ".json" }
func (l *Labs) hintsKey() string  { return "hints" + l.courseSuffix() + ".json" }
func (l *Labs) passedKey() string { return "passed" + l.courseSuffix() + ".json" }

// courseSuffix tells the courses apart, by their titles and chapters: "" is the built-in one.
func (l *Labs) courseSuffix() string {
	if !l.Trust.Foreign {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{l.Course.Title.English, l.Course.Title.Chinese}, l.Course.Order...), "\n")))
	return fmt.Sprintf("-%x", sum[:8])
}

// Follow checks a step whenever something changes, shows the rows, and goes on to the next step of the chapter once all
// are met, until the chapter is done or ctx ends. It ends with an error if show returns one, or if the API server cannot be
// reached for Timeout.
func (l *Labs) Follow(ctx context.Context, step *course.Step, show func(*course.Step, []check.Row) error) error {
	for ; step != nil; step = step.Next() {
		if err := l.Watch(ctx, step, show); err != nil {
			return err
		}
	}
	return nil
}

// Watch is [Labs.Follow] for one step.
func (l *Labs) Watch(ctx context.Context, step *course.Step, show func(*course.Step, []check.Row) error) error {
	var since time.Time // when the API server stopped answering
	var failed error    // what ends the watch before the step is done
	err := await.Changes(ctx, await.Every(time.Second), func(ctx context.Context) (bool, error) {
		rows, err := l.Check(ctx, step)
		switch {
		case err == nil:
			since = time.Time{}
			failed = show(step, rows)
			return failed != nil || check.Met(rows), nil
		case ctx.Err() != nil:
			return false, err
		case since.IsZero():
			since = time.Now()
			l.Story.Say(messages.T("%s; trying again until it works", err))
		}
		if time.Since(since) < l.Timeout {
			return false, err
		}
		failed = messages.Errorf("the lab's API server cannot be reached").Because(err).Next(messages.Hellolab("status"))
		return true, nil
	}, l.Cluster.Changes()...)
	return cmp.Or(failed, err)
}

// present lists what is in namespaces; what controllers made for other objects only if owned. APIs that another server than
// Kubernetes' own serves, and that do not answer, are left out with a message: nothing of the course's is in them.
func (l *Labs) present(ctx context.Context, namespaces []string, owned bool) (there []*unstructured.Unstructured, missing *kube.Unavailable, err error) {
	ctx, cancel := l.within(ctx)
	defer cancel()
	err = l.Cluster.Retry(ctx, func(ctx context.Context) error {
		var unavailable kube.Unavailable
		there, err = l.Cluster.List(ctx, namespaces, owned)
		if missing = nil; errors.As(err, &unavailable) {
			missing, err = &unavailable, nil
		}
		return err
	})
	if err != nil || missing == nil {
		return there, nil, err
	}
	for _, version := range missing.Versions {
		l.Story.Say(messages.T("the API %s is not available: its objects are neither saved nor removed. If nothing serves it any more: %s",
			version.String(), missing.Remove()))
	}
	return there, missing, nil
}

// Current returns the step that a reader who names none means: the one whose snapshot is installed, or else the one that is next.
func (l *Labs) Current(ctx context.Context) (*course.Step, error) {
	state, err := l.State(ctx)
	if err != nil {
		return nil, err
	}
	installed := slices.IndexFunc(l.Course.Steps(), func(step *course.Step) bool { return step.ID() == state.Step })
	if installed >= 0 && !(state.Before && state.Marks.Done(state.Step)) {
		return l.Course.Steps()[installed], nil
	}
	if next := state.Next(l.Course); next != nil {
		return next, nil
	}
	return nil, messages.Usagef("all steps of the course are done").
		WithHint("name a step: %s; %s shows all", messages.Hellolab("lab", "check").Usage("CHAPTER/STEP"), messages.Hellolab("lab", "list"))
}

// After returns the step that is next once that one is done, or nil where the course is.
func (l *Labs) After(ctx context.Context, step *course.Step) (*course.Step, error) {
	state, err := l.State(ctx)
	state.Step, state.Before, state.Installing = step.ID(), false, false
	return state.Next(l.Course), err
}

// Next returns the step that the reader of a course in that state has to do next, or nil where the course is done: the first that is not
// done, from the one on whose snapshot is installed.
func (s State) Next(lessons *course.Course) *course.Step {
	steps := lessons.Steps()
	at := max(0, slices.IndexFunc(steps, func(step *course.Step) bool { return step.ID() == s.Step }))
	if at < len(steps) && steps[at].ID() == s.Step && !s.Before && !s.Installing {
		at++ // what its snapshot is
	}
	for _, step := range slices.Concat(steps[at:], steps[:at]) {
		if !s.Marks.Done(step.ID()) && (step.ID() != s.Step || s.Before || s.Installing) {
			return step
		}
	}
	return nil
}
