package doctor

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

var update = flag.Bool("update", false, "write the rules in docs/troubleshooting anew")

// good is a machine that nothing is wrong with.
func good() Machine {
	return Machine{
		System: "linux", Getenv: environment(nil), Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Engine: Engine{API: "1.51", Info: system.Info{ID: "a", ServerVersion: "28.5.2", OSType: "linux", Architecture: "x86_64", CgroupVersion: "2",
			MemTotal: 8 * gibibyte, NCPU: 4, MemoryLimit: true, PidsLimit: true, CPUShares: true},
			Networks: []network.Summary{dockerNetwork("bridge", "172.17.0.0/16", "172.17.0.1"), dockerNetwork("kind", "172.18.0.0/16", "172.18.0.1")}},
		Lab: Lab{Name: "hellolab", State: absent, Nodes: 1, Ports: []WantedPort{{"bootstrap.ports.http", port.Port{Number: 80}}}},
		Folders: []Folder{{Use: Temporary, Path: "/tmp", Free: 20 * gibibyte}, {Use: Cache, Path: "/home/me/.cache/hellolab", Free: 20 * gibibyte},
			{Use: EngineData, Path: "/var/lib/docker", Free: 20 * gibibyte}},
		Kernel: Kernel{Instances: 128, Watches: 100000, Unprivileged: 1024},
		Network: Network{Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.7"), netip.MustParseAddr("172.17.0.1")},
			Routes: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("172.18.0.0/16")}},
		Docker: DockerCommand{File: "/home/me/.docker/config.json"},
		Go:     Go{"/usr/bin/go", "go1.26.8"},
	}
}

func environment(set map[string]string) func(string) string {
	return func(name string) string { return set[name] }
}

func dockerNetwork(name, subnet, gateway string) network.Summary {
	return network.Summary{Name: name, IPAM: network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet, Gateway: gateway}}}}
}

// sample is a case of a rule: what is wrong with a machine that is good otherwise, or, where nothing can be seen, an error.
type sample struct {
	spoil func(*Machine)
	err   error
}

// unusableEngine is a machine without an engine, for a reason.
func unusableEngine(reason engine.Reason, told *messages.Error) sample {
	return sample{spoil: func(m *Machine) { m.Engine = Engine{Err: engine.Unusable{Reason: reason, Told: told}} }}
}

