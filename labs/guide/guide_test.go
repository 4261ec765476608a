package guide_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/labs/guide"
	"github.com/hellolab/hellolab/messages"
)

// shown is Markdown on a terminal of so many columns.
func shown(markdown string, columns int) string {
	all := ""
	for _, line := range guide.Lines(guide.Parse(markdown), messages.Printer{}, columns) {
		all += line.Text + "\n"
	}
	return all
}

// TestLines holds what Markdown looks like on a terminal.
func TestLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, markdown, want string }{
		{"nothing", "", ""},
		{"a paragraph that is wrapped anew", "one two\nthree four five six seven eight nine ten eleven", "one two three four five six seven eight\nnine ten eleven\n"},
		{"Chinese, which has no spaces", "标签是附在对象上的\n键值对，\n副本就是 Pod\n中的一个", "标签是附在对象上的键值对，副本就是 Pod\n中的一个\n"},
		{"Korean, which has", "한국어\n문장", "한국어 문장\n"},
		{"an end of a line that is wanted", "one  \ntwo\\\nthree", "one\ntwo\nthree\n"},
		{"headings", "# One\n\ntext\n## Two ##\nThree\n---\n", "One\n\ntext\n\nTwo\n\nThree\n"},
		{"code that is indented", "text\n\n    kubectl get pods -o wide --show-labels=true --all-namespaces\n\n      two more\n", "text\n\n    kubectl get pods -o wide --show-labels=true --all-namespaces\n\n      two more\n"},
		{"code whose first line is indented more", "    \ttwo: three\n    one:\n", "    \ttwo: three\n    one:\n"},
		{"code in a fence", "```yaml\na: b\n\n  <c>: &amp; \\*\n```\n", "    a: b\n\n      <c>: &amp; \\*\n"},
		{"code in a line, which stays whole", "twenty columns of text and `kubectl get pods -A` here", "twenty columns of text and\n`kubectl get pods -A` here\n"},
		{"emphasis", "a **strong** and an *other* word, _too_; a_b_c * d", "a *strong* and an *other* word, *too*;\na_b_c * d\n"},
		{"Chinese that is strong, as docs/courses.md has it", "**注意**：请等**注意：**请", "*注意*：请等**注意：**请\n"},
		{"code that is strong", "**run `kubectl`\nnow**", "*run kubectl now*\n"},
		{"links", "see [the docs](https://k8s.io/docs \"title\") or <https://k8s.io> or https://k8s.io/a_b.", "see the docs (https://k8s.io/docs) or\nhttps://k8s.io or https://k8s.io/a_b.\n"},
		{"links of other kinds", "[a](javascript:alert(1)) [b](file:///etc) [c](#d) [d](//x) [e](http:x) <mailto:a@b.c> [v1] [f][v1]\n\n[v1]: http://x.y", "a b c d e <mailto:a@b.c> [v1] [f][v1]\n\n[v1]: http://x.y\n"},
		{"an image", "![a pod](https://x.y/pod.png)", "[image: a pod] https://x.y/pod.png\n"},
		{"a list", "- one\n- two words that are so long that they\n  are wrapped\n  1. first\n  2. second\n", "- one\n- two words that are so long that they\n  are wrapped\n  1. first\n  2. second\n"},
		{"a list of paragraphs", "9. one\n\n   more\n\n       code\n10. two\n", "9. one\n\n   more\n\n       code\n\n10. two\n"},
		{"lists that lie too deep", "- a\n  - b\n    - c\n      - d\n        - e\n          - f\n", "- a\n  - b\n    - c\n      - d\n\n        e f\n"},
		{"a quote", "> one\n> two\n>\n> - three\n", "> one two\n>\n> - three\n"},
		{"a rule", "a\n\n***\n\nb", "a\n\n" + strings.Repeat("-", 40) + "\n\nb\n"},
		{"a table", "| 名字 | what |\n|---|:-:|\n| `a\\|b` | 网页 |\n| c |\n", "名字   what\n-----  ----\n`a|b`  网页\nc\n"},
		{"a table whose last column is wide", "|a|b|\n|-|-|\n|one|two three four five six seven eight nine ten|\n", "a    b\n---  -----------------------------------\none  two three four five six seven eight\n     nine ten\n"},
		{"a table that is too wide", "|a|b|\n|-|-|\n|one two three four five six|two three four five six|\n|c|d|\n", "a: one two three four five six\nb: two three four five six\n\na: c\nb: d\n"},
		{"no HTML", "<b>x</b> is <none>, <!-- y --> <https:>\n\n<div>\n*z*\n</div>\n", "<b>x</b> is <none>, <!-- y --> <https:>\n\n<div> *z* </div>\n"},
		{"characters that are written in other ways", "\\*a\\* &lt;b&gt; &amp;amp; \\&amp; &nosuch; C:\\x", "*a* <b> &amp; &amp; &nosuch; C:\\x\n"},
		{"what acts on a terminal", "a\x1b[2J &#27;[31m &#x202e;b `\x9b31m` [c](http://x.y/\x1b[1m)", "a [31m b `�31m` c (http://x.y/)\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := shown(test.markdown, 40); got != test.want {
				t.Errorf("it is\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestHeadings holds which lines stand out, and that an image is told of in the reader's language.
func TestHeadings(t *testing.T) {
	t.Parallel()
	var headings []string
	lines := guide.Lines(guide.Parse("# 标题\n\n![图](http://x.y/z)\n"), messages.In(language.SimplifiedChinese), 80)
	for _, line := range lines {
		if line.Heading {
			headings = append(headings, line.Text)
		}
	}
	if !slices.Equal(headings, []string{"标题"}) || lines[2].Text != "[图片：图] http://x.y/z" {
		t.Errorf("the headings are %q, the lines %v", headings, lines)
	}
}

// TestParse holds what the page is told.
func TestParse(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(guide.Parse("## Do\n\n1) `a` [b](http://c.d/e)\n2)\n\n|x|\n|-|\n|**y**|\n\n~~~sh\nz\n~~~\n> q\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"kind":"heading","level":2,"spans":[{"kind":"text","text":"Do"}]},` +
		`{"kind":"list","items":[[{"kind":"paragraph","spans":[{"kind":"code","text":"a"},{"kind":"text","text":" "},{"kind":"link","text":"b","url":"http://c.d/e"}]}],[]],"ordered":true,"start":1},` +
		`{"kind":"table","rows":[[[{"kind":"text","text":"x"}]],[[{"kind":"strong","text":"y"}]]]},` +
		`{"kind":"code","text":"z","language":"sh"},` +
		`{"kind":"quote","blocks":[{"kind":"paragraph","spans":[{"kind":"text","text":"q"}]}]}]`
	if string(got) != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}

// hard are pieces of Markdown that are hard to read when there are many of them.
var hard = []string{"> ", ">", "- ", "1. ", "*", "a_*", "**a ", "_a ", "a**b", "[", "![", "[a](", "[a](<b", "`", "\\", "&a", "- a\n", "# a\n", "```\n", "|", "|a", "|-", "a/", "页", "[a](http://b.c) "}

// TestParseEnds holds that the longest guide that a course may have is read and shown in a moment, and grows to no more than some times
// its size.
func TestParseEnds(t *testing.T) {
	t.Parallel()
	const size = 64 << 10
	deep := ""
	for i := 0; len(deep) < size; i++ {
		deep += strings.Repeat(" ", 2*i) + "- a\n"
	}
	all := map[string]string{
		"a list that gets deeper":  deep,
		"a table of many columns":  strings.Repeat("|a", 8<<10) + "\n" + strings.Repeat("|-", 8<<10) + "\n" + strings.Repeat("|\n", 16<<10),
		"a table of one wide cell": "|" + strings.Repeat("a", 30<<10) + "|\n|-|\n" + strings.Repeat("|b|\n", 8<<10),
		"a table of wide names":    "|" + strings.Repeat("a ", 15<<10) + "|b|\n|-|-|\n" + strings.Repeat("|b|\n", 8<<10),
		"references":               "[a]: http://b.c/" + strings.Repeat("d", 30<<10) + "\n\n" + strings.Repeat("[a]\n\n", 6<<10),
		"signs in many paragraphs": strings.Repeat(strings.Repeat("a_*", 300)+"\n\n", size/902),
	}
	for _, piece := range hard {
		all[fmt.Sprintf("many %q", piece)] = strings.Repeat(piece, size/len(piece))
	}
	for name, markdown := range all {
		begun := time.Now()
		blocks := guide.Parse(markdown)
		told, err := json.Marshal(blocks)
		if err != nil {
			t.Fatal(err)
		}
		text := 0
		for _, line := range guide.Lines(blocks, messages.Printer{}, 80) {
			text += len(line.Text) + 1
		}
		if took := time.Since(begun); took > 30*time.Second { // at most a second or two, on a machine that does nothing else
			t.Errorf("%s: it takes %s", name, took)
		}
		if len(told) > 100*size || text > 10*size {
			t.Errorf("%s: %d bytes become %d of JSON and %d of text", name, len(markdown), len(told), text)
		}
	}
}

// TestWearsOut holds that the parser gets no text which it takes the square of, and every other one.
func TestWearsOut(t *testing.T) {
	t.Parallel()
	for _, sign := range []string{"*", "_", "[", "!", ">", "`", "("} {
		many := strings.Repeat("a"+sign, 1001)
		if blocks := guide.Parse(many); len(blocks) != 1 || blocks[0].Kind != guide.Code || blocks[0].Text != many {
			t.Errorf("many %s are read", sign)
		}
		few := strings.Repeat(strings.Repeat("a"+sign, 1000)+"\n\n", 3)
		if blocks := guide.Parse(few); len(blocks) != 3 || blocks[0].Kind != guide.Paragraph {
			t.Errorf("%s in three paragraphs are not read", sign)
		}
	}
}

// FuzzLines holds that whatever a course says is shown in a moment, and nothing in it acts on a terminal or is lost.
func FuzzLines(f *testing.F) {
	for _, seed := range []string{"# a\n\n- b\n  1. c\n\n> d\n\n|e|f|\n|-|-|\n|g|`h`|\n\n```i\nj\n```\n***\n", "*a **b* `c` [d](http://e.f) ![g](https://h.i)", "网页\nhas\n来了，\nand", "&#27;[2J\x1b]0;x\a\u202e\x9b",
		"\\\n&nbsp;\u2028\u00a0", "- - - > 1. a\n      b", "|a\n|-\n|\\|`\\|`|", "\t- a\n\n\t\tb\n \tc"} {
		f.Add(seed, 80)
	}
	for _, piece := range hard {
		f.Add(strings.Repeat(piece, 50), 80)
	}
	f.Fuzz(func(t *testing.T, markdown string, columns int) {
		if len(markdown) > 64<<10 {
			return // the loader refuses it
		}
		begun := time.Now()
		blocks := guide.Parse(markdown)
		told, err := json.Marshal(blocks)
		if err != nil || strings.Contains(string(told), "null") && !strings.Contains(markdown, "null") {
			t.Errorf("%q is told as %s: %v", markdown, told, err)
		}
		size := 0
		for _, line := range guide.Lines(blocks, messages.Printer{}, 60+columns&63) {
			size += len(line.Text) + 1
			if strings.ContainsFunc(line.Text, func(r rune) bool {
				return unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
			}) || messages.Clean(line.Text) != line.Text {
				t.Errorf("%q is shown as %q", markdown, line.Text)
			}
		}
		if len(told) > 200*len(markdown)+100 || size > 60*len(markdown)+200 {
			t.Errorf("%d bytes become %d of JSON and %d of text: %q", len(markdown), len(told), size, markdown)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%q takes %s", markdown, took)
		}
	})
}

// FuzzAddresses holds that a link leads to the web, or is none.
func FuzzAddresses(f *testing.F) {
	for _, seed := range []string{"https://k8s.io/", "javascript:alert(1)", "//x", "http:x", "HTTP://x", "http://\\*", "java&#115;cript:x", "http://a b", "data:x", " javascript:x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		for _, block := range guide.Parse("[a](" + address + ") [b](<" + address + ">) " + address) {
			for _, span := range block.Spans {
				if span.URL != "" && !strings.HasPrefix(span.URL, "http://") && !strings.HasPrefix(span.URL, "https://") || (span.Kind == guide.Link) != (span.URL != "") && span.Kind != guide.Image {
					t.Errorf("%q becomes %+v", address, span)
				}
			}
		}
	})
}
