package mirror

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

const digest = "@sha256:e6d2a5c9f4b19b8a6a9d3a0f42b0d6d0fbd9b4a4a4f0fb1ecb47d0a2e7401403"

// fetcher looks where config says, and gives what it says.
func fetcher(docker *enginetest.Engine, config Config) (*Fetcher, *bytes.Buffer) {
	said := &bytes.Buffer{}
	return New(docker.Client(), progress.New(progress.Options{Out: said}), config), said
}

// TestEnsure holds that what is there is not asked for, and which place it comes from otherwise.
func TestEnsure(t *testing.T) {
	t.Parallel()
	mirrors := Config{By: map[string][]string{"docker.io": {"https://one.example", "https://two.example"}}}
	for name, test := range map[string]struct {
		config      Config
		has         []string // the engine
		pullable    []string
		image, want string
		pulls       int
		says        string
	}{
		"there":                        {mirrors, []string{"nginx:1"}, nil, "nginx:1", "nginx:1", 0, ""},
		"there by its digest":          {mirrors, []string{"any.example/x" + digest}, nil, "nginx:1" + digest, "any.example/x" + digest, 0, ""},
		"at its origin":                {Config{}, nil, []string{"nginx:1"}, "nginx:1", "nginx:1", 1, "pulling nginx:1"},
		"at the first mirror":          {mirrors, nil, []string{"one.example/library/nginx:1", "nginx:1"}, "nginx:1", "nginx:1", 1, ""},
		"at the second mirror":         {mirrors, nil, []string{"two.example/library/nginx:1"}, "nginx:1", "nginx:1", 1, "https://one.example is passed over: "},
		"at no mirror":                 {mirrors, nil, []string{"nginx:1"}, "nginx:1", "nginx:1", 1, "https://two.example is passed over: "},
		"pulled from a mirror by hand": {mirrors, []string{"two.example/library/nginx:1"}, []string{"two.example/library/nginx:1"}, "nginx:1", "nginx:1", 0, ""},
		"by its digest at a mirror":    {mirrors, nil, []string{"two.example/library/nginx:1" + digest}, "nginx:1" + digest, "two.example/library/nginx" + digest, 1, ""},
		"auto, at its origin":          {Config{Preset: Auto}, nil, []string{"nginx:1", "docker.m.daocloud.io/library/nginx:1"}, "nginx:1", "nginx:1", 1, ""},
		"auto, at a mirror":            {Config{Preset: Auto}, nil, []string{"docker.m.daocloud.io/library/nginx" + digest}, "nginx:1" + digest, "docker.m.daocloud.io/library/nginx" + digest, 1, "docker.io is passed over: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docker := enginetest.New(t)
			docker.AddImage("unrelated:1")
			for _, held := range test.has {
				docker.AddImage(held)
			}
			for _, pullable := range test.pullable {
				docker.AddPullable(enginetest.Image{Names: []string{pullable}})
			}
			fetcher, said := fetcher(docker, test.config)
			got, err := fetcher.Ensure(t.Context(), test.image)
			if err != nil || got != test.want {
				t.Errorf("it is %q, %v; want %q", got, err, test.want)
			}
			if pulls := strings.Count(strings.Join(docker.Calls(), "\n"), "POST /images/create"); pulls != test.pulls {
				t.Errorf("the engine pulls %d times, want %d", pulls, test.pulls)
			}
			if !strings.Contains(said.String(), test.says) {
				t.Errorf("it says %q, want %q in it", said, test.says)
			}
			if by := slices.Contains(test.has, "two.example/library/nginx:1"); test.want == "nginx:1" && docker.HasImage("two.example/library/nginx:1") != by {
				t.Errorf("that the mirror's name is there is %v, and was %v", !by, by)
			}
		})
	}
}

// TestUnreachable holds that a registry counts as out of reach where it gives no answer of its own, and mirrors have the image.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]bool{
		"dial tcp: lookup registry-1.docker.io: no such host": true, "net/http: TLS handshake timeout": true,
		"toomanyrequests: You have reached your pull rate limit": false, "manifest unknown: manifest unknown": false,
		"unauthorized: authentication required": false,
	} {
		docker := enginetest.New(t)
		docker.Handle("GET /distribution/{name...}", func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "daocloud") {
				w.WriteHeader(http.StatusInternalServerError)
				fmt.Fprintf(w, `{"message":%q}`, said)
				return
			}
			fmt.Fprint(w, `{"Descriptor":{}}`)
		})
		fetcher, _ := fetcher(docker, Config{Preset: Auto})
		fetcher.Survey(t.Context(), "registry:3"+digest)
		if got := fetcher.Unreachable(); (len(got) == 1) != want {
			t.Errorf("%q: out of reach are %q", said, got)
		}
	}
}

