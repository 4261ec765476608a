//go:build e2e

package e2e

import (
	"os"
	"slices"
	"testing"
)

// TestTrouble has those rows of TestDoctor, TestCauses, TestLost and TestSafety that take seconds, on one lab; with LONG=1 they
// run with all others, there.
func TestTrouble(t *testing.T) {
	if os.Getenv("LONG") != "" {
		t.Skip("TestDoctor, TestCauses, TestLost and TestSafety have it")
	}
	l := newLab(t, "e2e-trouble", nil)
	part := func(name string, do func(l *lab)) { t.Run(name, func(t *testing.T) { do(l.in(t)) }) }
	part("a good machine", (*lab).isWell)
	part("doctor", func(l *lab) {
		for _, made := range conditions() {
			l.Run(made.name, func(t *testing.T) { l.in(t).firesFor(made) })
		}
	})
	l.hasAProxy()
	l.must("up")
	part("why", func(l *lab) {
		l.tellsWhyOf(only(whyTroubles(), "a selector that matches nothing", "a node port that is not published", "a finalizer",
			"a proxy that is only on this machine", "an image that only Docker has"))
	})
	part("check", func(l *lab) {
		l.tellsCauses(only(troubles(), "a quota", "kubectl works in another namespace", "another node port", "a host"))
	})
	part("a step that waits", (*lab).tellsWhileItWaits)
	for _, trap := range only(traps(), "a finalizer of a ConfigMap", "a node port in another namespace", "a volume with data") {
		part(trap.name, func(l *lab) { l.isCaught(trap) })
	}
	part("endpoints by hand come back", (*lab).endpointsComeBack)
	part("a file that is none", (*lab).savesToDevices)
	part("a course that asks for trust", (*lab).asksForTrust)
	part("saved files", (*lab).vetsSavedFiles)
	part("the chart repository", (*lab).keepsItsCharts)
	part("logs", (*lab).collectsLogs)
}

// row is one of a table, with its name.
type row interface{ title() string }

func (t trouble) title() string    { return t.name }
func (t whyTrouble) title() string { return t.name }
func (t trap) title() string       { return t.name }

// only returns the rows of those names.
func only[R row](rows []R, names ...string) []R {
	return slices.DeleteFunc(rows, func(r R) bool { return !slices.Contains(names, r.title()) })
}
