package kube_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

const twoContexts = `apiVersion: v1
kind: Config
current-context: work
clusters:
- {name: office, cluster: {server: "https://office.example:6443"}}
- {name: lab, cluster: {server: "http://127.0.0.1:1"}}
contexts:
- {name: work, context: {cluster: office}}
- {name: kind-web, context: {cluster: lab}}
- {name: broken, context: {cluster: nowhere}}
`

// kubeconfig gives the test a kubeconfig of its own, and returns where it is.
func kubeconfig(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	return file
}

// TestKubeconfig holds that a context is found whatever the current one is, and that only one that exists becomes it.
func TestKubeconfig(t *testing.T) {
	kubeconfig(t, twoContexts)
	config := kube.Kubeconfig{Context: "kind-web"}
	if err := config.Check(); err != nil || config.Current() != "work" || config.Server() != "http://127.0.0.1:1" {
		t.Errorf("the current context is %q, the server %q, %v", config.Current(), config.Server(), err)
	}
	for _, absent := range []string{"kind-other", "broken"} {
		if got := (kube.Kubeconfig{Context: absent}).Server(); got != "" {
			t.Errorf("the context %s leads to %s", absent, got)
		}
	}
	if cluster, err := config.Cluster(); err != nil || cluster.Config().Host != "http://127.0.0.1:1" {
		t.Errorf("the cluster is %v, %v", cluster, err)
	}
	if _, err := (kube.Kubeconfig{Context: "kind-other"}).Cluster(); err == nil {
		t.Error("a context that does not exist leads to a cluster")
	}
	for context, want := range map[string]string{"kind-other": "work", "kind-web": "kind-web", "work": "work"} {
		if err := config.Use(t.Context(), context); err != nil || config.Current() != want {
			t.Errorf("after %s, the context is %s, %v; want %s", context, config.Current(), err, want)
		}
		if err := config.Use(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
	}
	if err := config.Use(t.Context(), ""); err != nil || config.Current() != "" {
		t.Errorf("the context is %q, %v; want none", config.Current(), err)
	}
}

// TestKubeconfigWithoutAFile holds that a user without one has no context, and that this is no failure.
func TestKubeconfigWithoutAFile(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	config := kube.Kubeconfig{Context: "kind-web"}
	if err := config.Check(); err != nil || config.Current() != "" || config.Server() != "" {
		t.Errorf("the context is %q at %q, %v", config.Current(), config.Server(), err)
	}
}

// TestKubeconfigCheck holds what keeps it from being written later.
func TestKubeconfigCheck(t *testing.T) {
	file := kubeconfig(t, twoContexts)
	config := kube.Kubeconfig{Context: "kind-web"}
	if err := os.WriteFile(file+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := config.Check(); err != nil {
		t.Errorf("a lock that somebody holds now is no failure yet: %v", err)
	}
	forgotten := time.Now().Add(-2 * 10 * time.Second)
	if err := os.Chtimes(file+".lock", forgotten, forgotten); err != nil {
		t.Fatal(err)
	}
	err := config.Check()
	if err == nil || !strings.HasSuffix((messages.Printer{}).Hint(err), "remove it: rm "+file+".lock") {
		t.Errorf("a lock that was left is reported as %v", err)
	}
	kubeconfig(t, "clusters: 1")
	if err := config.Check(); err == nil || config.Current() != "" || config.Server() != "" {
		t.Errorf("a file that is none is reported as %v", err)
	}
	if err := config.Use(t.Context(), "work"); err == nil {
		t.Error("a file that is none is written")
	}
}
