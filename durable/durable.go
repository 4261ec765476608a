// Package durable replaces files as a whole: after a crash, or on a full disk, there is the old content or the new one.
package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/scratch"
)

// Replace gives a file other content, or creates it with that mode. The content is on the disk when it returns. A link stays
// one, and a file keeps its mode and, where the system lets it, its owner. Where the folder may not be written, or where the file is
// mounted by itself, it is written in place, and gets its old content back if that fails.
func Replace(path string, content []byte, mode fs.FileMode) error {
	path = target(path)
	before, err := os.Stat(path)
	if err == nil && !before.Mode().IsRegular() {
		return messages.Errorf("%s is not a file", path)
	}
	if err == nil {
		mode = before.Mode().Perm()
		if err := writable(path); err != nil { // a rename would replace it all the same
			return err
		}
	}
	temporary, err := write(path, content, mode)
	if temporary != "" {
		defer os.Remove(temporary)
	}
	if err == nil {
		keepOwner(temporary, before)
		err = os.Rename(temporary, path)
	}
	switch {
	case err == nil:
		return SyncFolder(filepath.Dir(path))
	case before != nil && (temporary == "" || isMounted(err)):
		return overwrite(path, content)
	}
	return err
}

// target is the file that a path leads to, which need not be there.
func target(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	for range 10 {
		next, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(path), next)
		}
		path = next
	}
	return path
}

func writable(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// write writes a complete file beside path. It returns "" where none could be created.
func write(path string, content []byte, mode fs.FileMode) (temporary string, err error) {
	folder, name := filepath.Dir(path), "."+filepath.Base(path)+".hellolab-"
	scratch.Sweep(folder, name)
	file, err := os.CreateTemp(folder, name+"*")
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	return file.Name(), errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
}

// overwrite writes a file in place, and puts back what was there if it cannot.
func overwrite(path string, content []byte) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := fill(file, content); err != nil {
		return errors.Join(err, fill(file, old))
	}
	return nil
}

// fill makes content the whole of a file. It grows the file before it changes anything in it, so that a full disk is found in time.
func fill(file *os.File, content []byte) error {
	found, err := file.Stat()
	if err != nil {
		return err
	}
	if missing := int64(len(content)) - found.Size(); missing > 0 {
		if _, err := file.WriteAt(bytes.Repeat([]byte("\n"), int(missing)), found.Size()); err != nil {
			return errors.Join(err, file.Truncate(found.Size()))
		}
	}
	_, err = file.WriteAt(content, 0)
	return errors.Join(err, file.Truncate(int64(len(content))), file.Sync())
}
