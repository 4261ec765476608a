package bootstrap

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/sirupsen/logrus"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"
	kindlog "sigs.k8s.io/kind/pkg/log"

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

	// ingressLabel marks the node whose ports are published.
	ingressLabel = "hellolab/ingress"

	// finishedMark is a file in the control plane's container that says that kind got to the end. Without it, what is
	// there is the rest of an interrupted creation, which kind cannot go on with.
	finishedMark = "/kind/hellolab"

	certsFolder = "/etc/containerd/certs.d"

	// prePullWithin is about as long as Kubernetes needs to start.
	prePullWithin = 20 * time.Second
)

// kindConfig is the cluster that settings ask for.
func kindConfig(settings Config, addresses []string, cgroupV1 bool) *v1alpha4.Cluster {
	ports := settings.Ports
	var mappings []v1alpha4.PortMapping
	type pair struct{ inside, outside int }
	var pairs []pair
	if settings.Ingress.Enabled {
		pairs = append(pairs, pair{80, ports.HTTP.Number}, pair{443, ports.HTTPS.Number})
	}
	pairs = append(pairs, pair{nodePort, ports.NodePort.Number})
	for _, pair := range pairs {
		for _, address := range addresses {
			mappings = append(mappings, v1alpha4.PortMapping{
				ContainerPort: int32(pair.inside), HostPort: int32(pair.outside), ListenAddress: address, Protocol: v1alpha4.PortMappingProtocolTCP})
		}
	}
	nodes := []v1alpha4.Node{{
		Role:              v1alpha4.ControlPlaneRole,
		Image:             nodeImage(settings),
		Labels:            map[string]string{ingressLabel: "true"},
		ExtraPortMappings: mappings,
	}}
	for range settings.Workers {
		nodes = append(nodes, v1alpha4.Node{Role: v1alpha4.WorkerRole, Image: nodeImage(settings)})
	}
	config := &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{Kind: "Cluster", APIVersion: "kind.x-k8s.io/v1alpha4"},
		Name:     settings.Name,
		Nodes:    nodes,
		// node images from before containerd 2 look for hosts.toml nowhere unless told to
		// (https://github.com/kubernetes-sigs/kind/issues/3918); newer ones look there by themselves, and skip a patch
		// of a section that they do not have
		ContainerdConfigPatches: []string{"[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"" + certsFolder + "\"\n"},
	}
	// Each of the controller manager's controllers asks for a token of its own before any of them starts; at the default
	// 20 requests a second that is 5 s in which the new cluster does nothing else.
	for _, argument := range []string{"kube-api-qps", "kube-api-burst"} {
		config.KubeadmConfigPatchesJSON6902 = append(config.KubeadmConfigPatchesJSON6902, v1alpha4.PatchJSON6902{
			Group: "kubeadm.k8s.io", Version: "v1beta4", Kind: "ClusterConfiguration",
			Patch: fmt.Sprintf("- op: add\n  path: /controllerManager/extraArgs/-\n  value: {name: %s, value: \"300\"}\n", argument)})
	}
	if cgroupV1 {
		// kubelet 1.35 and later refuses cgroup v1 unless told otherwise
		// (https://github.com/kubernetes/kubernetes/pull/134298)
		config.KubeadmConfigPatches = []string{"kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nfailCgroupV1: false\n"}
	}
	return config
}

func nodeImage(settings Config) string {
	if settings.NodeImage != "" {
		return settings.NodeImage
	}
	return defaults.Image
}

// nodes gives the containers of the lab's cluster, the control plane first, running or not. It fails with a
// [foreignCluster] where they are somebody else's: a kind cluster of that name which was not made with this lab's
// settings.
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
	made, err := l.made(ctx, nodes)
	if err == nil && !made {
		err = foreignCluster{messages.Errorf("there is a kind cluster named %s already, and hellolab did not make it", l.name()).
			WithHint("choose another name for the lab: hellolab up --name NAME")}
	}
	return nodes, err
}

// foreignCluster is the error about a cluster that is not the lab's.
type foreignCluster struct{ told *messages.Error }

func (f foreignCluster) Error() string { return f.told.Error() }
func (f foreignCluster) Unwrap() error { return f.told }

// made reports whether the cluster is this lab's own: made since the lab's settings were written down, and publishing
// port 30000 where they say. (Docker forgets nothing of that while a container is stopped, unlike the list of its
// present ports.)
func (l *Lab) made(ctx context.Context, nodes []container.Summary) (bool, error) {
	first := nodes[0]
	if !l.record.exists || time.Unix(first.Created, 0).Before(l.record.since) {
		return false, nil
	}
	if first.Labels[roleLabel] != controlPlane {
		return true, nil // a worker without its control plane is the rest of an interrupted creation
	}
	found, err := l.docker.ContainerInspect(ctx, first.ID)
	if errdefs.IsNotFound(err) {
		return true, nil // it has just gone
	}
	return err == nil && published(found, nodePort) == l.settings.Bootstrap.Ports.NodePort.String(), err
}

// published gives the port of this machine that a container's port is published at, or "".
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
			WithHint("begin anew: hellolab down, then hellolab up (everything in the cluster is lost)")
	}
	return err == nil, err
}

