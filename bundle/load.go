package bundle

import (
	"context"
	"io"
	"os"
	"slices"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
	"github.com/hellolab/hellolab/scratch"
)

// Target takes the images of a bundle.
type Target interface {
	// Has reports whether there is an image of that name already; it stays then.
	Has(ctx context.Context, image string) (bool, error)
	// Keep takes one of the course's own images; it reports whether this is one.
	Keep(image v1.Image) (bool, error)
	// Load takes one of other people's.
	Load(ctx context.Context, image string, loaded v1.Image, detail func(messages.Text)) error
}

// Load takes a bundle's images for an architecture, and returns the names of those that were not there. Nothing is taken before the
// whole bundle has been verified.
func Load(ctx context.Context, story *progress.Progress, path, architecture string, target Target) (loaded []string, err error) {
	folder, remove, err := scratch.Folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	all, err := verified(ctx, story, path, folder)
	if err != nil {
		return nil, err
	}
	ours := slices.DeleteFunc(slices.Clone(all), func(image Image) bool { return image.Architecture != architecture })
	if len(ours) == 0 {
		return nil, messages.Errorf("the bundle has nothing for %s, which this Docker Engine runs, but for %s", architecture, architectures(all)).
			WithHint("ask for one that has: %s", messages.Hellolab("bundle", "save").Usage("--platform linux/"+architecture+" FILE"))
	}
	for _, image := range ours {
		course, err := target.Keep(image)
		if err != nil {
			return loaded, err
		}
		if course {
			continue
		}
		there, err := target.Has(ctx, image.Name)
		if err != nil {
			return loaded, err
		}
		if there {
			continue
		}
		step := story.Start(messages.T("loading %s", image.Name))
		err = target.Load(ctx, image.Name, image, step.Detail)
		step.End(err)
		if err != nil {
			return loaded, err
		}
		loaded = append(loaded, image.Name)
	}
	return loaded, nil
}

// verified unpacks a bundle.
func verified(ctx context.Context, story *progress.Progress, path, folder string) (all []Image, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, messages.Usagef("the bundle cannot be read").Because(err).WithHint("name a file that %s wrote", messages.Hellolab("bundle", "save").Usage("FILE"))
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return nil, err
	}
	step := story.Start(messages.T("verifying %s", path))
	all, err = Unpack(ctx, &counted{file, about.Size(), step.Detail, atomic.Int64{}}, folder)
	step.End(err)
	return all, err
}

// counted tells how much of a file has been read.
type counted struct {
	io.Reader
	size   int64
	detail func(messages.Text)
	read   atomic.Int64
}

func (c *counted) Read(into []byte) (int, error) {
	n, err := c.Reader.Read(into)
	c.detail(messages.Percent(float64(c.read.Add(int64(n))) / float64(max(c.size, 1))))
	return n, err
}

// architectures are those that images are for.
func architectures(images []Image) (all []string) {
	for _, image := range images {
		if !slices.Contains(all, image.Architecture) {
			all = append(all, image.Architecture)
		}
	}
	slices.Sort(all)
	return all
}
