package bootstrap

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/mirror"
	"github.com/hellolab/hellolab/port"
)

// defaultSettings are those of the program's own config.yaml.
func defaultSettings(t *testing.T) Settings {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var settings Settings
	if err := yaml.Unmarshal(content, &settings); err != nil {
		t.Fatal(err)
	}
	return settings
}

// TestValidate holds each rule on its own, and that the values at its edge are allowed.
func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*Settings)
		want   []string // one problem each, and what it has to name
	}{
		{"the defaults", func(*Settings) {}, nil},
		{"the longest name", func(s *Settings) { s.Bootstrap.Name = strings.Repeat("a", maxName) }, nil},
		{"a short name", func(s *Settings) { s.Bootstrap.Name = "1" }, nil},
		{"a name with hyphens", func(s *Settings) { s.Bootstrap.Name = "my-lab-2" }, nil},
		{"too long a name", func(s *Settings) { s.Bootstrap.Name = strings.Repeat("a", maxName+1) }, []string{"bootstrap.name"}},
		{"no name", func(s *Settings) { s.Bootstrap.Name = "" }, []string{"bootstrap.name"}},
		{"a capital", func(s *Settings) { s.Bootstrap.Name = "Lab" }, []string{`"Lab"`}},
		{"a dot", func(s *Settings) { s.Bootstrap.Name = "a.b" }, []string{`"a.b"`}},
		{"a line end", func(s *Settings) { s.Bootstrap.Name = "a\n" }, []string{"bootstrap.name"}},
		{"a hyphen in front", func(s *Settings) { s.Bootstrap.Name = "-a" }, []string{`"-a"`}},
		{"a hyphen behind", func(s *Settings) { s.Bootstrap.Name = "a-" }, []string{`"a-"`}},
		{"nine workers", func(s *Settings) { s.Bootstrap.Workers = 9 }, nil},
		{"ten workers", func(s *Settings) { s.Bootstrap.Workers = 10 }, []string{"10"}},
		{"fewer than no workers", func(s *Settings) { s.Bootstrap.Workers = -1 }, []string{"-1"}},
		{"a second", func(s *Settings) { s.Bootstrap.Timeout = time.Second }, nil},
		{"no time", func(s *Settings) { s.Bootstrap.Timeout = 0 }, []string{"bootstrap.timeout"}},
		{"a node image", func(s *Settings) { s.Bootstrap.NodeImage = "kindest/node:v1.34.0" }, nil},
		{"no node image", func(s *Settings) { s.Bootstrap.NodeImage = "Kind node" }, []string{`bootstrap.nodeImage: "Kind node"`}},
		{"no controller image", func(s *Settings) { s.Bootstrap.Ingress.Image = "a b" }, []string{`bootstrap.ingress.image: "a b"`}},
		{"the controller image is missing", func(s *Settings) { s.Bootstrap.Ingress.Image = "" }, []string{"bootstrap.ingress.image"}},
		{"a chart of one's own needs no image", func(s *Settings) { s.Bootstrap.Ingress.Image, s.Bootstrap.Ingress.Chart = "", "traefik.tgz" }, nil},
		{"no ingress needs no image", func(s *Settings) { s.Bootstrap.Ingress.Image, s.Bootstrap.Ingress.Enabled = "", false }, nil},
		{"the registry's section", func(s *Settings) { s.Registry.Upstreams = []string{"a b"} }, []string{"registry.upstreams"}},
		{"a number twice", func(s *Settings) { s.Bootstrap.Ports.HTTPS = port.Port{Number: 80} },
			[]string{"bootstrap.ports.http and bootstrap.ports.https are both 80"}},
		{"a number twice, in two sections", func(s *Settings) { s.Registry.Port = port.Port{Number: 30000} },
			[]string{"bootstrap.ports.nodePort and registry.port are both 30000"}},
		{"a number thrice", func(s *Settings) {
			s.Bootstrap.Ports.HTTPS, s.Registry.Port = port.Port{Number: 80}, port.Port{Number: 80}
		}, []string{"bootstrap.ports.https are both 80", "registry.port are both 80"}},
		{"auto everywhere", func(s *Settings) {
			auto := port.Port{Auto: true}
			s.Bootstrap.Ports, s.Registry.Port = Ports{HTTP: auto, HTTPS: auto, NodePort: auto}, auto
		}, nil},
		{"auto beside numbers", func(s *Settings) { s.Bootstrap.Ports.HTTP = port.Port{Auto: true} }, nil},
		{"everything", func(s *Settings) {
			*s = Settings{Bootstrap: Config{Name: "A", Workers: -2, NodeImage: "B", Timeout: time.Millisecond,
				Ports:   Ports{HTTP: port.Port{Number: 1}, HTTPS: port.Port{Number: 1}, NodePort: port.Port{Number: 2}},
				Ingress: Ingress{Enabled: true, Image: "C"}}}
			s.Registry.Image, s.Registry.Images, s.Registry.Upstreams = "D", []string{"E"}, []string{"f"}
			s.Registry.Port = port.Port{Number: 2}
		}, []string{`"A"`, "-2", "bootstrap.timeout", `"B"`, `"C"`, `"D"`, `"E"`, `"f"`, "are both 1", "are both 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			settings := defaultSettings(t)
			test.change(&settings)
			err := settings.Validate()
			var problems []string
			if err != nil {
				problems = strings.Split((messages.Printer{}).Error(err), "\n")
				if !messages.IsUsage(err) {
					t.Errorf("%v is no error about wrong input", err)
				}
			}
			if len(problems) != len(test.want) {
				t.Errorf("%d problems are reported, want %d: %q", len(problems), len(test.want), problems)
			}
			for _, want := range test.want {
				if !slices.ContainsFunc(problems, func(problem string) bool { return strings.Contains(problem, want) }) {
					t.Errorf("no problem names %q: %q", want, problems)
				}
			}
		})
	}
}

