// Package engine finds the Docker Engine and connects to it.
//
// The Docker SDK reads DOCKER_HOST only; the docker command line, which kind calls, also knows contexts. So the
// endpoint is resolved once, here, and main passes the same one to both. Otherwise a user with Colima or Docker Desktop
// may end up with a cluster in one engine and a registry in another (https://github.com/abiosoft/colima/issues/468).
package engine

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/hellolab/hellolab/messages"
)

// Label marks every container and volume of a lab; its value is the lab's name.
const Label = "io.github.hellolab.lab"

// Endpoint is where the Docker Engine answers, as the docker command line would decide it: DOCKER_HOST, then
// DOCKER_CONTEXT, then the current context of its configuration. "" is the platform's default socket. It fails with an
// [Unusable] where that is no engine for a lab.
func Endpoint(getenv func(string) string) (string, error) {
	if host := getenv("DOCKER_HOST"); host != "" {
		away := Unset(getenv, "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "MINIKUBE_ACTIVE_DOCKERD")
		if ofMinikube(getenv, host) {
			return "", Unusable{Minikube, messages.Errorf("this shell's DOCKER_HOST, %s, leads to minikube's own Docker Engine, whose ports are not at localhost", host).
				WithHint("make this shell use this machine's engine: %s", away)}
		}
		return local(messages.Verbatim("DOCKER_HOST"), host, messages.T("make this shell use this machine's engine: %s", away))
	}
	folder := configFolder(getenv)
	name := cmp.Or(getenv("DOCKER_CONTEXT"), readConfiguration(folder).CurrentContext)
	if name == "" || name == "default" {
		return "", nil
	}
	return ofContext(folder, name, otherContext(getenv))
}

// ofMinikube reports whether DOCKER_HOST is what `minikube docker-env` has set.
func ofMinikube(getenv func(string) string, host string) bool {
	set := getenv("MINIKUBE_ACTIVE_DOCKERD") != "" || strings.Contains(getenv("DOCKER_CERT_PATH"), ".minikube")
	return set && (strings.HasPrefix(host, "tcp://") || strings.HasPrefix(host, "ssh://"))
}

// otherContext is the command that leads away from the present context, wherever that is named: the variable counts before
// `docker context use`.
func otherContext(getenv func(string) string) messages.Command {
	if getenv("DOCKER_CONTEXT") != "" {
		return Unset(getenv, "DOCKER_CONTEXT")
	}
	return messages.Shell("docker", "context", "use", "default")
}

// Unset is the command that removes those of the variables that are set from a shell.
func Unset(getenv func(string) string, names ...string) messages.Command {
	return messages.Unset(slices.DeleteFunc(names, func(name string) bool { return getenv(name) == "" })...)
}

// ofContext is the endpoint of a context of the docker command's.
func ofContext(folder, name string, away messages.Command) (string, error) {
	type endpoint struct{ Host string }
	contexts := store.New(filepath.Join(folder, "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter("docker", func() any { return &endpoint{} })))
	metadata, err := contexts.GetMetadata(name)
	if err != nil {
		return "", Unusable{BadContext, messages.Errorf("the Docker context %q cannot be read", name).Because(err).
			WithHint("choose one that exists: %s, %s", messages.Shell("docker", "context", "ls"), away)}
	}
	if files, err := contexts.ListTLSFiles(name); err == nil && len(files["docker"]) > 0 {
		return "", Unusable{BadContext, messages.Errorf("the Docker context %s uses TLS certificates, which hellolab does not read", name).
			WithHint("set DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH instead, or choose another context: %s", away)}
	}
	if found, ok := metadata.Endpoints["docker"].(endpoint); ok {
		return local(messages.T("the Docker context %s", name), found.Host, messages.T("choose an engine on this machine: %s", away))
	}
	return "", nil
}

// local refuses engines whose published ports are not this machine's.
func local(source messages.Text, host string, hint messages.Text) (string, error) {
	address, err := url.Parse(host)
	elsewhere := err == nil && address.Scheme == "tcp" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, address.Hostname())
	if strings.HasPrefix(host, "ssh://") || elsewhere {
		failure := messages.Errorf("%s points at %s, an engine on another machine, whose ports are not at localhost", source, host)
		failure.Hint = hint
		return "", Unusable{Elsewhere, failure}
	}
	return host, nil
}

// ProxyConfig holds the proxies that the docker command passes on to containers.
type ProxyConfig = configfile.ProxyConfig

// Proxies returns the proxies that the docker command's configuration names for all engines.
func Proxies(getenv func(string) string) ProxyConfig {
	return readConfiguration(configFolder(getenv)).Proxies["default"]
}

// ConfigFile is where the docker command's configuration lies.
func ConfigFile(getenv func(string) string) string {
	return filepath.Join(configFolder(getenv), config.ConfigFileName)
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

// readConfiguration reads the docker command's config.json. One that cannot be read is an empty one.
func readConfiguration(folder string) *configfile.ConfigFile {
	if read, err := config.Load(folder); err == nil {
		return read
	}
	return configfile.New("")
}

// Connect returns a client of the engine at endpoint that uses its API version. It fails with an [Unusable] where no engine
// answers: one that accepts connections and never answers is a usual failure, of Docker Desktop while it starts, or of a
// virtual machine after sleep. What later calls wait for, they say.
func Connect(ctx context.Context, endpoint string, say func(messages.Text)) (*client.Client, error) {
	return connect(ctx, endpoint, usualPatience(), say)
}

// ConnectWithin is Connect for an engine that has to answer every call within a limit.
func ConnectWithin(ctx context.Context, endpoint string, limit time.Duration) (*client.Client, error) {
	return connect(ctx, endpoint, patience{limit, limit, limit}, func(messages.Text) {})
}

func connect(ctx context.Context, endpoint string, limits patience, say func(messages.Text)) (*client.Client, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if endpoint != "" {
		options = append(options, client.WithHost(endpoint))
	}
	docker, err := client.NewClientWithOpts(append(options, bounded(limits, say))...)
	if err != nil {
		return nil, messages.Errorf("the Docker Engine's address %q is not valid", endpoint).Because(err).
			WithHint("unset DOCKER_HOST, or set it to an address such as unix:///var/run/docker.sock")
	}
	ping, cancel := context.WithTimeout(ctx, limits.quick)
	defer cancel()
	if _, err := docker.Ping(ping); err != nil {
		var told Unusable
		switch {
		case errors.As(err, &told):
			return nil, told
		case ctx.Err() == nil && ping.Err() != nil:
			return nil, silent(docker.DaemonHost())
		}
		return nil, unreachable(docker.DaemonHost(), err)
	}
	return docker, refusePodman(ping, docker)
}

// refusePodman fails where Podman answers at the engine's address: it speaks the same API, and kind makes other nodes
// in it (https://kind.sigs.k8s.io/docs/user/rootless/).
func refusePodman(ctx context.Context, docker *client.Client) error {
	version, err := docker.ServerVersion(ctx)
	if err != nil { // whoever it is: what comes next says why
		return nil
	}
	for _, component := range version.Components {
		if strings.Contains(component.Name, "Podman") {
			return Unusable{Podman, messages.Errorf("Podman answers at %s, and hellolab needs a Docker Engine", docker.DaemonHost()).
				WithHint("install Docker beside it, and choose that: %s shows what there is; if DOCKER_HOST is set: %s",
					messages.Shell("docker", "context", "ls"), messages.Unset("DOCKER_HOST"))}
		}
	}
	return nil
}

// CheckCommand fails where the docker command line, which kind calls, is missing.
func CheckCommand() error {
	if _, err := exec.LookPath("docker"); err != nil {
		return messages.Errorf("the docker command is not on this machine's PATH").
			WithHint("install Docker's command line (Debian and Ubuntu: %s; Docker Desktop includes it), then run the same command again",
				messages.Shell("sudo", "apt-get", "install", "docker.io"))
	}
	return nil
}

// Reason is why an engine is unusable; it is the ID of a rule of `hellolab doctor`.
type Reason string

// The reasons.
const (
	Missing    Reason = "engine-missing"
	Stopped    Reason = "engine-stopped"
	Wedged     Reason = "engine-wedged"
	Forbidden  Reason = "engine-forbidden"
	Elsewhere  Reason = "engine-elsewhere"
	Minikube   Reason = "engine-minikube"
	Podman     Reason = "engine-podman"
	BadContext Reason = "docker-context"
)

// Unusable is the error about an engine that no lab can be made in, or looked at.
type Unusable struct {
	Reason Reason
	// Told says it in the reader's language.
	Told *messages.Error
}

func (u Unusable) Error() string { return u.Told.Error() }

// Unwrap returns the message.
func (u Unusable) Unwrap() error { return u.Told }

// unreachable is the error for an engine that cannot be connected to.
func unreachable(host string, cause error) error {
	if errors.Is(cause, fs.ErrPermission) || strings.Contains(cause.Error(), "permission denied") {
		return Unusable{Forbidden, messages.Errorf("this user may not use the Docker Engine at %s", host).
			WithHint("%s, then log in again", messages.Shell("sudo", "usermod", "-aG", "docker", "$USER"))}
	}
	linux := runtime.GOOS == "linux"
	if linux && host == client.DefaultDockerHost && !installed() {
		return Unusable{Missing, messages.Errorf("there is no Docker Engine on this machine").
			WithHint("install it (Debian and Ubuntu: %s), then run the same command again", messages.Shell("sudo", "apt-get", "install", "docker.io"))}
	}
	failure := messages.Errorf("no Docker Engine answers at %s", host)
	if linux {
		return Unusable{Stopped, failure.WithHint("start it (%s), then run the same command again", messages.Shell("sudo", "systemctl", "start", "docker"))}
	}
	return Unusable{Stopped, failure.WithHint("start Docker Desktop (or %s), then run the same command again", messages.Shell("colima", "start"))}
}

// installed reports whether there is an engine's program, as far as can be told.
func installed() bool {
	for _, program := range []string{"dockerd", "/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd", "/snap/bin/docker"} {
		if _, err := exec.LookPath(program); err == nil {
			return true
		}
	}
	return false
}

// silent is the error for an engine that accepts a call and does not answer it in time.
func silent(host string) error {
	failure := messages.Errorf("the Docker Engine at %s does not respond", host)
	if runtime.GOOS == "linux" {
		return Unusable{Wedged, failure.WithHint("restart it (%s), then run the same command again", messages.Shell("sudo", "systemctl", "restart", "docker"))}
	}
	return Unusable{Wedged, failure.WithHint("restart Docker Desktop (or %s), then run the same command again", messages.Shell("colima", "restart"))}
}

// Architecture returns the engine's, and so the nodes', which is not always this program's.
func Architecture(ctx context.Context, docker *client.Client) (string, error) {
	version, err := docker.ServerVersion(ctx)
	return version.Arch, err
}

// Labelled returns the filter for what belongs to the lab.
func Labelled(lab string) filters.Args { return filters.NewArgs(filters.Arg("label", Label+"="+lab)) }

// Publisher returns the name of the running container that publishes a port of the host, or "".
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

// EnsureVolume creates a volume of the lab unless it exists. A volume of that name which is not the lab's is refused.
func EnsureVolume(ctx context.Context, docker *client.Client, name, lab string, labels map[string]string) error {
	all := map[string]string{Label: lab}
	maps.Copy(all, labels)
	found, err := docker.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: all})
	if err == nil && found.Labels[Label] != lab {
		return ForeignVolume(name)
	}
	return err
}

// ForeignVolume is the error for a volume that has the name of one of the lab's and belongs to somebody else.
func ForeignVolume(name string) error {
	return messages.Errorf("a Docker volume named %s exists already, and it is not this lab's", name).
		WithHint("choose another name for the lab: %s", messages.Hellolab("up").Usage("--name NAME"))
}
