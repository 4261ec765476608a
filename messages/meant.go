package messages

import (
	"strings"

	"github.com/xrash/smetrics"
)

// Meant is the known word that a mistyped one was meant to be, or "": one that begins with it, if it was not typed to its end, or else
// the most similar one, if any is similar.
func Meant(word string, known []string) string {
	for _, candidate := range known {
		if len(word) > 1 && strings.HasPrefix(candidate, word) {
			return candidate
		}
	}
	best, score := "", 0.8
	for _, candidate := range known {
		if s := smetrics.JaroWinkler(word, candidate, 0.7, 4); s > score {
			best, score = candidate, s
		}
	}
	return best
}

// OrMeant has the hint of an error about a word that is not known be the one that was meant, if there is one.
func (e *Error) OrMeant(word string, known []string) *Error {
	if meant := Meant(word, known); meant != "" {
		return e.WithHint("did you mean: %s", meant)
	}
	return e
}
