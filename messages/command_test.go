package messages

import "testing"

// TestCommand holds that a command leads to the lab that the printer knows of, in the namespace that is meant.
func TestCommand(t *testing.T) {
	t.Parallel()
	mine := Lab{Flags: []string{"--name", "mine", "--course", "my course"}, Settings: []string{"--config", "a.yaml"}, Kubectl: []string{"hellolab", "--name", "mine", "kubectl"},
		Context: "kind-mine", Namespace: "dev"}
	for _, test := range []struct {
		command     Command
		usual, ours string
	}{
		{Hellolab("down"), "hellolab down", "hellolab --name mine --course 'my course' down"},
		{Hellolab("lab", "check").Usage("CHAPTER[/STEP]"), "hellolab lab check CHAPTER[/STEP]", "hellolab --name mine --course 'my course' lab check CHAPTER[/STEP]"},
		{Hellolab("up", "--set", "registry.port=auto"), "hellolab up --set registry.port=auto", "hellolab --name mine --course 'my course' up --config a.yaml --set registry.port=auto"},
		{Hellolab("up").Usage("--name NAME"), "hellolab up --name NAME", "hellolab up --name NAME"},
		{Kubectl("", "get", "nodes"), "kubectl get nodes", "hellolab --name mine kubectl get nodes"},
		{Kubectl("default", "get", "pods"), "kubectl get pods", "hellolab --name mine kubectl get pods -n default"},
		{Kubectl("dev", "get", "pods"), "kubectl get pods -n dev", "hellolab --name mine kubectl get pods"},
		{Helm("dev", "uninstall", "web"), "helm uninstall web -n dev", "helm uninstall web --kube-context kind-mine"},
		{Hellolab("tunnel").Sudo(), "sudo hellolab tunnel", "sudo hellolab --name mine --course 'my course' tunnel"},
		{Shell("docker", "logs", "web"), "docker logs web", "docker logs web"},
	} {
		if got := test.command.String(); got != test.usual {
			t.Errorf("it is %q, want %q", got, test.usual)
		}
		if got := (Printer{Lab: func() Lab { return mine }}).Command(test.command); got != test.ours {
			t.Errorf("in the lab mine it is %q, want %q", got, test.ours)
		}
	}
}

// TestQuote holds that a shell takes a word as it is.
func TestQuote(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ system, word, want string }{
		{"linux", "deployment/web", "deployment/web"},
		{"linux", "nginx:1.27", "nginx:1.27"},
		{"linux", "a b", "'a b'"},
		{"linux", "it's", `'it'\''s'`},
		{"linux", `{"spec":{"suspend":false}}`, `'{"spec":{"suspend":false}}'`},
		{"linux", "$USER", "$USER"},
		{"linux", "$(rm x)", "'$(rm x)'"},
		{"linux", "", "''"},
		{"linux", "课程/第一章", "课程/第一章"},
		{"darwin", "/Users/me/Library/Application Support/x.yaml", "'/Users/me/Library/Application Support/x.yaml'"},
		{"windows", `C:\Users\me\x.yaml`, `C:\Users\me\x.yaml`},
		{"windows", `C:\Users\my name\x.yaml`, `"C:\Users\my name\x.yaml"`},
		{"windows", `{"a":1}`, `'{"a":1}'`},
	} {
		if got := quote(test.system, test.word); got != test.want {
			t.Errorf("on %s, %q is written %s, want %s", test.system, test.word, got, test.want)
		}
	}
}

// TestUnset holds that variables are removed in the words of the system's usual shell.
func TestUnset(t *testing.T) {
	t.Parallel()
	names := []string{"DOCKER_HOST", "DOCKER_CERT_PATH"}
	for system, want := range map[string]string{
		"linux": "unset DOCKER_HOST DOCKER_CERT_PATH", "darwin": "unset DOCKER_HOST DOCKER_CERT_PATH",
		"windows": "Remove-Item Env:DOCKER_HOST,Env:DOCKER_CERT_PATH",
	} {
		if got := unset(system, names).String(); got != want {
			t.Errorf("on %s it is %q", system, got)
		}
	}
}
