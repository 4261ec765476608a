package registry

import (
	"fmt"
	"path"
	"strings"

	"github.com/distribution/reference"
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
// containerd falls back to the upstream for what the registry does not hold.
func (r *Registry) Hosts() map[string]string {
	inside := "http://" + r.InsideAddress()
	files := map[string]string{}
	for _, own := range r.addresses() {
		files[path.Join(own, "hosts.toml")] = hosts("", inside, false)
	}
	for _, upstream := range r.config.Upstreams {
		server, mirror := "https://"+upstream, inside+"/v2/"+upstream
		if upstream == dockerHub {
			server, mirror = dockerHubServer, inside
		}
		files[path.Join(upstream, "hosts.toml")] = hosts(server, mirror, upstream != dockerHub)
	}
	return files
}

func hosts(server, mirror string, overridePath bool) string {
	var b strings.Builder
	if server != "" {
		fmt.Fprintf(&b, "server = %q\n\n", server)
	}
	fmt.Fprintf(&b, "[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", mirror)
	if overridePath {
		b.WriteString("  override_path = true\n")
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
