package enginetest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"

	"github.com/hellolab/hellolab/engine/enginetest"
)

const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"

// create makes a container that has to succeed.
func create(t *testing.T, docker *enginetest.Engine, name string, config container.Config, host container.HostConfig) string {
	t.Helper()
	created, err := docker.Client().ContainerCreate(t.Context(), &config, &host, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	return created.ID
}

// TestContainerLife walks through the life of a container with the real client.
func TestContainerLife(t *testing.T) {
	t.Parallel()
	ctx, docker := t.Context(), enginetest.New(t)
	docker.AddImage("web:1")
	if _, err := docker.Client().ContainerCreate(ctx, &container.Config{Image: "other:1"}, nil, nil, nil, "web"); !errdefs.IsNotFound(err) {
		t.Errorf("a container without its image is made: %v", err)
	}
	id := create(t, docker, "web", container.Config{Image: "web:1", Labels: map[string]string{"lab": "a"}},
		container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: "disk", Target: "/disk"}}})
	if _, err := docker.Client().ContainerCreate(ctx, &container.Config{Image: "web:1"}, nil, nil, nil, "web"); !errdefs.IsConflict(err) {
		t.Errorf("the name is taken twice: %v", err)
	}
	state := func(want container.ContainerState) {
		t.Helper()
		found, err := docker.Client().ContainerInspect(ctx, "web")
		if err != nil || found.State.Status != want || found.ID != id {
			t.Errorf("the container is %v, %v; want it to be %s", found.State, err, want)
		}
	}
	state(container.StateCreated)
	for _, step := range []struct {
		do   func() error
		want container.ContainerState
	}{
		{func() error { return docker.Client().ContainerStart(ctx, "web", container.StartOptions{}) }, container.StateRunning},
		{func() error { return docker.Client().ContainerStart(ctx, id, container.StartOptions{}) }, container.StateRunning},
		{func() error { return docker.Client().ContainerPause(ctx, "web") }, container.StatePaused},
		{func() error { return docker.Client().ContainerUnpause(ctx, "web") }, container.StateRunning},
		{func() error { return docker.Client().ContainerStop(ctx, "web", container.StopOptions{}) }, container.StateExited},
		{func() error { return docker.Client().ContainerStart(ctx, "web", container.StartOptions{}) }, container.StateRunning},
	} {
		if err := step.do(); err != nil {
			t.Error(err)
		}
		state(step.want)
	}
	if err := docker.Client().VolumeRemove(ctx, "disk", false); !errdefs.IsConflict(err) {
		t.Errorf("a volume in use is removed: %v", err)
	}
	if err := docker.Client().ContainerRemove(ctx, "web", container.RemoveOptions{}); !errdefs.IsConflict(err) {
		t.Errorf("a running container is removed: %v", err)
	}
	for labels, want := range map[string]int{"lab=a": 1, "lab=b": 0, "lab": 1} {
		found, err := docker.Client().ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labels))})
		if err != nil || len(found) != want {
			t.Errorf("%d containers have the label %s, %v; want %d", len(found), labels, err, want)
		}
	}
	gone, failed := docker.Client().ContainerWait(ctx, "web", container.WaitConditionRemoved)
	if err := docker.Client().ContainerRemove(ctx, "web", container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case err := <-failed:
		t.Error(err)
	}
	if _, err := docker.Client().ContainerInspect(ctx, "web"); !errdefs.IsNotFound(err) {
		t.Errorf("the container is still there: %v", err)
	}
	if err := docker.Client().VolumeRemove(ctx, "disk", false); err != nil {
		t.Error(err)
	}
}

