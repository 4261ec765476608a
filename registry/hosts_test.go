package registry

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/port"
)

const someDigest = "sha256:594ceea76b01c592858f803f9ff4d2cb40542cae2060410b2c95f75907d659e1"

// TestRepository holds where images lie: nodes look for docker.io's at the root, and for others' below their names.
func TestRepository(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"nginx":                              "library/nginx:latest",
		"busybox:1":                          "library/busybox:1",
		"docker.io/library/busybox:1":        "library/busybox:1",
		"guangzhengli/hellok8s:v3":           "guangzhengli/hellok8s:v3",
		"registry.k8s.io/pause:3.10":         "registry.k8s.io/pause:3.10",
		"ghcr.io/a/b/c":                      "ghcr.io/a/b/c:latest",
		"registry:3.1.1@" + someDigest:       "library/registry:3.1.1",
		"quay.io/a/b:v1@" + someDigest:       "quay.io/a/b:v1",
		"localhost:5001/x":                   "localhost:5001/x:latest",
		"localhost:5001/guangzhengli/a/b:v1": "localhost:5001/guangzhengli/a/b:v1",
	} {
		if got, err := Repository(image); err != nil || got != want {
			t.Errorf("Repository(%q) is %q, %v; want %q", image, got, err, want)
		}
	}
	for _, bad := range []string{"", "Nginx", "nginx:", "a b", "https://ghcr.io/a", "nginx@sha256:12", strings.Repeat("a", 64)} {
		if got, err := Repository(bad); err == nil {
			t.Errorf("Repository(%q) is %q, want an error", bad, got)
		}
	}
}

func TestTagged(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"nginx":                            "nginx",
		"busybox:1":                        "busybox:1",
		"registry:3.1.1@" + someDigest:     "registry:3.1.1",
		"quay.io/a/b:v1@" + someDigest:     "quay.io/a/b:v1",
		"quay.io/a/b@" + someDigest:        "quay.io/a/b@" + someDigest,
		"localhost:5001/x@" + someDigest:   "localhost:5001/x@" + someDigest,
		"localhost:5001/x:1@" + someDigest: "localhost:5001/x:1",
		"localhost:5001/x":                 "localhost:5001/x",
	} {
		if got := Tagged(image); got != want {
			t.Errorf("Tagged(%q) is %q, want %q", image, got, want)
		}
	}
}

// TestHosts holds the files word for word: containerd says nothing about one that it does not understand, and asks the
// upstream.
func TestHosts(t *testing.T) {
	t.Parallel()
	registry := New(nil, nil, "web", Config{Port: port.Port{Number: 5009}, Upstreams: []string{"docker.io", "registry.k8s.io"}}, nil)
	want := map[string]string{
		"docker.io/hosts.toml": `server = "https://registry-1.docker.io"

[host."http://web-registry:5000"]
  capabilities = ["pull", "resolve"]
`,
		"registry.k8s.io/hosts.toml": `server = "https://registry.k8s.io"

[host."http://web-registry:5000/v2/registry.k8s.io"]
  capabilities = ["pull", "resolve"]
  override_path = true
`,
		"localhost:5009/hosts.toml": `[host."http://web-registry:5000"]
  capabilities = ["pull", "resolve"]
`,
		"127.0.0.1:5009/hosts.toml": `[host."http://web-registry:5000"]
  capabilities = ["pull", "resolve"]
`,
		"web-registry:5000/hosts.toml": `[host."http://web-registry:5000"]
  capabilities = ["pull", "resolve"]
`,
	}
	got := registry.Hosts()
	for _, file := range slices.Sorted(maps.Keys(want)) {
		if got[file] != want[file] {
			t.Errorf("%s is\n%s\nwant\n%s", file, got[file], want[file])
		}
	}
	if len(got) != len(want) {
		t.Errorf("the files are %q", slices.Sorted(maps.Keys(got)))
	}
}

// TestHostsNeedNoUpstream holds that the lab's own images can be pulled by all of the registry's names whatever the
// upstreams are.
func TestHostsNeedNoUpstream(t *testing.T) {
	t.Parallel()
	files := New(nil, nil, "hellolab", Config{Port: port.Port{Number: 5001}}, nil).Hosts()
	if got, want := slices.Sorted(maps.Keys(files)), []string{"127.0.0.1:5001/hosts.toml", "hellolab-registry:5000/hosts.toml", "localhost:5001/hosts.toml"}; !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
}

// TestUpstreamsNeverCollide holds that one name of two upstreams is two repositories, and that nodes look for an image
// where Repository puts it.
func TestUpstreamsNeverCollide(t *testing.T) {
	t.Parallel()
	upstreams := []string{"docker.io", "registry.k8s.io", "ghcr.io", "quay.io", "gcr.io"}
	files := New(nil, nil, "hellolab", Config{Port: port.Port{Number: 5001}, Upstreams: upstreams}, nil).Hosts()
	places := map[string]string{}
	for _, upstream := range upstreams {
		repository, err := Repository(upstream + "/team/app:v1")
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := places[repository]; taken {
			t.Errorf("%s and %s share the repository %s", upstream, other, repository)
		}
		places[repository] = upstream

		_, mirror, _ := strings.Cut(files[path.Join(upstream, "hosts.toml")], `[host."http://hellolab-registry:5000`)
		mirror, rest, found := strings.Cut(mirror, `"]`)
		if !found {
			t.Fatalf("%s has no mirror: %s", upstream, files[path.Join(upstream, "hosts.toml")])
		}
		// containerd asks for PATH/v2/NAME, and for PATH/NAME where the path is overridden
		asked := path.Join("/", mirror, "v2", "team/app")
		if strings.Contains(rest, "override_path = true") {
			asked = path.Join(mirror, "team/app")
		}
		if want := "/v2/" + strings.TrimSuffix(repository, ":v1"); asked != want {
			t.Errorf("nodes look for %s's image at %s, it lies at %s", upstream, asked, want)
		}
	}
}

// TestNames holds that two labs have nothing in common.
func TestNames(t *testing.T) {
	t.Parallel()
	one := New(nil, nil, "one", Config{Port: port.Port{Number: 5001}}, nil)
	two := New(nil, nil, "two", Config{Port: port.Port{Number: 5002}}, nil)
	for _, pair := range [][2]string{
		{one.Name(), two.Name()}, {one.Address(), two.Address()}, {one.InsideAddress(), two.InsideAddress()},
	} {
		if pair[0] == pair[1] {
			t.Errorf("both labs use %s", pair[0])
		}
	}
	if got := one.Address(); got != "localhost:5001" {
		t.Errorf("people find the registry at %s, want localhost:5001", got)
	}
}
