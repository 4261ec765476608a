package bootstrap

import (
	"testing"

	"github.com/hellolab/hellolab/port"
)

// TestAddresses holds how the lab's parts are reached: a browser leaves the port 80 out, and so do we.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for number, want := range map[int]Addresses{
		80: {Registry: "localhost:5001", Ingress: "http://localhost", NodePort: "http://localhost:30000", Charts: "http://localhost/charts"},
		8080: {Registry: "localhost:5001", Ingress: "http://localhost:8080", NodePort: "http://localhost:30000",
			Charts: "http://localhost:8080/charts"},
	} {
		lab := defaultLab(t)
		lab.settings.Bootstrap.Ports.HTTP = port.Port{Number: number}
		if got := lab.Addresses(); got != want {
			t.Errorf("with port %d, the addresses are %+v, want %+v", number, got, want)
		}
	}
}
