package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/progress"
)

// TestProxies holds which proxies nodes are given, and as what.
func TestProxies(t *testing.T) {
	t.Parallel()
	config := t.TempDir()
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(`{"proxies":{"default":{"httpsProxy":"http://127.0.0.1:7890"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		set, want map[string]string
		says      string
	}{
		"none":                            {map[string]string{}, map[string]string{}, ""},
		"of the network":                  {map[string]string{"HTTPS_PROXY": "http://proxy.example:3128"}, map[string]string{}, ""},
		"reached":                         {map[string]string{"HTTPS_PROXY": "http://127.0.0.1:7890", "http_proxy": "localhost:7890"}, map[string]string{"HTTPS_PROXY": "http://172.18.0.1:7890", "http_proxy": "http://172.18.0.1:7890"}, "HTTPS_PROXY, http_proxy by 172.18.0.1:7890"},
		"with a password":                 {map[string]string{"HTTP_PROXY": "http://me:secret@127.0.0.1:7890"}, map[string]string{"HTTP_PROXY": "http://me:secret@172.18.0.1:7890"}, "HTTP_PROXY by 172.18.0.1:7890"},
		"IPv6":                            {map[string]string{"HTTP_PROXY": "http://[::1]:7890"}, map[string]string{"HTTP_PROXY": "http://172.18.0.1:7890"}, ""},
		"socks":                           {map[string]string{"HTTP_PROXY": "socks5://127.0.0.1:7890"}, map[string]string{"HTTP_PROXY": "socks5://172.18.0.1:7890"}, ""},
		"not reached":                     {map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1"}, map[string]string{"HTTPS_PROXY": ""}, "the nodes get no proxy: the one in HTTPS_PROXY"},
		"docker's":                        {map[string]string{"DOCKER_CONFIG": config}, map[string]string{"HTTPS_PROXY": "http://172.18.0.1:7890"}, ""},
		"docker's, and the environment's": {map[string]string{"DOCKER_CONFIG": config, "HTTP_PROXY": "http://proxy.example"}, map[string]string{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := &bytes.Buffer{}
			p := &program{getenv: func(name string) string { return test.set[name] }, story: progress.New(progress.Options{Out: said})}
			got, err := p.translate(t.Context(), p.loopbackProxies(), func(_ context.Context, port int) (string, error) {
				if port == 7890 {
					return "172.18.0.1", nil
				}
				return "", nil
			})
			if err != nil || !maps.Equal(got, test.want) {
				t.Errorf("nodes get %v, %v; want %v", got, err, test.want)
			}
			if !strings.Contains(said.String(), test.says) || strings.Contains(said.String(), "secret") {
				t.Errorf("it says %q", said)
			}
		})
	}
}