// TestValidateSaysTheSameTwice holds that the same mistakes are reported in the same order each time, so that a reader
// who has mended one finds the others where they were.
func TestValidateSaysTheSameTwice(t *testing.T) {
	t.Parallel()
	settings := defaultSettings(t)
	settings.Bootstrap.NodeImage, settings.Bootstrap.Ingress.Image = "A", "B"
	first := settings.Validate().Error()
	for range 50 {
		if again := settings.Validate().Error(); again != first {
			t.Fatalf("first\n%s\nthen\n%s", first, again)
		}
	}
}

// TestPorts holds which numbers "auto" tries, and in which order: the usual one first, and never one below 1024 after
// it, which a user may not be allowed to listen on.
func TestPorts(t *testing.T) {
	t.Parallel()
	settings := defaultSettings(t)
	usual := map[string]int{"bootstrap.ports.http": 80, "bootstrap.ports.https": 443, "bootstrap.ports.nodePort": 30000, "registry.port": 5001}
	for _, wanted := range settings.ports() {
		if wanted.port.Number != usual[wanted.setting] {
			t.Errorf("%s is %v by default, want %d", wanted.setting, wanted.port, usual[wanted.setting])
		}
		if len(wanted.candidates) < 2 || wanted.candidates[0] != usual[wanted.setting] {
			t.Errorf("auto of %s tries %v, want %d first and others", wanted.setting, wanted.candidates, usual[wanted.setting])
		}
		for _, candidate := range wanted.candidates[1:] {
			if candidate < 1024 || candidate > 65535 {
				t.Errorf("auto of %s tries %d", wanted.setting, candidate)
			}
		}
		*wanted.port = port.Port{Number: 7}
		delete(usual, wanted.setting)
	}
	if len(usual) > 0 {
		t.Errorf("the lab does not look after %v", usual)
	}
	seven := port.Port{Number: 7}
	if want := (Ports{HTTP: seven, HTTPS: seven, NodePort: seven}); settings.Bootstrap.Ports != want || settings.Registry.Port != seven {
		t.Errorf("what is set on the ports does not reach the settings: %+v", settings)
	}
}

