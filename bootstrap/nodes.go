package bootstrap

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/registry"
)

const (
	// the labels that kind puts on its nodes
	clusterLabel = "io.x-k8s.kind.cluster"
	roleLabel    = "io.x-k8s.kind.role"

	controlPlane = "control-plane"

	certsFolder = "/etc/containerd/certs.d"

	// prePullWithin is longer than Kubernetes needs from its first answer until it wants an image.
	prePullWithin = 20 * time.Second
)

// nodes returns the containers of the lab's cluster, the control plane first, running or not. It fails with a
// [foreignCluster] where they are somebody else's.
func (l *Lab) nodes(ctx context.Context) ([]container.Summary, error) {
	nodes, err := l.docker.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", clusterLabel+"="+l.name()))})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b container.Summary) int {
		return strings.Compare(a.Labels[roleLabel]+nodeName(a), b.Labels[roleLabel]+nodeName(b))
	})
	if len(nodes) == 0 {
		return nil, nil
	}
	ours, err := l.owns(ctx, nodes[0])
	if err == nil && !ours {
		err = foreignCluster{messages.Errorf("there is a kind cluster named %s already, and hellolab did not make it", l.name()).
			WithHint("choose another name for the lab: %s", messages.Shell("hellolab", "--name").Usage("NAME up"))}
	}
	return nodes, err
}

// foreignCluster is the error about a cluster that is not the lab's.
type foreignCluster struct{ failure *messages.Error }

func (f foreignCluster) Error() string { return f.failure.Error() }
func (f foreignCluster) Unwrap() error { return f.failure }

// owns reports whether the cluster that a node is of, the first of its nodes, is the lab's. Its nodes have the token of the lab's
// record, but for those that were being created when something ended (and for clusters by older versions). Of these the time and
// the ports tell: they were made after the record, and publish port 30000 where the settings say. (The engine keeps that
// while a container is stopped, unlike the list of its present ports.)
func (l *Lab) owns(ctx context.Context, node container.Summary) (bool, error) {
	if !l.record.exists {
		return false, nil
	}
	if token := l.record.token(); token != "" {
		if _, err := l.docker.ContainerStatPath(ctx, node.ID, tokenMark(token)); !errdefs.IsNotFound(err) {
			return err == nil, err
		}
	}
	marked, mark, err := readMarks(ctx, l.docker, node.ID)
	if err != nil {
		return false, err
	}
	if marked && (mark[tokenLabel] != "" || l.record.token() != "") {
		return mark[tokenLabel] == l.record.token(), nil
	}
	if time.Unix(node.Created, 0).Before(l.record.since) {
		return false, nil
	}
	if node.Labels[roleLabel] != controlPlane {
		return true, nil // a worker without its control plane is the rest of an interrupted creation
	}
	found, err := l.docker.ContainerInspect(ctx, node.ID)
	if errdefs.IsNotFound(err) {
		return true, nil // it has just gone
	}
	return err == nil && published(found, nodePort) == l.settings.Bootstrap.Ports.NodePort.String(), err
}

// published returns the port of this machine that a container's port is published at, or "".
func published(found container.InspectResponse, inside int) string {
	for candidate, bindings := range found.HostConfig.PortBindings {
		if candidate.Int() == inside && len(bindings) > 0 {
			return bindings[0].HostPort
		}
	}
	return ""
}

// finished reports whether the cluster was created to its end. A finished cluster that has lost a node is an error.
func (l *Lab) finished(ctx context.Context, nodes []container.Summary) (bool, error) {
	if len(nodes) == 0 || nodes[0].Labels[roleLabel] != controlPlane {
		return false, nil
	}
	_, err := l.docker.ContainerStatPath(ctx, nodes[0].ID, finishedMark)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if wanted := 1 + l.settings.Bootstrap.Workers; err == nil && len(nodes) != wanted {
		return false, messages.Errorf("the cluster %s has %v nodes, not %v", l.name(), len(nodes), wanted).
			WithHint("start over, without what is in the cluster: %s, then %s", messages.Hellolab("down"), messages.Hellolab("up"))
	}
	return err == nil, err
}

// kubeletUnit has a node's kubelet wait for containerd when the node is started again. kind starts both at the same time, kubelet fails, and
// systemd tries it again a second later.
const (
	kubeletUnit     = "/etc/systemd/system/kubelet.service.d/20-hellolab.conf"
	afterContainerd = "[Unit]\nAfter=containerd.service\n"
)

