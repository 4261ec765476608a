package strict

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// A slip is a character that looks like one of YAML's and is none: a Chinese keyboard types it, or a web page had it. YAML
// takes it as part of a word. All of them are fine in texts, so just those are slips that stand where no text begins.
type slip struct {
	line, column int
	is           rune
}

func (s slip) error(file string) error {
	instead, called := meant(s.is), fmt.Sprintf("%U", s.is)
	at := messages.T("%s, line %v, character %v", file, s.line, s.column)
	var failure *messages.Error
	switch {
	case s.is == '\t':
		failure = messages.Usagef("%s: there is a tab; type spaces instead", at)
	case instead == "":
		failure = messages.Usagef("%s: there is an invisible character (%s); delete it", at, called)
	case instead == " ":
		failure = messages.Usagef("%s: there is a space of another kind (%s); type a plain one instead", at, called)
	default:
		failure = messages.Usagef("%s: type %s instead of %s", at, instead, string(s.is))
	}
	return failure.WithHint("YAML's signs are those of an English keyboard; where another one is meant, put the text into quotes: '…'")
}

// meant is what to type for a character: itself, where it is no lookalike.
func meant(r rune) string {
	switch {
	case r <= unicode.MaxASCII && r != '\t':
		return string(r)
	case r == '\t' || r >= '\u2000' && r <= '\u200a' || strings.ContainsRune("\u00a0\u1680\u202f\u205f\u3000", r):
		return " "
	case strings.ContainsRune("\u200b\u200c\u200d\u2060\ufeff", r): // they take no place at all
		return ""
	case strings.ContainsRune("“”„‟", r):
		return `"`
	case strings.ContainsRune("‘’‚‛", r):
		return "'"
	case r == '【' || r == '〔':
		return "["
	case r == '】' || r == '〕':
		return "]"
	case r == '、':
		return ","
	case r == '。':
		return "."
	case '！' <= r && r <= '～': // U+FF01 to U+FF5E are ASCII's, in full width
		return string(r - '！' + '!')
	}
	return string(r)
}

// looksLike reports whether a character is taken for another one.
func looksLike(r rune) bool {
	return meant(r) != string(r)
}

// Slips refuses what is typed in a document that can be read, and that hardly means what it says.
func Slips(file string, document *yaml.Node) error {
	var found []error
	var look func(node *yaml.Node, isKey bool)
	look = func(node *yaml.Node, isKey bool) {
		for i, inner := range node.Content {
			look(inner, node.Kind == yaml.MappingNode && i%2 == 0)
		}
		if node.Kind != yaml.ScalarNode || node.Style&^yaml.TaggedStyle != 0 {
			return // quoted, or a block of text
		}
		if at, is := slipIn(node.Value, isKey); at >= 0 {
			found = append(found, slip{node.Line, node.Column + at, is}.error(file))
		}
	}
	look(document, false)
	return errors.Join(found...)
}

var (
	// keyed is a key that ends with a colon in full width.
	keyed = regexp.MustCompile(`^[\w./-]+\s*：`)
	// bracketed is a list or a group that begins with a bracket in full width.
	bracketed = regexp.MustCompile(`^[［｛【]`)
	// opening is a quotation mark at the beginning of a word.
	opening = regexp.MustCompile(`^[“”‘’＂＇]`)
)

// slipIn returns where the first slip is in a plain word of YAML's, in characters, and which one; or -1. Words in Chinese,
// and sentences, may have such characters; keys may not.
func slipIn(value string, isKey bool) (int, rune) {
	foreign := func(r rune) bool { return r > unicode.MaxASCII && !looksLike(r) }
	switch at := strings.IndexFunc(value, looksLike); {
	case at < 0:
	case keyed.MatchString(value) && (isKey || strings.IndexFunc(value, foreign) < 0):
		return characterAt(value, strings.Index(value, "："))
	case strings.IndexFunc(value, foreign) >= 0:
		if first, is := characterAt(value, at); isKey && first == 0 {
			return first, is
		}
	case isKey, bracketed.MatchString(value), !strings.Contains(value, " ") && (!strings.ContainsAny(value, "“”‘’") || opening.MatchString(value)):
		return characterAt(value, at)
	}
	return -1, 0
}

// characterAt turns a position in bytes into one in characters, and returns the character there.
func characterAt(text string, at int) (int, rune) {
	for _, r := range text[at:] {
		return len([]rune(text[:at])), r
	}
	return -1, 0
}

// signs are where a line of YAML has a slip, as its first group. They are looked for in files that cannot be read.
func signs() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`^[ -]*([\t\x{a0}\x{2000}-\x{200b}\x{202f}\x{205f}\x{3000}\x{feff}])`), // indentation
		regexp.MustCompile(`^ *([－＃])`),                                                    // an element, a comment
		regexp.MustCompile(`^[ -]*["']?[\w./-]+["']?\s*(：)`),                               // behind a key
		regexp.MustCompile(`^[ -]*["']?[\w./-]+["']?:([\x{a0}\x{2000}-\x{200b}\x{3000}])`), // in front of a value
		regexp.MustCompile(`^[ -]*["']?[\w./-]+["']?[:：]\s*([［｛【“”‘’＂＇])`),                 // at its begin
		regexp.MustCompile(`[{,，]\s*["']?[\w./-]+["']?\s*(：)`),                             // behind a key within { }
		regexp.MustCompile(`[{\[].*(，)\s*["']?[\w./-]+["']?\s*[:：,，\]］}｝]`),                // between two elements
		regexp.MustCompile(`\[[^\]]*([］】])\s*$`), regexp.MustCompile(`\{[^}]*(｝)\s*$`),     // at the end of a list or group
		regexp.MustCompile(`:\s*"[^"]*([”＂])\s*$`), regexp.MustCompile(`:\s*'[^']*([’＇])\s*$`), // at the end of a quotation
	}
}

// block is a line with a key or a - whose value is the text below it, by how far that is indented.
var block = regexp.MustCompile(`(^|[ :-])[|>][0-9+-]*\s*(#.*)?$`)

// slipsOf looks for the cause in a file that is no YAML.
func slipsOf(content string) (found []slip) {
	within := -1 // the indentation of the line that a block of text belongs to
	for number, line := range strings.Split(content, "\n") {
		text := strings.TrimLeft(line, " ")
		indentation := len(line) - len(text)
		if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#") || within >= 0 && indentation > within {
			continue
		}
		if within = -1; block.MatchString(line) {
			within = indentation
		}
		if first := firstSlip(line); first.column > 0 {
			first.line = number + 1
			found = append(found, first)
		}
	}
	return found
}

// firstSlip returns the slip in a line that comes first, or one without a column.
func firstSlip(line string) (first slip) {
	for _, sign := range signs() {
		at := sign.FindStringSubmatchIndex(line)
		if at == nil {
			continue
		}
		column, is := characterAt(line, at[2])
		if first.column == 0 || column+1 < first.column {
			first = slip{column: column + 1, is: is}
		}
	}
	return first
}

// explained tells what is wrong with a file that is no YAML, or not of the right kinds: the slips that may be why, or else what
// the YAML library says.
func explained(file string, content []byte, err error) error {
	slips := slipsOf(string(Plain(content)))
	var mistyped *yaml.TypeError
	isMistyped := errors.As(err, &mistyped)
	var all []error
	for _, slip := range slips {
		at := fmt.Sprintf("line %d: ", slip.line)
		if !isMistyped || slices.ContainsFunc(mistyped.Errors, func(line string) bool { return strings.HasPrefix(line, at) }) {
			all = append(all, slip.error(file))
		}
	}
	if isMistyped {
		return errors.Join(append(all, Retell(file, without(mistyped, slips)))...)
	}
	return cmp.Or(errors.Join(all...), Retell(file, err))
}

// without is an error without its lines that have a slip.
func without(err *yaml.TypeError, slips []slip) *yaml.TypeError {
	return &yaml.TypeError{Errors: slices.DeleteFunc(slices.Clone(err.Errors), func(line string) bool {
		return slices.ContainsFunc(slips, func(s slip) bool { return strings.HasPrefix(line, fmt.Sprintf("line %d: ", s.line)) })
	})}
}
