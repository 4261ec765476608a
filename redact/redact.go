// Package redact blanks secrets: passwords, tokens and private keys, in texts and in JSON, wherever they are quoted.
//
// It knows secrets by their shape (a private key, a token) and by what stands before them (password=, a URL's
// user:password@), and those that it is told of by themselves, in every usual encoding. It rather blanks too much.
package redact

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Blank stands in the place of a secret.
const Blank = "REDACTED"

// Redactor blanks secrets; [New] makes one.
type Redactor struct {
	known  *strings.Replacer
	shapes []shape
}

// shortest is the length from which on a known secret is blanked wherever it stands. Shorter ones are parts of words.
const shortest = 6

// New returns a redactor that blanks what looks like a secret, and those secrets wherever they stand.
func New(secrets []string) Redactor {
	forms := map[string]bool{}
	for _, secret := range secrets {
		for _, line := range append(strings.Split(secret, "\n"), secret) {
			for _, form := range encodings(strings.TrimSpace(line)) {
				forms[form] = true
			}
		}
	}
	var ordered []string
	for form := range forms {
		ordered = append(ordered, form)
	}
	slices.SortFunc(ordered, func(a, b string) int { return len(b) - len(a) }) // the first that matches counts
	var pairs []string
	for _, form := range ordered {
		pairs = append(pairs, form, Blank)
	}
	return Redactor{strings.NewReplacer(pairs...), shapes()}
}

// encodings are the ways in which a secret may be written.
func encodings(secret string) []string {
	if len(secret) < shortest || secret == Blank {
		return nil
	}
	forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret)}
	if quoted, err := json.Marshal(secret); err == nil {
		forms = append(forms, strings.Trim(string(quoted), `"`))
	}
	for _, end := range []string{"", "\n"} { // echo adds the latter
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(secret+end)), base64.RawURLEncoding.EncodeToString([]byte(secret+end)))
	}
	return slices.DeleteFunc(forms, func(form string) bool { return len(form) < shortest })
}

// shapes are the texts that hold a secret, and what stands there instead.
func shapes() []shape {
	return []shape{
		{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`), Blank},
		{regexp.MustCompile(`LS0tLS1CRUdJTi[A-Za-z0-9+/=]*`), Blank}, // "-----BEGIN" in base64
		{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/"'<>]*@`), "${1}" + Blank + "@"},
		{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>@:/]*:[^\s"'<>@]*@`), "${1}" + Blank + "@"}, // a password with a slash
		{regexp.MustCompile(`(?i)(proxy["']?\s*[:=]\s*["']?)[^\s"'@/]+@`), "${1}" + Blank + "@"},             // without a scheme
		{regexp.MustCompile(`(?i)(authorization[\\"']*\s*[:=]\s*[\\"']*)[^"'\\\r\n]+`), "${1}" + Blank},
		{regexp.MustCompile(`(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{6,}`), "${1}" + Blank},
		{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?`), Blank}, // a JSON web token
		{regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`), Blank},                             // kubeadm's bootstrap tokens
		{regexp.MustCompile(`\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|dckr_pat_[\w-]{10,})`), Blank},
	}
}

type shape struct {
	found   *regexp.Regexp
	instead string
}

// secretWord is in the names of what holds a secret.
const secretWord = `password|passwd|passphrase|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key|client-key|certificate-key|credential|[_.-]pass\b|\bpass\b|[_.-]pwd\b|\bauth\b`

var (
	secretName = regexp.MustCompile(`(?i)(` + secretWord + `|^auth$)|[a-z0-9]P(ass|wd)$`)
	// harmlessName ends names of what leads to a secret or tells of one, and is none itself.
	harmlessName = regexp.MustCompile(`(?i)(name|names|ref|refs|keyref|seconds|namespace|path|file|type|kind|providers|policy|dir|id)$`)
	// assignment is a name with its value: quoted, quoted inside of quotes, or up to the next space.
	assignment = regexp.MustCompile(`(?i)([\w.-]*(?:` + secretWord + `)[\w.-]*)\\?["']?\s*[:=]\s*(\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\\r\n]|\\.)*"|'[^'\r\n]*'|[\\"']*[^\s"'\\]+)`)
	// yamlLine is a name with its value on a line of its own.
	yamlLine = regexp.MustCompile(`(?im)^[ \t-]*([\w.-]*(?:` + secretWord + `)[\w.-]*):[ \t]+([^\r\n]+)$`)
)

// holdsSecret reports whether what has that name is a secret.
func holdsSecret(name string) bool {
	return secretName.MatchString(name) && !harmlessName.MatchString(name)
}

// Text blanks the secrets in a text.
func (r Redactor) Text(text string) string {
	text = r.known.Replace(text)
	for _, shape := range r.shapes {
		text = shape.found.ReplaceAllString(text, shape.instead)
	}
	for _, form := range []*regexp.Regexp{yamlLine, assignment} {
		text = form.ReplaceAllStringFunc(text, func(found string) string {
			parts := form.FindStringSubmatch(found)
			if !holdsSecret(parts[1]) {
				return found
			}
			before, _ := strings.CutSuffix(found, parts[2])
			return before + inQuotesOf(parts[2])
		})
	}
	return text
}

// Userinfo blanks the users and passwords in URLs, and nothing else: in a sentence for the user, say.
func (r Redactor) Userinfo(text string) string {
	for _, shape := range r.shapes {
		if strings.HasSuffix(shape.instead, "@") {
			text = shape.found.ReplaceAllString(text, shape.instead)
		}
	}
	return text
}

// inQuotesOf is Blank in the quotes that a value has, so that JSON stays JSON.
func inQuotesOf(value string) string {
	for _, quote := range []string{`\"`, `"`, `'`} {
		if len(value) >= 2*len(quote) && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
			return quote + Blank + quote
		}
	}
	return Blank
}

// Writer blanks the secrets in what is written, each call by itself: a line of a log, say.
type Writer struct {
	io.Writer
	Redactor Redactor
}

// Write writes what is left. It reports the length of what came, for callers compare it.
func (w Writer) Write(content []byte) (int, error) {
	if _, err := w.Writer.Write([]byte(w.Redactor.Text(string(content)))); err != nil {
		return 0, err
	}
	return len(content), nil
}
