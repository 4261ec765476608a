package registry

import (
	"errors"
	"strings"

	"github.com/distribution/reference"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/mirror"
	"github.com/hellolab/hellolab/port"
)

// Config is the section "registry" of config.yaml.
type Config struct {
	// Image is what the registry's container runs.
	Image string `yaml:"image"`
	// Port of this machine that the registry answers at.
	Port port.Port `yaml:"port"`
	// Upstreams are the image registries that the nodes ask this one for first. What comes from docker.io lies at the
	// root, so that localhost:5001/library/nginx is docker.io/library/nginx; every other one has its name as a prefix.
	Upstreams []string `yaml:"upstreams"`
	// Mirrors are where images come from beside the registries that their names stand for.
	Mirrors mirror.Config `yaml:"mirrors"`
	// Images are copied into the registry by `hellolab up`.
	Images []string `yaml:"images"`
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var problems []error
	for _, image := range append([]string{c.Image}, c.Images...) {
		named, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			problems = append(problems, messages.Usagef("registry: %q is not a valid image name", image))
			continue
		}
		_, tagged := named.(reference.Tagged)
		_, digested := named.(reference.Digested)
		if digested && !tagged {
			problems = append(problems, messages.Usagef("registry: %q has a digest and no tag; images are stored by tag, so add one", image))
		}
	}
	for _, upstream := range c.Upstreams {
		named, err := reference.ParseNormalizedNamed(upstream + "/name")
		// a repository's name, which the upstream's becomes a part of, has no place for a port
		if err != nil || reference.Domain(named) != upstream || strings.Contains(upstream, ":") {
			problems = append(problems, messages.Usagef("registry.upstreams: %q is not the name of an image registry", upstream))
		}
	}
	return errors.Join(append(problems, c.Mirrors.Validate(c.Upstreams))...)
}
