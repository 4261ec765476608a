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
		programs, _ := unpack(bytes.NewReader(archive))
		for name, content := range programs {
			if bytes.ContainsRune([]byte(name), '/') && name != "/" || len(content) > largestPrograms {
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

// TestUnpackBounds holds that an archive of some bytes cannot fill the memory: it may have files with holes.
func TestUnpackBounds(t *testing.T) {
	t.Parallel()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	records := map[string]string{"xxx.sparse.major": "1", "xxx.sparse.minor": "0", "xxx.sparse.name": "v1", "xxx.sparse.realsize": "1099511627776"}
	if err := writer.WriteHeader(&tar.Header{Name: "v1", Size: 512, PAXRecords: records}); err != nil {
		t.Fatal(err)
	}
	writer.Write(append([]byte("1\n1099511627776\n0\n"), make([]byte, 512-18)...)) // where it has data: at its end
	writer.Close()
	holes := bytes.ReplaceAll(archive.Bytes(), []byte("xxx.sparse"), []byte("GNU.sparse")) // Go's tar does not write these
	if programs, err := unpack(bytes.NewReader(holes)); err == nil || err.Error() != "the compiler's container sends more than 256 MiB" {
		t.Errorf("it is taken as %d programs, %v", len(programs), err)
	}
}
