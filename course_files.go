package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// writeStep writes a step's files into a folder, and prints their names. What the reader has changed is overwritten with --force only;
// what another step of the course has written there goes without, as the course has it.
func (p *program) writeStep(c *cli.Context, s session, lessons *course.Course, step *course.Step) error {
	folder := c.String("write")
	files := p.shown(p.place(s), step).Files
	if len(files) == 0 {
		return messages.Usagef("the step %s has no files", step.ID()).Next(messages.Hellolab("lab", "show", step.ID()))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return filesUnwritable(err)
	}
	root, err := os.OpenRoot(folder) // the names may be somebody else's
	if err != nil {
		return filesUnwritable(err)
	}
	defer root.Close()
	if !c.Bool("force") {
		changed, err := p.changedByReader(root, s, lessons, files)
		if err != nil {
			return filesUnwritable(err)
		}
		if len(changed) > 0 {
			return messages.Usagef("these files have been changed: %s", changed).
				WithHint("write into another folder, or overwrite them with --force")
		}
	}
	var names []string
	for _, file := range files {
		if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(file.Name)), 0o755); err != nil {
			return filesUnwritable(err)
		}
		if err := root.WriteFile(filepath.FromSlash(file.Name), []byte(file.Content), 0o644); err != nil {
			return filesUnwritable(err)
		}
		names = append(names, filepath.Join(folder, filepath.FromSlash(file.Name)))
	}
	return p.printList(c, names)
}

func filesUnwritable(err error) error {
	return messages.Errorf("the files cannot be written").Because(err).WithHint("choose a folder of your own: %s",
		messages.Hellolab("lab", "show").Usage("CHAPTER/STEP --write DIR"))
}

// changedByReader are the files that are there with a content that no step of the course has.
func (p *program) changedByReader(root *os.Root, s session, lessons *course.Course, files []shownFile) (changed []string, err error) {
	for _, file := range files {
		found, err := root.ReadFile(filepath.FromSlash(file.Name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines := strings.NewReplacer("\r\n", "\n") // an editor may end them as Windows does
		ofCourse := slices.ContainsFunc(lessons.Steps(), func(step *course.Step) bool {
			return slices.ContainsFunc(p.shown(p.place(s), step).Files, func(shown shownFile) bool {
				return shown.Name == file.Name && lines.Replace(shown.Content) == lines.Replace(string(found))
			})
		})
		if !ofCourse {
			changed = append(changed, file.Name)
		}
	}
	return changed, nil
}
