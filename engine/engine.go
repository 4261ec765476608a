// Package engine finds the Docker Engine and connects to it.
//
// The Docker SDK reads DOCKER_HOST only; the docker command line, which kind calls, also knows contexts. So the
// endpoint is resolved once, here, and main hands the same one to both. Otherwise a reader with Colima or Docker
// Desktop may end up with a cluster in one engine and a registry in another
// (https://github.com/abiosoft/colima/issues/468).
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/hellolab/hellolab/messages"
)

// Label marks every container and volume of a lab; its value is the lab's name.
const Label = "io.github.hellolab.lab"

// Endpoint is where the Docker Engine answers, as the docker command line would decide it: DOCKER_HOST, then
// DOCKER_CONTEXT, then the current context of its configuration. "" is the platform's default socket.
func Endpoint(getenv func(string) string) (string, error) {
	if host := getenv("DOCKER_HOST"); host != "" {
		return local(messages.Verbatim("DOCKER_HOST"), host)
	}
	folder := configFolder(getenv)
	name := getenv("DOCKER_CONTEXT")
	if name == "" {
		name = currentContext(folder)
	}
	if name == "" || name == "default" {
		return "", nil
	}
	type endpoint struct{ Host string }
	contexts := store.New(filepath.Join(folder, "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter("docker", func() any { return &endpoint{} })))
	metadata, err := contexts.GetMetadata(name)
	if err != nil {
		return "", messages.Errorf("the docker context %q cannot be read", name).Because(err).
			WithHint("choose one that exists: docker context ls, docker context use NAME")
	}
	if found, ok := metadata.Endpoints["docker"].(endpoint); ok {
		return local(messages.T("the docker context %s", name), found.Host)
	}
	return "", nil
}

// local refuses engines whose published ports are not this machine's.
func local(source messages.Text, host string) (string, error) {
	address, err := url.Parse(host)
	elsewhere := err == nil && address.Scheme == "tcp" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, address.Hostname())
	if strings.HasPrefix(host, "ssh://") || elsewhere {
		return "", messages.Errorf("%s points at %s, an engine on another machine, whose ports are not at localhost", source, host).
			WithHint("choose an engine on this machine: docker context use default")
	}
	return host, nil
}

// configuration is what counts here of the docker command's config.json.
type configuration struct {
	CurrentContext string
	Proxies        map[string]ProxyConfig
}

// ProxyConfig is what the docker command tells containers of proxies.
type ProxyConfig struct{ HTTPProxy, HTTPSProxy, NoProxy string }

// Proxies gives the proxies that the docker command's configuration names for all engines.
func Proxies(getenv func(string) string) ProxyConfig {
	return readConfiguration(configFolder(getenv)).Proxies["default"]
}

func configFolder(getenv func(string) string) string {
	if folder := getenv("DOCKER_CONFIG"); folder != "" {
		return folder
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".docker")
}

func currentContext(folder string) string { return readConfiguration(folder).CurrentContext }

func readConfiguration(folder string) (config configuration) {
	content, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if err != nil || json.Unmarshal(content, &config) != nil {
		return configuration{}
	}
	return config
}

// Connect gives a client of the engine at endpoint that speaks its API version. It fails where none answers.
func Connect(ctx context.Context, endpoint string) (*client.Client, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if endpoint != "" {
		options = append(options, client.WithHost(endpoint))
	}
	docker, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, messages.Errorf("the Docker Engine's address %q is not usable", endpoint).Because(err).
			WithHint("unset DOCKER_HOST, or give it an address such as unix:///var/run/docker.sock")
	}
	if _, err := docker.Ping(ctx); err != nil {
		return nil, unreachable(docker.DaemonHost(), err)
	}
	return docker, nil
}

// CheckCommand fails where the docker command line, which kind calls, is missing.
func CheckCommand() error {
	if _, err := exec.LookPath("docker"); err != nil {
		return messages.Errorf("the docker command is not on this machine's PATH").
			WithHint("install Docker's command line (Debian and Ubuntu: sudo apt-get install docker.io; Docker Desktop has it), then run the same command again")
	}
	return nil
}

