// Package supply provides a lab with what the course needs beside the cluster's own objects: images in the registry,
// charts in the chart repositories, Helm releases, and addresses for LoadBalancer Services.
package supply

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/registry"
	"github.com/hellolab/hellolab/tunnel"
)

// Lab is the lab to supply, as far as this package needs it: [bootstrap.Lab] is one.
type Lab interface {
	// StartRegistry makes the image registry run, with or without a lab around it.
	StartRegistry(ctx context.Context) error
	// Registry is the image registry.
	Registry() *registry.Registry
	// Addresses are where the lab's parts answer on this machine.
	Addresses() bootstrap.Addresses
	// Settings are the lab's own.
	Settings() bootstrap.Settings
	// LockTunnel keeps others from running a tunnel; unlock is nil where somebody runs one.
	LockTunnel() (unlock func(), err error)
	// Gone reports whether the lab was removed, or made anew, since it was opened.
	Gone(ctx context.Context) bool
}

// Builder makes the course's own images: [images.Builder] is one.
type Builder interface {
	Build(ctx context.Context, tags []images.Tag) (references, kept []string, err error)
	// BuildSnapshot is Build as the user does it.
	BuildSnapshot(ctx context.Context, tags []images.Tag) (references, kept []string, err error)
}

// Supply is what one lab provides to a course. It implements the interfaces that the packages labs and labs/check declare.
type Supply struct {
	Lab     Lab
	Builder Builder
	// Account is the one that the course's own images are under.
	Account string
	// Cluster is the lab's API server, which the tunnel and the releases need; the rest works without it.
	Cluster *kube.Cluster
	// OpenReleases returns the client for the Helm releases of a namespace.
	OpenReleases func(namespace string) (*helm.Client, error)
	// Say tells the story of the tunnel.
	Say func(messages.Text)
}

// FetchImages brings images into the lab's registry, where they are missing: the course's own are built, others copied.
// One that cannot be had does not keep the others away.
func (s *Supply) FetchImages(ctx context.Context, wanted []string) error {
	if err := s.Lab.StartRegistry(ctx); err != nil {
		return err
	}
	var tags []images.Tag
	var missing error
	for _, image := range wanted {
		if tag, ours := s.tag(image); ours {
			tags = append(tags, tag)
		} else if !s.pushedByHand(image) {
			missing = errors.Join(missing, s.Lab.Registry().Copy(ctx, image))
		}
	}
	if len(tags) == 0 {
		return missing
	}
	_, _, err := s.Builder.Build(ctx, tags)
	return errors.Join(missing, err)
}

// tag returns the course's tag that an image is, if it is one.
func (s *Supply) tag(image string) (images.Tag, bool) {
	name, ours := strings.CutPrefix(image, s.Account+"/hellok8s:")
	at := slices.IndexFunc(images.Tags(), func(tag images.Tag) bool { return tag.Name == name })
	if !ours || at < 0 {
		return images.Tag{}, false
	}
	return images.Tags()[at], true
}

// pushedByHand reports whether an image names the lab's own registry: there is no other place to fetch it from.
func (s *Supply) pushedByHand(image string) bool {
	return strings.HasPrefix(image, s.Lab.Registry().Address()+"/")
}

// HasImage reports whether the lab's registry has an image.
func (s *Supply) HasImage(ctx context.Context, image string) (bool, error) {
	manifest, _, err := s.Lab.Registry().Find(ctx, image)
	return manifest != nil, err
}

// PushedBy reports whether an image in the lab's registry was pushed by the reader, or by a snapshot in the reader's stead; it is neither where
// hellolab has put it there of its own accord.
func (s *Supply) PushedBy(ctx context.Context, image string) (reader, snapshot bool, err error) {
	manifest, _, err := s.Lab.Registry().Find(ctx, image)
	if err != nil || manifest == nil {
		return false, false, err
	}
	origin, _ := images.OriginOf(manifest)
	return origin == images.User, origin == images.Snapshot, nil
}

// PushImage builds one of the course's images as the user does, unless the registry has one of the user's already.
func (s *Supply) PushImage(ctx context.Context, image string) error {
	tag, ours := s.tag(image)
	if !ours {
		return messages.Errorf("%s is none of the images that hellolab can build", image).Next(messages.Hellolab("images", "list"))
	}
	_, _, err := s.Builder.BuildSnapshot(ctx, []images.Tag{tag})
	return err
}

// Releases returns the client for the Helm releases of a namespace.
func (s *Supply) Releases(namespace string) (*helm.Client, error) { return s.OpenReleases(namespace) }

// Tunnel gives LoadBalancer Services addresses of this machine until ctx ends, unless somebody does so already.
func (s *Supply) Tunnel(ctx context.Context) error {
	_, err := s.RunTunnel(ctx)
	return err
}

// RunTunnel is [Supply.Tunnel], and reports whether it ran: not where somebody runs a tunnel already.
func (s *Supply) RunTunnel(ctx context.Context) (ran bool, err error) {
	unlock, err := s.Lab.LockTunnel()
	if err != nil || unlock == nil {
		return false, err
	}
	defer unlock()
	return true, (&tunnel.Tunnel{Config: s.Cluster.Config(), Cluster: s.Cluster, Say: s.Say, Gone: s.Lab.Gone}).Run(ctx)
}
