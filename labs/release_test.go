package labs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/progress"
)

// record is a Secret of Helm's, with one more label.
func record(t *testing.T, namespace, name string, revision int, label string) *unstructured.Unstructured {
	return object(t, fmt.Sprintf("kind: Secret\nmetadata:\n  name: sh.helm.release.v1.%[2]s.v%[3]d\n  namespace: %[1]s\n  labels: {owner: helm, name: %[2]s, version: \"%[3]d\"%[4]s}\n",
		namespace, name, revision, label))
}

func released(t *testing.T, namespace, release, name string) *unstructured.Unstructured {
	return object(t, fmt.Sprintf("kind: ConfigMap\nmetadata:\n  name: %s\n  namespace: %s\n  annotations: {meta.helm.sh/release-name: %s, meta.helm.sh/release-namespace: %[2]s}\n", name, namespace, release))
}

// TestReleases holds that a release is hellolab's where any record of it says so, and that it has all of its objects and
// no others; objects that only call themselves a release's are nobody's.
func TestReleases(t *testing.T) {
	t.Parallel()
	const ours = ", hellolab/chapter: helm"
	found := releasesOf([]*unstructured.Unstructured{
		record(t, "default", "mine", 1, ours), record(t, "default", "mine", 2, ours), released(t, "default", "mine", "one"), released(t, "default", "mine", "two"),
		record(t, "dev", "mine", 1, ""), released(t, "dev", "mine", "one"),
		released(t, "default", "gone", "three"), object(t, "kind: ConfigMap\nmetadata: {name: four, namespace: default}"),
	})
	for key, want := range map[string]struct {
		ours    bool
		objects int
	}{"default/mine": {true, 4}, "dev/mine": {false, 2}} {
		if release := found[key]; release == nil || release.ours != want.ours || len(release.objects) != want.objects {
			t.Errorf("%s is %+v, want %+v", key, release, want)
		}
	}
	if len(found) != 2 {
		t.Errorf("there are %d releases", len(found))
	}
}

// TestKeepPackages holds that each package of the reader's is kept, once, and one that is the same as the coming one is not.
func TestKeepPackages(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	l := &Labs{Saved: filepath.Join(t.TempDir(), "saved"), Story: progress.New(progress.Options{Out: &said})}
	coming := helm.Package{File: "web-0.1.1.tgz", Content: []byte("ours")}
	if err := l.keepPackages(coming, [][]byte{coming.Content, coming.Content}); err != nil || said.Len() > 0 {
		t.Fatalf("of the same package it says %q, %v", said.String(), err)
	}
	theirs := [][]byte{[]byte("a"), []byte("a"), coming.Content, []byte("b"), []byte("c")} // all within a millisecond or two
	if err := l.keepPackages(coming, theirs); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(l.Saved)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, file := range files {
		name := filepath.Join(l.Saved, file.Name())
		content, err := os.ReadFile(name)
		if err != nil || !strings.HasSuffix(name, "-web-0.1.1.tgz") || !strings.Contains(said.String(), name) {
			t.Errorf("it keeps %s, %v, and says\n%s", name, err, said.String())
		}
		kept = append(kept, string(content))
	}
	if slices.Sort(kept); strings.Join(kept, "") != "abc" {
		t.Errorf("it keeps %q", kept)
	}
}
