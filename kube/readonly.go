//go:build !windows

package kube

import (
	"errors"
	"syscall"
)

// isReadOnly reports whether a file system takes no changes.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
