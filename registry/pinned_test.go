package registry

import (
	"encoding/json"
	"testing"

	"github.com/docker/docker/api/types/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/hellolab/hellolab/engine/enginetest"
)

// TestCopyOfAPinnedImage holds that what somebody has put under the tag of a pinned image is replaced, and that the image
// itself is copied once.
func TestCopyOfAPinnedImage(t *testing.T) {
	t.Parallel()
	web := compressedImage(t, [][]byte{archive(t, "bin/app", 5000)})
	run := func(change func(*v1.Config)) v1.Image {
		config, err := web.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		changed := config.DeepCopy()
		change(&changed.Config)
		other, err := mutate.ConfigFile(web, changed)
		if err != nil {
			t.Fatal(err)
		}
		return other
	}
	for name, test := range map[string]struct {
		poison v1.Image
		pinned string
		steps  int // that copy
	}{
		"nothing":            {nil, "web:1@" + someDigest, 1},
		"other layers":       {compressedImage(t, [][]byte{archive(t, "bin/app", 6000)}), "web:1@" + someDigest, 2},
		"another command":    {run(func(c *v1.Config) { c.Cmd = []string{"/bin/sh"} }), "web:1@" + someDigest, 2},
		"another entrypoint": {run(func(c *v1.Config) { c.Entrypoint = []string{"/bin/sh", "-c"} }), "web:1@" + someDigest, 2},
		"another setting":    {run(func(c *v1.Config) { c.Env = []string{"LD_PRELOAD=/evil.so"} }), "web:1@" + someDigest, 2},
		"another user":       {run(func(c *v1.Config) { c.User = "0" }), "web:1@" + someDigest, 2},
		"a tag alone":        {run(func(c *v1.Config) { c.User = "0" }), "web:1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docker := enginetest.New(t)
			docker.AddImages(enginetest.Image{Names: []string{test.pinned}, Save: saved(web), About: about(t, web)})
			registry := serve(t, docker.Client())
			if err := registry.Copy(t.Context(), test.pinned); err != nil {
				t.Fatal(err)
			}
			if test.poison != nil {
				if _, err := registry.Put(t.Context(), "web:1", test.poison, func(float64) {}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := registry.Copy(t.Context(), test.pinned); err != nil {
					t.Fatal(err)
				}
			}
			if steps := registry.story.Steps(); steps != test.steps {
				t.Errorf("it was copied %d times, want %d", steps, test.steps)
			}
		})
	}
}

// about tells of an image as the engine does.
func about(t *testing.T, of v1.Image) func(*image.InspectResponse) {
	t.Helper()
	config, err := of.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(map[string]any{"Config": config.Config})
	if err != nil {
		t.Fatal(err)
	}
	return func(answer *image.InspectResponse) {
		for _, layer := range config.RootFS.DiffIDs {
			answer.RootFS.Layers = append(answer.RootFS.Layers, layer.String())
		}
		if err := json.Unmarshal(written, answer); err != nil {
			t.Error(err)
		}
	}
}

// TestCopyOfAPinnedImageAlone holds that a lab goes on where the engine has lost the image, and nothing can be compared.
func TestCopyOfAPinnedImageAlone(t *testing.T) {
	t.Parallel()
	registry := serve(t, enginetest.New(t).Client())
	digest, err := registry.Put(t.Context(), "web:1", compressedImage(t, [][]byte{archive(t, "bin/app", 5000)}), func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, pinned := range []string{"web:1@" + digest, "web:1@" + someDigest} {
		if err := registry.Copy(t.Context(), pinned); err != nil || registry.story.Steps() != 0 {
			t.Errorf("%s: %v, %d steps", pinned, err, registry.story.Steps())
		}
	}
}
