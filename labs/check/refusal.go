package check

import (
	"context"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// refusal is how the API server says that something does not let an object in, and how to find what that is. The words are
// those of Kubernetes' admission plugins and of ingress-nginx's webhook.
type refusal struct {
	words *regexp.Regexp
	// blame explains a match; namespace is the one of the object that was refused.
	blame func(c *Checker, ctx context.Context, namespace string, words []string) (cause, error)
}

func refusals() []refusal {
	return []refusal{
		{regexp.MustCompile(`(?:failed|exceeded) quota: ([^:\s,]+)`), (*Checker).byQuota},
		{regexp.MustCompile(`(?:minimum|maximum) \S+ usage per|max limit to request ratio per`), (*Checker).byLimits},
		{regexp.MustCompile(`violates PodSecurity "([^"]+)"`), (*Checker).bySecurity},
		{regexp.MustCompile(`(?:serviceaccount "([^"]+)" not found|service account \S*?/([^\s:]+))`), (*Checker).byAccount},
		{regexp.MustCompile(`host "([^"]*)" and path "([^"]*)" is already defined in ingress ([^/\s]+)/(\S+)`), (*Checker).byRoute},
		{regexp.MustCompile(`Invalid value: (\d+): provided port is already allocated`), (*Checker).byNodePort},
		{regexp.MustCompile(`ValidatingAdmissionPolicy '[^']+' with binding '([^']+)' denied`), (*Checker).byPolicy},
		{regexp.MustCompile(`(?:admission webhook "([^"]+)" denied|failed calling webhook "([^"]+)")`), (*Checker).byWebhook},
		{regexp.MustCompile(`namespaces "([^"]+)" not found`), (*Checker).byNamespace},
	}
}

// refused explains a message of the API server's about an object that it does not let in.
func (c *Checker) refused(ctx context.Context, r kube.Reference, message string) (cause, error) {
	for _, known := range refusals() {
		words := known.words.FindStringSubmatch(message)
		if words == nil {
			continue
		}
		found, err := known.blame(c, ctx, r.Namespace, words)
		if err != nil || !found.next.IsZero() {
			if found.why.IsZero() {
				found.why = messages.T("%s: %s", r, refusalOf(message))
			}
			return found, err
		}
	}
	return cause{}, nil
}

// refusalOf is the part of a message that says what is wrong, without the name of the pod that nobody has seen.
func refusalOf(message string) string {
	for _, before := range []string{"Internal error occurred: ", " is forbidden: ", "denied the request: "} {
		if _, behind, found := strings.Cut(message, before); found {
			message = behind
		}
	}
	return firstLine(message)
}

// remove is the command that deletes what is in the way, if it is still there.
func (c *Checker) remove(ctx context.Context, r kube.Reference) (cause, error) {
	found, err := c.Cluster.Get(ctx, r)
	if err != nil || found == nil {
		return cause{}, err
	}
	return cause{next: messages.Kubectl(r.Namespace, "delete", typed(r)).Text(), way: []kube.Reference{r}}, nil
}

func (c *Checker) byQuota(ctx context.Context, namespace string, words []string) (cause, error) {
	return c.remove(ctx, kube.Reference{APIVersion: "v1", Kind: "ResourceQuota", Namespace: namespace, Name: words[1]})
}

// byLimits finds the LimitRange: the message does not name it.
func (c *Checker) byLimits(ctx context.Context, namespace string, _ []string) (cause, error) {
	all, err := c.Cluster.Of(ctx, "v1", "LimitRange", namespace)
	if err != nil || len(all) == 0 {
		return cause{}, err
	}
	return c.remove(ctx, kube.Refer(all[0]))
}

// enforced is the label that has a namespace's pods checked (https://kubernetes.io/docs/concepts/security/pod-security-admission/).
const enforced = "pod-security.kubernetes.io/enforce"

func (c *Checker) bySecurity(ctx context.Context, namespace string, _ []string) (cause, error) {
	r := kube.Reference{APIVersion: "v1", Kind: "Namespace", Name: namespace}
	found, err := c.Cluster.Get(ctx, r)
	if err != nil || found == nil || found.GetLabels()[enforced] == "" {
		return cause{}, err
	}
	return cause{next: messages.Kubectl("", "label", "namespace", namespace, enforced+"-").Text(), way: []kube.Reference{r}}, nil
}

func (c *Checker) byAccount(ctx context.Context, namespace string, words []string) (cause, error) {
	name := words[1] + words[2]
	found, err := c.Cluster.Get(ctx, kube.Reference{APIVersion: "v1", Kind: "ServiceAccount", Namespace: namespace, Name: name})
	if err != nil || found != nil {
		return cause{}, err
	}
	return cause{next: messages.Kubectl(namespace, "create", "serviceaccount", name).Text()}, nil
}

func (c *Checker) byNamespace(ctx context.Context, _ string, words []string) (cause, error) {
	return cause{why: messages.T("there is no namespace %s", words[1]), next: messages.Kubectl("", "create", "namespace", words[1]).Text()}, nil
}

// byRoute tells of a route that another Ingress has: ingress-nginx allows it only once.
func (c *Checker) byRoute(ctx context.Context, _ string, words []string) (cause, error) {
	path, namespace, name := words[2], words[3], words[4]
	r := kube.Reference{APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Namespace: namespace, Name: name}
	found, err := c.remove(ctx, r)
	if err != nil || found.next.IsZero() {
		return cause{}, err
	}
	found.why = messages.T("the path %s belongs to the Ingress %s in the namespace %s already, and ingress-nginx allows it only once", path, name, namespace)
	if other, err := c.Cluster.Get(ctx, r); err == nil && other != nil {
		if owner, in := helm.Owner(other.GetAnnotations()); owner != "" {
			found.next = messages.Helm(in, "uninstall", owner).Text()
		}
	}
	return found, nil
}

// byNodePort names the Service that has a node port.
func (c *Checker) byNodePort(ctx context.Context, _ string, words []string) (cause, error) {
	all, err := c.Cluster.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return cause{}, err
	}
	for _, service := range all.Items {
		for _, port := range service.Spec.Ports {
			if port.NodePort > 0 && words[1] == number(port.NodePort) {
				r := serviceReference(service)
				return cause{why: messages.T("the node port %s belongs to %s already", words[1], r),
					next: messages.Kubectl(r.Namespace, "delete", typed(r)).Text(), way: []kube.Reference{r}}, nil
			}
		}
	}
	return cause{}, nil
}

