package main

import (
	_ "embed"
	"errors"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

// builtInName is the name of the lab where no setting names another.
const builtInName = "hellolab"

//go:embed config.yaml
var defaultConfig []byte

// configuration is config.yaml: one section for each package that has settings, under its name.
type configuration struct {
	bootstrap.Settings `yaml:",inline"`
	Images             images.Config `yaml:"images"`
	Labs               labs.Config   `yaml:"labs"`
}

// settings are the defaults, with the user's file and flags over them. asked are the lab's among them, with what the
// user named.
func (p *program) settings(c *cli.Context) (all configuration, asked bootstrap.Asked, err error) {
	if err := yaml.Unmarshal(defaultConfig, &all); err != nil {
		return all, asked, err
	}
	file := c.String("config")
	if file == "" {
		file = p.getenv("HELLOLAB_CONFIG")
	}
	if file != "" {
		if asked.Keys, err = decodeFile(file, &all); err != nil {
			return all, asked, err
		}
	}
	lab := &all.Bootstrap
	if c.IsSet("name") {
		lab.Name = c.String("name")
	}
	if c.IsSet("workers") {
		lab.Workers = c.Int("workers")
		asked.Keys = append(asked.Keys, "bootstrap.workers")
	}
	if c.IsSet("no-ingress") {
		lab.Ingress.Enabled = !c.Bool("no-ingress")
		asked.Keys = append(asked.Keys, "bootstrap.ingress.enabled")
	}
	if chart := lab.Ingress.Chart; chart != "" {
		if lab.Ingress.Chart, err = filepath.Abs(chart); err != nil { // the lab keeps it, the working folder changes
			return all, asked, err
		}
	}
	if lab.Name != builtInName {
		p.here.Flags = []string{"--name", lab.Name}
	}
	asked.Settings = all.Settings
	return all, asked, errors.Join(all.Settings.Validate(), all.Images.Validate(), all.Labs.Validate())
}

// decodeFile reads the user's file over settings, and refuses it with everything that is wrong with it. It gives the
// paths of the settings that the file names.
func decodeFile(file string, settings *configuration) (keys []string, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, messages.Usagef("the settings cannot be read").Because(err).WithHint("name a file that can be read: --config FILE")
	}
	return strict.Known{Defaults: defaultConfig, FreeForm: freeForm()}.Decode(file, content, settings)
}

// freeForm are the settings whose keys are the user's own.
func freeForm() []string { return []string{"bootstrap.ingress.values"} }
