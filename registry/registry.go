// Package registry runs the lab's image registry and fills it.
//
// Every image reaches the cluster through this registry: the nodes' containerd asks it before the upstream that an
// image's name stands for ([Registry.Hosts]), so that YAML with guangzhengli/hellok8s:v1, nginx or busybox works as
// it stands, and kubelet's "always pull" for untagged images has somewhere to pull from.
package registry

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/idle"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/mirror"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/progress"
)

const (
	// answerWithin bounds the wait for a registry that has just been started.
	answerWithin = 30 * time.Second

	// respondWithin bounds the wait for a response to what has been sent to the registry. One that is paused or frozen
	// accepts connections and never responds.
	respondWithin = 30 * time.Second
)

// The states of a registry. Broken is one whose container runs and does not answer.
const (
	Running = "running"
	Stopped = "stopped"
	Absent  = "absent"
	Broken  = "broken"
)

// Registry is a lab's image registry: a container named after the lab, and a volume of the same name.
type Registry struct {
	docker *client.Client
	story  *progress.Progress
	lab    string
	config Config
	local  *http.Transport
	images *mirror.Fetcher
}

// New returns the registry of a lab, which gets what it lacks from images. config.Port has to be a number by now. Nothing is started.
func New(docker *client.Client, story *progress.Progress, lab string, config Config, images *mirror.Fetcher) *Registry {
	local := http.DefaultTransport.(*http.Transport).Clone()
	local.Proxy = nil // loopback is not reached through a proxy, whatever HTTP_PROXY says
	local.ResponseHeaderTimeout = respondWithin
	return &Registry{docker, story, lab, config, idle.Limit(local, respondWithin), images}
}

// Name is the name of the registry's container and of its volume.
func (r *Registry) Name() string { return r.lab + "-registry" }

// Address is where the user and docker push reach the registry; image names may begin with it.
func (r *Registry) Address() string { return net.JoinHostPort("localhost", r.config.Port.String()) }

// addresses are all that the registry is known by, on this machine and in nodes.
func (r *Registry) addresses() []string {
	return []string{r.Address(), net.JoinHostPort(port.Loopback, r.config.Port.String()), r.InsideAddress()}
}

// InsideAddress is where nodes and pods reach the registry.
func (r *Registry) InsideAddress() string { return net.JoinHostPort(r.Name(), Internal) }

// State returns the registry's state: [Running], [Stopped], [Absent] or [Broken].
func (r *Registry) State(ctx context.Context) (string, error) {
	found, err := r.inspect(ctx)
	switch {
	case err != nil:
		return "", err
	case found == nil:
		return Absent, nil
	case !found.State.Running:
		return Stopped, nil
	case !r.answers(ctx):
		return Broken, nil
	}
	return Running, nil
}

// Ensure starts the registry, if need be, and waits until it answers.
func (r *Registry) Ensure(ctx context.Context) error {
	found, err := r.inspect(ctx)
	if err != nil {
		return err
	}
	if found != nil && found.State.Running && r.answers(ctx) {
		return nil
	}
	return r.story.Do(ctx, messages.T("image registry at %s", r.Address()), func(ctx context.Context) error {
		if found == nil {
			if err := r.create(ctx); err != nil {
				return err
			}
		}
		if found != nil && found.State.Paused {
			if err := r.docker.ContainerUnpause(ctx, r.Name()); err != nil {
				return err
			}
		}
		if err := engine.Start(ctx, r.docker, r.Name()); err != nil {
			return r.advised(ctx, messages.Errorf("the image registry %s does not start", r.Name()).Because(err))
		}
		return r.untilAnswers(ctx)
	})
}

// EnsureConnected puts the registry on a Docker network, where nodes find it by name.
func (r *Registry) EnsureConnected(ctx context.Context, networkName string) error {
	connected := func() bool {
		found, err := r.inspect(ctx)
		if err != nil || found == nil {
			return false
		}
		_, there := found.NetworkSettings.Networks[networkName]
		return there
	}
	if connected() {
		return nil
	}
	connect := func() error {
		return r.docker.NetworkConnect(ctx, networkName, r.Name(), &network.EndpointSettings{})
	}
	err := connect()
	if err != nil && !connected() {
		// an engine that was killed may remember an endpoint of a registry that is no more
		r.docker.NetworkDisconnect(ctx, networkName, r.Name(), true)
		err = connect()
	}
	if err != nil && !connected() {
		return messages.Errorf("the image registry cannot join the Docker network %s", networkName).Because(err).
			WithHint("start over: %s, then %s (everything in the cluster is lost)", messages.Hellolab("down"), messages.Hellolab("up"))
	}
	return nil
}

