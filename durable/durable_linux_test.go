package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hellolab/hellolab/durable"
)

// TestFullDisk holds that a file keeps its content where there is no room for another, in a folder that may be written and
// in place, on a file system of 64 kB.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk).Run(); err != nil {
		t.Skip("only root mounts file systems: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	path := filepath.Join(disk, "config")
	if err := durable.Replace(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := []byte(strings.Repeat("x", 100_000))
	if err := durable.Replace(path, large, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the error is %v", err)
	}
	holds(t, path, "precious")
	alone := filepath.Join(t.TempDir(), "config") // a file that is a mount of its own cannot be replaced
	if err := os.WriteFile(alone, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(path, alone, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(alone, syscall.MNT_DETACH) })
	if err := durable.Replace(alone, []byte("changed"), 0o600); err != nil {
		t.Error(err)
	}
	holds(t, path, "changed")
	if err := durable.Replace(alone, large[:70_000], 0o600); err == nil {
		t.Error("more than there is room for is written")
	}
	holds(t, path, "changed")
}

// TestReadOnly holds that a file which may not be written is not replaced by another.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root writes all files")
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte("theirs"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(path, nil, 0o600); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the error is %v", err)
	}
	holds(t, path, "theirs")
}