// TestUnknownTag holds that an origin which says that it has no image of that tag is believed.
func TestUnknownTag(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.AddPullable(enginetest.Image{Names: []string{"docker.m.daocloud.io/library/ngixn:latest"}})
	fetcher, _ := fetcher(docker, Config{Preset: Auto})
	if got, err := fetcher.Ensure(t.Context(), "ngixn"); err == nil || docker.HasImage(got) {
		t.Errorf("it is %q, %v", got, err)
	}
}

// TestSilentPlaces holds that a place without an answer costs its time once.
func TestSilentPlaces(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.AddPullable(enginetest.Image{Names: []string{"nginx:1"}}, enginetest.Image{Names: []string{"busybox:1"}})
	asked := 0
	docker.Handle("GET /distribution/{name...}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "one.example") {
			asked++
			<-r.Context().Done()
		}
		fmt.Fprint(w, `{"Descriptor":{}}`)
	})
	fetcher, said := fetcher(docker, Config{By: map[string][]string{"docker.io": {"https://one.example"}}})
	fetcher.within = 100 * time.Millisecond
	for _, image := range []string{"nginx:1", "busybox:1"} {
		if _, err := fetcher.Ensure(t.Context(), image); err != nil {
			t.Fatal(err)
		}
	}
	if count := strings.Count(said.String(), "https://one.example is passed over: no answer within 0"); count != 1 || asked != 1 {
		t.Errorf("after %d questions it says %q", asked, said)
	}
}

// TestUnavailable holds that one error names every image that nobody has, and everything that was tried.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	mirror := "http://" + away.Listener.Addr().String()
	fetcher, _ := fetcher(docker, Config{By: map[string][]string{"gone.example": {mirror}}})
	fetcher.Survey(t.Context(), "gone.example/b:1", "gone.example/a:1")
	_, err := fetcher.Ensure(t.Context(), "gone.example/b:1")
	if err == nil {
		t.Fatal("no error")
	}
	report := (messages.Printer{}).Report(err)
	for _, want := range []string{"gone.example/b:1, gone.example/a:1", "through Docker: " + mirror, "through Docker: gone.example: ", "directly: " + mirror} {
		if !strings.Contains(report, want) {
			t.Errorf("the report is\n%swant %q in it", report, want)
		}
	}
}

// TestOpen holds that an image which the engine has and cannot export comes from where its name says.
func TestOpen(t *testing.T) {
	t.Parallel()
	wanted, digest := served(t)
	docker := enginetest.New(t)
	docker.AddImage(wanted)
	fetcher, _ := fetcher(docker, Config{})
	found, end, err := fetcher.Open(t.Context(), wanted, func(messages.Text) {})
	defer end()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := found.Digest(); err != nil || got != digest {
		t.Errorf("it is %s, %v; want %s", got, err, digest)
	}
}

// served is an image of a registry on this machine, and its digest.
func served(t *testing.T) (image string, digest v1.Hash) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	made, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: "amd64", OS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	image = strings.TrimPrefix(server.URL, "http://") + "/web:1"
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, made); err != nil {
		t.Fatal(err)
	}
	if digest, err = made.Digest(); err != nil {
		t.Fatal(err)
	}
	return image, digest
}

// TestLoaded holds that what this program gets and the engine does not is loaded into the engine, and found by its digest.
func TestLoaded(t *testing.T) {
	t.Parallel()
	image, digest := served(t)
	for _, wanted := range []string{image, image + "@" + digest.String()} {
		docker := enginetest.New(t)
		fetcher, _ := fetcher(docker, Config{})
		got, err := fetcher.Ensure(t.Context(), wanted)
		if err != nil || !docker.HasImage(got) {
			t.Errorf("%s is %q, %v", wanted, got, err)
		}
		if found, err := engine.Find(t.Context(), docker.Client(), wanted); err != nil || found == nil {
			t.Errorf("%s is found as %v, %v", wanted, found, err)
		}
	}
}
