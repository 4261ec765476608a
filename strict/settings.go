package strict

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// Known describes the settings that a file may have.
type Known struct {
	// Defaults is a YAML document with every setting.
	Defaults []byte
	// FreeForm lists the settings whose keys are the user's own, by their paths ("ingress.values").
	FreeForm []string
}

// Decode reads a YAML document of settings over the ones in into, and returns the paths of the settings that it names
// ("bootstrap.workers"). It reports everything that is wrong at once; file is the document's name in errors.
func (k Known) Decode(file string, content []byte, into any) (paths []string, err error) {
	written, err := document(file, content)
	if err != nil {
		return nil, err
	}
	var known yaml.Node
	if err := yaml.Unmarshal(k.Defaults, &known); err != nil {
		return nil, err
	}
	if written == nil {
		return nil, nil
	}
	wrong := k.unknown(file, "", written.Content[0], known.Content[0])
	if err := written.Decode(into); err != nil {
		wrong = append(wrong, explained(file, content, err))
	}
	return k.leaves("", written.Content[0], known.Content[0]), errors.Join(wrong...)
}

// leaves returns the paths of all settings below node.
func (k Known) leaves(path string, node, known *yaml.Node) (paths []string) {
	if known == nil || known.Kind != yaml.MappingNode || slices.Contains(k.FreeForm, path) {
		return []string{path}
	}
	if node.Kind != yaml.MappingNode && node.Tag != "!!null" {
		return []string{path}
	}
	// a section whose lines are all commented out is null, and asks for nothing
	for i := 0; i < len(node.Content); i += 2 {
		key := node.Content[i].Value
		paths = append(paths, k.leaves(join(path, key), node.Content[i+1], valueOf(known, key))...)
	}
	return paths
}

// unknown returns an error for every key that the defaults do not have, with its line.
func (k Known) unknown(file, path string, written, known *yaml.Node) (wrong []error) {
	if written.Kind != yaml.MappingNode || known.Kind != yaml.MappingNode || slices.Contains(k.FreeForm, path) {
		return nil
	}
	for i := 0; i < len(written.Content); i += 2 {
		key := written.Content[i]
		full := join(path, key.Value)
		if value := valueOf(known, key.Value); value != nil {
			wrong = append(wrong, k.unknown(file, full, written.Content[i+1], value)...)
			continue
		}
		wrong = append(wrong, messages.Usagef("%s, line %v: there is no setting %s", file, key.Line, full).
			WithHint("%s shows all settings", messages.Hellolab("config")))
	}
	return wrong
}

// valueOf returns a mapping's value, or nil.
func valueOf(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }
