package doctor

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

// ids are those of the findings at a place, with what the machine of the test brings along left out.
func ids(seen Machine) []string {
	var all []string
	for _, found := range Examine(seen) {
		if !slices.Contains([]string{"disk-low", "disk-full", "cgroup-v1", "inotify-limits", "sudo", "go-old", "unanswered"}, found.ID) {
			all = append(all, found.ID)
		}
	}
	return all
}

// newPlace is a place with an engine in memory, where nothing of the real user's is read.
func newPlace(t *testing.T) (Place, *enginetest.Engine, map[string]string) {
	t.Helper()
	docker := enginetest.New(t)
	folder := t.TempDir()
	for name, value := range map[string]string{"KUBECONFIG": filepath.Join(folder, "kubeconfig"), "PATH": folder, "TMPDIR": folder} {
		t.Setenv(name, value)
	}
	if err := os.WriteFile(filepath.Join(folder, "docker"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{"DOCKER_HOST": docker.Host(), "DOCKER_CONFIG": folder}
	return Place{Getenv: environment(set), Lab: Lab{Name: "web", Nodes: 1, State: absent}, Cache: filepath.Join(folder, "cache", "hellolab")}, docker, set
}

// TestInspect holds that what is wrong around this program is seen.
func TestInspect(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, place *Place, docker *enginetest.Engine, set map[string]string)
		want  string
	}{
		{"nothing", func(*testing.T, *Place, *enginetest.Engine, map[string]string) {}, ""},
		{"no docker command", func(t *testing.T, _ *Place, _ *enginetest.Engine, _ map[string]string) { t.Setenv("PATH", t.TempDir()) }, "docker-command"},
		{"no engine", func(t *testing.T, _ *Place, _ *enginetest.Engine, set map[string]string) {
			set["DOCKER_HOST"] = "unix://" + filepath.Join(t.TempDir(), "no.sock")
		}, "engine-stopped"},
		{"minikube's shell", func(_ *testing.T, _ *Place, _ *enginetest.Engine, set map[string]string) {
			set["MINIKUBE_ACTIVE_DOCKERD"] = "m"
		}, "engine-minikube"},
		{"podman", func(_ *testing.T, _ *Place, docker *enginetest.Engine, _ map[string]string) {
			docker.Handle("GET /version", func(w http.ResponseWriter, _ *http.Request) {
				w.Write([]byte(`{"Components":[{"Name":"Podman Engine"}]}`))
			})
		}, "engine-podman"},
		{"little memory", func(_ *testing.T, _ *Place, docker *enginetest.Engine, _ map[string]string) {
			docker.SetInfo(func(info *system.Info) { info.MemTotal = gibibyte })
		}, "memory-low"},
		{"a clock of yesterday", func(_ *testing.T, _ *Place, docker *enginetest.Engine, _ map[string]string) {
			docker.SetClock(func() time.Time { return time.Now().Add(-24 * time.Hour) })
		}, "clock-skew"},
		{"the rest of a lab", func(_ *testing.T, _ *Place, docker *enginetest.Engine, _ map[string]string) {
			docker.AddVolume("other-settings", map[string]string{engine.Label: "other"})
			docker.AddVolume("other-go-cache", map[string]string{engine.Label: "other"})
		}, "lab-leftover"},
		{"a foreign cluster", func(_ *testing.T, _ *Place, docker *enginetest.Engine, _ map[string]string) {
			docker.AddContainer(enginetest.Container{Name: "web-control-plane", Config: container.Config{Image: "node", Labels: map[string]string{clusterLabel: "web"}}})
		}, "lab-foreign"},
		{"a taken port", func(t *testing.T, place *Place, _ *enginetest.Engine, _ map[string]string) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			place.Lab.Ports = []WantedPort{{"registry.port", port.Port{Number: listener.Addr().(*net.TCPAddr).Port}}, {"bootstrap.ports.http", port.Port{Auto: true}}}
		}, "port-taken"},
		{"a broken record", func(_ *testing.T, place *Place, _ *enginetest.Engine, _ map[string]string) {
			place.Find = func(context.Context, *client.Client) (Lab, error) {
				return Lab{}, messages.Errorf("the lab %s is broken", "web")
			}
		}, "lab-unreadable"},
		{"no folder for temporary files", func(t *testing.T, _ *Place, _ *enginetest.Engine, set map[string]string) {
			set["TMPDIR"] = filepath.Join(t.TempDir(), "gone")
			t.Setenv("TMPDIR", set["TMPDIR"])
			t.Setenv("TMP", set["TMPDIR"])
		}, "folder-unwritable"},
		{"a file for the cache's folder", func(t *testing.T, place *Place, _ *enginetest.Engine, _ map[string]string) {
			place.Cache = filepath.Join(write(t, t.TempDir(), "file", ""), "hellolab")
		}, "folder-unwritable"},
		{"a kubeconfig of no YAML", func(t *testing.T, _ *Place, _ *enginetest.Engine, _ map[string]string) {
			write(t, "", os.Getenv("KUBECONFIG"), "{")
		}, "kubeconfig-broken"},
		{"a folder for a kubeconfig", func(t *testing.T, _ *Place, _ *enginetest.Engine, _ map[string]string) {
			t.Setenv("KUBECONFIG", t.TempDir())
		}, "kubeconfig-broken kubeconfig-readonly"},
		{"a forgotten lock", func(t *testing.T, _ *Place, _ *enginetest.Engine, _ map[string]string) {
			lock := write(t, "", os.Getenv("KUBECONFIG")+".lock", "")
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(lock, old, old); err != nil {
				t.Fatal(err)
			}
		}, "kubeconfig-broken"},
		{"a context that is gone", func(t *testing.T, _ *Place, _ *enginetest.Engine, _ map[string]string) {
			write(t, "", os.Getenv("KUBECONFIG"), "apiVersion: v1\nkind: Config\ncurrent-context: minikube\n")
		}, "kubeconfig-context"},
		{"a kubeconfig in a folder that is a file", func(t *testing.T, _ *Place, _ *enginetest.Engine, _ map[string]string) {
			t.Setenv("KUBECONFIG", filepath.Join(write(t, t.TempDir(), "file", ""), "config"))
		}, "kubeconfig-broken kubeconfig-readonly"},
		{"several kubeconfigs, one of which can be written", func(t *testing.T, _ *Place, _ *enginetest.Engine, _ map[string]string) {
			t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "gone", "a")+string(os.PathListSeparator)+filepath.Join(t.TempDir(), "b"))
		}, ""},
		{"broken JSON of the docker command's", func(t *testing.T, _ *Place, _ *enginetest.Engine, set map[string]string) {
			write(t, set["DOCKER_CONFIG"], "config.json", `{"auths":{},}`)
		}, "docker-config"},
		{"a helper that is not there", func(t *testing.T, _ *Place, _ *enginetest.Engine, set map[string]string) {
			write(t, set["DOCKER_CONFIG"], "config.json", `{"credsStore":"desktop.exe","credHelpers":{"a":"desktop.exe"}}`)
		}, "credential-helper"},
		{"a proxy in the docker command's", func(t *testing.T, _ *Place, _ *enginetest.Engine, set map[string]string) {
			write(t, set["DOCKER_CONFIG"], "config.json", `{"proxies":{"default":{"httpsProxy":"http://127.0.0.1:7890"}}}`)
		}, "proxy-loopback"},
	} {
		t.Run(test.name, func(t *testing.T) {
			place, docker, set := newPlace(t)
			test.spoil(t, &place, docker, set)
			if got := strings.Join(ids(Inspect(t.Context(), place)), " "); got != test.want {
				t.Errorf("the findings are %q, want %q", got, test.want)
			}
		})
	}
}

func write(t *testing.T, folder, name, content string) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestWedgedEngine holds that an engine which accepts calls and does not answer is told of in time, at each of its calls.
func TestWedgedEngine(t *testing.T) {
	for _, call := range []string{"/_ping", "GET /info", "GET /containers/json"} {
		place, docker, _ := newPlace(t)
		_, resume := docker.Hang(call)
		start := time.Now()
		found := ids(Inspect(t.Context(), place))
		if len(found) == 0 || found[0] != "engine-wedged" {
			t.Errorf("%s: the findings are %v", call, found)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: it takes %s", call, took)
		}
		resume()
	}
}

// TestLate holds that a part which hangs, whatever its context says, keeps nothing from ending, and changes nothing after that.
func TestLate(t *testing.T) {
	t.Parallel()
	hangs, done := make(chan struct{}), make(chan struct{})
	seen := inspect(t.Context(), Place{Getenv: environment(nil)}, []probe{
		{part: messages.T("the network"), look: func(context.Context, Place) func(*Machine) {
			<-hangs
			defer close(done)
			return func(seen *Machine) { seen.Go.Path = "late" }
		}},
		{part: messages.T("Go"), look: func(context.Context, Place) func(*Machine) { return func(seen *Machine) { seen.Go.Version = "go1.26" } }},
	}, 50*time.Millisecond)
	close(hangs)
	<-done
	if len(seen.Late) != 1 || seen.Late[0].String() != "the network" || seen.Go.Version != "go1.26" || seen.Go.Path != "" {
		t.Errorf("it saw %+v, late %v", seen.Go, seen.Late)
	}
}

