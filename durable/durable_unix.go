//go:build !windows

package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file to the owner of the one that it is to replace: with sudo, that is not this process's user.
func keepOwner(path string, before fs.FileInfo) {
	if before == nil {
		return
	}
	if owner, ok := before.Sys().(*syscall.Stat_t); ok {
		_ = os.Chown(path, int(owner.Uid), int(owner.Gid)) // refused to all but root, and to the owner
	}
}

// isMounted reports whether a file could not be replaced since it is a mount of its own, as in a container.
func isMounted(err error) bool { return errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) }

// SyncFolder has the disk keep which files a folder has.
func SyncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return nil // a folder may be written without being read
	}
	defer opened.Close()
	if err := opened.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some file systems know no such thing
		return err
	}
	return nil
}
