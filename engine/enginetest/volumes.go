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
	if !slices.Contains(e.networks, name) {
		e.networks = append(e.networks, name)
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
	for _, name := range e.networks {
		if wanted.Match("name", name) {
			all = append(all, network.Summary{Name: name, ID: name, Driver: "bridge", Scope: "local"})
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
	if slices.Contains(e.networks, wanted.Name) {
		fail(w, http.StatusConflict, fmt.Sprintf("network with name %s already exists", wanted.Name))
		return
	}
	e.networks = append(e.networks, wanted.Name)
	answer(w, http.StatusCreated, network.CreateResponse{ID: wanted.Name})
}

// knowsNetwork reports whether a network exists, and answers itself where it does not. The caller holds the mutex.
func (e *Engine) knowsNetwork(w http.ResponseWriter, name string) bool {
	exists := slices.Contains(e.networks, name)
	if !exists {
		fail(w, http.StatusNotFound, fmt.Sprintf("network %s not found", name))
	}
	return exists
}

func (e *Engine) inspectNetwork(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	name := r.PathValue("name")
	if !e.knowsNetwork(w, name) {
		return
	}
	members := map[string]network.EndpointResource{}
	for _, candidate := range e.containers {
		if slices.Contains(candidate.networks, name) {
			members[candidate.id] = network.EndpointResource{Name: candidate.name}
		}
	}
	answer(w, http.StatusOK, network.Inspect{Name: name, ID: name, Driver: "bridge", Scope: "local", Containers: members})
}

func (e *Engine) removeNetwork(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	name := r.PathValue("name")
	if e.knowsNetwork(w, name) {
		e.networks = slices.DeleteFunc(e.networks, func(other string) bool { return other == name })
		w.WriteHeader(http.StatusNoContent)
	}
}

func (e *Engine) connectNetwork(w http.ResponseWriter, r *http.Request) {
	var wanted network.ConnectOptions
	if !decode(w, r, &wanted) {
		return
	}
	e.changeNetworks(w, r, wanted.Container, func(member *running, name string) {
		if slices.Contains(member.networks, name) {
			fail(w, http.StatusForbidden, fmt.Sprintf("endpoint with name %s already exists in network %s", member.name, name))
			return
		}
		member.networks = append(member.networks, name)
	})
}

func (e *Engine) disconnectNetwork(w http.ResponseWriter, r *http.Request) {
	var wanted network.DisconnectOptions
	if !decode(w, r, &wanted) {
		return
	}
	e.changeNetworks(w, r, wanted.Container, func(member *running, name string) {
		member.networks = slices.DeleteFunc(member.networks, func(other string) bool { return other == name })
	})
}

// changeNetworks hands a container and a network to change, where both exist.
func (e *Engine) changeNetworks(w http.ResponseWriter, r *http.Request, member string, change func(member *running, network string)) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	name := r.PathValue("id")
	if !e.knowsNetwork(w, name) {
		return
	}
	found := e.find(member)
	if found == nil {
		fail(w, http.StatusNotFound, "No such container: "+member)
		return
	}
	change(found, name)
}
