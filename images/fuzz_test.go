package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"testing"
)

// FuzzUnpack holds that what a compiler's container sends is read or refused: files by their names, in no folder.
func FuzzUnpack(f *testing.F) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, name := range []string{"out/" + prefix + "v1", "../../etc/passwd", "v2"} {
		writer.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: 1})
		writer.Write([]byte("x"))
	}
	writer.WriteHeader(&tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/"})
	writer.Close()
	f.Add(archive.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, archive []byte) {
		programs, err := unpack(bytes.NewReader(archive))
		for name, content := range programs {
			if bytes.ContainsRune([]byte(name), '/') && name != "/" || err == nil && len(content) > len(archive) {
				t.Errorf("it has %q with %d bytes", name, len(content))
			}
		}
	})
}

// FuzzOutput holds that whatever a compiler prints, in whatever pieces, is a share of 0 to 1 and a failure with words.
func FuzzOutput(f *testing.F) {
	f.Add([]byte(listed+"a\n"+listed+"b\na\nmain.go:1: x\n"), 7)
	f.Add([]byte("\n\n\xff"), 1)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		said := &output{progress: func(share float64) {
			if share < 0 || share > 1 {
				t.Errorf("the share is %v", share)
			}
		}}
		for piece = 1 + piece&63; len(text) > 0; {
			n, _ := said.Write(text[:min(piece, len(text))])
			text = text[n:]
		}
		if err := said.failure(errors.New("go build")); err.Error() == "" {
			t.Error("a failure without words")
		}
	})
}
