package check

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRedirections holds that an answer cannot send this machine elsewhere.
func TestRedirections(t *testing.T) {
	t.Parallel()
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(other.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/there":
			w.Write([]byte("there"))
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		default:
			http.Redirect(w, r, other.URL, http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	for path, want := range map[string]int{"/here": http.StatusOK, "/elsewhere": http.StatusFound, "/round": http.StatusFound} {
		status, body, err := get(t.Context(), server.URL+path)
		if err != nil || status != want || want == http.StatusOK && !strings.Contains(body, "there") {
			t.Errorf("%s answers %v %q, %v; want %v", path, status, body, err, want)
		}
	}
	if asked {
		t.Error("the other server was asked")
	}
}