// TestAutoCandidatesDiffer holds that two settings which are "auto" can never be given the same number: each is chosen
// before any of them is listened on.
func TestAutoCandidatesDiffer(t *testing.T) {
	t.Parallel()
	settings := defaultSettings(t)
	by := map[int]string{}
	for _, wanted := range settings.ports() {
		for _, candidate := range wanted.candidates {
			if other, taken := by[candidate]; taken {
				t.Errorf("%d may be chosen for %s and for %s", candidate, other, wanted.setting)
			}
			by[candidate] = wanted.setting
		}
	}
}

// TestClaimPorts holds that ports which are free are taken as they are, and that all which are not are told at once,
// with who has them and what to do.
func TestClaimPorts(t *testing.T) {
	settings, held := freePorts(t)
	inContainer := settings.Bootstrap.Ports.HTTPS.Number
	docker := enginetest.New(t)
	docker.AddContainer(enginetest.Container{Name: "web", State: container.StateRunning, HostConfig: publish(443, inContainer)})
	wanted := settings
	_, err := settings.claimPorts(t.Context(), docker.Client(), ipv4, nil)
	if err == nil {
		t.Fatal("ports that are taken are claimed without an error")
	}
	problems := strings.Split((messages.Printer{}).Error(err), "\n")
	if len(problems) != 4 {
		t.Fatalf("%d problems are told of 4: %q", len(problems), problems)
	}
	for i, published := range wanted.ports() {
		if !strings.HasPrefix(problems[i], "port "+published.port.String()+" is taken by ") {
			t.Errorf("%q does not name the port of %s, %v", problems[i], published.setting, published.port)
		}
	}
	hint := "next: stop what is using it, or let hellolab choose another port: hellolab up"
	for _, published := range wanted.ports() {
		hint += " --set " + published.setting + "=auto"
	}
	if report := (messages.Printer{}).Report(err); strings.Count(report, "next: ") != 1 || !strings.HasSuffix(report, hint+"\n") {
		t.Errorf("the report is\n%s\nwant at its end\n%s", report, hint)
	}
	if !strings.HasSuffix(problems[1], "the container web") || strings.Contains(problems[0], "container") {
		t.Errorf("%q: the container has the second port only", problems)
	}

	ours := map[string]bool{"bootstrap.ports.http": true, "bootstrap.ports.https": true, "bootstrap.ports.nodePort": true}
	_, err = settings.claimPorts(t.Context(), docker.Client(), ipv4, ours)
	if err == nil || !strings.HasPrefix(err.Error(), "port "+settings.Registry.Port.String()) || strings.Contains(err.Error(), "\n") {
		t.Errorf("where the lab has the other ports itself, the error is %v", err)
	}
	for _, listener := range held {
		listener.Close()
	}
	if claimed, err := settings.claimPorts(t.Context(), docker.Client(), ipv4, nil); err != nil || !reflect.DeepEqual(claimed, wanted) {
		t.Errorf("free ports are claimed as\n%+v, %v\nwant\n%+v", claimed, err, wanted)
	}
}

// TestClaimPortsChoosesNoNumberTwice holds that "auto" leaves alone what another setting names, or has been given:
// nothing listens on any of them yet.
func TestClaimPortsChoosesNoNumberTwice(t *testing.T) {
	settings, held := freePorts(t)
	for _, listener := range held {
		listener.Close()
	}
	all := settings.ports()
	nodePort, registry := all[2], all[3]
	for _, candidate := range nodePort.candidates {
		if port.Free(ipv4, candidate) {
			*registry.port = port.Port{Number: candidate}
			break
		}
	}
	*nodePort.port = port.Port{Auto: true}
	if err := settings.Validate(); err != nil {
		t.Fatal(err)
	}
	settings, err := settings.claimPorts(t.Context(), enginetest.New(t).Client(), ipv4, nil)
	if err != nil {
		t.Fatal(err)
	}
	if chosen := settings.Bootstrap.Ports.NodePort; chosen.Auto || !slices.Contains(nodePort.candidates, chosen.Number) {
		t.Errorf("auto has become %v", chosen)
	}
	if settings.Bootstrap.Ports.NodePort == settings.Registry.Port {
		t.Errorf("%s and %s are both given %v", nodePort.setting, registry.setting, registry.port)
	}
}

