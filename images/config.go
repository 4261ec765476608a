package images

import (
	"errors"
	"regexp"

	"github.com/distribution/reference"

	"github.com/hellolab/hellolab/messages"
)

// Config is the section "images" of config.yaml.
type Config struct {
	// Account that the course's images are under: the ACCOUNT in docker.io/ACCOUNT/hellok8s.
	Account string `yaml:"account"`
	// Builder is the image that compiles where this machine has no Go.
	Builder string `yaml:"builder"`
}

var validAccount = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var problems []error
	if !validAccount.MatchString(c.Account) {
		problems = append(problems, messages.Usagef("images.account: %q is not a valid account name", c.Account))
	}
	if _, err := reference.ParseNormalizedNamed(c.Builder); err != nil {
		problems = append(problems, messages.Usagef("images.builder: %q is not a valid image name", c.Builder))
	}
	return errors.Join(problems...)
}
