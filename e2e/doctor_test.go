//go:build e2e

package e2e

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDoctor has each rule of `hellolab doctor` fire where its condition can be made without harm to others on the machine, and
// be silent elsewhere; then it looks for planted secrets in what `hellolab logs` collects.
func TestDoctor(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-doctor", nil)
	part := func(name string, do func(l *lab)) { t.Run(name, func(t *testing.T) { do(l.in(t)) }) }

	part("a good machine", (*lab).isWell)
	for _, made := range conditions() {
		part(made.name, func(l *lab) { l.firesFor(made) })
	}
	part("a port taken", (*lab).hasAPortTaken)
	part("leftovers of another lab", (*lab).findsLeftovers)
	part("a cluster of that name", (*lab).findsAForeignCluster)
	part("another network's route", (*lab).findsAClash)
	part("up looks first", (*lab).upLooksFirst)
	part("a shell with settings for kind", (*lab).comesUpAllTheSame)
	part("a part removed", (*lab).findsItselfBroken)
	part("logs", (*lab).collectsLogs)
	part("logs, paused", (*lab).collectsWhilePaused)
	part("logs, no engine", (*lab).collectsWithoutEngine)
}

// finding is one of `hellolab doctor -o json`.
type finding struct{ ID, Severity, Text, Cause, Next string }

// usual are warnings that are about the machine which the tests run on.
var usual = []string{"cgroup-v1", "inotify-limits", "disk-low", "go-old", "memory-low", "cpu-low", "wsl-addresses", "sudo", "unanswered"}

// longestLook is how long `doctor` may take.
const longestLook = 3 * time.Second

// doctor runs `hellolab doctor` in an environment, and returns what it finds beside what is usual.
func (l *lab) doctor(settings []string, args ...string) []finding {
	l.Helper()
	command := l.command(append([]string{"doctor", "-o", "json"}, args...)...)
	command.Env = append(command.Env, settings...)
	return l.findings(command)
}

func (l *lab) findings(command *exec.Cmd) []finding {
	l.Helper()
	done := l.wait(command)
	var all []finding
	l.check(json.Unmarshal([]byte(done.stdout), &all))
	wrong := slices.ContainsFunc(all, func(f finding) bool { return f.Severity == "error" })
	if want := map[bool]int{true: 1}[wrong]; done.status != want {
		l.Errorf("it ends with status %d, not %d", done.status, want)
	}
	if limit := longestLook + time.Duration(busy())*time.Second; done.took > limit {
		l.Errorf("it takes %s", done.took)
	}
	for _, f := range all {
		if f.Text == "" || f.Cause == "" || f.Next == "" {
			l.Errorf("something is missing of %+v", f)
		}
	}
	return slices.DeleteFunc(all, func(f finding) bool { return slices.Contains(usual, f.ID) })
}

// busy is how many processes wait for each processor of this machine beside one.
func busy() int {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	load, _ := strconv.ParseFloat(strings.Fields(string(content))[0], 64)
	return max(0, int(load)/runtime.NumCPU()-1)
}

func (l *lab) isWell() {
	if found := l.doctor(nil); len(found) > 0 {
		l.Errorf("of a good machine it says %+v", found)
	}
	for _, language := range []string{"en", "zh"} {
		done := l.must("doctor", "--lang", language)
		if done.stdout == "" {
			l.Errorf("in %s it says nothing", language)
		}
	}
}

// condition is how a rule is made to fire.
type condition struct {
	name, rule string
	args       []string
	// settings makes the condition, and returns what it is in the environment.
	settings func(l *lab) []string
	// next is in what is to be done, a regular expression.
	next string
}

func set(settings ...string) func(*lab) []string { return func(*lab) []string { return settings } }

