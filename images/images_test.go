package images

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/messages"
)

// TestTags holds that every tag has its source, and every source its tag.
func TestTags(t *testing.T) {
	t.Parallel()
	folders, err := sources.ReadDir("src")
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, folder := range folders {
		have = append(have, folder.Name())
	}
	for _, tag := range Tags() {
		want = append(want, tag.Name)
		if source, err := tag.Source(""); err != nil || !strings.Contains(string(source), "package main") {
			t.Errorf("the source of %s is %q, %v", tag.Name, source, err)
		}
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("the folders are %v, the tags %v", have, want)
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	if all, err := Select(nil); err != nil || len(all) != 8 {
		t.Errorf("no names select %v, %v", all, err)
	}
	if some, err := Select([]string{"bad", "v1"}); err != nil || len(some) != 2 || some[0].Name != "bad" {
		t.Errorf("two names select %v, %v", some, err)
	}
	if once, err := Select([]string{"v1", "bad", "v1"}); err != nil || len(once) != 2 || once[0].Name != "v1" || once[1].Name != "bad" {
		t.Errorf("a name given twice selects %v, %v", once, err)
	}
	if _, err := Select([]string{"v9"}); !messages.IsUsage(err) {
		t.Errorf("an unknown name gives %v", err)
	}
}

// TestImagesAreReproducible holds that nothing but the program and its tag decides the digest.
func TestImagesAreReproducible(t *testing.T) {
	t.Parallel()
	digest := func(tag Tag, program, architecture string) string {
		t.Helper()
		image, err := assemble(tag, []byte(program), map[string]string{sourceAnnotation: "source"}, architecture)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return hash.String()
	}
	one := digest(Tags()[0], "program", "amd64")
	if again := digest(Tags()[0], "program", "amd64"); again != one {
		t.Errorf("the same program has the digests %s and %s", one, again)
	}
	for _, other := range []string{digest(Tags()[0], "other", "amd64"), digest(Tags()[1], "program", "amd64"), digest(Tags()[0], "program", "arm64")} {
		if other == one {
			t.Errorf("something else has the digest %s as well", other)
		}
	}
}

// TestImageIsSmallAndSafe holds that an image is one layer, runs as nobody in particular, and tells what it is.
func TestImageIsSmallAndSafe(t *testing.T) {
	t.Parallel()
	image, err := assemble(Tags()[0], []byte("program"), map[string]string{sourceAnnotation: "source"}, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Errorf("there are %d layers, %v", len(layers), err)
	}
	if config.Architecture != "arm64" || config.OS != "linux" || config.Config.User != nobody || !slices.Equal(config.Config.Entrypoint, []string{"/main"}) {
		t.Errorf("the configuration is %+v", config)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Annotations[sourceAnnotation] != "source" || manifest.Annotations[versionAnnotation] != "v1" {
		t.Errorf("the annotations are %v", manifest.Annotations)
	}
}

// TestFingerprint holds that whatever changes an image makes it stale.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	one := fingerprint([]byte("source"), "amd64")
	if fingerprint([]byte("source"), "amd64") != one {
		t.Error("the same source has two fingerprints")
	}
	if fingerprint([]byte("other"), "amd64") == one || fingerprint([]byte("source"), "arm64") == one {
		t.Error("two sources have one fingerprint")
	}
}

// TestExport holds that a reader's changes are never lost unasked.
func TestExport(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	folders, err := Export(folder, "golang:1.26", false)
	if err != nil || len(folders) != 8 {
		t.Fatalf("wrote %v, %v", folders, err)
	}
	dockerfile, err := os.ReadFile(filepath.Join(folder, "v3", "Dockerfile"))
	if err != nil || !strings.Contains(string(dockerfile), "FROM golang:1.26 AS builder") {
		t.Errorf("the Dockerfile is %q, %v", dockerfile, err)
	}
	if _, err := Export(folder, "golang:1.26", false); err != nil {
		t.Errorf("a second export fails: %v", err)
	}
	mine := filepath.Join(folder, "v3", "main.go")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "v1", "main.go")); err != nil {
		t.Fatal(err)
	}
	if _, err := Export(folder, "golang:1.26", false); !messages.IsUsage(err) || !strings.Contains(err.Error(), mine) {
		t.Errorf("a changed file gives %v", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "v1", "main.go")); err == nil {
		t.Error("something was written all the same")
	}
	if _, err := Export(folder, "golang:1.26", true); err != nil {
		t.Errorf("--force fails: %v", err)
	}
	if now, err := os.ReadFile(mine); err != nil || string(now) == "mine" {
		t.Errorf("--force leaves %q, %v", now, err)
	}
}

// TestCompilerOutput holds that progress is a share of all packages, and that a failure shows the compiler's own lines.
func TestCompilerOutput(t *testing.T) {
	t.Parallel()
	var told []float64
	said := &output{progress: func(share float64) { told = append(told, share) }}
	said.Write([]byte(listed + "package\n" + listed + "package\nerr"))
	said.Write([]byte("ors\nv3/main.go:7:2: undefined: fmtt\n"))
	if len(told) == 0 || told[len(told)-1] != 1 {
		t.Errorf("told %v", told)
	}
	err := said.failure(errors.New("exit status 1"))
	if !strings.Contains(err.Error(), "v3/main.go:7:2: undefined: fmtt") || strings.Contains(err.Error(), "errors") || strings.Contains(err.Error(), listed) {
		t.Errorf("the failure is %v", err)
	}
	full := &output{progress: func(float64) {}}
	full.Write([]byte("write /tmp/x: no space left on device"))
	if err := full.failure(errors.New("exit status 1")); !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a full disk is told as %v", err)
	}
}

// TestKeep holds that what is kept is found again, and that nothing half-written ever is.
func TestKeep(t *testing.T) {
	t.Parallel()
	builder := &Builder{Cache: filepath.Join(t.TempDir(), "images")}
	name := builder.kept([]byte("source"), "amd64")
	builder.keep(name, []byte("program"))
	if kept, err := os.ReadFile(name); err != nil || string(kept) != "program" {
		t.Errorf("kept %q, %v", kept, err)
	}
	if left, _ := filepath.Glob(filepath.Join(builder.Cache, "new-*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	(&Builder{}).keep("", []byte("program")) // nowhere to keep it
}

// TestHostCompiler compiles for real where this machine's Go is at hand, which it is for whoever runs tests.
func TestHostCompiler(t *testing.T) {
	t.Parallel()
	host, err := findHost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string][]byte{}
	for _, tag := range Tags() {
		var err error
		if sources[tag.Name], err = tag.Source(""); err != nil {
			t.Fatal(err)
		}
	}
	programs, err := host.compile(t.Context(), sources, "amd64", func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range Tags() {
		if size := len(programs[tag.Name]); size == 0 || size > 7_000_000 {
			t.Errorf("the program of %s has %d bytes", tag.Name, size)
		}
	}
	again, err := host.compile(t.Context(), map[string][]byte{"v3": sources["v3"]}, "amd64", func(float64) {})
	if err != nil || string(again["v3"]) != string(programs["v3"]) {
		t.Errorf("two compilations differ, %v", err)
	}
	_, err = host.compile(t.Context(), map[string][]byte{"v3": []byte("package main\n\nfunc main() { x }\n")}, "amd64", func(float64) {})
	if err == nil || !strings.Contains(err.Error(), "\n  v3/main.go:3") {
		t.Errorf("a broken source gives %v", err)
	}
}
