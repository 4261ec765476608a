package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hellolab/hellolab/durable"
)

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

// TestReplace holds that a file is replaced, keeps its mode, and that nothing is left beside it.
func TestReplace(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "a file")
	for _, content := range []string{"first", "", strings.Repeat("long", 10_000), "last"} {
		if err := durable.Replace(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		holds(t, path, content)
	}
	if found, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && found.Mode() != 0o640 {
		t.Errorf("the file is %v, %v", found.Mode(), err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v, %v", left, err)
	}
	if err := durable.Replace(folder, nil, 0o600); err == nil {
		t.Error("a folder is replaced")
	}
	if err := durable.Replace(filepath.Join(folder, "none", "file"), nil, 0o600); err == nil {
		t.Error("a file is written into a folder that is not there")
	}
}

// TestReplaceThroughLinks holds that a link stays one, whether its file is there or not.
func TestReplaceThroughLinks(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	link := filepath.Join(folder, "link")
	if err := os.Symlink("real", link); err != nil {
		t.Skip("this system makes no links: ", err)
	}
	for _, content := range []string{"new", "changed"} {
		if err := durable.Replace(link, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, filepath.Join(folder, "real"), content)
	}
	if target, err := os.Readlink(link); err != nil || target != "real" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

// TestSweep holds that what killed programs have left of a file goes with the next one, and nothing else.
func TestSweep(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "config")
	old := time.Now().Add(-48 * time.Hour)
	for name, at := range map[string]time.Time{".config.hellolab-1": old, ".config.hellolab-2": time.Now(), ".config-3": old} {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Replace(file, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if want := []string{".config-3", ".config.hellolab-2", "config"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left are %q, %v; want %q", left, err, want)
	}
}
