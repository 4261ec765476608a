package dashboard

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// batch is how long changes are collected before pages are told of them.
const batch = 50 * time.Millisecond

// picture is what is drawn of a cluster: all of it is kept, as drawing one object may need others.
type picture struct {
	hub   *hub
	mutex sync.Mutex
	// drawn are the objects without what others add to them.
	drawn map[string]*object
	// slices are the pods that get the traffic of a Service's, by the EndpointSlices' names.
	slices map[string]map[string][]string
	// revisions are those of Helm's releases that are shown, by ID and number.
	revisions map[string]map[int]*object
	// classes are the names of the IngressClasses.
	classes map[string]bool
	// dirty has the IDs of what has changed since pages were told last.
	dirty map[string]bool
	wake  chan struct{}
}

// watch keeps the hub's objects like the cluster's, until ctx ends. It returns once all that is there is known.
func watch(ctx context.Context, hub *hub, api kubernetes.Interface) error {
	p := &picture{hub: hub, drawn: map[string]*object{}, slices: map[string]map[string][]string{}, revisions: map[string]map[int]*object{},
		classes: map[string]bool{}, dirty: map[string]bool{}, wake: make(chan struct{}, 1)}
	factory := informers.NewSharedInformerFactoryWithOptions(api, 0, informers.WithTransform(slim))
	core, apps, batches := factory.Core().V1(), factory.Apps().V1(), factory.Batch().V1()
	all := []cache.SharedIndexInformer{
		core.Namespaces().Informer(), core.Nodes().Informer(), core.ConfigMaps().Informer(), core.Secrets().Informer(), core.PersistentVolumeClaims().Informer(),
		core.ResourceQuotas().Informer(), core.Services().Informer(), core.Pods().Informer(), factory.Discovery().V1().EndpointSlices().Informer(),
		apps.Deployments().Informer(), apps.ReplicaSets().Informer(), apps.StatefulSets().Informer(), apps.DaemonSets().Informer(),
		batches.Jobs().Informer(), batches.CronJobs().Informer(),
		factory.Networking().V1().IngressClasses().Informer(), factory.Networking().V1().Ingresses().Informer(),
	}
	var known []cache.InformerSynced
	for _, informer := range all {
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: p.changed, UpdateFunc: func(_, now any) { p.changed(now) }, DeleteFunc: p.removed})
		if err != nil {
			return err
		}
		known = append(known, registration.HasSynced)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), known...) {
		return context.Cause(ctx)
	}
	hub.replace(p.all())
	go p.run(ctx)
	return nil
}

// slim takes out what is large and not shown: what is in Secrets, and who has written what.
func slim(found any) (any, error) {
	if object, is := found.(metav1.Object); is {
		object.SetManagedFields(nil)
		annotations := object.GetAnnotations()
		delete(annotations, corev1.LastAppliedConfigAnnotation) // which has all of a Secret once more
		object.SetAnnotations(annotations)
	}
	switch found := found.(type) {
	case *corev1.Secret:
		if found.Type == helmSecret && drawn(found.Namespace) {
			noteChart(found)
		}
		for key := range found.Data {
			found.Data[key] = nil
		}
	case *corev1.ConfigMap:
		for key := range found.Data {
			found.Data[key] = ""
		}
		for key := range found.BinaryData {
			found.BinaryData[key] = nil
		}
	}
	return found, nil
}

func (p *picture) changed(found any) { p.look(found, true) }

func (p *picture) removed(found any) {
	if last, is := found.(cache.DeletedFinalStateUnknown); is {
		found = last.Obj
	}
	p.look(found, false)
}

// look notes an object that is there, or has gone.
func (p *picture) look(found any, there bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	switch found := found.(type) {
	case *discoveryv1.EndpointSlice:
		p.endpoints(found, there)
		return
	case *networkingv1.IngressClass:
		p.class(found.Name, there)
		return
	case *corev1.Secret:
		if found.Type == helmSecret {
			p.revision(found, there)
			return
		}
	}
	o := draw(found.(metav1.Object))
	if o == nil {
		return
	}
	if p.drawn[o.ID] = o; !there {
		delete(p.drawn, o.ID)
	}
	p.mark(o.ID, o.release)
}

