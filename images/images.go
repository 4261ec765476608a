// Package images builds the course's eight image tags from embedded sources and puts them into the lab's registry.
//
// All tags are compiled in one go, by this machine's Go or in a container; each then becomes an image of one layer on
// nothing. Its annotations record what it was made from, so that the registry alone shows whether it is up to date.
package images

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// Store is the registry, as far as images go.
type Store interface {
	// Find returns the manifest and the digest of an image, or nil where there is none.
	Find(ctx context.Context, image string) (manifest *v1.Manifest, digest string, err error)
	// Put writes an image, reports the share that is done, and returns its digest.
	Put(ctx context.Context, name string, image v1.Image, progress func(share float64)) (digest string, err error)
	// Address is where the user and docker push reach the registry.
	Address() string
}

// Images gets images of other people's into the engine.
type Images interface {
	// EnsureImage gets an image unless the engine has it, and returns the name that containers can be created with.
	EnsureImage(ctx context.Context, image string) (string, error)
}

// Builder builds the course's images.
type Builder struct {
	Docker *client.Client
	Story  *progress.Progress
	// Store is the registry; nil where there is none.
	Store  Store
	Images Images
	Config Config
	// Lab owns the build cache.
	Lab string
	// Compiler is "docker", "host", or "auto": this machine's Go where it is new enough, and a container otherwise.
	Compiler string
	// Folder of sources to build instead of the built-in ones, or "".
	Folder string
	// Origin of what is built; "" is Hellolab, or User where a source has been changed.
	Origin Origin
	// Replace overwrites the user's own images, too.
	Replace bool
	// Cache is a folder that keeps the programs, or "".
	Cache string
}

// State is one tag's in the registry.
type State struct {
	Tag     string `json:"tag"`
	Chapter string `json:"chapter"`
	// Image is the course's name for it.
	Image string `json:"image"`
	// Digest and Size (bytes, uncompressed) of what the registry holds; empty where it holds nothing.
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	// Current is set where it was built from the present source.
	Current bool `json:"current"`
	// Own is set where it is the user's: pushed by hand, or built from a changed source.
	Own bool `json:"own"`
}

// name is the course's name for a tag: "guangzhengli/hellok8s:v1".
func (b *Builder) name(tag Tag) string { return b.Config.Account + "/hellok8s:" + tag.Name }

