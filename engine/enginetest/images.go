package enginetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image is an image of the engine's, or of a registry that the engine can pull from.
type Image struct {
	// Names of it: "nginx", "kindest/node:v1.35.0@sha256:...". As in a real engine, a name with a digest is found under
	// that repository's name only.
	Names []string
	// ID is assigned by the engine where it is empty.
	ID string
	// Architecture as Go names it; "" is the engine's.
	Architecture string
	// Save writes the archive of `docker save`; without it, the image cannot be saved.
	Save func(io.Writer) error
	// About adds to what the engine tells of the image; it may be nil.
	About func(*image.InspectResponse)

	tags, digests []string
}

// AddImage puts an image that has these names into the engine.
func (e *Engine) AddImage(names ...string) { e.AddImages(Image{Names: names}) }

// AddImages puts images into the engine.
func (e *Engine) AddImages(images ...Image) {
	e.t.Helper()
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for _, added := range images {
		if err := e.addImage(added); err != nil {
			e.t.Fatal(err)
		}
	}
}

// AddPullable adds images to the registries that the engine pulls from. Pulling any other image fails.
func (e *Engine) AddPullable(images ...Image) {
	e.t.Helper()
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for _, pullable := range images {
		for _, name := range pullable.Names {
			tag, digest, err := split(name)
			if err != nil {
				e.t.Fatal(err)
			}
			e.pullable[tag], e.pullable[digest] = pullable, pullable
			delete(e.pullable, "")
		}
	}
}

// HasImage reports whether the engine holds an image by that name.
func (e *Engine) HasImage(name string) bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.image(name) != nil
}

// split takes a name apart into REPOSITORY:TAG and REPOSITORY@DIGEST, either of which may be "".
func split(name string) (tag, digest string, err error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", "", err
	}
	repository := reference.FamiliarName(named)
	if digested, ok := named.(reference.Digested); ok {
		digest = repository + "@" + digested.Digest().String()
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
		tag = repository + ":" + tagged.Tag()
	}
	return tag, digest, nil
}

// addImage makes an image the engine's. The caller holds the mutex.
func (e *Engine) addImage(added Image) error {
	if added.ID == "" {
		e.created++
		added.ID = fmt.Sprintf("sha256:%064x", e.created)
	}
	if added.Architecture == "" {
		added.Architecture = e.architecture()
	}
	for _, name := range added.Names {
		tag, digest, err := split(name)
		if err != nil {
			return err
		}
		if tag != "" {
			added.tags = append(added.tags, tag)
		}
		if digest != "" {
			added.digests = append(added.digests, digest)
		}
	}
	e.images = append(e.images, &added)
	return nil
}

// image finds an image by its ID or a name: by the digest where it has one, by the tag otherwise. The caller holds the
// mutex.
func (e *Engine) image(name string) *Image {
	tag, digest, err := split(name)
	for _, candidate := range e.images {
		switch {
		case candidate.ID == name:
			return candidate
		case err != nil:
		case digest != "" && slices.Contains(candidate.digests, digest), digest == "" && slices.Contains(candidate.tags, tag):
			return candidate
		}
	}
	return nil
}

func (e *Engine) inspectImage(w http.ResponseWriter, r *http.Request) {
	name, inspect := strings.CutSuffix(r.PathValue("name"), "/json")
	e.mutex.Lock()
	defer e.mutex.Unlock()
	found := e.image(name)
	if !inspect || found == nil {
		fail(w, http.StatusNotFound, "No such image: "+name)
		return
	}
	about := image.InspectResponse{ID: found.ID, RepoTags: found.tags, RepoDigests: found.digests, Architecture: found.Architecture, Os: "linux"}
	if found.About != nil {
		found.About(&about)
	}
	answer(w, http.StatusOK, about)
}

func (e *Engine) listImages(w http.ResponseWriter, _ *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	all := []image.Summary{}
	for _, held := range e.images {
		all = append(all, image.Summary{ID: held.ID, RepoTags: held.tags, RepoDigests: held.digests})
	}
	answer(w, http.StatusOK, all)
}