func conditions() []condition {
	return []condition{
		{name: "minikube's shell", rule: "engine-minikube", next: `unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH MINIKUBE_ACTIVE_DOCKERD$`,
			settings: set("DOCKER_HOST=tcp://192.168.49.2:2376", "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/home/me/.minikube/certs", "MINIKUBE_ACTIVE_DOCKERD=minikube")},
		{name: "minikube's shell, at loopback", rule: "engine-minikube", next: `unset DOCKER_HOST MINIKUBE_ACTIVE_DOCKERD$`,
			settings: set("DOCKER_HOST=tcp://127.0.0.1:32862", "MINIKUBE_ACTIVE_DOCKERD=minikube")},
		{name: "an engine on another machine", rule: "engine-elsewhere", settings: set("DOCKER_HOST=tcp://docker:2375"), next: `unset DOCKER_HOST$`},
		{name: "a context that is not there", rule: "docker-context", settings: set("DOCKER_CONTEXT=nowhere"), next: `unset DOCKER_CONTEXT$`},
		{name: "no engine", rule: "engine-stopped", settings: func(l *lab) []string { return []string{"DOCKER_HOST=unix://" + filepath.Join(l.folder, "no.sock")} }, next: "systemctl start"},
		{name: "an engine that never answers", rule: "engine-wedged", settings: wedged, next: "systemctl restart"},
		{name: "podman", rule: "engine-podman", next: "docker context ls", settings: answers("/version", func(answer map[string]any) {
			answer["Components"] = []any{map[string]any{"Name": "Podman Engine", "Version": "5.4.2"}}
		})},
		{name: "an old engine", rule: "engine-old", next: "docs.docker.com", settings: answers("/version", func(answer map[string]any) { answer["ApiVersion"] = "1.40" })},
		{name: "Windows containers", rule: "engine-windows", next: "Linux containers", settings: answers("/info", func(answer map[string]any) { answer["OSType"] = "windows" })},
		{name: "an engine outside of this container", rule: "engine-outside", next: "--network host", settings: answers("/networks", nil)},
		{name: "rootless without limits", rule: "rootless-limits", next: "Delegate=yes", settings: answers("/info", func(answer map[string]any) {
			answer["SecurityOptions"], answer["CgroupVersion"], answer["PidsLimit"] = []any{"name=rootless"}, "2", false
		})},
		{name: "rootless with low ports", rule: "rootless-ports", next: `ip_unprivileged_port_start=1\b`, args: []string{"--set", "bootstrap.ports.http=1"}, settings: answers("/info", func(answer map[string]any) {
			answer["SecurityOptions"], answer["CgroupVersion"], answer["MemoryLimit"], answer["PidsLimit"], answer["CPUShares"] = []any{"name=rootless"}, "2", true, true, true
		})},
		{name: "an authorization plugin", rule: "privileged-plugin", next: "docker context ls", settings: answers("/info", func(answer map[string]any) {
			answer["Plugins"] = map[string]any{"Authorization": []any{"opa"}}
		})},
		{name: "a clock behind", rule: "clock-skew", next: "set-ntp", settings: answers("/info", func(answer map[string]any) { answer["SystemTime"] = "2020-01-01T00:00:00Z" })},
		{name: "no docker command", rule: "docker-command", settings: func(l *lab) []string { return []string{"PATH=" + l.TempDir()} }, next: "docker"},
		{name: "no folder for temporary files", rule: "folder-unwritable", settings: set("TMPDIR=/nonexistent"), next: `unset TMPDIR; .*mkdir -p /nonexistent`},
		{name: "a kubeconfig of no YAML", rule: "kubeconfig-broken", settings: kubeconfig("{"), next: "KUBECONFIG=FILE"},
		{name: "a context that is gone", rule: "kubeconfig-context", settings: kubeconfig("apiVersion: v1\nkind: Config\ncurrent-context: minikube\n"), next: "kubectl config"},
		{name: "a kubeconfig where nothing can be written", rule: "kubeconfig-readonly", settings: set("KUBECONFIG=/proc/kubeconfig"), next: "KUBECONFIG=FILE"},
		{name: "broken JSON of the docker command's", rule: "docker-config", settings: dockerConfig(`{"auths":{},}`), next: `^.*: mv \S+config.json \S+config.json.old$`},
		{name: "a helper that is not there", rule: "credential-helper", settings: dockerConfig(`{"credsStore":"desktop.exe"}`), next: "credsStore"},
		{name: "a proxy in the docker command's", rule: "proxy-loopback", settings: dockerConfig(`{"proxies":{"default":{"httpsProxy":"http://127.0.0.1:7890"}}}`), next: "containers reach"},
		{name: "a proxy on loopback", rule: "proxy-loopback", settings: set("HTTPS_PROXY=http://127.0.0.1:7890"), next: "unset HTTPS_PROXY"},
		{name: "another platform", rule: "default-platform", settings: set("DOCKER_DEFAULT_PLATFORM=linux/s390x"), next: "^unset DOCKER_DEFAULT_PLATFORM$"},
		{name: "sudo", rule: "sudo", settings: set("SUDO_USER=me"), next: "hellolab"},
		{name: "many nodes for few inotify instances", rule: "inotify-limits", args: []string{"--set", "bootstrap.workers=9"}, settings: set(), next: "sudo sysctl -w fs.inotify"},
		{name: "little memory", rule: "memory-low", next: ".", settings: answers("/info", func(answer map[string]any) { answer["MemTotal"] = 1 << 30 })},
		{name: "one processor", rule: "cpu-low", next: ".", settings: answers("/info", func(answer map[string]any) { answer["NCPU"] = 1 })},
		{name: "cgroup v1", rule: "cgroup-v1", next: "cgroup", settings: answers("/info", func(answer map[string]any) { answer["CgroupVersion"] = "1" })},
		{name: "an old Go", rule: "go-old", next: "go.dev", settings: oldGo},
		{name: "a full disk", rule: "disk-full", next: "docker system df", settings: fullDisk},
	}
}

