package scratch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestFolder holds that a folder is this user's alone, and that it goes.
func TestFolder(t *testing.T) {
	t.Parallel()
	folder, remove, err := Folder()
	if err != nil {
		t.Fatal(err)
	}
	if found, err := os.Stat(folder); err != nil || !found.IsDir() || found.Mode().Perm()&0o077 != 0 {
		t.Errorf("the folder is %v, %v", found, err)
	}
	remove()
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after its removal: %v", err)
	}
}

// TestSweep holds that what killed programs have left goes, and nothing of others, nor of a program that runs.
func TestSweep(t *testing.T) {
	t.Parallel()
	folder, now := t.TempDir(), time.Now()
	for name, age := range map[string]time.Duration{"hellolab-scratch-1": 48 * time.Hour, "hellolab-scratch-2": time.Hour, "hellolab-scratch-mine": 48 * time.Hour, "other": 48 * time.Hour} {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.Mkdir(path, 0o755), os.Chtimes(path, now.Add(-age), now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(folder, prefix)
	var left []string
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if want := []string{"hellolab-scratch-2", "hellolab-scratch-mine", "other"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left are %q, %v; want %q", left, err, want)
	}
}
