package check

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// What the lab's ingress controller is: its namespace and Deployment, and what its IngressClass says of it.
const (
	controllerNamespace = "ingress-nginx"
	controllerClass     = "k8s.io/ingress-nginx"
)

// route is one path of an Ingress.
type route struct {
	host, path string
	exact      bool
	service    *networkingv1.IngressServiceBackend
	// rule is the number of the rule that has it.
	rule int
}

// routes are the paths of an Ingress that lead to Services; its default backend answers every path.
func routes(ingress *networkingv1.Ingress) (all []route) {
	for i, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service != nil {
				exact := path.PathType != nil && *path.PathType == networkingv1.PathTypeExact
				all = append(all, route{rule.Host, cmp.Or(path.Path, "/"), exact, path.Backend.Service, i})
			}
		}
	}
	if backend := ingress.Spec.DefaultBackend; backend != nil && backend.Service != nil {
		all = append(all, route{path: "/", service: backend.Service})
	}
	return all
}

// takes reports whether a route answers for a path. What looks like a regular expression may.
func (r route) takes(path string) bool {
	switch {
	case strings.ContainsAny(r.path, "(*[$|"):
		return true
	case r.exact:
		return r.path == path
	}
	prefix := strings.TrimSuffix(r.path, "/") // element by element: /a is not a prefix of /ab
	return path == prefix || path == r.path || strings.HasPrefix(path, prefix+"/")
}

func ingressReference(ingress *networkingv1.Ingress) kube.Reference {
	return kube.Reference{APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Namespace: ingress.Namespace, Name: ingress.Name}
}

// ofIngress explains an Ingress: its class, its hosts, and every path of it.
func (c *Checker) ofIngress(object *unstructured.Unstructured) look {
	return func(ctx context.Context) (cause, error) {
		ingress, err := as[networkingv1.Ingress](object)
		if err != nil {
			return cause{}, err
		}
		looks := []look{func(ctx context.Context) (cause, error) { return c.classCause(ctx, &ingress) }}
		for _, route := range routes(&ingress) {
			looks = append(looks, func(ctx context.Context) (cause, error) { return c.backend(ctx, nil, &ingress, route) })
		}
		return first(ctx, append(looks, c.warning(object))...)
	}
}

