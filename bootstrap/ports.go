package bootstrap

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

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

// portSettings lists the settings of all ports.
func portSettings() []string {
	var names []string
	all := Settings{Bootstrap: Config{Ingress: Ingress{Enabled: true}}}
	for _, wanted := range all.ports() {
		names = append(names, wanted.setting)
	}
	return names
}

// clusterPorts are the settings of the ports that the cluster has.
func clusterPorts() map[string]bool {
	return map[string]bool{"bootstrap.ports.http": true, "bootstrap.ports.https": true, "bootstrap.ports.nodePort": true}
}

// claimPorts returns s with a number for every "auto" port. It fails with all those that are taken, and by whom. The lab
// itself has the ports of the settings in ours already.
func (s Settings) claimPorts(ctx context.Context, docker *client.Client, addresses []string, ours map[string]bool) (Settings, error) {
	search, err := s.searchPorts(ctx, docker, addresses)
	if err != nil {
		return s, err
	}
	var problems []error
	var taken []publishedPort
	for _, wanted := range s.ports() {
		switch {
		case ours[wanted.setting]:
		case wanted.port.Auto:
			number, found := search.choose(wanted.candidates)
			if !found {
				problems = append(problems, messages.Errorf("no port is free for %s", wanted.setting).
					WithHint("choose one yourself: %s", messages.Hellolab("up", "--set", wanted.setting+"=VALUE")))
				continue
			}
			*wanted.port = port.Port{Number: number}
		case !search.free(wanted.port.Number):
			taken = append(taken, wanted)
		}
	}
	return s, errors.Join(append(problems, search.refuse(ctx, taken)...)...)
}

// portSearch knows which ports of this machine a lab may have.
type portSearch struct {
	docker    *client.Client
	addresses []string
	rootless  bool
	// reserved ports are those that this lab's settings or other labs name, whether anything listens there or not.
	reserved map[int]bool
}

func (s Settings) searchPorts(ctx context.Context, docker *client.Client, addresses []string) (*portSearch, error) {
	info, err := docker.Info(ctx)
	if err != nil {
		return nil, err
	}
	reserved, err := portsOfOthers(ctx, docker, s.Bootstrap.Name)
	if err != nil {
		return nil, err
	}
	for _, wanted := range s.ports() {
		reserved[wanted.port.Number] = true
	}
	return &portSearch{docker, addresses, rootless(info), reserved}, nil
}

// choose reserves the first candidate that the lab may have.
func (p *portSearch) choose(candidates []int) (number int, found bool) {
	for _, candidate := range candidates {
		if !p.reserved[candidate] && p.free(candidate) {
			p.reserved[candidate] = true
			return candidate, true
		}
	}
	return 0, false
}

func (p *portSearch) free(number int) bool {
	return !p.forbidden(number) && port.Free(p.addresses, number)
}

// forbidden reports whether the engine may not publish a port, whoever has it.
func (p *portSearch) forbidden(number int) bool {
	return p.rootless && number < port.FirstUnprivileged()
}

// refuse returns an error for each port that is taken. All have one hint: the command that chooses other ports for all.
func (p *portSearch) refuse(ctx context.Context, taken []publishedPort) []error {
	words := []string{"up"}
	for _, wanted := range taken {
		words = append(words, "--set", wanted.setting+"=auto")
	}
	choose := messages.Hellolab(words...)
	hint := messages.T("stop what is using it, or let hellolab choose another port: %s", choose)
	if slices.ContainsFunc(taken, func(wanted publishedPort) bool { return p.forbidden(wanted.port.Number) }) {
		hint = messages.T("let hellolab choose another port: %s", choose)
	}
	var problems []error
	for _, wanted := range taken {
		number := wanted.port.Number
		var problem *messages.Error
		switch {
		case p.forbidden(number):
			problem = messages.Errorf("rootless Docker may not publish port %v", number)
		case port.Reserved(number):
			problem = messages.Errorf("Windows keeps port %v for itself", number)
		default:
			problem = messages.Errorf("port %v is taken by %s", number, p.owner(ctx, number))
		}
		problem.Hint = hint
		problems = append(problems, problem)
	}
	return problems
}

// owner names who has a port.
func (p *portSearch) owner(ctx context.Context, number int) messages.Text {
	if name := engine.Publisher(ctx, p.docker, number); name != "" {
		return messages.T("the container %s", name)
	}
	if name := port.Owner(ctx, number); name != "" {
		return messages.T("the program %s", name)
	}
	return messages.T("another program")
}

// Names returns the names of the labs that an engine has on record, in their order.
func Names(ctx context.Context, docker *client.Client) ([]string, error) {
	found, err := docker.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", settingsLabel))})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, recorded := range found.Volumes {
		names = append(names, recorded.Labels[engine.Label])
	}
	slices.Sort(names)
	return names, nil
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

func rootless(info system.Info) bool {
	return slices.ContainsFunc(info.SecurityOptions, func(option string) bool { return strings.Contains(option, "name=rootless") })
}
