package course

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// kind is one kind of expectation or action: its key in the file, and what makes a value of its type to decode into.
type kind[T any] struct {
	key string
	new func() T
}

func keys[T any](kinds []kind[T]) (all []string) {
	for _, kind := range kinds {
		all = append(all, kind.key)
	}
	return all
}

// raw is the value of a key, to be decoded once it is known what it is. It is decoded as strictly as the rest of its file,
// which yaml.Node's own Decode would not do: hence this older form of UnmarshalYAML.
type raw struct {
	decode func(any) error
}

// UnmarshalYAML keeps the value.
func (r *raw) UnmarshalYAML(decode func(any) error) error {
	r.decode = decode
	return nil
}

// oneOf decodes a group of settings that has the key of one of kinds, and any of other keys. The value that it returns is
// the zero one where there is no such key, or more than one; line is where the group begins.
func oneOf[T any](decode func(any) error, kinds []kind[T], others map[string]any) (value T, line int, err error) {
	var group written
	if err := decode(&group); err != nil {
		return value, 0, err
	}
	var fields map[string]raw
	if err := decode(&fields); err != nil {
		return value, group.Line, err
	}
	targets, values := maps.Clone(others), []T{}
	for _, kind := range kinds {
		target := kind.new()
		targets[kind.key] = target
		if fields[kind.key].decode != nil { // a key without a value is like none
			values = append(values, target)
		}
	}
	if len(values) == 1 {
		value = values[0]
	}
	return value, group.Line, group.decode(fields, targets)
}

// written is a part of a YAML file as it is written.
type written struct {
	*yaml.Node
}

// UnmarshalYAML keeps the part.
func (w *written) UnmarshalYAML(node *yaml.Node) error {
	w.Node = node
	return nil
}

// decode decodes each field into its target, and refuses those without one. All that is wrong is one error, as the YAML
// library makes it.
func (w written) decode(fields map[string]raw, targets map[string]any) error {
	var wrong yaml.TypeError
	for _, key := range slices.SortedFunc(maps.Keys(fields), w.compare) {
		target, known := targets[key]
		if !known {
			wrong.Errors = append(wrong.Errors, fmt.Sprintf("line %d: field %s not found in type course", w.lineOf(key), key))
			continue
		}
		if fields[key].decode == nil {
			continue
		}
		var mistyped *yaml.TypeError
		if err := fields[key].decode(target); errors.As(err, &mistyped) {
			wrong.Errors = append(wrong.Errors, mistyped.Errors...)
		} else if err != nil {
			return err
		}
	}
	if len(wrong.Errors) == 0 {
		return nil
	}
	return &wrong
}

// compare orders keys as they are written.
func (w written) compare(a, b string) int {
	return cmp.Or(cmp.Compare(w.lineOf(a), w.lineOf(b)), cmp.Compare(a, b))
}

// lineOf is the line of a key.
func (w written) lineOf(key string) int {
	for i := 0; i+1 < len(w.Content); i += 2 {
		if w.Content[i].Value == key {
			return w.Content[i].Line
		}
	}
	return w.Line // it was merged in
}

// spot is where a file says something, for what is wrong with it.
type spot struct {
	*loader
	file string
	line int
}

func (s spot) wrong(problem messages.Text) { s.refuse(s.file, s.line, problem) }

// missing refuses the lack of a key.
func (s spot) missing(key string) { s.wrong(messages.T("%q is missing", key)) }

// notOne refuses a number of keys other than one.
func (s spot) notOne(keys []string) { s.wrong(messages.T("it has to be just one of: %s", keys)) }