// PublishedPort returns the port of this machine that the registry's container was created with, or 0 without one.
func (r *Registry) PublishedPort(ctx context.Context) (int, error) {
	found, err := r.inspect(ctx)
	if err != nil || found == nil {
		return 0, err
	}
	for _, binding := range found.HostConfig.PortBindings[nat.Port(Internal+"/tcp")] {
		return strconv.Atoi(binding.HostPort)
	}
	return 0, nil
}

// Stop stops the registry; its content stays.
func (r *Registry) Stop(ctx context.Context) error {
	found, err := r.inspect(ctx)
	if err != nil || found == nil {
		return err
	}
	return r.docker.ContainerStop(ctx, r.Name(), container.StopOptions{})
}

// RemoveContainer removes the registry's container; its content stays.
func (r *Registry) RemoveContainer(ctx context.Context) error {
	found, err := r.inspect(ctx)
	if err != nil || found == nil {
		return err
	}
	err = r.docker.ContainerRemove(ctx, r.Name(), container.RemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// Remove removes the registry and its content, and nothing that another program made. It reports whether there was
// anything to remove.
func (r *Registry) Remove(ctx context.Context) (bool, error) {
	found, err := r.inspect(ctx)
	if err != nil {
		return false, err
	}
	if err := r.RemoveContainer(ctx); err != nil {
		return false, err
	}
	disk, err := r.docker.VolumeInspect(ctx, r.Name())
	if errdefs.IsNotFound(err) || err == nil && disk.Labels[engine.Label] != r.lab {
		return found != nil, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.docker.VolumeRemove(ctx, r.Name(), false)
}

// inspect returns the lab's registry, or nil where there is none. A container of that name which is not the lab's is an
// error.
func (r *Registry) inspect(ctx context.Context) (*container.InspectResponse, error) {
	found, err := r.docker.ContainerInspect(ctx, r.Name())
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case found.Config.Labels[engine.Label] != r.lab:
		return nil, messages.Errorf("a container named %s exists already, and it is not this lab's", r.Name()).
			WithHint("choose another name for the lab (%s), or rename the container (%s)",
				messages.Hellolab("up").Usage("--name NAME"), messages.Shell("docker", "rename", r.Name()).Usage("NAME"))
	}
	return &found, nil
}

func (r *Registry) create(ctx context.Context) error {
	image, err := r.images.Ensure(ctx, r.config.Image)
	if err != nil {
		return err
	}
	if err := engine.EnsureVolume(ctx, r.docker, r.Name(), r.lab, nil); err != nil {
		return err
	}
	inside := nat.Port(Internal + "/tcp")
	_, err = r.docker.ContainerCreate(ctx,
		&container.Config{
			Image:        image,
			Labels:       map[string]string{engine.Label: r.lab},
			ExposedPorts: nat.PortSet{inside: {}},
			Env: []string{
				"REGISTRY_STORAGE_DELETE_ENABLED=false", // nothing deletes, and nobody is asked who they are
				// registry 3 sends traces to localhost:4318 by default
				// (https://github.com/distribution/distribution/issues/4270)
				"OTEL_TRACES_EXPORTER=none",
			},
		},
		&container.HostConfig{
			// where the nodes find it by name, and no other container than theirs reaches it
			NetworkMode:   engine.Network,
			PortBindings:  nat.PortMap{inside: {{HostIP: port.Loopback, HostPort: r.config.Port.String()}}},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
			Mounts:        []mount.Mount{{Type: mount.TypeVolume, Source: r.Name(), Target: "/var/lib/registry"}},
		}, nil, nil, r.Name())
	if errdefs.IsConflict(err) { // another command for this lab was faster
		return nil
	}
	return err
}

// advised adds to an error about the registry what to do: its container tells why it does not work, if it is there.
func (r *Registry) advised(ctx context.Context, failure *messages.Error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), respondWithin)
	defer cancel()
	found, err := r.inspect(ctx)
	switch {
	case err != nil:
		return failure // the engine has gone away, and its logs with it: whoever tells of the failure knows what to do
	case found == nil:
		return failure.WithHint("its container has been removed: run the same command again, which makes another one")
	}
	return failure.Next(messages.Shell("docker", "logs", r.Name()))
}

// answers reports whether a registry answers at the lab's port, and not just any server.
func (r *Registry) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", r.config.Port.String())+"/v2/", nil)
	if err != nil {
		return false
	}
	client := http.Client{Transport: r.local, Timeout: 2 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK && response.Header.Get("Docker-Distribution-Api-Version") != ""
}

func (r *Registry) untilAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !r.answers(ctx) {
		select {
		case <-ctx.Done():
			return r.advised(ctx, messages.Errorf("the image registry at %s does not answer", r.Address()).Because(context.Cause(ctx)))
		case <-tick.C:
		}
	}
	return nil
}
