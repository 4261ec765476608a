package check

import (
	"context"
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
		failed.next = c.push(image)
	}
	proxy := deadProxy.FindStringSubmatch(message)
	switch {
	case proxy != nil:
		failed.why = messages.T("pod %s cannot pull %s: the nodes use the proxy %s, where nothing answers (%s)", pod.Name, status.Image, proxy[1], proxy[0])
		if !local {
			failed.next = messages.T("%s, and then %s", messages.Shell("docker", "pull", image), c.push(image))
		}
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
		}
	default:
		failed.why = messages.T("pod %s cannot pull %s: %s", pod.Name, status.Image, firstLine(message))
	}
	return failed, nil
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

// push is what brings an image of the Docker Engine into the lab's registry, where the nodes look for it: under library/ for one
// without a folder, which is what such a name is short for.
func (c *Checker) push(image string) messages.Text {
	target := strings.TrimPrefix(image, c.Place.Registry+"/")
	if first, _, nested := strings.Cut(target, "/"); !nested {
		target = "library/" + target
	} else if strings.HasPrefix(image, c.Place.Registry+"/") || first == "" {
		return messages.Shell("docker", "push", image).Text()
	}
	target = c.Place.Registry + "/" + target
	return messages.T("%s && %s", messages.Shell("docker", "tag", image, target), messages.Shell("docker", "push", target))
}

// getImage is the command that brings an image into the registry, or shows which there are if the course has no such image.
func (c *Checker) getImage(image string) messages.Text {
	image = strings.TrimPrefix(image, "docker.io/")
	switch {
	case !c.Course.Runs(image):
		return messages.Hellolab("images", "list").Text()
	case strings.HasPrefix(image, c.Place.Account+"/"):
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
