//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// disturbed is a command of the matrix.
type disturbed struct {
	name string
	args []string
	// before brings the lab into the state in which the command has everything to do, and after holds what has to be once it has
	// ended well.
	before, after func(l *lab)
	// whole says that the command is about all parts of a lab.
	whole bool
}

// A fault is what happens in the middle of a command.
type fault struct {
	name string
	// make makes it, and returns what ends it.
	make func(l *lab, command *exec.Cmd) (end func())
	// every is called at each step.
	every func()
}

// faults are made on an engine of the test's own.
func faults(e *engine) []fault {
	signal := func(name string, signal syscall.Signal) fault {
		return fault{name: name, make: func(l *lab, command *exec.Cmd) func() {
			command.Process.Signal(signal)
			return func() {}
		}}
	}
	return []fault{
		signal("kill -9", syscall.SIGKILL), signal("Ctrl-C", syscall.SIGINT), signal("SIGTERM", syscall.SIGTERM),
		{name: "engine restarted", make: func(*lab, *exec.Cmd) func() {
			e.stop()
			e.start()
			return func() {}
		}},
		{name: "registry removed", make: func(l *lab, _ *exec.Cmd) func() {
			exec.Command("docker", "rm", "--force", l.name+"-registry").Run()
			return func() {}
		}},
		{name: "node restarted", make: func(l *lab, _ *exec.Cmd) func() {
			exec.Command("docker", "restart", "--time", "0", l.node()).Run()
			return func() {}
		}},
		{name: "disk full", make: func(l *lab, _ *exec.Cmd) func() {
			ballast := filepath.Join(l.folder, "ballast")
			file, err := os.Create(ballast)
			l.check(err)
			io.Copy(file, zeros{}) // as much as there is room for
			file.Close()
			return func() { os.Remove(ballast) }
		}},
		{name: "API server frozen for 20 s", make: func(l *lab, _ *exec.Cmd) func() {
			freeze := func(signal string) { exec.Command("docker", "exec", l.node(), "pkill", signal, "kube-apiserver").Run() }
			freeze("-STOP")
			done := make(chan struct{})
			time.AfterFunc(20*time.Second, func() {
				freeze("-CONT")
				close(done)
			})
			return func() { <-done }
		}},
	}
}

// zeros never end.
type zeros struct{}

func (zeros) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}

// disturbances are the commands that change something, beside those that only begin others.
func disturbances(saved string) []disturbed {
	up := func(l *lab) { l.must("up", "--no-images") }
	all := func(l *lab) {
		up(l)
		l.must("images", "build", "--builder", "host", "v1", "v2", "v3")
	}
	course := func(l *lab) {
		l.keepsTheirs()
		eventually(l, "service/nodeport is as the course has it", func() bool { return l.run("lab", "check", "service/nodeport").status == 0 })
	}
	return []disturbed{
		{name: "stop", args: []string{"stop"}, before: up, after: func(l *lab) {
			if got := l.status(); got.State != "stopped" {
				l.Errorf("the lab is %s", got.State)
			}
		}},
		{name: "start", args: []string{"start"}, before: func(l *lab) {
			up(l)
			l.must("stop")
		}, after: (*lab).keepsTheirs},
		{name: "images build", args: []string{"images", "build", "--builder", "host", "v1"}, before: func(l *lab) {
			up(l)
			l.losesTheImages(filepath.Join(l.folder, "cache"))
		}, after: func(l *lab) { l.must("images", "list") }},
		{name: "lab", args: []string{"lab", "service/nodeport"}, before: all, after: course},
		{name: "lab restore", args: []string{"lab", "restore", saved}, before: all, after: course},
		{name: "tunnel", args: []string{"tunnel"}, before: all, after: func(l *lab) {
			up(l) // a tunnel mends nothing but itself
			l.keepsTheirs()
		}},
		{name: "up", args: []string{"up", "--no-images"}, before: func(l *lab) { l.must("down") }, after: func(l *lab) { l.healthy() }, whole: true},
		{name: "down", args: []string{"down"}, before: up, after: func(l *lab) {
			if got := l.status(); got.State != "absent" {
				l.Errorf("the lab is %s", got.State)
			}
		}, whole: true},
	}
}

// keepsTheirs holds that the lab is healthy, and that an object which is no business of the course's is still there.
func (l *lab) keepsTheirs() {
	l.Helper()
	l.healthy()
	l.kubectl("", "get", "configmap", "theirs", "-n", "theirs")
}

