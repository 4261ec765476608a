package kubectl

import "testing"

// TestHints checks which errors of kubectl's get a hint about the lab, and that errors of other clusters get none.
func TestHints(t *testing.T) {
	t.Parallel()
	hints := Hints{Lost: "lost", Refused: "refused"}
	const refused = "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?"
	for _, test := range []struct {
		message string
		onLab   bool
		want    string
	}{
		{"error: context was not found for specified context: kind-hellolab", true, "lost"},
		{"error: context \"kind-hellolab\" does not exist", false, "lost"},
		{"error: context \"other\" does not exist", true, ""},
		{refused, true, "refused"},
		{refused, false, ""},
		{"Unable to connect to the server: net/http: TLS handshake timeout", true, "refused"},
		{"Error from server (NotFound): pods \"a\" not found", true, ""},
	} {
		if got := hints.after(test.message, "kind-hellolab", test.onLab); got != test.want {
			t.Errorf("%q is followed by %q, want %q", test.message, got, test.want)
		}
	}
}
