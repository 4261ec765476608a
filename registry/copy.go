package registry

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// Copy copies an image of somebody else's into the registry, from the local engine or, where that lacks it, from its
// origin. It does nothing where the registry holds it, see [Registry.holds].
func (r *Registry) Copy(ctx context.Context, image string) error {
	target, err := r.reference(image)
	if err != nil {
		return err
	}
	if held, err := r.holds(ctx, image, target); err != nil || held {
		return err
	}
	step := r.story.Start(messages.T("copying %s into the registry", Tagged(image)))
	err = r.copy(ctx, image, step.Detail)
	step.End(err)
	return err
}

// Find returns the manifest and the digest of an image of the registry's, or nil where it has none of that name.
func (r *Registry) Find(ctx context.Context, image string) (*v1.Manifest, string, error) {
	target, err := r.reference(image)
	if err != nil {
		return nil, "", err
	}
	found, err := remote.Image(target, r.options(ctx)...)
	if isMissing(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", r.unreachable(err)
	}
	digest, err := found.Digest()
	if err != nil {
		return nil, "", err
	}
	manifest, err := found.Manifest()
	return manifest, digest.String(), err
}

// Tags lists the tags of a repository in the registry.
func (r *Registry) Tags(ctx context.Context, repository string) ([]string, error) {
	target, err := r.reference(repository)
	if err != nil {
		return nil, err
	}
	tags, err := remote.List(target.Context(), r.options(ctx)...)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, r.unreachable(err)
	}
	return tags, nil
}

// Put writes an image into the registry, reports the share that is done, and returns its digest.
func (r *Registry) Put(ctx context.Context, name string, image v1.Image, progress func(share float64)) (string, error) {
	target, err := r.reference(name)
	if err != nil {
		return "", err
	}
	if err := r.write(ctx, target, image, progress); err != nil {
		return "", messages.Errorf("%s cannot be written into the image registry", name).Because(err).Next(r.logs())
	}
	digest, err := image.Digest()
	return digest.String(), err
}

// options are those of requests to the lab's own registry. When it joins the cluster's network, the engine publishes its
// port anew, and for that moment nothing listens there.
func (r *Registry) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(r.local),
		remote.WithRetryBackoff(remote.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Steps: 6}),
		remote.WithRetryPredicate(func(err error) bool {
			return slices.ContainsFunc([]error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed, io.EOF, io.ErrUnexpectedEOF},
				func(passing error) bool { return errors.Is(err, passing) })
		}),
	}
}

func isMissing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

func (r *Registry) unreachable(err error) error {
	return messages.Errorf("the image registry at %s cannot be reached", r.Address()).Because(err).Next(messages.Hellolab("up"))
}

// reference returns an image's place in the registry, as this machine reaches it. 127.0.0.1 is used rather than
// localhost: the latter may be ::1 first, where another program may listen.
func (r *Registry) reference(image string) (name.Reference, error) {
	repository, err := r.place(image)
	if err != nil {
		return nil, messages.Usagef("%q is not a valid image name", image)
	}
	return name.ParseReference(net.JoinHostPort("127.0.0.1", r.config.Port.String())+"/"+repository, name.Insecure)
}

func (r *Registry) copy(ctx context.Context, image string, detail func(messages.Text)) error {
	found, cleanup, err := r.find(ctx, image, detail)
	defer cleanup()
	if err != nil {
		return err
	}
	_, err = r.Put(ctx, image, found, func(share float64) { detail(messages.Percent(share)) })
	return err
}

// find looks for an image where it can be had soonest: in the local engine, through the engine (which may know mirrors
// and proxies), and with this program's own requests. cleanup is to be called when it has been read.
func (r *Registry) find(ctx context.Context, image string, detail func(messages.Text)) (found v1.Image, cleanup func(), err error) {
	if found, cleanup, err = r.fromEngine(ctx, image); found != nil || err != nil {
		return found, cleanup, err
	}
	pulling := r.images.Pull(ctx, image, detail)
	if pulling == nil {
		if found, cleanup, err = r.fromEngine(ctx, image); found != nil || err != nil {
			return found, cleanup, err
		}
	}
	architecture, err := engine.Architecture(ctx, r.docker)
	if err != nil {
		return nil, cleanup, err
	}
	found, err = r.images.Fetch(ctx, image, architecture, pulling)
	return found, cleanup, err
}

// fromEngine returns an image of the local engine's that is for the nodes' architecture, or nil. Its layers are pushed as
// they are, uncompressed: everything stays on this machine, where compressing them would take most of the time.
func (r *Registry) fromEngine(ctx context.Context, image string) (v1.Image, func(), error) {
	cleanup := func() {}
	found, err := engine.Find(ctx, r.docker, image)
	if err != nil || found == nil {
		return nil, cleanup, err
	}
	if architecture, err := engine.Architecture(ctx, r.docker); err != nil || found.Architecture != architecture {
		return nil, cleanup, err
	}
	archive, err := newArchive()
	if err != nil {
		return nil, cleanup, err
	}
	if err := r.save(ctx, found.ID, archive); err != nil {
		return nil, archive.remove, messages.Errorf("%s cannot be exported from the Docker Engine", image).Because(err).
			WithHint("check the free space in %s, then run the same command again", os.TempDir())
	}
	loaded, err := tarball.Image(archive.open, nil)
	if err != nil {
		return nil, archive.remove, err
	}
	plain, err := uncompressed(loaded)
	return plain, archive.remove, err
}

// save writes the engine's archive of an image.
func (r *Registry) save(ctx context.Context, id string, into io.Writer) error {
	saved, err := r.docker.ImageSave(ctx, []string{id})
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

func (r *Registry) write(ctx context.Context, target name.Reference, image v1.Image, progress func(float64)) error {
	updates := make(chan v1.Update, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for update := range updates {
			if update.Total > 0 {
				progress(float64(update.Complete) / float64(update.Total))
			}
		}
	}()
	err := remote.Write(target, image, append(r.options(ctx), remote.WithProgress(updates))...)
	<-done
	return err
}

// uncompressed returns image with its layers as plain tar files.
func uncompressed(image v1.Image) (v1.Image, error) {
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
