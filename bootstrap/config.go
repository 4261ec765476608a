package bootstrap

import (
	"errors"
	"regexp"
	"time"

	"github.com/distribution/reference"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

// Config is the section "bootstrap" of config.yaml.
type Config struct {
	// Name of the lab: the kind cluster's name, and NAME in the kubectl context kind-NAME.
	Name string `yaml:"name"`
	// Workers is how many nodes the cluster has beside its control plane.
	Workers int `yaml:"workers"`
	// NodeImage is what the nodes run; "" is the default of the kind version built in.
	NodeImage string `yaml:"nodeImage"`
	Ports     Ports  `yaml:"ports"`
	// KeepContext leaves kubectl's current context alone. Otherwise `up` makes the lab's the current one, and `down`
	// puts back the one before.
	KeepContext bool    `yaml:"keepContext"`
	Ingress     Ingress `yaml:"ingress"`
	// Timeout bounds every wait of `up` and `start`.
	Timeout time.Duration `yaml:"timeout"`
}

// Ports of this machine that reach the cluster, on its loopback addresses.
type Ports struct {
	HTTP  port.Port `yaml:"http"`
	HTTPS port.Port `yaml:"https"`
	// NodePort reaches the nodes' port 30000, which the course's NodePort Service names.
	NodePort port.Port `yaml:"nodePort"`
}

// Ingress says which ingress controller the lab has.
type Ingress struct {
	Enabled bool `yaml:"enabled"`
	// Image of ingress-nginx's controller, with the digest that it is checked against.
	Image string `yaml:"image"`
	// Chart is a chart folder or .tgz to install instead of the embedded one.
	Chart string `yaml:"chart"`
	// Values for Chart.
	Values map[string]any `yaml:"values"`
}

// nodePort is the port of every node that the course's NodePort Service opens.
const nodePort = 30000

// maxName leaves room for "-control-plane" in a host name of 64 characters, which kind appends.
const maxName = 40

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, messages.Usagef(format, args...)) }
	if !validName.MatchString(c.Name) || len(c.Name) > maxName {
		wrong("bootstrap.name: %q is not a valid name for a lab: use up to %v lower-case letters, digits and hyphens", c.Name, maxName)
	}
	if c.Workers < 0 || c.Workers > 9 {
		wrong("bootstrap.workers: %v is not between 0 and 9", c.Workers)
	}
	if c.Timeout < time.Second {
		wrong("bootstrap.timeout: %s is too short: use 5m, for example", c.Timeout)
	}
	for _, named := range []struct{ setting, image string }{{"bootstrap.nodeImage", c.NodeImage}, {"bootstrap.ingress.image", c.Ingress.Image}} {
		if _, err := reference.ParseNormalizedNamed(named.image); err != nil && named.image != "" {
			wrong("%s: %q is not a valid image name", named.setting, named.image)
		}
	}
	if c.Ingress.Enabled && c.Ingress.Chart == "" && c.Ingress.Image == "" {
		wrong("bootstrap.ingress.image is missing")
	}
	if c.Ingress.Chart == "" && len(c.Ingress.Values) > 0 {
		wrong("bootstrap.ingress.values are those of bootstrap.ingress.chart, which is missing: the built-in chart has none to set")
	}
	return errors.Join(problems...)
}

// builtInIngress reports whether these are settings of a lab with hellolab's own ingress controller.
func (c Config) builtInIngress() bool { return c.Ingress.Enabled && c.Ingress.Chart == "" }
