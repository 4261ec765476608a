// Package startup makes the program's start cheap. Everything that the program is made of is initialised before main begins, whatever
// command was given, and most commands need little of it. This package comes before nearly all others: Go initialises whichever package
// is ready first in the order of their paths (https://go.dev/ref/spec#Program_initialization), and what it imports is small.
package startup

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"k8s.io/kubectl/pkg/util/i18n"
)

// brief is how long a command may run before it counts as one whose memory is worth collecting.
const brief = 100 * time.Millisecond

// init has what is initialised next take half the time. There is no other place where kubectl could be told
// (https://pkg.go.dev/k8s.io/kubectl/pkg/util/i18n#SetLoadTranslationsFunc).
func init() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(-1) // what is initialised stays: a collection would find nothing
		time.AfterFunc(brief, func() { debug.SetGCPercent(100) })
	}
	if !runsKubectl(os.Args) {
		_ = i18n.SetLoadTranslationsFunc(func() error { return nil }) // fails only where there is a catalogue already
	}
}

// runsKubectl reports whether args may run kubectl, which reads a catalogue of sentences for each that it has, even before main begins.
func runsKubectl(args []string) bool {
	return len(args) > 0 && strings.TrimSuffix(filepath.Base(args[0]), ".exe") == "kubectl" || slices.Contains(args, "kubectl")
}