// TestClaimPortsOfRootlessDocker holds that an engine without privileges is not asked for what it may not do.
func TestClaimPortsOfRootlessDocker(t *testing.T) {
	settings, held := freePorts(t)
	for _, listener := range held {
		listener.Close()
	}
	settings.Bootstrap.Ports.HTTP, settings.Bootstrap.Ports.HTTPS = port.Port{Auto: true}, port.Port{Number: 443}
	docker := enginetest.New(t)
	docker.SetInfo(func(info *system.Info) {
		info.SecurityOptions = []string{"name=seccomp,profile=builtin", "name=rootless"}
	})
	settings, err := settings.claimPorts(t.Context(), docker.Client(), ipv4, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "rootless Docker") || !strings.Contains(err.Error(), "443") ||
		(messages.Printer{}).Hint(err) != "let hellolab choose another port: hellolab up --set bootstrap.ports.https=auto" {
		t.Errorf("port 443 is claimed with the error %v", err)
	}
	if chosen := settings.Bootstrap.Ports.HTTP; chosen.Auto || chosen.Number < 1024 {
		t.Errorf("auto has become %v", chosen)
	}
}

var ipv4 = []string{"127.0.0.1"}

// freePorts gives settings whose ports are those of listeners, which are this test's.
func freePorts(t *testing.T) (Settings, []net.Listener) {
	t.Helper()
	settings := defaultSettings(t)
	var held []net.Listener
	for _, wanted := range settings.ports() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		held = append(held, listener)
		*wanted.port = port.Port{Number: listener.Addr().(*net.TCPAddr).Port}
	}
	return settings, held
}

// publish is a container's port at a port of this machine.
func publish(inside, outside int) container.HostConfig {
	return container.HostConfig{PortBindings: nat.PortMap{nat.Port(strconv.Itoa(inside) + "/tcp"): {{HostIP: "127.0.0.1", HostPort: strconv.Itoa(outside)}}}}
}

// TestClaimPortsWithoutAChoice holds what is advised where nothing is left to choose from.
func TestClaimPortsWithoutAChoice(t *testing.T) {
	t.Parallel()
	settings := defaultSettings(t)
	settings.Bootstrap.Ports.NodePort = port.Port{Auto: true}
	docker := enginetest.New(t)
	for _, candidate := range settings.ports()[2].candidates {
		theirs := defaultSettings(t)
		theirs.Bootstrap.Ports.NodePort = port.Port{Number: candidate}
		name := fmt.Sprintf("lab-%d", candidate)
		docker.AddVolume(name+"-settings", map[string]string{engine.Label: name, settingsLabel: marshal(t, theirs)})
	}
	ours := map[string]bool{"bootstrap.ports.http": true, "bootstrap.ports.https": true, "registry.port": true}
	_, err := settings.claimPorts(t.Context(), docker.Client(), ipv4, ours)
	want := "error: no port is free for bootstrap.ports.nodePort\nnext: choose one yourself: hellolab up --set bootstrap.ports.nodePort=VALUE\n"
	if err == nil || (messages.Printer{}).Report(err) != want {
		t.Errorf("the error is %v", err)
	}
}

