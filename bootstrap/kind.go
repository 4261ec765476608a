package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"
	kindlog "sigs.k8s.io/kind/pkg/log"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/progress"
	"github.com/hellolab/hellolab/scratch"
)

// ingressLabel marks the node whose ports are published.
const ingressLabel = "hellolab/ingress"

// kindConfig is the cluster that settings ask for, of nodes that the engine has under the name of image.
func kindConfig(settings Config, image string, cgroupV1 bool) *v1alpha4.Cluster {
	ports := settings.Ports
	var mappings []v1alpha4.PortMapping
	type pair struct{ inside, outside int }
	var pairs []pair
	if settings.Ingress.Enabled {
		pairs = append(pairs, pair{80, ports.HTTP.Number}, pair{443, ports.HTTPS.Number})
	}
	pairs = append(pairs, pair{nodePort, ports.NodePort.Number})
	for _, pair := range pairs {
		mappings = append(mappings, v1alpha4.PortMapping{
			ContainerPort: int32(pair.inside), HostPort: int32(pair.outside), ListenAddress: port.Loopback, Protocol: v1alpha4.PortMappingProtocolTCP})
	}
	nodes := []v1alpha4.Node{{
		Role:              v1alpha4.ControlPlaneRole,
		Image:             image,
		Labels:            map[string]string{ingressLabel: "true"},
		ExtraPortMappings: mappings,
	}}
	for range settings.Workers {
		nodes = append(nodes, v1alpha4.Node{Role: v1alpha4.WorkerRole, Image: image})
	}
	config := &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{Kind: "Cluster", APIVersion: "kind.x-k8s.io/v1alpha4"},
		Name:     settings.Name,
		Nodes:    nodes,
	}
	if !readsHosts(nodeImage(settings)) {
		config.ContainerdConfigPatches = []string{"[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"" + certsFolder + "\"\n"}
	}
	config.KubeadmConfigPatchesJSON6902 = kubeadmPatches()
	if cgroupV1 {
		// kubelet 1.35 and later refuses cgroup v1 unless told otherwise
		// (https://github.com/kubernetes/kubernetes/pull/134298)
		config.KubeadmConfigPatches = []string{"kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nfailCgroupV1: false\n"}
	}
	return config
}

// kubeadmPatches are what is changed of kind's configuration of the control plane.
func kubeadmPatches() (all []v1alpha4.PatchJSON6902) {
	patch := func(kind, patch string) {
		all = append(all, v1alpha4.PatchJSON6902{Group: "kubeadm.k8s.io", Version: "v1beta4", Kind: kind, Patch: patch})
	}
	const clusterConfiguration = "ClusterConfiguration"
	// Each of the controller manager's controllers asks for a token of its own before any of them starts; at the default
	// 20 requests a second that is 5 s in which the new cluster does nothing else.
	for _, argument := range []string{"kube-api-qps", "kube-api-burst"} {
		patch(clusterConfiguration, fmt.Sprintf("- op: add\n  path: /controllerManager/extraArgs/-\n  value: {name: %s, value: \"300\"}\n", argument))
	}
	// There is one control plane, so nobody to elect a leader among. After a restart of the node, the controllers and the scheduler would wait
	// until the lease of those before is over: 15 s in which no Service gets its endpoints. kind gives the scheduler no arguments.
	patch(clusterConfiguration, "- op: add\n  path: /controllerManager/extraArgs/-\n  value: {name: leader-elect, value: \"false\"}\n")
	// Without a limit, which is the default, an API server that is to end waits for a minute until all watches have been closed by who opened them.
	patch(clusterConfiguration, "- op: add\n  path: /apiServer/extraArgs/-\n  value: {name: shutdown-watch-termination-grace-period, value: 1s}\n")
	// etcd is the only member, and elects itself when a second has passed in which nobody else has: at every start. Five of its heartbeats are
	// the least; more heartbeats would keep a processor busy for nothing.
	patch(clusterConfiguration, "- op: add\n  path: /etcd\n  value: {local: {extraArgs: [{name: election-timeout, value: \"500\"}]}}\n")
	patch(clusterConfiguration, "- op: add\n  path: /scheduler/extraArgs\n  value: [{name: leader-elect, value: \"false\"}]\n")
	// The default are a dozen RSA keys, which take two processors 0.6 s.
	patch(clusterConfiguration, "- op: add\n  path: /encryptionAlgorithm\n  value: ECDSA-P256\n")
	// This phase has kubelet rotate its certificate, which expires in a year, from a file, and restarts it for that, 2 s in which it starts no
	// pods; without, it rotates the same (https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/).
	patch("InitConfiguration", "- op: add\n  path: /skipPhases/-\n  value: kubelet-finalize\n")
	return all
}

func nodeImage(settings Config) string {
	if settings.NodeImage != "" {
		return settings.NodeImage
	}
	return defaults.Image
}

// ensureCluster creates the cluster, or starts those of its nodes that do not run.
func (l *Lab) ensureCluster(ctx context.Context, nodes []container.Summary) error {
	if len(nodes) == 0 {
		return l.createCluster(ctx)
	}
	work, ctx := errgroup.WithContext(ctx)
	for _, node := range nodes {
		work.Go(func() error { return l.startNode(ctx, node) })
	}
	return work.Wait()
}

// readsHosts reports whether containerd in a node image is known to look for hosts.toml by itself: containerd 2 does, which is in all of kind's
// images of Kubernetes 1.33 and later, and in some before (https://github.com/kubernetes-sigs/kind/releases/tag/v0.27.0). Others are told to
// (https://github.com/kubernetes-sigs/kind/issues/3918), for which kind restarts containerd; newer ones skip a patch of a section that they do not
// have.
func readsHosts(image string) bool {
	name, _, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(path.Base(name), ":")
	kubernetes, err := version.ParseGeneric(tag)
	return err == nil && kubernetes.AtLeast(version.MajorMinor(1, 33))
}

