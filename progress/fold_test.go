package progress

import (
	"strings"
	"testing"

	"github.com/hellolab/hellolab/messages"
)

// TestFold holds that lines break at the terminal's width but not within a command, and nowhere in a pipe.
func TestFold(t *testing.T) {
	t.Parallel()
	command := messages.Hellolab("up", "--set", "bootstrap.ports.http=auto")
	render := func(printer messages.Printer) string {
		return printer.Text(messages.T("port 80 is taken by another program; let hellolab choose: %s", command)) + "\n\n" +
			printer.Text(messages.T("  indented, and too long for one line of this terminal")) + "\n"
	}
	var out strings.Builder
	piped := New(Options{Out: &out})
	if got := piped.Fold(render); got != render(messages.Printer{}) {
		t.Errorf("in a pipe it is\n%s", got)
	}
	narrow := New(Options{Out: &out, Columns: func() int { return 44 }})
	want := "port 80 is taken by another program; let\nhellolab choose:\nhellolab up --set bootstrap.ports.http=auto\n\n" +
		"  indented, and too long for one line of\n  this terminal\n"
	if got := narrow.Fold(render); got != want {
		t.Errorf("in a terminal it is\n%s\nwant\n%s", got, want)
	}
	narrow.Say(messages.T("%s mends it, whatever the reason for it may be", command))
	if got, want := out.String(), "hellolab up --set bootstrap.ports.http=auto\nmends it, whatever the reason for it may be\n"; got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}
