// Package kubetest is an API server in memory, for tests: clients of every kind work on it unchanged, and see the same
// objects. It needs no port, so that it can be used in a bubble of testing/synctest.
//
// It knows the kinds that the course uses, selectors, watches, preconditions, finalizers, owners and all kinds of patches.
// It validates nothing. Server-side apply merges, and never removes a field.
package kubetest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/hellolab/hellolab/kube"
)

// Server is an API server in memory.
type Server struct {
	t     testing.TB
	lock  sync.Mutex
	kinds []metav1.APIResource
	// log is every change so far; the resource version of an object is the number of changes up to its last.
	log     []change
	objects map[key]*unstructured.Unstructured
	// changed is closed at the next change.
	changed     chan struct{}
	intercepts  []func(http.ResponseWriter, *http.Request) bool
	controllers []func(*unstructured.Unstructured)
	down        error
	requests    []string
}

// key is where an object lies.
type key struct{ group, resource, namespace, name string }

type change struct {
	kind   watch.EventType
	at     key
	object *unstructured.Unstructured
}

// New returns a server that holds objects: typed ones or unstructured ones, of the kinds in [Kinds]. An object without a
// UID gets one.
func New(t testing.TB, objects ...runtime.Object) *Server {
	s := &Server{t: t, kinds: Kinds(), objects: map[key]*unstructured.Unstructured{}, changed: make(chan struct{})}
	s.Put(objects...)
	return s
}

// Config is how a client reaches the server.
func (s *Server) Config() *rest.Config {
	return &rest.Config{Host: "http://kubetest", Transport: s, QPS: -1}
}

// Cluster is a client of the server.
func (s *Server) Cluster() *kube.Cluster {
	s.t.Helper()
	cluster, err := kube.New(s.Config())
	s.check(err)
	return cluster
}

// Serve adds kinds that the server has objects of.
func (s *Server) Serve(kinds ...metav1.APIResource) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.kinds = append(s.kinds, kinds...)
}

// Intercept has answer see every request first, the latest one before the others; it returns true where it has answered.
func (s *Server) Intercept(answer func(http.ResponseWriter, *http.Request) bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.intercepts = slices.Insert(s.intercepts, 0, answer)
}

// Fail has requests of a method whose path ends with suffix fail with err, the first times of them; -1 is all.
func (s *Server) Fail(method, suffix string, times int, err apierrors.APIStatus) {
	s.fail(method, suffix, times, err, func(*http.Request) {})
}

// Lose is Fail for requests that are carried out all the same: only the answer is lost.
func (s *Server) Lose(method, suffix string, times int, err apierrors.APIStatus) {
	s.fail(method, suffix, times, err, func(r *http.Request) { s.ServeHTTP(httptest.NewRecorder(), r) })
}

func (s *Server) fail(method, suffix string, times int, err apierrors.APIStatus, before func(*http.Request)) {
	var lock sync.Mutex
	serving := false
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		lock.Lock()
		if serving || r.Method != method || !strings.HasSuffix(r.URL.Path, suffix) || times == 0 {
			lock.Unlock()
			return false
		}
		times--
		serving = true
		lock.Unlock()
		before(r)
		lock.Lock()
		serving = false
		lock.Unlock()
		Refuse(w, err)
		return true
	})
}

// Refuse answers a request with an error of the API.
func Refuse(w http.ResponseWriter, err apierrors.APIStatus) {
	status := err.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	reply(w, int(status.Code), status)
}

// Break has every request fail with err, as if the server did not run; nil has it run again.
func (s *Server) Break(err error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.down = err
}

// Control has act see every object that was made or changed, as a controller does. It may use Put and Delete.
func (s *Server) Control(act func(*unstructured.Unstructured)) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.controllers = append(s.controllers, act)
}

// Requests are those so far: "GET /api/v1/pods?watch=true".
func (s *Server) Requests() []string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.requests)
}

// Put creates or replaces objects as they are.
func (s *Server) Put(objects ...runtime.Object) {
	s.t.Helper()
	for _, object := range objects {
		stored := s.unstructured(object)
		s.lock.Lock()
		at, found := s.locate(stored)
		if found {
			s.store(at, stored)
		}
		s.lock.Unlock()
		if !found {
			s.t.Errorf("kubetest does not serve %s of %s", stored.GetKind(), stored.GetAPIVersion())
			continue
		}
		s.control(stored)
	}
}