// TestLateLab holds that a lab which is not looked at in time is not called broken.
func TestLateLab(t *testing.T) {
	place, _, _ := newPlace(t)
	place.Find = func(ctx context.Context, _ *client.Client) (Lab, error) {
		<-ctx.Done()
		return Lab{Name: "web", State: broken}, errors.New("late")
	}
	seen := Inspect(t.Context(), place)
	if len(seen.Late) != 1 || len(ids(seen)) != 0 {
		t.Errorf("it says %v, late %v", ids(seen), seen.Late)
	}
}

// TestInspectEarly holds that `up` looks at the engine with the client that it has.
func TestInspectEarly(t *testing.T) {
	place, docker, set := newPlace(t)
	set["DOCKER_HOST"] = "unix:///nonexistent"
	place.Docker = docker.Client()
	docker.SetInfo(func(info *system.Info) { info.OSType, info.MemTotal = "windows", 1<<30 })
	stops, mentioned := Early(InspectEarly(t.Context(), place))
	if len(stops) == 0 || stops[0].ID != "engine-windows" {
		t.Errorf("the obstacles are %v", stops)
	}
	if !slices.ContainsFunc(mentioned, func(f Finding) bool { return f.ID == "memory-low" }) {
		t.Errorf("it mentions %v", mentioned)
	}
}

// TestRoutes holds that Linux's table is read as `ip route` shows it.
func TestRoutes(t *testing.T) {
	t.Parallel()
	table := `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
br0	000012AC	00000000	0001	0	0	0	0000FFFF	0	0	0
tun0	0000F40A	0100080A	0003	0	0	0	0080FFFF	0	0	0
junk
`
	var got []string
	for _, route := range routes(bufio.NewScanner(strings.NewReader(table))) {
		got = append(got, route.String())
	}
	if want := "172.18.0.0/16 10.244.0.0/17"; strings.Join(got, " ") != want {
		t.Errorf("the routes are %v, want %s", got, want)
	}
}

// TestAhead holds that a clock counts as off by no more than is certain.
func TestAhead(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	after := before.Add(2 * time.Second)
	for shown, want := range map[string]time.Duration{
		"2026-01-01T12:00:01Z": 0, "2026-01-01T12:00:12Z": 10 * time.Second, "2026-01-01T11:59:50.000Z": -10 * time.Second, "soon": 0, "": 0,
	} {
		if got := ahead(shown, before, after); got != want {
			t.Errorf("%s is %s ahead, want %s", shown, got, want)
		}
	}
}
