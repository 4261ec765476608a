// Package bootstrap is the life of a lab: a kind cluster, its registry and its ingress controller, brought up, looked
// at, stopped, started and taken down.
//
// Everything here converges: a step looks at what is there, and does (and tells) only what is missing. So the same
// list of steps creates a lab, completes half of one after a crash, and changes nothing on a healthy one.
package bootstrap

import (
	"context"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/gofrs/flock"
	"github.com/sirupsen/logrus"
	"sigs.k8s.io/kind/pkg/cluster"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
	"github.com/hellolab/hellolab/registry"
)

// Lab is one lab of this engine, which may exist or not.
type Lab struct {
	docker     *client.Client
	story      *progress.Progress
	log        logrus.FieldLogger
	settings   Settings
	exists     bool
	previous   string // the kubectl context that was current before the lab's
	registry   *registry.Registry
	kind       *cluster.Provider
	kubeconfig kubeconfig
}

// Open gives the lab that wanted names: with its own settings where it exists, with the wanted ones where it does not.
func Open(ctx context.Context, docker *client.Client, story *progress.Progress, log logrus.FieldLogger, wanted Settings) (*Lab, error) {
	name := wanted.Bootstrap.Name
	found, previous, err := recorded(ctx, docker, name)
	if err != nil {
		return nil, err
	}
	lab := &Lab{
		docker:     docker,
		story:      story,
		log:        log,
		settings:   wanted,
		exists:     found != nil,
		previous:   previous,
		kind:       cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(kindLogger{log})),
		kubeconfig: kubeconfig{Context(name)},
	}
	if found != nil {
		lab.settings = *found
	}
	lab.registry = registry.New(docker, story, name, lab.settings.Registry)
	return lab, nil
}

// insist makes the lab have the asked settings. Once its cluster is finished a lab keeps its own, and other ones are
// refused; what an interrupted start left is begun anew with the asked ones.
func (l *Lab) insist(ctx context.Context, asked Settings, nodes []container.Summary) ([]container.Summary, error) {
	differences := l.settings.Differences(asked)
	if len(differences) == 0 {
		return nodes, nil
	}
	if l.finished(ctx, nodes) {
		return nil, messages.Errorf("the lab %s was made with other settings (%s), and a lab keeps its settings", l.name(), differences).
			WithHint("hellolab down, then hellolab up with the new ones; or hellolab up without them")
	}
	if err := l.removeNodes(ctx); err != nil {
		return nil, err
	}
	if err := l.registry.RemoveContainer(ctx); err != nil {
		return nil, err
	}
	if err := l.forget(ctx); err != nil {
		return nil, err
	}
	l.settings, l.exists = asked, false
	l.registry = registry.New(l.docker, l.story, l.name(), asked.Registry)
	return nil, nil
}

// Registry is the lab's image registry.
func (l *Lab) Registry() *registry.Registry { return l.registry }

// Settings are the lab's own where it exists, and those that it would get where it does not.
func (l *Lab) Settings() Settings { return l.settings }

func (l *Lab) name() string { return l.settings.Bootstrap.Name }

// lock keeps two hellolabs from changing one lab at the same time. It falls with its process, however that ends.
func (l *Lab) lock() (unlock func(), err error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		caches = os.TempDir()
	}
	folder := filepath.Join(caches, "hellolab")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	file := flock.New(filepath.Join(folder, l.name()+".lock"))
	locked, err := file.TryLock()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, messages.Errorf("another hellolab is working on the lab %s", l.name()).
			WithHint("wait until it is done, then run the same command again")
	}
	return func() { file.Unlock() }, nil
}
