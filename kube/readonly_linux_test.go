package kube_test

import (
	"os"
	"syscall"
	"testing"
)

// readOnly takes the right to write a file away. Root has it always, but for a mount that is read-only.
func readOnly(t *testing.T, path string) {
	t.Helper()
	err := os.Chmod(path, 0o400)
	if os.Getuid() == 0 {
		if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
			t.Skip("root writes all files, and may not mount one: ", err)
		}
		t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
		err = syscall.Mount("", path, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}