// createCluster makes the cluster. kind takes no context: an interrupt reaches the docker commands that it runs, and
// it removes the nodes then.
func (l *Lab) createCluster(ctx context.Context) error {
	settings := l.settings.Bootstrap
	if image := nodeImage(settings); !engine.HasImage(ctx, l.docker, image) {
		step := l.story.Start(messages.T("pulling %s", strings.Split(image, "@")[0]))
		err := engine.Pull(ctx, l.docker, image, func(share float64) { step.Detail(messages.Percent(share)) })
		step.End(err)
		if err != nil {
			return err
		}
	}
	info, err := l.docker.Info(ctx)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "hellolab-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	return l.story.Do(ctx, messages.T("Kubernetes cluster %s", l.name()), func(ctx context.Context) error {
		err := l.kind.Create(l.name(),
			cluster.CreateWithV1Alpha4Config(kindConfig(settings, port.Loopback(), info.CgroupVersion == "1")),
			// the user's own kubeconfig is written to later, and not in the middle of something long
			cluster.CreateWithKubeconfigPath(filepath.Join(scratch, "kubeconfig")))
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			l.log.Debug(withOutput(err))
			return messages.Errorf("kind cannot create the cluster %s", l.name()).Because(cause(err)).
				WithHint("hellolab up -v shows everything that kind says")
		}
		// even where something beside has failed meanwhile: the cluster itself is good
		return l.writeFiles(context.WithoutCancel(ctx), l.controlPlane(), "/", map[string]string{finishedMark: "created by hellolab\n"})
	})
}

// setUpNode sends a node's containerd to the registry, and the registry to the node's network.
func (l *Lab) setUpNode(ctx context.Context, node string) error {
	if _, err := l.docker.ContainerStatPath(ctx, node, path.Join(certsFolder, l.registry.Address(), "hosts.toml")); err != nil {
		if err := l.writeFiles(ctx, node, certsFolder, l.registry.Hosts()); err != nil {
			return err
		}
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

// watchNodes tells the names of the lab's nodes as their containers start, where they are new. Nothing depends on it
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

// prePull has the control plane fetch the ingress controller's image while Kubernetes starts. Kubelet would fetch it
// later, so a failure is nothing but lost time.
func (l *Lab) prePull(ctx context.Context, controllerIn gate) error {
	if err := controllerIn.wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, prePullWithin)
	defer cancel()
	image := registry.Tagged(l.settings.Bootstrap.Ingress.Image)
	nodes, err := l.kind.ListInternalNodes(l.name())
	for _, node := range nodes {
		if node.String() != l.controlPlane() {
			continue
		}
		// the node's containerd starts a moment after its container
		err = await.Poll(ctx, messages.Verbatim(image), func(ctx context.Context) error {
			return node.CommandContext(ctx, "ctr", "--namespace", "k8s.io", "images", "pull", "--hosts-dir", certsFolder, image).Run()
		})
	}
	l.log.Debugf("pulled %s ahead: %s", image, withOutput(err))
	return nil
}

// removeNodes takes the cluster's containers and their volumes away. It returns when the engine has let go of them.
func (l *Lab) removeNodes(ctx context.Context) error {
	for {
		nodes, err := l.nodes(ctx)
		if err != nil {
			return err
		}
		if len(nodes) == 0 {
			break
		}
		for _, node := range nodes {
			if err := l.removeNode(ctx, node.ID); err != nil {
				return messages.Errorf("the node %s cannot be removed", nodeName(node)).Because(err).
					WithHint("docker rm -fv %s, then run the same command again", nodeName(node))
			}
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
// its name long before it shows it in any list, as it copies the node image's /var first. Creating a container of that
// name, which never runs, tells.
func (l *Lab) untilNameFree(ctx context.Context) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	return await.Poll(ctx, messages.T("the node %s cannot be removed", l.controlPlane()), func(ctx context.Context) error {
		created, err := l.docker.ContainerCreate(ctx,
			&container.Config{Image: l.settings.Registry.Image, Labels: map[string]string{engine.Label: l.name()}}, nil, nil, nil, l.controlPlane())
		switch {
		case err == nil:
			return l.removeNode(ctx, created.ID)
		case errdefs.IsNotFound(err):
			return nil // no image to try with: then there was none to make a node beside it either
		}
		if found, missing := l.docker.ContainerInspect(ctx, l.controlPlane()); missing == nil && l.disposable(found) {
			return errors.Join(err, l.removeNode(ctx, found.ID))
		}
		return err
	})
}

func (l *Lab) removeNode(ctx context.Context, id string) error {
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

// kindLogger sends what kind says to a debug log: hellolab tells the story itself.
type kindLogger struct{ log logrus.FieldLogger }

func (k kindLogger) Warn(message string)               { k.log.Debug(message) }
func (k kindLogger) Warnf(format string, args ...any)  { k.log.Debugf(format, args...) }
func (k kindLogger) Error(message string)              { k.log.Debug(message) }
func (k kindLogger) Errorf(format string, args ...any) { k.log.Debugf(format, args...) }
func (k kindLogger) V(level kindlog.Level) kindlog.InfoLogger {
	return kindInfo{k.log}
}

type kindInfo struct{ log logrus.FieldLogger }

func (k kindInfo) Info(message string) { k.log.Debug(strings.TrimRight(message, "\n")) }
func (k kindInfo) Infof(format string, args ...any) {
	k.log.Debug(strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}
func (k kindInfo) Enabled() bool { return true }

// withOutput is an error of kind's and what the command that failed had printed.
func withOutput(err error) string {
	if failed := exec.RunErrorForError(err); failed != nil {
		return fmt.Sprintf("%v\n%s", err, failed.Output)
	}
	return fmt.Sprint(err)
}

// cause finds the line in what kind's command printed that tells why it failed.
func cause(err error) error {
	failed := exec.RunErrorForError(err)
	if failed == nil {
		text, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
		return errors.New(text)
	}
	lines := strings.Split(strings.TrimSpace(string(failed.Output)), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.Contains(strings.ToLower(line), "error") {
			return errors.New(strings.TrimPrefix(strings.TrimSpace(line), "docker: "))
		}
	}
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return errors.New(last)
	}
	return failed.Inner
}
