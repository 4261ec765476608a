package messages_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/hellolab/hellolab/messages"
)

// TestClean holds that a terminal only shows what others have written.
func TestClean(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"a sentence", "网页 has\tcome\n", "网页 has\tcome\n"},
		{"an emoji of several characters", "👩‍💻 é", "👩‍💻 é"},
		{"colors", "\x1b[1;31mred\x1b[0m", "red"},
		{"colors in one byte", "\u009b31mred\u009bm", "red"},
		{"the cursor", "error\x1b[2K\x1b[1A\rfine\b\b", "errorfine"},
		{"a title", "\x1b]0;root\x07shell", "shell"},
		{"a hyperlink", "\x1b]8;;http://evil\x1b\\docs\x1b]8;;\x1b\\", "docs"},
		{"the clipboard", "\x1b]52;c;cm0gLXJm\x07", ""},
		{"a device's string", "\x1bPq#0\x1b\\x\u0090q\u009cy", "xy"},
		{"a string without an end", "\x1b]0;next: hellolab up\nnext", "0;next: hellolab up\nnext"},
		{"a reset", "\x1bcgone\x1b(0lqk", "gonelqk"},
		{"an escape that is split", "\x1b\x1b[31m[31m", "[31m"},
		{"at the end", "x\x1b", "x"},
		{"the end of a line of Windows'", "a\r\nb", "a\nb"},
		{"other controls", "a\x00b\x07c\x7fd\u0085e", "abcde"},
		{"the direction of writing", "admin\u202e\u2066// nimda\u2069\u200f", "admin// nimda"},
		{"no UTF-8", "a\x9b31mb\xffc", "a\ufffd31mb\ufffdc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := messages.Clean(test.text); got != test.want {
				t.Errorf("%q becomes %q, want %q", test.text, got, test.want)
			}
		})
	}
}

// TestCleaned holds that the writer at the end takes everything, and passes it on clean.
func TestCleaned(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := messages.Cleaned(&out)
	if n, err := fmt.Fprint(w, "\x1b[31mred\r\n"); n != len("\x1b[31mred\r\n") || err != nil || out.String() != "red\n" {
		t.Errorf("%v written, %v: %q", n, err, out.String())
	}
	if _, err := messages.Cleaned(broken{}).Write([]byte("x")); err == nil {
		t.Error("a failure is not passed on")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, fmt.Errorf("closed") }

// FuzzClean holds that nothing is left for a terminal to act on, and that what is clean stays.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"网页\n", "\x1b[1;31mred\x1b[0m", "\u009b31m", "\x1b]0;t\x07", "\x1bP\x1b\\", "\x9b", "\x1b\x1b[[m", "a\u202eb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean := messages.Clean(text)
		if !utf8.ValidString(clean) || messages.Clean(clean) != clean {
			t.Errorf("%q becomes %q, which is not clean", text, clean)
		}
		for _, r := range clean {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%q becomes %q, which has %U", text, clean, r)
			}
		}
		if strings.Count(clean, "\n") != strings.Count(text, "\n") {
			t.Errorf("%q becomes %q, which has other lines", text, clean)
		}
	})
}
