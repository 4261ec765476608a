// Package messages turns what hellolab says into the reader's language.
//
// Every sentence that a user may see is a [Text], made with [T] or [Errorf] from an English format that is also
// its key in zh.yaml, the Chinese catalogue. A test walks the sources of all packages and finds the sentences that
// the catalogue lacks, and those that nothing says any more.
//
// Formats hold %s, %v and %q only, and arguments are rendered before they are put in. A translation may take them in
// another order: %[2]s.
//
// A command to type is never part of a sentence: it is a [Command] among its arguments, so that it leads to the lab that
// this call of the program is about, and a test can run it through the program's own parser.
package messages

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
)

//go:embed zh.yaml
var chinese []byte

// Languages that hellolab speaks, the first being what it speaks when asked for any other.
func Languages() []language.Tag { return []language.Tag{language.English, language.SimplifiedChinese} }

// Text is a sentence that no language has been chosen for yet. The zero Text is no sentence at all.
type Text struct {
	format string
	args   []any
	// chinese is what [Both] was given, which the catalogue does not have.
	chinese string
}

// T makes a Text. format is the English sentence, with %s, %v or %q for each of args; an argument may be a Text or an
// error, which are then rendered in the same language.
func T(format string, args ...any) Text { return Text{format: format, args: args} }

// Verbatim is a Text that is the same in every language: a name, a path, a line of somebody else's output.
func Verbatim(s string) Text { return Text{format: "%s", args: []any{s}} }

// Both is a Text that somebody wrote in both languages: a course's. Where one of them is empty, the other stands for it.
func Both(english, chinese string) Text {
	if english == "" && chinese == "" {
		return Text{}
	}
	return Text{format: "%s", args: []any{cmp.Or(english, chinese)}, chinese: cmp.Or(chinese, english)}
}

// IsZero reports whether there is nothing to say.
func (t Text) IsZero() bool { return t.format == "" }

// String is the sentence in English.
func (t Text) String() string { return Printer{}.Text(t) }

// Error is a failure told in the reader's language: what failed, why (Cause), and the next command to type (Hint).
type Error struct {
	What  Text
	Hint  Text
	Cause error
	// Usage says that the user's input was wrong and that nothing was done: exit status 2.
	Usage bool
}

// Errorf makes an Error that says what failed.
func Errorf(format string, args ...any) *Error { return &Error{What: T(format, args...)} }

// Usagef makes an Error about wrong input.
func Usagef(format string, args ...any) *Error { return &Error{What: T(format, args...), Usage: true} }

// Because adds why it failed.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// WithHint adds what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = T(format, args...)
	return e
}

// Next has a command be what to do next.
func (e *Error) Next(command Command) *Error {
	e.Hint = command.Text()
	return e
}

// Error is the failure in English, with its cause and without its hint.
func (e *Error) Error() string { return Printer{}.Error(e) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Printer renders texts in one language. The zero Printer speaks English.
type Printer struct {
	// chinese are the sentences of the catalogue by their English; nil where the printer speaks English.
	chinese map[string]string
	// Lab returns what commands need so that they lead to the lab in question, and is called whenever one is printed; nil
	// stands for the lab with the default name.
	Lab func() Lab
	// Advise returns what to do about a failure that comes without any hint; nil adds nothing.
	Advise func(error) Text
	// Glued has no-break spaces hold the words of a command together, for who breaks sentences into lines: see [Unglued].
	Glued bool
}

// In returns the printer for the first of tags that hellolab speaks, or for English.
func In(tags ...language.Tag) Printer {
	_, index, _ := language.NewMatcher(Languages()).Match(tags...)
	if Languages()[index] == language.English {
		return Printer{}
	}
	sentences, err := Chinese()
	if err != nil {
		return Printer{} // a test holds zh.yaml to be sound
	}
	return Printer{chinese: sentences}
}

// Chinese gives the Chinese sentence for every English one.
func Chinese() (map[string]string, error) {
	var sentences map[string]string
	err := yaml.Unmarshal(chinese, &sentences)
	return sentences, err
}

// Language is the one that the printer speaks.
func (p Printer) Language() language.Tag {
	if p.chinese == nil {
		return language.English
	}
	return language.SimplifiedChinese
}

// Text renders a sentence.
func (p Printer) Text(t Text) string {
	if t.chinese != "" && p.chinese != nil {
		return t.chinese
	}
	args := make([]any, len(t.args))
	for i, arg := range t.args {
		args[i] = p.argument(arg)
	}
	return fmt.Sprintf(cmp.Or(p.chinese[t.format], t.format), args...)
}

// Error renders a failure and its causes on one line (several failures joined: one line each), without hints.
func (p Printer) Error(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		lines := make([]string, 0, len(joined.Unwrap()))
		for _, one := range joined.Unwrap() {
			lines = append(lines, p.Error(one))
		}
		return strings.Join(lines, "\n")
	}
	said, ok := err.(*Error)
	switch {
	case !ok:
		if inner := errors.Unwrap(err); inner != nil && inner.Error() == err.Error() {
			return p.Error(inner) // only a type around it
		}
		return strings.TrimSpace(err.Error())
	case said.Cause == nil:
		return p.Text(said.What)
	case said.What.IsZero():
		return p.Error(said.Cause)
	}
	return p.Text(said.What) + p.colon() + p.Error(said.Cause)
}

