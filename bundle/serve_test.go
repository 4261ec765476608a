package bundle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

func story() *progress.Progress { return progress.New(progress.Options{Out: io.Discard}) }

// serve serves a file's content, and returns the server's address and its digest.
func serve(t *testing.T, content []byte) (server, digest string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	digest, err := Digest(path)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, path, digest) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String(), digest
}

// TestDownload holds that a download arrives whole, that an interrupted one goes on, and that what is left of another file, or damaged,
// does no harm.
func TestDownload(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	server, digest := serve(t, content)
	for name, left := range map[string][]byte{
		"nothing": nil, "a part": content[:12_345], "all": content,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			part := filepath.Join(folder, strings.TrimPrefix(digest, "sha256:")+".part")
			if left != nil {
				if err := os.WriteFile(part, left, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path, err := Download(t.Context(), story(), server+"/", folder)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
				t.Errorf("there are %d bytes, %v", len(got), err)
			}
		})
	}
	for _, server := range []string{strings.TrimPrefix(server, "http://"), server + Path} {
		if _, err := Download(t.Context(), story(), server, t.TempDir()); err != nil {
			t.Errorf("%s gives %v", server, err)
		}
	}
	folder := t.TempDir()
	part := filepath.Join(folder, strings.TrimPrefix(digest, "sha256:")+".part")
	if err := os.WriteFile(part, bytes.Repeat([]byte("x"), 500), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Download(t.Context(), story(), server, folder); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("what is left and damaged gives %v", err)
	}
	if _, err := Download(t.Context(), story(), server, folder); err != nil {
		t.Errorf("the next try gives %v", err)
	}
}

// TestDownloadOfAnother holds that a server which has another file by now, or is none, is not taken for the one that was asked.
func TestDownloadOfAnother(t *testing.T) {
	t.Parallel()
	content := []byte("content")
	changing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"sha256:`+strings.Repeat("0", 64)+`"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		if r.Method == http.MethodGet {
			w.Write(content)
		}
	}))
	defer changing.Close()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, strings.Repeat("0", 64)+".part"), []byte("con"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Download(t.Context(), story(), changing.URL, folder); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("another file gives %v", err)
	}
	climbing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"sha256:`+strings.Repeat("../", 20)+`pwn!"`)
	}))
	defer climbing.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }))
	defer page.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, server := range []string{page.URL, gone.URL, climbing.URL, "://"} {
		_, err := Download(t.Context(), story(), server, t.TempDir())
		if err == nil || (messages.Printer{}).Hint(err) == "" && !messages.IsUsage(err) {
			t.Errorf("%s gives %v", server, err)
		}
	}
}

// TestProxyFor holds that a class' server is not looked for behind the proxy.
func TestProxyFor(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.example:3128")
	for address, direct := range map[string]bool{"http://192.168.1.5:8765": true, "http://10.0.0.1": true, "http://127.0.0.1": true, "http://169.254.1.1": true, "http://[fd00::1]:8765": true} {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if proxy, err := proxyFor(request); err != nil || (proxy == nil) != direct {
			t.Errorf("%s is asked through %v, %v", address, proxy, err)
		}
	}
}

// TestInterrupted holds that Ctrl-C ends the writing and the reading of a bundle in the middle of an image, with nothing left.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	folder := t.TempDir()
	content := Content{Images: []string{"a:1"}, Architectures: []string{"amd64"}, Engine: "amd64",
		Course: func(context.Context, string) ([]Image, error) {
			interrupt()
			return nil, nil
		}}
	if _, err := Save(ctx, story(), sources{"a:1": image(t, "a:1", "amd64").Image}, content, filepath.Join(folder, "bundle")); !errors.Is(err, context.Canceled) {
		t.Errorf("writing ends with %v", err)
	}
	if _, err := Unpack(ctx, bytes.NewReader(bundled(t, image(t, "a:1", "amd64"))), filepath.Join(folder, "in")); !errors.Is(err, context.Canceled) {
		t.Errorf("reading ends with %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*bundle*")); err != nil || len(left) != 0 {
		t.Errorf("there is left %q, %v", left, err)
	}
}

// sources are images by their names.
type sources map[string]v1.Image

func (s sources) Open(_ context.Context, image string, _ func(messages.Text)) (v1.Image, func(), error) {
	if s[image] == nil {
		return nil, func() {}, errors.New("no such image")
	}
	return s[image], func() {}, nil
}

func (s sources) Fetch(_ context.Context, image, architecture string, _ error) (v1.Image, error) {
	if s[image+" "+architecture] == nil {
		return nil, errors.New("no such image")
	}
	return s[image+" "+architecture], nil
}

// targets remembers what it is given.
type targets struct {
	has          string
	kept, loaded []string
	course       v1.Hash
}

func (g *targets) Has(_ context.Context, image string) (bool, error) { return image == g.has, nil }

func (g *targets) Keep(image v1.Image) (bool, error) {
	digest, err := image.Digest()
	if digest != g.course {
		return false, err
	}
	g.kept = append(g.kept, digest.String())
	return true, err
}

func (g *targets) Load(_ context.Context, image string, _ v1.Image, _ func(messages.Text)) error {
	g.loaded = append(g.loaded, image)
	return nil
}

// TestSaveAndLoad holds what a bundle gets and gives, for each architecture, and that a bundle which cannot be whole is not there.
func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	here, there, theirs, ours := image(t, "a:1", "amd64"), image(t, "a:1", "arm64"), image(t, "b:1", "amd64"), image(t, "me/v1", "amd64")
	from := sources{"a:1": here.Image, "a:1 arm64": there.Image, "b:1": theirs.Image, "b:1 arm64": there.Image}
	content := Content{Images: []string{"a:1", "b:1"}, Architectures: []string{"amd64", "arm64"}, Engine: "amd64",
		Course: func(_ context.Context, architecture string) ([]Image, error) {
			return []Image{{ours.Name, architecture, ours.Image}}, nil
		}}
	folder := t.TempDir()
	path := filepath.Join(folder, "bundle")
	digest, err := Save(t.Context(), story(), from, content, path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Digest(path); err != nil || got != digest {
		t.Errorf("the digest is %s, %v; not %s", got, err, digest)
	}
	course, _ := ours.Digest()
	into := &targets{has: "b:1", course: course}
	loaded, err := Load(t.Context(), story(), path, "amd64", into)
	if err != nil || strings.Join(loaded, " ") != "a:1" || strings.Join(into.loaded, " ") != "a:1" || len(into.kept) == 0 {
		t.Errorf("loaded are %q, kept %q, %v", loaded, into.kept, err)
	}
	if _, err := Load(t.Context(), story(), path, "s390x", into); err == nil || !strings.Contains(err.Error(), "amd64, arm64") {
		t.Errorf("for another architecture it gives %v", err)
	}
	delete(from, "b:1 arm64")
	if _, err := Save(t.Context(), story(), from, content, filepath.Join(folder, "other")); err == nil {
		t.Error("a bundle without an image is one")
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("there is left %v, %v", left, err)
	}
}
