package labs

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// FuzzOpen holds that a saved file is read or refused as wrong input, though its sum is right.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{"---\napiVersion: hellolab/v1\nkind: SavedLab\nmetadata: {name: labs}\nstep: pod/first\nbefore: true\npassed: [pod/first]\ntouched: [a]\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: dev}\n---\n" + privilegedPod + "\n",
		"", "---\n", "kind: SavedLab\n", "apiVersion: hellolab/v1\nkind: SavedLab\nstep: [1]\n---\nkind: Secret\nmetadata: {labels: {owner: helm, name: a, version: '1'}, namespace: dev}\ndata: {release: SDRzSUFBQUFBQUFBQUFBQkFBRC8vd0FBQUFBQUFBQUE=}\n"} {
		f.Add([]byte(seed))
	}
	lessons, err := course.Load(fstest.MapFS{"course.yaml": {Data: []byte("namespaces: [default, dev]\nchapters: [pod]\n")},
		"pod/lab.yaml": {Data: []byte("steps: [{name: first, expect: [runs: {name: a}]}]\n")}}, "", "")
	if err != nil {
		f.Fatal(err)
	}
	l := &Labs{Course: lessons}
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		file := filepath.Join(t.TempDir(), "lab.yaml")
		if err := os.WriteFile(file, append([]byte(firstWords+hex.EncodeToString(sum[:])+"\n"), body...), 0o600); err != nil {
			t.Fatal(err)
		}
		lab, err := l.open(file)
		if err == nil {
			err = l.vetFile(file, lab.objects)
		}
		if err != nil && !messages.IsUsage(err) {
			t.Errorf("it is refused with %v", err)
		}
		for _, object := range lab.objects {
			portable(object)
			releaseOf(object)
		}
	})
}
