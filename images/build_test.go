package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

const golang = "golang:1.26"

// memory is a registry that keeps images in memory.
type memory struct {
	mutex  sync.Mutex
	images map[string]v1.Image
}

func (m *memory) Find(_ context.Context, name string) (*v1.Manifest, string, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	found, there := m.images[name]
	if !there {
		return nil, "", nil
	}
	manifest, err := found.Manifest()
	digest, wrong := found.Digest()
	return manifest, digest.String(), errors.Join(err, wrong)
}

func (m *memory) Put(_ context.Context, name string, image v1.Image, _ func(float64)) (string, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.images[name] = image
	digest, err := image.Digest()
	return digest.String(), err
}

func (m *memory) Address() string { return "localhost:5001" }

// compileInside stands for the container that compiles: its program of each source is the source, backwards as it were.
func compileInside(stdin io.Reader, stdout, stderr io.Writer) int {
	programs := tar.NewWriter(stdout)
	for sources := tar.NewReader(stdin); ; {
		header, err := sources.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		content, _ := io.ReadAll(sources)
		folder, file := filepath.Split(header.Name)
		if bytes.Contains(content, []byte("broken")) {
			fmt.Fprintf(stderr, "./%smain.go:3:1: undefined: broken\n", folder)
			return 1
		}
		if file == "main.go" {
			fmt.Fprintf(stderr, "%spackage\n%s\n", listed, folder)
			program := append([]byte("compiled "), content...)
			programs.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./" + strings.TrimSuffix(folder, "/"), Mode: 0o755, Size: int64(len(program))})
			programs.Write(program)
		}
	}
	programs.Close()
	return 0
}

// fetched has the images that the engine holds.
type fetched struct{ docker *client.Client }

func (f fetched) EnsureImage(ctx context.Context, image string) (string, error) {
	found, err := engine.Find(ctx, f.docker, image)
	if err == nil && found == nil {
		err = errors.New("no such image")
	}
	if err != nil {
		return "", err
	}
	return found.Name, nil
}

// builder compiles in a container of an engine that holds the image with Go.
func builder(t *testing.T) (*Builder, *memory, *enginetest.Engine) {
	t.Helper()
	docker, store := enginetest.New(t), &memory{images: map[string]v1.Image{}}
	docker.AddImage(golang)
	docker.Run(golang, compileInside)
	return &Builder{Docker: docker.Client(), Story: progress.New(progress.Options{Out: io.Discard}), Store: store, Images: fetched{docker.Client()},
		Config: Config{Account: "me", Builder: golang}, Lab: "web", Compiler: "docker", Cache: t.TempDir()}, store, docker
}