func marshal(t *testing.T, settings Settings) string {
	t.Helper()
	content, err := yaml.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestClaimPortsOfOtherLabs holds that "auto" leaves alone what another lab has on record, though nothing listens there:
// that lab is stopped, or about to start. The lab's own record is in nobody's way.
func TestClaimPortsOfOtherLabs(t *testing.T) {
	settings, held := freePorts(t)
	for _, listener := range held {
		listener.Close()
	}
	nodePort := settings.ports()[2]
	docker := enginetest.New(t)
	record := func(lab string, number int) {
		theirs := settings
		theirs.Bootstrap.Ports.NodePort = port.Port{Number: number}
		docker.AddVolume(lab+"-settings", map[string]string{engine.Label: lab, settingsLabel: marshal(t, theirs)})
	}
	var free []int
	for _, candidate := range nodePort.candidates {
		if port.Free(ipv4, candidate) {
			free = append(free, candidate)
		}
	}
	record("other", free[0])
	record(settings.Bootstrap.Name, free[1])
	docker.AddVolume("broken-settings", map[string]string{engine.Label: "broken", settingsLabel: "["})
	*nodePort.port = port.Port{Auto: true}
	settings, err := settings.claimPorts(t.Context(), docker.Client(), ipv4, nil)
	if err != nil {
		t.Fatal(err)
	}
	if chosen := settings.Bootstrap.Ports.NodePort.Number; chosen != free[1] {
		t.Errorf("auto becomes %d, and not %d: another lab has %d", chosen, free[1], free[0])
	}
}

// TestDifferences holds what makes `up` refuse settings that a lab was not made with.
func TestDifferences(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		is   func(*Settings)
		want func(*Settings)
		told []string // each difference, whole; or its beginning, where it ends with ...
	}{
		{"none", nothing, nothing, nil},
		{"a number", nothing, func(s *Settings) { s.Bootstrap.Workers = 2 }, []string{"bootstrap.workers: 0, not 2"}},
		{"a nested one", nothing, func(s *Settings) { s.Bootstrap.Ports.HTTP = port.Port{Number: 8080} }, []string{"bootstrap.ports.http: 80, not 8080"}},
		{"true and false", nothing, func(s *Settings) { s.Bootstrap.Ingress.Enabled = false }, []string{"bootstrap.ingress.enabled: true, not false"}},
		{"several, sorted", nothing, func(s *Settings) {
			s.Registry.Port, s.Bootstrap.Workers = port.Port{Number: 5002}, 1
		}, []string{"bootstrap.workers: 0, not 1", "registry.port: 5001, not 5002"}},
		{"what nothing is made from", nothing, func(s *Settings) { s.Bootstrap.Timeout, s.Bootstrap.KeepContext = time.Minute, true }, nil},
		{"another package's setting", others("images", "account", "me"), others("images", "account", "you"), []string{"images.account: me, not you"}},
		{"another package's setting that nothing is made from", others("labs", "timeout", "3m"), others("labs", "timeout", "9m"), nil},
		{"auto is content with any number", func(s *Settings) { s.Bootstrap.Ports.HTTP = port.Port{Number: 8081} },
			func(s *Settings) { s.Bootstrap.Ports.HTTP = port.Port{Auto: true} }, nil},
		{"a number is not content with another that auto chose", func(s *Settings) { s.Bootstrap.Ports.HTTP = port.Port{Number: 8081} },
			nothing, []string{"bootstrap.ports.http: 8081, not 80"}},
		{"one more image", nothing, func(s *Settings) { s.Registry.Images = append(s.Registry.Images, "redis") }, nil},
		{"a mirror", nothing, func(s *Settings) { s.Registry.Mirrors.By = map[string][]string{"docker.io": {"https://a.example"}} }, nil},
		{"one more in a list", nothing, func(s *Settings) { s.Registry.Upstreams = append(s.Registry.Upstreams, "nvcr.io") }, []string{"registry.upstreams: ..."}},
		{"one less in a list", nothing, func(s *Settings) { s.Registry.Upstreams = s.Registry.Upstreams[1:] }, []string{"registry.upstreams: ..."}},
		{"an empty list", nothing, func(s *Settings) { s.Registry.Upstreams = nil }, []string{"registry.upstreams: ..."}},
		{"an empty list in place of none", func(s *Settings) { s.Registry.Upstreams = nil }, func(s *Settings) { s.Registry.Upstreams = []string{} }, nil},
		{"another order", func(s *Settings) { s.Registry.Upstreams = []string{"quay.io", "ghcr.io"} },
			func(s *Settings) { s.Registry.Upstreams = []string{"ghcr.io", "quay.io"} }, []string{"registry.upstreams: ..."}},
		{"the same chart values", values(map[string]any{"a": map[string]any{"b": 1}}), values(map[string]any{"a": map[string]any{"b": 1}}), nil},
		{"another chart value", values(map[string]any{"a": map[string]any{"b": 1}}), values(map[string]any{"a": map[string]any{"b": 2}}),
			[]string{"bootstrap.ingress.values.a.b: 1, not 2"}},
		{"one more chart value", nothing, values(map[string]any{"a": "x"}), []string{"bootstrap.ingress.values.a: ..."}},
		{"one less chart value", values(map[string]any{"a": "x", "b": "y"}), values(map[string]any{"b": "y"}), []string{"bootstrap.ingress.values..."}},
		{"no chart values any more", values(map[string]any{"a": "x"}), nothing, []string{"bootstrap.ingress.values..."}},
		{"a chart value that is called auto", values(map[string]any{"a": "manual"}), values(map[string]any{"a": "auto"}),
			[]string{"bootstrap.ingress.values.a: manual, not auto"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			is, want := defaultSettings(t), defaultSettings(t)
			test.is(&is)
			test.want(&want)
			got := is.Differences(Asked{want, []string{"bootstrap", "registry", "images", "labs"}})
			if !slices.EqualFunc(got, test.told, func(got, told string) bool {
				beginning, open := strings.CutSuffix(told, "...")
				return got == told || open && strings.HasPrefix(got, beginning)
			}) {
				t.Errorf("the differences are %q, want %q", got, test.told)
			}
		})
	}
}