// TestListen holds that a container answers at its published port exactly while it runs.
func TestListen(t *testing.T) {
	t.Parallel()
	ctx, docker := t.Context(), enginetest.New(t)
	docker.AddImage("web:1")
	docker.Listen("web:1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	host, number := "127.0.0.1", strconv.Itoa(enginetest.Port(t))
	address := net.JoinHostPort(host, number)
	holder, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	create(t, docker, "web", container.Config{Image: "web:1"},
		container.HostConfig{PortBindings: nat.PortMap{"80/tcp": {{HostIP: host, HostPort: number}}}})
	if err := docker.Client().ContainerStart(ctx, "web", container.StartOptions{}); err == nil {
		t.Error("the container starts though its port is taken")
	}
	holder.Close()
	answers := func() bool {
		client := http.Client{Timeout: 200 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + address)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return string(body) == "hello"
	}
	for _, step := range []struct {
		name string
		do   func() error
		want bool
	}{
		{"started", func() error { return docker.Client().ContainerStart(ctx, "web", container.StartOptions{}) }, true},
		{"paused", func() error { return docker.Client().ContainerPause(ctx, "web") }, false},
		{"resumed", func() error { return docker.Client().ContainerUnpause(ctx, "web") }, true},
		{"crashed", func() error { docker.Stop("web"); return nil }, false},
		{"started again", func() error { return docker.Client().ContainerStart(ctx, "web", container.StartOptions{}) }, true},
		{"stopped", func() error { return docker.Client().ContainerStop(ctx, "web", container.StopOptions{}) }, false},
	} {
		if err := step.do(); err != nil {
			t.Error(err)
		}
		if got := answers(); got != step.want {
			t.Errorf("%s, it answers: %v", step.name, got)
		}
	}
}

// TestRun holds that a program talks with who attached before the start, and that its container removes itself.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, docker := t.Context(), enginetest.New(t)
	docker.AddImage("cat:1")
	docker.Run("cat:1", func(stdin io.Reader, stdout, stderr io.Writer) int {
		text, _ := io.ReadAll(stdin)
		fmt.Fprintf(stdout, "read %s", text)
		fmt.Fprint(stderr, "done")
		return 3
	})
	id := create(t, docker, "", container.Config{Image: "cat:1", OpenStdin: true}, container.HostConfig{AutoRemove: true})
	stream, err := docker.Client().ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	exited, failed := docker.Client().ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := docker.Client().ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(stream.Conn, "this")
	stream.CloseWrite()
	var stdout, stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(&stdout, &stderr, stream.Reader); err != nil || stdout.String() != "read this" || stderr.String() != "done" {
		t.Errorf("it writes %q and %q, %v", &stdout, &stderr, err)
	}
	select {
	case status := <-exited:
		if status.StatusCode != 3 {
			t.Errorf("the status is %d", status.StatusCode)
		}
	case err := <-failed:
		t.Error(err)
	}
	if left := docker.Containers(); len(left) > 0 {
		t.Errorf("left behind is %+v", left)
	}
}

// TestFiles holds that what is copied into a container is found there, and nothing else.
func TestFiles(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.AddContainer(enginetest.Container{Name: "node", State: container.StateRunning, Files: map[string]string{"/etc/motd": "hello"}})
	docker.WriteFile("node", "/run/pid", "1")
	for file, there := range map[string]bool{"/etc/motd": true, "/run/pid": true, "/etc/none": false} {
		stat, err := docker.Client().ContainerStatPath(t.Context(), "node", file)
		if there != (err == nil) || err != nil && !errdefs.IsNotFound(err) {
			t.Errorf("%s is %+v, %v", file, stat, err)
		}
	}
	packed, _, err := docker.Client().CopyFromContainer(t.Context(), "node", "/etc/motd")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	if err := docker.Client().CopyToContainer(t.Context(), "node", "/tmp", packed, container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	if found, _ := docker.Container("node"); found.Files["/tmp/motd"] != "hello" {
		t.Errorf("the files are %q", found.Files)
	}
}

// TestImages holds the names that an image is found by: docker tag writes no digest.
func TestImages(t *testing.T) {
	t.Parallel()
	ctx, docker := t.Context(), enginetest.New(t)
	docker.AddPullable(enginetest.Image{Names: []string{"mirror.example/node:1@" + digest}})
	docker.AddImages(enginetest.Image{Names: []string{"nginx"}, Architecture: "arm64"})
	if _, err := docker.Client().ImagePull(ctx, "docker.io/library/node:1@"+digest, image.PullOptions{}); !errdefs.IsNotFound(err) {
		t.Errorf("what is nowhere can be pulled: %v", err)
	}
	stream, err := docker.Client().ImagePull(ctx, "mirror.example/node:1@"+digest, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, stream)
	stream.Close()
	if err := docker.Client().ImageTag(ctx, "mirror.example/node:1", "node:1"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"mirror.example/node:1": true, "mirror.example/node:1@" + digest: true, "mirror.example/node@" + digest: true, "node:1": true, "docker.io/library/node:1": true,
		"node:1@" + digest: false, "node:2": false, "nginx": true, "nginx:latest": true, "library/nginx": true, "busybox": false,
	} {
		found, err := docker.Client().ImageInspect(ctx, name)
		if want != (err == nil) || want != docker.HasImage(name) || err != nil && !errdefs.IsNotFound(err) {
			t.Errorf("%s is found as %+v, %v", name, found, err)
		}
	}
}

// TestVolumesAndNetworks holds what of them a lab relies on.
func TestVolumesAndNetworks(t *testing.T) {
	t.Parallel()
	ctx, docker := t.Context(), enginetest.New(t)
	docker.AddVolume("a", map[string]string{"lab": "a"})
	found, err := docker.Client().VolumeCreate(ctx, volume.CreateOptions{Name: "a", Labels: map[string]string{"lab": "b"}})
	if err != nil || found.Labels["lab"] != "a" {
		t.Errorf("creating a volume that exists gives %+v, %v", found, err)
	}
	list, err := docker.Client().VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "lab"))})
	if err != nil || len(list.Volumes) != 1 || !slices.Equal(docker.Volumes(), []string{"a"}) {
		t.Errorf("the volumes are %+v, %v", list.Volumes, err)
	}
	docker.RemoveVolume("a")
	if _, err := docker.Client().VolumeInspect(ctx, "a"); !errdefs.IsNotFound(err) {
		t.Errorf("the volume is still there: %v", err)
	}
	docker.AddNetwork("kind")
	docker.AddContainer(enginetest.Container{Name: "web"})
	if err := docker.Client().NetworkConnect(ctx, "none", "web", nil); !errdefs.IsNotFound(err) {
		t.Errorf("a network that is not there: %v", err)
	}
	if err := docker.Client().NetworkConnect(ctx, "kind", "web", &network.EndpointSettings{}); err != nil {
		t.Error(err)
	}
	if web, _ := docker.Container("web"); !slices.Equal(web.Networks, []string{"bridge", "kind"}) {
		t.Errorf("the networks are %q", web.Networks)
	}
	if err := docker.Client().NetworkDisconnect(ctx, "kind", "web", true); err != nil {
		t.Error(err)
	}
	if inspected, err := docker.Client().NetworkInspect(ctx, "kind", network.InspectOptions{}); err != nil || len(inspected.Containers) > 0 {
		t.Errorf("the network is %+v, %v", inspected, err)
	}
}