// createCluster makes the cluster.
func (l *Lab) createCluster(ctx context.Context) error {
	settings := l.settings.Bootstrap
	image, err := l.EnsureImage(ctx, nodeImage(settings))
	if err != nil {
		return err
	}
	info, err := l.docker.Info(ctx)
	if err != nil {
		return err
	}
	folder, remove, err := scratch.Folder()
	if err != nil {
		return err
	}
	defer remove()
	return l.story.Do(ctx, messages.T("Kubernetes cluster %s", l.name()), func(ctx context.Context) error {
		err := l.create(ctx,
			cluster.CreateWithV1Alpha4Config(kindConfig(settings, image, info.CgroupVersion == "1")),
			// the user's own kubeconfig is written to later, and not in the middle of something long
			cluster.CreateWithKubeconfigPath(filepath.Join(folder, "kubeconfig")))
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			l.log.Debug(withOutput(err))
			if disturbed := l.disturbed(ctx); disturbed != nil {
				return disturbed
			}
			return messages.Errorf("kind cannot create the cluster %s", l.name()).Because(cause(err)) // whose words tell what to do
		}
		// even where something beside has failed meanwhile: the cluster itself is good
		return l.finish(context.WithoutCancel(ctx))
	})
}

// disturbed returns what has happened to the engine or to the control plane's container while kind was at work, or nil: what kind says then
// is about what follows from it.
func (l *Lab) disturbed(ctx context.Context) error {
	if _, err := l.docker.Ping(ctx); err != nil {
		return err
	}
	found, err := l.docker.ContainerInspect(ctx, l.controlPlane())
	if err != nil || found.State == nil {
		return nil
	}
	created, failed := time.Parse(time.RFC3339Nano, found.Created)
	started, err := time.Parse(time.RFC3339Nano, found.State.StartedAt)
	if again := failed == nil && err == nil && started.Sub(created) > startsWithin; found.State.Running && !again {
		return nil
	}
	return messages.Errorf("the node %s was stopped or restarted while Kubernetes was being set up in it", l.controlPlane()).
		WithHint("run the same command again: it starts over")
}

// startsWithin is how long after its creation the engine starts a container for the first time, at most.
const startsWithin = 10 * time.Second

// createsWithin bounds kind's work: kubeadm gives up by itself after 4 minutes, but a docker command never does.
const createsWithin = 15 * time.Minute

// create has kind make the cluster. kind takes no context: a command that is interrupted leaves it behind, to end with this process, and
// the next `up` removes what there is by then. Where another part of this `up` has failed, kind is waited for: its cluster is good.
func (l *Lab) create(ctx context.Context, options ...cluster.CreateOption) error {
	done := make(chan error, 1)
	go func() { done <- l.kind.Create(l.name(), options...) }()
	limit := time.NewTimer(createsWithin)
	defer limit.Stop()
	for ended := ctx.Done(); ; ended = nil {
		select {
		case err := <-done:
			return err
		case <-limit.C:
			return messages.Errorf("timed out after %s", createsWithin)
		case <-ended:
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return context.Canceled
			}
		}
	}
}

// kindLogger sends what kind says to a debug log: hellolab tells the story itself. The phases of kind's work, which it says without a
// terminal by " • NAME  ..." and " ✓ NAME", are for the trace.
type kindLogger struct {
	log   logrus.FieldLogger
	story *progress.Progress
	// end ends the phase that kind is in.
	end *func()
}

func newKindLogger(log logrus.FieldLogger, story *progress.Progress) kindLogger {
	end := func() {}
	return kindLogger{log, story, &end}
}

func (k kindLogger) Warn(message string)               { k.log.Debug(message) }
func (k kindLogger) Warnf(format string, args ...any)  { k.log.Debugf(format, args...) }
func (k kindLogger) Error(message string)              { k.log.Debug(message) }
func (k kindLogger) Errorf(format string, args ...any) { k.log.Debugf(format, args...) }
func (k kindLogger) V(level kindlog.Level) kindlog.InfoLogger {
	return kindInfo(k)
}

type kindInfo kindLogger

func (k kindInfo) Info(message string) { k.log.Debug(strings.TrimRight(message, "\n")) }
func (k kindInfo) Infof(format string, args ...any) {
	message := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	k.log.Debug(message)
	if phase, begins := strings.CutPrefix(message, " • "); begins {
		*k.end = k.story.Silent(messages.T("kind: %s", messages.Verbatim(strings.TrimSuffix(phase, "  ..."))))
	} else if strings.HasPrefix(message, " ✓ ") || strings.HasPrefix(message, " ✗ ") {
		(*k.end)()
		*k.end = func() {}
	}
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
	lines = slices.DeleteFunc(lines, beside)
	for _, line := range slices.Backward(lines) {
		if strings.Contains(strings.ToLower(line), "error") {
			return errors.New(strings.TrimPrefix(strings.TrimSpace(line), "docker: "))
		}
	}
	if len(lines) > 0 {
		return errors.New(strings.TrimSpace(lines[len(lines)-1]))
	}
	return failed.Inner
}

// beside reports whether a line of a command's output cannot be why it failed: what kubeadm logs as it works, JSON, and usage.
func beside(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "{") || strings.HasPrefix(line, "Run 'docker") || isLog(line)
}

// isLog reports whether a line is one of klog's that tells no error
// (https://github.com/kubernetes/klog/blob/main/klog.go): "I1128 13:31:24.360023 ...".
func isLog(line string) bool {
	return len(line) > 5 && strings.Contains("IW", line[:1]) && strings.Trim(line[1:5], "0123456789") == "" && line[5] == ' '
}
