package kube

import (
	"context"
	"errors"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// mostOfKind is how many objects of a kind All returns.
const mostOfKind = 2000

// All returns the objects of every kind in every namespace, Kubernetes' own and events among them, for a report. With an
// error, those that could be had are returned with it.
func (c *Cluster) All(ctx context.Context) ([]*unstructured.Unstructured, error) {
	lists, err := c.discovery.ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	var resources []schema.GroupVersionResource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil || version.Group == "events.k8s.io" { // the same as v1's
			continue
		}
		for _, kind := range list.APIResources {
			if verbs(kind, "list") {
				resources = append(resources, version.WithResource(kind.Name))
			}
		}
	}
	return c.allOf(ctx, resources, err)
}

func (c *Cluster) allOf(ctx context.Context, resources []schema.GroupVersionResource, err error) ([]*unstructured.Unstructured, error) {
	var work sync.WaitGroup
	lists := make([]*unstructured.UnstructuredList, len(resources))
	failed := make([]error, len(resources))
	for i, resource := range resources {
		work.Go(func() {
			lists[i], failed[i] = c.objects.Resource(resource).List(ctx, metav1.ListOptions{Limit: mostOfKind})
		})
	}
	work.Wait()
	var all []*unstructured.Unstructured
	for _, list := range lists {
		if list == nil {
			continue
		}
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
	}
	return all, errors.Join(append(failed, err)...)
}
