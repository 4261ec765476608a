package main

import (
	"bytes"
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/registry"
	"github.com/hellolab/hellolab/strict"
)

// builtInName is the name of the lab where no setting names another.
const builtInName = "hellolab"

//go:embed config.yaml
var defaultConfig []byte

// configuration is config.yaml: one section for each package that has settings, under its name.
type configuration struct {
	Bootstrap bootstrap.Config `yaml:"bootstrap"`
	Registry  registry.Config  `yaml:"registry"`
	Images    images.Config    `yaml:"images"`
	Labs      labs.Config      `yaml:"labs"`

	// asked are the paths of the settings that the user named, in a file or in flags: "bootstrap.workers".
	asked []string
}

// Validate reports everything that is wrong with c.
func (c configuration) Validate() error {
	return errors.Join(c.settings().Validate(), c.Images.Validate(), c.Labs.Validate())
}

// settings are what the lab records of c: all of it.
func (c configuration) settings() bootstrap.Settings {
	return bootstrap.Settings{Bootstrap: c.Bootstrap, Registry: c.Registry,
		Others: map[string]any{"images": section(c.Images), "labs": section(c.Labs)}}
}

// section is a section of the configuration as YAML has it.
func section(config any) (values map[string]any) {
	content, err := yaml.Marshal(config)
	if err == nil {
		err = yaml.Unmarshal(content, &values)
	}
	if err != nil {
		return nil // no section has anything that YAML cannot express; a test holds that
	}
	return values
}

// of is c with what a lab has recorded in its place.
func (c configuration) of(lab bootstrap.Settings) (configuration, error) {
	c.Bootstrap, c.Registry = lab.Bootstrap, lab.Registry
	content, err := yaml.Marshal(lab.Others)
	if err != nil {
		return c, err
	}
	err = yaml.Unmarshal(content, &c)
	return c, err
}

// configure reads the configuration: the defaults, the user's file over them, --set over that, and the other flags last.
// What it was given becomes part of every command that the user is told to type.
func (p *program) configure(c *cli.Context) (all configuration, err error) {
	if err := yaml.Unmarshal(defaultConfig, &all); err != nil {
		return all, err
	}
	var layers []layer
	if file := p.configFile(c); file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return all, messages.Usagef("the settings cannot be read").Because(err).WithHint("name a file that can be read: --config FILE")
		}
		layers = append(layers, layer{file, content})
	}
	flags, err := flagLayers(c)
	if err != nil {
		return all, err
	}
	for _, layer := range append(layers, flags...) {
		if err := layer.over(&all); err != nil {
			return all, err
		}
	}
	for _, path := range []*string{&all.Bootstrap.Ingress.Chart, &all.Labs.Course} {
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil { // the lab keeps it, the working folder changes
				return all, err
			}
		}
	}
	if err := all.Validate(); err != nil {
		return all, err
	}
	p.noteFlags(c, all.Bootstrap.Name)
	return all, nil
}

func (p *program) configFile(c *cli.Context) string {
	if file := c.String("config"); file != "" {
		return file
	}
	return p.getenv("HELLOLAB_CONFIG")
}

// layer is a part of the configuration: YAML, and where it comes from.
type layer struct {
	source  string
	content []byte
}

// flagLayers are the settings that flags name: --set, and those with a flag of their own.
func flagLayers(c *cli.Context) (all []layer, err error) {
	for _, setting := range c.StringSlice("set") {
		key, value, found := strings.Cut(setting, "=")
		if !found || key == "" {
			return nil, messages.Usagef("--set %s is not KEY=VALUE", setting).Next(messages.Hellolab("config"))
		}
		all = append(all, layer{"--set " + setting, nest(key, value)})
	}
	for _, flag := range settingFlags() {
		if c.IsSet(flag.name) {
			all = append(all, layer{"--" + flag.name, nest(flag.setting, flag.value(c))})
		}
	}
	return all, nil
}

// settingFlag is a flag that stands for a setting; value writes what it was given as YAML.
type settingFlag struct {
	name, setting string
	value         func(*cli.Context) string
}

func settingFlags() []settingFlag {
	text := func(name string) func(*cli.Context) string {
		return func(c *cli.Context) string { return strconv.Quote(c.String(name)) }
	}
	return []settingFlag{
		{"name", "bootstrap.name", text("name")},
		{"course", "labs.course", text("course")},
		{"workers", "bootstrap.workers", func(c *cli.Context) string { return strconv.Itoa(c.Int("workers")) }},
		{"no-ingress", "bootstrap.ingress.enabled", func(c *cli.Context) string { return strconv.FormatBool(!c.Bool("no-ingress")) }},
	}
}

// mirrorsSetting has names of hosts as its keys, with dots in them.
const mirrorsSetting = "registry.mirrors"

// nest writes a value at the path of a setting, on one line: "{bootstrap: {workers: 2}}".
func nest(path, value string) []byte {
	keys := strings.Split(path, ".")
	if host, found := strings.CutPrefix(path, mirrorsSetting+"."); found {
		keys = append(strings.Split(mirrorsSetting, "."), host)
	}
	return []byte("{" + strings.Join(keys, ": {") + ": " + value + strings.Repeat("}", len(keys)))
}

// noteFlags keeps what has to be in the commands that the user is told to type, so that they lead to the same lab, and
// ask for the same settings.
func (p *program) noteFlags(c *cli.Context, lab string) {
	p.lab, p.flags, p.settingFlags = lab, nil, nil
	if lab != builtInName {
		p.flags = append(p.flags, "--name", lab)
	}
	if course := c.String("course"); course != "" {
		p.flags = append(p.flags, "--course", course)
	}
	if file := c.String("config"); file != "" {
		p.settingFlags = append(p.settingFlags, "--config", file)
	}
	for _, setting := range c.StringSlice("set") {
		p.settingFlags = append(p.settingFlags, "--set", setting)
	}
	if c.IsSet("workers") {
		p.settingFlags = append(p.settingFlags, "--workers", strconv.Itoa(c.Int("workers")))
	}
	if c.Bool("no-ingress") {
		p.settingFlags = append(p.settingFlags, "--no-ingress")
	}
}

// over puts the layer over all, or refuses it with everything that is wrong with it.
func (l layer) over(all *configuration) error {
	named, err := strict.Known{Defaults: defaultConfig, FreeForm: []string{"bootstrap.ingress.values"}}.Decode(l.source, l.content, all)
	all.asked = append(all.asked, named...)
	return err
}

// showConfig prints the settings that a new lab would get.
func (p *program) showConfig(c *cli.Context) error {
	all, err := p.configure(c)
	if err != nil {
		return err
	}
	var content bytes.Buffer
	encoder := yaml.NewEncoder(&content)
	encoder.SetIndent(2)
	if err := encoder.Encode(all); err != nil {
		return err
	}
	var values map[string]any
	if err := yaml.Unmarshal(content.Bytes(), &values); err != nil {
		return err
	}
	return p.print(c, values, content.String)
}
