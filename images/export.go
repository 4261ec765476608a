package images

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hellolab/hellolab/messages"
)

// File is one of a tag's, for building it by hand.
type File struct{ Name, Content string }

// Files are what a tag's image is built from by hand, in a folder of its own: main.go, and a go.mod and Dockerfile like the course's,
// which compiles with the image builder.
func (t Tag) Files(builder string) ([]File, error) {
	source, err := t.Source("")
	if err != nil {
		return nil, err
	}
	return []File{{"main.go", string(source)}, {"go.mod", module}, {"Dockerfile", dockerfile(builder)}}, nil
}

// Export writes the sources of all tags into folder, each with a Dockerfile like the course's, for users who build by
// hand. It returns the folders written. Where the user has changed a file, nothing is written, unless force is set.
func Export(folder string, builder string, force bool) ([]string, error) {
	files := map[string][]byte{}
	var folders []string
	for _, tag := range Tags() {
		written, err := tag.Files(builder)
		if err != nil {
			return nil, err
		}
		into := filepath.Join(folder, tag.Name)
		folders = append(folders, into)
		for _, file := range written {
			files[filepath.Join(into, file.Name)] = []byte(file.Content)
		}
	}
	if !force {
		if changed := changed(files); len(changed) > 0 {
			return nil, messages.Usagef("these files have been changed: %s", strings.Join(changed, ", ")).
				WithHint("export into another folder, or overwrite them with --force")
		}
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, unwritable(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return nil, unwritable(err)
		}
	}
	return folders, nil
}

func unwritable(err error) error {
	return messages.Errorf("the sources cannot be written").Because(err).
		WithHint("choose a folder of your own: %s", messages.Hellolab("images", "export").Usage("DIR"))
}

// changed lists the files that exist with another content.
func changed(files map[string][]byte) (names []string) {
	for _, tag := range Tags() {
		for name, content := range files {
			if filepath.Base(filepath.Dir(name)) != tag.Name {
				continue
			}
			if found, err := os.ReadFile(name); err == nil && !bytes.Equal(found, content) {
				names = append(names, name)
			}
		}
	}
	return names
}

// dockerfile is for building by hand: a stage with Go, and a small one with nothing but the program.
func dockerfile(builder string) string {
	builder, _, _ = strings.Cut(builder, "@") // a digest is more than a beginner wants to read
	return fmt.Sprintf(`# The first stage compiles.
FROM %s AS builder
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -o main .

# The second one is the image: nothing but the program.
FROM scratch
COPY --from=builder /src/main /main
EXPOSE 3000
ENTRYPOINT ["/main"]
`, builder)
}
