package engine

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
)

// TestStalledPull holds that a pull of which nothing arrives is told of, and ends with what the engine said last.
func TestStalledPull(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want string }{
		"no answer":                      {"", "nothing has arrived"},
		"a layer of which nothing comes": {`{"status":"Pulling fs layer","id":"a"}`, "Pulling fs layer"},
		"an engine that tries again":     {strings.Repeat(`{"status":"Retrying in 1 second","id":"a"}`, 3), "Retrying in 1 second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docker := enginetest.New(t)
			docker.Handle("POST /images/create", func(w http.ResponseWriter, r *http.Request) {
				if fmt.Fprint(w, test.answer); test.answer != "" {
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			})
			said := make(chan string, 10)
			err := pull(t.Context(), docker.Client(), "nginx:1", PullOptions{Progress: func(float64) {}},
				stall{mention: 50 * time.Millisecond, giveUp: 300 * time.Millisecond, say: func(text messages.Text) { said <- text.String() }})
			if err == nil || !strings.Contains((messages.Printer{}).Report(err), test.want) {
				t.Errorf("the error is %v", err)
			}
			if hint := (messages.Printer{}).Hint(err); !strings.Contains(hint, "--set registry.mirrors=cn") {
				t.Errorf("the hint is %q", hint)
			}
			if got := <-said; !strings.HasPrefix(got, "nothing of nginx:1 has arrived for ") {
				t.Errorf("it says %q", got)
			}
		})
	}
}
