package strict_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

const defaults = `name: usual
count: 1
on: false
inner:
  number: 5
own: {}
`

// TestKnown holds that a file of settings is read over the defaults, that the settings it names are known by their paths,
// and that everything that is wrong is reported at once.
func TestKnown(t *testing.T) {
	t.Parallel()
	known := strict.Known{Defaults: []byte(defaults), FreeForm: []string{"own"}}
	type read struct {
		Name  string
		Count int
		On    bool
		Inner struct{ Number int }
		Own   map[string]any
	}
	for _, test := range []struct {
		name, content string
		paths         []string
		want          []string
	}{
		{"nothing", "", nil, nil},
		{"only comments", "# later\n", nil, nil},
		{"some settings", "count: 2\ninner: {number: 3}\n", []string{"count", "inner.number"}, nil},
		{"an empty group", "inner: {}\n", nil, nil},
		{"a group whose settings are all commented out", "inner:\n  # number: 3\n", nil, nil},
		{"keys of the user's own", "own: {any: {thing: 1}}\n", []string{"own"}, nil},
		{"an unknown setting", "count: 2\ncuont: 2\n", nil, []string{"a.yaml, line 2: there is no setting cuont"}},
		{"unknown settings further in", "inner:\n  nummer: 3\n  more: {x: 1}\n", nil,
			[]string{"a.yaml, line 2: there is no setting inner.nummer", "a.yaml, line 3: there is no setting inner.more"}},
		{"a value of another kind", "count: many\nname: a\n", nil, []string{`a.yaml, line 1: "many" is not valid here: it must be a whole number`}},
		{"a value in place of a group", "inner: 3\n", nil, []string{`a.yaml, line 1: "3" is not valid here: it must be a group of settings`}},
		{"everything", "cuont: 2\non: perhaps\n", nil,
			[]string{"a.yaml, line 1: there is no setting cuont", `a.yaml, line 2: "perhaps" is not valid here: it must be true or false`}},
		{"no YAML", "name: [\n", nil, []string{"a.yaml, line 1: did not find expected node content"}},
		{"a list", "- name\n", nil, []string{`a.yaml, line 1: "" is not valid here: it must be a group of settings`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			into := read{Name: "before", Count: 7}
			paths, err := known.Decode("a.yaml", []byte(test.content), &into)
			if len(test.want) > 0 {
				if err == nil || err.Error() != strings.Join(test.want, "\n") || !messages.IsUsage(err) {
					t.Errorf("the errors are\n%v\nwant\n%s", err, strings.Join(test.want, "\n"))
				}
				return
			}
			if err != nil || !slices.Equal(paths, test.paths) || into.Name != "before" {
				t.Errorf("read are %q into %+v, %v; want %q", paths, into, err, test.paths)
			}
		})
	}
	_, err := known.Decode("a.yaml", []byte("cuont: 1"), &read{})
	if got := (messages.Printer{}).Hint(err); got != "hellolab config shows all settings" {
		t.Errorf("the hint is %q", got)
	}
	if _, err := (strict.Known{Defaults: []byte("[")}).Decode("a.yaml", []byte("a: 1"), &read{}); err == nil {
		t.Error("defaults that are no YAML are no error")
	}
}

// TestKnownSlips holds that settings are read with the same care, from a flag as well.
func TestKnownSlips(t *testing.T) {
	t.Parallel()
	known := strict.Known{Defaults: []byte(defaults)}
	for content, want := range map[string]string{
		"count：2\n":             "a.yaml, line 1, character 6: type : instead of ：",
		"{inner: {number: ５}}":  "a.yaml, line 1, character 18: type 5 instead of ５",
		"inner:\n  number： 三\n": "a.yaml, line 2, character 9: type : instead of ：",
		"a: 1\n---\nb: 2\n":     "a.yaml: the file has more than one document; remove the ---",
	} {
		var read struct {
			Count int
			Inner struct{ Number int }
		}
		if _, err := known.Decode("a.yaml", []byte(content), &read); err == nil || err.Error() != want {
			t.Errorf("%q gives %v, want %s", content, err, want)
		}
	}
}
