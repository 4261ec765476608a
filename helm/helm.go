// Package helm installs charts with the Helm SDK, so that the reader's own helm sees what hellolab did.
package helm

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Chart is a chart that was read.
type Chart = chart.Chart

// As has Helm call itself manager towards the API server, whatever the program's file is called. Helm knows of one name
// for the whole program.
func As(manager string) { kube.ManagedFieldsManager = manager }

// Client works on the releases of one namespace.
type Client struct {
	configuration *action.Configuration
	namespace     string
}

// New gives the client for a namespace of the cluster that kubeconfig names. What Helm does goes to log, at its debug
// level.
func New(kubeconfig clientcmd.ClientConfig, namespace string, log logrus.FieldLogger) (*Client, error) {
	configuration := new(action.Configuration)
	if err := configuration.Init(getter{kubeconfig}, namespace, "secret", log.Debugf); err != nil {
		return nil, err
	}
	if client, ok := configuration.KubeClient.(*kube.Client); ok {
		client.Namespace = namespace // for what names none; otherwise it is that of the kubectl context
	}
	return &Client{configuration, namespace}, nil
}

// Load reads a chart from files, an embedded folder say.
func Load(files fs.FS, folder string) (*chart.Chart, error) {
	all := map[string][]byte{}
	err := fs.WalkDir(files, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		all[strings.TrimPrefix(name, path.Clean(folder)+"/")] = content
		return err
	})
	if err != nil {
		return nil, err
	}
	return LoadFiles(all)
}

// LoadFiles reads a chart from its files, by their paths below its folder.
func LoadFiles(files map[string][]byte) (*Chart, error) {
	var loaded []*loader.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(files)) {
		loaded = append(loaded, &loader.BufferedFile{Name: name, Data: files[name]})
	}
	return loader.LoadFiles(loaded)
}

// LoadPath reads a chart from a folder or a .tgz of the user's.
func LoadPath(name string) (*chart.Chart, error) { return loader.Load(name) }

// Get gives the latest revision of a release, or nil where there is none.
func (c *Client) Get(name string) (*release.Release, error) {
	found, err := c.configuration.Releases.Last(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	return found, err
}

// Current reports whether found is a finished installation of just this chart with just these values.
func Current(found *release.Release, wanted *chart.Chart, values map[string]any) bool {
	return found != nil && found.Info.Status == release.StatusDeployed &&
		found.Chart.Metadata.Version == wanted.Metadata.Version &&
		found.Chart.Metadata.Name == wanted.Metadata.Name &&
		stored(found.Config) == stored(values)
}

// stored is how Helm keeps values: as JSON, where no values are none and every number is one.
func stored(values map[string]any) string {
	if len(values) == 0 {
		return "{}"
	}
	content, err := json.Marshal(values)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// Ensure installs a chart as a release, or upgrades that release to it. A release that a killed program left half
// installed is taken away first: Helm itself refuses to touch one that is pending
// (https://github.com/helm/helm/issues/8987). It does not wait for what the chart creates.
func (c *Client) Ensure(ctx context.Context, name string, wanted *chart.Chart, values map[string]any) error {
	found, err := c.Get(name)
	if err != nil {
		return err
	}
	if found != nil && found.Info.Status != release.StatusDeployed {
		uninstall := action.NewUninstall(c.configuration)
		uninstall.Wait = true
		uninstall.Timeout = time.Minute
		uninstall.DisableHooks = true
		uninstall.IgnoreNotFound = true
		if _, err := uninstall.Run(name); err != nil {
			return err
		}
		found = nil
	}
	if found != nil {
		upgrade := action.NewUpgrade(c.configuration)
		upgrade.Namespace = c.namespace
		upgrade.MaxHistory = 10 // as helm's own default
		_, err = upgrade.RunWithContext(ctx, name, wanted, values)
		return err
	}
	install := action.NewInstall(c.configuration)
	install.ReleaseName = name
	install.Namespace = c.namespace
	install.CreateNamespace = true
	install.TakeOwnership = true // what a killed installation created without noting it
	_, err = install.RunWithContext(ctx, wanted, values)
	return err
}

// Install installs a chart as a new release, whose record gets labels, and does not wait for what the chart creates.
func (c *Client) Install(ctx context.Context, name string, wanted *Chart, values map[string]any, labels map[string]string) error {
	install := action.NewInstall(c.configuration)
	install.ReleaseName, install.Namespace, install.Labels = name, c.namespace, labels
	_, err := install.RunWithContext(ctx, wanted, values)
	return err
}

// Upgrade gives a release another revision, with that chart and these values only.
func (c *Client) Upgrade(ctx context.Context, name string, wanted *Chart, values map[string]any) error {
	upgrade := action.NewUpgrade(c.configuration)
	upgrade.Namespace, upgrade.ResetValues = c.namespace, true
	_, err := upgrade.RunWithContext(ctx, name, wanted, values)
	return err
}

// Rollback gives a release another revision, like an earlier one; 0 is the one before.
func (c *Client) Rollback(name string, revision int) error {
	rollback := action.NewRollback(c.configuration)
	rollback.Version = revision
	return rollback.Run(name)
}

// Uninstall takes a release away, whatever state it is in, with its objects. It does nothing where there is none.
func (c *Client) Uninstall(name string) error {
	uninstall := action.NewUninstall(c.configuration)
	uninstall.DisableHooks = true // of a release that a killed program left half installed
	uninstall.IgnoreNotFound = true
	_, err := uninstall.Run(name)
	return err
}

// getter hands a kubeconfig to Helm in the shape that it asks for.
type getter struct{ kubeconfig clientcmd.ClientConfig }

var _ genericclioptions.RESTClientGetter = getter{}

func (g getter) ToRawKubeConfigLoader() clientcmd.ClientConfig { return g.kubeconfig }

func (g getter) ToRESTConfig() (*rest.Config, error) {
	config, err := g.kubeconfig.ClientConfig()
	if err == nil {
		config.UserAgent = kube.ManagedFieldsManager // whose the records of releases are
		config.QPS, config.Burst = -1, -1            // a lab's own API server needs no protection from its only client
	}
	return config, err
}

func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	config, err := g.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	return memory.NewMemCacheClient(client), err
}

func (g getter) ToRESTMapper() (meta.RESTMapper, error) {
	client, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(client)
	return restmapper.NewShortcutExpander(mapper, client, func(string) {}), nil
}
