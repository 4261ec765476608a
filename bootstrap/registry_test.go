package bootstrap

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/hellolab/hellolab/lock"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

// TestStartRegistry holds that a registry runs without a lab, keeps its port then, and becomes the lab's later.
func TestStartRegistry(t *testing.T) {
	w := newWorld(t)
	if runs, err := w.open().RegistryRuns(t.Context()); runs || err != nil {
		t.Errorf("the registry runs before it is there: %v, %v", runs, err)
	}
	w.settings.Registry.Port = port.Port{Auto: true}
	lab := w.open()
	if err := lab.StartRegistry(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.has("web-registry:running", "web-registry")
	at := lab.Addresses().Registry
	if lab.Exists() || strings.Contains(at, "auto") {
		t.Errorf("there is a lab: %v; its registry is at %s", lab.Exists(), at)
	}
	w.settings.Registry.Port = port.Port{Number: w.freePort()}
	again := w.open()
	if runs, err := again.RegistryRuns(t.Context()); !runs || err != nil || again.Addresses().Registry != at {
		t.Errorf("the registry runs: %v, %v, at %s; want %s", runs, err, again.Addresses().Registry, at)
	}
	if err := again.StartRegistry(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lab := w.up(); lab.Addresses().Registry == at { // its port was asked for; what the registry holds is in the volume
		t.Errorf("the lab's registry stays at %s", at)
	}
	w.has("web-control-plane:running web-registry:running", volumes)
}

// TestStartRegistryOfALab holds that the lab's own registry comes back where the nodes find it, whoever removed it.
func TestStartRegistryOfALab(t *testing.T) {
	w := newWorld(t)
	lab := w.up()
	w.remove("web-registry")
	unlock, err := lab.Lock(t.Context()) // as `hellolab lab` has it
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := lab.StartRegistry(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, _ := w.engine.Container("web-registry"); !strings.Contains(strings.Join(found.Networks, " "), "kind") {
		t.Errorf("nodes do not find the registry in %q", found.Networks)
	}
}

// TestStartRegistryBesideDown holds that a registry which comes up while another hellolab removes the lab is not taken for
// the lab's (B12): it waits until that one is done, and begins again.
func TestStartRegistryBesideDown(t *testing.T) {
	w := newWorld(t)
	w.up()
	lab := w.open()
	unlock, err := lock.Try("web") // `down` has the lab, and has removed all but the record
	if err != nil || unlock == nil {
		t.Fatal(err)
	}
	w.remove("web-control-plane")
	w.remove("web-registry")
	starts, start := w.engine.Hang("POST /containers/{id}/start")
	var isDown atomic.Bool
	done := make(chan struct{})
	go func() {
		<-starts
		w.engine.RemoveVolume("web-settings")
		looks, look := w.engine.Hang("GET /volumes/{name}")
		start()
		select {
		case <-looks:
		case <-done:
		}
		isDown.Store(true)
		unlock()
		look()
	}()
	err = lab.StartRegistry(t.Context())
	if !isDown.Load() {
		t.Error("it does not wait for the other hellolab")
	}
	close(done)
	if err != nil || lab.Exists() {
		t.Errorf("the error is %v; the lab exists: %v", err, lab.Exists())
	}
	w.has("web-registry:running", "web-registry")
}

// TestBusy holds that two hellolabs do not change a lab at the same time.
func TestBusy(t *testing.T) {
	w := newWorld(t)
	lab := w.up()
	unlock, err := lab.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	report := messages.Printer{}.Report(lab.busy(t.Context()))
	if !strings.HasPrefix(report, "error: another hellolab is working on the lab web: ") {
		t.Errorf("the report is %q", report)
	}
	wants(t, w.open().Up(t.Context(), Course{}), report)
	wants(t, w.open().Down(t.Context(), false), report)
	wants(t, w.open().Stop(t.Context()), report)
}

// remove takes a container away, as `docker rm -f` does.
func (w *world) remove(name string) {
	w.t.Helper()
	if err := w.engine.Client().ContainerRemove(w.t.Context(), name, container.RemoveOptions{Force: true}); err != nil {
		w.t.Fatal(err)
	}
}
