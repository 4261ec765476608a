package progress

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzWrap holds that wrapping loses nothing but spaces, and that lines are as narrow as they can be.
func FuzzWrap(f *testing.F) {
	for _, seed := range []string{"", "a b  c", "网页 has come，and stays", "👩‍💻👩‍💻 e\u0301", "http://localhost:30000/a/b --flag=x", "a\nb\tc", "\x00\xff", "\u200b\u00a0\u2028x"} {
		f.Add(seed, "  why  ", 20)
	}
	f.Fuzz(func(t *testing.T, text, prefix string, columns int) {
		if len(text) > 4<<10 || len(prefix) > 100 {
			return // it is for sentences
		}
		wrapped := Wrap(text, prefix, columns%200)
		if got, want := squeezed(wrapped), squeezed(prefix+text); got != want {
			t.Errorf("%q behind %q becomes %q", text, prefix, wrapped)
		}
	})
}

// squeezed is a text without spaces and line ends, which is what wrapping changes.
func squeezed(text string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(text) }

// FuzzCut holds that a line that is drawn over is as narrow as the terminal.
func FuzzCut(f *testing.F) {
	for _, seed := range []string{"", "abc", "网页网页", "👩‍💻👩‍💻", "e\u0301e\u0301", "\u200b", "\xff\xfe"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, line string, columns int) {
		columns = 1 + columns&127
		short := cut(line, columns)
		if Columns(short) > columns || Columns(line) <= columns && short != line || !strings.HasPrefix(line, strings.TrimSuffix(short, "…")) {
			t.Errorf("%q in %d columns is %q, %d wide", line, columns, short, Columns(short))
		}
	})
}

// FuzzTable holds that columns stand below each other, whatever is in them.
func FuzzTable(f *testing.F) {
	f.Add("a", "网页", "👩‍💻")
	f.Add("", "e\u0301", "\u200b\xff")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if strings.ContainsAny(a+b+c, "\n\r\u0085\u2028\u2029\v\f") || !utf8.ValidString(a+b+c) {
			return // a cell is a name
		}
		lines := strings.Split(Table([][]string{{a, "|"}, {b, "|"}, {c, "|"}}), "\n")
		for _, line := range lines[:3] {
			if before, _, _ := strings.Cut(line, "|"); strings.Count(line, "|") == 1 && Columns(before) != max(Columns(a), Columns(b), Columns(c))+2 {
				t.Errorf("%q has columns that do not stand below each other: %q", []string{a, b, c}, lines)
			}
		}
	})
}