// TestHooks holds that a test can disturb single calls, and let them go on.
func TestHooks(t *testing.T) {
	t.Parallel()
	ctx, docker := t.Context(), enginetest.New(t)
	restore := docker.Fail("GET /info", http.StatusInternalServerError, "no space left on device")
	if _, err := docker.Client().Info(ctx); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("the error is %v", err)
	}
	restore()
	entered, resume := docker.Hang("GET /info")
	done := make(chan error)
	go func() {
		_, err := docker.Client().Info(ctx)
		done <- err
	}()
	<-entered
	resume()
	if err := <-done; err != nil {
		t.Error(err)
	}
	docker.Hang("GET /version")
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := docker.Client().ServerVersion(short); err == nil {
		t.Error("a call that hangs is answered")
	}
	if calls := docker.Calls(); len(calls) == 0 || calls[0] != "GET /info" {
		t.Errorf("the calls are %q", calls)
	}
}

// TestClockAndInfo holds that a test chooses when and where its engine runs.
func TestClockAndInfo(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.SetClock(func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) })
	docker.SetInfo(func(info *system.Info) { info.Architecture, info.CgroupVersion = "aarch64", "1" })
	info, err := docker.Client().Info(t.Context())
	if err != nil || info.SystemTime != "2026-01-02T03:04:05Z" || info.CgroupVersion != "1" {
		t.Errorf("the info is %+v, %v", info, err)
	}
	if version, err := docker.Client().ServerVersion(t.Context()); err != nil || version.Arch != "arm64" {
		t.Errorf("the version is %+v, %v", version, err)
	}
}

// TestEvents holds that whoever waits for containers to start hears of those that have the label.
func TestEvents(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	// whether the engine has begun to listen cannot be seen from outside: it is told of containers until one is heard of
	heard, failed := docker.Client().Events(t.Context(), events.ListOptions{Filters: filters.NewArgs(filters.Arg("type", "container"),
		filters.Arg("event", "start"), filters.Arg("label", "lab=a"))})
	for i := 0; ; i++ {
		docker.AddContainer(enginetest.Container{Name: fmt.Sprintf("b%d", i), Config: container.Config{Labels: map[string]string{"lab": "b"}}, State: container.StateRunning})
		docker.AddContainer(enginetest.Container{Name: fmt.Sprintf("a%d", i), Config: container.Config{Labels: map[string]string{"lab": "a"}}, State: container.StateRunning})
		select {
		case event := <-heard:
			if !strings.HasPrefix(event.Actor.Attributes["name"], "a") {
				t.Errorf("the event is %+v", event)
			}
			return
		case err := <-failed:
			t.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
