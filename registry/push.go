package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// Push writes an image into the registry, in the place of what is there, and returns its digest. It is the image that the
// Docker Engine has under that name; where that has none, it comes from where [Registry.Copy] would find it. A name that begins
// with the registry's own address is the engine's name for what lies there.
func (r *Registry) Push(ctx context.Context, image string) (digest string, err error) {
	if err := r.pushable(ctx, image); err != nil {
		return "", err
	}
	step := r.story.Start(messages.T("pushing %s to %s", image, r.Address()))
	found, cleanup, err := r.images.Open(ctx, image, step.Detail)
	if err == nil {
		digest, err = r.Put(ctx, image, found, func(share float64) { step.Detail(messages.Percent(share)) })
	}
	cleanup()
	step.End(err)
	return digest, err
}

// pushable refuses a name that YAML could not have, and an image that no pod of the lab's could run.
func (r *Registry) pushable(ctx context.Context, image string) error {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return messages.Usagef("%q is not a valid image name", image).WithHint("%s shows those that Docker has", messages.Shell("docker", "image", "ls"))
	}
	if _, pinned := named.(reference.Digested); pinned {
		return messages.Usagef("%s names a digest", image).WithHint("name the image by its tag, as the YAML does")
	}
	found, err := engine.Find(ctx, r.docker, image)
	if err != nil {
		return err
	}
	if found == nil {
		if !slices.Contains(r.addresses(), reference.Domain(named)) {
			return nil
		}
		return messages.Errorf("Docker on this machine has no image %s", image).WithHint("%s shows those that it has", messages.Shell("docker", "image", "ls"))
	}
	architecture, err := engine.Architecture(ctx, r.docker)
	if err != nil || found.Architecture == architecture {
		return err
	}
	return messages.Errorf("the image %s is for %s, and the lab's nodes are %s", image, found.Architecture, architecture).
		WithHint("build it for them: %s; or pull it for them: %s", messages.Shell("docker", "build", "--platform", "linux/"+architecture, "-t", image, "."),
			messages.Shell("docker", "pull", "--platform", "linux/"+architecture, image))
}

// place is where an image lies in the registry, see [Repository]. The registry's own address stands for the place itself.
func (r *Registry) place(image string) (string, error) {
	repository, err := Repository(image)
	for _, own := range r.addresses() {
		repository = strings.TrimPrefix(repository, own+"/")
	}
	return repository, err
}

// Reference is how an image in the registry is named on this machine, with its digest.
func (r *Registry) Reference(image, digest string) string {
	place, err := r.place(image)
	if err != nil {
		place = image
	}
	return r.Address() + "/" + place + "@" + digest
}