// TestDifferencesInWhatIsAsked holds that a lab is not refused for what its user has not asked for: the defaults of a
// flag's neighbours, say.
func TestDifferencesInWhatIsAsked(t *testing.T) {
	t.Parallel()
	is, want := defaultSettings(t), defaultSettings(t)
	want.Bootstrap.Workers, want.Bootstrap.NodeImage, want.Registry.Port = 2, "kindest/node:v1.34.0", port.Port{Number: 5002}
	values(map[string]any{"a": map[string]any{"b": 1, "c": 2}})(&want)
	for _, test := range []struct {
		keys []string
		told []string // their settings
	}{
		{nil, nil},
		{[]string{"bootstrap.workers"}, []string{"bootstrap.workers"}},
		{[]string{"bootstrap.ports.http", "bootstrap.name"}, nil},
		{[]string{"bootstrap.work", "bootstrap.node", "registry.p"}, nil},
		{[]string{"registry"}, []string{"registry.port"}},
		{[]string{"registry.port", "bootstrap.workers"}, []string{"bootstrap.workers", "registry.port"}},
		{[]string{"bootstrap.ingress.values"}, []string{"bootstrap.ingress.values.a.b", "bootstrap.ingress.values.a.c"}},
		{[]string{"bootstrap.ingress.values.a.c"}, []string{"bootstrap.ingress.values.a.c"}},
	} {
		var told []string
		for _, difference := range is.Differences(Asked{want, test.keys}) {
			setting, _, _ := strings.Cut(difference, ":")
			told = append(told, setting)
		}
		if !slices.Equal(told, test.told) {
			t.Errorf("of %q, %q are told, want %q", test.keys, told, test.told)
		}
	}
}

func nothing(*Settings) {}

func others(section, name string, value any) func(*Settings) {
	return func(s *Settings) { s.Others = map[string]any{section: map[string]any{name: value}} }
}

func values(of map[string]any) func(*Settings) {
	return func(s *Settings) { s.Bootstrap.Ingress.Values = of }
}

// unusual are settings with something in every place.
func unusual(t *testing.T) Settings {
	settings := defaultSettings(t)
	settings.Bootstrap.Name = "web"
	settings.Bootstrap.Workers = 3
	settings.Bootstrap.NodeImage = "kindest/node:v1.34.0@sha256:" + strings.Repeat("0", 64)
	settings.Bootstrap.Ports = Ports{HTTP: port.Port{Auto: true}, HTTPS: port.Port{Number: 8443}, NodePort: port.Port{Number: 65535}}
	settings.Bootstrap.KeepContext = true
	settings.Bootstrap.Timeout = 90 * time.Second
	settings.Bootstrap.Ingress.Chart = "/home/我/traefik.tgz"
	settings.Bootstrap.Ingress.Values = map[string]any{
		"replicas": 2, "debug": true, "text": "2", "empty": "", "share": 0.5,
		"nested": map[string]any{"list": []any{"a", 1, map[string]any{"deep": "auto"}}, "quotes": `"'\n`}}
	settings.Registry.Images = []string{}
	settings.Others = map[string]any{"images": map[string]any{"account": "me", "builder": "golang:1.26"}, "labs": map[string]any{"timeout": "1m0s"}}
	return settings
}