// revision notes a revision of a release; the highest of those that are shown stands for it.
func (p *picture) revision(found *corev1.Secret, there bool) {
	release := id("Release", found.Namespace, found.Labels["name"])
	number, err := strconv.Atoi(found.Labels["version"])
	if err != nil { // which Helm does not write
		return
	}
	if p.revisions[release] == nil {
		p.revisions[release] = map[int]*object{}
	}
	o := draw(found)
	if p.revisions[release][number] = o; o == nil || !there {
		delete(p.revisions[release], number)
	}
	if delete(p.drawn, release); len(p.revisions[release]) > 0 {
		p.drawn[release] = p.revisions[release][slices.Max(slices.Collect(maps.Keys(p.revisions[release])))]
	}
	p.mark(release)
}

// class notes an IngressClass, which all Ingresses may be waiting for.
func (p *picture) class(name string, there bool) {
	if p.classes[name] = true; !there {
		delete(p.classes, name)
	}
	for id, o := range p.drawn {
		if o.Kind == "Ingress" {
			p.mark(id)
		}
	}
}

// serving are the pods that a slice sends traffic to.
func serving(slice *discoveryv1.EndpointSlice) (pods []string) {
	for _, endpoint := range slice.Endpoints {
		if is := endpoint.Conditions.Ready; endpoint.TargetRef != nil && (is == nil || *is) {
			pods = append(pods, id(endpoint.TargetRef.Kind, slice.Namespace, endpoint.TargetRef.Name))
		}
	}
	return pods
}

// endpoints notes a slice of a Service's pods.
func (p *picture) endpoints(slice *discoveryv1.EndpointSlice, there bool) {
	service := id("Service", slice.Namespace, slice.Labels[discoveryv1.LabelServiceName])
	if p.slices[service] == nil {
		p.slices[service] = map[string][]string{}
	}
	if p.slices[service][slice.Name] = serving(slice); !there {
		delete(p.slices[service], slice.Name)
	}
	p.mark(service)
}

// mark notes what has to be drawn again.
func (p *picture) mark(ids ...string) {
	for _, id := range ids {
		if id != "" {
			p.dirty[id] = true
		}
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run tells of changes as they come, some at a time.
func (p *picture) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(batch):
		}
		p.tell()
	}
}

// all is everything as it is drawn now.
func (p *picture) all() map[string]*object {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	all := map[string]*object{}
	for id := range p.drawn {
		all[id] = p.whole(id)
	}
	p.dirty = map[string]bool{}
	return all
}

// tell hands what has changed to the hub.
func (p *picture) tell() {
	p.mutex.Lock()
	changed := map[string]*object{}
	for id := range p.dirty {
		changed[id] = p.whole(id)
	}
	p.dirty = map[string]bool{}
	p.mutex.Unlock()
	for id, o := range changed {
		if known := p.hub.find(id); (known == nil) == (o == nil) && (o == nil || reflect.DeepEqual(known, o)) {
			delete(changed, id)
		}
	}
	if len(changed) > 0 {
		p.hub.put(changed)
	}
}

// whole is an object with what others add to it, or nil where there is none.
func (p *picture) whole(id string) *object {
	known := p.drawn[id]
	if known == nil {
		return nil
	}
	o := *known
	switch o.Kind {
	case "Ingress":
		o.served(p.classes)
	case "Service":
		o.behind(slices.Sorted(maps.Keys(p.pods(id))))
	case "Release":
		for other, part := range p.drawn {
			if part.release == id {
				o.To = append(o.To, other)
			}
		}
		slices.Sort(o.To)
	}
	return &o
}

// pods are those behind a Service, by ID.
func (p *picture) pods(service string) map[string]bool {
	all := map[string]bool{}
	for _, slice := range p.slices[service] {
		for _, pod := range slice {
			all[pod] = true
		}
	}
	return all
}
