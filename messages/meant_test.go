package messages

import "testing"

func TestMeant(t *testing.T) {
	known := []string{"start", "status", "stop", "deployment", "rolling-update"}
	for word, want := range map[string]string{"stat": "status", "stauts": "status", "deploy": "deployment", "deploymnet": "deployment",
		"rolling": "rolling-update", "x": "", "": "", "kubernetes": "", "strat": "start"} {
		if got := Meant(word, known); got != want {
			t.Errorf("%q is taken for %q, not %q", word, got, want)
		}
	}
}
