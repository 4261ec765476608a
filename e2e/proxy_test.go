//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestProxy holds that the nodes of a lab are given a proxy which listens on this machine by an address that they reach, and none that they
// do not reach. The environment names it by 127.0.0.1 both times.
func TestProxy(t *testing.T) {
	l := newLab(t, "e2e-proxy", map[string]any{"bootstrap": map[string]any{"ingress": map[string]any{"enabled": false}}})
	asked := &atomic.Int64{}
	proxy := func(address string) (port int) {
		listener, err := net.Listen("tcp", address)
		l.check(err)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if r.Method != http.MethodConnect {
				http.Error(w, "this proxy leads nowhere", http.StatusBadGateway)
				return
			}
			http.Error(w, "this proxy leads nowhere", http.StatusForbidden)
		}))
		server.Listener.Close()
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		return listener.Addr().(*net.TCPAddr).Port
	}
	up := func(l *lab, port int) result {
		command := l.command("up", "--no-images", "--set", "registry.images=[]")
		command.Env = append(command.Env, fmt.Sprintf("HTTPS_PROXY=http://127.0.0.1:%d", port))
		done := l.wait(command)
		if done.status != 0 {
			l.Fatal("no lab")
		}
		return done
	}
	environment := func(l *lab) string { return docker(l.T, "exec", l.node(), "env") }

	t.Run("for this machine alone", func(t *testing.T) {
		long(t)
		l := l.in(t)
		l.says(up(l, proxy("127.0.0.1:0")).stderr, words{"HTTPS_PROXY", "registry.mirrors=cn"})
		if strings.Contains(strings.ToLower(environment(l)), "https_proxy") {
			l.Errorf("the node has\n%s", environment(l))
		}
		l.must("down")
	})
	t.Run("for the network", func(t *testing.T) {
		l := l.in(t)
		port := proxy("0.0.0.0:0")
		gateway := strings.TrimSpace(docker(l.T, "network", "inspect", "kind", "--format", `{{range .IPAM.Config}}{{if lt (len .Gateway) 16}}{{.Gateway}}{{end}}{{end}}`))
		there := fmt.Sprintf("%s:%d", gateway, port)
		l.says(up(l, port).stderr, words{"HTTPS_PROXY", there})
		found := environment(l)
		for _, want := range []string{"HTTPS_PROXY=http://" + there + "\n", "NO_PROXY="} {
			if !strings.Contains(found, want) {
				l.Errorf("the node has\n%s, and not %s", found, want)
			}
		}
		for _, exception := range []string{l.name + "-registry", "10.96.0.0/16", "10.244.0.0/16", l.node(), ".svc"} {
			if _, exceptions, _ := strings.Cut(found, "NO_PROXY="); !strings.Contains(exceptions, exception) {
				l.Errorf("%s is no exception in\n%s", exception, found)
			}
		}
		before := asked.Load()
		l.kubectl("", "run", "away", "--image", "quay.io/away/away:1")
		eventually(l, "the node asks the proxy", func() bool { return asked.Load() > before })
	})
}
