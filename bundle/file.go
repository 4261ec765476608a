// Package bundle keeps images in one file, for machines that cannot reach an image registry.
//
// A bundle is an OCI image layout (https://github.com/opencontainers/image-spec/blob/main/image-layout.md) in a tar file that is
// compressed by zstd. Its index names each image as the settings do.
package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/hellolab/hellolab/messages"
)

const (
	// version of the format; a program reads its own only.
	version = "1"
	// versionAnnotation is the index's, and nameAnnotation an image's.
	versionAnnotation = "io.github.hellolab.bundle"
	nameAnnotation    = "io.github.hellolab.image"
)

// Image is an image in a bundle.
type Image struct {
	// Name as the settings have it, with its digest where they have one.
	Name string
	// Architecture as Go names it.
	Architecture string
	v1.Image
}

// Writer writes a bundle.
type Writer struct {
	compressed *zstd.Encoder
	archive    *tar.Writer
	index      v1.IndexManifest
	written    map[v1.Hash]bool
}

// NewWriter begins a bundle.
func NewWriter(into io.Writer) (*Writer, error) {
	compressed, err := zstd.NewWriter(into)
	if err != nil {
		return nil, err
	}
	return &Writer{compressed: compressed, archive: tar.NewWriter(compressed), written: map[v1.Hash]bool{},
		index: v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: map[string]string{versionAnnotation: version}}}, nil
}

// Add writes an image, and tells how many of its bytes are there.
func (w *Writer) Add(image Image, progress func(share float64)) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	var total, done int64
	for _, layer := range manifest.Layers {
		total += layer.Size
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for i, layer := range layers {
		if err := w.layer(layer, manifest.Layers[i]); err != nil {
			return err
		}
		done += manifest.Layers[i].Size
		progress(float64(done) / float64(max(total, 1)))
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	if err := w.blob(manifest.Config.Digest, int64(len(config)), bytes.NewReader(config)); err != nil {
		return err
	}
	raw, err := image.RawManifest()
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	w.index.Manifests = append(w.index.Manifests, v1.Descriptor{MediaType: manifest.MediaType, Digest: digest, Size: int64(len(raw)),
		Platform: &v1.Platform{OS: "linux", Architecture: image.Architecture}, Annotations: map[string]string{nameAnnotation: image.Name}})
	return w.blob(digest, int64(len(raw)), bytes.NewReader(raw))
}

func (w *Writer) layer(layer v1.Layer, is v1.Descriptor) error {
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	return errors.Join(w.blob(is.Digest, is.Size, content), content.Close())
}

// blob writes a file of the layout, once.
func (w *Writer) blob(digest v1.Hash, size int64, content io.Reader) error {
	if w.written[digest] {
		return nil
	}
	w.written[digest] = true
	return w.file("blobs/"+digest.Algorithm+"/"+digest.Hex, size, content)
}

func (w *Writer) file(name string, size int64, content io.Reader) error {
	if err := w.archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := io.Copy(w.archive, content)
	return err
}

// Close writes the index, and with that ends the bundle.
func (w *Writer) Close() error {
	index, err := json.Marshal(w.index)
	if err != nil {
		return err
	}
	return errors.Join(
		w.file("oci-layout", int64(len(`{"imageLayoutVersion":"1.0.0"}`)), bytes.NewReader([]byte(`{"imageLayoutVersion":"1.0.0"}`))),
		w.file("index.json", int64(len(index)), bytes.NewReader(index)),
		w.archive.Close(), w.compressed.Close())
}

// blobName is what a blob is called.
var blobName = regexp.MustCompile(`^blobs/sha256/([0-9a-f]{64})$`)

// mostText is how long what is not a blob may be, in bytes.
const mostText = 1 << 20

// Unpack reads a bundle into an empty folder, and returns its images. Everything has been compared with its digest then. A bundle
// that is damaged, incomplete, of another version, or that wants to write elsewhere is refused.
func Unpack(ctx context.Context, bundle io.Reader, folder string) ([]Image, error) {
	compressed, err := zstd.NewReader(reading{ctx, bundle})
	if err != nil {
		return nil, damaged(err)
	}
	defer compressed.Close()
	if err := os.MkdirAll(filepath.Join(folder, "blobs", "sha256"), 0o700); err != nil {
		return nil, err
	}
	for files := tar.NewReader(compressed); ; {
		header, err := files.Next()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return images(folder)
		case err != nil:
			return nil, damaged(err)
		}
		err = unpack(header, files, folder)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
}

// reading ends with its context.
type reading struct {
	context.Context
	io.Reader
}

func (r reading) Read(into []byte) (int, error) {
	if r.Err() != nil {
		return 0, context.Cause(r)
	}
	return r.Reader.Read(into)
}

// writing ends with its context.
type writing struct {
	context.Context
	io.Writer
}

func (w writing) Write(content []byte) (int, error) {
	if w.Err() != nil {
		return 0, context.Cause(w)
	}
	return w.Writer.Write(content)
}

// unpack writes one file of a bundle.
func unpack(header *tar.Header, content io.Reader, folder string) error {
	text := header.Name == "oci-layout" || header.Name == "index.json"
	if header.Typeflag != tar.TypeReg || !text && !blobName.MatchString(header.Name) {
		return damaged(messages.Errorf("it has a file named %q", header.Name))
	}
	if text {
		content = io.LimitReader(content, mostText)
	}
	file, err := os.OpenFile(filepath.Join(folder, filepath.FromSlash(header.Name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return damaged(messages.Errorf("it has two files named %q", header.Name))
	}
	if err != nil {
		return err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, hash), content)
	var written *os.PathError
	switch closed := file.Close(); {
	case errors.As(err, &written):
		return err
	case err != nil:
		return damaged(err)
	case closed != nil:
		return closed
	}
	if blob := blobName.FindStringSubmatch(header.Name); blob != nil && blob[1] != hex.EncodeToString(hash.Sum(nil)) {
		return damaged(messages.Errorf("%s has another content", header.Name))
	}
	return nil
}

func damaged(err error) error {
	return messages.Errorf("the file is not a bundle of this version of hellolab, or it is damaged").Because(err).
		WithHint("fetch it once more, and compare its digest with the one that %s said", messages.Hellolab("bundle", "save").Usage("FILE"))
}

// images are those of an unpacked bundle, each complete.
func images(folder string) (all []Image, err error) {
	read, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, damaged(err)
	}
	index, err := read.IndexManifest()
	if err != nil {
		return nil, damaged(err)
	}
	if found := index.Annotations[versionAnnotation]; found != version {
		return nil, damaged(messages.Errorf("its version is %q, not %q", found, version))
	}
	for _, descriptor := range index.Manifests {
		image, err := read.Image(descriptor.Digest)
		if err == nil {
			err = complete(image, folder)
		}
		if err != nil {
			return nil, damaged(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, damaged(err)
		}
		all = append(all, Image{descriptor.Annotations[nameAnnotation], config.Architecture, image})
	}
	return all, nil
}

// complete holds that all of an image is there.
func complete(image v1.Image, folder string) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	for _, part := range append(manifest.Layers, manifest.Config) {
		if _, err := os.Stat(filepath.Join(folder, "blobs", part.Digest.Algorithm, part.Digest.Hex)); err != nil {
			return messages.Errorf("%s is missing", part.Digest)
		}
	}
	return nil
}
