package startup

import "testing"

// TestRunsKubectl holds that kubectl has its catalogue by whatever name and behind whatever flags it is called.
func TestRunsKubectl(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want bool
	}{
		{[]string{"hellolab", "version"}, false},
		{[]string{"/usr/bin/hellolab"}, false},
		{[]string{"hellolab", "kubectl", "get", "pods"}, true},
		{[]string{"hellolab", "--name", "a", "kubectl"}, true},
		{[]string{"/home/a/bin/kubectl", "get", "pods"}, true},
		{[]string{"kubectl.exe"}, true},
		{nil, false},
	} {
		if got := runsKubectl(test.args); got != test.want {
			t.Errorf("%q: %v", test.args, got)
		}
	}
}
