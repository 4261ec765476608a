package engine

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/messages"
)

// TestConnect holds what becomes of the first call, with the way out.
func TestConnect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		disturb func(*enginetest.Engine)
		want    string // in the error
	}{
		{"an engine that answers", func(*enginetest.Engine) {}, ""},
		{"an engine that hangs", func(docker *enginetest.Engine) { docker.Hang("/_ping") }, "does not respond"},
		{"an engine that fails", func(docker *enginetest.Engine) { docker.Fail("/_ping", http.StatusInternalServerError, "damaged") }, "no Docker Engine answers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			docker := enginetest.New(t)
			test.disturb(docker)
			limits := usualPatience()
			if strings.Contains(test.name, "hangs") {
				limits.quick = 50 * time.Millisecond
			}
			connected, err := connect(t.Context(), docker.Host(), limits, silently)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer connected.Close()
				if _, err := connected.Info(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || (messages.Printer{}).Hint(err) == "" {
				t.Errorf("the error is %v, want %q in it, and a hint", err, test.want)
			}
		})
	}
	if _, err := connect(t.Context(), "no address", usualPatience(), silently); err == nil || (messages.Printer{}).Hint(err) == "" {
		t.Errorf("a bad address is %v", err)
	}
}

// TestUnreachable holds that a socket which this user may not open is not called a missing engine.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for cause, want := range map[string]string{
		"dial unix /var/run/docker.sock: connect: permission denied": "this user may not use the Docker Engine at unix:///x.sock",
		"dial unix /var/run/docker.sock: no such file":               "no Docker Engine answers at unix:///x.sock",
	} {
		if err := unreachable("unix:///x.sock", errors.New(cause)); err.Error() != want || (messages.Printer{}).Hint(err) == "" {
			t.Errorf("%q is reported as %q, want %q and a hint", cause, err, want)
		}
	}
}

func silently(messages.Text) {}

// TestCallsAreBounded holds that a call which only looks does not hang with its engine, that one which may take its time is
// told of before it is given up, and not cut short.
func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	fake := enginetest.New(t)
	fake.AddContainer(enginetest.Container{Name: "web"})
	said := make(chan string, 10)
	limits := patience{quick: 50 * time.Millisecond, mention: 20 * time.Millisecond, slow: 300 * time.Millisecond}
	docker, err := connect(t.Context(), fake.Host(), limits, func(text messages.Text) { said <- text.String() })
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	gaveUp := func(call string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "does not respond") || (messages.Printer{}).Hint(err) == "" {
			t.Errorf("%s ends with %v", call, err)
		}
	}
	_, resume := fake.Hang("GET /containers/json")
	_, err = docker.ContainerList(t.Context(), container.ListOptions{})
	gaveUp("a list that hangs", err)
	resume()
	restore := fake.Handle("GET /containers/json", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("["))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	_, err = docker.ContainerList(t.Context(), container.ListOptions{})
	gaveUp("a list that never ends", err)
	restore()
	_, resume = fake.Hang("POST /containers/{id}/start")
	time.AfterFunc(100*time.Millisecond, resume)
	if err := docker.ContainerStart(t.Context(), "web", container.StartOptions{}); err != nil {
		t.Errorf("a start that takes its time ends with %v", err)
	}
	if got := <-said; got != "waiting for the Docker Engine (GET /containers/json)" {
		t.Errorf("it says %q", got)
	}
	_, resume = fake.Hang("POST /containers/{id}/stop")
	defer resume()
	gaveUp("a stop that hangs", docker.ContainerStop(t.Context(), "web", container.StopOptions{}))
}

func TestIsQuick(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]bool{
		"GET /v1.47/containers/json": true, "HEAD /_ping": true, "GET /v1.47/info": true, "GET /v1.47/images/nginx/json": true,
		"POST /v1.47/volumes/create": true, "POST /v1.47/networks/kind/connect": true,
		"GET /v1.47/events": false, "GET /v1.47/images/get": false, "POST /v1.47/images/create": false, "POST /v1.47/containers/web/start": false,
		"POST /v1.47/containers/web/wait": false, "DELETE /v1.47/containers/web": false, "PUT /v1.47/containers/web/archive": false,
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := isQuick(method, path); got != want {
			t.Errorf("%s is quick: %v", call, got)
		}
	}
}
