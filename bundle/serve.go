package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hellolab/hellolab/idle"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// Path is where a server has its bundle.
const Path = "/bundle"

// Digest reads a whole file, and returns its digest.
func Digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// Serve gives a file with that digest to whoever asks for it, a part of it to who asks for that, until ctx ends. Nothing can be
// changed through it.
func Serve(ctx context.Context, listener net.Listener, path, digest string) error {
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Path || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		file, err := os.Open(path)
		if err != nil {
			http.Error(w, "the file has gone", http.StatusGone)
			return
		}
		defer file.Close()
		w.Header().Set("ETag", fmt.Sprintf("%q", digest))
		w.Header().Set("Content-Type", "application/zstd")
		http.ServeContent(w, r, "", time.Time{}, file)
	})}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Download gets the bundle of a server's into a folder, and returns its path there. What an interrupted download has left there is
// gone on with. The content is compared with the digest that the server tells.
func Download(ctx context.Context, story *progress.Progress, server, folder string) (path string, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	if !strings.Contains(server, "://") { // as people write it
		server = "http://" + server
	}
	address := strings.TrimSuffix(strings.TrimSuffix(server, "/"), Path) + Path
	step := story.Start(messages.T("downloading %s", address))
	path, err = download(ctx, address, folder, step.Detail)
	step.End(err)
	return path, err
}

// tagOf is the ETag of a bundle.
var tagOf = regexp.MustCompile(`^"sha256:([0-9a-f]{64})"$`)

func download(ctx context.Context, address, folder string, detail func(messages.Text)) (string, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = proxyFor
	client := http.Client{Transport: idle.Limit(transport, time.Minute)}
	head, err := ask(ctx, &client, http.MethodHead, address, 0, "")
	if err != nil {
		return "", err
	}
	head.Body.Close()
	tag := head.Header.Get("ETag")
	said := tagOf.FindStringSubmatch(tag) // a file is named by it
	if said == nil {
		return "", unreachable(address, messages.Errorf("this is not a bundle server"))
	}
	digest := said[1]
	file, err := os.OpenFile(filepath.Join(folder, digest+".part"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	have, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if have < head.ContentLength {
		rest, err := ask(ctx, &client, http.MethodGet, address, have, tag)
		if err != nil {
			return "", err
		}
		defer rest.Body.Close()
		if rest.StatusCode == http.StatusOK && have > 0 { // the whole, for the file is another one by now
			if err := errors.Join(file.Truncate(0), seek(file)); err != nil {
				return "", err
			}
			have = 0
		}
		_, err = io.Copy(file, &arriving{rest.Body, have, head.ContentLength, detail})
		var written *os.PathError
		switch {
		case errors.As(err, &written): // on this machine's disk
			return "", err
		case err != nil:
			return "", unreachable(address, err)
		}
	}
	if err := file.Close(); err != nil { // before it may be removed: Windows removes no open file
		return "", err
	}
	if got, err := Digest(file.Name()); err != nil || got != "sha256:"+digest {
		return "", errors.Join(err, os.Remove(file.Name()), messages.Errorf("what has arrived from %s is damaged", address).
			WithHint("run the same command again"))
	}
	return file.Name(), nil
}

// proxyFor is the environment's proxy, but for addresses of private networks: a class' server is on this side of it.
func proxyFor(request *http.Request) (*url.URL, error) {
	if address, err := netip.ParseAddr(request.URL.Hostname()); err == nil && (address.IsPrivate() || address.IsLoopback() || address.IsLinkLocalUnicast()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(request)
}

func seek(file *os.File) error {
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// arriving tells how much of a file has arrived.
type arriving struct {
	io.Reader
	have, size int64
	detail     func(messages.Text)
}

func (a *arriving) Read(into []byte) (int, error) {
	n, err := a.Reader.Read(into)
	a.have += int64(n)
	a.detail(messages.Percent(float64(a.have) / float64(max(a.size, 1))))
	return n, err
}

// ask makes a request for a file from an offset on, if it still is the one with that tag.
func ask(ctx context.Context, client *http.Client, method, url string, from int64, tag string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, messages.Usagef("--from: %q is not the address of a server", url)
	}
	if from > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		request.Header.Set("If-Range", tag)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, unreachable(url, err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusPartialContent {
		response.Body.Close()
		return nil, unreachable(url, errors.New(response.Status))
	}
	return response, nil
}

func unreachable(url string, err error) error {
	return messages.Errorf("the bundle at %s cannot be fetched", url).Because(err).
		WithHint("whoever has it runs %s, which says the address; then run the same command again: it goes on where it was", messages.Hellolab("bundle", "serve").Usage("FILE"))
}
