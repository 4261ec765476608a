//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// override answers a request in the place of a mirror, or leaves it to that; layer says that it is about the layer of an image.
type override func(w http.ResponseWriter, r *http.Request, layer bool) bool

// source is a mirror of Docker Hub on this machine.
type source struct {
	*httptest.Server
	l *lab
}

func (l *lab) mirror(answer override) source {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, sizes := r.Clone(r.Context()), httptest.NewRecorder()
		head.Method = http.MethodHead
		if answer == nil || r.Header.Get("X-Test") != "" {
			images.ServeHTTP(w, r)
			return
		}
		images.ServeHTTP(sizes, head)
		size, _ := strconv.Atoi(sizes.Header().Get("Content-Length"))
		if !answer(w, r, size > 1<<19) {
			images.ServeHTTP(w, r)
		}
	}))
	l.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return source{server, l}
}

// marked makes requests that a mirror's answer leaves alone.
type marked struct{}

func (marked) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("X-Test", "push")
	return http.DefaultTransport.RoundTrip(request)
}

// has puts an image into a mirror, and returns its digest.
func (s source) has(repository string, image v1.Image) string {
	s.l.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(s.URL, "http://") + "/" + repository)
	s.l.check(err)
	s.l.check(remote.Write(ref, image, remote.WithTransport(marked{})))
	digest, err := image.Digest()
	s.l.check(err)
	return digest.String()
}

// someImage is an image with a layer of a megabyte that nothing else has.
func (l *lab) someImage() v1.Image {
	l.Helper()
	image, err := random.Image(1<<20, 1)
	l.check(err)
	config, err := image.ConfigFile()
	l.check(err)
	config.Architecture, config.OS = architectureOf(l), "linux"
	image, err = mutate.ConfigFile(image, config)
	l.check(err)
	return image
}

func architectureOf(l *lab) string {
	return strings.TrimSpace(docker(l.T, "version", "--format", "{{.Server.Arch}}"))
}

func isBlob(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet
}

func isManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }

