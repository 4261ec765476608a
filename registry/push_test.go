package registry

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
)

// TestPush holds that the engine's image lies where YAML's name for it leads, in the place of what was there.
func TestPush(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ tag, named, place string }{
		{"redis:7", "redis:7", "library/redis:7"},
		{"redis", "redis", "library/redis:latest"},
		{"guangzhengli/hellok8s:v1", "docker.io/guangzhengli/hellok8s:v1", "guangzhengli/hellok8s:v1"},
		{"ghcr.io/me/web:v1", "ghcr.io/me/web:v1", "ghcr.io/me/web:v1"},
		{"localhost:PORT/redis:7", "localhost:PORT/redis:7", "redis:7"},
		{"127.0.0.1:PORT/me/web:v1", "127.0.0.1:PORT/me/web:v1", "me/web:v1"},
	} {
		t.Run(test.named, func(t *testing.T) {
			t.Parallel()
			docker := enginetest.New(t)
			registry := serve(t, docker.Client())
			number := func(name string) string { return strings.Replace(name, "PORT", registry.config.Port.String(), 1) }
			image := compressedImage(t, [][]byte{archive(t, "bin/app", 5000)})
			docker.AddImages(enginetest.Image{Names: []string{number(test.tag), number(test.named)}, Architecture: "amd64", Save: saved(image)})
			if _, err := registry.Put(t.Context(), number(test.named), compressedImage(t, [][]byte{archive(t, "bin/old", 500)}), func(float64) {}); err != nil {
				t.Fatal(err)
			}
			digest, err := registry.Push(t.Context(), number(test.named))
			if err != nil {
				t.Fatal(err)
			}
			manifest, there, err := registry.Find(t.Context(), number(test.named))
			if err != nil || there != digest || len(manifest.Layers) != 1 {
				t.Errorf("there is %s with %v, %v; it says %s", there, manifest, err, digest)
			}
			if got := registry.Reference(number(test.named), digest); got != registry.Address()+"/"+test.place+"@"+digest {
				t.Errorf("its reference is %s", got)
			}
		})
	}
}

// TestPushRefused holds that what no pod could use is refused, with what to do.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.AddImages(enginetest.Image{Names: []string{"arm:1"}, Architecture: "arm64", Save: saved(v1.Image(nil))})
	registry := serve(t, docker.Client())
	for image, want := range map[string]string{
		"A b": "not a valid image name", "web@" + someDigest: "names a digest", "localhost:" + registry.config.Port.String() + "/gone:1": "Docker on this machine has no image",
		"arm:1": "the image arm:1 is for arm64",
	} {
		_, err := registry.Push(t.Context(), image)
		if err == nil || !strings.Contains(err.Error(), want) || (messages.Printer{}).Hint(err) == "" {
			t.Errorf("%s: %v, %s", image, err, (messages.Printer{}).Hint(err))
		}
	}
	if steps := registry.story.Steps(); steps != 0 {
		t.Errorf("%d steps were told", steps)
	}
}