func selected(t *testing.T, names ...string) []Tag {
	t.Helper()
	tags, err := Select(names)
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

// TestBuild holds that what is missing is built once, that a name given twice is built and returned once, with its digest,
// and that the container removes itself.
func TestBuild(t *testing.T) {
	t.Parallel()
	builder, store, docker := builder(t)
	for try := 1; try <= 2; try++ {
		references, kept, err := builder.Build(t.Context(), selected(t, "v1", "v2", "v1"))
		if err != nil || len(kept) > 0 || len(references) != 2 {
			t.Fatalf("it returns %q, %q, %v", references, kept, err)
		}
		for i, name := range []string{"me/hellok8s:v1", "me/hellok8s:v2"} {
			_, digest, err := store.Find(t.Context(), name)
			if want := "localhost:5001/" + name + "@" + digest; err != nil || digest == "" || references[i] != want {
				t.Errorf("the reference is %s, %v; want %s", references[i], err, want)
			}
		}
		if steps := builder.Story.Steps(); steps != 2 {
			t.Errorf("after try %d there were %d steps, want 2: compiling and pushing", try, steps)
		}
	}
	if left := docker.Containers(); len(left) > 0 || !slices.Equal(docker.Volumes(), []string{"web-go-cache"}) {
		t.Errorf("left behind are %+v and %q", left, docker.Volumes())
	}
	states, err := builder.List(t.Context())
	if err != nil || len(states) != len(Tags()) || !states[0].Current || states[0].Own || states[0].Size == 0 || states[2].Digest != "" {
		t.Errorf("the states are %+v, %v", states, err)
	}
}

// TestBuildKeepsTheUsersImages holds that an image that was pushed by hand stays, unless it is to be replaced.
func TestBuildKeepsTheUsersImages(t *testing.T) {
	t.Parallel()
	builder, store, _ := builder(t)
	own, err := assemble(Tags()[0], []byte("own"), nil, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	store.images["me/hellok8s:v1"] = own
	if _, kept, err := builder.Build(t.Context(), selected(t, "v1")); err != nil || !slices.Equal(kept, []string{"v1"}) || store.images["me/hellok8s:v1"] != own {
		t.Errorf("kept are %q, %v", kept, err)
	}
	builder.Replace = true
	if _, kept, err := builder.Build(t.Context(), selected(t, "v1")); err != nil || len(kept) > 0 || store.images["me/hellok8s:v1"] == own {
		t.Errorf("kept are %q, %v", kept, err)
	}
}

// TestBuildAfterTheRegistryWasLost holds that programs are kept: no compiler runs for what was compiled before.
func TestBuildAfterTheRegistryWasLost(t *testing.T) {
	t.Parallel()
	builder, store, docker := builder(t)
	for range 2 {
		if _, _, err := builder.Build(t.Context(), selected(t, "v3")); err != nil {
			t.Fatal(err)
		}
		clear(store.images)
		docker.Fail("POST /containers/create", http.StatusInternalServerError, "no compiler any more")
	}
}

// TestBuildFails holds that each way to fail has its error, and the way out.
func TestBuildFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, b *Builder, docker *enginetest.Engine)
		want    string
		hint    string
	}{
		{"an unknown builder", func(_ *testing.T, b *Builder, _ *enginetest.Engine) { b.Compiler = "podman" }, `there is no builder "podman"`, "--builder auto"},
		{"no image with Go", func(_ *testing.T, b *Builder, _ *enginetest.Engine) { b.Config.Builder = "golang:none" }, "the builder image is not available", "hellolab up --no-images"},
		{"a source that does not compile", func(t *testing.T, b *Builder, _ *enginetest.Engine) {
			b.Folder = t.TempDir()
			if err := errors.Join(os.Mkdir(filepath.Join(b.Folder, "v1"), 0o755), os.WriteFile(filepath.Join(b.Folder, "v1", "main.go"), []byte("broken"), 0o644)); err != nil {
				t.Fatal(err)
			}
		}, "v1/main.go:3:1: undefined: broken", "correct these lines"},
		{"a folder without the source", func(t *testing.T, b *Builder, _ *enginetest.Engine) { b.Folder = t.TempDir() }, "the source of the image v1", "hellolab images export"},
		{"a container that does not start", func(_ *testing.T, _ *Builder, docker *enginetest.Engine) {
			docker.Fail("POST /containers/{id}/start", http.StatusInternalServerError, "out of memory")
		}, "out of memory", ""},
		{"a cache of somebody else's", func(_ *testing.T, _ *Builder, docker *enginetest.Engine) { docker.AddVolume("web-go-cache", nil) }, "web-go-cache", "--name NAME"},
		{"an engine that is gone", func(_ *testing.T, _ *Builder, docker *enginetest.Engine) {
			docker.Fail("GET /version", http.StatusInternalServerError, "shutting down")
		}, "shutting down", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			builder, _, docker := builder(t)
			test.prepare(t, builder, docker)
			_, _, err := builder.Build(t.Context(), selected(t, "v1"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("the error is %v, want %q in it", err, test.want)
			}
			if hint := (messages.Printer{}).Hint(err); !strings.Contains(hint, test.hint) {
				t.Errorf("the hint is %q, want %q in it", hint, test.hint)
			}
			if left := docker.Containers(); len(left) > 0 {
				t.Errorf("left behind is %+v", left)
			}
		})
	}
}

// TestNewEnough holds which Go compiles the sources.
func TestNewEnough(t *testing.T) {
	t.Parallel()
	for printed, want := range map[string]bool{
		"go1.21": true, "go1.21.0": true, "go1.26.1 X:nodwarf5": true, "go1.30rc1": true, "devel go1.27-a1b2c3 Mon": true,
		"": false, "go1.20.14": false, "go1.13.8": false, "no version": false,
	} {
		if got := newEnough(printed); got != want {
			t.Errorf("%q is new enough: %v", printed, got)
		}
	}
}

// TestOldGo holds that an old Go on the PATH is refused where it was asked for, and passed over for a container otherwise.
func TestOldGo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the old Go is a shell script")
	}
	for _, test := range []struct{ name, script, want string }{
		{"an old Go", "echo go1.19.8", "go1.19.8) is too old"},
		{"a Go that knows no GOVERSION", "echo", "?) is too old"},
		{"a Go that does not work", "exit 1", "does not work"},
		{"no Go", "", "there is no Go"},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			if test.script != "" {
				if err := os.WriteFile(filepath.Join(folder, "go"), []byte("#!/bin/sh\n"+test.script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", folder)
			builder, _, _ := builder(t)
			builder.Compiler = "host"
			if _, _, err := builder.Build(t.Context(), selected(t, "v1")); err == nil || !strings.Contains(err.Error(), test.want) ||
				!strings.Contains((messages.Printer{}).Hint(err), "hellolab images build --builder docker") {
				t.Errorf("the error is %v, want %q in it and a hint", err, test.want)
			}
			builder.Compiler = "auto"
			if _, _, err := builder.Build(t.Context(), selected(t, "v1")); err != nil {
				t.Errorf("with auto, the error is %v", err)
			}
		})
	}
}

// TestConfigValidate holds that the user sees all mistakes of the section at once.
func TestConfigValidate(t *testing.T) {
	t.Parallel()
	if err := (Config{Account: "me", Builder: golang}).Validate(); err != nil {
		t.Error(err)
	}
	err := (Config{Account: "A B", Builder: "C"}).Validate()
	if !messages.IsUsage(err) || !strings.Contains(err.Error(), `"A B"`) || !strings.Contains(err.Error(), `"C"`) {
		t.Errorf("the error is %v", err)
	}
}