// TestMirrors holds that an image comes from the first place that gives it, that a bad mirror costs little, and that it is said why it
// is passed over. Docker Hub itself cannot be reached from where this is tested, or has no such images.
func TestMirrors(t *testing.T) {
	forgetMirrored(t) // what a killed run left would be found by its digest
	t.Cleanup(func() { forgetMirrored(t) })
	l := newLab(t, "e2e-mirrors", nil)
	good := l.mirror(nil)
	silent := l.mirror(func(_ http.ResponseWriter, r *http.Request, _ bool) bool {
		<-r.Context().Done()
		return true
	})
	archive := filepath.Join(l.folder, "registry.tar")
	docker(t, "save", "--output", archive, l.registryImage())
	image, err := tarball.ImageFromPath(archive, nil)
	l.check(err)
	digest := good.has("library/e2e-registry:1", image)
	removed := "e2e-registry:1@" + digest

	l.writeSettings("settings.yaml", map[string]any{"registry": map[string]any{"image": removed},
		"bootstrap": map[string]any{"ingress": map[string]any{"enabled": false}}})
	up := l.must("up", "--no-images", "--set", "registry.images=[]", "--set",
		fmt.Sprintf("registry.mirrors.docker.io=[%s, %s]", silent.URL, good.URL))
	l.says(up.stderr, words{silent.URL + " is passed over"})
	if shown := l.must("status").stdout; !strings.Contains(shown, silent.URL+", "+good.URL) {
		l.Errorf("status shows\n%s", shown)
	}
	if hosts := docker(t, "exec", l.node(), "cat", "/etc/containerd/certs.d/docker.io/hosts.toml"); strings.Index(hosts, good.URL) < strings.Index(hosts, "e2e-mirrors-registry:5000") {
		l.Errorf("the node asks\n%s", hosts)
	}
	if again := l.must("up", "--no-images", "--set", "registry.images=[]"); !strings.Contains(again.stderr, "nothing to change") {
		l.Errorf("the next up says\n%s", again.stderr)
	}

	undisturbed := l.copies("undisturbed", good, good, nil).took
	for what, test := range map[string]struct {
		answer override
		says   string
		env    []string
	}{
		"silent": {func(_ http.ResponseWriter, r *http.Request, _ bool) bool { <-r.Context().Done(); return true }, "no answer within 3s", nil},
		"html": {func(w http.ResponseWriter, r *http.Request, layer bool) bool {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>Please log in to the network</html>")
			return true
		}, "<", nil},
		"limited": {func(w http.ResponseWriter, r *http.Request, layer bool) bool {
			if isManifest(r) {
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprint(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`)
			}
			return isManifest(r)
		}, "toomanyrequests", nil},
		"slow": {func(w http.ResponseWriter, r *http.Request, layer bool) bool {
			if !layer {
				return false
			}
			for r.Context().Err() == nil {
				w.Write(make([]byte, 1<<10))
				w.(http.Flusher).Flush()
				time.Sleep(200 * time.Millisecond)
			}
			return true
		}, "hardly anything has arrived within 3s", nil},
		"empty": {func(w http.ResponseWriter, r *http.Request, layer bool) bool {
			if !layer {
				return false
			}
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}, "hardly anything has arrived within 3s", nil},
		"another": {func(w http.ResponseWriter, r *http.Request, layer bool) bool {
			if isManifest(r) {
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				fmt.Fprint(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}`)
			}
			return isManifest(r)
		}, "manifest verification failed for digest", nil},
		"private": {func(w http.ResponseWriter, r *http.Request, layer bool) bool {
			w.Header().Set("WWW-Authenticate", `Basic realm="e2e"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}, "no basic auth credentials", nil},
	} {
		t.Run(what, func(t *testing.T) {
			l := l.in(t)
			bad := l.mirror(test.answer)
			done := l.copies(what, bad, good, nil)
			if !strings.Contains(done.stderr, bad.URL+" is passed over") || !strings.Contains(done.stderr, test.says) {
				l.Errorf("it says\n%s", done.stderr)
			}
			if lost := done.took - undisturbed; lost > 4*time.Second { // 3 s, and what else this machine does
				l.Errorf("it costs %s", lost)
			}
		})
	}
	t.Run("a login", func(t *testing.T) {
		l := l.in(t)
		private := l.mirror(func(w http.ResponseWriter, r *http.Request, layer bool) bool {
			if user, password, _ := r.BasicAuth(); user == "reader" && password == "secret" {
				return false
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="e2e"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		config := l.TempDir()
		content, err := json.Marshal(map[string]any{"auths": map[string]any{strings.TrimPrefix(private.URL, "http://"): map[string]string{"auth": "cmVhZGVyOnNlY3JldA=="}}})
		l.check(err)
		l.check(os.WriteFile(filepath.Join(config, "config.json"), content, 0o600))
		l.copies("login", private, private, []string{"DOCKER_CONFIG=" + config})
	})
	t.Run("a name by docker tag alone", func(t *testing.T) {
		l := l.in(t)
		hand := l.mirror(nil)
		digest := hand.has("library/e2e-tagged:1", l.someImage())
		there := strings.TrimPrefix(hand.URL, "http://") + "/library/e2e-tagged@" + digest
		docker(t, "pull", there)
		docker(t, "tag", there, "e2e-tagged:1")
		t.Cleanup(func() { docker(t, "image", "rm", "e2e-tagged:1") })
		hand.Close()
		for _, image := range []string{"e2e-tagged:1@" + digest, "e2e-tagged:1"} {
			if done := l.must("up", "--no-images", "--set", "registry.images=["+image+"]"); strings.Contains(done.stderr, "passed over") {
				l.Errorf("it says\n%s", done.stderr)
			}
		}
	})
	t.Run("nobody", func(t *testing.T) {
		l := l.in(t)
		away := httptest.NewServer(nil)
		away.Close()
		l.fails(1, []string{"images", "push", "e2e-nobody:1", "--set", "registry.mirrors.docker.io=" + away.URL}, words{
			"neither on this machine nor to be pulled: e2e-nobody:1", "through Docker: " + away.URL + ": ", "connection refused", "through Docker: docker.io: ", "directly: "})
	})
}

// copies has a living lab take one more image, which two mirrors have, into its registry.
func (l *lab) copies(what string, first, second source, env []string) result {
	l.Helper()
	image := l.someImage()
	repository := "library/e2e-" + what
	digest := first.has(repository+":1", image)
	second.has(repository+":1", image)
	command := l.command("up", "--no-images", "--set", fmt.Sprintf("registry.images=[e2e-%s:1@%s]", what, digest),
		"--set", fmt.Sprintf("registry.mirrors.docker.io=[%s, %s]", first.URL, second.URL))
	command.Env = append(command.Env, env...)
	done := l.wait(command)
	if done.status != 0 {
		l.Fatalf("it ended with status %d", done.status)
	}
	return done
}

// forgetMirrored removes what mirrors of this test gave from the engine.
func forgetMirrored(t *testing.T) {
	t.Helper()
	for _, image := range strings.Fields(docker(t, "image", "ls", "--digests", "--format", "{{.Repository}}@{{.Digest}} {{.Repository}}:{{.Tag}}")) {
		pulled := strings.HasPrefix(image, "127.0.0.1:") && strings.Contains(image, "/library/e2e-") && strings.Contains(image, "@sha256:")
		if loaded := strings.HasPrefix(image, "e2e-") && strings.Contains(image, ":sha256-"); pulled || loaded {
			docker(t, "image", "rm", image)
		}
	}
}

// registryImage is what the lab's registry runs, without its digest.
func (l *lab) registryImage() string {
	l.Helper()
	var config struct{ Registry struct{ Image string } }
	l.check(json.Unmarshal([]byte(l.must("config", "-o", "json").stdout), &config))
	image, _, _ := strings.Cut(config.Registry.Image, "@")
	return image
}
