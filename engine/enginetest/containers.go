package enginetest

import (
	"archive/tar"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"
)

// Container is a container as a test makes and sees it.
type Container struct {
	Name   string
	Config container.Config
	// HostConfig has the published ports, the mounts and the restart policy.
	HostConfig container.HostConfig
	// State is container.StateRunning, StatePaused, StateExited or StateCreated; "" is created.
	State container.ContainerState
	// Networks that it has joined; none stands for "bridge".
	Networks []string
	// Files that were written into it, by their absolute paths.
	Files map[string]string
	// Created is when it was made; the zero time stands for now.
	Created time.Time
	// ID is assigned by the engine.
	ID string
}

// Program is what a container's process does, between its start and its exit status.
type Program func(stdin io.Reader, stdout, stderr io.Writer) (status int)

// running is a container as the engine keeps it.
type running struct {
	id, name   string
	config     container.Config
	hostConfig container.HostConfig
	state      container.ContainerState
	exitCode   int
	networks   map[string]string // IDs by names
	files      map[string]string
	created    time.Time
	started    time.Time
	listeners  []*http.Server
	// thawed is closed while the container is not paused.
	thawed chan struct{}
	// exited is closed by the next exit, and removed when the container is gone.
	exited, removed chan struct{}
	attached        net.Conn
}

// AddContainer puts a container into the engine, as if somebody had made it before. Its image need not be there.
func (e *Engine) AddContainer(wanted Container) (id string) {
	e.t.Helper()
	e.mutex.Lock()
	defer e.mutex.Unlock()
	added := e.add(wanted.Name, wanted.Config, wanted.HostConfig)
	if len(wanted.Networks) > 0 {
		added.networks = map[string]string{}
		for _, name := range wanted.Networks {
			added.networks[name] = e.networks[name]
		}
	}
	maps.Copy(added.files, wanted.Files)
	if !wanted.Created.IsZero() {
		added.created = wanted.Created
	}
	if wanted.State == container.StateRunning || wanted.State == container.StatePaused {
		if err := e.start(added); err != nil {
			e.t.Fatal(err)
		}
	}
	if wanted.State == container.StatePaused {
		added.thawed = make(chan struct{})
	}
	if wanted.State != "" {
		added.state = wanted.State
	}
	return added.id
}

// Container returns a container by its name or ID, as it is now.
func (e *Engine) Container(name string) (Container, bool) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if found := e.find(name); found != nil {
		return found.snapshot(), true
	}
	return Container{}, false
}

// Containers returns all containers, running or not, in the order of their creation.
func (e *Engine) Containers() []Container {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	var all []Container
	for _, found := range e.containers {
		all = append(all, found.snapshot())
	}
	return all
}

// Stop has a container's process exit by itself, as after a crash.
func (e *Engine) Stop(name string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if found := e.find(name); found != nil {
		e.exit(found, 137)
	}
}

// WriteFile puts a file into a container, as its own process would.
func (e *Engine) WriteFile(name, file, content string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if found := e.find(name); found != nil {
		found.files[path.Clean(file)] = content
	}
}

// RemoveFile removes a file from a container, as its own process would.
func (e *Engine) RemoveFile(name, file string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if found := e.find(name); found != nil {
		delete(found.files, path.Clean(file))
	}
}

// Listen has the containers of an image answer HTTP at the ports that they publish, while they run; a paused one
// answers when it is resumed. A port that is taken makes the container's start fail, as in a real engine.
func (e *Engine) Listen(image string, handler http.Handler) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.listening[image] = handler
}

// Run has the containers of an image run a program that ends. It talks with who attached to the container.
func (e *Engine) Run(image string, program Program) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.programs[image] = program
}

func (r *running) snapshot() Container {
	return Container{Name: r.name, Config: r.config, HostConfig: r.hostConfig, State: r.state, Networks: slices.Sorted(maps.Keys(r.networks)),
		Files: maps.Clone(r.files), Created: r.created, ID: r.id}
}

func (r *running) isUp() bool {
	return r.state == container.StateRunning || r.state == container.StatePaused
}

