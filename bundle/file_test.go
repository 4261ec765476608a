package bundle

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/klauspost/compress/zstd"

	"github.com/hellolab/hellolab/messages"
)

func image(t *testing.T, name, architecture string) Image {
	t.Helper()
	made, err := random.Image(1000, 2)
	if err == nil {
		made, err = mutate.ConfigFile(made, &v1.ConfigFile{OS: "linux", Architecture: architecture, RootFS: rootFS(t, made)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return Image{name, architecture, made}
}

func rootFS(t *testing.T, image v1.Image) v1.RootFS {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.RootFS
}

func bundled(t *testing.T, images ...Image) []byte {
	t.Helper()
	var file bytes.Buffer
	writer, err := NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range images {
		shares := 0
		if err := writer.Add(image, func(float64) { shares++ }); err != nil || shares != 2 {
			t.Fatal(shares, err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestBundle holds that what is written is read.
func TestBundle(t *testing.T) {
	t.Parallel()
	one, two := image(t, "registry:3@sha256:x", "amd64"), image(t, "nginx", "arm64")
	got, err := Unpack(t.Context(), bytes.NewReader(bundled(t, one, two, one)), t.TempDir())
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	for i, want := range []Image{one, two, one} {
		wanted, _ := want.Digest()
		if digest, err := got[i].Digest(); err != nil || digest != wanted || got[i].Name != want.Name || got[i].Architecture != want.Architecture {
			t.Errorf("image %d is %s of %s, %s, %v", i, got[i].Name, got[i].Architecture, digest, err)
		}
	}
}

// files unpacks a bundle's archive, and packs it with a change.
func repack(t *testing.T, bundle []byte, change func(header *tar.Header, content []byte) []byte) []byte {
	t.Helper()
	compressed, err := zstd.NewReader(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	defer compressed.Close()
	var changed bytes.Buffer
	into, err := zstd.NewWriter(&changed)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(into)
	for files := tar.NewReader(compressed); ; {
		header, err := files.Next()
		if err == io.EOF {
			break
		}
		content, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if content = change(header, content); content == nil {
			continue
		}
		header.Size = int64(len(content))
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := into.Close(); err != nil {
		t.Fatal(err)
	}
	return changed.Bytes()
}

// TestRefused holds that nothing of a bundle that is not whole is taken, and that nothing is written outside of the folder.
func TestRefused(t *testing.T) {
	t.Parallel()
	good := bundled(t, image(t, "nginx", "amd64"))
	same := func(_ *tar.Header, content []byte) []byte { return content }
	if _, err := Unpack(t.Context(), bytes.NewReader(repack(t, good, same)), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	blob := func(header *tar.Header) bool { return strings.HasPrefix(header.Name, "blobs/") }
	renamed := func(name string, kind byte) []byte {
		first := true
		return repack(t, good, func(header *tar.Header, content []byte) []byte {
			if first {
				header.Name, header.Typeflag, header.Linkname, first = name, kind, "/etc/passwd", false
				if kind != tar.TypeReg {
					content = []byte{}
				}
			}
			return content
		})
	}
	for name, file := range map[string][]byte{
		"empty":         nil,
		"text":          []byte("Not found\n"),
		"a flipped bit": flipped,
		"truncated":     good[:len(good)-10],
		"half":          good[:len(good)/2],
		"a blob of another content": repack(t, good, func(header *tar.Header, content []byte) []byte {
			if blob(header) {
				return append(content, 'x')
			}
			return content
		}),
		"a blob is missing": repack(t, good, func(header *tar.Header, content []byte) []byte {
			if blob(header) {
				return nil
			}
			return content
		}),
		"no index": repack(t, good, func(header *tar.Header, content []byte) []byte {
			if header.Name == "index.json" {
				return nil
			}
			return content
		}),
		"another version": repack(t, good, func(header *tar.Header, content []byte) []byte {
			return bytes.ReplaceAll(content, []byte(`bundle":"1"`), []byte(`bundle":"2"`))
		}),
		"out of the folder":   renamed("../outside", tar.TypeReg),
		"an absolute path":    renamed("/tmp/outside", tar.TypeReg),
		"a path in a blob":    renamed("blobs/sha256/../../../outside", tar.TypeReg),
		"a link":              renamed("blobs/sha256/"+strings.Repeat("0", 64), tar.TypeSymlink),
		"a link of the index": renamed("index.json", tar.TypeSymlink),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			folder := filepath.Join(parent, "in")
			images, err := Unpack(t.Context(), bytes.NewReader(file), folder)
			if err == nil || (messages.Printer{}).Hint(err) == "" {
				t.Errorf("it is taken as %v, %v", images, err)
			}
			if beside, err := os.ReadDir(parent); err != nil || len(beside) > 1 {
				t.Errorf("there is %v, %v", beside, err)
			}
		})
	}
}

// FuzzUnpack holds that no file makes a bundle's reader fail otherwise than by an error, or write outside of its folder.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("x"))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, file []byte) {
		parent := t.TempDir()
		if _, err := Unpack(t.Context(), bytes.NewReader(file), filepath.Join(parent, "in")); err == nil {
			t.Skip()
		}
		if beside, err := os.ReadDir(parent); err != nil || len(beside) > 1 {
			t.Errorf("there is %v, %v", beside, err)
		}
	})
}
