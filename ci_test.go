package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestCIKeepsOtherLabs holds that .ci/run removes the labs of tests, and the one that it has made itself, and no other:
// a developer's own lab may be on the same engine.
func TestCIKeepsOtherLabs(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no bash to run it")
	}
	for _, test := range []struct {
		name, before string
		fails        bool // the first `make up`, since the labs of a killed test have its ports
		want         string
	}{
		{"a bare machine", "", false, "down --name hellolab\n"},
		{"labs of others", "mine hellolab", false, ""},
		{"labs of others, and those of a killed test", "mine e2e-lab e2e-course", true, "down --name e2e-course\ndown --name e2e-lab\ndown --name hellolab\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			write := func(name, content string) {
				file := filepath.Join(folder, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			script, err := os.ReadFile(filepath.Join(".ci", "run"))
			if err != nil {
				t.Fatal(err)
			}
			write(".ci/run", string(script))
			write("labs", strings.ReplaceAll(test.before, " ", "\n")+"\n")
			write("tools/docker", "#!/bin/sh\nsed '/^$/d; s/$/-settings/' labs\n")
			makeUp := "grep -qx hellolab labs || echo hellolab >>labs\n"
			if test.fails {
				makeUp = "[ -e failed ] || { touch failed; exit 1; }\n" + makeUp
			}
			write("tools/make", "#!/bin/sh\n[ \"$1\" = up ] || exit 0\n"+makeUp)
			write("bin/hellolab", "#!/bin/sh\necho \"$@\" >>removed\nsed -i \"/^$3\\$/d\" labs\n")
			run := exec.Command("bash", ".ci/run")
			run.Dir, run.Env = folder, append(os.Environ(), "PATH="+filepath.Join(folder, "tools")+":"+os.Getenv("PATH"))
			if output, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			if removed, _ := os.ReadFile(filepath.Join(folder, "removed")); string(removed) != test.want {
				t.Errorf("it removes\n%swant\n%s", removed, test.want)
			}
		})
	}
}