// List returns the state of every tag in the registry.
func (b *Builder) List(ctx context.Context) ([]State, error) {
	architecture, err := engine.Architecture(ctx, b.Docker)
	if err != nil {
		return nil, err
	}
	var states []State
	for _, tag := range Tags() {
		state, _, err := b.state(ctx, tag, architecture)
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}

// state returns a tag's state in the registry, and its source.
func (b *Builder) state(ctx context.Context, tag Tag, architecture string) (State, []byte, error) {
	state := State{Tag: tag.Name, Chapter: tag.Chapter, Image: b.name(tag)}
	source, err := tag.Source(b.Folder)
	if err != nil || b.Store == nil {
		return state, source, err
	}
	manifest, digest, err := b.Store.Find(ctx, b.name(tag))
	if err != nil || manifest == nil {
		return state, source, err
	}
	state.Digest = digest
	wanted := fingerprint(source, architecture)
	origin, made := OriginOf(manifest)
	state.Current = made == wanted && (b.Origin == "" || origin == b.Origin || origin == User)
	state.Own = origin == User
	for _, layer := range manifest.Layers {
		state.Size += layer.Size
	}
	return state, source, nil
}

// Origin is who has an image be in the registry.
type Origin string

// The origins.
const (
	// Hellolab has built it of its own accord.
	Hellolab Origin = "hellolab"
	// Snapshot of the course has, as the user does it.
	Snapshot Origin = "snapshot"
	// User has pushed it, or had it built from sources of their own.
	User Origin = "user"
)

// annotations hold the source that an image was made from, by the origin.
func annotations() map[Origin]string {
	return map[Origin]string{Hellolab: sourceAnnotation, Snapshot: snapshotAnnotation, User: ownAnnotation}
}

// OriginOf tells where an image is from, and the fingerprint of the source that it was made from: "" where somebody else has made it.
func OriginOf(manifest *v1.Manifest) (Origin, string) {
	for origin, annotation := range annotations() {
		if made := manifest.Annotations[annotation]; made != "" {
			return origin, made
		}
	}
	return User, ""
}

// Build builds the images that are not up to date, and returns the references of all tags, with digests, as docker and
// YAML accept them. Images of the user's own are kept, unless b.Replace is set, and their tags returned.
func (b *Builder) Build(ctx context.Context, tags []Tag) (references, kept []string, err error) {
	if !slices.Contains([]string{"auto", "docker", "host"}, b.Compiler) {
		return nil, nil, messages.Usagef("there is no builder %q", b.Compiler).WithHint("choose one: --builder auto, docker or host")
	}
	architecture, err := engine.Architecture(ctx, b.Docker)
	if err != nil {
		return nil, nil, err
	}
	references = make([]string, len(tags))
	stale := map[string]int{} // the tags to build, with their place
	sources := map[string][]byte{}
	for i, tag := range tags {
		state, source, err := b.state(ctx, tag, architecture)
		if err != nil {
			return nil, nil, err
		}
		references[i] = b.reference(tag, state.Digest)
		switch {
		case state.Current:
		case state.Own && !b.Replace:
			kept = append(kept, tag.Name)
		default:
			stale[tag.Name], sources[tag.Name] = i, source
		}
	}
	if len(stale) == 0 {
		return references, kept, nil
	}
	programs, err := b.programs(ctx, sources, architecture)
	if err != nil {
		return nil, nil, err
	}
	err = b.Story.Do(ctx, messages.T("pushing %v images to %s", len(stale), b.Store.Address()), func(ctx context.Context) error {
		work, ctx := errgroup.WithContext(ctx)
		work.SetLimit(pushes)
		for _, i := range stale {
			work.Go(func() (err error) {
				references[i], err = b.push(ctx, tags[i], programs[tags[i].Name], sources[tags[i].Name], architecture)
				return err
			})
		}
		return work.Wait()
	})
	return references, kept, err
}

// BuildSnapshot is [Builder.Build] for a snapshot, which does what the user would do.
func (b *Builder) BuildSnapshot(ctx context.Context, tags []Tag) (references, kept []string, err error) {
	snapshot := *b
	snapshot.Origin = Snapshot
	return snapshot.Build(ctx, tags)
}

// push makes an image of a program, and returns its reference in the registry.
func (b *Builder) push(ctx context.Context, tag Tag, program, source []byte, architecture string) (string, error) {
	builtIn, err := tag.Source("")
	if err != nil {
		return "", err
	}
	origin := cmp.Or(b.Origin, Hellolab)
	if !bytes.Equal(source, builtIn) {
		origin = User
	}
	image, err := assemble(tag, program, map[string]string{annotations()[origin]: fingerprint(source, architecture)}, architecture)
	if err != nil {
		return "", err
	}
	digest, err := b.Store.Put(ctx, b.name(tag), image, func(float64) {})
	return b.reference(tag, digest), err
}

// Make compiles tags for an architecture, and returns their images by the course's names.
func (b *Builder) Make(ctx context.Context, tags []Tag, architecture string) (map[string]v1.Image, error) {
	sources, made := map[string][]byte{}, map[string]v1.Image{}
	for _, tag := range tags {
		source, err := tag.Source("")
		if err != nil {
			return nil, err
		}
		sources[tag.Name] = source
	}
	programs, err := b.programs(ctx, sources, architecture)
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		origin := map[string]string{sourceAnnotation: fingerprint(sources[tag.Name], architecture)}
		if made[b.name(tag)], err = assemble(tag, programs[tag.Name], origin, architecture); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// Keep takes the program of an image that Make made, on whatever machine, so that it need not be compiled here. It reports whether the
// image is one of the course's; one that was made from another source is, and not kept.
func (b *Builder) Keep(image v1.Image) (bool, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return false, err
	}
	origin := config.Config.Labels[sourceAnnotation]
	if origin == "" {
		return false, nil
	}
	for _, tag := range Tags() {
		source, err := tag.Source("")
		if err != nil {
			return true, err
		}
		if fingerprint(source, config.Architecture) != origin {
			continue
		}
		program, err := programOf(image)
		if err != nil {
			return true, err
		}
		b.keep(b.kept(source, config.Architecture), program)
	}
	return true, nil
}

// pushes is how many images go to the registry at a time.
const pushes = 4

func (b *Builder) reference(tag Tag, digest string) string {
	return b.Store.Address() + "/" + b.name(tag) + "@" + digest
}

// programs returns the compiled tags: what is kept from before, and the rest compiled together.
func (b *Builder) programs(ctx context.Context, sources map[string][]byte, architecture string) (map[string][]byte, error) {
	programs, missing := map[string][]byte{}, map[string][]byte{}
	for tag, source := range sources {
		if kept, err := os.ReadFile(b.kept(source, architecture)); err == nil {
			programs[tag] = kept
		} else {
			missing[tag] = source
		}
	}
	if len(missing) == 0 {
		return programs, nil
	}
	compiled, err := b.compile(ctx, missing, architecture)
	if err != nil {
		return nil, err
	}
	for tag, source := range missing {
		if compiled[tag] == nil {
			return nil, messages.Errorf("the compiler returned no program for the image %s", tag)
		}
		programs[tag] = compiled[tag]
		b.keep(b.kept(source, architecture), compiled[tag])
	}
	return programs, nil
}

// kept is the file that a program is kept in.
func (b *Builder) kept(source []byte, architecture string) string {
	if b.Cache == "" {
		return ""
	}
	return filepath.Join(b.Cache, fingerprint(source, architecture))
}

// keep writes a program where the next build finds it. A failure costs nothing but time, later.
func (b *Builder) keep(name string, program []byte) {
	if name == "" || os.MkdirAll(filepath.Dir(name), 0o755) != nil {
		return
	}
	file, err := os.CreateTemp(filepath.Dir(name), "new-*")
	if err != nil {
		return
	}
	_, err = file.Write(program)
	if err = errors.Join(err, file.Close()); err != nil || os.Rename(file.Name(), name) != nil {
		os.Remove(file.Name())
	}
}

func (b *Builder) compile(ctx context.Context, sources map[string][]byte, architecture string) (map[string][]byte, error) {
	chosen, where, err := b.compiler(ctx)
	if err != nil {
		return nil, err
	}
	step := b.Story.Start(messages.T("compiling %v images with %s", len(sources), where))
	programs, err := chosen.compile(ctx, sources, architecture, func(share float64) { step.Detail(messages.Percent(share)) })
	step.End(err)
	return programs, err
}

// compiler chooses what compiles.
func (b *Builder) compiler(ctx context.Context) (compiler, messages.Text, error) {
	if b.Compiler != "docker" {
		host, err := findHost(ctx)
		if err == nil {
			return host, messages.T("this machine's Go"), nil
		}
		if b.Compiler == "host" {
			return nil, messages.Text{}, err
		}
	}
	image, err := b.Images.EnsureImage(ctx, b.Config.Builder)
	if err != nil {
		return nil, messages.Text{}, messages.Errorf("the builder image is not available").Because(err).
			WithHint("install Go %s or later; or continue without these images: %s", oldestGo, messages.Hellolab("up", "--no-images"))
	}
	shown, _, _ := strings.Cut(image, "@")
	return dockerCompiler{b.Docker, image, b.Lab + "-go-cache", b.Lab}, messages.T("the image %s", shown), nil
}
