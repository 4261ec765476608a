package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

// answersWithin is how long the engine may take for each answer; two one after another have to fit into patience.
const answersWithin = 2 * time.Second

// lookAtEngine asks the engine for all that rules need, then the lab's state, then who has its ports.
func lookAtEngine(ctx context.Context, place Place) func(*Machine) {
	docker, err := place.connect(ctx)
	var found Engine
	lab := place.Lab
	if err == nil {
		found = ask(ctx, docker)
	} else {
		found.Err = err
	}
	if found.Err == nil && place.Find != nil {
		lab = place.find(ctx, docker)
	}
	taken := lookAtPorts(ctx, lab, found.Containers)
	data := engineData(ctx, found)
	late := ctx.Err() != nil && found.Err == nil
	return func(seen *Machine) {
		seen.Engine, seen.Lab, seen.Taken = found, lab, taken
		seen.Folders = append(seen.Folders, data...)
		if late {
			seen.Late = append(seen.Late, messages.T("the lab"))
		}
	}
}

// find is what is known of the lab. What was seen of one that was late is nothing to go by.
func (p Place) find(ctx context.Context, docker *client.Client) Lab {
	lab, err := p.Find(ctx, docker)
	switch {
	case ctx.Err() != nil:
		return p.Lab
	case err != nil:
		lab = p.Lab
		lab.Err = err
	}
	return lab
}

// engineData is the engine's folder, where that is one of this machine's and not of a virtual machine.
func engineData(ctx context.Context, found Engine) []Folder {
	folder := found.Info.DockerRootDir
	if folder == "" || isDesktop(found.Info) || !exists(folder) {
		return nil
	}
	return []Folder{{Use: EngineData, Path: folder, Free: free(ctx, folder)}}
}

func (p Place) connect(ctx context.Context) (*client.Client, error) {
	if p.Docker != nil {
		return p.Docker, nil
	}
	endpoint, err := engine.Endpoint(p.Getenv)
	if err != nil {
		return nil, err
	}
	return engine.ConnectWithin(ctx, endpoint, answersWithin)
}

// ask puts all questions to the engine at the same time.
func ask(ctx context.Context, docker *client.Client) Engine {
	var found Engine
	var records volume.ListResponse
	questions := []func() error{
		func() (err error) {
			before := time.Now()
			found.Info, err = docker.Info(ctx)
			found.Ahead = ahead(found.Info.SystemTime, before, time.Now())
			return err
		},
		func() error {
			version, err := docker.ServerVersion(ctx)
			found.API = version.APIVersion
			return err
		},
		func() (err error) {
			found.Networks, err = docker.NetworkList(ctx, network.ListOptions{})
			return err
		},
		func() (err error) {
			found.Containers, err = docker.ContainerList(ctx, container.ListOptions{All: true})
			return err
		},
		func() (err error) {
			records, err = docker.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", engine.Label))})
			return err
		},
	}
	failed := make([]error, len(questions))
	var work sync.WaitGroup
	for i, question := range questions {
		work.Go(func() { failed[i] = question() })
	}
	work.Wait()
	for _, record := range records.Volumes {
		if name := record.Labels[engine.Label]; record.Name == name+"-settings" {
			found.Records = append(found.Records, name)
		}
	}
	found.Err = errors.Join(failed...)
	return found
}

// ahead is how much a clock that showed at some moment between two others is ahead of these, at least.
func ahead(shown string, before, after time.Time) time.Duration {
	there, err := time.Parse(time.RFC3339Nano, shown)
	switch {
	case err != nil:
		return 0
	case there.After(after):
		return there.Sub(after)
	case there.Before(before):
		return there.Sub(before)
	}
	return 0
}

// lookAtPorts finds those of the lab's ports that somebody else has.
func lookAtPorts(ctx context.Context, lab Lab, containers []container.Summary) []TakenPort {
	var taken []TakenPort
	for _, wanted := range lab.Ports {
		if wanted.Auto || port.Free(port.Localhost(), wanted.Number) {
			continue
		}
		found := TakenPort{WantedPort: wanted, Container: publisher(containers, wanted.Number)}
		switch {
		case slices.Contains([]string{lab.Name + "-control-plane", lab.Name + "-registry"}, found.Container):
			continue
		case found.Container == "":
			found.Reserved = port.Reserved(wanted.Number)
			found.Program = port.Owner(ctx, wanted.Number)
		}
		taken = append(taken, found)
	}
	return taken
}

// publisher is the running container that publishes a port, or "".
func publisher(containers []container.Summary, number int) string {
	for _, candidate := range containers {
		for _, published := range candidate.Ports {
			if int(published.PublicPort) == number && len(candidate.Names) > 0 {
				return strings.TrimPrefix(candidate.Names[0], "/")
			}
		}
	}
	return ""
}
