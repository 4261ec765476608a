// Package scratch makes folders for temporary files. What a killed program leaves does not stay for ever.
package scratch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// prefix begins the names of the folders, in the system's one for temporary files.
const prefix = "hellolab-scratch-"

// leftFor is how old something has to be to count as left behind: nothing takes that long.
const leftFor = 24 * time.Hour

// Folder makes a folder that only this user may read, and returns what removes it. Those that killed programs have left behind
// are removed at the same time.
func Folder() (path string, remove func(), err error) {
	Sweep(os.TempDir(), prefix)
	path, err = os.MkdirTemp("", prefix+"*")
	return path, func() { os.RemoveAll(path) }, err
}

// Sweep removes what killed programs have left in a folder under the prefix of [os.CreateTemp] or [os.MkdirTemp], which put a number
// behind it.
func Sweep(folder, prefix string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		number, ours := strings.CutPrefix(entry.Name(), prefix)
		if _, err := strconv.ParseUint(number, 10, 64); !ours || err != nil {
			continue
		}
		if found, err := entry.Info(); err == nil && time.Since(found.ModTime()) > leftFor {
			os.RemoveAll(filepath.Join(folder, entry.Name()))
		}
	}
}
