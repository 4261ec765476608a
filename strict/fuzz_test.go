package strict_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

func seeds(f *testing.F) {
	for _, seed := range []string{"", "name: a\ncount: 1\non: true\ntimeout: 5m\nport: auto\nnames: [a, b]\ninner: {number: 3}\nown: good\n", "name： web\n",
		"a: &a [*a]\n", "a: &a {b: *a}\n<<: *a\n", "\ufeffname: x\r\n", "\xff\xfen\x00", "n\x00a\x00", "\x00n", "name: |\n  “x”\n", "\tname: x", "- －\n［a， b］: 【】",
		"name: '\x00'", "--- !!binary x\n", "? [a]\n: {b: c}\n", "inner:\n  number： 三\n", "name: \xb5\xda\n", "own: bad\n", "a: 'x’\nb: \"y”\n", "%YAML 1.1\n---\na: ~\n...\n---\nb: 1\n"} {
		f.Add([]byte(seed))
	}
}

// FuzzDecode holds that a file is read or refused, with words about wrong input that name it.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		var read settings
		_, err := strict.Decode("a.yaml", content, &read)
		told(t, err)
		var anything any
		_, err = strict.Decode("a.yaml", content, &anything)
		told(t, err)
		plain := strict.Plain(content)
		if utf8.Valid(plain) && !bytes.ContainsAny(plain, "\x00\r") && !bytes.HasPrefix(plain, []byte("\ufeff")) && !bytes.Equal(strict.Plain(plain), plain) {
			t.Errorf("%q is not plain: %q", plain, strict.Plain(plain))
		}
	})
}

// FuzzKnown holds the same for settings.
func FuzzKnown(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		known := strict.Known{Defaults: []byte(defaults), FreeForm: []string{"own"}}
		var read struct {
			Name  string
			Count int
			On    bool
			Inner struct{ Number int }
			Own   map[string]any
		}
		paths, err := known.Decode("a.yaml", content, &read)
		told(t, err)
		for _, path := range paths {
			if err == nil && path != "" && strings.Contains(path, "..") {
				t.Errorf("it names the setting %q", path)
			}
		}
	})
}

// told fails unless an error is about wrong input in a.yaml.
func told(t *testing.T, err error) {
	t.Helper()
	var said *messages.Error
	if err != nil && (!messages.IsUsage(err) || !errors.As(err, &said) || !strings.HasPrefix(err.Error(), "a.yaml")) {
		t.Errorf("it is refused with %q", err)
	}
}
