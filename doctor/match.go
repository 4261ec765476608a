package doctor

import (
	"errors"
	"slices"
	"strings"

	"github.com/docker/docker/client"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// Match returns the error as the rule that it is a case of tells it, or nil. Only the words of others count, of the engine,
// the API server or the system: what this program says has its hint already.
func Match(err error) error {
	var told engine.Unusable
	switch {
	case errors.As(err, &told):
		return told
	case client.IsErrConnectionFailed(err):
		return messages.Errorf("the Docker Engine has gone away").Because(err).
			WithHint("start the Docker Engine, then run the same command again; %s shows what is there", messages.Hellolab("doctor"))
	}
	words := foreign(err)
	for _, rule := range Rules() {
		if slices.ContainsFunc(rule.signs, func(sign string) bool { return strings.Contains(words, sign) }) {
			return &messages.Error{What: rule.told, Cause: err, Hint: rule.next}
		}
	}
	return nil
}

// foreign returns the words in an error that are not this program's, in lower case.
func foreign(err error) string {
	var said *messages.Error
	switch joined, several := err.(interface{ Unwrap() []error }); {
	case err == nil:
		return ""
	case several:
		var all []string
		for _, one := range joined.Unwrap() {
			all = append(all, foreign(one))
		}
		return strings.Join(all, "\n")
	case errors.As(err, &said):
		return foreign(said.Cause)
	}
	return strings.ToLower(err.Error())
}