// Get returns an object, or nil where there is none.
func (s *Server) Get(kind, namespace, name string) *unstructured.Unstructured {
	s.lock.Lock()
	defer s.lock.Unlock()
	for at, object := range s.objects {
		if object.GetKind() == kind && at.namespace == namespace && at.name == name {
			return object.DeepCopy()
		}
	}
	return nil
}

// All are the names of all objects, sorted: "Pod dev/web", "Namespace dev".
func (s *Server) All() []string {
	s.lock.Lock()
	defer s.lock.Unlock()
	var names []string
	for at, object := range s.objects {
		names = append(names, object.GetKind()+" "+strings.TrimPrefix(at.namespace+"/"+at.name, "/"))
	}
	slices.Sort(names)
	return names
}

// Delete removes an object, whatever its finalizers say.
func (s *Server) Delete(kind, namespace, name string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for at, object := range s.objects {
		if object.GetKind() == kind && at.namespace == namespace && at.name == name {
			s.erase(at)
		}
	}
}

func (s *Server) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
		s.t.FailNow()
	}
}

// unstructured is a copy of an object with its kind.
func (s *Server) unstructured(object runtime.Object) *unstructured.Unstructured {
	s.t.Helper()
	if given, ok := object.(*unstructured.Unstructured); ok {
		return given.DeepCopy()
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	s.check(err)
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	s.check(err)
	converted := &unstructured.Unstructured{Object: content}
	converted.SetGroupVersionKind(kinds[0])
	return converted
}

// locate finds where an object lies.
func (s *Server) locate(object *unstructured.Unstructured) (key, bool) {
	of := object.GroupVersionKind()
	for _, kind := range s.kinds {
		if kind.Group == of.Group && kind.Kind == of.Kind {
			at := key{kind.Group, kind.Name, object.GetNamespace(), object.GetName()}
			if kind.Namespaced && at.namespace == "" {
				at.namespace = metav1.NamespaceDefault
				object.SetNamespace(at.namespace)
			}
			return at, true
		}
	}
	return key{}, false
}

// store writes an object, and tells the watches.
func (s *Server) store(at key, object *unstructured.Unstructured) {
	before, event := s.objects[at], watch.Added
	number := strconv.Itoa(len(s.log) + 1)
	if before == nil {
		object.SetUID(cmp.Or(object.GetUID(), types.UID("uid-"+number)))
		object.SetGeneration(max(object.GetGeneration(), 1))
		if made := object.GetCreationTimestamp(); made.IsZero() {
			object.SetCreationTimestamp(metav1.NewTime(time.Now()))
		}
	} else {
		event = watch.Modified
		object.SetUID(before.GetUID())
		object.SetCreationTimestamp(before.GetCreationTimestamp())
		object.SetGeneration(max(before.GetGeneration(), object.GetGeneration()))
		if !equal(before.Object["spec"], object.Object["spec"]) {
			object.SetGeneration(before.GetGeneration() + 1)
		}
	}
	object.SetResourceVersion(number)
	s.objects[at] = object.DeepCopy()
	s.note(event, at, object.DeepCopy())
}

// note appends to the log, and wakes the watches.
func (s *Server) note(event watch.EventType, at key, object *unstructured.Unstructured) {
	s.log = append(s.log, change{event, at, object})
	close(s.changed)
	s.changed = make(chan struct{})
}

// erase removes an object with what it owns, and what is in it if it is a namespace. What has a finalizer stays, and a
// namespace stays with it.
func (s *Server) erase(at key) {
	object := s.objects[at]
	delete(s.objects, at)
	s.note(watch.Deleted, at, object)
	if namespace := (key{"", "namespaces", "", at.namespace}); at.namespace != "" && s.objects[namespace] != nil && s.objects[namespace].GetDeletionTimestamp() != nil {
		s.end(namespace)
	}
	for other, child := range s.objects {
		owned := slices.ContainsFunc(child.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return owner.UID == object.GetUID() })
		if owned {
			s.end(other)
		}
	}
}

// end begins to remove an object: it is gone at once, unless something holds it.
func (s *Server) end(at key) {
	object := s.objects[at]
	if object == nil {
		return
	}
	held := len(object.GetFinalizers()) > 0
	if at.resource == "namespaces" {
		for inside := range s.objects {
			if inside.namespace == at.name {
				s.end(inside)
				held = held || s.objects[inside] != nil
			}
		}
	}
	if !held {
		s.erase(at)
		return
	}
	if object.GetDeletionTimestamp() == nil {
		now := metav1.NewTime(time.Now())
		leaving := object.DeepCopy()
		leaving.SetDeletionTimestamp(&now)
		s.store(at, leaving)
	}
}

