// Package strict reads YAML that a person wrote, and refuses what it does not know: with the file, the line, and what is
// valid there, for everything that is wrong at once.
package strict

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// Decode reads one YAML document into a value; file is its name in errors. A key that the value has no field for is
// refused. It returns the document itself, which knows its lines, or nil where there are only comments.
func Decode(file string, content []byte, into any) (*yaml.Node, error) {
	lines, err := document(file, content)
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(Plain(content))) // a node decodes itself, and takes keys that are not known
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return nil, explained(file, content, err)
	}
	return lines, nil
}

// Check refuses what [Decode] would refuse whatever it is to be decoded into.
func Check(file string, content []byte) error {
	_, err := document(file, content)
	return err
}

// document reads a file with one document, or returns nil where it has nothing but comments.
func document(file string, content []byte) (*yaml.Node, error) {
	all, err := Documents(file, content, Written)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if len(all) > 1 {
		return nil, messages.Usagef("%s: the file has more than one document; remove the ---", file)
	}
	return all[0], Slips(file, all[0])
}

// Documents reads the YAML documents of a file, in any encoding that [Plain] knows. It refuses a file that is larger than
// most, in bytes, by itself or by what its aliases stand for.
func Documents(file string, content []byte, most int) (all []*yaml.Node, err error) {
	content = Plain(content)
	if err := readable(file, content, most); err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	known := map[*yaml.Node]int{}
	for size := 0; ; {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, explained(file, content, err)
		}
		if size += sizeOf(&node, most, known); size > most {
			return nil, tooLarge(file, most)
		}
		all = append(all, &node)
	}
}

// sizeOf is how large what a node stands for is, at most a little more than most; known has what aliases may lead to. One
// that leads back to itself stands for something without an end.
func sizeOf(node *yaml.Node, most int, known map[*yaml.Node]int) int {
	if size, found := known[node]; found {
		return size
	}
	if node.Anchor != "" {
		known[node] = most + 1
	}
	size := len(node.Value) + 1
	for _, inner := range node.Content {
		if size = size + sizeOf(inner, most, known); size > most {
			return most + 1
		}
	}
	if node.Alias != nil {
		size = sizeOf(node.Alias, most, known)
	}
	if node.Anchor != "" {
		known[node] = size
	}
	return size
}

// Retell translates the YAML library's errors about a file into the user's words.
func Retell(file string, err error) error {
	var mistyped *yaml.TypeError
	if !errors.As(err, &mistyped) {
		return retell(file, err)
	}
	var all []error
	for _, line := range mistyped.Errors {
		all = append(all, retell(file, errors.New(line)))
	}
	return errors.Join(all...)
}

var (
	lineOf     = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	mismatched = regexp.MustCompile("^cannot unmarshal !!\\w+ ?(?:`(.*)`)? into (.*)$")
	unknown    = regexp.MustCompile(`^field (\S+) not found in type `)
)

func retell(file string, err error) error {
	var ours *messages.Error
	if errors.As(err, &ours) {
		return messages.Usagef("%s", file).Because(ours)
	}
	parts := lineOf.FindStringSubmatch(err.Error())
	if parts == nil {
		return messages.Usagef("%s is not YAML", file).Because(err)
	}
	if value := mismatched.FindStringSubmatch(parts[2]); value != nil {
		return messages.Usagef("%s, line %s: %q is not valid here: it must be %s", file, parts[1], strings.ToValidUTF8(value[1], ""), kindOf(value[2]))
	}
	if field := unknown.FindStringSubmatch(parts[2]); field != nil {
		return messages.Usagef("%s, line %s: %q is not a known key here", file, parts[1], field[1])
	}
	return messages.Usagef("%s, line %s: %s", file, parts[1], parts[2])
}

// kindOf translates a Go type into the user's words.
func kindOf(goType string) messages.Text {
	switch {
	case strings.HasPrefix(goType, "int"):
		return messages.T("a whole number")
	case goType == "port.Port":
		return messages.T("a port, 1 to 65535, or auto")
	case goType == "bool":
		return messages.T("true or false")
	case goType == "time.Duration":
		return messages.T("a duration such as 5m")
	case strings.HasPrefix(goType, "[]"):
		return messages.T("a list")
	case goType == "string":
		return messages.T("text")
	}
	return messages.T("a group of settings")
}