// samples are a case of every rule.
func samples() map[string]sample {
	taken := WantedPort{"bootstrap.ports.http", port.Port{Number: 80}}
	rootless := func(m *Machine) { m.Engine.Info.SecurityOptions = []string{"name=rootless"} }
	unreadable := errors.New("invalid character '}' looking for beginning of value")
	return map[string]sample{
		"engine-missing":   unusableEngine(engine.Missing, messages.Errorf("there is no Docker Engine on this machine").WithHint("install it (Debian and Ubuntu: %s), then run the same command again", messages.Shell("sudo", "apt-get", "install", "docker.io"))),
		"engine-stopped":   unusableEngine(engine.Stopped, messages.Errorf("no Docker Engine answers at %s", "unix:///var/run/docker.sock").WithHint("start it (%s), then run the same command again", messages.Shell("sudo", "systemctl", "start", "docker"))),
		"engine-forbidden": unusableEngine(engine.Forbidden, messages.Errorf("this user may not use the Docker Engine at %s", "unix:///var/run/docker.sock").WithHint("%s, then log in again", messages.Shell("sudo", "usermod", "-aG", "docker", "$USER"))),
		"engine-wedged":    unusableEngine(engine.Wedged, messages.Errorf("the Docker Engine at %s does not respond", "unix:///var/run/docker.sock").WithHint("restart it (%s), then run the same command again", messages.Shell("sudo", "systemctl", "restart", "docker"))),
		"engine-elsewhere": unusableEngine(engine.Elsewhere, endpointFails(map[string]string{"DOCKER_HOST": "tcp://docker:2375"})),
		"engine-minikube":  unusableEngine(engine.Minikube, endpointFails(map[string]string{"DOCKER_HOST": "tcp://127.0.0.1:32862", "MINIKUBE_ACTIVE_DOCKERD": "minikube", "DOCKER_TLS_VERIFY": "1"})),
		"engine-podman":    unusableEngine(engine.Podman, messages.Errorf("Podman answers at %s, and hellolab needs a Docker Engine", "unix:///run/podman/podman.sock").WithHint("install Docker beside it, and choose that: %s shows what there is; if DOCKER_HOST is set: %s", messages.Shell("docker", "context", "ls"), messages.Shell("unset", "DOCKER_HOST"))),
		"docker-context":   unusableEngine(engine.BadContext, messages.Errorf("the Docker context %s uses TLS certificates, which hellolab does not read", "far").WithHint("set DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH instead, or choose another context: %s", messages.Shell("docker", "context", "use", "default"))),
		"docker-command": {spoil: func(m *Machine) {
			m.Docker.Err = messages.Errorf("the docker command is not on this machine's PATH").WithHint("install Docker's command line (Debian and Ubuntu: %s; Docker Desktop includes it), then run the same command again", messages.Shell("sudo", "apt-get", "install", "docker.io"))
		}},
		"engine-old":     {spoil: func(m *Machine) { m.Engine.API, m.Engine.Info.ServerVersion = "1.40", "19.03.15" }},
		"engine-windows": {spoil: func(m *Machine) { m.Engine.Info.OSType = "windows" }},
		"engine-outside": {spoil: func(m *Machine) {
			m.Kernel.Container, m.Network.Addresses = true, []netip.Addr{netip.MustParseAddr("172.17.0.5")}
		}},
		"rootless-limits": {spoil: func(m *Machine) {
			rootless(m)
			m.Engine.Info.PidsLimit, m.Kernel.Unprivileged = false, 80
		}},
		"rootless-ports":     {spoil: rootless},
		"privileged-plugin":  {spoil: func(m *Machine) { m.Engine.Info.Plugins.Authorization = []string{"opa"} }},
		"privileged-refused": {err: errors.New("docker: Error response from daemon: authorization denied by plugin opa: privileged is not allowed")},
		"cgroup-v1":          {spoil: func(m *Machine) { m.Engine.Info.CgroupVersion = "1" }},
		"inotify-limits": {spoil: func(m *Machine) {
			for range 4 {
				m.Engine.Containers = append(m.Engine.Containers, container.Summary{State: "running", Labels: map[string]string{clusterLabel: "other"}})
			}
		}},
		"port-taken":    {spoil: func(m *Machine) { m.Taken = []TakenPort{{WantedPort: taken, Program: "nginx"}} }},
		"port-reserved": {spoil: func(m *Machine) { m.Taken = []TakenPort{{WantedPort: taken, Reserved: true}} }},
		"port-helper":   {spoil: func(m *Machine) { m.System, m.Engine.Info.OperatingSystem = "darwin", "Docker Desktop" }},
		"memory-low":    {spoil: func(m *Machine) { m.Engine.Info.MemTotal, m.Engine.Info.OperatingSystem = 2*gibibyte, "Docker Desktop" }},
		"cpu-low":       {spoil: func(m *Machine) { m.Engine.Info.NCPU = 1 }},
		"disk-full":     {spoil: func(m *Machine) { m.Folders[2].Free = gibibyte / 2 }},
		"disk-low":      {spoil: func(m *Machine) { m.Folders[2].Free = 3 * gibibyte }},
		"folder-unwritable": {spoil: func(m *Machine) {
			m.Getenv = environment(map[string]string{"TMPDIR": "/nonexistent"})
			m.Folders[0].Path, m.Folders[0].Err = "/nonexistent", errors.New("no such file or directory")
		}},
		"subnet-clash": {spoil: func(m *Machine) {
			m.Network.Routes = append(m.Network.Routes, netip.MustParsePrefix("172.16.0.0/12"))
		}},
		"proxy-loopback": {spoil: func(m *Machine) {
			m.Getenv = environment(map[string]string{"HTTPS_PROXY": "http://me:word@127.0.0.1:7890"})
		}},
		"default-platform": {spoil: func(m *Machine) { m.Getenv = environment(map[string]string{"DOCKER_DEFAULT_PLATFORM": "linux/arm64"}) }},
		"clock-skew":       {spoil: func(m *Machine) { m.Engine.Ahead = -2 * time.Hour }},
		"lab-certificates": {spoil: func(m *Machine) { m.Lab.State, m.Kubectl.Until = "running", m.Now.AddDate(0, -1, 0) }},
		"lab-broken":       {spoil: func(m *Machine) { m.Lab.State = "broken" }},
		"lab-unreadable": {spoil: func(m *Machine) {
			m.Lab.Err = messages.Errorf("a Docker volume named %s exists already, and it is not this lab's", "hellolab-settings").WithHint("choose another name for the lab: %s", messages.Hellolab("up").Usage("--name NAME"))
		}},
		"lab-foreign": {spoil: func(m *Machine) {
			m.Engine.Containers = []container.Summary{{Labels: map[string]string{clusterLabel: "hellolab"}}}
		}},
		"lab-leftover": {spoil: func(m *Machine) { m.Engine.Records = []string{"other"} }},
		"kubeconfig-broken": {spoil: func(m *Machine) {
			m.Kubectl.Err = messages.Errorf("kubectl's configuration cannot be read").Because(errors.New("yaml: line 3: found character that cannot start any token")).WithHint("correct that file, or name another one: %s", messages.Shell("export").Usage("KUBECONFIG=FILE"))
		}},
		"kubeconfig-readonly": {spoil: func(m *Machine) {
			m.Kubectl.File, m.Kubectl.ReadOnly = "/home/me/.kube/config", errors.New("permission denied")
		}},
		"kubeconfig-context": {spoil: func(m *Machine) { m.Kubectl.Current, m.Kubectl.Dangling = "minikube", true }},
		"go-old":             {spoil: func(m *Machine) { m.Go.Version = "go1.19.8" }},
		"wsl-addresses":      {spoil: func(m *Machine) { m.Kernel.WSL = true }},
		"sudo":               {spoil: func(m *Machine) { m.Getenv = environment(map[string]string{"SUDO_USER": "me"}) }},
		"docker-config":      {spoil: func(m *Machine) { m.Docker.Broken = unreadable }},
		"credential-helper":  {spoil: func(m *Machine) { m.Docker.Helpers = []string{"docker-credential-desktop.exe"} }},
		"ipv6-off":           {err: errors.New("listen tcp6 [::1]:5001: bind: cannot assign requested address")},
		"container-stuck":    {err: errors.New("Error response from daemon: cannot stop container: web: tried to kill container, but did not receive an exit event")},
		"unanswered":         {spoil: func(m *Machine) { m.Late = []messages.Text{messages.T("kubectl's configuration")} }},
	}
}

