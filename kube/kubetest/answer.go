package kubetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// plural is the name of a kind's resource.
func plural(kind schema.GroupVersionKind) (string, string) {
	if kind.Kind == "Endpoints" {
		return "endpoints", "endpoints"
	}
	many, one := meta.UnsafeGuessKindToResource(kind)
	return many.Resource, one.Resource
}

// target is what a request is about.
type target struct {
	key
	kind        metav1.APIResource
	subresource string
}

func (t target) resource() schema.GroupResource {
	return schema.GroupResource{Group: t.group, Resource: t.key.resource}
}

// answer does what a request asks for. changed is the object that it wrote.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) (result any, changed *unstructured.Unstructured, err error) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if described := s.describe(parts); described != nil {
		return described, nil, nil
	}
	t, found := s.target(parts)
	if !found {
		return nil, nil, apierrors.NewGenericServerResponse(http.StatusNotFound, r.Method, schema.GroupResource{}, "", "the server could not find the requested resource", 0, true)
	}
	query := r.URL.Query()
	selects, err := selector(t, query.Get("labelSelector"), query.Get("fieldSelector"))
	if err != nil {
		return nil, nil, err
	}
	if r.Method == http.MethodGet && query.Get("watch") != "" && query.Get("watch") != "false" {
		if query.Has("sendInitialEvents") { // as an API server before 1.27 does; clients list and watch then
			return nil, nil, apierrors.NewInvalid(schema.GroupKind{Kind: "ListOptions"}, "", nil)
		}
		return nil, nil, s.watch(w, r, query.Get("resourceVersion"), selects)
	}
	content, err := read(r)
	if err != nil {
		return nil, nil, err
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	there := s.objects[t.key]
	if there == nil && t.name != "" && r.Method != http.MethodPatch {
		return nil, nil, apierrors.NewNotFound(t.resource(), t.name)
	}
	manager := query.Get("fieldManager")
	if manager == "" {
		manager, _, _ = strings.Cut(r.UserAgent(), "/")
	}
	dry := query.Get("dryRun") != ""
	switch r.Method {
	case http.MethodGet:
		if t.name != "" {
			return there.DeepCopy(), nil, nil
		}
		return s.list(t, selects), nil, nil
	case http.MethodPost:
		return s.create(t, content, manager, dry)
	case http.MethodPut:
		return s.write(t, there, content, manager, "Update", dry)
	case http.MethodPatch:
		return s.patch(t, there, content, manager, types.PatchType(r.Header.Get("Content-Type")), dry)
	case http.MethodDelete:
		return s.remove(t, content, selects)
	}
	return nil, nil, apierrors.NewMethodNotSupported(t.resource(), r.Method)
}

// read returns what a client sent, in JSON: clients of Kubernetes' own kinds send another format.
func read(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	content, err := io.ReadAll(r.Body)
	if err != nil || !bytes.HasPrefix(content, []byte("k8s\x00")) {
		return content, err
	}
	object, kind, err := scheme.Codecs.UniversalDeserializer().Decode(content, nil, nil)
	if err != nil {
		return nil, err
	}
	object.GetObjectKind().SetGroupVersionKind(*kind)
	return json.Marshal(object)
}

// describe answers what clients ask before they ask for objects.
func (s *Server) describe(parts []string) any {
	s.lock.Lock()
	defer s.lock.Unlock()
	switch path := strings.Join(parts, "/"); {
	case path == "api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case path == "apis":
		return s.groups()
	case path == "version":
		return map[string]string{"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
	case path == "readyz":
		return "ok"
	case path == "openapi/v3":
		return s.schemas()
	case strings.HasPrefix(path, "openapi/v3/"):
		return s.schema(parts[2:])
	case path == "api/v1", len(parts) == 3 && parts[0] == "apis":
		version := schema.GroupVersion{Version: parts[len(parts)-1]}
		if parts[0] == "apis" {
			version.Group = parts[1]
		}
		list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: version.String()}
		for _, kind := range s.kinds {
			if kind.Group == version.Group && kind.Version == version.Version {
				list.APIResources = append(list.APIResources, kind)
			}
		}
		return list
	}
	return nil
}

// schemas lists the versions of the API whose schemas can be had.
func (s *Server) schemas() any {
	paths := map[string]any{}
	for _, kind := range s.kinds {
		path := "apis/" + kind.Group + "/" + kind.Version
		if kind.Group == "" {
			path = "api/" + kind.Version
		}
		paths[path] = map[string]string{"serverRelativeURL": "/openapi/v3/" + path}
	}
	return map[string]any{"paths": paths}
}