// TestYAMLRoundTrip holds that nothing of the settings is lost or changed in a lab's record: `up` would refuse its own
// lab otherwise.
func TestYAMLRoundTrip(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]Settings{"the defaults": defaultSettings(t), "unusual": unusual(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			written, err := yaml.Marshal(settings)
			if err != nil {
				t.Fatal(err)
			}
			var read Settings
			if err := yaml.Unmarshal(written, &read); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(read, settings) {
				t.Errorf("read back as\n%+v\nwant\n%+v", read, settings)
			}
			if differences := read.Differences(Asked{settings, []string{"bootstrap", "registry", "images", "labs"}}); len(differences) > 0 {
				t.Errorf("the record differs from what was written: %q", differences)
			}
		})
	}
}

// TestRecord holds that a lab is found again by its name, as it was made, and with the context to go back to.
func TestRecord(t *testing.T) {
	useContext(t, "work")
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fake := enginetest.New(t)
	fake.SetClock(func() time.Time { return created })
	docker := fake.Client()
	settings := unusual(t)
	if _, found, err := recorded(t.Context(), docker, named("web")); found.exists || err != nil {
		t.Errorf("before it is made, the lab is %+v, %v", found, err)
	}
	lab := labOn(docker, settings)
	if err := lab.remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	read, found, err := recorded(t.Context(), docker, named("web"))
	if err != nil || !reflect.DeepEqual(read, settings) {
		t.Errorf("recorded is\n%+v, %v\nwant\n%+v", read, err, settings)
	}
	if !found.exists || found.previousContext != "work" || !found.since.Equal(created) {
		t.Errorf("recorded is %+v, want a lab since %s, and to go back to the context work", found, created)
	}
	if _, found, err := recorded(t.Context(), docker, named("other")); found.exists || err != nil {
		t.Errorf("a lab that was never made is %+v, %v", found, err)
	}
	earlier := labOn(docker, settings)
	earlier.record = record{exists: true, since: created.Add(-time.Hour), labels: lab.record.labels}
	namesake := labOn(docker, settings)
	namesake.record = record{exists: true, since: created, labels: map[string]string{tokenLabel: "another"}}
	if lab.Gone(t.Context()) || !earlier.Gone(t.Context()) || !namesake.Gone(t.Context()) {
		t.Errorf("the lab is gone: %v; the one of an hour before it: %v; the one of the same second: %v",
			lab.Gone(t.Context()), earlier.Gone(t.Context()), namesake.Gone(t.Context()))
	}
	for range 2 { // `down` may be run again
		if err := lab.forget(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, err := recorded(t.Context(), docker, named("web")); found.exists || err != nil {
		t.Errorf("after it is forgotten, the lab is %+v, %v", found, err)
	}
	if !lab.Gone(t.Context()) {
		t.Error("after it is forgotten, the lab is not gone")
	}
}

// TestRecordOfAnOlderVersion holds that a setting which came later has the value that is wanted now, and that reading a
// record leaves what is wanted as it is.
func TestRecordOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t).Client()
	if _, err := docker.VolumeCreate(t.Context(), volume.CreateOptions{Name: "web-settings", Labels: map[string]string{engine.Label: "web",
		settingsLabel: "bootstrap: {name: web, workers: 1, ingress: {values: {a: 1}}}\nimages: {account: me}\n"}}); err != nil {
		t.Fatal(err)
	}
	wanted := named("web")
	wanted.Bootstrap.Timeout, wanted.Bootstrap.Ingress.Values = time.Minute, map[string]any{"b": 2}
	wanted.Others = map[string]any{"images": map[string]any{"account": "you", "builder": "golang"}}
	read, _, err := recorded(t.Context(), docker, wanted)
	if err != nil {
		t.Fatal(err)
	}
	want := named("web")
	want.Bootstrap.Workers, want.Bootstrap.Timeout, want.Bootstrap.Ingress.Values = 1, time.Minute, map[string]any{"a": 1}
	want.Others = map[string]any{"images": map[string]any{"account": "me", "builder": "golang"}}
	if !reflect.DeepEqual(read, want) {
		t.Errorf("recorded is\n%+v\nwant\n%+v", read, want)
	}
	if mine := wanted.Others["images"].(map[string]any)["account"]; mine != "you" || len(wanted.Bootstrap.Ingress.Values) != 1 {
		t.Errorf("what is wanted has become %+v", wanted)
	}
}

