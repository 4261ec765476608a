//go:build e2e

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A moment of `hellolab up` is what can be seen from outside once it is reached.
type moment struct {
	name    string
	long    bool // with LONG=1 only
	reached func(l *lab) bool
}

// moments are in the order in which `up` comes to them.
var moments = []moment{
	{"the registry runs", true, runs("-registry")},
	{"the node's container runs", true, runs("-control-plane")},
	{"kubeadm has begun", false, inNode("test -e /etc/kubernetes/manifests/etcd.yaml")},
	{"the cluster is finished", true, inNode("test -e /kind/hellolab")},
	{"the ingress controller is being installed", false,
		inNode("kubectl --kubeconfig=/etc/kubernetes/admin.conf get secret -n ingress-nginx -l owner=helm -o name | grep .")},
}

func runs(container string) func(l *lab) bool {
	return func(l *lab) bool {
		return strings.TrimSpace(docker(l, "ps", "-q", "--filter", "name=^"+l.name+container+"$")) != ""
	}
}

func inNode(line string) func(l *lab) bool {
	return func(l *lab) bool { return exec.Command("docker", "exec", l.node(), "sh", "-c", line).Run() == nil }
}

// killsUp kills `hellolab up` at a moment.
func (l *lab) killsUp(m moment, flags ...string) {
	l.Helper()
	command := l.command(append([]string{"up"}, flags...)...)
	l.check(command.Start())
	defer command.Wait()
	defer command.Process.Kill()
	eventually(l, m.name, func() bool { return m.reached(l) })
}

// TestKilled kills `hellolab up` at each of its moments; the next one has to end healthy each time, and leave nothing of the
// first to trip over. TestLab does so at two of them.
func TestKilled(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-killed", nil)
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			l := l.in(t)
			l.killsUp(m)
			l.must("up")
			l.healthy()
			l.says(l.must("up").stderr, nothingToChange)
			l.must("down")
			if left := docker(t, "ps", "-aq", "--filter", "label=io.x-k8s.kind.cluster="+l.name); left != "" {
				t.Errorf("down leaves %s", left)
			}
		})
	}
}

// long skips a test that only make test-long runs.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("LONG") == "" {
		t.Skip("make test-long runs it")
	}
}

// TestRefused tries what cannot work: each time the cause and the next command are named, and nothing is created.
func TestRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	l := newLab(t, "e2e-refused", nil)

	t.Run("a port taken by a program", func(t *testing.T) {
		l := l.in(t)
		file := l.writeSettings("taken.yaml", map[string]any{"bootstrap": map[string]any{"ports": map[string]any{"http": port}}})
		l.fails(1, []string{"up", "--config", file}, append(portTaken(strconv.Itoa(port), filepath.Base(os.Args[0])), `bootstrap\.ports\.http\W+auto`))
	})
	t.Run("a port taken by a container", func(t *testing.T) {
		l := l.in(t)
		docker(t, "run", "--detach", "--name", foreign, "--publish", "127.0.0.1::80", "nginx")
		defer docker(t, "rm", "-fv", foreign)
		_, published, _ := net.SplitHostPort(strings.TrimSpace(docker(t, "port", foreign, "80")))
		number, _ := strconv.Atoi(published)
		file := l.writeSettings("taken.yaml", map[string]any{"registry": map[string]any{"port": number}})
		l.fails(1, []string{"up", "--config", file}, portTaken(published, foreign))
	})
	t.Run("no engine", func(t *testing.T) {
		l := l.in(t)
		command := l.command("up")
		command.Env = append(command.Env, "DOCKER_HOST=unix://"+filepath.Join(l.folder, "no.sock"))
		l.failed(l.wait(command), 1, noEngine)
	})
	t.Run("no docker command", func(t *testing.T) {
		l := l.in(t)
		command := l.command("up")
		command.Env = append(command.Env, "PATH="+l.folder)
		l.failed(l.wait(command), 1, noDocker)
	})
	t.Run("a kubeconfig that cannot be read", func(t *testing.T) {
		l := l.in(t)
		broken := filepath.Join(l.folder, "broken")
		l.check(os.WriteFile(broken, []byte("{"), 0o600))
		command := l.command("up")
		command.Env = append(command.Env, "KUBECONFIG="+broken)
		l.failed(l.wait(command), 1, brokenKubeconfig)
	})
	if left := docker(t, "ps", "-aq", "--filter", "name="+l.name) + docker(t, "volume", "ls", "-q", "--filter", "name="+l.name); left != "" {
		t.Errorf("something was created: %s", left)
	}
	t.Run("a cluster of that name", func(t *testing.T) {
		l := l.in(t)
		docker(t, "run", "--detach", "--name", l.node(), "--label", "io.x-k8s.kind.cluster="+l.name, "--label", "io.x-k8s.kind.role=control-plane", "nginx")
		l.fails(1, []string{"up"}, clusterExists)
		l.must("down")
		if running := docker(t, "inspect", "--format", "{{.State.Running}}", l.node()); running != "true\n" {
			t.Errorf("down touched a cluster that is not the lab's")
		}
	})
	t.Run("a container of the registry's name", func(t *testing.T) {
		l := l.in(t)
		l.removeEverything()
		docker(t, "run", "--detach", "--name", l.name+"-registry", "nginx")
		defer docker(t, "rm", "-fv", l.name+"-registry")
		l.fails(1, []string{"up"}, containerExists)
	})
	t.Run("start of a lab that is not there", func(t *testing.T) {
		l.in(t).fails(1, []string{"start"}, noLab)
	})
}

// TestWorkers makes a cluster of three nodes without an ingress controller; every node pulls from the lab's registry.
func TestWorkers(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-workers", nil)
	l.must("up", "--workers", "2", "--no-ingress")
	if found := l.healthy(); len(found.Nodes) != 3 || found.Ingress.State != "absent" {
		t.Errorf("the lab is %+v", found)
	}
	l.apply(strings.NewReplacer("kind: Deployment", "kind: DaemonSet", "  replicas: 2\n", "").Replace(nginxYAML("nginx", "nginx", 2)))
	eventually(t, "nginx runs on the two workers", func() bool {
		return l.kubectl("", "get", "ds", "nginx", "-o", "jsonpath={.status.numberReady}") == "2"
	})
	l.must("stop")
	l.must("up")
	l.healthy()
}
