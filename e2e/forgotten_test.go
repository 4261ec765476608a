//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestForgotten takes things of the lab away, as prunes, settings of the machine and restarts do, on an engine of its own. Each
// time the lab comes back with the reader's objects, or it is said that they are lost before anything new is made.
func TestForgotten(t *testing.T) {
	long(t)
	onItsOwn(t, func(e *engine) {
		l := newLab(t, "e2e-forgotten", nil)
		l.must("up", "--no-images")
		l.kubectl("", "create", "configmap", "mine", "--from-literal=a=b")
		part := func(name string, do func(l *lab)) { t.Run(name, func(t *testing.T) { do(l.in(t)) }) }

		part("docker volume prune, while it runs", (*lab).losesItsRecord)
		part("its registry removed", (*lab).losesItsRegistry)
		part("a node drained", (*lab).isDrained)
		part("IPv6 switched off, docker network prune, while it is stopped", (*lab).losesItsNetwork)
		part("an engine that does not respond", func(l *lab) { l.hangsWith(e) })
		part("an engine restarted", func(l *lab) { l.restartsWith(e) })
		part("a hellolab suspended, and ended", (*lab).isSuspended)
		part("a kubeconfig on a full disk", (*lab).hasAFullDisk)
		part("docker system prune, while it is stopped", (*lab).losesItsCluster)
		part("all pruned, while it is stopped", (*lab).losesEverything)
	})
}

// keeps holds that what the reader made is there.
func (l *lab) keeps() {
	l.Helper()
	l.healthy()
	if got := l.kubectl("", "get", "configmap", "mine", "-o", "jsonpath={.data.a}"); got != "b" {
		l.Errorf("the reader's object has %q", got)
	}
}

func (l *lab) losesItsRecord() {
	docker(l, "volume", "prune", "--force")
	l.keeps()
	l.must("up", "--no-images")
	if docker(l, "volume", "ls", "-q", "--filter", "name="+l.name+"-settings") == "" {
		l.Error("up does not write the record again")
	}
	l.keeps()
}

func (l *lab) losesItsRegistry() {
	docker(l, "rm", "--force", l.name+"-registry")
	l.must("images", "list")
	if got := l.status(); got.State != "broken" || got.Registry.State != "absent" {
		l.Errorf("the lab is %+v", got)
	}
	l.must("images", "build", "--builder", "host", "v1")
	docker(l, "exec", l.node(), "getent", "hosts", l.name+"-registry")
	if got := strings.TrimSpace(docker(l, "inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", l.name+"-registry")); got != "kind" {
		l.Errorf("the registry is on the networks %s", got)
	}
	l.keeps()
}

func (l *lab) isDrained() {
	l.kubectl("", "drain", l.node(), "--ignore-daemonsets", "--delete-emptydir-data", "--force")
	if got := l.status(); got.State != "broken" {
		l.Errorf("the lab is %s", got.State)
	}
	l.says(l.must("up", "--no-images").stderr, words{"take pods again"})
	l.keeps()
}

func (l *lab) losesItsNetwork() {
	l.must("stop")
	const setting = "/proc/sys/net/ipv6/conf/all/disable_ipv6" // this network namespace's
	l.check(os.WriteFile(setting, []byte("1"), 0o644))
	defer os.WriteFile(setting, []byte("0"), 0o644)
	docker(l, "network", "prune", "--force")
	l.must("start")
	l.keeps()
}

func (l *lab) hangsWith(e *engine) {
	e.signal(syscall.SIGSTOP)
	for _, command := range [][]string{{"status"}, {"lab", "list"}, {"up"}} {
		done := l.run(command...)
		if done.status != 1 || done.took > 15*time.Second {
			l.Errorf("hellolab %s ends with status %d after %s", command, done.status, done.took)
		}
		l.says(done.stdout+done.stderr, words{"Docker Engine.*does not respond", "systemctl restart docker"})
	}
	e.signal(syscall.SIGCONT)
	l.keeps()
}

func (l *lab) restartsWith(e *engine) {
	e.stop()
	l.fails(1, []string{"status"}, words{"no Docker Engine answers", "systemctl start docker"})
	e.start()
	l.must("up", "--no-images")
	l.keeps()
}

// isSuspended stops a hellolab as Ctrl-Z does. Others name it, and what to type; it goes on then, and an end is heeded at once.
func (l *lab) isSuspended() {
	docker(l, "stop", "--time", "0", l.node()) // something to do
	up := l.command("up", "--no-images")
	l.check(up.Start())
	defer up.Wait()
	defer up.Process.Kill()
	eventually(l, "the node is started", func() bool { return l.runsNode() })
	l.check(up.Process.Signal(syscall.SIGSTOP))
	l.fails(1, []string{"stop"}, words{"another hellolab", "hellolab up --no-images", "since [0-9]+:", "suspended", "kill -CONT [0-9]+", "kill -KILL [0-9]+"})
	l.check(up.Process.Signal(syscall.SIGCONT))
	l.fails(1, []string{"stop"}, words{"another hellolab", "wait until it is done", "kill [0-9]+"})
	began := time.Now()
	l.check(up.Process.Signal(syscall.SIGTERM))
	if up.Wait(); time.Since(began) > 3*time.Second {
		l.Errorf("it ends %s after SIGTERM", time.Since(began))
	}
	l.must("up", "--no-images")
	l.keeps()
}

func (l *lab) runsNode() bool { return runs("-control-plane")(l) }

// hasAFullDisk has the user's kubeconfig where there is no room for the lab's context.
func (l *lab) hasAFullDisk() {
	disk := filepath.Join(l.folder, "full")
	l.check(os.Mkdir(disk, 0o755))
	l.check(syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=32k"))
	defer syscall.Unmount(disk, syscall.MNT_DETACH)
	config := filepath.Join(disk, "config")
	l.check(os.WriteFile(config, []byte(theirs), 0o600))
	os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 64<<10), 0o600) // as much as there is room for
	up := l.command("up", "--no-images")
	up.Env = append(up.Env, "KUBECONFIG="+config)
	l.failed(l.wait(up), 1, words{"no space left on device", "next: make room"})
	if content, err := os.ReadFile(config); err != nil || string(content) != theirs {
		l.Errorf("the user's kubeconfig is %q, %v", content, err)
	}
	l.must("up", "--no-images")
	l.keeps()
}

func (l *lab) losesItsCluster() {
	l.must("stop")
	docker(l, "system", "prune", "--force")
	for _, command := range [][]string{{"start"}, {"lab", "list"}, {"resume"}} {
		l.fails(1, command, words{"removed the cluster of the lab", "hellolab up"})
	}
	if got := l.status(); got.State != "lost" {
		l.Errorf("the lab is %s", got.State)
	}
	l.says(l.must("up", "--no-images").stderr, words{"removed the cluster of the lab", "a new, empty one follows"})
	l.healthy()
}

func (l *lab) losesEverything() {
	l.must("stop")
	docker(l, "system", "prune", "--volumes", "--force")
	l.fails(1, []string{"start"}, noLab)
	l.says(l.must("down").stderr, words{"nothing to remove", "config delete-context kind-" + l.name})
	l.says(l.must("up", "--no-images").stderr, words{"has nothing of the lab", "a new, empty one follows"})
	l.healthy()
	l.must("down")
}
