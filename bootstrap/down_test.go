package bootstrap

import (
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
)

// TestDownKeepsTheRegistry holds that what the registry has is there for the next lab, and that down may be run again.
func TestDownKeepsTheRegistry(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(os.Getenv("KUBECONFIG"), []byte("apiVersion: v1\nkind: Config\ncurrent-context: work\ncontexts:\n- {name: work, context: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.up()
	if err := w.open().Down(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.tells("its image registry stays, with what it holds: hellolab up uses it again, hellolab down removes it")
	w.has("web-registry:running", "web-registry")
	if w.context() != "work" {
		t.Errorf("the current context is %q, want the one from before", w.context())
	}
	if err := w.open().Down(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.tells("the lab web is gone")
	if err := w.open().Down(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.tells("there is no lab named web in the Docker Engine at " + w.engine.Host() + ": nothing to remove")
	w.has("", "")
}

// TestDownRemovesWhatBuildsLeft holds that a compiler which was killed before it started keeps nothing from going.
func TestDownRemovesWhatBuildsLeft(t *testing.T) {
	w := newWorld(t)
	w.up()
	labels := map[string]string{engine.Label: "web"}
	w.engine.AddVolume("web-go-cache", labels)
	cache := container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: "web-go-cache", Target: "/cache"}}}
	w.engine.AddContainer(enginetest.Container{Name: "compiler", Config: container.Config{Image: "golang", Labels: labels}, HostConfig: cache, State: container.StateCreated})
	w.engine.AddContainer(enginetest.Container{Name: "other", Config: container.Config{Image: "golang"}, HostConfig: cache, State: container.StateRunning})
	err := w.open().Down(t.Context(), false)
	if err == nil || (messages.Printer{}).Hint(err) != "docker ps -a --filter volume=web-go-cache shows what uses it; when that is done, run the same command again" {
		t.Errorf("the cache is in use, and the error is %v", err)
	}
	w.has("other:running", "web-go-cache web-settings")
	w.remove("other")
	if err := w.open().Down(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.has("", "")
}

// TestDownWaitsForTheName holds that only a name which is taken says that a node may still be on its way: a full disk, say,
// does not keep a lab from being removed.
func TestDownWaitsForTheName(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		fails  int
		report string
	}{
		{"a full disk", http.StatusInternalServerError, 1 << 30, ""},
		{"no image", http.StatusNotFound, 1 << 30, ""},
		{"a node that a killed docker command is creating", http.StatusConflict, 2, ""},
		{"one that it never gets done with", http.StatusConflict, 1 << 30,
			"error: the node web-control-plane cannot be removed: timed out after 1s\nthe Docker Engine is still creating it\n" +
				"next: docker rm -fv web-control-plane, then run the same command again\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.settings.Bootstrap.Timeout = time.Second
			w.up()
			tries := 0
			var restore func()
			restore = w.engine.Handle("POST /containers/create", func(out http.ResponseWriter, _ *http.Request) {
				if tries++; tries == test.fails {
					restore()
				}
				out.WriteHeader(test.status)
				out.Write([]byte(`{"message": "no"}`))
			})
			err := w.open().Down(t.Context(), false)
			if test.report != "" {
				wants(t, err, test.report)
				return
			}
			if err != nil || tries > max(1, test.fails) {
				t.Errorf("after %d tries, the error is %v", tries, err)
			}
			w.has("", "")
		})
	}
}

// TestDownRemovesItsOwnProbe holds that the container with which down tries the name does not stay when it is killed.
func TestDownRemovesItsOwnProbe(t *testing.T) {
	w := newWorld(t)
	w.up()
	w.remove("web-control-plane")
	w.engine.AddContainer(enginetest.Container{Name: "web-control-plane", Config: container.Config{Image: "registry:3", Labels: map[string]string{engine.Label: "web"}}})
	if err := w.open().Down(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.has("", "")
}

// TestDownWhereANodeStays holds that it says which one, and goes on when it is run again.
func TestDownWhereANodeStays(t *testing.T) {
	w := newWorld(t)
	w.up()
	restore := w.engine.Fail("DELETE /containers/{id}", http.StatusInternalServerError, "device busy")
	wants(t, w.open().Down(t.Context(), false), "error: the node web-control-plane cannot be removed: Error response from daemon: device busy\n"+
		"next: docker rm -fv web-control-plane, then run the same command again\n")
	restore()
	if err := w.open().Down(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.has("", "")
}

// TestLife holds what each command does in each state of a lab, and what API says of it.
func TestLife(t *testing.T) {
	w := newWorld(t)
	var (
		missing    = "error: there is no lab named web in the Docker Engine at " + w.engine.Host() + "\nnext: hellolab up\n"
		notRunning = "error: the lab web does not run\nnext: hellolab start\n"
		paused     = "error: the lab web is paused\nnext: hellolab resume\n"
	)
	for _, command := range []func() error{
		func() error { return w.open().Start(t.Context(), Course{}) }, func() error { return w.open().Stop(t.Context()) },
		func() error { return w.open().Pause(t.Context()) }, func() error { return w.open().Resume(t.Context()) },
		func() error { _, err := w.open().API(t.Context()); return err }, func() error { _, err := w.open().IP(); return err },
	} {
		wants(t, command(), missing)
	}
	w.up()
	step := func(what string, do func(*Lab) error, story, containers, state, api string) {
		t.Helper()
		if err := do(w.open()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		w.tells(story)
		w.has(containers, volumes)
		if got := w.state(); got != state {
			t.Errorf("after %s, the lab is %s, want %s", what, got, state)
		}
		cluster, err := w.open().API(t.Context())
		if api != "" {
			wants(t, err, api)
		} else if err != nil || cluster.Config().Host == "" {
			t.Errorf("after %s, the API server is %v, %v", what, cluster, err)
		}
	}
	ctx := t.Context()
	stopped := "web-control-plane:exited web-registry:exited"
	step("up", func(l *Lab) error { _, err := l.IP(); return err }, "", running, Running, "")
	step("pause", func(l *Lab) error { return l.Pause(ctx) }, "the lab web is paused; to resume it: hellolab resume", "web-control-plane:paused web-registry:running", Paused, paused)
	step("pause again", func(l *Lab) error { return l.Pause(ctx) }, "is paused", "web-control-plane:paused web-registry:running", Paused, paused)
	step("resume", func(l *Lab) error { return l.Resume(ctx) }, "the lab web runs", running, Running, "")
	step("pause", func(l *Lab) error { return l.Pause(ctx) }, "is paused", "web-control-plane:paused web-registry:running", Paused, paused)
	step("start of what is paused", func(l *Lab) error { return l.Start(ctx, Course{}) }, "starting node web-control-plane", running, Running, "")
	step("stop", func(l *Lab) error { return l.Stop(ctx) }, "the lab web is stopped; to start it again: hellolab start", stopped, Stopped, notRunning)
	step("stop again", func(l *Lab) error { return l.Stop(ctx) }, "is stopped", stopped, Stopped, notRunning)
	wants(t, w.open().Pause(ctx), notRunning)
	wants(t, w.open().Resume(ctx), notRunning)
	step("start", func(l *Lab) error { return l.Start(ctx, Course{}) }, "starting node web-control-plane", running, Running, "")
}

// TestStartWhereAPortIsTaken holds that a node which cannot start says what may help.
func TestStartWhereAPortIsTaken(t *testing.T) {
	w := newWorld(t)
	w.up()
	if err := w.open().Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	thief, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(w.settings.Bootstrap.Ports.HTTP.Number))
	if err != nil {
		t.Fatal(err)
	}
	err = w.open().Start(t.Context(), Course{})
	if err == nil || !strings.Contains(err.Error(), "already in use") { // main tells it as a rule of doctor
		t.Errorf("the error is %v", err)
	}
	thief.Close()
	if err := w.open().Start(t.Context(), Course{}); err != nil || w.state() != Running {
		t.Errorf("the lab is %s, after the error %v", w.state(), err)
	}
}

// TestIncomplete holds what is said of a lab that lacks something, and that up completes it where that can be done.
func TestIncomplete(t *testing.T) {
	incomplete := "error: the lab web is not complete\nnext: hellolab up\n"
	gone := "error: something other than hellolab has removed the cluster of the lab web, and all that was in it\n" +
		"next: docker system prune does that to a stopped lab; hellolab up makes a new, empty one, and hellolab lab restore FILE brings back what you have saved\n"
	lost := "error: the cluster web has 1 nodes, not 2\nnext: start over, without what is in the cluster: hellolab down, then hellolab up\n"
	for _, test := range []struct {
		name    string
		break_  func(*world)
		api, up string
	}{
		{"a lost worker", func(w *world) { w.remove("web-worker") }, lost, lost},
		{"a lost control plane", func(w *world) { w.remove("web-control-plane") }, gone, ""},
		{"no nodes", func(w *world) {
			w.remove("web-worker")
			w.remove("web-control-plane")
		}, gone, ""},
		{"one node that does not run", func(w *world) { w.engine.Stop("web-worker") }, incomplete, ""},
		{"an unfinished cluster", func(w *world) { w.unmark() }, incomplete, ""},
		{"no registry", func(w *world) { w.remove("web-registry") }, "", ""},
		{"no context", func(w *world) { w.forgets("kind-web") }, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.settings.Bootstrap.Workers = 1
			w.up()
			test.break_(w)
			if state := w.state(); state != Broken && test.api != gone || state != Lost && test.api == gone {
				t.Errorf("the lab is %s", state)
			}
			_, err := w.open().API(t.Context())
			if test.api != "" {
				wants(t, err, test.api)
			} else if err != nil {
				t.Error(err)
			}
			err = w.open().Up(t.Context(), w.course())
			if test.up != "" {
				wants(t, err, test.up)
			} else if err != nil || w.state() != Running {
				t.Errorf("the lab is %s, after the error %v", w.state(), err)
			}
			if err := w.open().Down(t.Context(), false); err != nil {
				t.Error(err)
			}
			w.has("", "")
		})
	}
}

// unmark makes the control plane anew, as it is before kind is done.
func (w *world) unmark() {
	w.t.Helper()
	found, _ := w.engine.Container("web-control-plane")
	w.remove("web-control-plane")
	found.Files = nil
	w.engine.AddContainer(found)
}

// TestLost holds that a cluster which something else has removed is not replaced without a word, nor by a start, and that the lab
// keeps its settings.
func TestLost(t *testing.T) {
	w := newWorld(t)
	w.settings.Bootstrap.Workers = 1
	w.up()
	for _, name := range []string{"web-control-plane", "web-worker"} {
		w.remove(name)
	}
	if err := w.open().Start(t.Context(), Course{}); err == nil || !strings.Contains(err.Error(), "has removed the cluster") {
		t.Errorf("start ends with %v", err)
	}
	w.has("web-registry:running", volumes)
	images := w.settings.Registry.Images
	w.settings.Registry.Images = nil
	if lab := w.up(); !slices.Equal(lab.Settings().Registry.Images, images) {
		t.Errorf("the new lab has the settings %+v", lab.Settings())
	}
	w.tells("a new, empty one follows")
	w.up()
	if w.story.Len() > 0 {
		t.Errorf("a healthy lab is told of:\n%s", w.story)
	}
}

// TestNothingLeft holds that a lab of which only kubectl still knows is told of, too.
func TestNothingLeft(t *testing.T) {
	w := newWorld(t)
	w.up()
	for _, name := range []string{"web-control-plane", "web-registry"} {
		w.remove(name)
	}
	w.engine.RemoveVolume("web-settings")
	w.engine.RemoveVolume("web-registry")
	w.up()
	w.tells("this Docker Engine has nothing of the lab web")
}

// TestPrunedNetwork holds that a stopped lab goes on when its network was removed, with the nodes and the registry on one network.
func TestPrunedNetwork(t *testing.T) {
	w := newWorld(t)
	w.up()
	if err := w.open().Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.engine.RemoveNetwork("kind")
	if err := w.open().Start(t.Context(), Course{}); err != nil || w.state() != Running {
		t.Errorf("the lab is %s, after the error %v", w.state(), err)
	}
}
