package check

import (
	"errors"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/labs/course"
)

// FuzzCompare holds that every part of an object can be compared with every object, and that a plain object meets itself.
func FuzzCompare(f *testing.F) {
	for _, seed := range []string{"a: b\n", "spec: {containers: [{name: a, image: !image b}]}\n", "a: [[1, 2], [3]]\n", "data: {nginx.conf: x}\n", "a: {b: {c: ~}}\n", "[]\n", "a: [{type: Ready, status: 'True'}, {path: /}]\n"} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, expected, have []byte) {
		var part, whole yaml.Node
		if len(expected)+len(have) > 4<<10 || yaml.Unmarshal(expected, &part) != nil || yaml.Unmarshal(have, &whole) != nil || part.Kind == 0 || whole.Kind == 0 {
			return
		}
		object, err := course.DecodeObject(&whole)
		if err != nil {
			return
		}
		refer(part.Content[0])
		for _, difference := range conceal("Secret", compare("", part.Content[0], object.Object)) {
			_, _ = difference.shown().String()+difference.wanted().String()+shorten(difference.path), difference.last()
		}
	})
}

// FuzzAnswer holds that what a server answers is told on one line, and what the API server refuses in its own words.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"hello\nworld", "<html><title>404</title>", "<title>", `{"kind": "Status", "status": "Failure", "message": "no endpoints"}`, "\x1b[31m", "a: b: c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		refused([]byte(text))
		told(errors.New(text))
		if line := firstLine(text); utf8.RuneCountInString(line) > 161 {
			t.Errorf("%q is shown as %q", text, line)
		}
	})
}
