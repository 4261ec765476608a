package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube"
)

// printed reads the log of a container, whose lines come in frames unless it has a terminal, as nodes do.
func printed(stream io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	raw, err := io.ReadAll(stream)
	if err != nil {
		return raw, err
	}
	var lines bytes.Buffer
	if _, err := stdcopy.StdCopy(&lines, &lines, bytes.NewReader(raw)); err != nil {
		return raw, nil
	}
	return lines.Bytes(), nil
}

// Cluster returns the parts that the API server has: all objects, and the logs of all pods. connect is called for each part.
func Cluster(connect func() (*kube.Cluster, error)) []Part {
	with := func(collect func(context.Context, *kube.Cluster, Add) error) func(context.Context, Add) error {
		return func(ctx context.Context, add Add) error {
			cluster, err := connect()
			if err != nil {
				return err
			}
			return collect(ctx, cluster, add)
		}
	}
	return []Part{
		{"objects", 15 * time.Second, with(objects)},
		{"pod-logs", 20 * time.Second, with(podLogs)},
	}
}

// objects collects all objects, a file for each namespace and kind.
func objects(ctx context.Context, cluster *kube.Cluster, add Add) error {
	all, err := cluster.All(ctx)
	files := map[string][]any{}
	for _, object := range all {
		namespace := object.GetNamespace()
		if namespace == "" {
			namespace = "_cluster" // no namespace has such a name
		}
		group, _, hasGroup := strings.Cut(object.GetAPIVersion(), "/")
		kind := object.GetKind()
		if hasGroup {
			kind += "." + group
		}
		file := path.Join("objects", namespace, kind+".json")
		files[file] = append(files[file], object.Object)
	}
	for file, content := range files {
		add(file, content)
	}
	return err
}

// The bounds of pods' logs: of each container, and of how many are read at the same time.
const (
	linesOfPod = 2000
	bytesOfPod = 1 << 20
	together   = 8
)

// podLogs collects the logs of all containers of all pods, and of those before them.
func podLogs(ctx context.Context, cluster *kube.Cluster, add Add) error {
	pods, err := cluster.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var work errgroup.Group
	work.SetLimit(together)
	failed := make([]error, len(pods.Items))
	for i, pod := range pods.Items {
		work.Go(func() error {
			failed[i] = logsOf(ctx, cluster, pod, add)
			return nil
		})
	}
	return errors.Join(work.Wait(), errors.Join(failed...))
}

func logsOf(ctx context.Context, cluster *kube.Cluster, pod corev1.Pod, add Add) error {
	var failed []error
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		file := path.Join("pods", pod.Namespace, pod.Name, status.Name)
		for suffix, wanted := range map[string]bool{".log": started(status), ".previous.log": status.RestartCount > 0} {
			if !wanted {
				continue
			}
			lines, bytes := int64(linesOfPod), int64(bytesOfPod)
			log, err := cluster.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: status.Name,
				Previous: suffix == ".previous.log", Timestamps: true, TailLines: &lines, LimitBytes: &bytes}).DoRaw(ctx)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			add(file+suffix, log)
		}
	}
	return errors.Join(failed...)
}

// started reports whether a container has run at all, so that there is a log.
func started(status corev1.ContainerStatus) bool {
	return status.State.Running != nil || status.State.Terminated != nil
}
