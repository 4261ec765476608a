package kube_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hellolab/hellolab/kube"
)

// FuzzKubeconfig holds that a user's configuration is read or refused, and that it survives a change of the context.
func FuzzKubeconfig(f *testing.F) {
	for _, seed := range []string{"", "{", "apiVersion: v1\nkind: Config\ncurrent-context: kind-web\ncontexts: [{name: kind-web, context: {cluster: c, user: u, namespace: dev}}, {name: other, context: null}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', certificate-authority-data: eA==}}]\nusers: [{name: u, user: {token: t}}]\n",
		"contexts: null\nclusters: [{name: c}]\n", "current-context: [a]\n", "\ufeffkind: Config\r\n", "kind: Pod\napiVersion: v1\n", "contexts: [{name: kind-web}]\n", "preferences: {colors: yes}\nextensions: [{name: a, extension: {b: c}}]\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("KUBECONFIG", file)
		config := kube.Kubeconfig{Context: "kind-web"}
		readable := config.Check() == nil
		server := config.Server()
		config.Current()
		config.Namespace()
		_, _ = config.Cluster()
		if err := config.Use(t.Context(), "other"); err == nil && !readable {
			t.Errorf("what cannot be read is changed")
		}
		if err := config.Use(t.Context(), "kind-web"); err != nil {
			return
		}
		if again := config.Server(); again != server {
			t.Errorf("the server was %q, and is %q after a change of the context", server, again)
		}
	})
}