// schema says of each kind of a version of the API that the server validates it, so that Helm and kubectl do not.
func (s *Server) schema(parts []string) any {
	paths := map[string]any{}
	for _, kind := range s.kinds {
		if kind.Version != parts[len(parts)-1] || kind.Group != "" && kind.Group != parts[1] {
			continue
		}
		paths["/"+kind.Name] = map[string]any{"patch": map[string]any{
			"x-kubernetes-group-version-kind": map[string]string{"group": kind.Group, "version": kind.Version, "kind": kind.Kind},
			"parameters":                      []any{map[string]string{"name": "fieldValidation", "in": "query"}},
			"responses":                       map[string]any{},
		}}
	}
	return map[string]any{"openapi": "3.0.0", "info": map[string]string{"title": "kubetest", "version": "v1"}, "paths": paths}
}

func (s *Server) groups() metav1.APIGroupList {
	versions := map[string][]metav1.GroupVersionForDiscovery{}
	for _, kind := range s.kinds {
		version := metav1.GroupVersionForDiscovery{GroupVersion: schema.GroupVersion{Group: kind.Group, Version: kind.Version}.String(), Version: kind.Version}
		if kind.Group != "" && !slices.Contains(versions[kind.Group], version) {
			versions[kind.Group] = append(versions[kind.Group], version)
		}
	}
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		list.Groups = append(list.Groups, metav1.APIGroup{Name: name, Versions: versions[name], PreferredVersion: versions[name][0]})
	}
	return list
}

// target reads a path: .../namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE.
func (s *Server) target(parts []string) (t target, found bool) {
	var version schema.GroupVersion
	switch {
	case len(parts) > 2 && parts[0] == "api":
		version.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		version.Group, version.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return t, false
	}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		t.namespace, parts = parts[1], parts[2:]
	}
	t.group, t.key.resource = version.Group, parts[0]
	if len(parts) > 1 {
		t.name = parts[1]
	}
	t.subresource = strings.Join(parts[min(2, len(parts)):], "/")
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, kind := range s.kinds {
		if kind.Group == version.Group && kind.Version == version.Version && kind.Name == parts[0] {
			t.kind = kind
			return t, slices.Contains([]string{"", "status", "finalize"}, t.subresource)
		}
	}
	return t, false
}

// selector reports which objects a list or a watch is about.
func selector(t target, byLabels, byFields string) (func(key, *unstructured.Unstructured) bool, error) {
	wantedLabels, err := labels.Parse(byLabels)
	if err != nil {
		return nil, err
	}
	wantedFields, err := fields.ParseSelector(byFields)
	if err != nil {
		return nil, err
	}
	return func(at key, object *unstructured.Unstructured) bool {
		return at.group == t.group && at.resource == t.key.resource && (t.namespace == "" || t.namespace == at.namespace) && (t.name == "" || t.name == at.name) &&
			wantedLabels.Matches(labels.Set(object.GetLabels())) && wantedFields.Matches(paths{object})
	}, nil
}

// paths are an object's fields, by "metadata.name" and the like.
type paths struct{ object *unstructured.Unstructured }

func (p paths) Has(path string) bool { return p.Get(path) != "" }

func (p paths) Get(path string) string {
	value, found, err := unstructured.NestedFieldNoCopy(p.object.Object, strings.Split(path, ".")...)
	if err != nil || !found {
		return ""
	}
	return fmt.Sprint(value)
}

func (s *Server) list(t target, selects func(key, *unstructured.Unstructured) bool) map[string]any {
	items := []any{}
	for at, object := range s.objects {
		if selects(at, object) {
			items = append(items, object.DeepCopy().Object)
		}
	}
	return map[string]any{
		"apiVersion": schema.GroupVersion{Group: t.group, Version: t.kind.Version}.String(), "kind": t.kind.Kind + "List",
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(len(s.log))}, "items": items,
	}
}

// watch sends what is there, or what has changed since a resource version, and what changes until the client goes.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, since string, selects func(key, *unstructured.Unstructured) bool) error {
	at, _ := strconv.Atoi(since)
	encoder := json.NewEncoder(w)
	send := func(event watch.EventType, object *unstructured.Unstructured) error {
		return encoder.Encode(map[string]any{"type": event, "object": object.Object})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flusher, flushes := w.(http.Flusher)
	s.lock.Lock()
	var there []*unstructured.Unstructured
	if at == 0 {
		at = len(s.log)
		for where, object := range s.objects {
			if selects(where, object) {
				there = append(there, object)
			}
		}
	}
	s.lock.Unlock()
	for _, object := range there {
		if send(watch.Added, object) != nil {
			return nil
		}
	}
	for {
		if flushes {
			flusher.Flush()
		}
		s.lock.Lock()
		coming, changed := slices.Clone(s.log[at:]), s.changed
		s.lock.Unlock()
		at += len(coming)
		for _, change := range coming {
			if selects(change.at, change.object) && send(change.kind, change.object) != nil {
				return nil
			}
		}
		if len(coming) > 0 {
			continue
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-changed:
		}
	}
}

