package registry

import (
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/mirror"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/progress"
)

const registryImage = "registry:3.1.1"

// lab is a registry on an engine whose containers of the registry's image answer as a registry does.
func lab(t *testing.T) (*Registry, *enginetest.Engine) {
	t.Helper()
	docker := enginetest.New(t)
	docker.AddImage(registryImage)
	docker.Listen(registryImage, answering(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))))
	story := progress.New(progress.Options{Out: io.Discard})
	return New(docker.Client(), story, "web", Config{Image: registryImage, Port: port.Port{Number: enginetest.Port(t)}},
		mirror.New(docker.Client(), story, mirror.Config{})), docker
}

// answering adds the header that tells a registry from any other server.
func answering(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		handler.ServeHTTP(w, r)
	})
}

// TestLife walks through the life of a registry: each call does what is missing, and a second one nothing.
func TestLife(t *testing.T) {
	t.Parallel()
	registry, docker := lab(t)
	ctx := t.Context()
	state := func(when, want string) {
		t.Helper()
		if got, err := registry.State(ctx); err != nil || got != want {
			t.Errorf("%s, the registry is %s, %v; want %s", when, got, err, want)
		}
	}
	state("at first", Absent)
	for range 2 {
		if err := registry.Ensure(ctx); err != nil {
			t.Fatal(err)
		}
		state("made", Running)
	}
	if steps := registry.story.Steps(); steps != 1 {
		t.Errorf("making it is %d steps", steps)
	}
	if number, err := registry.PublishedPort(ctx); err != nil || number != registry.config.Port.Number {
		t.Errorf("the port is %d, %v", number, err)
	}
	docker.AddNetwork("kind")
	for range 2 {
		if err := registry.EnsureConnected(ctx, "kind"); err != nil {
			t.Fatal(err)
		}
	}
	if err := registry.EnsureConnected(ctx, "none"); err == nil || (messages.Printer{}).Hint(err) == "" {
		t.Errorf("a network that is not there: %v", err)
	}
	if found, _ := docker.Container("web-registry"); !slices.Equal(found.Networks, []string{"kind"}) || found.Config.Labels[engine.Label] != "web" {
		t.Errorf("the container is %+v", found)
	}
	if err := docker.Client().ContainerPause(ctx, "web-registry"); err != nil {
		t.Fatal(err)
	}
	if err := registry.Ensure(ctx); err != nil {
		t.Error(err)
	}
	state("paused and ensured", Running)
	if err := registry.Stop(ctx); err != nil {
		t.Error(err)
	}
	state("stopped", Stopped)
	if err := registry.RemoveContainer(ctx); err != nil {
		t.Error(err)
	}
	state("without its container", Absent)
	if err := registry.Ensure(ctx); err != nil {
		t.Error(err)
	}
	state("made again", Running)
	for _, want := range []bool{true, false} {
		if there, err := registry.Remove(ctx); err != nil || there != want {
			t.Errorf("Remove reports %v, %v; want %v", there, err, want)
		}
	}
	if len(docker.Containers()) > 0 || len(docker.Volumes()) > 0 {
		t.Errorf("left behind are %+v and %q", docker.Containers(), docker.Volumes())
	}
}

// TestBroken holds that a registry whose port is another program's is not taken for one that runs.
func TestBroken(t *testing.T) {
	t.Parallel()
	registry, docker := lab(t)
	docker.Listen(registryImage, http.NotFoundHandler())
	docker.AddContainer(enginetest.Container{Name: "web-registry", State: container.StateRunning,
		Config: container.Config{Image: registryImage, Labels: map[string]string{engine.Label: "web"}}})
	if state, err := registry.State(t.Context()); err != nil || state != Broken {
		t.Errorf("the registry is %s, %v", state, err)
	}
}

// TestForeignContainer holds that a container of that name which is not the lab's is never touched.
func TestForeignContainer(t *testing.T) {
	t.Parallel()
	registry, docker := lab(t)
	docker.AddContainer(enginetest.Container{Name: "web-registry", Config: container.Config{Image: "postgres"}})
	docker.AddVolume("web-registry", nil)
	ctx := t.Context()
	_, removing := registry.Remove(ctx)
	for what, err := range map[string]error{"Ensure": registry.Ensure(ctx), "Stop": registry.Stop(ctx), "Remove": removing, "RemoveContainer": registry.RemoveContainer(ctx)} {
		if err == nil || !strings.Contains((messages.Printer{}).Hint(err), "docker rename web-registry NAME") {
			t.Errorf("%s ends with %v", what, err)
		}
	}
	if _, there := docker.Container("web-registry"); !there || !slices.Equal(docker.Volumes(), []string{"web-registry"}) {
		t.Error("it is gone")
	}
}

// TestForeignVolume holds that a volume of that name which is not the lab's is neither used nor removed.
func TestForeignVolume(t *testing.T) {
	t.Parallel()
	registry, docker := lab(t)
	docker.AddVolume("web-registry", map[string]string{"com.example": "x"})
	if err := registry.Ensure(t.Context()); err == nil {
		t.Error("it is used")
	}
	if there, err := registry.Remove(t.Context()); there || err != nil || !slices.Equal(docker.Volumes(), []string{"web-registry"}) {
		t.Errorf("Remove reports %v, %v, and leaves %q", there, err, docker.Volumes())
	}
}

// TestPinnedImageByTag holds that the registry is made from an image that was given its name with docker tag, and by the
// name that the engine knows.
func TestPinnedImageByTag(t *testing.T) {
	t.Parallel()
	registry, docker := lab(t)
	registry.config.Image = "registry:mine@" + someDigest
	docker.AddImage("mirror.example/library/registry@"+someDigest, "registry:mine")
	docker.Listen("registry:mine", answering(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))))
	if err := registry.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, _ := docker.Container("web-registry"); found.Config.Image != "registry:mine" {
		t.Errorf("the container is made from %s", found.Config.Image)
	}
}

// TestFailures holds that what the engine cannot do is an error with a hint.
func TestFailures(t *testing.T) {
	t.Parallel()
	for pattern, hint := range map[string]string{
		"POST /containers/{id}/start": "docker logs web-registry",
		"POST /images/create":         "",
	} {
		registry, docker := lab(t)
		if hint == "" {
			registry.config.Image, hint = "registry:none", "docker system df"
		}
		docker.Fail(pattern, http.StatusInternalServerError, "no space left on device")
		if err := registry.Ensure(t.Context()); err == nil || !strings.Contains((messages.Printer{}).Hint(err), hint) {
			t.Errorf("%s fails with %v, and the hint %q", pattern, err, (messages.Printer{}).Hint(err))
		}
	}
	registry, docker := lab(t)
	docker.Handle("POST /containers/{id}/start", func(http.ResponseWriter, *http.Request) {
		docker.Fail("GET /containers/{id}/json", http.StatusInternalServerError, "shutting down")
		panic(http.ErrAbortHandler) // as an engine that is restarted ends a call
	})
	if err := registry.Ensure(t.Context()); !client.IsErrConnectionFailed(err) || (messages.Printer{}).Hint(err) != "" { // main knows one
		t.Errorf("an engine that goes away fails with %v, and the hint %q", err, (messages.Printer{}).Hint(err))
	}
	registry, docker = lab(t)
	docker.Fail("GET /containers/{id}/json", http.StatusInternalServerError, "damaged")
	if state, err := registry.State(t.Context()); err == nil {
		t.Errorf("a damaged engine has the state %q", state)
	}
}
