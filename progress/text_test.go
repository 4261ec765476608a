package progress

import (
	"strings"
	"testing"
)

// TestWords holds where a line may end: the words together are the text, whatever it is.
func TestWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                      "",
		"one":                                   "one",
		"one two":                               "one |two",
		"one  two ":                             "one  |two ",
		"镜像":                                    "镜|像",
		"镜像，仓库。":                                "镜|像，|仓|库。",
		"镜像 v1 没有":                              "镜|像 |v1 |没|有",
		"用v1吧":                                  "用|v1|吧",
		"（见文档）。":                                "（见|文|档）。",
		"hello (world), hellok8s":               "hello |(world), |hellok8s",
		"选“引用”、《书名》；好":                          "选“引|用”、|《书|名》；|好",
		"好……吗？！":                                "好……|吗？！",
		"【一】〔二〕「三」":                             "【一】|〔二〕|「三」",
		"涨 50%，很多":                              "涨 |50%，|很|多",
		"见 http://localhost:30000/a?b=c-d 吧":    "见 |http://localhost:30000/a?b=c-d |吧",
		"kubectl get pods -n dev --output=json": "kubectl |get |pods |-n |dev |--output=json",
		"deployment/web、pod/web":                "deployment/web、|pod/web",
		"👩‍👩‍👧 家👍好":                             "👩‍👩‍👧 |家|👍|好",
		"cafe\u0301 de\u0301ja\u0300":           "cafe\u0301 |de\u0301ja\u0300",
	} {
		got := words(text)
		if strings.Join(got, "|") != want {
			t.Errorf("%q is split into %q, want %s", text, got, want)
		}
		if strings.Join(got, "") != text {
			t.Errorf("%q loses something: %q", text, got)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, prefix, want string }{
		{"nothing", "", "  a  ", "  a\n"},
		{"one line", "one two", "a: ", "a: one two\n"},
		{"just a line", "one two 3", "a: ", "a: one two 3\n"},
		{"one more", "one two 34", "a: ", "a: one two\n   34\n"},
		{"three lines", "one two three four five", "a: ", "a: one two\n   three\n   four five\n"},
		{"no prefix", "one two three", "", "one two\nthree\n"},
		{"a word that is too long", "http://localhost:30000 a", "a: ", "a: http://localhost:30000\n   a\n"},
		{"a long word behind another", "see http://localhost:30000/a b", "a: ", "a: see\n   http://localhost:30000/a\n   b\n"},
		{"many spaces at the end of a line", "one two     3", "a: ", "a: one two\n   3\n"},
		{"Chinese", "一二三四五六七", "a: ", "a: 一二三四\n   五六七\n"},
		{"a sign that begins no line", "一二三四，五", "a: ", "a: 一二三\n   四，五\n"},
		{"emoji", "好👍👍👍👍👍", "a: ", "a: 好👍👍👍\n   👍👍\n"},
		{"combining marks take no column", "cafe\u0301 cafe\u0301", "a: ", "a: cafe\u0301 cafe\u0301\n"},
		{"a command among Chinese", "运行kubectl吧", "a: ", "a: 运行\n   kubectl吧\n"},
		{"a Chinese prefix", "一二三四五", "原因 ", "原因 一二三\n     四五\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Wrap(test.text, test.prefix, 12); got != test.want {
				t.Errorf("it is\n%swant\n%s", got, test.want)
			}
		})
	}
}