// setUpNode sends a node's containerd to the registry, and the registry to the node's network.
func (l *Lab) setUpNode(ctx context.Context, node string) error {
	if err := l.claim(ctx, node); err != nil {
		return err
	}
	if err := l.writeHosts(ctx, node); err != nil {
		return err
	}
	found, err := l.docker.ContainerInspect(ctx, node)
	if err != nil {
		return err
	}
	for network := range found.NetworkSettings.Networks {
		if err := l.registry.EnsureConnected(ctx, network); err != nil {
			return err
		}
	}
	return nil
}

// writeHosts writes the files that send a node's containerd to the registry, unless they are there as this version has them. A
// file with their digest in its name comes last: it is missing where a writer was killed before.
func (l *Lab) writeHosts(ctx context.Context, node string) error {
	files := l.registry.Hosts()
	digest := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(digest, "%q %q\n", name, files[name])
	}
	written := fmt.Sprintf(".hellolab-%x", digest.Sum(nil)[:8])
	if _, err := l.docker.ContainerStatPath(ctx, node, path.Join(certsFolder, written)); !errdefs.IsNotFound(err) {
		return err
	}
	if err := l.writeFiles(ctx, node, certsFolder, files); err != nil {
		return err
	}
	return l.writeFiles(ctx, node, certsFolder, map[string]string{written: ""})
}

// watchNodes sends the names of the lab's nodes as their containers start, where they are new. Nothing depends on it
// but time: every node is looked at again when all are there.
func (l *Lab) watchNodes(ctx context.Context, fresh bool) <-chan string {
	started := make(chan string)
	if !fresh {
		return started
	}
	all, _ := l.docker.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("event", string(events.ActionStart)),
		filters.Arg("label", clusterLabel+"="+l.name()))})
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case event := <-all:
				select {
				case started <- event.Actor.Attributes["name"]:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return started
}

