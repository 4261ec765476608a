package main

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// reach tells by which host nodes reach a port of this machine, or "".
type reach func(ctx context.Context, port int) (host string, err error)

// translateProxies has the nodes of a new lab be given proxies as they reach them: one that listens on this machine's loopback is somewhere
// else for them. kind takes proxies from the environment, and from the docker command's configuration where that names none.
func (p *program) translateProxies(ctx context.Context, lab *bootstrap.Lab) error {
	proxies := p.loopbackProxies()
	if len(proxies) == 0 {
		return nil
	}
	if there, err := lab.HasCluster(ctx); err != nil || there {
		return err
	}
	// Go reads the environment once: this program goes on with what it says now
	if _, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "http", Host: "registry.invalid"}}); err != nil {
		return err
	}
	translated, err := p.translate(ctx, proxies, lab.NodesReach)
	if err != nil {
		return err
	}
	for name, proxy := range translated {
		if err := os.Setenv(name, proxy); err != nil {
			return err
		}
	}
	return nil
}

// loopbackProxies are the proxies that kind would give to nodes, and that are on this machine's loopback, by the variables that they are in
// or have to be put into.
func (p *program) loopbackProxies() map[string]*url.URL {
	proxies, named := map[string]*url.URL{}, false
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		for _, name := range []string{name, strings.ToLower(name)} {
			proxy := p.getenv(name)
			named = named || proxy != ""
			if at := onLoopback(proxy); at != nil {
				proxies[name] = at
			}
		}
	}
	if named {
		return proxies
	}
	configured := engine.Proxies(p.getenv)
	for name, proxy := range map[string]string{"HTTP_PROXY": configured.HTTPProxy, "HTTPS_PROXY": configured.HTTPSProxy} {
		if at := onLoopback(proxy); at != nil {
			proxies[name] = at
		}
	}
	return proxies
}

// onLoopback is a proxy, as variables name it, if it is on this machine's loopback.
func onLoopback(proxy string) *url.URL {
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	at, err := url.Parse(proxy)
	if err != nil {
		return nil
	}
	if address, err := netip.ParseAddr(at.Hostname()); at.Hostname() == "localhost" || err == nil && address.IsLoopback() {
		return at
	}
	return nil
}

// translate returns the proxies as nodes reach them; those that they do not are "".
func (p *program) translate(ctx context.Context, proxies map[string]*url.URL, reach reach) (map[string]string, error) {
	translated, hosts := map[string]string{}, map[int]string{}
	var names, lost []string
	for name, proxy := range proxies {
		port, err := strconv.Atoi(cmp.Or(proxy.Port(), map[string]string{"https": "443"}[proxy.Scheme], "80"))
		if err != nil {
			continue
		}
		if _, known := hosts[port]; !known {
			if hosts[port], err = reach(ctx, port); err != nil {
				return nil, err
			}
		}
		if hosts[port] == "" {
			translated[name], lost = "", append(lost, name)
			continue
		}
		there := *proxy
		there.Host = net.JoinHostPort(hosts[port], strconv.Itoa(port))
		translated[name], names = there.String(), append(names, name)
	}
	slices.Sort(names)
	slices.Sort(lost)
	if len(names) > 0 {
		p.story.Say(messages.T("the nodes reach the proxy in %s by %s", names, translatedHost(translated[names[0]])))
	}
	if len(lost) > 0 {
		p.story.Say(messages.T("the nodes get no proxy: the one in %s takes no connections but from this machine itself; let it take those of the local network, or use a mirror (%s)",
			lost, "--set registry.mirrors=cn"))
	}
	return translated, nil
}

// translatedHost is a proxy without its user and password.
func translatedHost(proxy string) string {
	at, err := url.Parse(proxy)
	if err != nil {
		return ""
	}
	return at.Host
}
