package main

import (
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	var written, known yaml.Node
	if err := yaml.Unmarshal(content, &written); err != nil {
		return nil, strict.Retell(file, err)
	}
	if err := yaml.Unmarshal(defaultConfig, &known); err != nil {
		return nil, err
	}
	if written.Kind == 0 {
		return nil, nil // nothing but comments
	}
	wrong := unknownKeys(file, "", written.Content[0], known.Content[0])
	if err := written.Decode(settings); err != nil {
		wrong = append(wrong, strict.Retell(file, err))
	}
	return leaves("", written.Content[0]), errors.Join(wrong...)
}

// leaves gives the paths of all settings below node.
func leaves(path string, node *yaml.Node) (paths []string) {
	if node.Kind != yaml.MappingNode || len(node.Content) == 0 || slices.Contains(freeForm(), path) {
		return []string{path}
	}
	for i := 0; i < len(node.Content); i += 2 {
		paths = append(paths, leaves(strings.TrimPrefix(path+"."+node.Content[i].Value, "."), node.Content[i+1])...)
	}
	return paths
}

// freeForm are the settings whose keys are the user's own.
func freeForm() []string { return []string{"bootstrap.ingress.values"} }

// unknownKeys finds every key that the default settings do not have, with its line.
func unknownKeys(file, path string, written, known *yaml.Node) (wrong []error) {
	if written.Kind != yaml.MappingNode || known.Kind != yaml.MappingNode || slices.Contains(freeForm(), path) {
		return nil
	}
	var names []string
	for i := 0; i < len(known.Content); i += 2 {
		names = append(names, known.Content[i].Value)
	}
	for i := 0; i < len(written.Content); i += 2 {
		key := written.Content[i]
		full := strings.TrimPrefix(path+"."+key.Value, ".")
		if at := slices.Index(names, key.Value); at >= 0 {
			wrong = append(wrong, unknownKeys(file, full, written.Content[i+1], known.Content[2*at+1])...)
			continue
		}
		wrong = append(wrong, messages.Usagef("%s, line %v: there is no setting %s", file, key.Line, full).
			WithHint("hellolab config shows all settings"))
	}
	return wrong
}
