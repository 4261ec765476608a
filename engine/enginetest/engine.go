// Package enginetest is a Docker Engine in memory, for unit tests.
//
//	docker := enginetest.New(t)
//	docker.AddImage("registry:3.1.1")
//	docker.Listen("registry:3.1.1", handler) // its containers answer at the ports that they publish (see [Port])
//	lab, err := bootstrap.Open(t.Context(), docker.Client(), ...)
//
// It answers the Engine API over HTTP, so the code under test uses the real client. Containers, volumes, networks and
// images are kept, and relate to each other as in a real engine: a name is taken once, a container needs its image, a
// volume in use cannot be removed, a running container is removed only by force. Containers run nothing: what their
// process would do, a test does with [Engine.Listen] (it answers HTTP), [Engine.Run] (it reads stdin, writes stdout and
// exits) and [Engine.WriteFile].
//
// A test sets the scene with the Add methods, looks at the outcome with [Engine.Container], [Engine.Containers],
// [Engine.Volume], [Engine.Volumes] and [Engine.Calls], and disturbs it with [Engine.Fail], [Engine.Hang] and
// [Engine.Handle], which take a pattern of [http.ServeMux] without the API's version: "POST /containers/{id}/start".
//
// The server listens on loopback, so it cannot be used inside of a testing/synctest bubble.
package enginetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// version of the Engine API that is spoken.
const version = "1.47"

// Engine is a Docker Engine in memory. Its methods may be called from any goroutine.
type Engine struct {
	t      testing.TB
	server *httptest.Server
	client *client.Client
	api    *http.ServeMux
	closed chan struct{}

	mutex       sync.Mutex
	info        system.Info
	now         func() time.Time
	hooks       []*hook
	calls       []string
	created     int
	containers  []*running
	volumes     map[string]*volume.Volume
	networks    map[string]string // IDs by names
	made        int               // networks so far
	images      []*Image
	pullable    map[string]Image
	listening   map[string]http.Handler
	programs    map[string]Program
	subscribers []chan events.Message
}

// New starts an engine that holds nothing but the network "bridge", and stops it when the test ends.
func New(t testing.TB) *Engine {
	t.Helper()
	e := &Engine{
		t: t, closed: make(chan struct{}), now: time.Now,
		info: system.Info{ID: "fake", Name: "fake", ServerVersion: "28.5.2", OSType: "linux", Architecture: "x86_64", CgroupVersion: "2",
			CgroupDriver: "systemd", NCPU: 4, MemTotal: 8 << 30},
		volumes: map[string]*volume.Volume{}, networks: map[string]string{"bridge": "bridge"},
		pullable: map[string]Image{}, listening: map[string]http.Handler{}, programs: map[string]Program{},
	}
	e.api = e.routes()
	e.server = httptest.NewServer(http.HandlerFunc(e.serve))
	docker, err := client.NewClientWithOpts(client.WithHost(e.Host()), client.WithVersion(version))
	if err != nil {
		t.Fatal(err)
	}
	e.client = docker
	t.Cleanup(e.stop)
	return e
}

func (e *Engine) stop() {
	close(e.closed)
	e.client.Close()
	e.mutex.Lock()
	for _, container := range e.containers {
		container.hangUp()
	}
	e.mutex.Unlock()
	e.server.CloseClientConnections()
	e.server.Close()
}

// Client is a client of the engine, closed when the test ends.
func (e *Engine) Client() *client.Client { return e.client }

// Host is the engine's address, as in DOCKER_HOST.
func (e *Engine) Host() string { return "tcp://" + e.server.Listener.Addr().String() }

// SetInfo changes what `docker info` reports, such as the cgroup version or the security options.
func (e *Engine) SetInfo(change func(*system.Info)) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	change(&e.info)
}

// SetClock replaces the engine's clock, which dates containers and is reported as the system's time.
func (e *Engine) SetClock(now func() time.Time) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.now = now
}

