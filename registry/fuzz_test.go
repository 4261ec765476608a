package registry

import (
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hellolab/hellolab/port"
)

// FuzzRepository holds that the place of every image name is one in the lab's own registry, and stays the same when asked twice.
func FuzzRepository(f *testing.F) {
	for _, seed := range []string{"nginx", "nginx:1.27", "guangzhengli/hellok8s:v1", "registry.k8s.io/pause:3.10", "localhost:5001/a/b:c", "nginx@" + someDigest, "nginx:1@" + someDigest,
		"docker.io/nginx", "index.docker.io/library/nginx", "127.0.0.1:1/x", "[::1]:80/x", "a..b/c", "A/b", "x:", "@", "", "a/../b", "http://x/y"} {
		f.Add(seed)
	}
	registry := &Registry{config: Config{Port: port.Port{Number: 5001}}}
	f.Fuzz(func(t *testing.T, image string) {
		_ = Config{Image: image, Images: []string{Tagged(image)}, Upstreams: []string{image}}.Validate()
		place, err := registry.place(image)
		if err != nil {
			return
		}
		reference, err := registry.reference(image)
		if err != nil {
			return // more than a registry takes
		}
		tag, ok := reference.(name.Tag)
		if !ok || tag.RegistryStr() != "127.0.0.1:5001" || tag.RepositoryStr()+":"+tag.TagStr() != place {
			t.Errorf("%q lies at %s, not at %s", image, reference, place)
		}
		if again, err := registry.place(Tagged(image)); err != nil || strings.Contains(Tagged(image), "@") == false && again != place {
			t.Errorf("%q lies at %s, without its digest at %s, %v", image, place, again, err)
		}
	})
}

// FuzzHosts holds that whatever the settings take for an upstream makes a file that says just this, below containerd's folder.
func FuzzHosts(f *testing.F) {
	for _, seed := range []string{"docker.io", "ghcr.io", "a.b-c.d", "localhost", "x\"]\ny", "..", "../x", "a/b", "", "a:1", "中国"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, upstream string) {
		config := Config{Image: "registry:3", Port: port.Port{Number: 5001}, Upstreams: []string{upstream}}
		if config.Validate() != nil {
			return
		}
		for file, content := range (&Registry{lab: "web", config: config}).Hosts() {
			if path.Clean(file) != file || strings.HasPrefix(file, "..") || strings.Count(file, "/") != 1 || path.Base(file) != "hosts.toml" {
				t.Errorf("%q makes the file %q", upstream, file)
			}
			for line := range strings.Lines(content) {
				line = strings.TrimSpace(line)
				quoted := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(line, "server = "), "[host."), "]")
				if _, err := strconv.Unquote(quoted); (strings.HasPrefix(line, "server") || strings.HasPrefix(line, "[host")) && err != nil {
					t.Errorf("%q makes the line %q", upstream, line)
				}
			}
		}
	})
}
