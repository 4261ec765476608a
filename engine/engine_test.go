package engine_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
)

// TestEndpoint holds the order in which the docker command line, which kind calls, looks for its engine: another order
// would make a cluster in one engine and its registry in another.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	colima, desktop := "unix:///home/me/.colima/docker.sock", "npipe:////./pipe/dockerDesktop"
	folder := dockerConfig(t, "colima", map[string]string{"colima": colima, "desktop": desktop})
	unused := dockerConfig(t, "", map[string]string{"colima": colima})
	byDefault := dockerConfig(t, "default", map[string]string{"colima": colima})
	damaged := t.TempDir()
	write(t, filepath.Join(damaged, "config.json"), "{")
	for _, test := range []struct {
		name        string
		environment map[string]string
		want        string
	}{
		{"nothing is set", map[string]string{"DOCKER_CONFIG": t.TempDir()}, ""},
		{"no current context", map[string]string{"DOCKER_CONFIG": unused}, ""},
		{"the default context", map[string]string{"DOCKER_CONFIG": byDefault}, ""},
		{"a configuration that cannot be read", map[string]string{"DOCKER_CONFIG": damaged}, ""},
		{"the current context", map[string]string{"DOCKER_CONFIG": folder}, colima},
		{"DOCKER_CONTEXT wins over the current context", map[string]string{"DOCKER_CONFIG": folder, "DOCKER_CONTEXT": "desktop"}, desktop},
		{"DOCKER_CONTEXT may be the default", map[string]string{"DOCKER_CONFIG": folder, "DOCKER_CONTEXT": "default"}, ""},
		{"DOCKER_HOST wins over the current context", map[string]string{"DOCKER_CONFIG": folder, "DOCKER_HOST": "tcp://127.0.0.1:2375"}, "tcp://127.0.0.1:2375"},
		{"DOCKER_HOST wins over DOCKER_CONTEXT",
			map[string]string{"DOCKER_CONFIG": folder, "DOCKER_HOST": "unix:///a.sock", "DOCKER_CONTEXT": "desktop"}, "unix:///a.sock"},
		{"DOCKER_HOST wins over a context that is missing",
			map[string]string{"DOCKER_CONFIG": folder, "DOCKER_HOST": "unix:///a.sock", "DOCKER_CONTEXT": "gone"}, "unix:///a.sock"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := engine.Endpoint(func(name string) string { return test.environment[name] })
			if err != nil || got != test.want {
				t.Errorf("the endpoint is %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// TestEndpointRefused holds that an endpoint which cannot serve a lab is refused before anything is made, with the way
// out.
func TestEndpointRefused(t *testing.T) {
	t.Parallel()
	folder := dockerConfig(t, "far", map[string]string{"far": "ssh://me@far"})
	lost := dockerConfig(t, "gone", nil)
	secured := dockerConfig(t, "secured", map[string]string{"secured": "tcp://127.0.0.1:2376"})
	write(t, filepath.Join(secured, "contexts", "tls", contextID("secured"), "docker", "ca.pem"), "a certificate")
	for _, test := range []struct {
		name        string
		environment map[string]string
		names       []string
		reason      engine.Reason
		away        string // the command that leads to another engine
	}{
		{"DOCKER_HOST on another machine", map[string]string{"DOCKER_CONFIG": t.TempDir(), "DOCKER_HOST": "ssh://me@far"}, []string{"DOCKER_HOST", "ssh://me@far"},
			engine.Elsewhere, "unset DOCKER_HOST"},
		{"DOCKER_HOST goes before a context", map[string]string{"DOCKER_CONFIG": folder, "DOCKER_HOST": "tcp://docker:2375", "DOCKER_TLS_VERIFY": "1"}, []string{"tcp://docker:2375"},
			engine.Elsewhere, "unset DOCKER_HOST DOCKER_TLS_VERIFY"},
		{"minikube's docker-env", map[string]string{"DOCKER_HOST": "tcp://192.168.49.2:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/home/me/.minikube/certs", "MINIKUBE_ACTIVE_DOCKERD": "minikube"},
			[]string{"minikube"}, engine.Minikube, "unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH MINIKUBE_ACTIVE_DOCKERD"},
		{"minikube's at loopback", map[string]string{"DOCKER_HOST": "tcp://127.0.0.1:32862", "MINIKUBE_ACTIVE_DOCKERD": "minikube"}, []string{"127.0.0.1:32862"},
			engine.Minikube, "unset DOCKER_HOST MINIKUBE_ACTIVE_DOCKERD"},
		{"minikube's by its certificates", map[string]string{"DOCKER_HOST": "tcp://127.0.0.1:32862", "DOCKER_CERT_PATH": "/home/me/.minikube/certs"}, []string{"minikube"},
			engine.Minikube, "unset DOCKER_HOST DOCKER_CERT_PATH"},
		{"a context on another machine", map[string]string{"DOCKER_CONFIG": folder}, []string{"far", "ssh://me@far"}, engine.Elsewhere, "docker context use default"},
		{"a context named on another machine", map[string]string{"DOCKER_CONFIG": folder, "DOCKER_CONTEXT": "far"}, []string{"far", "ssh://me@far"}, engine.Elsewhere, "unset DOCKER_CONTEXT"},
		{"a current context that is gone", map[string]string{"DOCKER_CONFIG": lost}, []string{`"gone"`}, engine.BadContext, "docker context use default"},
		{"a context with TLS", map[string]string{"DOCKER_CONFIG": secured}, []string{"secured", "TLS"}, engine.BadContext, "docker context use default"},
		{"a context that was never there", map[string]string{"DOCKER_CONFIG": folder, "DOCKER_CONTEXT": "never"}, []string{`"never"`}, engine.BadContext, "unset DOCKER_CONTEXT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			endpoint, err := engine.Endpoint(func(name string) string { return test.environment[name] })
			if err == nil || endpoint != "" {
				t.Fatalf("the endpoint is %q, %v; want an error", endpoint, err)
			}
			for _, name := range test.names {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%q does not name %s", err, name)
				}
			}
			if hint := (messages.Printer{}).Hint(err); !strings.HasSuffix(hint, test.away) {
				t.Errorf("the hint %q does not end with %q", hint, test.away)
			}
			if told := (engine.Unusable{}); !errors.As(err, &told) || told.Reason != test.reason {
				t.Errorf("the reason is %q, want %q", told.Reason, test.reason)
			}
		})
	}
}

// TestPull holds that the outcome of a pull is that of its stream: the engine says 200 before it begins.
func TestPull(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		stream string
		want   string // in the error
	}{
		{"done", 200, `{"status":"Pulling from library/nginx","id":"1"}
{"status":"Downloading","progressDetail":{"current":5,"total":10},"id":"a"}
{"status":"Download complete","id":"a"}
{"status":"Status: Downloaded newer image for nginx:1"}`, ""},
		{"it is there already", 200, `{"status":"Status: Image is up to date for nginx:1"}`, ""},
		{"a failure inside the stream", 200, `{"status":"Pulling from library/nginx","id":"1"}
{"errorDetail":{"message":"toomanyrequests: you are over your limit"},"error":"toomanyrequests: you are over your limit"}
{"status":"more"}`, "toomanyrequests"},
		{"a stream that breaks off", 200, `{"status":"Pulling from library/nginx","id":"1"}
{"status":"Downlo`, "unexpected EOF"},
		{"no JSON", 200, `<html>a proxy's page</html>`, "invalid character"},
		{"refused", 404, `{"message":"manifest unknown"}`, "manifest unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			docker := enginetest.New(t)
			docker.Handle("POST /images/create", func(w http.ResponseWriter, r *http.Request) {
				if image := r.URL.Query().Get("fromImage") + ":" + r.URL.Query().Get("tag"); !strings.HasSuffix(image, "nginx:1") {
					t.Errorf("the engine is asked for %s", image)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				io.WriteString(w, test.stream)
			})
			err := engine.Pull(t.Context(), docker.Client(), "nginx:1", engine.PullOptions{Progress: func(float64) {}, Say: func(messages.Text) {}})
			if test.want == "" {
				if err != nil {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "nginx:1") {
				t.Fatalf("the error is %v: it has to name nginx:1 and the cause, %q", err, test.want)
			}
			if (messages.Printer{}).Hint(err) == "" {
				t.Error("the error has no hint")
			}
			var said *messages.Error
			if !errors.As(err, &said) || said.Cause == nil {
				t.Error("the error does not keep its cause")
			}
		})
	}
}

// TestPullProgress holds that what is told of a pull can be shown as a percentage.
func TestPullProgress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		stream []string
		want   []float64
	}{
		{"one layer", []string{
			`{"status":"Downloading","progressDetail":{"current":25,"total":100},"id":"a"}`,
			`{"status":"Downloading","progressDetail":{"current":100,"total":100},"id":"a"}`,
			`{"status":"Extracting","progressDetail":{"current":10,"total":100},"id":"a"}`,
		}, []float64{0.25, 1}},
		{"two layers", []string{
			`{"status":"Downloading","progressDetail":{"current":50,"total":100},"id":"a"}`,
			`{"status":"Downloading","progressDetail":{"current":0,"total":300},"id":"b"}`,
			`{"status":"Downloading","progressDetail":{"current":100,"total":100},"id":"a"}`,
			`{"status":"Downloading","progressDetail":{"current":300,"total":300},"id":"b"}`,
		}, []float64{0.5, 0.125, 0.25, 1}},
		{"nothing to fetch", []string{`{"status":"Already exists","progressDetail":{},"id":"a"}`}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := sharesOf(t, test.stream); !slices.Equal(got, test.want) {
				t.Errorf("the shares are %v, want %v", got, test.want)
			}
		})
	}
}

