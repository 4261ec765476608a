package idle

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestLimit holds that a server which stops in the middle of its answer is given up, and a slow one is not.
func TestLimit(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 8 {
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			time.Sleep(25 * time.Millisecond)
		}
		if r.URL.Path == "/stalls" {
			<-release
		}
	}))
	defer server.Close()
	defer close(release)
	client := http.Client{Transport: Limit(&http.Transport{}, 150*time.Millisecond)}
	read := func(path string) (string, error) {
		response, err := client.Get(server.URL + path)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		return string(content), err
	}
	if got, err := read("/slow"); err != nil || got != "xxxxxxxx" {
		t.Errorf("a slow server is read as %q, %v", got, err)
	}
	if got, err := read("/stalls"); err == nil || got != "xxxxxxxx" {
		t.Errorf("a server that stalls is read as %q, %v", got, err)
	}
}
