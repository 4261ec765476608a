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

// TestKilled kills `hellolab up` at five moments, three of them in the long walks only; the next one has to end healthy
// each time, and leave nothing of the first to trip over.
func TestKilled(t *testing.T) {
	t.Parallel()
	running := func(container string) func() bool {
		return func() bool {
			return strings.TrimSpace(docker(t, "ps", "-q", "--filter", "name=^"+container+"$")) != ""
		}
	}
	inNode := func(l *lab, args ...string) func() bool {
		return func() bool {
			return exec.Command("docker", append([]string{"exec", l.node()}, args...)...).Run() == nil
		}
	}
	const kubectl = "kubectl --kubeconfig=/etc/kubernetes/admin.conf "
	l := newLab(t, "e2e-killed", nil)
	for _, moment := range []struct {
		name    string
		long    bool
		reached func() bool
	}{
		{"the registry runs", true, running("e2e-killed-registry")},
		{"the node's container runs", true, running("e2e-killed-control-plane")},
		{"kubeadm has begun", false, inNode(l, "test", "-e", "/etc/kubernetes/manifests/etcd.yaml")},
		{"the cluster is finished", true, inNode(l, "test", "-e", "/kind/hellolab")},
		{"the ingress controller is being installed", false, inNode(l, "sh", "-c",
			kubectl+"get secret -n ingress-nginx -l owner=helm -o name | grep .")},
	} {
		if moment.long && os.Getenv("LONG") == "" {
			continue
		}
		t.Run(moment.name, func(t *testing.T) {
			l := l.in(t)
			command := l.command("up")
			l.check(command.Start())
			eventually(t, moment.name, moment.reached)
			l.check(command.Process.Kill())
			command.Wait()

			l.must("up")
			l.healthy()
			if again := l.must("up"); !strings.Contains(again.stderr, "nothing to change") {
				t.Errorf("the next up still changes something:\n%s", again.stderr)
			}
			l.must("down")
			if left := docker(t, "ps", "-aq", "--filter", "label=io.x-k8s.kind.cluster="+l.name); left != "" {
				t.Errorf("down leaves %s", left)
			}
		})
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
		l.fails(1, []string{"up", "--config", file}, "port "+strconv.Itoa(port)+" is taken by the program e2e.test", "bootstrap.ports.http: auto")
	})
	t.Run("a port taken by a container", func(t *testing.T) {
		l := l.in(t)
		docker(t, "run", "--detach", "--name", foreign, "--publish", "127.0.0.1::80", "nginx")
		defer docker(t, "rm", "-fv", foreign)
		_, published, _ := net.SplitHostPort(strings.TrimSpace(docker(t, "port", foreign, "80")))
		number, _ := strconv.Atoi(published)
		file := l.writeSettings("taken.yaml", map[string]any{"registry": map[string]any{"port": number}})
		l.fails(1, []string{"up", "--config", file}, "port "+published+" is taken by the container "+foreign)
	})
	t.Run("no engine", func(t *testing.T) {
		l := l.in(t)
		command := l.command("up")
		command.Env = append(command.Env, "DOCKER_HOST=unix://"+filepath.Join(l.folder, "no.sock"))
		l.failed(l.wait(command), 1, "no Docker Engine answers", "next: ")
	})
	t.Run("no docker command", func(t *testing.T) {
		l := l.in(t)
		command := l.command("up")
		command.Env = append(command.Env, "PATH="+l.folder)
		l.failed(l.wait(command), 1, "the docker command is not on this machine's PATH", "next: ")
	})
	t.Run("a kubeconfig that cannot be read", func(t *testing.T) {
		l := l.in(t)
		broken := filepath.Join(l.folder, "broken")
		l.check(os.WriteFile(broken, []byte("{"), 0o600))
		command := l.command("up")
		command.Env = append(command.Env, "KUBECONFIG="+broken)
		l.failed(l.wait(command), 1, "kubectl's configuration cannot be read", "next: ")
	})
	if left := docker(t, "ps", "-aq", "--filter", "name="+l.name) + docker(t, "volume", "ls", "-q", "--filter", "name="+l.name); left != "" {
		t.Errorf("something was created: %s", left)
	}
	t.Run("a cluster of that name", func(t *testing.T) {
		l := l.in(t)
		docker(t, "run", "--detach", "--name", l.node(), "--label", "io.x-k8s.kind.cluster="+l.name, "--label", "io.x-k8s.kind.role=control-plane", "nginx")
		l.fails(1, []string{"up"}, "there is a kind cluster named e2e-refused already", "--name NAME")
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
		l.fails(1, []string{"up"}, "a container named e2e-refused-registry exists already", "docker rename")
	})
	t.Run("start of a lab that is not there", func(t *testing.T) {
		l.in(t).fails(1, []string{"start"}, "there is no lab named e2e-refused", "next: hellolab up")
	})
}

// TestWorkers makes a cluster of three nodes without an ingress controller; every node pulls from the lab's registry.
func TestWorkers(t *testing.T) {
	if os.Getenv("LONG") == "" {
		t.Skip("make test-long runs it")
	}
	l := newLab(t, "e2e-workers", nil)
	l.must("up", "--workers", "2", "--no-ingress")
	if found := l.healthy(); len(found.Nodes) != 3 || found.Ingress.State != "absent" {
		t.Errorf("the lab is %+v", found)
	}
	l.kubectl(strings.NewReplacer("kind: Deployment", "kind: DaemonSet", "  replicas: 2\n", "", "nginx-deployment", "nginx").Replace(
		course[strings.LastIndex(course, "apiVersion: apps/v1"):strings.Index(course, "apiVersion: batch/v1")-4]), "apply", "-f", "-")
	eventually(t, "nginx runs on the two workers", func() bool {
		return l.kubectl("", "get", "ds", "nginx", "-o", "jsonpath={.status.numberReady}") == "2"
	})
	l.must("stop")
	l.must("up")
	l.healthy()
}