// writeFiles puts files into a container, at their paths below folder.
func (l *Lab) writeFiles(ctx context.Context, name, folder string, files map[string]string) error {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for file, content := range files {
		full := strings.TrimPrefix(path.Join(folder, file), "/")
		if err := writer.WriteHeader(&tar.Header{Name: full, Mode: 0o644, Size: int64(len(content)), ModTime: time.Now()}); err != nil {
			return err
		}
		if _, err := writer.Write([]byte(content)); err != nil {
			return err
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return l.docker.CopyToContainer(ctx, name, "/", &archive, container.CopyToContainerOptions{})
}

// prePullController has the control plane fetch the ingress controller's image while Kubernetes starts.
func (a *assembly) prePullController(ctx context.Context) error {
	if err := a.controllerIn.wait(ctx); err != nil {
		return err
	}
	a.prePull(ctx, a.settings.Bootstrap.Ingress.Image)
	return nil
}

// prePullCharts is the same for the chart repository's image, where that is in the registry.
func (a *assembly) prePullCharts(ctx context.Context) error {
	if err := a.imagesIn.wait(ctx); err != nil {
		return err
	}
	if image, _, err := a.registry.Find(ctx, chartsImage); err == nil && image != nil {
		a.prePull(ctx, chartsImage)
	}
	return nil
}

// prePull has the control plane fetch an image from the registry, once its API server answers: before that, everything is busy, and then it does
// little for two seconds. Kubelet would fetch it later, so a failure is nothing but lost time.
func (a *assembly) prePull(ctx context.Context, image string) {
	named, err := reference.ParseNormalizedNamed(registry.Tagged(image))
	if err != nil || a.apiAnswers.wait(ctx) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, prePullWithin)
	defer cancel()
	image = reference.TagNameOnly(named).String() // as kubelet calls it
	err = await.Poll(ctx, messages.Verbatim(image), func(ctx context.Context) error {
		return a.inControlPlane(ctx, "ctr", "--namespace", "k8s.io", "images", "pull", "--hosts-dir", certsFolder, image)
	})
	a.log.Debugf("pulled %s ahead: %s", image, withOutput(err))
}

// inControlPlane runs a command in the control plane's node.
func (l *Lab) inControlPlane(ctx context.Context, command string, arguments ...string) error {
	nodes, err := l.kind.ListInternalNodes(l.name())
	for _, node := range nodes {
		if node.String() == l.controlPlane() {
			return node.CommandContext(ctx, command, arguments...).Run()
		}
	}
	return err
}

// removeNodes removes the cluster's containers and their volumes. It returns when the engine has let go of them.
func (l *Lab) removeNodes(ctx context.Context) error {
	for {
		nodes, err := l.nodes(ctx)
		if err != nil {
			return err
		}
		if len(nodes) == 0 {
			break
		}
		var work errgroup.Group
		for _, node := range nodes {
			work.Go(func() error {
				if err := l.removeNode(ctx, node.ID); err != nil {
					return messages.Errorf("the node %s cannot be removed", nodeName(node)).Because(err).
						WithHint("%s, then run the same command again", messages.Shell("docker", "rm", "-fv", nodeName(node)))
				}
				return nil
			})
		}
		if err := work.Wait(); err != nil {
			return err
		}
	}
	return l.untilNameFree(ctx)
}

// disposable reports whether a container is a node of the lab's, or what an earlier [Lab.untilNameFree] left when it was
// killed.
func (l *Lab) disposable(found container.InspectResponse) bool {
	return found.Config.Labels[clusterLabel] == l.name() || found.Config.Labels[engine.Label] == l.name()
}

// untilNameFree waits for a container that a killed hellolab's docker command may still be creating: the engine keeps
// its name long before it shows it in any list, as it copies the node image's /var first. So it creates a container of
// that name, which never runs: a conflict says that the name is not free. Any other failure says nothing about the name.
func (l *Lab) untilNameFree(ctx context.Context) error {
	waiting, cancel := l.within(ctx)
	defer cancel()
	var failed error // for good
	err := await.Poll(waiting, messages.Text{}, func(ctx context.Context) error {
		var free bool
		if free, failed = l.tryName(ctx); failed == nil && !free {
			return messages.Errorf("the Docker Engine is still creating it")
		}
		return nil
	})
	if err := errors.Join(failed, err); err != nil {
		return messages.Errorf("the node %s cannot be removed", l.controlPlane()).Because(err).
			WithHint("%s, then run the same command again", messages.Shell("docker", "rm", "-fv", l.controlPlane()))
	}
	return nil
}

// tryName reports whether the control plane's name is free. It removes what is in the way, if that is the lab's.
func (l *Lab) tryName(ctx context.Context) (free bool, err error) {
	created, err := l.docker.ContainerCreate(ctx,
		&container.Config{Image: l.settings.Registry.Image, Labels: map[string]string{engine.Label: l.name()}}, nil, nil, nil, l.controlPlane())
	if err == nil {
		return true, l.removeNode(ctx, created.ID)
	}
	if ctx.Err() != nil {
		return false, nil
	}
	if !errdefs.IsConflict(err) {
		return true, nil // without the image, or without room for a container, no node is being made either
	}
	if found, err := l.docker.ContainerInspect(ctx, l.controlPlane()); err == nil && l.disposable(found) {
		return false, l.removeNode(ctx, found.ID)
	}
	return false, nil
}

func (l *Lab) removeNode(ctx context.Context, id string) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	gone, failed := l.docker.ContainerWait(ctx, id, container.WaitConditionRemoved)
	err := l.docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // a conflict: it is on its way out already
		return err
	}
	select {
	case <-gone:
		return nil
	case err := <-failed:
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
}

func (l *Lab) startNode(ctx context.Context, node container.Summary) error {
	var start func(context.Context) error
	switch node.State {
	case container.StatePaused:
		start = func(ctx context.Context) error { return l.docker.ContainerUnpause(ctx, node.ID) }
	case container.StateExited, container.StateCreated:
		start = func(ctx context.Context) error {
			return engine.Start(ctx, l.docker, node.ID)
		}
	default:
		return nil
	}
	name := nodeName(node)
	return l.story.Do(ctx, messages.T("starting node %s", name), func(ctx context.Context) error {
		if err := start(ctx); err != nil {
			return notStarting(messages.Errorf("the node %s does not start", name).Because(err))
		}
		return nil
	})
}

// notStarting adds to the error about a node that does not start what to do. A lab of an older version is published at ::1, too,
// which is gone where IPv6 has been switched off since.
func notStarting(failure *messages.Error) error {
	if strings.Contains(failure.Error(), "[::1]") && len(port.Localhost()) == 1 {
		return failure.WithHint("this machine has lost IPv6, which the lab is published at: switch it on, or start over (the cluster is lost): %s, then %s",
			messages.Hellolab("down"), messages.Hellolab("up"))
	}
	return failure // the engine's words tell what to do
}

// setUpNodes makes every node's containerd ask the registry.
func (l *Lab) setUpNodes(ctx context.Context) error {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if err := l.setUpNode(ctx, nodeName(node)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) controlPlane() string { return l.name() + "-" + controlPlane }

func nodeName(node container.Summary) string {
	if len(node.Names) == 0 { // on its way out
		return node.ID
	}
	return strings.TrimPrefix(node.Names[0], "/")
}
