// Package bootstrap is the life of a lab: a kind cluster, its registry and its ingress controller, brought up, looked
// at, stopped, started and removed.
//
// Everything here converges: a step looks at what is there, and does (and reports) only what is missing. So the same
// list of steps creates a lab, completes half of one after a crash, and changes nothing on a healthy one.
package bootstrap

import (
	"context"
	"time"

	"github.com/docker/docker/client"
	"github.com/sirupsen/logrus"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/lock"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/mirror"
	"github.com/hellolab/hellolab/progress"
	"github.com/hellolab/hellolab/registry"
)

// Lab is one lab of this engine, which may exist or not.
type Lab struct {
	docker   *client.Client
	story    *progress.Progress
	log      logrus.FieldLogger
	asked    Asked
	settings Settings
	record   record
	registry *registry.Registry
	images   *mirror.Fetcher
	kind     provider
	kubectl  kube.Kubeconfig
	// releases returns the Helm releases of a namespace of a cluster.
	releases func(api *kube.Cluster, namespace string) (releases, error)
}

// provider creates kind clusters: [cluster.Provider] is one.
type provider interface {
	Create(name string, options ...cluster.CreateOption) error
	KubeConfig(name string, internal bool) (string, error)
	ListInternalNodes(name string) ([]nodes.Node, error)
}

// Open returns the lab that asked names: with the settings that it was made with where it exists (and the changeable ones
// among those that the user asked for), with the asked ones where it does not.
func Open(ctx context.Context, docker *client.Client, story *progress.Progress, log logrus.FieldLogger, asked Asked) (*Lab, error) {
	lab := &Lab{
		docker:  docker,
		story:   story,
		log:     log,
		asked:   asked,
		images:  mirror.New(docker, story, mirror.Config{}),
		kind:    cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(newKindLogger(log, story))),
		kubectl: kube.Kubeconfig{Context: Context(asked.Bootstrap.Name)},
	}
	lab.releases = func(api *kube.Cluster, namespace string) (releases, error) { return helm.New(api, namespace, log) }
	return lab, lab.load(ctx)
}

// load reads what the engine remembers of the lab.
func (l *Lab) load(ctx context.Context) error {
	settings, found, err := recorded(ctx, l.docker, l.asked.Settings)
	if err != nil {
		return err
	}
	if l.record = found; found.exists {
		settings = settings.With(l.asked)
	}
	l.use(settings)
	return nil
}

// use gives the lab other settings.
func (l *Lab) use(settings Settings) {
	l.settings = settings
	l.images = l.images.With(settings.Registry.Mirrors)
	l.registry = registry.New(l.docker, l.story, settings.Bootstrap.Name, settings.Registry, l.images)
}

// Registry is the lab's image registry.
func (l *Lab) Registry() *registry.Registry { return l.registry }

// Images gets images that the engine lacks from where the lab's settings say.
func (l *Lab) Images() *mirror.Fetcher { return l.images }

// EnsureImage gets an image into the engine unless that has it, and returns the name that containers can be created with.
func (l *Lab) EnsureImage(ctx context.Context, image string) (string, error) {
	return l.images.Ensure(ctx, image)
}

// Exists reports whether there is a lab, whatever state it is in.
func (l *Lab) Exists() bool { return l.record.exists }

// Settings returns those of a lab that exists, and those that it would get where it does not.
func (l *Lab) Settings() Settings { return l.settings }

func (l *Lab) name() string { return l.asked.Bootstrap.Name }

// Gone reports whether the lab is no more the one that was opened: it was removed, or made anew.
func (l *Lab) Gone(ctx context.Context) bool {
	_, now, err := recorded(ctx, l.docker, l.settings)
	return err == nil && (!now.exists || !now.since.Equal(l.record.since) || now.token() != l.record.token())
}

// Lock keeps other hellolabs from changing the lab until unlock is called.
func (l *Lab) Lock(ctx context.Context) (unlock func(), err error) { return l.lock(ctx) }

