package engine_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
)

const (
	digest = "sha256:e6d2a5c9f4b19b8a6a9d3a0f42b0d6d0fbd9b4a4a4f0fb1ecb47d0a2e7401403"
	other  = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	node   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	third  = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
)

// TestFind holds which image of the engine's stands for a name: with a digest, the one with that content, even where it
// came from a mirror and got its name by docker tag. The name that is returned is one that the engine knows.
func TestFind(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.AddImage("registry:3@" + digest)
	docker.AddImage("mirror.example/kindest/node@"+node, "kindest/node:v1")
	docker.AddImage("built:1")
	docker.AddImage(engine.PinnedTag("loaded:1@" + third))
	for name, want := range map[string]string{
		"registry:3":                        "registry:3",
		"registry:3@" + digest:              "registry:3@" + digest,
		"registry:3@" + other:               "",
		"kindest/node:v1@" + node:           "kindest/node:v1",
		"docker.io/kindest/node:v1@" + node: "docker.io/kindest/node:v1",
		"kindest/node:v1@" + other:          "",
		"kindest/node:v2@" + node:           "mirror.example/kindest/node@" + node,
		"loaded:1@" + third:                 "loaded:sha256-" + strings.TrimPrefix(third, "sha256:"),
		"built:1":                           "built:1",
		"built:1@" + other:                  "",
		"nginx":                             "",
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

// TestPullHint holds that each kind of failure has its own next command. The digest, which has 401 and 403 in it, tells
// nothing.
func TestPullHint(t *testing.T) {
	t.Parallel()
	name := "kindest/node:v1@" + node
	for said, want := range map[string]string{
		"write /var/lib/docker/tmp/x: no space left on device":                                 "docker system df",
		"toomanyrequests: You have reached your pull rate limit":                               "docker login docker.io, then docker pull " + name,
		"received unexpected HTTP status: 429 Too Many Requests":                               "docker login docker.io",
		"invalid character '<' looking for beginning of value":                                 "docker info",
		"tls: failed to verify certificate: x509: certificate signed by unknown authority":     "docker info",
		"pull access denied for x, repository does not exist or may require 'docker login'":    "hellolab config",
		"unexpected status from HEAD request to https://mirror/v2/: 403 Forbidden":             "docker login docker.io",
		"dial tcp: lookup registry-1.docker.io: no such host":                                  "--set registry.mirrors=cn",
		"Get https://registry-1.docker.io/v2/: net/http: TLS handshake timeout":                "--set registry.mirrors.docker.io=https://MIRROR",
		"Get https://registry-1.docker.io/v2/: proxyconnect tcp: dial tcp: connection refused": "--set registry.mirrors.docker.io=https://MIRROR",
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
	if hint := engine.PullHint("quay.io/a/b", errors.New("i/o timeout")).String(); !strings.Contains(hint, "--set registry.mirrors.quay.io=https://MIRROR") {
		t.Errorf("the hint for quay.io is %q", hint)
	}
}