// TestPullProgressOfUnknownSize holds that a layer whose size the registry does not tell makes no share above 1: the
// engine leaves "total" out then.
func TestPullProgressOfUnknownSize(t *testing.T) {
	t.Parallel()
	for _, share := range sharesOf(t, []string{
		`{"status":"Downloading","progressDetail":{"current":500},"id":"a"}`,
		`{"status":"Downloading","progressDetail":{"current":50,"total":100},"id":"b"}`,
		`{"status":"Downloading","progressDetail":{"current":100,"total":100},"id":"b"}`,
	}) {
		if share < 0 || share > 1 {
			t.Errorf("a share of %v is told: %s", share, messages.Percent(share))
		}
	}
}

func sharesOf(t *testing.T, stream []string) []float64 {
	t.Helper()
	docker := enginetest.New(t)
	docker.Handle("POST /images/create", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Join(stream, "\n")) })
	var shares []float64
	if err := engine.Pull(t.Context(), docker.Client(), "nginx:1", engine.PullOptions{
		Progress: func(share float64) { shares = append(shares, share) }, Say: func(messages.Text) {}}); err != nil {
		t.Fatal(err)
	}
	return shares
}

// dockerConfig is a folder such as ~/.docker, with the docker command line's contexts in it.
func dockerConfig(t *testing.T, current string, contexts map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "config.json"), encode(t, map[string]any{"currentContext": current, "auths": map[string]any{}}))
	for name, host := range contexts {
		write(t, filepath.Join(folder, "contexts", "meta", contextID(name), "meta.json"), encode(t, map[string]any{
			"Name": name, "Metadata": map[string]any{}, "Endpoints": map[string]any{"docker": map[string]any{"Host": host, "SkipTLSVerify": false}}}))
	}
	return folder
}

// contextID is the folder of a context.
func contextID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

func encode(t *testing.T, value any) string {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestMinikubeIsLeft holds that a socket of this machine's is used, whatever minikube has left in the shell.
func TestMinikubeIsLeft(t *testing.T) {
	t.Parallel()
	set := map[string]string{"DOCKER_HOST": "unix:///var/run/docker.sock", "MINIKUBE_ACTIVE_DOCKERD": "minikube"}
	if endpoint, err := engine.Endpoint(func(name string) string { return set[name] }); err != nil || endpoint != set["DOCKER_HOST"] {
		t.Errorf("the endpoint is %q, %v", endpoint, err)
	}
}

// TestPodmanIsRefused holds that Podman, which answers as a Docker Engine does, is told by its version.
func TestPodmanIsRefused(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.Handle("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"Version":"5.4.2","ApiVersion":"1.41","Components":[{"Name":"Podman Engine","Version":"5.4.2"}]}`)
	})
	_, err := engine.Connect(t.Context(), docker.Host(), func(messages.Text) {})
	if told := (engine.Unusable{}); !errors.As(err, &told) || told.Reason != engine.Podman {
		t.Errorf("it is refused with %v", err)
	}
}