// loadImages takes an archive of `docker save` for the images whose tags it names.
func (e *Engine) loadImages(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for _, held := range manifest {
		if err := e.addImage(Image{Names: held.RepoTags, Save: func(into io.Writer) error {
			_, err := into.Write(content)
			return err
		}}); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	answer(w, http.StatusOK, map[string]string{"stream": "Loaded image"})
}

// untagImage takes a name from an image; the last one takes the image away.
func (e *Engine) untagImage(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	found := e.image(r.PathValue("name"))
	if found == nil {
		fail(w, http.StatusNotFound, "No such image: "+r.PathValue("name"))
		return
	}
	tag, digest, _ := split(r.PathValue("name"))
	if digest != "" {
		tag = ""
	}
	found.tags = slices.DeleteFunc(found.tags, func(held string) bool { return held == tag })
	found.digests = slices.DeleteFunc(found.digests, func(held string) bool { return held == digest })
	if len(found.tags)+len(found.digests) == 0 {
		e.images = slices.DeleteFunc(e.images, func(held *Image) bool { return held == found })
	}
	answer(w, http.StatusOK, []image.DeleteResponse{{Untagged: r.PathValue("name")}})
}

// inspectDistribution tells of an image that the engine could pull.
func (e *Engine) inspectDistribution(w http.ResponseWriter, r *http.Request) {
	name, _ := strings.CutSuffix(r.PathValue("name"), "/json")
	tag, digest, _ := split(name)
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for _, wanted := range []string{digest, tag} {
		if _, found := e.pullable[wanted]; found && wanted != "" {
			answer(w, http.StatusOK, map[string]any{"Descriptor": map[string]string{}})
			return
		}
	}
	fail(w, http.StatusNotFound, "manifest for "+name+" not found: manifest unknown")
}

func (e *Engine) tagImage(w http.ResponseWriter, r *http.Request) {
	name, _ := strings.CutSuffix(r.PathValue("name"), "/tag")
	e.mutex.Lock()
	defer e.mutex.Unlock()
	tag, _, err := split(r.URL.Query().Get("repo") + ":" + r.URL.Query().Get("tag"))
	found := e.image(name)
	if found == nil || err != nil {
		fail(w, http.StatusNotFound, "No such image: "+name)
		return
	}
	for _, other := range e.images {
		other.tags = slices.DeleteFunc(other.tags, func(held string) bool { return held == tag })
	}
	found.tags = append(found.tags, tag)
	w.WriteHeader(http.StatusCreated)
}

// pullImage answers 200 before it begins, so a real engine reports failures inside of the stream too; a test does that with Handle.
func (e *Engine) pullImage(w http.ResponseWriter, r *http.Request) {
	name, tag := r.URL.Query().Get("fromImage"), r.URL.Query().Get("tag")
	separator := ":"
	if strings.Contains(tag, ":") {
		separator = "@"
	}
	wantedTag, wantedDigest, err := split(name + separator + tag)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	wanted := wantedTag
	if wantedDigest != "" {
		wanted = wantedDigest
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	found, exists := e.pullable[wanted]
	if !exists {
		fail(w, http.StatusNotFound, "manifest for "+wanted+" not found: manifest unknown")
		return
	}
	if e.image(wanted) == nil {
		if err := e.addImage(found); err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
	}
	answer(w, http.StatusOK, map[string]any{"status": "Downloading", "id": "layer",
		"progressDetail": map[string]int{"current": 1, "total": 1}})
}

func (e *Engine) saveImages(w http.ResponseWriter, r *http.Request) {
	names := r.URL.Query()["names"]
	e.mutex.Lock()
	var found *Image
	if len(names) == 1 {
		found = e.image(names[0])
	}
	e.mutex.Unlock()
	if found == nil || found.Save == nil {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("the images %q cannot be saved", names))
		return
	}
	if err := found.Save(w); err != nil {
		e.t.Errorf("enginetest: saving %q: %v", names, err)
	}
}