// add makes a container. The caller holds the mutex.
func (e *Engine) add(name string, config container.Config, host container.HostConfig) *running {
	e.created++
	added := &running{id: fmt.Sprintf("%064x", e.created), name: name, config: config, hostConfig: host, state: container.StateCreated,
		networks: map[string]string{"bridge": "bridge"}, files: map[string]string{}, created: e.now(),
		thawed: make(chan struct{}), exited: make(chan struct{}), removed: make(chan struct{})}
	if name == "" {
		added.name = "unnamed_" + strconv.Itoa(e.created)
	}
	if mode := string(host.NetworkMode); mode != "" && mode != "default" {
		added.networks = map[string]string{mode: e.networks[mode]}
	}
	close(added.thawed)
	e.containers = append(e.containers, added)
	e.emit(events.ActionCreate, added)
	return added
}

// find returns a container by its name or ID, or nil. The caller holds the mutex.
func (e *Engine) find(name string) *running {
	for _, candidate := range e.containers {
		if candidate.name == strings.TrimPrefix(name, "/") || candidate.id == name || len(name) >= 12 && strings.HasPrefix(candidate.id, name) {
			return candidate
		}
	}
	return nil
}

// with hands the container that a call names to do, under the mutex, or answers that there is none.
func (e *Engine) with(w http.ResponseWriter, r *http.Request, do func(*running)) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	found := e.find(r.PathValue("id"))
	if found == nil {
		fail(w, http.StatusNotFound, "No such container: "+r.PathValue("id"))
		return
	}
	do(found)
}

