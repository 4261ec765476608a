package engine_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

const (
	digest = "sha256:e6d2a5c9f4b19b8a6a9d3a0f42b0d6d0fbd9b4a4a4f0fb1ecb47d0a2e7401403"
	other  = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
)

// TestFind holds which image of the engine's stands for a name: with a digest, the one with that content, even where it
// came from a mirror and got its name by docker tag. The name that is returned is one that the engine knows.
func TestFind(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.AddImage("registry:3@" + digest)
	docker.AddImage("mirror.example/kindest/node@"+digest, "kindest/node:v1")
	docker.AddImage("built:1")
	for name, want := range map[string]string{
		"registry:3":                          "registry:3",
		"registry:3@" + digest:                "registry:3@" + digest,
		"registry:3@" + other:                 "",
		"kindest/node:v1@" + digest:           "kindest/node:v1",
		"docker.io/kindest/node:v1@" + digest: "docker.io/kindest/node:v1",
		"kindest/node:v1@" + other:            "",
		"kindest/node:v2@" + digest:           "",
		"built:1":                             "built:1",
		"built:1@" + digest:                   "",
		"nginx":                               "",
	} {
		found, err := engine.Find(t.Context(), docker.Client(), name)
		got := ""
		if found != nil {
			got = found.Name
			if found.ID == "" || found.Architecture != "amd64" || !docker.HasImage(found.Name) {
				t.Errorf("%s is found as %+v, which the engine does not know", name, found)
			}
		}
		if err != nil || got != want {
			t.Errorf("%s is found as %q, %v; want %q", name, got, err, want)
		}
	}
	docker.Fail("GET /images/{name...}", http.StatusInternalServerError, "the store is damaged")
	if found, err := engine.Find(t.Context(), docker.Client(), "registry:3"); err == nil {
		t.Errorf("a damaged engine finds %+v", found)
	}
}

// TestEnsureImage holds that what is there is not pulled, and that a pull is one step.
func TestEnsureImage(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.AddImage("mirror.example/node@"+digest, "node:1")
	docker.AddPullable(enginetest.Image{Names: []string{"nginx:1"}})
	for _, test := range []struct {
		name, want string
		steps      int
		works      bool
	}{
		{"node:1@" + digest, "node:1", 0, true},
		{"nginx:1", "nginx:1", 1, true},
		{"nginx:1", "nginx:1", 0, true},
		{"nowhere:1", "nowhere:1", 1, false},
	} {
		story := progress.New(progress.Options{Out: io.Discard})
		got, err := engine.EnsureImage(t.Context(), docker.Client(), story, test.name)
		if got != test.want || (err == nil) != test.works || story.Steps() != test.steps {
			t.Errorf("EnsureImage(%s) returns %q, %v after %d steps; want %q after %d", test.name, got, err, story.Steps(), test.want, test.steps)
		}
	}
}

// TestPullHint holds that each kind of failure has its own next command. The digest, which has 401 and 403 in it, tells
// nothing.
func TestPullHint(t *testing.T) {
	t.Parallel()
	name := "kindest/node:v1@" + digest
	for said, want := range map[string]string{
		"write /var/lib/docker/tmp/x: no space left on device":                                 "docker system df",
		"toomanyrequests: You have reached your pull rate limit":                               "docker login docker.io, then docker pull " + name,
		"received unexpected HTTP status: 429 Too Many Requests":                               "docker login docker.io",
		"invalid character '<' looking for beginning of value":                                 "docker info",
		"tls: failed to verify certificate: x509: certificate signed by unknown authority":     "docker info",
		"pull access denied for x, repository does not exist or may require 'docker login'":    "hellolab config",
		"unexpected status from HEAD request to https://mirror/v2/: 403 Forbidden":             "docker login docker.io",
		"dial tcp: lookup registry-1.docker.io: no such host":                                  "docker tag MIRROR/kindest/node@" + digest + " kindest/node:v1",
		"Get https://registry-1.docker.io/v2/: net/http: TLS handshake timeout":                "docker pull MIRROR/kindest/node@" + digest,
		"Get https://registry-1.docker.io/v2/: proxyconnect tcp: dial tcp: connection refused": "docker pull MIRROR/",
		"manifest for kindest/node@" + digest + " not found: manifest unknown":                 "hellolab config",
		"something else, about " + digest:                                                      "docker pull " + name,
	} {
		hint := engine.PullHint(name, errors.New(said)).String()
		if !strings.Contains(hint, want) {
			t.Errorf("the hint for %q is %q, want %s in it", said, hint, want)
		}
		if chinese := messages.In(messages.Languages()[1]).Text(engine.PullHint(name, errors.New(said))); !strings.Contains(chinese, want[:10]) {
			t.Errorf("the Chinese hint for %q is %q", said, chinese)
		}
	}
	if hint := engine.PullHint("nginx", errors.New("i/o timeout")).String(); !strings.Contains(hint, "docker tag MIRROR/library/nginx:latest nginx") {
		t.Errorf("the hint for nginx is %q", hint)
	}
}
