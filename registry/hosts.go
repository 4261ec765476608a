package registry

import (
	"fmt"
	"path"
	"strings"

	"github.com/distribution/reference"

	"github.com/hellolab/hellolab/mirror"
)

// Internal is the port inside the registry's container, and so on the cluster's network.
const Internal = "5000"

// dockerHub's images lie at the registry's root; it answers pulls at another name than its own.
const (
	dockerHub       = "docker.io"
	dockerHubServer = "https://registry-1.docker.io"
)

// Hosts returns the files that send a node's containerd to the registry first: their paths below /etc/containerd/certs.d,
// and their contents (https://github.com/containerd/containerd/blob/main/docs/hosts.md).
//
// containerd goes on to the mirrors for what the registry does not hold, and to the upstream at last.
func (r *Registry) Hosts() map[string]string {
	inside := "http://" + r.InsideAddress()
	files := map[string]string{}
	for _, own := range r.addresses() {
		files[path.Join(own, "hosts.toml")] = hosts("", host{url: inside})
	}
	for _, upstream := range r.config.Upstreams {
		server, first := "https://"+upstream, host{url: inside + "/v2/" + upstream, override: true}
		if upstream == dockerHub {
			server, first = dockerHubServer, host{url: inside}
		}
		all := []host{first}
		for _, mirror := range r.mirrors(upstream) {
			all = append(all, mirrorHost(mirror))
		}
		files[path.Join(upstream, "hosts.toml")] = hosts(server, all...)
	}
	return files
}

// mirrors are those that the nodes ask before an upstream. Mirrors for the case that it does not answer are for this program alone:
// somebody else's image might stand for a name that does not exist at the upstream.
func (r *Registry) mirrors(upstream string) []mirror.Mirror {
	if all, first := r.config.Mirrors.Of(upstream); first {
		return all
	}
	return nil
}

// Mirrors lists the addresses of the mirrors that the nodes ask, by upstream.
func (r *Registry) Mirrors() map[string][]string {
	all := map[string][]string{}
	for _, upstream := range r.config.Upstreams {
		for _, mirror := range r.mirrors(upstream) {
			all[upstream] = append(all[upstream], mirror.String())
		}
	}
	return all
}

// host is a server that containerd asks for images.
type host struct {
	url string
	// override says that url has the API's whole path, "/v2" too.
	override bool
	// away says that it is not on this machine: containerd would wait for half a minute for each connection to one that is dead.
	away bool
}

func mirrorHost(at mirror.Mirror) host {
	if at.Prefix == "" {
		return host{url: at.Scheme + "://" + at.Host, away: true}
	}
	return host{url: at.Scheme + "://" + at.Host + "/v2/" + at.Prefix, override: true, away: true}
}

func hosts(server string, all ...host) string {
	var b strings.Builder
	if server != "" {
		fmt.Fprintf(&b, "server = %q\n\n", server)
	}
	for _, host := range all {
		fmt.Fprintf(&b, "[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", host.url)
		if host.override {
			b.WriteString("  override_path = true\n")
		}
		if host.away { // since containerd 2.1; older ones leave it out
			b.WriteString("  dial_timeout = \"3s\"\n")
		}
	}
	return b.String()
}

// Repository returns the place of an image in the registry: "library/nginx:latest" for nginx,
// "registry.k8s.io/pause:3.10" for registry.k8s.io/pause:3.10. A digest beside a tag is left out: what lies under the
// tag was checked against it.
func Repository(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", err
	}
	tag := "latest"
	if tagged, ok := named.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	repository := reference.Path(named)
	if domain := reference.Domain(named); domain != dockerHub {
		repository = domain + "/" + repository
	}
	return repository + ":" + tag, nil
}

// Tagged returns image as Kubernetes objects name it: with its tag and without its digest.
func Tagged(image string) string {
	name, _, found := strings.Cut(image, "@")
	if found && !strings.Contains(path.Base(name), ":") {
		return image // the digest alone identifies it
	}
	return name
}
