package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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
		return "", r.advised(ctx, messages.Errorf("%s cannot be written into the image registry", name).Because(err))
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
	found, cleanup, err := r.images.Open(ctx, image, detail)
	defer cleanup()
	if err != nil {
		return err
	}
	_, err = r.Put(ctx, image, found, func(share float64) { detail(messages.Percent(share)) })
	return err
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