// Hint renders what to do about err: the outermost hint in its chain, or nothing.
func (p Printer) Hint(err error) string {
	hint := HintOf(err)
	if hint.IsZero() {
		return ""
	}
	return p.Text(hint)
}

// HintOf is what to do about err: the outermost hint in its chain, or no Text at all.
func HintOf(err error) Text {
	for err != nil {
		var said *Error
		if !errors.As(err, &said) {
			return Text{}
		}
		if !said.Hint.IsZero() {
			return said.Hint
		}
		err = said.Cause
	}
	return Text{}
}

// IsUsage reports whether err is about wrong input.
func IsUsage(err error) bool {
	for err != nil {
		var said *Error
		if !errors.As(err, &said) {
			return false
		}
		if said.Usage {
			return true
		}
		err = said.Cause
	}
	return false
}

func (p Printer) colon() string {
	if p.chinese == nil {
		return ": "
	}
	return "："
}

func (p Printer) argument(arg any) any {
	switch arg := arg.(type) {
	case Text:
		return p.Text(arg)
	case []Text:
		rendered := make([]string, len(arg))
		for i, t := range arg {
			rendered[i] = p.Text(t)
		}
		return p.list(rendered)
	case []string:
		return p.list(arg)
	case Command:
		if p.Glued {
			return Glue(p.Command(arg))
		}
		return p.Command(arg)
	case error:
		return p.Error(arg)
	case time.Duration:
		return arg.Round(time.Second).String()
	default:
		return fmt.Sprint(arg)
	}
}

// noBreak is a space at which no line ends.
const noBreak = "\u00a0"

// Glue is a command in which no line ends: see [Unglued].
func Glue(command string) string { return strings.ReplaceAll(command, " ", noBreak) }

// Unglued is a text in which commands have common spaces again, as they are typed.
func Unglued(text string) string { return strings.ReplaceAll(text, noBreak, " ") }

func (p Printer) list(items []string) string {
	if p.chinese == nil {
		return strings.Join(items, ", ")
	}
	return strings.Join(items, "、")
}

// Percent is a share of 0 to 1, as people read it.
func Percent(share float64) Text { return Verbatim(fmt.Sprintf("%.0f%%", 100*share)) }

// Report is what to print of a failure: a line for each error, and the hints without repetition.
func (p Printer) Report(err error) string {
	var b strings.Builder
	var hints []string
	for _, one := range flatten(err) {
		b.WriteString(p.Text(T("error: ")) + p.Error(one) + "\n")
		if hint := p.Hint(one); hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	if len(hints) == 0 && p.Advise != nil {
		hints = append(hints, p.Text(p.Advise(err)))
	}
	for _, hint := range hints {
		b.WriteString(p.Text(T("next: ")) + hint + "\n")
	}
	return b.String()
}

// flatten gives the failures that err joins.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, flatten(one)...)
	}
	return all
}