// endpointFails is the error of engine.Endpoint for an environment.
func endpointFails(set map[string]string) *messages.Error {
	_, err := engine.Endpoint(environment(set))
	var told engine.Unusable
	if !errors.As(err, &told) {
		panic(fmt.Sprint("the engine is usable: ", err))
	}
	return told.Told
}

// found are the findings of a sample.
func (s sample) found(id string) []Finding {
	if s.err == nil {
		seen := good()
		s.spoil(&seen)
		return Examine(seen)
	}
	for _, rule := range Rules() {
		if rule.ID == id {
			return []Finding{{rule, Case{rule.told, rule.next}}}
		}
	}
	return nil
}

// TestEveryRuleFires holds that a machine which one thing is wrong with gets just that finding, in both languages, and with
// something to do.
func TestEveryRuleFires(t *testing.T) {
	t.Parallel()
	if found := Examine(good()); len(found) > 0 {
		t.Fatalf("of a good machine it is said: %s: %s", found[0].ID, found[0].What)
	}
	all := samples()
	chinese := messages.In(messages.Languages()[1])
	for _, rule := range Rules() {
		test, have := all[rule.ID]
		if !have {
			t.Errorf("there is no sample of %s", rule.ID)
			continue
		}
		delete(all, rule.ID)
		found := test.found(rule.ID)
		if len(found) != 1 || found[0].ID != rule.ID {
			t.Errorf("%s: the findings are %v", rule.ID, found)
			continue
		}
		for _, text := range []messages.Text{found[0].What, found[0].Why, found[0].Case.Next} {
			if text.IsZero() || chinese.Text(text) == text.String() && strings.Contains(text.String(), " the ") {
				t.Errorf("%s: %q is said in Chinese as %q", rule.ID, text, chinese.Text(text))
			}
		}
	}
	for id := range all {
		t.Errorf("there is a sample of %s, and no such rule", id)
	}
}

