package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hellolab/hellolab/engine"
)

// holds reports whether the registry has an image: under its tag, and with the content that its digest stands for, where the
// name has one. Anybody who reaches the registry can put something else under a tag.
func (r *Registry) holds(ctx context.Context, image string, target name.Reference) (bool, error) {
	found, err := remote.Head(target, r.options(ctx)...)
	switch {
	case isMissing(err):
		return false, nil
	case err != nil:
		return false, r.unreachable(err)
	}
	_, digest, pinned := strings.Cut(image, "@")
	if !pinned || found.Digest.String() == digest {
		return true, nil
	}
	return r.equalsEngines(ctx, image, target)
}

// equalsEngines compares what lies under a tag with the engine's image of a pinned name, which the engine has compared with
// the digest. The digests of the two differ, since the registry's layers are unpacked, and a pinned digest is mostly that of a
// list of platforms. Where the engine lacks the image, there is nothing to compare with.
func (r *Registry) equalsEngines(ctx context.Context, image string, target name.Reference) (bool, error) {
	wanted, err := engine.Find(ctx, r.docker, image)
	if err != nil || wanted == nil || len(wanted.Layers) == 0 {
		return true, err
	}
	held, err := remote.Image(target, r.options(ctx)...)
	if err != nil {
		return false, r.unreachable(err)
	}
	config, err := held.ConfigFile()
	if err != nil {
		return false, nil // it is none of ours, then
	}
	return config.Architecture != wanted.Architecture || equal(wanted, config), nil
}

// equal compares layers, and how they are run. containerd compares the layers that it unpacks with the digests here.
func equal(wanted *engine.Image, held *v1.ConfigFile) bool {
	var layers []string
	for _, layer := range held.RootFS.DiffIDs {
		layers = append(layers, layer.String())
	}
	return slices.Equal(layers, wanted.Layers) && slices.Equal(held.Config.Entrypoint, wanted.Entrypoint) &&
		slices.Equal(held.Config.Cmd, wanted.Cmd) && slices.Equal(held.Config.Env, wanted.Env) &&
		held.Config.User == wanted.User && held.Config.WorkingDir == wanted.WorkingDir
}
