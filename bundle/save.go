package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
	"github.com/hellolab/hellolab/scratch"
)

// Source gets images from wherever they are.
type Source interface {
	// Open reads an image for the engine's architecture; close is to be called when it has been read.
	Open(ctx context.Context, image string, detail func(messages.Text)) (found v1.Image, close func(), err error)
	// Fetch gets one for any architecture; the engine has not been asked.
	Fetch(ctx context.Context, image, architecture string, pulling error) (v1.Image, error)
}

// Content is what a bundle is to have.
type Content struct {
	// Images of other people's, as the settings name them.
	Images []string
	// Architectures as Go names them, and the one of them, if any, that is the engine's.
	Architectures []string
	Engine        string
	// Course makes the course's own images.
	Course func(ctx context.Context, architecture string) ([]Image, error)
}

// partial begins the names of bundles that are not complete.
const partial = ".hellolab-bundle-"

// Save writes a bundle, which is there as a whole or not at all, and returns its digest.
func Save(ctx context.Context, story *progress.Progress, source Source, content Content, path string) (digest string, err error) {
	folder := filepath.Dir(path)
	scratch.Sweep(folder, partial)
	file, err := os.CreateTemp(folder, partial)
	if err != nil {
		return "", messages.Usagef("%s cannot be written", path).Because(err).WithHint("name a file in a folder that you may write to")
	}
	hash := sha256.New()
	err = write(ctx, story, source, content, writing{ctx, io.MultiWriter(file, hash)})
	if err == nil {
		err = errors.Join(file.Chmod(0o644), file.Sync()) // it is for others
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

func write(ctx context.Context, story *progress.Progress, source Source, content Content, into io.Writer) error {
	writer, err := NewWriter(into)
	if err != nil {
		return err
	}
	for _, architecture := range content.Architectures {
		for _, name := range content.Images {
			step := story.Start(messages.T("saving %s for %s", name, architecture))
			err := add(ctx, writer, source, name, architecture, architecture == content.Engine, step.Detail)
			step.End(err)
			if err != nil {
				return err
			}
		}
		images, err := content.Course(ctx, architecture)
		if err != nil {
			return err
		}
		for _, image := range images {
			if err := writer.Add(image, func(float64) {}); err != nil {
				return err
			}
		}
	}
	return writer.Close()
}

// add writes an image of other people's.
func add(ctx context.Context, writer *Writer, source Source, name, architecture string, engines bool, detail func(messages.Text)) (err error) {
	found, end := v1.Image(nil), func() {}
	if engines {
		found, end, err = source.Open(ctx, name, detail)
	} else {
		found, err = source.Fetch(ctx, name, architecture, nil)
	}
	defer end()
	if err != nil {
		return err
	}
	return writer.Add(Image{name, architecture, found}, func(share float64) { detail(messages.Percent(share)) })
}