func (e *Engine) createContainer(w http.ResponseWriter, r *http.Request) {
	var wanted container.CreateRequest
	if !decode(w, r, &wanted) {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	name := strings.TrimPrefix(r.URL.Query().Get("name"), "/")
	if other := e.find(name); name != "" && other != nil {
		fail(w, http.StatusConflict, fmt.Sprintf("Conflict. The container name %q is already in use by container %q.", "/"+name, other.id))
		return
	}
	if e.image(wanted.Image) == nil {
		fail(w, http.StatusNotFound, "No such image: "+wanted.Image)
		return
	}
	var host container.HostConfig
	if wanted.HostConfig != nil {
		host = *wanted.HostConfig
	}
	for _, mounted := range host.Mounts {
		if _, exists := e.volumes[mounted.Source]; mounted.Type == "volume" && mounted.Source != "" && !exists {
			e.addVolume(mounted.Source, nil)
		}
	}
	answer(w, http.StatusCreated, container.CreateResponse{ID: e.add(name, *wanted.Config, host).id, Warnings: []string{}})
}

func (e *Engine) listContainers(w http.ResponseWriter, r *http.Request) {
	wanted, ok := filtersOf(w, r)
	if !ok {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	all := []container.Summary{}
	for _, candidate := range e.containers {
		switch {
		case !flag(r, "all") && !candidate.isUp() && !wanted.Contains("status"):
		case !wanted.MatchKVList("label", candidate.config.Labels), !wanted.ExactMatch("status", string(candidate.state)),
			!wanted.Match("name", candidate.name), !wanted.ExactMatch("id", candidate.id):
		default:
			all = append(all, candidate.summary())
		}
	}
	slices.Reverse(all) // the newest first
	answer(w, http.StatusOK, all)
}

func (r *running) summary() container.Summary {
	summary := container.Summary{ID: r.id, Names: []string{"/" + r.name}, Image: r.config.Image, Labels: r.config.Labels, State: r.state,
		Created: r.created.Unix(), Status: string(r.state), Ports: []container.Port{}}
	if !r.isUp() {
		return summary
	}
	for inside, bindings := range r.hostConfig.PortBindings {
		for _, binding := range bindings {
			public, _ := strconv.Atoi(binding.HostPort)
			summary.Ports = append(summary.Ports, container.Port{IP: binding.HostIP, PrivatePort: uint16(inside.Int()),
				PublicPort: uint16(public), Type: inside.Proto()})
		}
	}
	return summary
}

func (e *Engine) inspectContainer(w http.ResponseWriter, r *http.Request) {
	e.with(w, r, func(found *running) {
		networks := map[string]*network.EndpointSettings{}
		for name, id := range found.networks {
			networks[name] = &network.EndpointSettings{NetworkID: id}
		}
		settings := &container.NetworkSettings{Networks: networks}
		if found.isUp() {
			settings.Ports = found.hostConfig.PortBindings
		}
		answer(w, http.StatusOK, container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{ID: found.id, Name: "/" + found.name, Image: found.config.Image,
				Created: found.created.UTC().Format(time.RFC3339Nano), HostConfig: &found.hostConfig,
				State: &container.State{Status: found.state, Running: found.isUp(), Paused: found.state == container.StatePaused,
					ExitCode: found.exitCode, StartedAt: found.started.UTC().Format(time.RFC3339Nano)}},
			Config: &found.config, NetworkSettings: settings,
		})
	})
}

func (e *Engine) startContainer(w http.ResponseWriter, r *http.Request) {
	e.with(w, r, func(found *running) {
		switch {
		case found.state == container.StatePaused:
			fail(w, http.StatusInternalServerError, "cannot start a paused container, try unpause instead")
		case found.isUp():
			w.WriteHeader(http.StatusNotModified)
		default:
			if err := e.start(found); err != nil {
				fail(w, http.StatusInternalServerError, err.Error())
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// start sets a container going. The caller holds the mutex.
func (e *Engine) start(found *running) error {
	for name, id := range found.networks {
		known, exists := e.networks[name]
		if name != "none" && (!exists || id != "" && known != id) { // before its first start, a container knows names only
			return fmt.Errorf("network %s not found", cmp.Or(id, name))
		}
		found.networks[name] = known
	}
	if handler, listens := e.listening[found.config.Image]; listens {
		for _, bindings := range found.hostConfig.PortBindings {
			for _, binding := range bindings {
				if err := e.listen(found, binding, handler); err != nil {
					found.hangUp()
					return err
				}
			}
		}
	}
	found.state, found.started = container.StateRunning, e.now()
	e.emit(events.ActionStart, found)
	if program, runs := e.programs[found.config.Image]; runs {
		go e.run(found, program)
	}
	return nil
}

// listen answers at one published port until the container stops.
func (e *Engine) listen(found *running, binding nat.PortBinding, handler http.Handler) error {
	address := net.JoinHostPort(binding.HostIP, binding.HostPort)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("driver failed programming external connectivity on endpoint %s: Bind for %s failed: %w", found.name, address, err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mutex.Lock()
		thawed := found.thawed
		e.mutex.Unlock()
		select {
		case <-thawed:
			handler.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})}
	found.listeners = append(found.listeners, server)
	go server.Serve(listener)
	return nil
}

// hangUp ends what listens at the container's ports.
func (r *running) hangUp() {
	for _, server := range r.listeners {
		server.Close()
	}
	r.listeners = nil
}

// run has a container run its program, and then exit.
func (e *Engine) run(found *running, program Program) {
	e.mutex.Lock()
	attached := found.attached
	e.mutex.Unlock()
	var stdin io.Reader = strings.NewReader("")
	stdout, stderr := io.Discard, io.Discard
	if attached != nil {
		stdin, stdout, stderr = attached, stdcopy.NewStdWriter(attached, stdcopy.Stdout), stdcopy.NewStdWriter(attached, stdcopy.Stderr)
	}
	status := program(stdin, stdout, stderr)
	if attached != nil {
		attached.Close()
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.exit(found, status)
}

// exit ends a container's process. The caller holds the mutex.
func (e *Engine) exit(found *running, status int) {
	if !found.isUp() {
		return
	}
	found.hangUp()
	if found.state == container.StatePaused {
		close(found.thawed)
	}
	found.state, found.exitCode = container.StateExited, status
	close(found.exited)
	found.exited = make(chan struct{})
	e.emit(events.ActionDie, found)
	if found.hostConfig.AutoRemove {
		e.remove(found)
	}
}

// remove takes a container out of the engine. The caller holds the mutex.
func (e *Engine) remove(found *running) {
	e.containers = slices.DeleteFunc(e.containers, func(other *running) bool { return other == found })
	close(found.removed)
	e.emit(events.ActionDestroy, found)
}

func (e *Engine) stopContainer(w http.ResponseWriter, r *http.Request) {
	e.with(w, r, func(found *running) {
		if !found.isUp() {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		e.exit(found, 0)
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) pauseContainer(w http.ResponseWriter, r *http.Request) {
	e.with(w, r, func(found *running) {
		if found.state != container.StateRunning {
			fail(w, http.StatusConflict, fmt.Sprintf("container %s is not running or already paused", found.id))
			return
		}
		found.state, found.thawed = container.StatePaused, make(chan struct{})
		e.emit(events.ActionPause, found)
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) unpauseContainer(w http.ResponseWriter, r *http.Request) {
	e.with(w, r, func(found *running) {
		if found.state != container.StatePaused {
			fail(w, http.StatusConflict, fmt.Sprintf("Container %s is not paused", found.id))
			return
		}
		found.state = container.StateRunning
		close(found.thawed)
		e.emit(events.ActionUnPause, found)
		w.WriteHeader(http.StatusNoContent)
	})
}

func (e *Engine) removeContainer(w http.ResponseWriter, r *http.Request) {
	e.with(w, r, func(found *running) {
		if found.isUp() && !flag(r, "force") {
			fail(w, http.StatusConflict, fmt.Sprintf("cannot remove container %q: container is running", "/"+found.name))
			return
		}
		automatic := found.hostConfig.AutoRemove && found.isUp()
		e.exit(found, 137)
		if !automatic { // exit has removed it then
			e.remove(found)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// waitContainer answers with the headers at once, as clients begin to wait before they start or remove a container, and
// with the exit status when the condition is met.
func (e *Engine) waitContainer(w http.ResponseWriter, r *http.Request) {
	var met chan struct{}
	var found *running
	e.with(w, r, func(waited *running) {
		found = waited
		switch condition := r.URL.Query().Get("condition"); {
		case condition == string(container.WaitConditionRemoved):
			met = waited.removed
		case waited.isUp() || condition == string(container.WaitConditionNextExit):
			met = waited.exited
		default:
			met = make(chan struct{})
			close(met)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
	})
	if found == nil {
		return
	}
	select {
	case <-met:
		e.mutex.Lock()
		defer e.mutex.Unlock()
		json.NewEncoder(w).Encode(container.WaitResponse{StatusCode: int64(found.exitCode)})
	case <-r.Context().Done():
	case <-e.closed:
	}
}

// attachContainer turns the call's connection into the container's stdin, stdout and stderr.
func (e *Engine) attachContainer(w http.ResponseWriter, r *http.Request) {
	e.with(w, r, func(found *running) {
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		fmt.Fprint(connection, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"+
			"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		found.attached = attachment{connection, buffered.Reader}
	})
}

// attachment is a connection of which the server may have read a part already.
type attachment struct {
	net.Conn
	reader io.Reader
}

func (a attachment) Read(into []byte) (int, error) { return a.reader.Read(into) }

func (e *Engine) statFile(w http.ResponseWriter, r *http.Request) {
	e.with(w, r, func(found *running) {
		wanted := path.Clean(r.URL.Query().Get("path"))
		content, exists := found.files[wanted]
		if !exists {
			fail(w, http.StatusNotFound, fmt.Sprintf("Could not find the file %s in container %s", wanted, found.name))
			return
		}
		stat, err := json.Marshal(container.PathStat{Name: path.Base(wanted), Size: int64(len(content)), Mode: 0o644})
		if err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
		if r.Method == http.MethodHead {
			return
		}
		archive := tar.NewWriter(w)
		archive.WriteHeader(&tar.Header{Name: path.Base(wanted), Mode: 0o644, Size: int64(len(content))})
		io.WriteString(archive, content)
		archive.Close()
	})
}

func (e *Engine) extractFiles(w http.ResponseWriter, r *http.Request) {
	files := map[string]string{}
	for archive := tar.NewReader(r.Body); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var content []byte
		if err == nil {
			content, err = io.ReadAll(archive)
		}
		if err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		if header.Typeflag == tar.TypeReg {
			files[path.Join("/", r.URL.Query().Get("path"), header.Name)] = string(content)
		}
	}
	e.with(w, r, func(found *running) { maps.Copy(found.files, files) })
}