func (c *Checker) byPolicy(ctx context.Context, _ string, words []string) (cause, error) {
	return c.remove(ctx, kube.Reference{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicyBinding", Name: words[1]})
}

// byWebhook names the configuration that calls a webhook. The lab's own webhook is ingress-nginx's: if it does not answer, its
// controller does not run.
func (c *Checker) byWebhook(ctx context.Context, _ string, words []string) (cause, error) {
	name, fails := words[1]+words[2], words[2] != ""
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		all, err := c.Cluster.Of(ctx, "admissionregistration.k8s.io/v1", kind, "")
		if err != nil {
			return cause{}, err
		}
		for _, configuration := range all {
			if !calls(configuration, name) {
				continue
			}
			if strings.HasSuffix(name, "nginx.ingress.kubernetes.io") {
				if !fails {
					return cause{}, nil // it says itself what is wrong with the object
				}
				return c.controllerCause(ctx)
			}
			return c.remove(ctx, kube.Refer(configuration))
		}
	}
	return cause{}, nil
}

// calls reports whether a configuration has a webhook of that name.
func calls(configuration *unstructured.Unstructured, name string) bool {
	hooks, _, _ := unstructured.NestedSlice(configuration.Object, "webhooks")
	for _, hook := range hooks {
		if fields, ok := hook.(map[string]any); ok && fields["name"] == name {
			return true
		}
	}
	return false
}

// refusedBelow explains why a controller cannot make what an object asks for: its condition, or its newest event, has the
// API server's refusal.
func (c *Checker) refusedBelow(object *unstructured.Unstructured) look {
	return func(ctx context.Context) (cause, error) {
		said, err := conditions(object)(ctx)
		if err != nil {
			return cause{}, err
		}
		told := []string{said.why.String()}
		event, err := c.lastWarning(ctx, object)
		if err != nil {
			return cause{}, err
		}
		if event != nil && strings.HasPrefix(event.Reason, "Failed") {
			told = append(told, event.Message)
		}
		for _, message := range told {
			found, err := c.refused(ctx, kube.Refer(object), message)
			if err != nil || found.found() {
				return found, err
			}
			if strings.Contains(message, " is forbidden: ") {
				return c.again(ctx, object, message), nil
			}
		}
		return cause{}, nil
	}
}

// again is what to do where the refusal's reason has gone: controllers wait longer after each refusal, up to 16 minutes
// (https://pkg.go.dev/k8s.io/client-go/util/workqueue#DefaultTypedControllerRateLimiter).
func (c *Checker) again(ctx context.Context, object *unstructured.Unstructured, message string) cause {
	r := kube.Refer(object)
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name, OwnerReferences: object.GetOwnerReferences()}}
	if author := c.author(ctx, pod); author.Kind != "Pod" {
		r = author
	}
	found := cause{why: messages.T("%s was refused its pods (%s), and tries again after a while", r, refusalOf(message)), next: describeIt(r)}
	switch r.Kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		found.next = messages.Kubectl(r.Namespace, "rollout", "restart", typed(r)).Text()
	}
	return found
}