func (s *Server) create(t target, content []byte, manager string, dry bool) (any, *unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(content); err != nil {
		return nil, nil, err
	}
	if t.kind.Namespaced {
		object.SetNamespace(t.namespace)
		if t.namespace != metav1.NamespaceDefault && s.objects[key{"", "namespaces", "", t.namespace}] == nil {
			return nil, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, t.namespace)
		}
	}
	if object.GetName() == "" && object.GetGenerateName() == "" {
		return nil, nil, apierrors.NewInvalid(schema.GroupKind{Group: t.group, Kind: t.kind.Kind}, "", nil)
	}
	if object.GetName() == "" {
		object.SetName(object.GetGenerateName() + strconv.Itoa(len(s.log)))
	}
	t.name = object.GetName()
	if s.objects[t.key] != nil {
		return nil, nil, apierrors.NewAlreadyExists(t.resource(), t.name)
	}
	managed(object, nil, manager, metav1.ManagedFieldsOperationUpdate, "")
	if dry {
		return object, nil, nil
	}
	object.SetUID("")
	s.store(t.key, object)
	return object.DeepCopy(), object, nil
}

// write replaces an object, or its status.
func (s *Server) write(t target, there *unstructured.Unstructured, content []byte, manager string, operation metav1.ManagedFieldsOperationType, dry bool) (any, *unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(content); err != nil {
		return nil, nil, err
	}
	if version := object.GetResourceVersion(); there != nil && version != "" && version != there.GetResourceVersion() {
		return nil, nil, apierrors.NewConflict(t.resource(), t.name, fmt.Errorf("resourceVersion: %s", there.GetResourceVersion()))
	}
	if t.subresource == "status" && there != nil {
		status := object.Object["status"]
		object = there.DeepCopy()
		object.Object["status"] = status
	}
	if t.kind.Namespaced {
		object.SetNamespace(t.namespace)
	}
	managed(object, there, manager, operation, t.subresource)
	if dry {
		return object, nil, nil
	}
	if there != nil && object.GetDeletionTimestamp() != nil && len(object.GetFinalizers()) == 0 && t.key.resource != "namespaces" {
		s.erase(t.key)
		return object, nil, nil
	}
	s.store(t.key, object)
	return object.DeepCopy(), object, nil
}

// managed notes who has written an object.
func managed(object, before *unstructured.Unstructured, manager string, operation metav1.ManagedFieldsOperationType, subresource string) {
	var entries []metav1.ManagedFieldsEntry
	if before != nil {
		entries = before.GetManagedFields()
	}
	if !slices.ContainsFunc(entries, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == manager && e.Operation == operation && e.Subresource == subresource
	}) {
		entries = append(entries, metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, Subresource: subresource, APIVersion: object.GetAPIVersion()})
	}
	object.SetManagedFields(entries)
}

func (s *Server) patch(t target, there *unstructured.Unstructured, content []byte, manager string, kind types.PatchType, dry bool) (any, *unstructured.Unstructured, error) {
	operation := metav1.ManagedFieldsOperationUpdate
	before := []byte("{}")
	if there != nil {
		var err error
		if before, err = there.MarshalJSON(); err != nil {
			return nil, nil, err
		}
	}
	var after []byte
	var err error
	switch kind {
	case types.ApplyYAMLPatchType:
		operation = metav1.ManagedFieldsOperationApply
		if t.kind.Namespaced && t.namespace != metav1.NamespaceDefault && s.objects[key{"", "namespaces", "", t.namespace}] == nil {
			return nil, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, t.namespace)
		}
		if content, err = yaml.YAMLToJSON(content); err == nil {
			after, err = jsonpatch.MergePatch(before, content)
		}
	case types.MergePatchType:
		after, err = jsonpatch.MergePatch(before, content)
	case types.StrategicMergePatchType:
		var typed any
		if typed, err = scheme.Scheme.New(schema.GroupVersionKind{Group: t.group, Version: t.kind.Version, Kind: t.kind.Kind}); err == nil {
			after, err = strategicpatch.StrategicMergePatch(before, content, typed)
		}
	case types.JSONPatchType:
		var patch jsonpatch.Patch
		if patch, err = jsonpatch.DecodePatch(content); err == nil {
			after, err = patch.Apply(before)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if there == nil && operation != metav1.ManagedFieldsOperationApply {
		return nil, nil, apierrors.NewNotFound(t.resource(), t.name)
	}
	return s.write(t, there, after, manager, operation, dry)
}

func (s *Server) remove(t target, content []byte, selects func(key, *unstructured.Unstructured) bool) (any, *unstructured.Unstructured, error) {
	var options metav1.DeleteOptions
	if len(content) > 0 {
		if err := json.Unmarshal(content, &options); err != nil {
			return nil, nil, err
		}
	}
	for at, object := range s.objects {
		if !selects(at, object) {
			continue
		}
		if wanted := options.Preconditions; wanted != nil && wanted.UID != nil && *wanted.UID != object.GetUID() {
			return nil, nil, apierrors.NewConflict(t.resource(), t.name, fmt.Errorf("UID: %s", object.GetUID()))
		}
		if len(options.DryRun) == 0 {
			s.end(at)
		}
	}
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}, nil, nil
}
