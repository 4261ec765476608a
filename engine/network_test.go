package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
)

// TestStartWithoutItsNetwork holds that a container starts whose network was removed meanwhile, and is on its successor then,
// along with others that have been on it.
func TestStartWithoutItsNetwork(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.AddNetwork(engine.Network)
	for _, name := range []string{"node", "registry"} {
		docker.AddContainer(enginetest.Container{Name: name, State: container.StateExited, Networks: []string{engine.Network}})
	}
	docker.RemoveNetwork(engine.Network)
	if err := docker.Client().ContainerStart(t.Context(), "node", container.StartOptions{}); err == nil {
		t.Fatal("the engine starts a container without its network")
	}
	for _, name := range []string{"node", "registry"} {
		if err := engine.Start(t.Context(), docker.Client(), name); err != nil {
			t.Fatal(err)
		}
		if found, _ := docker.Container(name); found.State != container.StateRunning || !slices.Equal(found.Networks, []string{engine.Network}) {
			t.Errorf("%s is %s, on %q", name, found.State, found.Networks)
		}
	}
}

// TestEnsureNetwork holds that a network is made once, without IPv6 where the engine has none.
func TestEnsureNetwork(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	created := func() (n int) {
		for _, call := range docker.Calls() {
			if strings.HasPrefix(call, "POST ") && strings.HasSuffix(call, "/networks/create") {
				n++
			}
		}
		return n
	}
	for range 2 {
		if err := engine.EnsureNetwork(t.Context(), docker.Client(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if got := created(); got != 1 {
		t.Errorf("one network was created %d times", got)
	}
	restore := docker.Fail("POST /networks/create", 500, "could not find an available, non-overlapping IPv6 address pool")
	if err := engine.EnsureNetwork(t.Context(), docker.Client(), "b"); err == nil || created() != 3 {
		t.Errorf("after %d tries: %v", created(), err)
	}
	restore()
	if err := engine.EnsureNetwork(t.Context(), docker.Client(), "b"); err != nil {
		t.Error(err)
	}
}