// hook stands before the engine's own answer to the calls that match a pattern.
type hook struct {
	mux *http.ServeMux
}

// Handle replaces the engine's answer to the calls that match pattern, until restore is called. Of several that match,
// the last one added answers.
func (e *Engine) Handle(pattern string, answer http.HandlerFunc) (restore func()) {
	added := &hook{http.NewServeMux()}
	added.mux.HandleFunc(pattern, answer)
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.hooks = append(e.hooks, added)
	return func() {
		e.mutex.Lock()
		defer e.mutex.Unlock()
		e.hooks = slices.DeleteFunc(e.hooks, func(h *hook) bool { return h == added })
	}
}

// Fail has the calls that match pattern fail with an HTTP status and the engine's message, until restore is called.
func (e *Engine) Fail(pattern string, status int, message string) (restore func()) {
	return e.Handle(pattern, func(w http.ResponseWriter, _ *http.Request) { fail(w, status, message) })
}

// Hang has the calls that match pattern get no answer until resume is called, or their caller gives up. After that they
// are answered as usual. entered is closed when the first call hangs.
func (e *Engine) Hang(pattern string) (entered <-chan struct{}, resume func()) {
	resumed, first := make(chan struct{}), make(chan struct{})
	var enter, leave sync.Once
	restore := e.Handle(pattern, func(w http.ResponseWriter, r *http.Request) {
		enter.Do(func() { close(first) })
		select {
		case <-resumed:
			e.api.ServeHTTP(w, r)
		case <-r.Context().Done():
		case <-e.closed:
		}
	})
	return first, func() {
		restore()
		leave.Do(func() { close(resumed) })
	}
}

// Calls lists the calls so far as "METHOD /path", without the API's version and the query.
func (e *Engine) Calls() []string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Clone(e.calls)
}

var apiVersion = regexp.MustCompile(`^/v\d+\.\d+(/|$)`)

func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	r.URL.Path, r.URL.RawPath = apiVersion.ReplaceAllString(r.URL.Path, "/"), ""
	e.mutex.Lock()
	e.calls = append(e.calls, r.Method+" "+r.URL.Path)
	hooks := slices.Clone(e.hooks)
	e.mutex.Unlock()
	for _, hook := range slices.Backward(hooks) {
		if _, pattern := hook.mux.Handler(r); pattern != "" {
			hook.mux.ServeHTTP(w, r)
			return
		}
	}
	if _, pattern := e.api.Handler(r); pattern == "" {
		e.t.Errorf("enginetest: %s %s is not a call that this engine knows", r.Method, r.URL.Path)
	}
	e.api.ServeHTTP(w, r)
}

func (e *Engine) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /_ping":   e.ping, // HEAD, too
		"GET /info":    e.getInfo,
		"GET /version": e.getVersion,
		"GET /events":  e.getEvents,

		"POST /containers/create":       e.createContainer,
		"GET /containers/json":          e.listContainers,
		"GET /containers/{id}/json":     e.inspectContainer,
		"POST /containers/{id}/start":   e.startContainer,
		"POST /containers/{id}/stop":    e.stopContainer,
		"POST /containers/{id}/kill":    e.stopContainer,
		"POST /containers/{id}/pause":   e.pauseContainer,
		"POST /containers/{id}/unpause": e.unpauseContainer,
		"POST /containers/{id}/wait":    e.waitContainer,
		"POST /containers/{id}/attach":  e.attachContainer,
		"DELETE /containers/{id}":       e.removeContainer,
		"GET /containers/{id}/archive":  e.statFile, // HEAD, too
		"PUT /containers/{id}/archive":  e.extractFiles,

		"GET /volumes":           e.listVolumes,
		"POST /volumes/create":   e.createVolume,
		"GET /volumes/{name}":    e.inspectVolume,
		"DELETE /volumes/{name}": e.removeVolume,

		"GET /networks":                       e.listNetworks,
		"POST /networks/create":               e.createNetwork,
		"GET /networks/{network}":             e.inspectNetwork,
		"DELETE /networks/{network}":          e.removeNetwork,
		"POST /networks/{network}/connect":    e.connectNetwork,
		"POST /networks/{network}/disconnect": e.disconnectNetwork,

		"POST /images/create":         e.pullImage,
		"POST /images/load":           e.loadImages,
		"GET /images/json":            e.listImages,
		"GET /images/get":             e.saveImages,
		"GET /images/{name...}":       e.inspectImage, // NAME/json, where NAME has slashes of its own
		"POST /images/{name...}":      e.tagImage,     // NAME/tag
		"DELETE /images/{name...}":    e.untagImage,
		"GET /distribution/{name...}": e.inspectDistribution, // NAME/json
	} {
		mux.HandleFunc(pattern, handler)
	}
	return mux
}

