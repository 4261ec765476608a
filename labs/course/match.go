package course

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// The tags of a partial object's leaves.
const (
	// TagMatch is a regular expression.
	TagMatch = "!match"
	// TagImage is an image by the end of its name, whatever registry and account it comes from: hellok8s:v1 is met by
	// docker.io/guangzhengli/hellok8s:v1 and localhost:5001/me/hellok8s:v1.
	TagImage = "!image"
	// TagBase64 is a regular expression for what the base64 stands for.
	TagBase64 = "!base64"
	// TagLeast is the smallest number that will do.
	TagLeast = "!least"
)

// Matcher compares a leaf of an object with what is expected.
type Matcher struct {
	tag, value string
	pattern    *regexp.Regexp
	least      float64
}

// NewMatcher reads a leaf of a partial object. Without a tag, the leaf itself is expected.
func NewMatcher(node *yaml.Node) (m Matcher, err error) {
	m.tag, m.value = node.Tag, node.Value
	switch node.Tag {
	case TagMatch, TagBase64:
		m.pattern, err = regexp.Compile(node.Value)
	case TagLeast:
		m.least, err = strconv.ParseFloat(node.Value, 64)
	case TagImage:
		if strings.Contains(node.Value, "/") {
			err = messages.Usagef("only the end of an image's name counts, behind the last /")
		}
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
	default:
		err = messages.Usagef("there is no tag %s", node.Tag)
	}
	return m, err
}

// Match reports whether value, a leaf as JSON has it, is as expected.
func (m Matcher) Match(value any) bool {
	text := Leaf(value)
	switch m.tag {
	case TagMatch:
		return m.pattern.MatchString(text)
	case TagImage:
		return MatchImage(m.value, text)
	case TagBase64:
		decoded, err := base64.StdEncoding.DecodeString(text)
		return err == nil && m.pattern.Match(decoded)
	case TagLeast:
		number, err := strconv.ParseFloat(text, 64)
		return err == nil && number >= m.least
	}
	return text == m.value
}

// String is what is expected, for people.
func (m Matcher) String() string {
	if m.tag == TagLeast {
		return "≥ " + m.value
	}
	return m.value
}

// Leaf writes a leaf as people do.
func Leaf(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// MatchImage reports whether an image is the expected one, "hellok8s:v1" or "nginx", from any registry and account. An
// expected image without a tag allows every tag.
func MatchImage(expected, image string) bool {
	image, _, _ = strings.Cut(image, "@")
	last := image[strings.LastIndex(image, "/")+1:]
	if !strings.Contains(expected, ":") {
		last, _, _ = strings.Cut(last, ":")
	}
	return last == expected
}
