package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/registry"
)

// Settings are what a lab is made from, and keeps for its life.
//
// They are recorded in the engine, on the label of a volume named NAME-settings that `up` creates before anything
// else and `down` removes last. So the lab exists where that volume does, every later command finds the lab's own
// ports, and a kind cluster of the same name that somebody else made is told apart.
type Settings struct {
	Bootstrap Config          `yaml:"bootstrap"`
	Registry  registry.Config `yaml:"registry"`
}

const (
	settingsLabel        = "io.github.hellolab.settings"
	previousContextLabel = "io.github.hellolab.previous-context"
)

// Validate reports everything that is wrong with s.
func (s Settings) Validate() error {
	problems := []error{s.Bootstrap.Validate(), s.Registry.Validate()}
	taken := map[int]string{}
	for _, wanted := range s.ports() {
		if other, twice := taken[wanted.port.Number]; twice && !wanted.port.Auto {
			problems = append(problems, messages.Usagef("%s and %s are both %s", other, wanted.setting, wanted.port))
		}
		taken[wanted.port.Number] = wanted.setting
	}
	return errors.Join(problems...)
}

// publishedPort is a port of this machine that the lab wants.
type publishedPort struct {
	setting string
	port    *port.Port
	// candidates for "auto", in the order of preference.
	candidates []int
}

func (s *Settings) ports() []publishedPort {
	after := func(usual, next int) []int {
		candidates := []int{usual}
		for number := next; number < next+100; number++ {
			candidates = append(candidates, number)
		}
		return candidates
	}
	return []publishedPort{
		{"bootstrap.ports.http", &s.Bootstrap.Ports.HTTP, after(80, 8080)},
		{"bootstrap.ports.https", &s.Bootstrap.Ports.HTTPS, after(443, 8443)},
		{"bootstrap.ports.nodePort", &s.Bootstrap.Ports.NodePort, after(nodePort, nodePort+1)},
		{"registry.port", &s.Registry.Port, after(5001, 5002)},
	}
}

// claimPorts gives every "auto" port a number, and fails with all those that are taken, and by whom.
func (s *Settings) claimPorts(ctx context.Context, docker *client.Client, addresses []string) error {
	var problems []error
	for _, wanted := range s.ports() {
		if wanted.port.Auto {
			*wanted.port = port.Port{Number: port.NextFree(addresses, wanted.candidates)}
			continue
		}
		if !port.Free(addresses, wanted.port.Number) {
			problems = append(problems, taken(ctx, docker, wanted))
		}
	}
	return errors.Join(problems...)
}

func taken(ctx context.Context, docker *client.Client, wanted publishedPort) error {
	by := messages.T("another program")
	if name := engine.Publisher(ctx, docker, wanted.port.Number); name != "" {
		by = messages.T("the container %s", name)
	} else if name := port.Owner(ctx, wanted.port.Number); name != "" {
		by = messages.T("the program %s", name)
	}
	return messages.Errorf("port %v is taken by %s", wanted.port.Number, by).
		WithHint("stop it, or write %s: auto (or another number) into a file and run: hellolab up --config FILE", wanted.setting)
}

// recorded gives the settings of the lab of that name, or nil where there is no such lab, and the kubectl context that
// was current before it.
func recorded(ctx context.Context, docker *client.Client, name string) (settings *Settings, previousContext string, err error) {
	found, err := docker.VolumeInspect(ctx, settingsVolume(name))
	if errdefs.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if found.Labels[engine.Label] != name {
		return nil, "", messages.Errorf("a Docker volume named %s is there already, and it is not this lab's", found.Name).
			WithHint("choose another name for the lab: hellolab up --name NAME")
	}
	settings = new(Settings)
	if err := yaml.Unmarshal([]byte(found.Labels[settingsLabel]), settings); err != nil {
		return nil, "", messages.Errorf("the lab %s was made by another version of hellolab", name).Because(err).
			WithHint("use that version, or begin anew: docker volume rm %s, then hellolab down", found.Name)
	}
	return settings, found.Labels[previousContextLabel], nil
}

func (l *Lab) record(ctx context.Context) error {
	content, err := yaml.Marshal(l.settings)
	if err != nil {
		return err
	}
	return engine.EnsureVolume(ctx, l.docker, settingsVolume(l.name()), map[string]string{
		engine.Label:         l.name(),
		settingsLabel:        string(content),
		previousContextLabel: l.kubeconfig.current(),
	})
}

// forget takes the record away, and with it the lab's existence.
func (l *Lab) forget(ctx context.Context) error {
	if err := l.docker.VolumeRemove(ctx, settingsVolume(l.name()), false); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

func settingsVolume(name string) string { return name + "-settings" }

// Differences lists the settings in which wanted is not what s is, as "bootstrap.workers: 0, not 2".
func (s Settings) Differences(wanted Settings) []string {
	is, want := flatten(s), flatten(wanted)
	var differences []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if want[key] != is[key] && want[key] != "auto" {
			differences = append(differences, fmt.Sprintf("%s: %s, not %s", key, is[key], want[key]))
		}
	}
	return differences
}

// flatten gives every setting by its path in config.yaml.
func flatten(settings Settings) map[string]string {
	var document yaml.Node
	if err := document.Encode(settings); err != nil {
		return nil
	}
	leaves := map[string]string{}
	var walk func(path string, node *yaml.Node)
	walk = func(path string, node *yaml.Node) {
		if node.Kind != yaml.MappingNode {
			content, _ := yaml.Marshal(node)
			leaves[path] = string(content[:max(0, len(content)-1)])
			return
		}
		for i := 0; i < len(node.Content); i += 2 {
			key := node.Content[i].Value
			if path != "" {
				key = path + "." + key
			}
			walk(key, node.Content[i+1])
		}
	}
	walk("", &document)
	return leaves
}