// TestMatrix disturbs every command at each of its steps. The same command once more has to end well, with what the reader made and
// what is others' untouched. Its table is in docs/faults.md.
func TestMatrix(t *testing.T) {
	long(t)
	onItsOwn(t, func(e *engine) {
		// without what takes most of the time and is no part of these commands, but of `up` and `down`
		l := newLab(t, "e2e-matrix", map[string]any{"bootstrap": map[string]any{"ingress": map[string]any{"enabled": false}}})
		l.onSmallDisk()
		l.must("up", "--no-images")
		l.must("images", "build", "--builder", "host", "v1", "v2", "v3")
		l.must("lab", "service/nodeport")
		l.kubectl("", "create", "namespace", "theirs")
		l.kubectl("", "create", "configmap", "theirs", "-n", "theirs")
		saved := filepath.Join(t.TempDir(), "saved.yaml")
		l.must("lab", "save", saved)
		exec.Command("docker", "rm", "theirs").Run() // of a killed test
		docker(t, "volume", "create", "theirs")
		docker(t, "create", "--name", "theirs", "--volume", "theirs:/data", "busybox:latest")
		whole := newLab(t, "e2e-matrix-whole", nil)
		whole.onSmallDisk()
		for _, command := range disturbances(saved) {
			t.Run(command.name, func(t *testing.T) {
				l := l
				if command.whole {
					l = whole
				}
				steps := l.in(t).undisturbed(command)
				for _, fault := range faults(e) {
					t.Run(fault.name, func(t *testing.T) { l.in(t).disturb(command, steps, fault) })
				}
			})
		}
	})
}

// undisturbed returns how many steps a command has.
func (l *lab) undisturbed(command disturbed) (steps int) {
	command.before(l)
	if command.name == "tunnel" { // which ends by nothing but a signal
		l.opensTunnel(l.command(command.args...))
		return 1
	}
	l.disturbAt(0, command, fault{make: func(*lab, *exec.Cmd) func() { return nil }, every: func() { steps++ }})
	command.after(l)
	return steps
}

// disturb makes a fault at each step of a command.
func (l *lab) disturb(command disturbed, steps int, fault fault) {
	for step := 1; step <= steps; step++ {
		command.before(l)
		said, reached := l.disturbAt(step, command, fault)
		again := l.command(command.args...)
		if command.name == "tunnel" {
			l.opensTunnel(again)
		} else if done := l.wait(again); done.status != 0 {
			l.Errorf("once more, hellolab %s ends with status %d", command.name, done.status)
		}
		command.after(l)
		docker(l, "inspect", "theirs")
		docker(l, "volume", "inspect", "theirs")
		if !reached {
			said = "not reached: " + said
		}
		l.Logf("| %s | %s | %d | %s |", command.name, fault.name, step, said)
		if l.Failed() {
			l.Fatalf("at step %d it said\n%s", step, said)
		}
	}
}

// disturbAt runs a command, makes the fault when its nth step begins, and returns the last it says. Some steps are there only
// where there is something to do, so the nth may not be reached.
func (l *lab) disturbAt(step int, disturbed disturbed, fault fault) (last string, reached bool) {
	l.Helper()
	command := l.command(disturbed.args...)
	stderr, err := command.StderrPipe()
	l.check(err)
	l.check(command.Start())
	end, lines := func() {}, []string{}
	for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if strings.HasPrefix(scanner.Text(), "•") || disturbed.name == "tunnel" {
			if fault.every != nil {
				fault.every()
			}
			if step--; step == 0 {
				reached = true
				end = fault.make(l, command)
				if disturbed.name == "tunnel" {
					time.AfterFunc(5*time.Second, func() { command.Process.Signal(os.Interrupt) }) // it ends by nothing else
				}
			}
		}
	}
	err = command.Wait()
	end()
	for _, line := range lines {
		if strings.HasPrefix(line, "error: ") || strings.HasPrefix(line, "next: ") {
			last += line + " "
		}
	}
	return fmt.Sprintf("%s(%v)", last, err), reached
}

// opensTunnel holds that a tunnel opens, and ends by Ctrl-C.
func (l *lab) opensTunnel(command *exec.Cmd) {
	l.Helper()
	stderr, err := command.StderrPipe()
	l.check(err)
	l.check(command.Start())
	bufio.NewScanner(stderr).Scan()
	l.check(command.Process.Signal(os.Interrupt))
	io.Copy(io.Discard, stderr)
	command.Wait()
}

// onSmallDisk has all that hellolab writes on this machine lie on a disk of 512 MB.
func (l *lab) onSmallDisk() {
	l.Helper()
	disk := filepath.Join(l.folder, "disk")
	l.check(os.Mkdir(disk, 0o755))
	l.check(syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=512m"))
	l.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	l.folder = disk
	l.env = append(l.env, "KUBECONFIG="+filepath.Join(disk, "kubeconfig"), "XDG_CONFIG_HOME="+filepath.Join(disk, "config"),
		"XDG_CACHE_HOME="+filepath.Join(disk, "cache"), "TMPDIR="+disk, "GOCACHE="+strings.TrimSpace(run(l.T, "go", "env", "GOCACHE")))
}