// ingressCause follows a path of the ingress controller to the pods.
func (c *Checker) ingressCause(ctx context.Context, step *course.Step, namespace, path string) (cause, error) {
	list, err := c.Cluster.NetworkingV1().Ingresses(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	looks := []look{func(ctx context.Context) (cause, error) { return c.unrouted(ctx, namespace, path) }}
	for _, ingress := range list.Items {
		for _, route := range routes(&ingress) {
			if route.takes(path) && route.host == "" {
				looks = append(looks, func(ctx context.Context) (cause, error) {
					found, err := c.backend(ctx, step, &ingress, route)
					return found.through(ingressReference(&ingress)), err
				})
			}
		}
	}
	return first(ctx, append(looks, c.controllerCause, c.changesMatching)...)
}

// unrouted explains why no Ingress answers for a path at the lab's own address, going by what the Ingresses say: the
// controller may still do what they said before.
func (c *Checker) unrouted(ctx context.Context, namespace, path string) (cause, error) {
	list, err := c.Cluster.NetworkingV1().Ingresses(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	var hosted, classed cause
	var paths []string
	longest := ""
	for _, ingress := range list.Items {
		for _, route := range routes(&ingress) {
			if paths = append(paths, route.path); !route.takes(path) || len(route.path) < len(longest) {
				continue
			}
			longest = route.path
			wrong, err := c.classCause(ctx, &ingress)
			switch {
			case err != nil:
				return cause{}, err
			case route.host != "":
				hosted = c.hostCause(&ingress, route)
			case wrong.found():
				classed = wrong.through(ingressReference(&ingress))
			default:
				return cause{}, nil
			}
		}
	}
	switch {
	case hosted.found():
		return hosted, nil
	case classed.found():
		return classed, nil
	case len(paths) == 0:
		return cause{why: messages.T("no Ingress has the path %s", path)}, nil
	}
	return cause{why: messages.T("no Ingress has the path %s; there are %s", path, paths)}, nil
}

// hostCause explains a rule for another host than the lab's address.
func (c *Checker) hostCause(ingress *networkingv1.Ingress, route route) cause {
	r, here := ingressReference(ingress), c.Place.Ingress
	if address, err := url.Parse(here); err == nil {
		here = address.Hostname()
	}
	patch := fmt.Sprintf("[{op: remove, path: /spec/rules/%d/host}]", route.rule)
	return cause{why: messages.T("ingress %s has the path %s for requests to the host %s only, not to %s", ingress.Name, route.path, route.host, here),
		next: messages.Kubectl(r.Namespace, "patch", "ingress", r.Name, "--type=json", "-p", patch).Text()}.through(r)
}

// classCause explains an Ingress that the lab's controller does not take for its own.
func (c *Checker) classCause(ctx context.Context, ingress *networkingv1.Ingress) (cause, error) {
	list, err := c.Cluster.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 { // there is no controller
		return cause{}, err
	}
	wanted := ingress.Annotations["kubernetes.io/ingress.class"]
	if ingress.Spec.IngressClassName != nil {
		wanted = *ingress.Spec.IngressClassName
	}
	ours := ""
	for _, class := range list.Items {
		if class.Spec.Controller != controllerClass {
			continue
		}
		if ours = class.Name; ours == wanted {
			return cause{}, nil
		}
	}
	if ours == "" {
		return cause{}, nil
	}
	why := messages.T("ingress %s has the class %s, and the lab's controller is for %s", ingress.Name, wanted, ours)
	if wanted == "" {
		why = messages.T("ingress %s has no class, and the lab's controller is for %s", ingress.Name, ours)
	}
	return cause{why: why, next: messages.Kubectl(ingress.Namespace, "patch", "ingress", ingress.Name, "-p", "spec: {ingressClassName: "+ours+"}").Text()}, nil
}

// changesMatching names an Ingress that has the controller read all paths of a host as regular expressions
// (https://kubernetes.github.io/ingress-nginx/user-guide/ingress-path-matching/).
// Those of all namespaces share the lab's address.
func (c *Checker) changesMatching(ctx context.Context) (cause, error) {
	list, err := c.Cluster.NetworkingV1().Ingresses(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	for _, ingress := range list.Items {
		if slices.ContainsFunc(routes(&ingress), func(route route) bool { return route.host != "" }) {
			continue
		}
		for _, name := range []string{"use-regex", "rewrite-target"} {
			if value := ingress.Annotations["nginx.ingress.kubernetes.io/"+name]; value != "" && value != "false" {
				r := ingressReference(&ingress)
				return cause{why: messages.T("ingress %s has the annotation %s, which changes how the paths of all Ingresses for its host are matched", ingress.Name, name),
					next: messages.Kubectl(r.Namespace, "annotate", "ingress", r.Name, "nginx.ingress.kubernetes.io/"+name+"-").Text()}.through(r), nil
			}
		}
	}
	return cause{}, nil
}

// controllerCause explains an ingress controller that does not run.
func (c *Checker) controllerCause(ctx context.Context) (cause, error) {
	r := kube.Reference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: controllerNamespace, Name: "ingress-nginx-controller"}
	controller, err := c.Cluster.Get(ctx, r)
	if err != nil || controller == nil {
		return cause{}, err
	}
	found, err := c.explain(ctx, controller)
	if _, wanted, _ := wished(controller); err == nil && !found.found() && wanted == 0 {
		found = cause{why: messages.T("the ingress controller is scaled to 0"), next: messages.Kubectl(r.Namespace, "scale", typed(r), "--replicas=1").Text()}.through(r)
	}
	return found, err
}

// backendCause looks at every path of an Ingress.
func (c *Checker) backendCause(ctx context.Context, step *course.Step, object *unstructured.Unstructured) (cause, error) {
	ingress, err := as[networkingv1.Ingress](object)
	if err != nil {
		return cause{}, err
	}
	var looks []look
	for _, route := range routes(&ingress) {
		looks = append(looks, func(ctx context.Context) (cause, error) { return c.backend(ctx, step, &ingress, route) })
	}
	return first(ctx, looks...)
}

// backend follows one path to its Service; step may be nil.
func (c *Checker) backend(ctx context.Context, step *course.Step, ingress *networkingv1.Ingress, route route) (cause, error) {
	namespace := ingress.Namespace
	edit := messages.Kubectl(namespace, "edit", "ingress", ingress.Name).Text()
	service, err := c.Cluster.CoreV1().Services(namespace).Get(ctx, route.service.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		why := messages.T("ingress %s sends %s to the Service %s, which is not there", ingress.Name, route.path, route.service.Name)
		if step == nil {
			return cause{why: why, next: edit}, nil
		}
		missing, err := c.missing(ctx, step, kube.Reference{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: route.service.Name})
		if missing.next.IsZero() { // it is no Service of the course's
			missing.next = edit
		}
		return cause{why: why, next: missing.next}, err
	}
	if err != nil {
		return cause{}, err
	}
	var ports []string
	for _, port := range service.Spec.Ports {
		if port.Port == route.service.Port.Number || port.Name != "" && port.Name == route.service.Port.Name {
			return c.serviceCause(ctx, namespace, route.service.Name)
		}
		ports = append(ports, fmt.Sprint(port.Port))
	}
	wanted := route.service.Port.Name
	if wanted == "" {
		wanted = fmt.Sprint(route.service.Port.Number)
	}
	return cause{why: messages.T("ingress %s sends %s to port %s of service %s, which has port %s only",
		ingress.Name, route.path, wanted, route.service.Name, ports), next: edit}, nil
}
