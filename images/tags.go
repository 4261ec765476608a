package images

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hellolab/hellolab/messages"
)

//go:embed src/*/main.go
var sources embed.FS

// Tag is one of the course's image tags.
type Tag struct {
	Name string
	// Chapter of the course that needs it first.
	Chapter string
}

// Tags are the course's eight, in its order.
func Tags() []Tag {
	return []Tag{
		{"v1", "container"}, {"v2", "deployment"}, {"liveness", "deployment"}, {"bad", "deployment"},
		{"v3", "service"}, {"v4", "configmap"}, {"v5", "secret"}, {"v6", "helm"},
	}
}

// Select returns the tags of those names, each once, or all of them for none.
func Select(names []string) ([]Tag, error) {
	if len(names) == 0 {
		return Tags(), nil
	}
	var selected []Tag
	for _, name := range names {
		at := slices.IndexFunc(Tags(), func(tag Tag) bool { return tag.Name == name })
		if at < 0 {
			return nil, messages.Usagef("there is no image tag %q", name).
				WithHint("%s, with one or more of: %s", messages.Hellolab("images", "build").Usage("TAG"), strings.Join(tagNames(), ", ")).OrMeant(name, tagNames())
		}
		if tag := Tags()[at]; !slices.Contains(selected, tag) {
			selected = append(selected, tag)
		}
	}
	return selected, nil
}

func tagNames() (names []string) {
	for _, tag := range Tags() {
		names = append(names, tag.Name)
	}
	return names
}

// Source is a tag's main.go: the built-in one, or the one in folder, which `images export` or `lab show --write` filled, unless that is "".
func (t Tag) Source(folder string) ([]byte, error) {
	if folder == "" {
		return sources.ReadFile(path.Join("src", t.Name, "main.go"))
	}
	content, err := os.ReadFile(filepath.Join(folder, t.Name, "main.go"))
	if errors.Is(err, fs.ErrNotExist) {
		if shown, failed := os.ReadFile(filepath.Join(folder, "hellok8s-"+t.Name, "main.go")); failed == nil {
			return shown, nil
		}
	}
	if err != nil {
		return nil, messages.Usagef("the source of the image %s cannot be read", t.Name).Because(err).
			WithHint("%s writes all sources there", messages.Hellolab("images", "export", folder))
	}
	return content, nil
}

// fingerprint identifies an image's content: its source, and how that is compiled and packed.
func fingerprint(source []byte, architecture string) string {
	hash := sha256.New()
	io.WriteString(hash, strings.Join(append(compile("GO"), environment(architecture)...), " ")+packing)
	hash.Write(source)
	return hex.EncodeToString(hash.Sum(nil))
}
