package strict_test

import (
	"strings"
	"testing"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

// TestSlips holds that the signs of a Chinese keyboard, and what is copied from web pages, are told by their place and by what
// to type, whether the rest is still YAML or not.
func TestSlips(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, content string
		want          []string
	}{
		{"a colon", "name：web\n", []string{"line 1, character 5: type : instead of ："}},
		{"a colon and a space", "name： web\n", []string{"line 1, character 5: type : instead of ："}},
		{"a colon between others", "count: 2\nname： web\non: true\n", []string{"line 2, character 5: type : instead of ："}},
		{"a colon behind Chinese", "inner:\n  number： 三\n", []string{"line 2, character 9: type : instead of ："}},
		{"a colon in a group", "inner: {number： 3}\n", []string{"line 1, character 15: type : instead of ："}},
		{"a comma in a list", "names: [a，b]\n", []string{"line 1, character 10: type , instead of ，"}},
		{"a comma in a group", "inner: {number: 3， name: x}\n", []string{"line 1, character 18: type , instead of ，"}},
		{"a stop in a list", "names: [a、b]\n", []string{"line 1, character 10: type , instead of 、"}},
		{"brackets", "names: ［a, b］\n", []string{"line 1, character 8: type [ instead of ［"}},
		{"other brackets", "names: 【a】\n", []string{"line 1, character 8: type [ instead of 【"}},
		{"one bracket", "names: [a, b］\n", []string{"line 1, character 13: type ] instead of ］"}},
		{"braces", "inner: ｛number: 3｝\n", []string{"line 1, character 8: type { instead of ｛"}},
		{"quotation marks", "name: “web”\n", []string{"line 1, character 7: type \" instead of “"}},
		{"single ones", "name: ‘web’\n", []string{"line 1, character 7: type ' instead of ‘"}},
		{"one quotation mark", "name: \"web”\ncount: 2\n", []string{"line 1, character 11: type \" instead of ”"}},
		{"numbers", "count: ２\n", []string{"line 1, character 8: type 2 instead of ２"}},
		{"letters", "ｎame: web\n", []string{"line 1, character 1: type n instead of ｎ"}},
		{"an element", "names:\n－ a\n", []string{"line 2, character 1: type - instead of －"}},
		{"a comment", "＃ mine\nname: web\n", []string{"line 1, character 1: type # instead of ＃"}},
		{"a tab", "inner:\n\tnumber: 3\n", []string{"line 2, character 1: there is a tab; type spaces instead"}},
		{"a tab behind spaces", "inner:\n  \tnumber: 3\n", []string{"line 2, character 3: there is a tab; type spaces instead"}},
		{"a no-break space in front", "inner:\n\u00a0\u00a0number: 3\n", []string{"line 2, character 1: there is a space of another kind (U+00A0); type a plain one instead"}},
		{"a no-break space behind", "name: web\u00a0\n", []string{"line 1, character 10: there is a space of another kind (U+00A0); type a plain one instead"}},
		{"a no-break space behind a colon", "name:\u00a0web\n", []string{"line 1, character 6: there is a space of another kind (U+00A0); type a plain one instead"}},
		{"a wide space", "name:　web\ncount: 2\n", []string{"line 1, character 6: there is a space of another kind (U+3000); type a plain one instead"}},
		{"what is not seen", "name: web\u200b\n", []string{"line 1, character 10: there is an invisible character (U+200B); delete it"}},
		{"all of them", "name： web\ncount：2\ninner:\n\tnumber: 3\n", []string{"line 1, character 5: type : instead of ：",
			"line 2, character 6: type : instead of ：", "line 4, character 1: there is a tab; type spaces instead"}},
		{"not in a block of text", "name: |\n  port：\n  【a】\ncount： 2\n", []string{"line 4, character 6: type : instead of ："}},

		{"a sentence", "name: 网页：一门课，【很好】“真的”。\n", nil},
		{"a quotation at the beginning", "name: “网页”是什么？\n", nil},
		{"an English sentence", "name: it’s “the” best – of all…\n", nil},
		{"a word with an apostrophe", "name: it’s\n", nil},
		{"in quotes", "name: '“web”：［a］'\nnames: [\"a，b\"]\n", nil},
		{"in a comment", "name: web # 名字：网页\n# count： 2\n", nil},
		{"in a block of text", "name: |\n  count： 2\n  \u00a0x\n\n  “x”\n", nil},
		{"a key in full", "own：课: x\n", []string{"line 1, character 4: type : instead of ："}},
		{"values of another kind", "inner:\n  number： 三\ncount: 三\n",
			[]string{"line 2, character 9: type : instead of ：", `line 3: "三" is not valid here: it must be a whole number`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, line := range test.want {
				want = append(want, "a.yaml, "+line)
			}
			_, err := strict.Decode("a.yaml", []byte(test.content), &settings{})
			if got := text(err); got != strings.Join(want, "\n") {
				t.Errorf("the errors are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
			if err != nil && !messages.IsUsage(err) {
				t.Error("they are not about wrong input")
			}
			if err != nil && len(want) > 0 && strings.Contains(want[0], "character") && !strings.Contains((messages.Printer{}).Hint(err), "English keyboard") {
				t.Errorf("the hint is %q", (messages.Printer{}).Hint(err))
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
