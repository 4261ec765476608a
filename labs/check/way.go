package check

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
)

// Way returns the objects that the requests of a condition go through before they come to a pod: an Ingress and a Service, or a Service. It
// is empty where no requests are sent, or none of these is asked.
func (c *Checker) Way(ctx context.Context, condition course.Condition) ([]kube.Reference, error) {
	service := func(namespace, name string) kube.Reference {
		return kube.Reference{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: name}
	}
	switch e := condition.(type) {
	case *course.LoadBalancer:
		return []kube.Reference{service(e.Namespace, e.Service)}, nil
	case *course.HTTP:
		switch {
		case e.Ingress != "":
			return c.routed(ctx, e.Namespace, e.Ingress)
		case e.NodePort != "":
			return []kube.Reference{service(e.Namespace, e.NodePort)}, nil
		case e.Service != "":
			return []kube.Reference{service(e.Namespace, e.Service)}, nil
		}
	}
	return nil, nil
}

// routed are the Ingress that answers for a path at the lab's own address, and the Service that it leads to.
func (c *Checker) routed(ctx context.Context, namespace, path string) (way []kube.Reference, err error) {
	list, err := c.Cluster.NetworkingV1().Ingresses(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	path, _, _ = strings.Cut(path, "?")
	longest := ""
	for _, ingress := range list.Items {
		for _, route := range routes(&ingress) {
			if !route.takes(path) || route.host != "" || len(route.path) < len(longest) {
				continue
			}
			longest = route.path
			way = []kube.Reference{ingressReference(&ingress), {APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: route.service.Name}}
		}
	}
	return way, nil
}