// control lets the controllers see an object.
func (s *Server) control(object *unstructured.Unstructured) {
	s.lock.Lock()
	controllers := slices.Clone(s.controllers)
	s.lock.Unlock()
	for _, act := range controllers {
		act(object.DeepCopy())
	}
}

func equal(a, b any) bool {
	one, _ := json.Marshal(a)
	other, _ := json.Marshal(b)
	return string(one) == string(other)
}

// RoundTrip answers a request without a network.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.lock.Lock()
	down := s.down
	s.lock.Unlock()
	if down != nil {
		return nil, down
	}
	ctx, cancel := context.WithCancel(r.Context())
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() { writer.CloseWithError(context.Cause(ctx)) })
	w := &response{header: http.Header{}, started: make(chan struct{}), body: writer}
	go func() {
		defer writer.Close()
		s.ServeHTTP(w, r.WithContext(ctx))
		w.WriteHeader(http.StatusOK)
	}()
	select {
	case <-w.started:
	case <-ctx.Done():
		cancel()
		return nil, context.Cause(ctx)
	}
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, ContentLength: -1,
		Body: body{reader, cancel}, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}, nil
}

// response is the writing end of a reply.
type response struct {
	header  http.Header
	once    sync.Once
	started chan struct{}
	status  int
	body    io.Writer
}

func (r *response) Header() http.Header { return r.header }

func (r *response) WriteHeader(status int) {
	r.once.Do(func() {
		r.status = status
		close(r.started)
	})
}

func (r *response) Write(content []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(content)
}

// Flush does nothing: what is written is read at once.
func (r *response) Flush() {}

// body is the reading end of a reply. Who closes it needs no more.
type body struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b body) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// ServeHTTP answers a request, for tests that need a port: httptest.NewServer(server).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.lock.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	intercepts := slices.Clone(s.intercepts)
	s.lock.Unlock()
	for _, answer := range intercepts {
		if answer(w, r) {
			return
		}
	}
	result, changed, err := s.answer(w, r)
	var refused apierrors.APIStatus
	switch {
	case errors.As(err, &refused):
		Refuse(w, refused)
	case err != nil:
		Refuse(w, apierrors.NewBadRequest(err.Error()))
	case result != nil:
		status := http.StatusOK
		if r.Method == http.MethodPost {
			status = http.StatusCreated
		}
		if changed != nil {
			s.control(changed)
		}
		reply(w, status, result)
	}
}

func reply(w http.ResponseWriter, status int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(content) // the client is gone
}

// Kinds are those that a server has: Kubernetes' own, as far as the course and hellolab use them.
func Kinds() []metav1.APIResource {
	var all []metav1.APIResource
	add := func(group, version string, namespaced bool, kinds ...string) {
		for _, kind := range kinds {
			name, _ := plural(schema.GroupVersionKind{Group: group, Version: version, Kind: kind})
			all = append(all, Kind(group, version, kind, name, namespaced))
		}
	}
	add("", "v1", true, "Pod", "Service", "ConfigMap", "Secret", "ServiceAccount", "Event", "Endpoints", "PersistentVolumeClaim", "LimitRange", "ResourceQuota")
	add("", "v1", false, "Namespace", "Node", "PersistentVolume")
	add("apps", "v1", true, "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision")
	add("batch", "v1", true, "Job", "CronJob")
	add("networking.k8s.io", "v1", true, "Ingress", "NetworkPolicy")
	add("networking.k8s.io", "v1", false, "IngressClass")
	add("discovery.k8s.io", "v1", true, "EndpointSlice")
	add("coordination.k8s.io", "v1", true, "Lease")
	add("rbac.authorization.k8s.io", "v1", true, "Role", "RoleBinding")
	add("rbac.authorization.k8s.io", "v1", false, "ClusterRole", "ClusterRoleBinding")
	add("storage.k8s.io", "v1", false, "StorageClass")
	add("admissionregistration.k8s.io", "v1", false, "ValidatingWebhookConfiguration")
	add("apiregistration.k8s.io", "v1", false, "APIService")
	return all
}

// Kind is a kind that a server can have.
func Kind(group, version, kind, plural string, namespaced bool) metav1.APIResource {
	return metav1.APIResource{Group: group, Version: version, Kind: kind, Name: plural, SingularName: strings.ToLower(kind), Namespaced: namespaced,
		Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"}}
}
