package check

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// publishedPort is the one port of the nodes that is published on this machine, at Place.NodePort.
const publishedPort = 30000

func number(n int32) string { return strconv.Itoa(int(n)) }

func serviceReference(service corev1.Service) kube.Reference {
	return kube.Reference{APIVersion: "v1", Kind: "Service", Namespace: service.Namespace, Name: service.Name}
}

// ofService explains a Service, and why it cannot be reached from this machine.
func (c *Checker) ofService(object *unstructured.Unstructured) look {
	return func(ctx context.Context) (cause, error) {
		service, err := as[corev1.Service](object)
		if err != nil || service.Spec.Type == corev1.ServiceTypeExternalName { // a name, and nothing else
			return cause{}, err
		}
		return first(ctx,
			func(ctx context.Context) (cause, error) { return c.behind(ctx, service) },
			func(ctx context.Context) (cause, error) { return c.reachable(service), nil })
	}
}

// serviceCause follows a Service to its pods.
func (c *Checker) serviceCause(ctx context.Context, namespace, name string) (cause, error) {
	service, err := c.Cluster.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return cause{why: messages.T("there is no Service %s", name)}, nil
	}
	if err != nil {
		return cause{}, err
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return cause{why: messages.T("service %s is of the type ExternalName: its name stands for %s, and no requests go to pods",
			name, service.Spec.ExternalName), next: messages.Kubectl(namespace, "edit", "service", name).Text()}, nil
	}
	found, err := c.behind(ctx, *service)
	return found.through(serviceReference(*service)), err
}

// behind explains what is wrong behind a Service.
func (c *Checker) behind(ctx context.Context, service corev1.Service) (cause, error) {
	edit := messages.Kubectl(service.Namespace, "edit", "service", service.Name).Text()
	if len(service.Spec.Selector) == 0 {
		addresses, err := c.addresses(ctx, service.Namespace, service.Name)
		if err != nil || len(addresses) > 0 { // made by hand
			return cause{}, err
		}
		return cause{why: messages.T("service %s has no selector, so it finds no pods", service.Name), next: edit}, nil
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	pods, err := c.listPods(ctx, service.Namespace, selector.String())
	if err != nil {
		return cause{}, err
	}
	return first(ctx,
		func(ctx context.Context) (cause, error) { return c.podsCause(ctx, pods) },
		func(ctx context.Context) (cause, error) { return c.makers(ctx, service.Namespace, selector) },
		func(ctx context.Context) (cause, error) {
			if len(pods) == 0 {
				return c.selectorCause(ctx, &service, selector.String(), edit)
			}
			return c.portsCause(ctx, service, slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return !ready(pod) }), edit)
		})
}

// portsCause looks for a port that requests go to and where nothing listens.
func (c *Checker) portsCause(ctx context.Context, service corev1.Service, pods []corev1.Pod, edit messages.Text) (cause, error) {
	for _, port := range service.Spec.Ports {
		if cmp.Or(port.Protocol, corev1.ProtocolTCP) != corev1.ProtocolTCP {
			continue
		}
		for _, pod := range pods {
			target, named := targetOf(port, pod)
			if target == "" {
				return cause{why: messages.T("service %s sends requests to the port named %s of its pods (targetPort), and they have no port of that name: %s",
					service.Name, port.TargetPort.String(), named), next: edit}, nil
			}
			if c.listens(ctx, pod, target) {
				continue
			}
			if found, err := c.policyCause(ctx, pod, false); err != nil || found.found() {
				return found, err
			}
			return cause{why: messages.T("service %s sends requests to port %s of its pods (targetPort), and nothing listens there%s",
					service.Name, target, c.openPorts(ctx, pod)), next: edit},
				nil
		}
	}
	if len(pods) == 0 {
		return cause{}, nil
	}
	return c.policyCause(ctx, pods[0], true)
}

// targetOf is the port of a pod that a Service sends requests to, or "" with the names of the pod's ports where it has none of
// the name that the Service asks for.
func targetOf(port corev1.ServicePort, pod corev1.Pod) (target string, named []string) {
	if port.TargetPort.Type == intstr.Int {
		return number(cmp.Or(port.TargetPort.IntVal, port.Port)), nil
	}
	for _, container := range pod.Spec.Containers {
		for _, open := range container.Ports {
			if open.Name == port.TargetPort.StrVal {
				return number(open.ContainerPort), nil
			}
			if open.Name != "" {
				named = append(named, open.Name)
			}
		}
	}
	if len(named) == 0 {
		named = []string{"-"}
	}
	return "", named
}

// reachable explains why a Service that works inside of the cluster does not answer on this machine.
func (c *Checker) reachable(service corev1.Service) cause {
	switch service.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		if len(service.Status.LoadBalancer.Ingress) == 0 {
			return noTunnel()
		}
	case corev1.ServiceTypeNodePort:
		for _, port := range service.Spec.Ports {
			if port.NodePort == publishedPort {
				return cause{}
			}
		}
		if len(service.Spec.Ports) > 0 {
			port := service.Spec.Ports[0]
			here := port.Port
			if here < 1024 { // which needs root on Linux
				here += 8000
			}
			return cause{why: unpublished(service, port.NodePort),
				next: messages.Kubectl(service.Namespace, "port-forward", "service/"+service.Name, fmt.Sprintf("%d:%d", here, port.Port)).Text()}
		}
	}
	return cause{}
}

