package strict_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

func utf16Of(text string, order binary.ByteOrder, mark bool) []byte {
	if mark {
		text = "\ufeff" + text
	}
	var b bytes.Buffer
	binary.Write(&b, order, utf16.Encode([]rune(text)))
	return b.Bytes()
}

// TestEncodings holds that what the editors of Windows write is read, but for GBK, which cannot be told from other encodings.
func TestEncodings(t *testing.T) {
	t.Parallel()
	const text = "name: 一门课 🎓\ncount: 2\n"
	for name, content := range map[string][]byte{
		"UTF-8":                            []byte(text),
		"a byte order mark":                []byte("\ufeff" + text),
		"the ends of lines of Windows'":    []byte(strings.ReplaceAll(text, "\n", "\r\n")),
		"both":                             []byte("\ufeff" + strings.ReplaceAll(text, "\n", "\r\n")),
		"UTF-16":                           utf16Of(text, binary.LittleEndian, true),
		"UTF-16 the other way round":       utf16Of(text, binary.BigEndian, true),
		"UTF-16 without a mark":            utf16Of(text, binary.LittleEndian, false),
		"UTF-16 BE without a mark":         utf16Of(text, binary.BigEndian, false),
		"UTF-16 with the ends of Windows'": utf16Of(strings.ReplaceAll(text, "\n", "\r\n"), binary.LittleEndian, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var read settings
			if _, err := strict.Decode("a.yaml", content, &read); err != nil || read.Name != "一门课 🎓" || read.Count != 2 {
				t.Errorf("read as %q, %v: %v", read.Name, read.Count, err)
			}
			if got := string(strict.Plain(content)); got != text {
				t.Errorf("as plain text it is %q", got)
			}
		})
	}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("count: 2\nname: 一门课\n")
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{
		gbk:                    `a.yaml, line 2: this is GBK ("name: 一门课"), not UTF-8`,
		"count: 2\nname: \xff": "a.yaml, line 2: this is not UTF-8",
	} {
		_, err := strict.Decode("a.yaml", []byte(content), &settings{})
		if err == nil || err.Error() != want || !strings.Contains((messages.Printer{}).Hint(err), "UTF-8") {
			t.Errorf("%q gives %v, want %s", content, err, want)
		}
	}
}

// TestLimits holds that no file can fill the memory, by what it has or by what it stands for.
func TestLimits(t *testing.T) {
	t.Parallel()
	laughs := "a: &a [" + strings.Repeat("lol, ", 9) + "lol]\n"
	for c := 'b'; c < 'k'; c++ {
		laughs += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 10), ", ") + "]\n"
	}
	long := "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [*a, *a, *a, *a]\n"
	for name, content := range map[string]string{
		"a large file":               "name: " + strings.Repeat("x", strict.Written) + "\n",
		"many aliases":               laughs,
		"aliases of a long text":     long,
		"an alias within its anchor": "a: &a [*a]\n",
	} {
		_, err := strict.Decode("a.yaml", []byte(content), &map[string]any{})
		if err == nil || !strings.HasPrefix(err.Error(), "a.yaml is too large: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := strict.Decode("a.yaml", []byte("name: &a x\nown: *a\n"), &settings{}); err != nil {
		t.Errorf("an alias: %v", err)
	}
}
