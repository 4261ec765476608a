package kube

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hellolab/hellolab/messages"
)

// quiet is how long a wait goes on before it is told of.
const quiet = 10 * time.Second

// Patient returns a client of the same API server whose requests outlast a server that is away: they are made again until
// one is answered, for as long as limit. say hears of waits that take longer than a moment, and of their end.
//
// Requests that libraries make in no context end with ctx.
func (c *Cluster) Patient(ctx context.Context, limit time.Duration, say func(messages.Text)) (*Cluster, error) {
	config := c.Config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &patient{ctx: ctx, next: next, limit: limit, say: say}
	})
	cluster, err := New(config)
	if err != nil {
		return nil, err
	}
	cluster.say = say
	return cluster, nil
}

// patient makes requests that get no answer again. A request that may have been carried out is only made again where that
// changes nothing; of the others, the callers know (see [Cluster.Retry]).
type patient struct {
	ctx   context.Context
	next  http.RoundTripper
	limit time.Duration
	say   func(messages.Text)

	lock  sync.Mutex
	since time.Time // when the server stopped answering
	told  bool
	// slow is when a request that takes long was told of last, and over says that a wait was given up.
	slow time.Time
	over bool
}

// RoundTrip makes a request, until it is answered.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Done() == nil {
		r = r.WithContext(p.ctx)
	}
	start, believed := time.Now(), false
	for tries := 0; ; tries++ {
		if err := rewind(r, tries); err != nil {
			return nil, err
		}
		response, again, err := p.once(r)
		switch {
		case err == nil && (believed || !again):
			p.answered()
			return response, nil
		case err == nil:
			response.Body.Close()
			if err = p.ready(r); err == nil {
				believed = true
				continue
			}
		case !again || r.Context().Err() != nil:
			return nil, err
		}
		p.failed(err)
		if time.Since(start) >= p.limit {
			p.ended()
			return nil, err
		}
		select {
		case <-r.Context().Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// rewind has a request's body begin again.
func rewind(r *http.Request, tries int) (err error) {
	if tries > 0 && r.GetBody != nil {
		r.Body, err = r.GetBody()
	}
	return err
}

// pause is the time between two attempts at a server that does not answer.
const pause = 200 * time.Millisecond

// once makes a request, and reports whether it has to be made again: because it has not been sent, or only asks, or because
// the answer is not to be believed yet.
func (p *patient) once(r *http.Request) (response *http.Response, again bool, err error) {
	defer time.AfterFunc(quiet, p.hangs).Stop()
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }}
	response, err = p.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err == nil {
		again = hasty(response)
	} else {
		again = unreachable(err) && (!sent.Load() || r.Method == http.MethodGet)
	}
	return response, again && (r.Body == nil || r.GetBody != nil), err
}

// hasty reports whether an answer may be that of a server which has only just started: it forbids what it does not know the
// rights for yet, and does not know all of its own APIs. It has not carried out the request then.
func hasty(response *http.Response) bool {
	return response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusServiceUnavailable
}

// ready fails unless the server that a request is for has started completely, so that its next answer can be believed.
func (p *patient) ready(of *http.Request) error {
	address := *of.URL
	address.Path, address.RawQuery = "/readyz", ""
	request, err := http.NewRequestWithContext(of.Context(), http.MethodGet, address.String(), nil)
	if err != nil {
		return err
	}
	request.Header = of.Header.Clone()
	response, err := p.next.RoundTrip(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return messages.Errorf("the API server is not ready: %s", response.Status)
	}
	return nil
}

// failed notes that there was no answer, and tells of it once it has been so for a while.
func (p *patient) failed(err error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.since.IsZero() {
		p.since = time.Now()
	}
	if !p.told && time.Since(p.since) >= quiet {
		p.told = true
		p.say(messages.T("the API server does not answer: %s; going on once it does", err))
	}
}

// answered notes that there was an answer.
func (p *patient) answered() {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.told {
		p.say(messages.T("the API server answers again"))
	}
	p.since, p.told = time.Time{}, false
}

// hangs tells of a request that takes long; of one at a time.
func (p *patient) hangs() {
	p.lock.Lock()
	defer p.lock.Unlock()
	if time.Since(p.slow) >= quiet {
		p.slow = time.Now()
		p.say(messages.T("the API server has not answered for %s; still waiting", quiet))
	}
}

// ended tells once that nothing is waited for any more.
func (p *patient) ended() {
	p.lock.Lock()
	defer p.lock.Unlock()
	if !p.over {
		p.over = true
		p.say(messages.T("the API server has not answered for %s: not waiting any longer", p.limit))
	}
}
