//go:build e2e

package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a Docker Engine for tests that prune, stop and starve it: in a network namespace of its own, so that it is in
// nobody's way, and with a folder of its own.
type engine struct {
	*testing.T
	folder  string
	process *exec.Cmd
}

// insideEngine says that this process is the one that has the network namespace.
const insideEngine = "HELLOLAB_E2E_ISOLATED"

// isInside reports whether this process is that one.
func isInside() bool {
	_, inside := os.LookupEnv(insideEngine)
	return inside
}

// onItsOwn runs a test on an engine of its own that has a lab's images, which come as a reader gets them without a network. The test
// binary runs once more for that, in the network namespace.
func onItsOwn(t *testing.T, test func(e *engine)) {
	t.Helper()
	onEngine(t, "engine", func(e *engine) {
		file := filepath.Join(t.TempDir(), "lab.bundle")
		save := exec.Command(program(t), "bundle", "save", file)
		save.Env = append(os.Environ(), "DOCKER_HOST=") // the engine that has the images
		if said, err := save.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		run(t, program(t), "bundle", "load", file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		test(e)
	})
}

// onEmpty is onItsOwn with an engine that has nothing.
func onEmpty(t *testing.T, test func(e *engine)) {
	t.Helper()
	folder := filepath.Join(cache(), "engine-empty")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if !isInside() {
		t.Cleanup(func() { os.RemoveAll(folder) })
	}
	onEngine(t, "engine-empty", test)
}

func onEngine(t *testing.T, folder string, test func(e *engine)) {
	t.Helper()
	if isInside() {
		e := &engine{T: t, folder: filepath.Join(cache(), folder)}
		run(t, "ip", "link", "set", "lo", "up")
		t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(e.folder, "docker.sock"))
		e.start()
		t.Cleanup(e.stop)
		e.thaws()
		test(e)
		return
	}
	if os.Getuid() != 0 {
		t.Fatal("an engine of its own needs root")
	}
	pattern := flag.Lookup("test.run").Value.String()
	if !strings.HasPrefix(pattern, t.Name()+"/") { // which is about parts of this test
		pattern = "^" + t.Name() + "$"
	}
	command := exec.Command("unshare", "--net", os.Args[0], "-test.v", "-test.timeout=0", "-test.run="+pattern)
	command.Env = append(os.Environ(), insideEngine+"=yes")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		t.Fatal("it failed on an engine of its own: ", err)
	}
}

// start starts the engine.
func (e *engine) start() {
	e.Helper()
	if err := os.MkdirAll(e.folder, 0o711); err != nil {
		e.Fatal(err)
	}
	os.Remove(filepath.Join(e.folder, "docker.pid"))
	log, err := os.OpenFile(filepath.Join(e.folder, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		e.Fatal(err)
	}
	defer log.Close()
	in := func(name string) string { return filepath.Join(e.folder, name) }
	e.process = exec.Command("dockerd", "--data-root", in("data"), "--exec-root", in("run"), "--pidfile", in("docker.pid"),
		"--host", os.Getenv("DOCKER_HOST"))
	e.process.Stdout, e.process.Stderr = log, log
	e.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt for the tests is not the engine's
	if err := e.process.Start(); err != nil {
		e.Fatal(err)
	}
	eventually(e.T, "the engine answers", func() bool { return exec.Command("docker", "info").Run() == nil })
}

// stop ends the engine, as a restart of its service does: its containers end with it.
func (e *engine) stop() {
	e.Helper()
	e.signal(syscall.SIGCONT)
	e.signal(syscall.SIGTERM)
	e.process.Wait()
}

func (e *engine) signal(signal syscall.Signal) {
	e.Helper()
	if err := e.process.Process.Signal(signal); err != nil {
		e.Error(err)
	}
}

// thaws ends what keeps a node from ending on cgroup v1, where a frozen process cannot be killed: a runc inside of the node that
// was killed itself between freezing a pod and thawing it. hellolab's rule container-stuck is about that, and has a test of its own;
// the kernel of a reader's machine (cgroup v2) kills frozen processes. What is frozen for longer than a runc takes is thawed.
func (e *engine) thaws() {
	frozen, ended, done := map[string]bool{}, make(chan struct{}), make(chan struct{})
	e.Cleanup(func() {
		close(ended)
		<-done
	})
	go func() {
		defer close(done)
		for tick := time.NewTicker(2 * time.Second); ; {
			select {
			case <-ended:
				tick.Stop()
				return
			case <-tick.C:
			}
			pods, _ := filepath.Glob("/sys/fs/cgroup/freezer/docker/*/kubelet.slice/*/*/*/cri-*/freezer.state")
			before := frozen
			frozen = map[string]bool{}
			for _, state := range pods {
				if content, _ := os.ReadFile(state); string(content) != "FROZEN\n" {
					continue
				}
				if frozen[state] = true; before[state] {
					os.WriteFile(state, []byte("THAWED"), 0)
				}
			}
		}
	}()
}

// run runs a command that has to succeed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output)
}
