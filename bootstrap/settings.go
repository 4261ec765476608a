package bootstrap

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/registry"
)

// Settings are what a lab is made from, and keeps for its life.
//
// They are recorded in the engine, on the labels of a volume named NAME-settings that `up` creates before anything else and
// `down` removes last. So the lab exists where that volume does, and every later command finds the lab's own settings.
type Settings struct {
	Bootstrap Config          `yaml:"bootstrap"`
	Registry  registry.Config `yaml:"registry"`
	// Others are the sections of packages that bootstrap knows nothing of, by their names. They are recorded and compared
	// like its own.
	Others map[string]any `yaml:",inline"`
}

// Validate reports everything that is wrong with s.
func (s Settings) Validate() error {
	problems := []error{s.Bootstrap.Validate(), s.Registry.Validate()}
	settings := map[int]string{}
	for _, wanted := range s.ports() {
		if other, twice := settings[wanted.port.Number]; twice && !wanted.port.Auto {
			problems = append(problems, messages.Usagef("%s and %s are both %s", other, wanted.setting, wanted.port))
		}
		settings[wanted.port.Number] = wanted.setting
	}
	return errors.Join(problems...)
}

// Images lists the images that a lab is made from.
func (s Settings) Images() []string {
	all := []string{nodeImage(s.Bootstrap), s.Registry.Image}
	if s.Bootstrap.builtInIngress() {
		all = append(all, s.Bootstrap.Ingress.Image)
	}
	return append(all, s.Registry.Images...)
}

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
		if want[key] != is[key] && asked.mentions(key) && !isChangeable(key) && !(want[key] == "auto" && slices.Contains(portSettings(), key)) {
			differences = append(differences, fmt.Sprintf("%s: %s, not %s", key, is[key], want[key]))
		}
	}
	return differences
}

// changeable lists the settings that a lab may have another value of later: nothing is made from them, or `up` makes it once more.
func changeable() []string {
	return append(lasting(), "bootstrap.timeout", "bootstrap.keepContext", "labs.timeout", "labs.course", "images.builder")
}

// lasting lists those of [changeable] that `up` puts on record: the nodes and the registry have been given them.
func lasting() []string { return []string{"registry.mirrors", "registry.images"} }

// isChangeable reports whether a setting, or one around it, is changeable.
func isChangeable(key string) bool {
	return slices.ContainsFunc(changeable(), func(changes string) bool { return key == changes || strings.HasPrefix(key, changes+".") })
}

// With returns s with the changeable settings that asked names.
func (s Settings) With(asked Asked) Settings {
	return s.with(asked.Settings, slices.DeleteFunc(changeable(), func(key string) bool { return !asked.mentions(key) }))
}

// WithAll returns s with every setting that asked names.
func (s Settings) WithAll(asked Asked) Settings { return s.with(asked.Settings, asked.Keys) }

// with returns s with other's values of the settings in keys.
func (s Settings) with(other Settings, keys []string) Settings {
	if len(keys) == 0 {
		return s
	}
	ours, theirs := tree(s), tree(other)
	for _, key := range keys {
		copyAt(ours, theirs, strings.Split(key, "."))
	}
	var changed Settings
	if content, err := yaml.Marshal(ours); err != nil || yaml.Unmarshal(content, &changed) != nil {
		return s
	}
	return changed
}

// copyAt puts what from has at a path into to, where that has the section around it.
func copyAt(to, from map[string]any, path []string) {
	value, found := from[path[0]]
	if len(path) == 1 {
		if found {
			to[path[0]] = value
		}
		return
	}
	deeper, isSection := to[path[0]].(map[string]any)
	theirs, _ := value.(map[string]any)
	if isSection {
		copyAt(deeper, theirs, path[1:])
	}
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

// flatten returns every setting by its path in config.yaml.
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
