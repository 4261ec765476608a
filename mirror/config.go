// Package mirror knows where an image can be had: at the registry that its name stands for, at mirrors of that, and in the
// Docker Engine; and gets it from the first place that gives it.
package mirror

import (
	_ "embed"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// The presets.
const (
	// Auto is the origin, and the mirrors of China where that does not answer.
	Auto = "auto"
	// China is the mirrors of China, and the origin where these do not answer.
	China = "cn"
	// None is the origin alone.
	None = "none"
)

//go:embed presets.yaml
var presets []byte

// Config is the setting registry.mirrors: the name of a preset, or mirrors by the registry that they stand for. The zero value is
// [None].
type Config struct {
	Preset string
	// By has addresses such as https://mirror.example or https://mirror.example/docker.io, the best first.
	By map[string][]string
}

// UnmarshalYAML reads a preset's name, or mirrors, one or several a registry. They are added to those of other registries that c has.
func (c *Config) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		*c = Config{}
		return node.Decode(&c.Preset)
	}
	var all map[string]yaml.Node
	if err := node.Decode(&all); err != nil {
		return err
	}
	c.Preset, c.By = "", maps.Clone(c.By)
	if c.By == nil {
		c.By = map[string][]string{}
	}
	for upstream, value := range all {
		var some []string
		if value.Kind == yaml.ScalarNode {
			some = []string{value.Value}
		} else if err := value.Decode(&some); err != nil {
			return err
		}
		c.By[upstream] = some
	}
	return nil
}

// MarshalYAML writes what UnmarshalYAML reads.
func (c Config) MarshalYAML() (any, error) {
	switch {
	case c.By != nil:
		return c.By, nil
	case c.Preset == "":
		return None, nil
	}
	return c.Preset, nil
}

// IsZero reports whether c says nothing.
func (c Config) IsZero() bool { return c.Preset == "" && c.By == nil }

// Validate reports everything that is wrong with c. Nodes ask the registries in upstreams only.
func (c Config) Validate(upstreams []string) error {
	if c.By == nil {
		if words := []string{Auto, China, None}; c.Preset != "" && !slices.Contains(words, c.Preset) {
			return messages.Usagef("registry.mirrors: there is no preset %q", c.Preset).
				WithHint("one of %s, or mirrors by registry: {docker.io: [https://MIRROR]}", words)
		}
		return nil
	}
	var problems []error
	for _, upstream := range slices.Sorted(maps.Keys(c.By)) {
		if !slices.Contains(upstreams, upstream) {
			problems = append(problems, messages.Usagef("registry.mirrors: %q is not among registry.upstreams", upstream))
		}
		for _, address := range c.By[upstream] {
			if _, err := parse(address); err != nil {
				problems = append(problems, messages.Usagef("registry.mirrors: %q is not the address of a mirror", address).
					WithHint("as in https://mirror.example, or https://mirror.example/docker.io"))
			}
		}
	}
	return errors.Join(problems...)
}

// Of returns the mirrors of a registry, the best first, and whether they come before the registry itself.
func (c Config) Of(upstream string) (all []Mirror, first bool) {
	by := c.By
	if by == nil && (c.Preset == Auto || c.Preset == China) {
		var known map[string]map[string][]string
		if yaml.Unmarshal(presets, &known) == nil { // a test reads it
			by = known[China]
		}
	}
	for _, address := range by[upstream] {
		if mirror, err := parse(address); err == nil {
			all = append(all, mirror)
		}
	}
	return all, c.Preset != Auto
}

// Mirror is the address of a mirror.
type Mirror struct {
	// Scheme is https, or http for one that is on this machine or that the engine takes for insecure.
	Scheme string
	// Host has the port, if there is one; Prefix comes before the paths of images, and may be "".
	Host, Prefix string
}

// String is the address as a setting has it.
func (m Mirror) String() string { return m.Scheme + "://" + m.repository() }

func (m Mirror) repository() string { return strings.TrimSuffix(m.Host+"/"+m.Prefix, "/") }

// errNoMirror is why an address is refused; its reader tells more.
type errNoMirror struct{}

func (errNoMirror) Error() string { return "not the address of a mirror" }

func parse(address string) (Mirror, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	at, err := url.Parse(address)
	if err != nil {
		return Mirror{}, err
	}
	mirror := Mirror{at.Scheme, at.Host, strings.Trim(at.Path, "/")}
	if *at != (url.URL{Scheme: at.Scheme, Host: at.Host, Path: at.Path}) || mirror.Scheme != "https" && mirror.Scheme != "http" {
		return Mirror{}, errNoMirror{}
	}
	named, err := reference.ParseNormalizedNamed(mirror.repository() + "/image")
	if err != nil || reference.Domain(named) != mirror.Host {
		return Mirror{}, errNoMirror{}
	}
	return mirror, nil
}

// place is where an image may be had.
type place struct {
	// host is what answers there, as people name it.
	host string
	// image is its name there.
	image string
	// origin says that it is the registry which the image's name stands for.
	origin bool
}

// places lists where an image may be had, the best first.
func (c Config) places(image string) ([]place, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil, err
	}
	upstream := reference.Domain(named)
	origin := place{upstream, image, true}
	mirrors, first := c.Of(upstream)
	all := make([]place, 0, len(mirrors)+1)
	for _, mirror := range mirrors {
		all = append(all, place{mirror.String(), mirror.repository() + "/" + reference.Path(named) + version(named), false})
	}
	if first {
		return append(all, origin), nil
	}
	return slices.Insert(all, 0, origin), nil
}

// version is what tells an image from others of its repository: its digest, or else its tag.
func version(named reference.Named) string {
	if digested, ok := named.(reference.Digested); ok {
		return "@" + digested.Digest().String()
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
		return ":" + tagged.Tag()
	}
	return ""
}
