package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzEndpoint holds that the docker command's configuration, whatever is in it, leads to an engine of this machine or to none.
func FuzzEndpoint(f *testing.F) {
	for _, host := range []string{"", "unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:1", "tcp://1.2.3.4:1", "ssh://a", "npipe:////./pipe/docker", "tcp://localhost@evil:1", "%"} {
		f.Add(host, []byte(`{"currentContext": "default", "proxies": {"default": {"httpProxy": "http://a:1", "noProxy": "b"}}}`), "")
	}
	f.Add("", []byte("{"), "../../etc")
	f.Add("", []byte(`{"currentContext": "desktop-linux"}`), "")
	f.Fuzz(func(t *testing.T, host string, config []byte, context string) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "config.json"), config, 0o600); err != nil {
			t.Fatal(err)
		}
		environment := map[string]string{"DOCKER_HOST": host, "DOCKER_CONTEXT": context, "DOCKER_CONFIG": folder}
		found, err := Endpoint(func(key string) string { return environment[key] })
		if err == nil && (found != host || strings.HasPrefix(found, "ssh://")) {
			t.Errorf("%q leads to %q", host, found)
		}
		Proxies(func(key string) string { return environment[key] })
	})
}

// FuzzPullHint holds that every failure of a pull has something to do about it.
func FuzzPullHint(f *testing.F) {
	for _, cause := range []string{"toomanyrequests: slow down", "no such host", "x509: certificate signed by unknown authority", "manifest unknown", "", "\x1b[31m"} {
		f.Add("nginx:1", cause)
	}
	f.Fuzz(func(t *testing.T, name, cause string) {
		if hint := PullHint(name, errors.New(cause)); hint.String() == "" {
			t.Errorf("%q has no hint", cause)
		}
	})
}
