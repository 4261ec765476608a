package bootstrap

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/mirror"
)

// The labels of a lab's record, beside [engine.Label].
const (
	settingsLabel        = "io.github.hellolab.settings"
	sinceLabel           = "io.github.hellolab.since"
	previousContextLabel = "io.github.hellolab.previous-context"
	// tokenLabel is a random word, which tells the lab's cluster from others of its name. Records of older versions have none.
	tokenLabel = "io.github.hellolab.token"
	// finishedLabel is there once the cluster has been created to its end: without nodes, it has been lost since.
	finishedLabel = "io.github.hellolab.finished"
)

// finishedMark is a file in the control plane's container. It says that the cluster was created to the end, and holds
// the lab's record once more, as JSON. Without it, what is there is the rest of an interrupted creation, which kind cannot
// go on with.
const finishedMark = "/kind/hellolab"

// claimMark is a file in each node's container, with the lab's record, that is there soon after its start: whose the rest of an interrupted
// creation is does not depend on a clock then, nor on the record's volume.
const claimMark = "/kind/hellolab-claim"

// tokenMark is an empty file beside the claim, named after the token. The engine tells at once whether it is there, and takes 40 ms to hand a
// file over (Docker 20.10 starts a process for that). Nodes by older versions have none.
func tokenMark(token string) string { return "/kind/hellolab-token-" + token }

// record is what the engine remembers of the lab; see [Settings].
type record struct {
	exists bool
	since  time.Time
	// previousContext is the kubectl context that was current before the lab's.
	previousContext string
	// labels are the record as it is stored.
	labels map[string]string
}

func newRecord(labels map[string]string) record {
	since, _ := time.Parse(time.RFC3339, labels[sinceLabel])
	return record{exists: true, since: since, previousContext: labels[previousContextLabel], labels: labels}
}

func (r record) token() string { return r.labels[tokenLabel] }

// finished reports whether the lab's cluster was created to its end, whatever has become of it. Records of older versions do
// not tell.
func (r record) finished() bool { return r.labels[finishedLabel] != "" }

func settingsVolume(name string) string { return name + "-settings" }

// recorded returns what the engine remembers of the lab that defaults names. Settings that an older version of hellolab
// did not know are those of defaults.
func recorded(ctx context.Context, docker *client.Client, defaults Settings) (Settings, record, error) {
	name := defaults.Bootstrap.Name
	labels, err := findRecord(ctx, docker, name)
	if err != nil || labels == nil {
		return defaults, record{}, err
	}
	settings := defaults
	// not the maps of defaults, which YAML would write into
	settings.Others, settings.Bootstrap.Ingress.Values, settings.Registry.Mirrors = nil, nil, mirror.Config{}
	if err := yaml.Unmarshal([]byte(labels[settingsLabel]), &settings); err != nil {
		return defaults, record{}, messages.Errorf("the lab %s was made by another version of hellolab", name).Because(err).
			WithHint("use that version, or start over: %s, %s, then %s", messages.Shell("docker", "rm", "-fv").Usage(strings.Join(nodeNames(name, settings.Bootstrap.Workers), " ")),
				messages.Shell("docker", "volume", "rm", settingsVolume(name)), messages.Hellolab("up"))
	}
	if settings.Registry.Mirrors.IsZero() {
		settings.Registry.Mirrors = defaults.Registry.Mirrors
	}
	settings.Others = overlay(defaults.Others, settings.Others)
	return settings, newRecord(labels), nil
}

// nodeNames are the names that kind gives to the containers of a cluster.
func nodeNames(lab string, workers int) []string {
	names := []string{lab + "-" + controlPlane}
	for i := range workers {
		name := lab + "-worker"
		if i > 0 {
			name += strconv.Itoa(i + 1)
		}
		names = append(names, name)
	}
	return names
}

// findRecord returns the labels of a lab's record, or nil where there is no lab. No container uses the record's volume,
// so a prune may remove it; the copy in the finished cluster counts then.
func findRecord(ctx context.Context, docker *client.Client, name string) (map[string]string, error) {
	volume, err := docker.VolumeInspect(ctx, settingsVolume(name))
	switch {
	case err == nil && volume.Labels[engine.Label] != name:
		return nil, engine.ForeignVolume(volume.Name)
	case err == nil:
		return volume.Labels, nil
	case !errdefs.IsNotFound(err):
		return nil, err
	}
	_, labels, err := readMarks(ctx, docker, name+"-"+controlPlane)
	if labels[engine.Label] != name {
		return nil, err
	}
	return labels, err
}

