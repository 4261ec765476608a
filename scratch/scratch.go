// Package scratch makes folders for temporary files. What a killed program leaves in one does not stay for ever.
package scratch

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pattern names the folders, in the system's one for temporary files.
const pattern = "hellolab-scratch-*"

// leftFor is how old a folder has to be to count as left behind: nothing takes that long.
const leftFor = 24 * time.Hour

// Folder makes a folder that only this user may read, and returns what removes it. Those that killed programs have left behind
// are removed at the same time.
func Folder() (path string, remove func(), err error) {
	sweep(os.TempDir(), time.Now())
	path, err = os.MkdirTemp("", pattern)
	return path, func() { os.RemoveAll(path) }, err
}

func sweep(folder string, now time.Time) {
	left, _ := filepath.Glob(filepath.Join(folder, strings.Replace(pattern, "*", "[0-9]*", 1)))
	for _, old := range left {
		if found, err := os.Lstat(old); err == nil && found.IsDir() && now.Sub(found.ModTime()) > leftFor {
			os.RemoveAll(old)
		}
	}
}