// TestDocumented holds docs/troubleshooting to what the rules say of their samples, in both languages; -update writes what is between the
// marks.
func TestDocumented(t *testing.T) {
	t.Parallel()
	for name, tag := range map[string]language.Tag{"troubleshooting.md": language.English, "troubleshooting.zh-CN.md": language.SimplifiedChinese} {
		file := filepath.Join("..", "docs", name)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, after, marked := strings.Cut(string(content), "<!-- rules -->\n")
		_, after, ends := strings.Cut(after, "<!-- end -->\n")
		if !marked || !ends {
			t.Fatalf("docs/%s has no place for the rules", name)
		}
		wanted := before + "<!-- rules -->\n" + document(messages.In(tag)) + "<!-- end -->\n" + after
		if *update {
			if err := os.WriteFile(file, []byte(wanted), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(content) != wanted {
			t.Errorf("docs/%s is not what the rules say: go test ./doctor -update", name)
		}
	}
}

// document is a section for every rule, as the program tells it of its sample: what a reader sees can be found in the page.
func document(printer messages.Printer) string {
	all, why, next := samples(), "Why it matters: %s.\n\n", "What to do: %s.\n\n"
	severities := map[Severity]string{Error: printer.Text(messages.T("error: ")), Warning: printer.Text(messages.T("warning: "))}
	if printer.Language() == language.SimplifiedChinese {
		why, next = "影响：%s。\n\n", "办法：%s。\n\n"
	}
	escape := strings.NewReplacer("<", "\\<")
	var text strings.Builder
	for _, rule := range Rules() {
		found := all[rule.ID].found(rule.ID)[0]
		fmt.Fprintf(&text, "## `%s`\n\n> %s%s\n\n", rule.ID, severities[rule.Severity], escape.Replace(printer.Text(found.What)))
		fmt.Fprintf(&text, why, escape.Replace(printer.Text(rule.Why)))
		fmt.Fprintf(&text, next, escape.Replace(printer.Text(found.Case.Next)))
	}
	return text.String()
}

// TestEdges holds where rules begin to fire.
func TestEdges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(*Machine)
		want  string // the IDs, or nothing
	}{
		{"a route of a VPN for everything", func(m *Machine) {
			m.Network.Routes = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("10.0.0.0/8")}
		}, ""},
		{"a route into the pods' addresses", func(m *Machine) { m.Network.Routes = []netip.Prefix{netip.MustParsePrefix("10.244.3.0/24")} }, "subnet-clash"},
		{"a proxy elsewhere", func(m *Machine) { m.Getenv = environment(map[string]string{"HTTP_PROXY": "http://192.168.1.1:7890"}) }, ""},
		{"a proxy without a scheme", func(m *Machine) { m.Getenv = environment(map[string]string{"http_proxy": "localhost:7890"}) }, "proxy-loopback"},
		{"a proxy of the docker command's", func(m *Machine) { m.Docker.Proxies = []string{"http://[::1]:7890", ""} }, "proxy-loopback"},
		{"the engine's own platform", func(m *Machine) { m.Getenv = environment(map[string]string{"DOCKER_DEFAULT_PLATFORM": "linux/amd64"}) }, ""},
		{"a variant of it", func(m *Machine) {
			m.Engine.Info.Architecture, m.Getenv = "aarch64", environment(map[string]string{"DOCKER_DEFAULT_PLATFORM": "linux/arm64/v8"})
		}, ""},
		{"a clock off by minutes", func(m *Machine) { m.Engine.Ahead = 4 * time.Minute }, ""},
		{"a clock that is ahead", func(m *Machine) { m.Engine.Ahead = 6 * time.Minute }, "clock-skew"},
		{"rootless, and the port is allowed", func(m *Machine) { m.Engine.Info.SecurityOptions, m.Kernel.Unprivileged = []string{"name=rootless"}, 80 }, ""},
		{"rootless with cgroup v1", func(m *Machine) {
			m.Engine.Info.SecurityOptions, m.Kernel.Unprivileged, m.Engine.Info.CgroupVersion = []string{"name=rootless"}, 80, "1"
		}, "rootless-limits"},
		{"in a container on the host's network", func(m *Machine) { m.Kernel.Container = true }, ""},
		{"a container that has been told apart from its engine", func(m *Machine) { m.Kernel.Container, m.Engine.Networks = true, nil }, ""},
		{"many nodes", func(m *Machine) { m.Lab.Nodes = 5 }, "inotify-limits"},
		{"few watches", func(m *Machine) { m.Kernel.Watches = 4096 }, "inotify-limits"},
		{"no limits seen, as on macOS", func(m *Machine) { m.Kernel = Kernel{Unprivileged: 1024} }, ""},
		{"Docker Desktop for macOS with its helper", func(m *Machine) {
			m.System, m.Engine.Info.OperatingSystem, m.Kernel.Helper = "darwin", "Docker Desktop", true
		}, ""},
		{"WSL with Windows' addresses", func(m *Machine) { m.Kernel.WSL, m.Kernel.Mirrored = true, true }, ""},
		{"Go from its repository", func(m *Machine) { m.Go.Version = "devel go1.27" }, ""},
		{"no Go", func(m *Machine) { m.Go = Go{} }, ""},
		{"root's own sudo", func(m *Machine) { m.Getenv = environment(map[string]string{"SUDO_USER": "root"}) }, ""},
		{"a certificate of tomorrow", func(m *Machine) {
			m.Lab.State, m.Kubectl.Since, m.Kubectl.Until = "running", m.Now.Add(time.Hour), m.Now.AddDate(1, 0, 0)
		}, "lab-certificates"},
		{"an old certificate of no lab", func(m *Machine) { m.Kubectl.Until = m.Now.AddDate(-1, 0, 0) }, ""},
		{"a lab that another process makes", func(m *Machine) {
			m.Lab.State, m.Engine.Records = broken, []string{"other"}
			m.Lab.Busy = func(string) bool { return true }
		}, ""},
		{"a lost lab", func(m *Machine) { m.Lab.State = lost }, "lab-broken"},
		{"another lab that is whole", func(m *Machine) {
			m.Engine.Records, m.Engine.Containers = []string{"other"}, []container.Summary{{Labels: map[string]string{clusterLabel: "other"}}}
		}, ""},
		{"a small disk for small files", func(m *Machine) { m.Folders[0].Free = 300 << 20 }, "disk-low"},
		{"no room for small files", func(m *Machine) { m.Folders[1].Free = 20 << 20 }, "disk-full"},
		{"an old engine on a full disk", func(m *Machine) { m.Engine.API, m.Folders[2].Free = "1.39", 1 }, "engine-old disk-full"},
		{"a taken port, and one that is reserved", func(m *Machine) {
			m.Taken = []TakenPort{{WantedPort: m.Lab.Ports[0], Container: "web"}, {WantedPort: WantedPort{"registry.port", port.Port{Number: 5001}}, Reserved: true}}
		}, "port-taken port-reserved"},
	} {
		seen := good()
		test.spoil(&seen)
		var ids []string
		for _, found := range Examine(seen) {
			ids = append(ids, found.ID)
		}
		if got := strings.Join(ids, " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestObstacles holds that `up` is kept by what it would not notice itself, and by no warning.
func TestObstacles(t *testing.T) {
	t.Parallel()
	seen := good()
	seen.Engine.API, seen.Engine.Info.CgroupVersion = "1.40", "1"
	found, _ := Early(seen)
	if len(found) != 1 || found[0].ID != "engine-old" {
		t.Fatalf("the obstacles are %v", found)
	}
	if hint := (messages.Printer{}).Hint(found[0].Failure()); !strings.Contains(hint, "docs.docker.com") {
		t.Errorf("the hint is %q", hint)
	}
	for _, rule := range Rules() {
		if rule.Stops && rule.Severity != Error {
			t.Errorf("%s stops `up` and is a warning", rule.ID)
		}
	}
}

// TestMatch holds that a failing command's error is told as the rule's, by the words of the engine or the system, and not by this
// program's own.
func TestMatch(t *testing.T) {
	t.Parallel()
	raw := func(words string) error {
		return messages.Errorf("kind cannot create the cluster %s", "web").Because(errors.New(words))
	}
	for _, test := range []struct {
		err        error
		says, next string
	}{
		{raw("docker: Error response from daemon: driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated"), "a port of the lab's is taken", "hellolab doctor"},
		{raw("open /var/lib/docker/x: no space left on device"), "a disk is full", "docker system df"},
		{raw("failed to create fsnotify watcher: too many open files"), "limits for watching files", "sysctl -w"},
		{raw("listen tcp 127.0.0.1:80: bind: An attempt was made to access a socket in a way forbidden by its access permissions."), "Windows keeps", "hellolab doctor"},
		{raw("Ports are not available: exposing port TCP 127.0.0.1:80 -> 0.0.0.0:0: listen tcp 127.0.0.1:80: bind: permission denied"), "Docker Desktop may not publish", "auto"},
		{raw("running kind with rootless provider requires setting systemd property \"Delegate=yes\""), "rootless Docker", "Delegate"},
		{raw("docker: Error response from daemon: privileged mode is incompatible with user namespaces"), "privileged", "docker context ls"},
		{raw("tls: failed to verify certificate: x509: certificate has expired or is not yet valid"), "clock", "hellolab doctor"},
		{errors.Join(errors.New("a"), raw("listen tcp6 [::1]:80: bind: cannot assign requested address")), "IPv6", "hellolab down"},
		{fmt.Errorf("get: %w", engine.Unusable{Reason: engine.Wedged, Told: messages.Errorf("the Docker Engine at %s does not respond", "x").WithHint("hellolab up")}), "does not respond", "up"},
		{raw("exit status 1"), "", ""},
		{messages.Errorf("a disk is full: no space left on device"), "", ""},
		{nil, "", ""},
	} {
		got := Match(test.err)
		if test.says == "" {
			if got != nil {
				t.Errorf("%v is told as %v", test.err, got)
			}
			continue
		}
		if got == nil || !strings.Contains(got.Error(), test.says) || !strings.Contains((messages.Printer{}).Hint(got), test.next) {
			t.Errorf("%v is told as %v", test.err, got)
		}
	}
}
