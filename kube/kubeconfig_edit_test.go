package kube_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

const made = `apiVersion: v1
kind: Config
current-context: kind-web
clusters:
- {name: kind-web, cluster: {server: "https://127.0.0.1:2"}}
users:
- {name: kind-web, user: {username: admin}}
contexts:
- {name: kind-web, context: {cluster: kind-web, user: kind-web}}
`

// files gives the test a kubeconfig of several files, in a folder whose name has spaces. Those without content are not there.
func files(t *testing.T, contents ...string) []string {
	t.Helper()
	var paths []string
	for i, content := range contents {
		path := filepath.Join(t.TempDir(), "my files 空格", string(rune('a'+i)))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if content != "" {
			if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		paths = append(paths, path)
	}
	t.Setenv("KUBECONFIG", strings.Join(append(paths, "", paths[0]), string(os.PathListSeparator)))
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

const office = `apiVersion: v1
kind: Config
current-context: work
clusters:
- {name: office, cluster: {server: "https://office.example:6443", certificate-authority: ca.crt}}
contexts:
- {name: work, context: {cluster: office, namespace: web}}
`

// TestAddAndRemove holds where a context goes, and that it leaves the files as they were but for their layout.
func TestAddAndRemove(t *testing.T) {
	config := kube.Kubeconfig{Context: "kind-web"}
	for name, contents := range map[string][]string{
		"no file":          {""},
		"one file":         {office},
		"an empty file":    {"{}"},
		"two files":        {"", office},
		"two, both there":  {office, "{}"},
		"there already":    {office, made},
		"an older address": {office, strings.ReplaceAll(made, ":2", ":1")},
	} {
		t.Run(name, func(t *testing.T) {
			files(t, contents...)
			for range 2 {
				if err := config.Add(t.Context(), made); err != nil {
					t.Fatal(err)
				}
				if got := config.Server(); got != "https://127.0.0.1:2" {
					t.Errorf("the context leads to %q", got)
				}
			}
			before := config.Current()
			if err := config.Use(t.Context(), "kind-web"); err != nil || config.Current() != "kind-web" {
				t.Errorf("the current context is %q, %v", config.Current(), err)
			}
			if err := config.Remove(t.Context(), before); err != nil || config.Server() != "" {
				t.Errorf("the context leads to %q, %v", config.Server(), err)
			}
			all, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
			if err != nil || all.Clusters["kind-web"] != nil || all.AuthInfos["kind-web"] != nil {
				t.Errorf("what is left is %+v, %v", all, err)
			}
			if work := all.Contexts["work"]; strings.Contains(strings.Join(contents, ""), "office") && (work == nil || work.Namespace != "web" || all.CurrentContext != "work") {
				t.Errorf("the user's own context is %+v; the current one is %q", work, all.CurrentContext)
			}
		})
	}
}

// TestAddKeepsTheNamespace holds that the namespace which the user works in survives a new address.
func TestAddKeepsTheNamespace(t *testing.T) {
	files(t, strings.Replace(made, "user: kind-web}", "user: kind-web, namespace: dev}", 1))
	config := kube.Kubeconfig{Context: "kind-web"}
	if err := config.Add(t.Context(), strings.ReplaceAll(made, ":2", ":3")); err != nil {
		t.Fatal(err)
	}
	if config.Namespace() != "dev" || config.Server() != "https://127.0.0.1:3" {
		t.Errorf("the context is in %q, at %s", config.Namespace(), config.Server())
	}
}

// TestRemoveKeepsWhatOthersUse holds that a cluster stays which a context of the user's own leads to, and relative paths as well.
func TestRemoveKeepsWhatOthersUse(t *testing.T) {
	paths := files(t, strings.Replace(made, "contexts:\n", "contexts:\n- {name: mine, context: {cluster: kind-web, user: kind-web}}\n", 1), office)
	if err := (kube.Kubeconfig{Context: "kind-web"}).Remove(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	if got := (kube.Kubeconfig{Context: "mine"}).Server(); got != "https://127.0.0.1:2" {
		t.Errorf("the user's own context leads to %q", got)
	}
	if got := (kube.Kubeconfig{}).Current(); got != "work" {
		t.Errorf("the current context is %q", got)
	}
	if read(t, paths[1]) != office {
		t.Errorf("a file of others was changed:\n%s", read(t, paths[1]))
	}
}

// TestUnreadableFile holds that a file which cannot be understood is never written.
func TestUnreadableFile(t *testing.T) {
	paths := files(t, "clusters: 1")
	err := (kube.Kubeconfig{Context: "kind-web"}).Add(t.Context(), made)
	if hint := (messages.Printer{}).Hint(err); err == nil || !strings.HasSuffix(hint, "export KUBECONFIG=FILE") {
		t.Errorf("the error is %v, and the hint %q", err, hint)
	}
	if got := read(t, paths[0]); got != "clusters: 1" {
		t.Errorf("the file is %q", got)
	}
	if left, _ := os.ReadDir(filepath.Dir(paths[0])); len(left) != 1 {
		t.Errorf("beside it are %v", left)
	}
}

// TestLockedFile holds that a file which another program writes is waited for, and only that long.
func TestLockedFile(t *testing.T) {
	paths := files(t, office)
	config := kube.Kubeconfig{Context: "kind-web"}
	if err := os.WriteFile(paths[0]+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := config.Add(ended, made); err == nil || config.Server() != "" {
		t.Errorf("a file that is locked is written: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { os.Remove(paths[0] + ".lock") })
	if err := config.Add(t.Context(), made); err != nil || config.Server() == "" {
		t.Errorf("after the lock: %v", err)
	}
}

// TestReadOnlyFile holds that what goes into one file does not need the others.
func TestReadOnlyFile(t *testing.T) {
	paths := files(t, office, "{}")
	readOnly(t, paths[0])
	config := kube.Kubeconfig{Context: "kind-web"}
	if err := config.Add(t.Context(), made); err != nil || config.Server() == "" || read(t, paths[0]) != office {
		t.Errorf("the context leads to %q, %v", config.Server(), err)
	}
	if err := config.Use(t.Context(), "kind-web"); err == nil || config.Current() != "work" {
		t.Errorf("the current context is %q, %v", config.Current(), err)
	}
	if err := config.Remove(t.Context(), "work"); err != nil || config.Server() != "" {
		t.Errorf("the context leads to %q, %v", config.Server(), err)
	}
}