// lock keeps two hellolabs from changing one lab at the same time, and reads anew what the one before may have
// changed. Some have the lab for a moment only, to start its registry: so it waits that long.
func (l *Lab) lock(ctx context.Context) (unlock func(), err error) {
	unlock, err = l.loaded(ctx)(lock.Within(ctx, momentary, l.name()))
	if err == nil && unlock == nil {
		err = l.busy(ctx)
	}
	return unlock, err
}

// momentary is how long a hellolab may have a lab before another one gives way to it.
const momentary = 3 * time.Second

// tryLock is lock, but returns nil where another hellolab has the lab.
func (l *Lab) tryLock(ctx context.Context) (unlock func(), err error) {
	return l.loaded(ctx)(lock.Try(l.name()))
}

// loaded reads what the engine remembers of the lab once more, under a lock that has just been taken.
func (l *Lab) loaded(ctx context.Context) func(unlock func(), err error) (func(), error) {
	return func(unlock func(), err error) (func(), error) {
		if err != nil || unlock == nil {
			return nil, err
		}
		if err := l.load(ctx); err != nil {
			unlock()
			return nil, err
		}
		return unlock, nil
	}
}

// busy is the error for a lab that another hellolab has locked.
func (l *Lab) busy(ctx context.Context) error {
	return lock.Busy(ctx, l.name(), messages.T("another hellolab is working on the lab %s", l.name()))
}

// LockTunnel keeps others from running a tunnel to the lab until unlock is called. unlock is nil where somebody runs one.
func (l *Lab) LockTunnel() (unlock func(), err error) { return lock.Try(l.name() + ".tunnel") }

// TunnelBusy is the error for a lab that has a tunnel already.
func (l *Lab) TunnelBusy(ctx context.Context) error {
	return lock.Busy(ctx, l.name()+".tunnel", messages.T("another tunnel to this lab runs already")).
		WithHint("one tunnel is enough for all Services; Ctrl-C in its terminal ends it")
}

// portsLock is the name of the lock for the choice of ports, which no lab can have as its name.
const portsLock = ".ports"

// lockPorts waits until no other lab is choosing its ports, and keeps others from it until unlock is called.
func (l *Lab) lockPorts(ctx context.Context) (unlock func(), err error) {
	unlock, err = lock.Within(ctx, momentary, portsLock)
	if err != nil || unlock != nil {
		return unlock, err
	}
	busy := lock.Busy(ctx, portsLock, messages.T("another hellolab is choosing its ports"))
	waiting, cancel := l.within(ctx)
	defer cancel()
	err = l.story.Do(waiting, messages.T("waiting for another hellolab"), func(waiting context.Context) error {
		unlock, err = lock.Within(waiting, l.settings.Bootstrap.Timeout, portsLock)
		if unlock == nil && ctx.Err() == nil {
			return busy
		}
		return err
	})
	return unlock, err
}

// within bounds one wait.
func (l *Lab) within(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := l.settings.Bootstrap.Timeout
	longer := []string{"up", "--set", "bootstrap.timeout=" + (2 * limit).String()}
	return context.WithTimeoutCause(ctx, limit, messages.Errorf("timed out after %s", limit).
		WithHint("%s shows what is there; to continue with more time: %s", messages.Hellolab("status"), messages.Hellolab(longer...)))
}

// missing is the error for a lab that does not exist.
func (l *Lab) missing() error {
	return messages.Errorf("there is no lab named %s in the Docker Engine at %s", l.name(), l.docker.DaemonHost()).Next(messages.Hellolab("up"))
}

// notRunning is the error for a lab that is stopped.
func (l *Lab) notRunning() error {
	return messages.Errorf("the lab %s does not run", l.name()).Next(messages.Hellolab("start"))
}

// incomplete is the error for a lab that lacks something.
func (l *Lab) incomplete() error {
	return messages.Errorf("the lab %s is not complete", l.name()).Next(messages.Hellolab("up"))
}
