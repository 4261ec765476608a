package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/mirror"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/progress"
)

// TestUncompressed holds that an image whose layers are unpacked is still the same image: what runs is told by its
// config and diff IDs, and containerd refuses a layer whose size or digest is not what the manifest says.
func TestUncompressed(t *testing.T) {
	t.Parallel()
	layers := [][]byte{archive(t, "etc/motd", 1000), archive(t, "bin/app", 300_000), archive(t, "empty", 0)}
	image := compressedImage(t, layers)
	plain, err := mirror.Uncompressed(image)
	if err != nil {
		t.Fatal(err)
	}
	checkUncompressed(t, plain, image, layers)
}

// TestUncompressedInARegistry holds that a registry takes such an image and gives back what it took.
func TestUncompressedInARegistry(t *testing.T) {
	t.Parallel()
	layers := [][]byte{archive(t, "etc/motd", 1000), archive(t, "bin/app", 300_000)}
	image := compressedImage(t, layers)
	plain, err := mirror.Uncompressed(image)
	if err != nil {
		t.Fatal(err)
	}
	registry := serve(t, nil)
	target, err := registry.reference("busybox:1")
	if err != nil {
		t.Fatal(err)
	}
	var shares []float64
	if err := registry.write(t.Context(), target, plain, func(share float64) { shares = append(shares, share) }); err != nil {
		t.Fatal(err)
	}
	// go-containerregistry does not count what it reads together with a layer's end, so the last share may be below 1
	if len(shares) == 0 || slices.Max(shares) > 1 || slices.Max(shares) < 0.5 || slices.Min(shares) < 0 {
		t.Errorf("the shares told are %v: want them to go from 0 towards 1", shares)
	}
	back, err := remote.Image(target)
	if err != nil {
		t.Fatal(err)
	}
	checkUncompressed(t, back, image, layers)
}

// TestCopy holds that an image goes from the engine into the registry once, and that no step is told where there is
// nothing to do: `up` calls a lab healthy by that.
func TestCopy(t *testing.T) {
	t.Parallel()
	layers := [][]byte{archive(t, "bin/app", 5000)}
	image := compressedImage(t, layers)
	registry := serve(t, engineWith(t, "guangzhengli/hellok8s:v1", image))
	for try := 1; try <= 2; try++ {
		if err := registry.Copy(t.Context(), "guangzhengli/hellok8s:v1"); err != nil {
			t.Fatalf("try %d: %v", try, err)
		}
		if steps := registry.story.Steps(); steps != 1 {
			t.Errorf("%d steps were told after try %d, want 1", steps, try)
		}
	}
	for image, want := range map[string]bool{"guangzhengli/hellok8s:v1": true, "guangzhengli/hellok8s:v2": false, "ghcr.io/guangzhengli/hellok8s:v1": false} {
		if manifest, _, err := registry.Find(t.Context(), image); err != nil || (manifest != nil) != want {
			t.Errorf("Find(%s) is %v, %v; want any: %v", image, manifest, err, want)
		}
	}
	place, err := name.ParseReference("127.0.0.1:" + registry.config.Port.String() + "/guangzhengli/hellok8s:v1")
	if err != nil {
		t.Fatal(err)
	}
	back, err := remote.Image(place)
	if err != nil {
		t.Fatal(err)
	}
	checkUncompressed(t, back, image, layers)
}

// TestCopyIntoABrokenRegistry holds that a registry which answers with a failure is an error with a hint, and not one
// that lacks the image.
func TestCopyIntoABrokenRegistry(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(broken.Close)
	registry := registryAt(t, broken.URL, nil)
	if found, _, err := registry.Find(t.Context(), "nginx"); err == nil || found != nil || (messages.Printer{}).Hint(err) == "" {
		t.Errorf("Find gives %v, %v: want an error with a hint", found, err)
	}
	if err := registry.Copy(t.Context(), "nginx"); err == nil {
		t.Error("Copy gives no error")
	}
}

// TestCopyLeavesNoFile holds that an image, which may be large, does not stay on the disk a second time: neither when
// it has been copied, nor when the engine or the registry fails on the way.
func TestCopyLeavesNoFile(t *testing.T) {
	image := compressedImage(t, [][]byte{archive(t, "bin/app", 5000)})
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(refusing.Close)
	for _, test := range []struct {
		name     string
		registry func(*client.Client) *Registry
		image    v1.Image // what the engine can save
		works    bool
	}{
		{"copied", func(docker *client.Client) *Registry { return serve(t, docker) }, image, true},
		{"the engine fails", func(docker *client.Client) *Registry { return serve(t, docker) }, nil, false},
		{"the registry fails", func(docker *client.Client) *Registry { return registryAt(t, refusing.URL, docker) }, image, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			for _, variable := range []string{"TMPDIR", "TMP", "TEMP"} {
				t.Setenv(variable, folder)
			}
			err := test.registry(engineWith(t, "web:1", test.image)).Copy(t.Context(), "web:1")
			if (err == nil) != test.works {
				t.Errorf("the error is %v", err)
			}
			if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
				t.Errorf("left behind are %v, %v", left, err)
			}
		})
	}
}

