package enginetest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
)

// AddVolume puts a volume into the engine, as if somebody had made it before.
func (e *Engine) AddVolume(name string, labels map[string]string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.addVolume(name, labels)
}

// RemoveVolume takes a volume away, whatever uses it.
func (e *Engine) RemoveVolume(name string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	delete(e.volumes, name)
}

// Volume returns a volume by its name.
func (e *Engine) Volume(name string) (volume.Volume, bool) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if found, exists := e.volumes[name]; exists {
		return *found, true
	}
	return volume.Volume{}, false
}

// Volumes lists the names of all volumes, sorted.
func (e *Engine) Volumes() []string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Sorted(maps.Keys(e.volumes))
}

// AddNetwork puts a network into the engine.
func (e *Engine) AddNetwork(name string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.addNetwork(name)
}

// RemoveNetwork takes a network away, even one that containers are on: they do not start again then.
func (e *Engine) RemoveNetwork(name string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	delete(e.networks, name)
}

// addNetwork makes a network, unless there is one of that name. The caller holds the mutex.
func (e *Engine) addNetwork(name string) {
	if _, exists := e.networks[name]; !exists {
		e.made++
		e.networks[name] = fmt.Sprintf("%s-%d", name, e.made)
	}
}

// addVolume makes a volume. The caller holds the mutex.
func (e *Engine) addVolume(name string, labels map[string]string) *volume.Volume {
	added := &volume.Volume{Name: name, Labels: labels, Driver: "local", Scope: "local", CreatedAt: e.now().UTC().Format(time.RFC3339)}
	e.volumes[name] = added
	return added
}

func (e *Engine) listVolumes(w http.ResponseWriter, r *http.Request) {
	wanted, ok := filtersOf(w, r)
	if !ok {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	found := volume.ListResponse{Volumes: []*volume.Volume{}}
	for _, name := range slices.Sorted(maps.Keys(e.volumes)) {
		if wanted.MatchKVList("label", e.volumes[name].Labels) && wanted.Match("name", name) {
			found.Volumes = append(found.Volumes, e.volumes[name])
		}
	}
	answer(w, http.StatusOK, found)
}

func (e *Engine) createVolume(w http.ResponseWriter, r *http.Request) {
	var wanted volume.CreateOptions
	if !decode(w, r, &wanted) {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	found, exists := e.volumes[wanted.Name]
	if !exists { // otherwise the volume stays as it is, labels too
		found = e.addVolume(wanted.Name, wanted.Labels)
	}
	answer(w, http.StatusCreated, found)
}

func (e *Engine) inspectVolume(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	found, exists := e.volumes[r.PathValue("name")]
	if !exists {
		fail(w, http.StatusNotFound, fmt.Sprintf("get %s: no such volume", r.PathValue("name")))
		return
	}
	answer(w, http.StatusOK, found)
}

func (e *Engine) removeVolume(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if _, exists := e.volumes[name]; !exists {
		fail(w, http.StatusNotFound, fmt.Sprintf("get %s: no such volume", name))
		return
	}
	for _, user := range e.containers {
		for _, mounted := range user.hostConfig.Mounts {
			if mounted.Source == name {
				fail(w, http.StatusConflict, fmt.Sprintf("remove %s: volume is in use - [%s]", name, user.id))
				return
			}
		}
	}
	delete(e.volumes, name)
	w.WriteHeader(http.StatusNoContent)
}

func (e *Engine) listNetworks(w http.ResponseWriter, r *http.Request) {
	wanted, ok := filtersOf(w, r)
	if !ok {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	all := []network.Summary{}
	for name, id := range e.networks {
		if wanted.Match("name", name) {
			all = append(all, network.Summary{Name: name, ID: id, Driver: "bridge", Scope: "local"})
		}
	}
	answer(w, http.StatusOK, all)
}

func (e *Engine) createNetwork(w http.ResponseWriter, r *http.Request) {
	var wanted network.CreateRequest
	if !decode(w, r, &wanted) {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if _, exists := e.networks[wanted.Name]; exists {
		fail(w, http.StatusConflict, fmt.Sprintf("network with name %s already exists", wanted.Name))
		return
	}
	e.addNetwork(wanted.Name)
	answer(w, http.StatusCreated, network.CreateResponse{ID: e.networks[wanted.Name]})
}

// findNetwork returns the name of the network of a request, which names it or its ID, and answers itself where there is
// none. The caller holds the mutex.
func (e *Engine) findNetwork(w http.ResponseWriter, r *http.Request) (found string, exists bool) {
	wanted := r.PathValue("network")
	for name, id := range e.networks {
		if name == wanted || id == wanted {
			return name, true
		}
	}
	fail(w, http.StatusNotFound, fmt.Sprintf("network %s not found", wanted))
	return "", false
}

func (e *Engine) inspectNetwork(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	name, exists := e.findNetwork(w, r)
	if !exists {
		return
	}
	members := map[string]network.EndpointResource{}
	for _, candidate := range e.containers {
		if candidate.networks[name] == e.networks[name] {
			members[candidate.id] = network.EndpointResource{Name: candidate.name}
		}
	}
	answer(w, http.StatusOK, network.Inspect{Name: name, ID: e.networks[name], Driver: "bridge", Scope: "local", Containers: members})
}

func (e *Engine) removeNetwork(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if name, exists := e.findNetwork(w, r); exists {
		delete(e.networks, name)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (e *Engine) connectNetwork(w http.ResponseWriter, r *http.Request) {
	var wanted network.ConnectOptions
	if !decode(w, r, &wanted) {
		return
	}
	e.changeNetworks(w, r, wanted.Container, func(member *running, name string) {
		if _, connected := member.networks[name]; connected {
			fail(w, http.StatusForbidden, fmt.Sprintf("endpoint with name %s already exists in network %s", member.name, name))
			return
		}
		member.networks[name] = e.networks[name]
	})
}

func (e *Engine) disconnectNetwork(w http.ResponseWriter, r *http.Request) {
	var wanted network.DisconnectOptions
	if !decode(w, r, &wanted) {
		return
	}
	e.changeNetworks(w, r, wanted.Container, func(member *running, name string) {
		delete(member.networks, name)
	})
}

// changeNetworks hands a container and a network to change, where both exist.
func (e *Engine) changeNetworks(w http.ResponseWriter, r *http.Request, member string, change func(member *running, network string)) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	name, exists := e.findNetwork(w, r)
	if !exists {
		return
	}
	found := e.find(member)
	if found == nil {
		fail(w, http.StatusNotFound, "No such container: "+member)
		return
	}
	change(found, name)
}
