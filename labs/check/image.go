package check

import (
	"context"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// imageCause explains an image that cannot be pulled. What kubelet says of a proxy comes first: the image need not come from
// the lab's registry.
func (c *Checker) imageCause(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus) (cause, error) {
	status.Image = wantedImage(pod, status)
	message, err := c.pullMessage(ctx, pod, status)
	if err != nil {
		return cause{}, err
	}
	failed := cause{next: describe(pod.Namespace, "pod", pod.Name)}
	image := c.plainName(status.Image)
	inRegistry, err := c.Registry.HasImage(ctx, image)
	missing := err == nil && !inRegistry
	local := missing && c.inEngine(ctx, image)
	if local {
		failed.next = push(image)
	}
	proxy := deadProxy.FindStringSubmatch(message)
	switch {
	case err != nil:
		failed.why = messages.T("pod %s cannot pull %s: the lab's image registry does not answer", pod.Name, status.Image)
		failed.next = messages.Hellolab("up").Text()
	case proxy != nil:
		failed.why = messages.T("pod %s cannot pull %s: the nodes use the proxy %s, where nothing answers (%s)", pod.Name, status.Image, proxy[1], proxy[0])
		failed.next = push(image)
	case local:
		failed.why = messages.T("pod %s cannot pull %s: Docker on this machine has the image, but the registry %s, where the nodes look, has not", pod.Name, status.Image, c.Place.Registry)
	case missing:
		failed.why = messages.T("pod %s cannot pull %s: the registry %s has no such image", pod.Name, status.Image, c.Place.Registry)
		if failed.next = c.getImage(image); c.Course.Runs(strings.TrimPrefix(image, "docker.io/")) {
			break
		}
		if near := c.similar(image); near != "" {
			failed.why = messages.T("%s; there is %s", failed.why, near)
			failed.next = c.setNear(ctx, pod, status, near)
		} else if unreachable := c.ownProxy(ctx); unreachable != "" {
			failed.why = messages.T("%s, and the nodes ask others through the proxy %s, which is this machine's own and out of their reach", failed.why, unreachable)
			failed.next = push(image)
		}
	default:
		failed.why = messages.T("pod %s cannot pull %s: %s", pod.Name, status.Image, firstLine(message))
	}
	return failed, nil
}

// wantedImage is the image that a container is to run. Where it was changed in a pod, the container's status has the one that ran before.
func wantedImage(pod corev1.Pod, status corev1.ContainerStatus) string {
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if container.Name == status.Name && container.Image != "" {
			return container.Image
		}
	}
	return status.Image
}

// ownProxy is the proxy of the nodes, if it is at an address that means this machine here and the node itself there, or "".
// kubelet does not tell of it: that the lab's registry has no such image weighs more to containerd than that another one cannot be
// asked (https://github.com/containerd/containerd/blob/main/core/remotes/docker/resolver.go, firstErrPriority).
func (c *Checker) ownProxy(ctx context.Context) string {
	if c.Engine == nil {
		return ""
	}
	proxy, err := c.Engine.Proxy(ctx, c.Place.Node)
	if err != nil || proxy == "" {
		return ""
	}
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	address, err := url.Parse(proxy)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(address.Hostname()); address.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return address.Host
	}
	return ""
}

// deadProxy is how Go says that a proxy cannot be reached.
var deadProxy = regexp.MustCompile(`proxyconnect tcp: dial tcp (\S+?): .*?(?:refused|timeout|unreachable|no route to host)`)

// pullMessage is what kubelet said of an image last; while it waits for its next try, its events alone have the cause.
func (c *Checker) pullMessage(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus) (string, error) {
	message := status.State.Waiting.Message
	if pod.UID == "" || deadProxy.MatchString(message) {
		return message, nil
	}
	events, err := kube.Events(ctx, c.Cluster, pod.Namespace, "type=Warning,involvedObject.uid="+string(pod.UID))
	if err != nil {
		return "", err
	}
	for _, event := range slices.Backward(events) {
		if strings.HasPrefix(event.Message, "Failed to pull image") && strings.Contains(event.Message, status.Image) {
			return event.Message, nil
		}
	}
	return message, nil
}

// plainName is an image's name without what every reader knows: a pod's status has docker.io/library/nginx:latest for nginx.
func (c *Checker) plainName(image string) string {
	image = strings.TrimPrefix(image, "docker.io/")
	return strings.TrimPrefix(image, "library/")
}

// inEngine reports whether the Docker Engine has an image.
func (c *Checker) inEngine(ctx context.Context, image string) bool {
	if c.Engine == nil {
		return false
	}
	found, err := c.Engine.HasImage(ctx, image)
	return err == nil && found
}

// push is what brings an image into the lab's registry: that of the Docker Engine, which fetches one that it lacks.
func push(image string) messages.Text {
	return messages.Hellolab("images", "push", image).Text()
}

// getImage is the command that brings an image into the registry, or shows which there are of the account's.
func (c *Checker) getImage(image string) messages.Text {
	image = strings.TrimPrefix(image, "docker.io/")
	switch ours := strings.HasPrefix(image, c.Place.Account+"/"); {
	case !c.Course.Runs(image) && ours:
		return messages.Hellolab("images", "list").Text()
	case !c.Course.Runs(image):
		return push(image)
	case ours:
		return messages.Hellolab("images", "build").Text()
	}
	return messages.Hellolab("up").Text()
}

// setNear is the command that gives a container an image that there is.
func (c *Checker) setNear(ctx context.Context, pod corev1.Pod, status corev1.ContainerStatus, image string) messages.Text {
	author := c.author(ctx, pod)
	if !templated(author.Kind) || author.Kind == "Job" {
		return describeIt(author)
	}
	return messages.Kubectl(author.Namespace, "set", "image", typed(author), status.Name+"="+image).Text()
}

// similar is the image of the course that a mistyped name was meant to be, or "": the only one that differs least, and in two
// letters at most.
func (c *Checker) similar(image string) (best string) {
	least := 3
	for _, known := range c.Course.Images() {
		switch distance := distance(image, known); {
		case distance < least:
			best, least = known, distance
		case distance == least:
			best = ""
		}
	}
	return best
}

// distance is how many letters have to be put in, taken away, changed, or swapped with the next one to make one word of another.
func distance(a, b string) int {
	before, last, row := []int(nil), []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			changed := last[j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			row[j] = min(last[j]+1, row[j-1]+1, changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