func TestCopyOfNoImage(t *testing.T) {
	t.Parallel()
	registry := New(nil, progress.New(progress.Options{Out: io.Discard}), "web", Config{Port: port.Port{Number: 5001}}, nil)
	if err := registry.Copy(t.Context(), "No Image"); !messages.IsUsage(err) {
		t.Errorf("the error is %v, want one about wrong input", err)
	}
}

// TestConfigValidate holds that the user sees all mistakes of the section in one run.
func TestConfigValidate(t *testing.T) {
	t.Parallel()
	good := Config{Image: "registry:3", Port: port.Port{Number: 5001},
		Upstreams: []string{"docker.io", "registry.k8s.io", "localhost"}, Images: []string{"nginx", "ghcr.io/a/b:v1@" + someDigest}}
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"sound", func(*Config) {}, nil},
		{"nothing to copy, and no upstream", func(c *Config) { c.Images, c.Upstreams = nil, nil }, nil},
		{"no image", func(c *Config) { c.Image = "" }, []string{`""`}},
		{"bad image", func(c *Config) { c.Image = "Registry" }, []string{`"Registry"`}},
		{"bad image among others", func(c *Config) { c.Images = []string{"nginx", "a b", "busybox"} }, []string{`"a b"`}},
		{"an address", func(c *Config) { c.Upstreams = []string{"https://ghcr.io"} }, []string{`"https://ghcr.io"`}},
		{"a repository", func(c *Config) { c.Upstreams = []string{"ghcr.io/a"} }, []string{`"ghcr.io/a"`}},
		{"a word", func(c *Config) { c.Upstreams = []string{"dockerhub"} }, []string{`"dockerhub"`}},
		{"another name of Docker Hub", func(c *Config) { c.Upstreams = []string{"index.docker.io"} }, []string{`"index.docker.io"`}},
		{"everything", func(c *Config) {
			*c = Config{Image: "A", Images: []string{"B", "nginx", "C"}, Upstreams: []string{"docker.io", "d", "e f"}}
		}, []string{`"A"`, `"B"`, `"C"`, `"d"`, `"e f"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := good
			test.change(&config)
			err := config.Validate()
			if err == nil {
				if len(test.want) > 0 {
					t.Errorf("no error, want one on each of %q", test.want)
				}
				return
			}
			if !messages.IsUsage(err) {
				t.Errorf("%v is no error about wrong input", err)
			}
			lines := strings.Split((messages.Printer{}).Error(err), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("the problems are %q, want one on each of %q", lines, test.want)
			}
			for i, value := range test.want {
				if !strings.Contains(lines[i], value) {
					t.Errorf("%q does not name %s", lines[i], value)
				}
			}
		})
	}
}

// checkUncompressed compares got with the image that it was made of, and its layers with the tar files that they are.
// (It does what validate.Image of go-containerregistry does, which needs a module that this one has no other use for.)
func checkUncompressed(t *testing.T, got, from v1.Image, layers [][]byte) {
	t.Helper()
	config, err := got.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := from.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(config, wanted) {
		t.Errorf("the config is\n%+v\nwant\n%+v", config, wanted)
	}
	id, err := got.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if wanted, err := from.ConfigName(); err != nil || id != wanted {
		t.Errorf("the image's ID is %s, want %s, %v", id, wanted, err)
	}
	manifest, err := got.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Config.MediaType != types.OCIConfigJSON {
		t.Errorf("the manifest is a %s with a %s: uncompressed layers are OCI's", manifest.MediaType, manifest.Config.MediaType)
	}
	content, err := got.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Config.Digest != digest(content) || manifest.Config.Size != int64(len(content)) {
		t.Errorf("the config is described as %+v, and is %s of %d bytes", manifest.Config, digest(content), len(content))
	}
	if content, err = got.RawManifest(); err != nil {
		t.Fatal(err)
	}
	if told, err := got.Digest(); err != nil || told != digest(content) {
		t.Errorf("the manifest's digest is told as %s, %v, and is %s", told, err, digest(content))
	}
	if len(manifest.Layers) != len(layers) || len(config.RootFS.DiffIDs) != len(layers) {
		t.Fatalf("%d layers and %d diff IDs, want %d", len(manifest.Layers), len(config.RootFS.DiffIDs), len(layers))
	}
	stored, err := got.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for i, content := range layers {
		want := v1.Descriptor{MediaType: types.OCIUncompressedLayer, Size: int64(len(content)), Digest: digest(content)}
		if !reflect.DeepEqual(manifest.Layers[i], want) {
			t.Errorf("layer %d is described as %+v, want %+v", i, manifest.Layers[i], want)
		}
		if config.RootFS.DiffIDs[i] != want.Digest {
			t.Errorf("layer %d has the diff ID %s, want %s", i, config.RootFS.DiffIDs[i], want.Digest)
		}
		reader, err := stored[i].Compressed() // "as it is stored"
		if err != nil {
			t.Fatal(err)
		}
		if bytesStored, err := io.ReadAll(reader); err != nil || !bytes.Equal(bytesStored, content) {
			t.Errorf("layer %d is not stored as the tar file that it is: %d bytes of %d, %v", i, len(bytesStored), len(content), err)
		}
	}
}

func digest(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// compressedImage is an image as docker build makes it: layers with gzip, and a config that says how to run it.
func compressedImage(t *testing.T, layers [][]byte) v1.Image {
	t.Helper()
	image := empty.Image
	for _, content := range layers {
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		if _, err := writer.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "COPY"}}); err != nil {
			t.Fatal(err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config = v1.Config{Cmd: []string{"/bin/app"}, Env: []string{"A=b"}, User: "65532", WorkingDir: "/", ExposedPorts: map[string]struct{}{"3000/tcp": {}}}
	config.History = append(config.History, v1.History{CreatedBy: `CMD ["/bin/app"]`, EmptyLayer: true})
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// archive is a tar file with one file in it.
func archive(t *testing.T, file string, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	writer := tar.NewWriter(&b)
	if err := writer.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(size)}); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(bytes.Repeat([]byte("x"), size)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// serve gives a registry that answers, in this process.
func serve(t *testing.T, docker *client.Client) *Registry {
	t.Helper()
	server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return registryAt(t, server.URL, docker)
}

func registryAt(t *testing.T, url string, docker *client.Client) *Registry {
	t.Helper()
	_, number, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	story := progress.New(progress.Options{Out: io.Discard})
	return New(docker, story, "web", Config{Port: port.Port{Number: parsed}}, mirror.New(docker, story, mirror.Config{}))
}

// engineWith is an engine that holds one image; without image, it fails to save it.
func engineWith(t *testing.T, tag string, image v1.Image) *client.Client {
	t.Helper()
	docker := enginetest.New(t)
	held := enginetest.Image{Names: []string{tag}, Architecture: "amd64"}
	if image != nil {
		id, err := image.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		held.ID, held.Save = id.String(), saved(image)
	}
	docker.AddImages(held)
	return docker.Client()
}

// saved writes what docker save does of an image.
func saved(image v1.Image) func(io.Writer) error {
	return func(w io.Writer) error {
		reference, err := name.NewTag("saved:latest")
		if err != nil {
			return err
		}
		return tarball.Write(reference, image, w)
	}
}

// TestCopyOfATaggedImage holds that an image which came from a mirror and was given its usual name with docker tag is
// copied, though the engine has its digest under the mirror's name only.
func TestCopyOfATaggedImage(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	image := compressedImage(t, [][]byte{archive(t, "bin/app", 5000)})
	docker.AddImages(enginetest.Image{Names: []string{"mirror.example/web@" + someDigest, "web:1"}, Save: saved(image)})
	registry := serve(t, docker.Client())
	if err := registry.Copy(t.Context(), "web:1@"+someDigest); err != nil {
		t.Error(err)
	}
	if calls := docker.Calls(); slices.Contains(calls, "POST /images/create") {
		t.Errorf("the engine pulls: %q", calls)
	}
}

// TestCopyFromOrigin holds that an image which the engine cannot pull comes from its own registry, for the engine's
// architecture.
func TestCopyFromOrigin(t *testing.T) {
	t.Parallel()
	origin := serve(t, nil)
	place := "127.0.0.1:" + origin.config.Port.String() + "/web:1"
	target, err := name.ParseReference(place)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(target, compressedImage(t, [][]byte{archive(t, "bin/app", 5000)})); err != nil {
		t.Fatal(err)
	}
	found, cleanup, err := serve(t, enginetest.New(t).Client()).images.Open(t.Context(), place, func(messages.Text) {})
	defer cleanup()
	if err != nil {
		t.Fatal(err)
	}
	if config, err := found.ConfigFile(); err != nil || config.Architecture != "amd64" {
		t.Errorf("what is found is %+v, %v", config, err)
	}
}

// TestCopyTellsBothReasons holds that where nobody gets an image, the user sees why the engine does not, since mirrors and
// proxies are set there, and why its registry does not either.
func TestCopyTellsBothReasons(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	docker.Handle("POST /images/create", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"errorDetail":{"message":"toomanyrequests: slow down"},"error":"toomanyrequests: slow down"}`)
	})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(origin.Close)
	_, cleanup, err := serve(t, docker.Client()).images.Open(t.Context(), strings.TrimPrefix(origin.URL, "http://")+"/web:1", func(messages.Text) {})
	defer cleanup()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"through Docker: toomanyrequests: slow down", "directly: ", "403 Forbidden"} {
		if !strings.Contains((messages.Printer{}).Error(err), want) {
			t.Errorf("the error is %q, want %q in it", (messages.Printer{}).Error(err), want)
		}
	}
	if hint := (messages.Printer{}).Hint(err); !strings.Contains(hint, "docker login") {
		t.Errorf("the hint is %q, want it to be about the limit", hint)
	}
}