// firesFor holds that a condition is found, with what is to be done, and that it is the only one.
func (l *lab) firesFor(made condition) {
	l.Helper()
	settings := made.settings(l)
	command := l.command(append([]string{"doctor", "-o", "json"}, made.args...)...)
	command.Env = append(command.Env, settings...)
	done := l.wait(command)
	if limit := longestLook + time.Duration(busy())*time.Second; done.took > limit {
		l.Errorf("it takes %s", done.took)
	}
	var all []finding
	l.check(json.Unmarshal([]byte(done.stdout), &all))
	found := false
	for _, f := range all {
		switch {
		case f.ID == made.rule:
			found = true
			if !regexp.MustCompile(made.next).MatchString(f.Next) {
				l.Errorf("the next is %q, not %s", f.Next, made.next)
			}
		case !slices.Contains(usual, f.ID):
			l.Errorf("beside %s it finds %+v", made.rule, f)
		}
	}
	switch isLimit := made.rule == "inotify-limits" || made.rule == "engine-outside"; {
	case !found && isLimit:
		l.Skip("this machine has no such condition")
	case !found:
		l.Errorf("%s is not found, but %+v", made.rule, all)
	}
}

// wedged is an engine that accepts calls and never answers.
func wedged(l *lab) []string {
	socket := filepath.Join(l.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	l.check(err)
	l.Cleanup(func() { listener.Close() })
	go func() {
		for {
			if _, err := listener.Accept(); err != nil {
				return
			}
		}
	}()
	return []string{"DOCKER_HOST=unix://" + socket}
}

// answers is the real engine with a change of one of its answers. Without one, the gateways of its networks are elsewhere.
func answers(call string, change func(map[string]any)) func(l *lab) []string {
	return func(l *lab) []string {
		real := strings.TrimPrefix(strings.TrimSpace(docker(l, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")), "unix://")
		socket := filepath.Join(l.TempDir(), "docker.sock")
		listener, err := net.Listen("unix", socket)
		l.check(err)
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
		proxy.Transport = &http.Transport{Dial: func(string, string) (net.Conn, error) {
			return net.Dial("unix", real)
		}}
		proxy.ModifyResponse = func(response *http.Response) error {
			if !strings.HasSuffix(response.Request.URL.Path, call) {
				return nil
			}
			content, err := io.ReadAll(response.Body)
			if err != nil {
				return err
			}
			content = changed(content, change)
			response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
			response.Header.Set("Content-Length", strconv.Itoa(len(content)))
			return nil
		}
		server := &http.Server{Handler: proxy}
		go server.Serve(listener)
		l.Cleanup(func() { server.Close() })
		return []string{"DOCKER_HOST=unix://" + socket}
	}
}

func changed(content []byte, change func(map[string]any)) []byte {
	if change == nil {
		return regexp.MustCompile(`"Gateway":"[0-9.]+"`).ReplaceAll(content, []byte(`"Gateway":"172.31.255.1"`))
	}
	var answer map[string]any
	if json.Unmarshal(content, &answer) == nil {
		change(answer)
		content, _ = json.Marshal(answer)
	}
	return content
}

func kubeconfig(content string) func(l *lab) []string {
	return func(l *lab) []string { return []string{"KUBECONFIG=" + l.write("kubeconfig", content)} }
}

func dockerConfig(content string) func(l *lab) []string {
	return func(l *lab) []string {
		return []string{"DOCKER_CONFIG=" + filepath.Dir(l.write("config.json", content))}
	}
}

// write writes a file into a folder of its own.
func (l *lab) write(name, content string) string {
	l.Helper()
	file := filepath.Join(l.TempDir(), name)
	l.check(os.WriteFile(file, []byte(content), 0o700))
	return file
}

// oldGo is this machine's Go with another version in it, which `doctor` reads and does not run.
func oldGo(l *lab) []string {
	program, err := exec.LookPath("go")
	if err != nil {
		l.Skip("there is no Go here")
	}
	program, err = filepath.EvalSymlinks(program)
	l.check(err)
	content, err := os.ReadFile(program)
	l.check(err)
	built, err := buildinfo.ReadFile(program)
	l.check(err)
	old := "go1.19." + strings.Repeat("1", len(built.GoVersion)-len("go1.19."))
	file := l.write("go", "")
	l.check(os.WriteFile(file, bytes.ReplaceAll(content, []byte(built.GoVersion), []byte(old)), 0o700))
	return []string{"PATH=" + filepath.Dir(file) + string(os.PathListSeparator) + os.Getenv("PATH")}
}

// fullDisk is a small disk for temporary files with nothing left on it.
func fullDisk(l *lab) []string {
	folder := l.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder).Run(); err != nil {
		l.Skip("only root can make a small disk: ", err)
	}
	l.Cleanup(func() { exec.Command("umount", folder).Run() })
	return []string{"TMPDIR=" + folder}
}

func (l *lab) hasAPortTaken() {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	l.check(err)
	defer taken.Close()
	number := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	found := l.doctor(nil, "--set", "bootstrap.ports.http="+number)
	if len(found) != 1 || found[0].ID != "port-taken" || !strings.Contains(found[0].Text, number) || !strings.Contains(found[0].Text, filepath.Base(os.Args[0])) {
		l.Errorf("it finds %+v", found)
	}
}

// findsLeftovers has the record of a lab without its cluster found, and gone when the command is typed that is named.
func (l *lab) findsLeftovers() {
	name := l.name + "-rest"
	docker(l, "volume", "create", "--label", "io.github.hellolab.lab="+name, name+"-settings")
	defer exec.Command("docker", "volume", "rm", "-f", name+"-settings").Run()
	rest := func() (found []finding) {
		for _, f := range l.doctor(nil) {
			if f.ID == "lab-leftover" && strings.Contains(f.Text, name) {
				found = append(found, f)
			}
		}
		return found
	}
	found := rest()
	if len(found) != 1 {
		l.Fatalf("it finds %+v", found)
	}
	_, command, _ := strings.Cut(found[0].Next, ": ")
	l.shell(command)
	if found := rest(); len(found) > 0 {
		l.Errorf("after %s it finds %+v", command, found)
	}
}

func (l *lab) findsAForeignCluster() {
	docker(l, "run", "--detach", "--name", l.node(), "--label", "io.x-k8s.kind.cluster="+l.name, "--label", "io.x-k8s.kind.role=control-plane", "nginx")
	defer docker(l, "rm", "-fv", l.node())
	if found := l.doctor(nil); len(found) != 1 || found[0].ID != "lab-foreign" {
		l.Errorf("it finds %+v", found)
	}
}

// findsAClash looks from a network namespace that has another route, as a VPN makes one; the engine's socket leads out of it.
func (l *lab) findsAClash() {
	if os.Getuid() != 0 {
		l.Skip("only root can make a route")
	}
	command := l.command("doctor", "-o", "json")
	command.Args = append([]string{"unshare", "--net", "sh", "-c", `ip link set lo up && ip route add blackhole 10.244.77.0/24 && exec "$0" "$@"`, command.Path}, command.Args[1:]...)
	command.Path, _ = exec.LookPath("unshare")
	found := slices.DeleteFunc(l.findings(command), func(f finding) bool { return f.ID != "subnet-clash" })
	if len(found) != 1 || !strings.Contains(found[0].Text, "10.244.77.0/24") {
		l.Errorf("it finds %+v", found)
	}
}

// upLooksFirst holds that `up` says what a rule says, and makes nothing.
func (l *lab) upLooksFirst() {
	for _, made := range conditions() {
		if !slices.Contains([]string{"engine-minikube", "engine-old", "engine-windows", "engine-podman", "folder-unwritable", "rootless-limits", "disk-full"}, made.rule) {
			continue
		}
		command := l.command("up")
		command.Env = append(command.Env, made.settings(l)...)
		l.failed(l.wait(command), 1, words{"error: ", "next: .*" + strings.TrimLeft(strings.TrimSuffix(made.next, "$"), "^")})
	}
	if left := docker(l, "volume", "ls", "-q", "--filter", "label=io.github.hellolab.lab="+l.name); left != "" {
		l.Errorf("it has made %s", left)
	}
	l.fails(1, []string{"stop"}, append(slices.Clone(noLab), `unix:///\S+`)) // in which engine
}

// planted are secrets that must not be in any archive, nor in what -v shows.
const (
	plantedProxy  = "pl4nted-for-the-proxy"
	plantedSecret = "pl4nted-in-a-secret"
	plantedEnv    = "pl4nted-in-the-environment"
)

// comesUpAllTheSame makes the lab in a shell that has settings for kind, and a proxy with a password that nodes cannot reach.
func (l *lab) comesUpAllTheSame() {
	command := l.command("up", "--no-images", "-v")
	command.Env = append(command.Env, "DOCKER_DEFAULT_PLATFORM=linux/s390x", "KIND_EXPERIMENTAL_DOCKER_NETWORK=nowhere",
		"HTTP_PROXY=http://me:"+plantedProxy+"@127.0.0.1:7890")
	done := l.wait(command)
	if done.status != 0 {
		l.Fatal("it does not come up")
	}
	if strings.Contains(done.stdout+done.stderr, plantedProxy) {
		l.Error("-v shows the proxy's password")
	}
	l.healthy()
	if found := l.doctor(nil); len(found) > 0 {
		l.Errorf("of a healthy lab it says %+v", found)
	}
}

// findsItselfBroken has the lab mended by the command that is named.
func (l *lab) findsItselfBroken() {
	docker(l, "stop", l.name+"-registry")
	found := l.doctor(nil)
	if len(found) != 1 || found[0].ID != "lab-broken" || !strings.Contains(found[0].Next, "up") {
		l.Fatalf("it finds %+v", found)
	}
	l.must("up", "--no-images")
	if found := l.doctor(nil); len(found) > 0 {
		l.Errorf("after up it finds %+v", found)
	}
}

// collectsLogs plants secrets in the cluster, and looks for them in the archive.
func (l *lab) collectsLogs() {
	l.kubectl("", "create", "secret", "generic", "planted", "--from-literal=word="+plantedSecret)
	l.apply(`{apiVersion: v1, kind: Pod, metadata: {name: talker}, spec: {containers: [{name: box, image: busybox,
  command: [sh, -c, "echo it is $WORD, hello; exec sleep 3600"],
  env: [{name: WORD, valueFrom: {secretKeyRef: {name: planted, key: word}}}, {name: API_TOKEN, value: ` + plantedEnv + `}]}]}}`)
	l.kubectl("", "wait", "--for=condition=Ready", "pod/talker", "--timeout=3m")
	file := filepath.Join(l.folder, "report.zip")
	done := l.must("logs", file)
	if done.stdout != file+"\n" {
		l.Errorf("it prints %q", done.stdout)
	}
	files := l.unpack(file)
	for name, has := range map[string]string{
		"version.json": `"kind"`, "config.json": "bootstrap", "recorded.json": "Bootstrap|bootstrap", "status.json": `"running"`, "doctor.json": `\[`, "lock.json": "held",
		"engine/info.json": "ServerVersion", "containers/" + l.node() + "/inspect.json": "PortBindings", "containers/" + l.node() + "/log.txt": ".",
		"containers/" + l.name + "-registry/log.txt": ".", "nodes/" + l.node() + "/kubelet.log": "kubelet", "nodes/" + l.node() + "/containerd.log": "containerd",
		"objects/default/Pod.json": "talker", "objects/default/Secret.json": `"word"`, "objects/kube-system/Pod.json": "etcd", "objects/default/Event.json": "talker",
		"objects/_cluster/Node.json": l.node(), "pods/default/talker/box.log": "it is REDACTED, hello", "missing.json": `\[|null`,
	} {
		if !regexp.MustCompile(has).MatchString(files[name]) {
			l.Errorf("%s has no %q in its %d bytes", name, has, len(files[name]))
		}
	}
	l.T.Logf("missing: %s", files["missing.json"])
	l.holdsNoSecret(files)
	if found, err := os.Stat(file); err != nil || found.Mode().Perm() != 0o600 {
		l.Errorf("its mode is %v, %v", found.Mode(), err)
	}
	l.fails(2, []string{"logs", file}, fileExists)
	l.must("logs", "--force", file)
}

// holdsNoSecret looks for what was planted, and for the keys and tokens of the lab itself.
func (l *lab) holdsNoSecret(files map[string]string) {
	l.Helper()
	secrets := []string{plantedProxy, plantedSecret, plantedEnv, "-----BEGIN RSA PRIVATE KEY", "-----BEGIN PRIVATE KEY", "-----BEGIN EC PRIVATE KEY"}
	for _, planted := range []string{plantedProxy, plantedSecret, plantedEnv} {
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(planted)))
	}
	key := l.kubectl("", "config", "view", "--raw", "-o", "jsonpath={.users[?(@.name==\"kind-"+l.name+"\")].user.client-key-data}")
	tokens := l.kubectl("", "get", "secrets", "-A", "-o", `jsonpath={range .items[*]}{.data.token-secret}{"\n"}{end}`)
	for _, secret := range append(strings.Fields(tokens), key) {
		secrets = append(secrets, secret)
		if plain, err := base64.StdEncoding.DecodeString(secret); err == nil && len(plain) < 100 {
			secrets = append(secrets, string(plain))
		}
	}
	for name, content := range files {
		for _, secret := range secrets {
			if secret != "" && strings.Contains(content, secret) {
				l.Errorf("%s holds %.20q", name, secret)
			}
		}
	}
}

// collectsWhilePaused holds that what a frozen lab cannot tell is noted, and keeps nobody waiting.
func (l *lab) collectsWhilePaused() {
	l.must("pause")
	file := filepath.Join(l.folder, "paused.zip")
	done := l.must("logs", file)
	if done.took > time.Minute+time.Duration(busy())*10*time.Second {
		l.Errorf("it takes %s", done.took)
	}
	files := l.unpack(file)
	if files["containers/"+l.node()+"/inspect.json"] == "" || !strings.Contains(files["status.json"], "paused") {
		l.Error("what can be had is not there")
	}
	for _, part := range []string{"journals", "objects", "pod-logs"} {
		if !strings.Contains(files["missing.json"], `"`+part+`"`) {
			l.Errorf("%s is not noted: %s", part, files["missing.json"])
		}
	}
	l.must("resume")
	l.holdsNoSecret(files)
}

// collectsWithoutEngine holds that an archive is written where no engine answers, and where one hangs.
func (l *lab) collectsWithoutEngine() {
	for name, settings := range map[string][]string{"engine-stopped": {"DOCKER_HOST=unix:///nonexistent/docker.sock"}, "engine-wedged": wedged(l)} {
		file := filepath.Join(l.folder, name+".zip")
		command := l.command("logs", file)
		command.Env = append(command.Env, settings...)
		if done := l.wait(command); done.status != 0 || done.took > time.Minute {
			l.Errorf("it ends with status %d after %s", done.status, done.took)
		}
		if files := l.unpack(file); !strings.Contains(files["doctor.json"], name) || !strings.Contains(files["missing.json"], `"containers"`) {
			l.Errorf("it says %s and %s", files["doctor.json"], files["missing.json"])
		}
	}
}

// unpack returns the files of an archive.
func (l *lab) unpack(file string) map[string]string {
	l.Helper()
	archive, err := zip.OpenReader(file)
	l.check(err)
	defer archive.Close()
	files := map[string]string{}
	for _, entry := range archive.File {
		content, err := entry.Open()
		l.check(err)
		read, err := io.ReadAll(content)
		l.check(err)
		files[entry.Name] = string(read)
	}
	return files
}
