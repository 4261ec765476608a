package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
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
	// Others are the sections of packages that bootstrap knows nothing of, by their names. They are recorded and compared
	// like its own.
	Others map[string]any `yaml:",inline"`
}

const (
	settingsLabel        = "io.github.hellolab.settings"
	sinceLabel           = "io.github.hellolab.since"
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
	ports := []publishedPort{
		{"bootstrap.ports.nodePort", &s.Bootstrap.Ports.NodePort, after(nodePort, nodePort+1)},
		{"registry.port", &s.Registry.Port, after(5001, 5002)},
	}
	if s.Bootstrap.Ingress.Enabled {
		ports = append([]publishedPort{
			{"bootstrap.ports.http", &s.Bootstrap.Ports.HTTP, after(80, 8080)},
			{"bootstrap.ports.https", &s.Bootstrap.Ports.HTTPS, after(443, 8443)},
		}, ports...)
	}
	return ports
}

// claimPorts gives every "auto" port a number, and fails with all those that are taken, and by whom. Ports of what
// runs already, by their settings, are taken by the lab itself.
func (s *Settings) claimPorts(ctx context.Context, docker *client.Client, addresses []string, ours map[string]bool) error {
	info, err := docker.Info(ctx)
	if err != nil {
		return err
	}
	var problems []error
	named, err := portsOfOthers(ctx, docker, s.Bootstrap.Name)
	if err != nil {
		return err
	}
	for _, wanted := range s.ports() {
		named[wanted.port.Number] = true
	}
	free := func(number int) bool {
		return port.Free(addresses, number) && !(rootless(info) && number < firstUnprivileged)
	}
	for _, wanted := range s.ports() {
		switch {
		case ours[wanted.setting]:
		case wanted.port.Auto:
			for _, candidate := range wanted.candidates {
				if !named[candidate] && free(candidate) {
					*wanted.port = port.Port{Number: candidate}
					named[candidate] = true
					break
				}
			}
			if wanted.port.Auto {
				problems = append(problems, messages.Errorf("no port is free for %s", wanted.setting).
					WithHint("write the number of a free one into a file and run: hellolab up --config FILE"))
			}
		case rootless(info) && wanted.port.Number < firstUnprivileged:
			problems = append(problems, messages.Errorf("rootless Docker may not publish port %v", wanted.port.Number).
				WithHint("write %s: auto (or another number) into a file and run: hellolab up --config FILE", wanted.setting))
		case !free(wanted.port.Number):
			problems = append(problems, taken(ctx, docker, wanted))
		}
	}
	return errors.Join(problems...)
}

// portsOfOthers are those that other labs have on record: they may be stopped, or just about to start. "auto" keeps away
// from them.
func portsOfOthers(ctx context.Context, docker *client.Client, name string) (map[int]bool, error) {
	found, err := docker.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", settingsLabel))})
	if err != nil {
		return nil, err
	}
	ports := map[int]bool{}
	for _, recorded := range found.Volumes {
		var other Settings
		if recorded.Labels[engine.Label] == name || yaml.Unmarshal([]byte(recorded.Labels[settingsLabel]), &other) != nil {
			continue // or another version of hellolab made it
		}
		for _, theirs := range other.ports() {
			ports[theirs.port.Number] = true
		}
	}
	return ports, nil
}

// firstUnprivileged is the first port that any user may listen on, unless net.ipv4.ip_unprivileged_port_start says
// otherwise.
const firstUnprivileged = 1024

