package engine

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/client"

	"github.com/hellolab/hellolab/messages"
)

// patience is how long an engine may take to begin its answer.
type patience struct {
	// quick calls are those that it answers at once, unless it hangs.
	quick time.Duration
	// mention is when one that may take longer is told of, and slow when it is given up.
	mention, slow time.Duration
}

func usualPatience() patience {
	return patience{quick: 10 * time.Second, mention: 20 * time.Second, slow: 3 * time.Minute}
}

// bounded has a client's calls fail where the engine does not respond to them, and say what they wait for before: a hang
// would look like this program's own. With TLS the calls stay unbounded, since the client looks into its transport
// for the certificates.
func bounded(limits patience, say func(messages.Text)) client.Opt {
	return func(docker *client.Client) error {
		base := docker.HTTPClient()
		transport, ok := base.Transport.(*http.Transport)
		if !ok || transport.TLSClientConfig != nil {
			return nil
		}
		base.Transport = bounds{docker.DaemonHost(), transport, limits, say}
		return client.WithHTTPClient(base)(docker)
	}
}

// bounds is a transport to an engine that bounds the time until an answer begins.
type bounds struct {
	host     string
	next     http.RoundTripper
	patience patience
	say      func(messages.Text)
}

// errSilent is why a call was given up. Its words are never shown.
type errSilent struct{}

func (errSilent) Error() string { return "silent" }

// RoundTrip sends a request to the engine. The whole answer to a quick call has to come in time; of others, its beginning.
func (b bounds) RoundTrip(request *http.Request) (*http.Response, error) {
	quick := isQuick(request.Method, request.URL.Path)
	limit := b.patience.slow
	if quick {
		limit = b.patience.quick
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	giveUp := time.AfterFunc(limit, func() { cancel(errSilent{}) })
	mention := time.AfterFunc(b.patience.mention, func() { b.say(waitingFor(request)) })
	response, err := b.next.RoundTrip(request.WithContext(ctx))
	mention.Stop()
	answer := &boundedBody{b.host, ctx, giveUp, cancel, nil}
	if err != nil {
		answer.end()
		return nil, answer.failure(err)
	}
	if !quick {
		giveUp.Stop()
	}
	answer.ReadCloser, response.Body = response.Body, answer
	return response, nil
}

// boundedBody is the body of an answer that has to come in time.
type boundedBody struct {
	host   string
	ctx    context.Context
	giveUp *time.Timer
	cancel context.CancelCauseFunc
	io.ReadCloser
}

func (b *boundedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	return n, b.failure(err)
}

func (b *boundedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

func (b *boundedBody) end() {
	b.giveUp.Stop()
	b.cancel(nil)
}

// failure names the cause where the answer was given up.
func (b *boundedBody) failure(err error) error {
	if err != nil && err != io.EOF && errors.Is(context.Cause(b.ctx), errSilent{}) {
		return silent(b.host)
	}
	return err
}

// waitingFor says which call has not been answered.
func waitingFor(request *http.Request) messages.Text {
	call := apiVersion.ReplaceAllString(request.URL.Path, "")
	return messages.T("waiting for the Docker Engine (%s)", request.Method+" "+call)
}

// apiVersion begins the path of every call.
var apiVersion = regexp.MustCompile(`^/v[0-9.]+`)

// isQuick reports whether an engine answers a call at once: whatever only looks, and what changes nothing but the engine's
// own records. Creating, starting, stopping and removing containers may take as long as the disk needs.
func isQuick(method, call string) bool {
	switch method {
	case http.MethodGet, http.MethodHead:
		return !slices.ContainsFunc([]string{"/events", "/images/get", "/logs"}, func(end string) bool { return strings.HasSuffix(call, end) })
	case http.MethodPost:
		return strings.HasSuffix(call, "/volumes/create") || path.Base(path.Dir(path.Dir(call))) == "networks"
	}
	return false
}
