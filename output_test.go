package main

import (
	"encoding/json"
	"flag"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/messages"
)

// TestForeignWords holds that what others have written does nothing on the terminal, and that programs get all of it.
func TestForeignWords(t *testing.T) {
	t.Parallel()
	const hostile = "a\x1b[31mb\u009b31mc\u202ed\x7fe\x00"
	for _, test := range []struct{ output, want string }{
		{"", "abcde\n"},
		{"json", `"a\u001b[31mb\u009b31mc\u202ed\u007fe\u0000"` + "\n"},
	} {
		var out strings.Builder
		p := &program{stdout: messages.Cleaned(&out)}
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		flags.String("output", test.output, "")
		if err := p.print(cli.NewContext(nil, flags, nil), hostile, func() string { return hostile + "\n" }); err != nil {
			t.Fatal(err)
		}
		if out.String() != test.want {
			t.Errorf("with %q it prints %q, want %q", test.output, out.String(), test.want)
		}
		var read string
		if test.output == "json" && (json.Unmarshal([]byte(out.String()), &read) != nil || read != hostile) {
			t.Errorf("programs get %q", read)
		}
	}
}