func rootless(info system.Info) bool {
	return slices.ContainsFunc(info.SecurityOptions, func(option string) bool { return strings.Contains(option, "name=rootless") })
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

// recorded gives what the engine remembers of the lab of that name.
// Settings that an older version of hellolab did not know are those of defaults.
func recorded(ctx context.Context, docker *client.Client, defaults Settings) (settings Settings, found record, err error) {
	settings = defaults
	settings.Others, settings.Bootstrap.Ingress.Values = nil, nil // not the maps of defaults, which YAML would write into
	name := defaults.Bootstrap.Name
	volume, err := docker.VolumeInspect(ctx, settingsVolume(name))
	if errdefs.IsNotFound(err) {
		return defaults, record{}, nil
	}
	if err != nil {
		return defaults, record{}, err
	}
	if volume.Labels[engine.Label] != name {
		return defaults, record{}, engine.ForeignVolume(volume.Name)
	}
	if err := yaml.Unmarshal([]byte(volume.Labels[settingsLabel]), &settings); err != nil {
		return settings, record{}, messages.Errorf("the lab %s was made by another version of hellolab", name).Because(err).
			WithHint("use that version, or begin anew: docker rm -fv %s, docker volume rm %s, then hellolab up", name+"-"+controlPlane, volume.Name)
	}
	settings.Others = overlay(defaults.Others, settings.Others)
	since, _ := time.Parse(time.RFC3339, volume.Labels[sinceLabel])
	return settings, record{exists: true, since: since, previousContext: volume.Labels[previousContextLabel]}, nil
}

// overlay returns a copy of below with everything that above says instead.
func overlay(below, above map[string]any) map[string]any {
	merged := maps.Clone(below)
	if merged == nil {
		return above
	}
	for key, value := range above {
		section, isSection := value.(map[string]any)
		under, wasSection := merged[key].(map[string]any)
		if isSection && wasSection {
			value = overlay(under, section)
		}
		merged[key] = value
	}
	return merged
}

// remember writes the lab's settings down, and with that begins its existence.
func (l *Lab) remember(ctx context.Context) error {
	content, err := yaml.Marshal(l.settings)
	if err != nil {
		return err
	}
	previous := l.record.previousContext
	if current := l.kubectl.current(); current != l.kubectl.context {
		previous = current
	}
	info, err := l.docker.Info(ctx)
	if err != nil {
		return err
	}
	now, err := time.Parse(time.RFC3339Nano, info.SystemTime) // the engine's clock, which dates its containers too
	if err != nil {
		return err
	}
	l.record = record{exists: true, since: now.Truncate(time.Second), previousContext: previous}
	return engine.EnsureVolume(ctx, l.docker, settingsVolume(l.name()), l.name(), map[string]string{
		settingsLabel:        string(content),
		sinceLabel:           l.record.since.Format(time.RFC3339),
		previousContextLabel: previous,
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

// Asked are the settings that a user asked for in so many words: by a file, or by flags.
type Asked struct {
	Settings
	// Keys are the paths of those settings ("bootstrap.workers"); a path stands for all below it.
	Keys []string
}

// Differences lists what is asked for and is not what s is, as "bootstrap.workers: 0, not 2".
func (s Settings) Differences(asked Asked) []string {
	is, want := flatten(s), flatten(asked.Settings)
	for key := range is {
		if _, found := want[key]; !found {
			want[key] = "nothing"
		}
	}
	var differences []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if is[key] == "" {
			is[key] = "nothing"
		}
		if want[key] != is[key] && asked.mentions(key) && !slices.Contains(changeable(), key) && !(want[key] == "auto" && slices.Contains(portSettings(), key)) {
			differences = append(differences, fmt.Sprintf("%s: %s, not %s", key, is[key], want[key]))
		}
	}
	return differences
}

// changeable lists the settings that a lab may have another value of later: nothing is made from them.
func changeable() []string {
	return []string{"bootstrap.timeout", "bootstrap.keepContext", "labs.timeout", "labs.course", "images.builder"}
}

// With returns s with the changeable settings that asked names.
func (s Settings) With(asked Asked) Settings {
	if !slices.ContainsFunc(changeable(), asked.mentions) {
		return s
	}
	ours, theirs := tree(s), tree(asked.Settings)
	for _, key := range changeable() {
		section, name, _ := strings.Cut(key, ".")
		from, _ := theirs[section].(map[string]any)
		to, _ := ours[section].(map[string]any)
		if value, set := from[name]; set && to != nil && asked.mentions(key) {
			to[name] = value
		}
	}
	var changed Settings
	if content, err := yaml.Marshal(ours); err != nil || yaml.Unmarshal(content, &changed) != nil {
		return s
	}
	return changed
}

// tree is every setting in the shape of config.yaml.
func tree(settings Settings) (all map[string]any) {
	if content, err := yaml.Marshal(settings); err == nil {
		_ = yaml.Unmarshal(content, &all)
	}
	return all
}

// mentions reports whether the user named the setting key, or a section around it.
func (a Asked) mentions(key string) bool {
	return slices.ContainsFunc(a.Keys, func(asked string) bool { return key == asked || strings.HasPrefix(key, asked+".") })
}

func portSettings() []string {
	var names []string
	all := Settings{Bootstrap: Config{Ingress: Ingress{Enabled: true}}}
	for _, wanted := range all.ports() {
		names = append(names, wanted.setting)
	}
	return names
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
			if node.Kind != yaml.ScalarNode {
				node.Style = yaml.FlowStyle // on one line
			}
			content, _ := yaml.Marshal(node)
			leaves[path] = strings.TrimSpace(string(content))
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