func unpublished(service corev1.Service, port int32) messages.Text {
	return messages.T("service %s has the node port %s, and of the nodes' ports this machine has only %s", service.Name, number(port), number(publishedPort))
}

func noTunnel() cause {
	tunnel := messages.Hellolab("tunnel")
	return cause{why: messages.T("addresses come from %s, which has to run in another terminal", tunnel), next: tunnel.Text()}
}

// nodePortCause explains why a Service does not answer at the node port that is published.
func (c *Checker) nodePortCause(ctx context.Context, namespace, name string) (cause, error) {
	service, err := c.Cluster.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return cause{}, ignoreMissing(err)
	}
	if len(service.Spec.Ports) == 0 || slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool { return port.NodePort == publishedPort }) {
		return cause{}, nil
	}
	if held, err := c.byNodePort(ctx, namespace, []string{"", number(publishedPort)}); err != nil || held.found() {
		return held, err
	}
	port := service.Spec.Ports[0]
	patch := fmt.Sprintf("spec: {type: NodePort, ports: [{port: %d, nodePort: %d}]}", port.Port, publishedPort)
	found := cause{why: unpublished(*service, port.NodePort), next: messages.Kubectl(namespace, "patch", "service", name, "-p", patch).Text()}
	if port.NodePort == 0 {
		found.why = messages.T("service %s has no node port: its type is %s", name, string(cmp.Or(service.Spec.Type, corev1.ServiceTypeClusterIP)))
	}
	return found.through(serviceReference(*service)), nil
}

// selectorCause explains a Service that selects no pod.
func (c *Checker) selectorCause(ctx context.Context, service *corev1.Service, selector string, edit messages.Text) (cause, error) {
	others, err := c.listPods(ctx, service.Namespace, "")
	if err != nil {
		return cause{}, err
	}
	var there []string
	for _, pod := range others {
		set := labels.Set{}
		for key, value := range pod.Labels {
			if key != "pod-template-hash" && key != kube.ChapterLabel {
				set[key] = value
			}
		}
		if len(set) > 0 && !slices.Contains(there, set.String()) {
			there = append(there, set.String())
		}
	}
	slices.Sort(there)
	if len(there) == 0 {
		return cause{why: messages.T("the selector %s of service %s matches no pod, and there are no pods with labels",
			selector, service.Name), next: edit}, nil
	}
	return cause{why: messages.T("the selector %s of service %s matches no pod; the pods there have %s",
		selector, service.Name, there), next: edit}, nil
}

// listens reports whether something listens at a port of a pod. If the connection is refused, the API server responds with
// status 503 or 502 itself; so it does if what listens does not speak HTTP.
func (c *Checker) listens(ctx context.Context, pod corev1.Pod, port string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status := 0
	err := c.Cluster.CoreV1().RESTClient().Get().Namespace(pod.Namespace).Resource("pods").
		SubResource("proxy").Name("http:" + pod.Name + ":" + port).Suffix("/").Do(ctx).StatusCode(&status).Error()
	if err == nil || status != http.StatusServiceUnavailable && status != http.StatusBadGateway && status != 0 {
		return true
	}
	return slices.ContainsFunc([]string{"malformed HTTP", "EOF", "reset by peer", "unexpected"}, func(word string) bool {
		return strings.Contains(err.Error(), word)
	})
}

// openPorts names the one of the course's usual ports that answers.
func (c *Checker) openPorts(ctx context.Context, pod corev1.Pod) messages.Text {
	for _, port := range []string{"3000", "80"} {
		if c.listens(ctx, pod, port) {
			return messages.T("; they listen on %s", port)
		}
	}
	return messages.Verbatim("")
}

// policyCause names a NetworkPolicy that keeps requests from a pod. Policies add up: one lets in what another does not. strict asks
// for a pod to which none of them lets anything in.
func (c *Checker) policyCause(ctx context.Context, pod corev1.Pod, strict bool) (cause, error) {
	list, err := c.Cluster.NetworkingV1().NetworkPolicies(pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	about := slices.DeleteFunc(list.Items, func(policy networkingv1.NetworkPolicy) bool { return !isAbout(policy, pod) })
	letsIn := func(policy networkingv1.NetworkPolicy) bool { return len(policy.Spec.Ingress) > 0 }
	if strict && slices.ContainsFunc(about, letsIn) {
		return cause{}, nil
	}
	for _, policy := range about {
		r := kube.Reference{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: policy.Namespace, Name: policy.Name}
		why := messages.T("the NetworkPolicy %s is about the pod %s, and may keep these requests from it", policy.Name, pod.Name)
		if !slices.ContainsFunc(about, letsIn) {
			why = messages.T("the NetworkPolicy %s lets no requests in to the pod %s", policy.Name, pod.Name)
		}
		return cause{why: why, next: messages.Kubectl(r.Namespace, "delete", typed(r)).Text(), way: []kube.Reference{r}}, nil
	}
	return cause{}, nil
}

// isAbout reports whether a NetworkPolicy says what may reach a pod.
func isAbout(policy networkingv1.NetworkPolicy, pod corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	types := policy.Spec.PolicyTypes
	inwards := len(types) == 0 || slices.Contains(types, networkingv1.PolicyTypeIngress)
	return err == nil && inwards && selector.Matches(labels.Set(pod.Labels))
}
