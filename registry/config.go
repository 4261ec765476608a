package registry

import (
	"errors"

	"github.com/distribution/reference"

	"github.com/hellolab/hellolab/messages"
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
	// Images are copied into the registry by `hellolab up`.
	Images []string `yaml:"images"`
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var problems []error
	for _, image := range append([]string{c.Image}, c.Images...) {
		if _, err := reference.ParseNormalizedNamed(image); err != nil {
			problems = append(problems, messages.Usagef("registry: %q is no image name", image))
		}
	}
	for _, upstream := range c.Upstreams {
		if named, err := reference.ParseNormalizedNamed(upstream + "/name"); err != nil || reference.Domain(named) != upstream {
			problems = append(problems, messages.Usagef("registry.upstreams: %q is no image registry's name", upstream))
		}
	}
	return errors.Join(problems...)
}
