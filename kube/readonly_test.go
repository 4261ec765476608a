//go:build !linux

package kube_test

import (
	"os"
	"testing"
)

// readOnly takes the right to write a file away.
func readOnly(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
}