// readMarks reports whether a container has any of the marks, and returns the record in it. Marks of older versions have none.
func readMarks(ctx context.Context, docker *client.Client, node string) (found bool, labels map[string]string, err error) {
	for _, mark := range []string{finishedMark, claimMark} {
		if found, labels, err = readMark(ctx, docker, node, mark); found || err != nil {
			return found, labels, err
		}
	}
	return false, nil, nil
}

func readMark(ctx context.Context, docker *client.Client, node, mark string) (found bool, labels map[string]string, err error) {
	archive, _, err := docker.CopyFromContainer(ctx, node, mark)
	if errdefs.IsNotFound(err) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	defer archive.Close()
	files := tar.NewReader(archive)
	if _, err := files.Next(); err != nil {
		return false, nil, err
	}
	content, err := io.ReadAll(files)
	if err != nil {
		return false, nil, err
	}
	if json.Unmarshal(content, &labels) != nil {
		return true, nil, nil
	}
	return true, labels, nil
}

// claim writes into a node's container whose it is, unless that is there.
func (l *Lab) claim(ctx context.Context, node string) error {
	token := tokenMark(l.record.token())
	if _, err := l.docker.ContainerStatPath(ctx, node, token); !errdefs.IsNotFound(err) {
		return err
	}
	content, err := json.Marshal(l.record.labels)
	if err != nil {
		return err
	}
	return l.writeFiles(ctx, node, "/", map[string]string{claimMark: string(content) + "\n", token: "", kubeletUnit: afterContainerd})
}

// finish puts on record that the cluster has been created to its end.
func (l *Lab) finish(ctx context.Context) error {
	return l.rewrite(ctx, finishedLabel, "true")
}

// keepChanges puts on record what the lab has other values of from now on, see [lasting].
func (l *Lab) keepChanges(ctx context.Context) error {
	var was Settings
	if err := yaml.Unmarshal([]byte(l.record.labels[settingsLabel]), &was); err != nil {
		return err
	}
	changed := was.with(l.settings, lasting())
	content, err := yaml.Marshal(changed)
	if err != nil || reflect.DeepEqual(flatten(was), flatten(changed)) {
		return err
	}
	return l.rewrite(ctx, settingsLabel, string(content))
}

// rewrite changes a label of a finished cluster's record. The mark in the node comes first: it is the record while the volume, whose
// labels the engine never changes, is made anew.
func (l *Lab) rewrite(ctx context.Context, label, value string) error {
	labels := maps.Clone(l.record.labels)
	labels[label] = value
	mark, err := json.Marshal(labels)
	if err != nil {
		return err
	}
	if err := l.writeFiles(ctx, l.controlPlane(), "/", map[string]string{finishedMark: string(mark) + "\n"}); err != nil {
		return err
	}
	if err := l.forget(ctx); err != nil {
		return err
	}
	l.record = newRecord(labels)
	return l.remember(ctx)
}

// remember puts the lab on record, and with that begins its existence. A record that is there already stays as it is.
func (l *Lab) remember(ctx context.Context) error {
	labels := l.record.labels
	if !l.record.exists {
		var err error
		if labels, err = l.draftRecord(ctx); err != nil {
			return err
		}
	}
	if err := engine.EnsureVolume(ctx, l.docker, settingsVolume(l.name()), l.name(), labels); err != nil {
		return err
	}
	l.record = newRecord(labels)
	return nil
}

// draftRecord returns the labels of a new lab's record.
func (l *Lab) draftRecord(ctx context.Context) (map[string]string, error) {
	content, err := yaml.Marshal(l.settings)
	if err != nil {
		return nil, err
	}
	previous := l.record.previousContext // of a lab that is begun anew
	if current := l.kubectl.Current(); current != l.kubectl.Context {
		previous = current
	}
	info, err := l.docker.Info(ctx)
	if err != nil {
		return nil, err
	}
	now, err := time.Parse(time.RFC3339Nano, info.SystemTime) // the engine's clock, which dates its containers too
	if err != nil {
		return nil, err
	}
	return map[string]string{
		engine.Label:         l.name(),
		settingsLabel:        string(content),
		sinceLabel:           now.Truncate(time.Second).Format(time.RFC3339),
		previousContextLabel: previous,
		tokenLabel:           rand.Text(),
	}, nil
}

// forget removes the record, and with it the lab's existence.
func (l *Lab) forget(ctx context.Context) error {
	if err := l.docker.VolumeRemove(ctx, settingsVolume(l.name()), false); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	l.record.exists = false
	return nil
}
