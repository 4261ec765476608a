package engine

import (
	"errors"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/docker/docker/client"
)

// answerWithin bounds the calls that an engine answers at once, unless it hangs.
const answerWithin = 30 * time.Second

// bounded has a client's quick calls fail where the engine does not respond to them: nothing is shown while they run, so
// a hang would look like this program's own. With TLS the calls stay unbounded, since the client looks into its transport
// for the certificates.
func bounded(docker *client.Client) error {
	base := docker.HTTPClient()
	transport, ok := base.Transport.(*http.Transport)
	if !ok || transport.TLSClientConfig != nil {
		return nil
	}
	base.Transport = newBounds(transport, docker.DaemonHost(), answerWithin)
	return client.WithHTTPClient(base)(docker)
}

// bounds is a transport to an engine that bounds the quick calls only.
type bounds struct {
	host       string
	quick, any *http.Transport
}

func newBounds(transport *http.Transport, host string, within time.Duration) bounds {
	quick := transport.Clone()
	quick.ResponseHeaderTimeout = within
	return bounds{host, quick, transport}
}

// RoundTrip sends a request to the engine.
func (b bounds) RoundTrip(request *http.Request) (*http.Response, error) {
	if !isQuick(request.Method, request.URL.Path) {
		return b.any.RoundTrip(request)
	}
	response, err := b.quick.RoundTrip(request)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && request.Context().Err() == nil {
		return nil, silent(b.host)
	}
	return response, err
}

// isQuick reports whether an engine answers a call at once: whatever only looks, and what changes nothing but the engine's
// own records. Creating, starting, stopping and removing containers may take as long as the disk needs.
func isQuick(method, call string) bool {
	switch method {
	case http.MethodGet, http.MethodHead:
		return !strings.HasSuffix(call, "/events") && !strings.HasSuffix(call, "/images/get") && !strings.HasSuffix(call, "/logs")
	case http.MethodPost:
		return strings.HasSuffix(call, "/volumes/create") || path.Base(path.Dir(path.Dir(call))) == "networks"
	}
	return false
}
