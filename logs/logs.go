// Package logs collects what a bug report needs into one archive, and blanks secrets in it.
//
// Parts are collected at the same time, each within its own limit: one that hangs or fails is noted in the archive, and the rest
// is there. Nothing is written before all secrets are known that the parts tell of, since the logs may quote them.
package logs

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/redact"
)

// Part is a part of an archive: what it is called where it is missing, and what collects it. Part files are added as they are
// had, so that a part which fails or hangs in the middle has the rest in the archive.
type Part struct {
	Name    string
	Within  time.Duration
	Collect func(ctx context.Context, add Add) error
}

// Add puts a file into the archive: a text, or a value that is written as JSON. Slashes in its name are folders.
type Add func(name string, content any)

// Missing is a part that is not in the archive, or not as a whole, and why.
type Missing struct {
	Part string `json:"part"`
	Why  string `json:"why"`
}

// Archive is what has been collected.
type Archive struct {
	Missing []Missing

	lock   sync.Mutex
	closed bool
	files  map[string]any
}

// longest is how much of a text is kept, in bytes: its end.
const longest = 2 << 20

// Collect collects all parts at the same time. It returns at the latest when the longest limit has passed.
func Collect(ctx context.Context, parts []Part) *Archive {
	a := &Archive{files: map[string]any{}}
	failed := make(chan Missing, len(parts))
	for _, part := range parts {
		go func() { failed <- Missing{part.Name, a.collect(ctx, part)} }()
	}
	for range parts {
		if missing := <-failed; missing.Why != "" {
			a.Missing = append(a.Missing, missing)
		}
	}
	slices.SortFunc(a.Missing, func(one, other Missing) int { return strings.Compare(one.Part, other.Part) })
	a.lock.Lock()
	defer a.lock.Unlock()
	a.closed = true
	return a
}

// collect collects a part, and returns why it is not complete, or "". What does not end with its context is left behind.
func (a *Archive) collect(ctx context.Context, part Part) string {
	ctx, cancel := context.WithTimeout(ctx, part.Within)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- part.Collect(ctx, a.add) }()
	select {
	case err := <-done:
		if err != nil {
			return err.Error()
		}
		return ""
	case <-ctx.Done():
		return fmt.Sprintf("not within %s", part.Within)
	}
}

func (a *Archive) add(name string, content any) {
	if text, isText := content.([]byte); isText {
		content = string(text[max(0, len(text)-longest):])
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	if !a.closed {
		a.files[name] = content
	}
}

// Refuse fails where Write would: a file is there, and it is not to be overwritten, or there is no such folder.
func Refuse(file string, force bool) error {
	found, err := os.Lstat(file)
	switch {
	case err == nil && found.IsDir():
		return messages.Usagef("%s is a folder", file).WithHint("name a file: %s", messages.Hellolab("logs").Usage("FILE"))
	case err == nil && !found.Mode().IsRegular():
		return messages.Usagef("%s is not a file", file).WithHint("name a file: %s", messages.Hellolab("logs").Usage("FILE"))
	case err == nil && !force:
		return exists(file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return messages.Usagef("%s cannot be written", file).Because(err).WithHint("name another file: %s", messages.Hellolab("logs").Usage("FILE"))
	}
	if _, err := os.Stat(filepath.Dir(file)); err != nil {
		return messages.Usagef("%s cannot be written", file).Because(err).WithHint("name another file: %s", messages.Hellolab("logs").Usage("FILE"))
	}
	return nil
}

func exists(file string) error {
	return messages.Usagef("%s exists already", file).
		WithHint("choose another name, or overwrite it: %s", messages.Hellolab("logs", "--force", file))
}

// Write writes it as a ZIP archive, which every system opens, without the secrets in it. Nobody but this user may
// read it. It appears under its name when it is complete; one that is there is overwritten only by force.
func (a *Archive) Write(file string, force bool) error {
	if err := Refuse(file, force); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // its mode is 0600
	if err != nil {
		return unwritten(file, err)
	}
	defer os.Remove(temporary.Name())
	if err := errors.Join(a.archive(temporary), temporary.Sync(), temporary.Close()); err != nil {
		return unwritten(file, err)
	}
	if force {
		err = os.Rename(temporary.Name(), file)
	} else if err = os.Link(temporary.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(temporary.Name(), file) // a disk without links
	}
	if errors.Is(err, fs.ErrExist) { // it has come meanwhile
		return exists(file)
	}
	if err != nil {
		return unwritten(file, err)
	}
	return nil
}

func unwritten(file string, err error) error {
	return messages.Errorf("%s cannot be written", file).Because(err).WithHint("name a file on another disk: %s", messages.Hellolab("logs").Usage("FILE"))
}

// archive writes all files into a ZIP archive.
func (a *Archive) archive(into *os.File) error {
	redactor := redact.New(a.secrets())
	names := slices.Sorted(maps.Keys(a.files))
	contents := make([][]byte, len(names))
	var work errgroup.Group
	work.SetLimit(runtime.NumCPU())
	for i, name := range names {
		work.Go(func() (err error) {
			contents[i], err = blanked(redactor, a.files[name])
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	archive := zip.NewWriter(into)
	now := time.Now()
	for i, name := range names {
		file, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now})
		if err != nil {
			return err
		}
		if _, err := file.Write(contents[i]); err != nil {
			return err
		}
	}
	missing, err := redactor.JSON(a.Missing)
	if err != nil {
		return err
	}
	file, err := archive.Create("missing.json")
	if err != nil {
		return err
	}
	if _, err := file.Write(missing); err != nil {
		return err
	}
	return archive.Close()
}

// secrets are those that the parts hold in so many words.
func (a *Archive) secrets() []string {
	var all []string
	for _, content := range a.files {
		if _, isText := content.(string); !isText {
			all = append(all, redact.Secrets(content)...)
		}
	}
	return all
}

func blanked(redactor redact.Redactor, content any) ([]byte, error) {
	if text, isText := content.(string); isText {
		return []byte(redactor.Text(text)), nil
	}
	return redactor.JSON(content)
}
