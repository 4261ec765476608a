package kube

import (
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/messages"
)

// giveUp is how long something is waited for that only the user can end, by the looks of it: an operator may just be slow.
const giveUp = 30 * time.Second

// Retry tries until it succeeds, until the API server refuses for good, or until ctx ends. It tells what it waits for, and
// gives up early where the user has to remove something first: the error says what then.
func (c *Cluster) Retry(ctx context.Context, try func(context.Context) error) error {
	start, told := time.Now(), false
	var refused, last error
	err := await.Poll(ctx, messages.Text{}, func(ctx context.Context) error {
		err := try(ctx)
		if err == nil || !Passing(err) {
			refused = err
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // what comes later only says that the time is up
		}
		if waited := time.Since(start); waited >= giveUp {
			refused = c.foreign(ctx, last)
		} else if waited >= quiet && !told {
			told = true
			c.say(messages.T("still waiting, for the API server says: %s", last))
		}
		if refused != nil {
			return nil
		}
		return last
	})
	switch {
	case refused != nil:
		return refused
	case err == nil || errors.Is(context.Cause(ctx), context.Canceled):
		return err
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if known, _ := c.explain(ctx, last); known != nil {
		return known
	}
	return err
}

// afterwards is for a few requests more once a context's time is up.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), quiet)
}

// Passing reports whether err is worth another try: the API server restarts, is busy, or cannot reach an admission
// webhook. An object that it refuses is not.
func Passing(err error) bool {
	return apierrors.IsInternalError(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) || unreachable(err)
}

// unreachable reports whether a request got no answer. Windows has errors of its own for a connection that is refused or
// reset: there, only their place in the package net tells.
func unreachable(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) || utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) ||
		utilnet.IsProbableEOF(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) ||
		utilnet.IsTimeout(err) // a context's end, too
}

// Explain returns what has to be done about an error of the API server's, where that is known, and err otherwise.
func (c *Cluster) Explain(ctx context.Context, err error) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if known, _ := c.explain(ctx, err); known != nil {
		return known
	}
	return err
}

// foreign is explain for what is not the lab's own, and does not come back by itself.
func (c *Cluster) foreign(ctx context.Context, err error) error {
	if known, ours := c.explain(ctx, err); known != nil && !ours {
		return known
	}
	return nil
}

// How the API server says that a webhook did not answer.
var (
	uncalled    = regexp.MustCompile(`failed calling webhook "([^"]+)"`)
	unconverted = regexp.MustCompile(`conversion webhook for ([^ ,/]+)/[^ ,]+, Kind=(\w+) failed`)
)

// explain finds the webhook that an error is about, and whether it is the lab's own. It returns nil where there is none.
func (c *Cluster) explain(ctx context.Context, err error) (known error, ours bool) {
	if err == nil {
		return nil, false
	}
	if named := uncalled.FindStringSubmatch(err.Error()); named != nil {
		return c.admission(ctx, named[1], err)
	}
	if named := unconverted.FindStringSubmatch(err.Error()); named != nil {
		return c.conversion(ctx, named[1], named[2], err), false
	}
	return nil, false
}

// admission explains an admission webhook that does not answer.
func (c *Cluster) admission(ctx context.Context, name string, err error) (known error, ours bool) {
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		all, listErr := c.Of(ctx, "admissionregistration.k8s.io/v1", kind, "")
		if listErr != nil {
			continue
		}
		for _, configuration := range all {
			if !hasWebhook(configuration, name) {
				continue
			}
			said := messages.Errorf("the admission webhook of %s does not answer", Refer(configuration)).Because(err)
			if Untouched(configuration) {
				return said.WithHint("%s mends it; then run the same command again", messages.Hellolab("up")), true
			}
			return said.WithHint("if nothing needs it any more: %s; then run the same command again", Refer(configuration).Remove()), false
		}
	}
	return nil, false
}

func hasWebhook(configuration *unstructured.Unstructured, name string) bool {
	webhooks, _, _ := unstructured.NestedSlice(configuration.Object, "webhooks")
	for _, webhook := range webhooks {
		if fields, _ := webhook.(map[string]any); fields["name"] == name {
			return true
		}
	}
	return false
}

// conversion explains a kind whose versions nobody converts: none of its objects can be read, or removed.
func (c *Cluster) conversion(ctx context.Context, group, kind string, err error) error {
	all, listErr := c.Of(ctx, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "")
	if listErr != nil {
		return nil
	}
	for _, definition := range all {
		itsGroup, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
		itsKind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
		if itsGroup == group && itsKind == kind {
			return messages.Errorf("the objects of %s cannot be read", Refer(definition)).Because(err).
				WithHint("turn the conversion off: %s; then run the same command again",
					messages.Kubectl("", "patch", Refer(definition).kindName(), "--type=merge", "-p", `{"spec":{"conversion":{"strategy":"None","webhook":null}}}`))
		}
	}
	return nil
}
