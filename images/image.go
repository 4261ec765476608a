package images

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hellolab/hellolab/messages"
)

const (
	// packing changes whenever an image's form does.
	packing = "1"

	// nobody owns the process in the container; the number is the one that distroless images use for "nonroot".
	nobody = "65532:65532"

	// The annotations, https://github.com/opencontainers/image-spec/blob/main/annotations.md, and our own.
	titleAnnotation   = "org.opencontainers.image.title"
	versionAnnotation = "org.opencontainers.image.version"
	sourceAnnotation  = "io.github.hellolab.source"
	ownAnnotation     = "io.github.hellolab.own-source"
	// what a snapshot of the course has pushed in the reader's stead
	snapshotAnnotation = "io.github.hellolab.snapshot-source"
)

// assemble makes the image of a program: one layer with nothing but /main. The same program has the same digest, since the
// image holds no time and no name of this machine. origin holds the annotation with the source that it was made from.
func assemble(tag Tag, program []byte, origin map[string]string, architecture string) (v1.Image, error) {
	layer, err := layerOf(program)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	labels := map[string]string{titleAnnotation: "hellok8s", versionAnnotation: tag.Name}
	maps.Copy(labels, origin)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config = v1.Config{
		User:         nobody,
		Entrypoint:   []string{"/main"},
		ExposedPorts: map[string]struct{}{"3000/tcp": {}},
		Labels:       labels,
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, labels).(v1.Image), nil
}

// layerOf is an uncompressed layer: on one machine, compressing costs more time than it saves.
func layerOf(program []byte) (v1.Layer, error) {
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	header := &tar.Header{Name: "main", Mode: 0o755, Size: int64(len(program)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := writer.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := writer.Write(program); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return static.NewLayer(content.Bytes(), types.OCIUncompressedLayer), nil
}

// programOf returns the program of an image that assemble made.
func programOf(image v1.Image) ([]byte, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) != 1 {
		return nil, messages.Errorf("the image has %v layers, not one", len(layers))
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	files := tar.NewReader(content)
	if _, err := files.Next(); err != nil {
		return nil, err
	}
	return io.ReadAll(files)
}

// archive is a tar file of the sources, as compilers unpack them.
func archive(sources map[string][]byte) (io.Reader, error) {
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	for name, source := range sources {
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(source)), ModTime: time.Unix(0, 0)}); err != nil {
			return nil, err
		}
		if _, err := writer.Write(source); err != nil {
			return nil, err
		}
	}
	return &content, writer.Close()
}
