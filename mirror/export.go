package mirror

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"syscall"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// Open reads an image for the engine's architecture from where it can be had soonest: the engine, through the engine (which may know
// mirrors and proxies), and with this program's own requests. close is to be called when it has been read.
func (f *Fetcher) Open(ctx context.Context, image string, detail func(messages.Text)) (found v1.Image, close func(), err error) {
	architecture, err := engine.Architecture(ctx, f.docker)
	if err != nil {
		return nil, func() {}, err
	}
	found, close, failed := f.fromEngine(ctx, image, architecture)
	if found == nil && failed == nil {
		if failed = f.Pull(ctx, image, detail); failed == nil {
			found, close, failed = f.fromEngine(ctx, image, architecture)
		}
	}
	if found != nil || ctx.Err() != nil || errors.Is(failed, syscall.ENOSPC) {
		return found, close, failed
	}
	close()
	found, err = f.Fetch(ctx, image, architecture, failed)
	return found, func() {}, err
}

// fromEngine returns an image of the local engine's that is for that architecture, or nil. Its layers are taken as
// they are, uncompressed: mostly everything stays on this machine, where compressing them would take most of the time.
func (f *Fetcher) fromEngine(ctx context.Context, image, architecture string) (v1.Image, func(), error) {
	cleanup := func() {}
	found, err := engine.Find(ctx, f.docker, image)
	if err != nil || found == nil {
		return nil, cleanup, err
	}
	if found.Architecture != architecture {
		return nil, cleanup, nil
	}
	archive, err := newArchive()
	if err != nil {
		return nil, cleanup, err
	}
	if err := f.save(ctx, found.ID, architecture, archive); err != nil {
		failure := messages.Errorf("%s cannot be exported from the Docker Engine", image).Because(err)
		if errors.Is(err, syscall.ENOSPC) {
			failure = failure.WithHint("check the free space in %s, then run the same command again", os.TempDir())
		}
		return nil, archive.remove, failure
	}
	loaded, err := tarball.Image(archive.open, nil)
	if err != nil {
		return nil, archive.remove, err
	}
	plain, err := Uncompressed(loaded)
	return plain, archive.remove, err
}

// save writes the engine's archive of an image.
func (f *Fetcher) save(ctx context.Context, id, architecture string, into io.Writer) error {
	var options []client.ImageSaveOption
	if versions.GreaterThanOrEqualTo(f.docker.ClientVersion(), "1.48") { // older engines have one platform of an image only
		options = append(options, client.ImageSaveWithPlatforms(ocispec.Platform{OS: "linux", Architecture: architecture}))
	}
	saved, err := f.docker.ImageSave(ctx, []string{id}, options...)
	if err != nil {
		return err
	}
	defer saved.Close()
	_, err = io.Copy(into, saved)
	return err
}

// archiveFile is a temporary file for an image, which may be large. Where the system allows it, the file has no name any
// more when it is filled, so that it ends with this process, however that ends.
type archiveFile struct {
	*os.File
	named bool
}

func newArchive() (archiveFile, error) {
	file, err := os.CreateTemp("", "hellolab-image-*.tar")
	if err != nil {
		return archiveFile{}, err
	}
	return archiveFile{file, os.Remove(file.Name()) != nil}, nil
}

// open returns a reader of the whole file; several may read at a time.
func (a archiveFile) open() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(a.File, 0, math.MaxInt64)), nil
}

func (a archiveFile) remove() {
	a.Close()
	if a.named {
		os.Remove(a.Name())
	}
}

// Uncompressed returns image with its layers as plain tar files.
func Uncompressed(image v1.Image) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	plain := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, layer := range layers {
		unpacked, err := unpack(layer)
		if err != nil {
			return nil, err
		}
		if plain, err = mutate.AppendLayers(plain, unpacked); err != nil {
			return nil, err
		}
	}
	return mutate.ConfigFile(plain, config)
}

// plainLayer is a layer that is stored as the tar file that it is.
type plainLayer struct {
	v1.Layer
	size int64
}

func unpack(layer v1.Layer) (plainLayer, error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return plainLayer{}, err
	}
	defer content.Close()
	size, err := io.Copy(io.Discard, content)
	return plainLayer{layer, size}, err
}

func (l plainLayer) Digest() (v1.Hash, error)            { return l.DiffID() }
func (l plainLayer) Compressed() (io.ReadCloser, error)  { return l.Uncompressed() }
func (l plainLayer) Size() (int64, error)                { return l.size, nil }
func (l plainLayer) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }
