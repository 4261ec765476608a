package strict_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/strict"
)

type settings struct {
	Name    string        `yaml:"name"`
	Count   int           `yaml:"count"`
	On      bool          `yaml:"on"`
	Timeout time.Duration `yaml:"timeout"`
	Port    port.Port     `yaml:"port"`
	Names   []string      `yaml:"names"`
	Inner   struct {
		Number *int64 `yaml:"number"`
	} `yaml:"inner"`
	Own own `yaml:"own"`
}

// own is a type that refuses a value in its own words.
type own string

func (o *own) UnmarshalText(text []byte) error {
	if string(text) == "bad" {
		return messages.Usagef("%q is bad", string(text))
	}
	*o = own(text)
	return nil
}

// TestDecode holds that every mistake has its file, its line and what belongs there, all at once.
func TestDecode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, content string
		want          []string
	}{
		{"nothing", "", nil},
		{"only a comment", "# later\n", nil},
		{"sound settings", "name: a\ncount: 1\non: true\ntimeout: 5m\nport: auto\nnames: [a, b]\ninner: {number: 3}\nown: good\n", nil},
		{"an unknown key", "name: a\nnmae: b\n", []string{`a.yaml, line 2: "nmae" is not a known key here`}},
		{"an unknown key further in", "inner:\n  nummer: 3\n", []string{`a.yaml, line 2: "nummer" is not a known key here`}},
		{"no whole number", "count: one\n", []string{`a.yaml, line 1: "one" is not valid here: it must be a whole number`}},
		{"no whole number further in", "inner: {number: x}\n", []string{`a.yaml, line 1: "x" is not valid here: it must be a whole number`}},
		{"neither true nor false", "on: perhaps\n", []string{`a.yaml, line 1: "perhaps" is not valid here: it must be true or false`}},
		{"no time", "timeout: soon\n", []string{`a.yaml, line 1: "soon" is not valid here: it must be a duration such as 5m`}},
		{"no port", "port: 70000\n", []string{`a.yaml, line 1: "70000" is not valid here: it must be a port, 1 to 65535, or auto`}},
		{"no list", "names: a\n", []string{`a.yaml, line 1: "a" is not valid here: it must be a list`}},
		{"no text", "name: [a]\n", []string{`a.yaml, line 1: "" is not valid here: it must be text`}},
		{"no group", "inner: a\n", []string{`a.yaml, line 1: "a" is not valid here: it must be a group of settings`}},
		{"a key twice", "name: a\nname: b\n", []string{`a.yaml, line 2: mapping key "name" already defined at line 1`}},
		{"no YAML", "name: a\n\tcount: 1\n", []string{"a.yaml, line 2, character 1: there is a tab; type spaces instead"}},
		{"no YAML at all", "count: 1\nname: a: b\n", []string{"a.yaml, line 2: mapping values are not allowed in this context"}},
		{"two documents", "name: a\n---\nname: b\n", []string{"a.yaml: the file has more than one document; remove the ---"}},
		{"words of a type's own", "own: bad\n", []string{`a.yaml: "bad" is bad`}},
		{"everything", "nmae: a\ncount: x\non: 3\n", []string{`a.yaml, line 1: "nmae" is not a known key here`,
			`a.yaml, line 2: "x" is not valid here: it must be a whole number`, `a.yaml, line 3: "3" is not valid here: it must be true or false`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var read settings
			_, err := strict.Decode("a.yaml", []byte(test.content), &read)
			var got string
			if err != nil {
				got = err.Error()
			}
			if want := strings.Join(test.want, "\n"); got != want {
				t.Errorf("the errors are\n%s\nwant\n%s", got, want)
			}
			if err != nil && !messages.IsUsage(err) {
				t.Error("they are not about wrong input")
			}
		})
	}
}

// TestDecodeReads holds that what is sound arrives, and that what the file does not name stays as it was.
func TestDecodeReads(t *testing.T) {
	t.Parallel()
	read := settings{Name: "before", Count: 7}
	if _, err := strict.Decode("a.yaml", []byte("count: 3\nnames: [a, b]\ntimeout: 1m30s\n"), &read); err != nil {
		t.Fatal(err)
	}
	if read.Name != "before" || read.Count != 3 || strings.Join(read.Names, " ") != "a b" || read.Timeout != 90*time.Second {
		t.Errorf("read as %+v", read)
	}
}