// TestChangeable holds that a setting which nothing is made from can be given to a lab that exists, and no other can.
func TestChangeable(t *testing.T) {
	t.Parallel()
	is, want := defaultSettings(t), defaultSettings(t)
	others("images", "builder", "golang:1.26")(&is)
	want.Bootstrap.Timeout, want.Bootstrap.KeepContext, want.Bootstrap.Workers = time.Hour, true, 3
	want.Others = map[string]any{"images": map[string]any{"builder": "golang:1.27", "account": "you"}}
	changed := is.With(Asked{want, []string{"bootstrap.timeout", "bootstrap.workers", "images"}})
	expected := is
	expected.Bootstrap.Timeout, expected.Others = time.Hour, map[string]any{"images": map[string]any{"builder": "golang:1.27"}}
	if !reflect.DeepEqual(changed, expected) {
		t.Errorf("the settings are\n%+v\nwant\n%+v", changed, expected)
	}
	if got := is.With(Asked{want, nil}); !reflect.DeepEqual(got, is) {
		t.Errorf("with nothing asked for, the settings are\n%+v\nwant\n%+v", got, is)
	}
}

// TestRecordKeepsThePreviousContext holds that a lab which is begun anew while its own context is the current one does
// not forget which one was before it.
func TestRecordKeepsThePreviousContext(t *testing.T) {
	useContext(t, "kind-web")
	docker := enginetest.New(t).Client()
	lab := labOn(docker, unusual(t))
	lab.record = record{previousContext: "work"}
	if err := lab.remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, found, err := recorded(t.Context(), docker, named("web")); err != nil || found.previousContext != "work" {
		t.Errorf("the context to go back to is %q, %v; want work", found.previousContext, err)
	}
}

// useContext gives the test a kubeconfig of its own.
func useContext(t *testing.T, name string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: Config\ncurrent-context: "+name+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
}

// TestRecordOfOthers holds that a volume which is not a lab's record is neither used nor taken for "no lab".
func TestRecordOfOthers(t *testing.T) {
	t.Parallel()
	for name, labels := range map[string]map[string]string{
		"somebody else's":       {"com.example": "x"},
		"another lab's":         {"io.github.hellolab.lab": "other", settingsLabel: "{}"},
		"of another hellolab's": {"io.github.hellolab.lab": "web", settingsLabel: "bootstrap: [1]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docker := enginetest.New(t).Client()
			if _, err := docker.VolumeCreate(t.Context(), volume.CreateOptions{Name: "web-settings", Labels: labels}); err != nil {
				t.Fatal(err)
			}
			_, found, err := recorded(t.Context(), docker, named("web"))
			if err == nil || found.exists {
				t.Fatalf("the lab is %+v, %v; want an error", found, err)
			}
			if !strings.Contains((messages.Printer{}).Hint(err), "hellolab") {
				t.Errorf("the error %q has no hint", err)
			}
		})
	}
}

// labOn is a lab of an engine, not looked up there yet.
func labOn(docker *client.Client, settings Settings) *Lab {
	lab := &Lab{docker: docker, asked: Asked{Settings: settings}, images: mirror.New(docker, nil, mirror.Config{}),
		kubectl: kube.Kubeconfig{Context: Context(settings.Bootstrap.Name)}}
	lab.use(settings)
	return lab
}

// named is a lab's settings before any are known but its name.
func named(lab string) Settings { return Settings{Bootstrap: Config{Name: lab}} }
