package messages

import (
	"slices"
	"strings"
	"testing"
)

// FuzzQuote holds that a shell of POSIX takes the words of a command for what they were.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"docker\x00logs\x00a b", "rm\x00it's\x00'\x00''", "\x00", "a\nb\x00$(rm x)\x00`x`\x00\"y\"\x00\\", "=ls\x00~\x00#c\x00*\x00{a,b}", "课程\x00a=b\x00-n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.Split(text, "\x00")
		var line []string
		for i, word := range words {
			if strings.HasPrefix(word, "$") && plain.MatchString(word) {
				words[i] = "x" // a variable is meant to be one
			}
			line = append(line, quote("linux", words[i]))
		}
		if got := split(t, strings.Join(line, " ")); !slices.Equal(got, words) {
			t.Errorf("%q is written %s, which is %q", words, strings.Join(line, " "), got)
		}
	})
}

// split takes a line apart as a shell does, and fails where the shell would do anything else with it.
func split(t *testing.T, line string) (words []string) {
	word, begun := "", false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				t.Fatalf("%s has a quote without an end", line)
			}
			word, begun, i = word+line[i+1:i+1+end], true, i+1+end
		case c == '\\':
			if i++; i == len(line) {
				t.Fatalf("%s ends with a backslash", line)
			}
			word, begun = word+line[i:i+1], true
		case c == ' ':
			if begun {
				words = append(words, word)
			}
			word, begun = "", false
		case strings.IndexByte("\n\t|&;<>()$`\"*?[]#~!{}^", c) >= 0, !begun && c == '=':
			t.Fatalf("in %s, a shell acts on %q", line, c)
		default:
			word, begun = word+line[i:i+1], true
		}
	}
	if begun {
		words = append(words, word)
	}
	return words
}

// FuzzText holds that arguments cannot be taken for formats, in either language, and that no sentence is lost.
func FuzzText(f *testing.F) {
	f.Add("%s", "%d%!s(MISSING)")
	f.Add("web", "网页")
	all, err := Chinese()
	if err != nil {
		f.Fatal(err)
	}
	printers := []Printer{{}, {chinese: all}}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, printer := range printers {
			if got := printer.Text(T("%s: %s", Verbatim(a), Both(a, b))); !strings.HasPrefix(got, a) {
				t.Errorf("%q becomes %q", a, got)
			}
			err := Errorf("the image %s cannot be pulled", a).Because(Usagef("%q", b)).Next(Shell("docker", "pull", a))
			if report := printer.Report(err); !strings.Contains(report, a) || strings.Contains(report, "%!") && !strings.Contains(a+b, "%!") {
				t.Errorf("%q and %q are reported as %q", a, b, report)
			}
		}
	})
}