func unreachable(host string, cause error) error {
	failure := messages.Errorf("no Docker Engine answers at %s", host)
	if errors.Is(cause, fs.ErrPermission) || strings.Contains(cause.Error(), "permission denied") {
		return messages.Errorf("this user may not use the Docker Engine at %s", host).
			WithHint("sudo usermod -aG docker $USER, then log in again")
	}
	if runtime.GOOS == "linux" {
		return failure.WithHint("start it (sudo systemctl start docker), then run the same command again")
	}
	return failure.WithHint("start Docker Desktop (or colima start), then run the same command again")
}

// Pull gets an image that the engine does not hold yet, and reports the share that has come, 0 to 1.
func Pull(ctx context.Context, docker *client.Client, reference string, progress func(share float64)) error {
	stream, err := docker.ImagePull(ctx, reference, image.PullOptions{})
	if err != nil {
		return pullFailed(reference, err)
	}
	defer stream.Close()
	var layers shares
	for decoder := json.NewDecoder(stream); ; {
		var message jsonmessage.JSONMessage
		switch err := decoder.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return pullFailed(reference, err)
		case message.Error != nil: // the engine answers 200 and puts the failure inside the stream
			return pullFailed(reference, message.Error)
		case message.Progress != nil && message.Status == "Downloading":
			progress(layers.add(message.ID, message.Progress.Current, message.Progress.Total))
		}
	}
}

func pullFailed(reference string, cause error) error {
	return messages.Errorf("the image %s cannot be pulled", reference).Because(cause).
		WithHint("check this machine's way to that image registry, or name an image that can be had in a config file (hellolab config shows the settings)")
}

// shares adds up what has come of each layer.
type shares map[string][2]int64

func (s *shares) add(layer string, current, total int64) float64 {
	if *s == nil {
		*s = shares{}
	}
	(*s)[layer] = [2]int64{current, total}
	var have, want int64
	for _, share := range *s {
		have, want = have+share[0], want+share[1]
	}
	if want == 0 {
		return 0
	}
	return min(1, float64(have)/float64(want)) // some layers tell no size
}

// HasImage reports whether the engine holds an image.
func HasImage(ctx context.Context, docker *client.Client, reference string) bool {
	_, err := docker.ImageInspect(ctx, reference)
	return err == nil
}

// Architecture is the engine's, and so the nodes', which is not always this program's.
func Architecture(ctx context.Context, docker *client.Client) (string, error) {
	version, err := docker.ServerVersion(ctx)
	return version.Arch, err
}

// Labelled is the filter for what belongs to the lab.
func Labelled(lab string) filters.Args { return filters.NewArgs(filters.Arg("label", Label+"="+lab)) }

// Publisher names the running container that publishes a port of the host, or "".
func Publisher(ctx context.Context, docker *client.Client, port int) string {
	containers, err := docker.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return ""
	}
	for _, candidate := range containers {
		for _, published := range candidate.Ports {
			if int(published.PublicPort) == port && len(candidate.Names) > 0 {
				return strings.TrimPrefix(candidate.Names[0], "/")
			}
		}
	}
	return ""
}

// EnsureVolume creates a volume of a lab's unless there is one. A volume of that name which is not the lab's is refused.
func EnsureVolume(ctx context.Context, docker *client.Client, name, lab string, labels map[string]string) error {
	all := map[string]string{Label: lab}
	maps.Copy(all, labels)
	found, err := docker.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: all})
	if err == nil && found.Labels[Label] != lab {
		return ForeignVolume(name)
	}
	return err
}

// ForeignVolume is the error for a volume that has the name of the lab's and is not the lab's.
func ForeignVolume(name string) error {
	return messages.Errorf("a Docker volume named %s is there already, and it is not this lab's", name).
		WithHint("choose another name for the lab: hellolab up --name NAME")
}