func (e *Engine) ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Api-Version", version)
	w.Header().Set("Ostype", "linux")
	fmt.Fprint(w, "OK")
}

func (e *Engine) getInfo(w http.ResponseWriter, _ *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	info := e.info
	info.SystemTime = e.now().UTC().Format(time.RFC3339Nano)
	answer(w, http.StatusOK, info)
}

func (e *Engine) getVersion(w http.ResponseWriter, _ *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	answer(w, http.StatusOK, map[string]any{"Version": e.info.ServerVersion, "ApiVersion": version, "MinAPIVersion": "1.24",
		"Os": "linux", "Arch": e.architecture()})
}

// architecture is the engine's as Go names it, where info has the kernel's name.
func (e *Engine) architecture() string {
	switch e.info.Architecture {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return e.info.Architecture
}

// getEvents streams what happens to containers from now on.
func (e *Engine) getEvents(w http.ResponseWriter, r *http.Request) {
	wanted, ok := filtersOf(w, r)
	if !ok {
		return
	}
	all := make(chan events.Message, 100)
	e.mutex.Lock()
	e.subscribers = append(e.subscribers, all)
	e.mutex.Unlock()
	defer func() {
		e.mutex.Lock()
		defer e.mutex.Unlock()
		e.subscribers = slices.DeleteFunc(e.subscribers, func(c chan events.Message) bool { return c == all })
	}()
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
	for {
		select {
		case event := <-all:
			if wanted.ExactMatch("type", string(event.Type)) && wanted.ExactMatch("event", string(event.Action)) &&
				wanted.MatchKVList("label", event.Actor.Attributes) {
				json.NewEncoder(w).Encode(event)
				http.NewResponseController(w).Flush()
			}
		case <-r.Context().Done():
			return
		case <-e.closed:
			return
		}
	}
}

// emit sends an event to those that wait for events. The caller holds the mutex.
func (e *Engine) emit(action events.Action, container *running) {
	attributes := map[string]string{"name": container.name, "image": container.config.Image}
	for key, value := range container.config.Labels {
		attributes[key] = value
	}
	for _, subscriber := range e.subscribers {
		select {
		case subscriber <- events.Message{Type: events.ContainerEventType, Action: action, Scope: "local",
			Actor: events.Actor{ID: container.id, Attributes: attributes}, Time: e.now().Unix(), TimeNano: e.now().UnixNano()}:
		default: // nobody reads there any more
		}
	}
}

// filtersOf reads a call's filters, and answers itself where they cannot be read.
func filtersOf(w http.ResponseWriter, r *http.Request) (filters.Args, bool) {
	wanted, err := filters.FromJSON(r.URL.Query().Get("filters"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
	}
	return wanted, err == nil
}

// decode reads a call's body, and answers itself where it cannot be read.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(r.Body).Decode(into)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
	}
	return err == nil
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"message": message})
}

// flag reports whether a parameter of the query is set, as "1" or "true".
func flag(r *http.Request, name string) bool {
	return slices.Contains([]string{"1", "true"}, strings.ToLower(r.URL.Query().Get(name)))
}
