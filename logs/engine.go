package logs

import (
	"bytes"
	"context"
	"errors"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/hellolab/hellolab/engine"
)

// tail is how many lines of each log are kept.
const tail = "5000"

// clusterLabel is kind's, on its nodes.
const clusterLabel = "io.x-k8s.kind.cluster"

// Engine returns the parts that the Docker Engine has: what it is, the lab's containers with their logs, and the journals of
// its nodes. connect is called for each part.
func Engine(lab string, connect func(context.Context) (*client.Client, error)) []Part {
	with := func(collect func(context.Context, *client.Client, Add) error) func(context.Context, Add) error {
		return func(ctx context.Context, add Add) error {
			docker, err := connect(ctx)
			if err != nil {
				return err
			}
			return collect(ctx, docker, add)
		}
	}
	return []Part{
		{"engine", 10 * time.Second, with(describeEngine)},
		{"containers", 20 * time.Second, with(func(ctx context.Context, docker *client.Client, add Add) error {
			return containers(ctx, docker, lab, add)
		})},
		{"journals", 20 * time.Second, with(func(ctx context.Context, docker *client.Client, add Add) error {
			return journals(ctx, docker, lab, add)
		})},
	}
}

// describeEngine collects what the engine says of itself.
func describeEngine(ctx context.Context, docker *client.Client, add Add) error {
	questions := map[string]func() (any, error){
		"info":     func() (any, error) { return docker.Info(ctx) },
		"version":  func() (any, error) { return docker.ServerVersion(ctx) },
		"networks": func() (any, error) { return docker.NetworkList(ctx, network.ListOptions{}) },
		"volumes":  func() (any, error) { return docker.VolumeList(ctx, volume.ListOptions{}) },
	}
	var failed []error
	for name, question := range questions {
		answer, err := question()
		if err == nil {
			add("engine/"+name+".json", answer)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// containersOf returns the lab's containers, running or not.
func containersOf(ctx context.Context, docker *client.Client, lab string) ([]container.Summary, error) {
	all, err := docker.ContainerList(ctx, container.ListOptions{All: true})
	var ours []container.Summary
	for _, found := range all {
		if found.Labels[clusterLabel] == lab || found.Labels[engine.Label] == lab {
			ours = append(ours, found)
		}
	}
	return ours, err
}

func nameOf(found container.Summary) string {
	if len(found.Names) == 0 {
		return found.ID
	}
	return strings.TrimPrefix(found.Names[0], "/")
}

// containers collects what the engine knows of each container of the lab, and what that has printed.
func containers(ctx context.Context, docker *client.Client, lab string, add Add) error {
	ours, err := containersOf(ctx, docker, lab)
	return errors.Join(err, each(ours, func(found container.Summary) error {
		folder := path.Join("containers", nameOf(found))
		described, err := docker.ContainerInspect(ctx, found.ID)
		if err == nil {
			add(folder+"/inspect.json", described)
		}
		log, err2 := printed(docker.ContainerLogs(ctx, found.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Tail: tail}))
		if err2 == nil {
			add(folder+"/log.txt", log)
		}
		return errors.Join(err, err2)
	}))
}

// each does something with each container at the same time.
func each(all []container.Summary, do func(container.Summary) error) error {
	failed := make([]error, len(all))
	var work sync.WaitGroup
	for i, found := range all {
		work.Go(func() { failed[i] = do(found) })
	}
	work.Wait()
	return errors.Join(failed...)
}

// commands are what nodes are asked, by the file that the answer goes to.
func commands() map[string][]string {
	journal := func(unit string) []string { return []string{"journalctl", "--no-pager", "-n", tail, "-u", unit} }
	return map[string][]string{
		"kubelet.log":    journal("kubelet"),
		"containerd.log": journal("containerd"),
		"units.txt":      {"systemctl", "--no-pager", "--failed"},
		"containers.txt": {"crictl", "ps", "-a"},
		"images.txt":     {"crictl", "images"},
	}
}

// journals collects what is in the nodes.
func journals(ctx context.Context, docker *client.Client, lab string, add Add) error {
	ours, err := containersOf(ctx, docker, lab)
	return errors.Join(err, each(ours, func(found container.Summary) error {
		if found.Labels[clusterLabel] != lab {
			return nil
		}
		var failed []error
		for file, command := range commands() {
			answer, err := run(ctx, docker, found.ID, command)
			if len(answer) > 0 {
				add(path.Join("nodes", nameOf(found), file), answer)
			}
			if err != nil {
				failed = append(failed, errors.New(nameOf(found)+": "+err.Error()))
			}
		}
		return errors.Join(failed...)
	}))
}

// run runs a command in a container, and returns what it prints.
func run(ctx context.Context, docker *client.Client, id string, command []string) ([]byte, error) {
	created, err := docker.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return nil, err
	}
	attached, err := docker.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, attached.Close)() // the stream knows no context
	defer attached.Close()
	var output bytes.Buffer
	if _, err := stdcopy.StdCopy(&output, &output, attached.Reader); err != nil {
		return output.Bytes(), errors.Join(ctx.Err(), err)
	}
	ended, err := docker.ContainerExecInspect(ctx, created.ID)
	if err == nil && ended.ExitCode != 0 {
		err = errors.New(command[0] + ": " + strconv.Itoa(ended.ExitCode))
	}
	return output.Bytes(), err
}
