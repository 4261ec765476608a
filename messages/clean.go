package messages

import (
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// escapes are the sequences that terminals act on (ECMA-48): what begins with CSI, strings with their end (a window's
// title, a hyperlink, the clipboard), and the short ones. A string without an end hides nothing: only its begin goes.
var escapes = regexp.MustCompile(`(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x{90}\x{98}\x{9d}-\x{9f}])[^\x07\x1b\x{9c}\n]*(?:\x07|\x1b\\|\x{9c})|\x1b[ -/]*[0-~]`)

// Clean is a text of anybody's without what would do more on a terminal than be read: escape sequences, control
// characters but for the ends of lines and tabs, and marks that turn the direction of writing, so that one thing is read
// where another one stands (https://trojansource.codes). Bytes that are no UTF-8 become U+FFFD.
func Clean(text string) string {
	if strings.IndexFunc(text, acts) < 0 && utf8.ValidString(text) {
		return text
	}
	text = escapes.ReplaceAllLiteralString(strings.ToValidUTF8(text, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		if acts(r) {
			return -1
		}
		return r
	}, text)
}

// acts reports whether a terminal does something else with a character than to show it.
func acts(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r < ' ', '\x7f' <= r && r < '\u00a0': // C0, DEL, C1
		return true
	}
	return r == '\u061c' || r == '\u200e' || r == '\u200f' || '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

// cleaned is a writer for texts of anybody's.
type cleaned struct{ io.Writer }

// Cleaned returns a writer that passes on what is written to it, [Clean]. Each Write has to be whole characters.
func Cleaned(w io.Writer) io.Writer { return cleaned{w} }

// Write reports as written what it was given, not what is left of it.
func (c cleaned) Write(text []byte) (int, error) {
	if _, err := io.WriteString(c.Writer, Clean(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
