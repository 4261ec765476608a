// Package helm installs charts with the Helm SDK. The user's own helm sees the releases as its own.
package helm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
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
	helmkube "helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/hellolab/hellolab/kube"
)

// Chart is a loaded chart.
type Chart = chart.Chart

// SetFieldManager makes [kube.Owner] the field manager of everything that Helm writes in this program. Helm keeps that name
// in a global variable, and uses the name of the program's file while it is empty; so main calls this once, before it makes
// a [Client].
func SetFieldManager() { helmkube.ManagedFieldsManager = kube.Owner }

// Client manages the releases of one namespace.
type Client struct {
	cluster       *kube.Cluster
	configuration *action.Configuration
	namespace     string
	vet           func(*unstructured.Unstructured) error
}

// New returns the client for a namespace of a cluster. Helm's own messages go to log, at debug
// level.
func New(cluster *kube.Cluster, namespace string, log logrus.FieldLogger) (*Client, error) {
	configuration := new(action.Configuration)
	if err := configuration.Init(cluster.Getter(namespace), namespace, "secret", log.Debugf); err != nil {
		return nil, err
	}
	if client, ok := configuration.KubeClient.(*helmkube.Client); ok {
		client.Namespace = namespace // of objects that name none; the default is the kubectl context's
	}
	return &Client{cluster: cluster, configuration: configuration, namespace: namespace}, nil
}

// Load reads a chart from a folder of a file system, of embedded files for example.
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

// LoadFiles reads a chart from its files, keyed by their paths relative to its folder.
func LoadFiles(files map[string][]byte) (*Chart, error) {
	var loaded []*loader.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(files)) {
		loaded = append(loaded, &loader.BufferedFile{Name: name, Data: files[name]})
	}
	return loader.LoadFiles(loaded)
}

// LoadPath reads a chart from the user's disk: a folder or a .tgz.
func LoadPath(name string) (*chart.Chart, error) { return loader.Load(name) }

// Get returns the latest revision of a release, or nil if there is none.
func (c *Client) Get(name string) (*release.Release, error) {
	found, err := c.configuration.Releases.Last(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	return found, err
}

// Current reports whether found is a finished installation of exactly this chart with exactly these values.
func Current(found *release.Release, wanted *chart.Chart, values map[string]any) bool {
	return found != nil && found.Info != nil && found.Chart != nil && found.Chart.Metadata != nil && found.Info.Status == release.StatusDeployed &&
		found.Chart.Metadata.Version == wanted.Metadata.Version &&
		found.Chart.Metadata.Name == wanted.Metadata.Name &&
		sameTemplates(found.Chart, wanted) && stored(found.Chart.Values) == stored(wanted.Values) &&
		stored(found.Config) == stored(values)
}

// sameTemplates reports whether two charts have the same templates: a version may be forgotten when one is changed.
func sameTemplates(a, b *chart.Chart) bool {
	contents := func(c *chart.Chart) map[string]string {
		all := map[string]string{}
		for _, file := range c.Templates {
			all[file.Name] = string(file.Data)
		}
		return all
	}
	return maps.Equal(contents(a), contents(b))
}

// stored is how Helm records values: as JSON, where an empty map and nil are equal, and all kinds of numbers.
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

// Whole reports whether all objects of a release are there; somebody may have deleted some. Ensure brings them back.
func (c *Client) Whole(ctx context.Context, found *release.Release) (bool, error) {
	objects, err := decoded(found.Manifest)
	if err != nil {
		return false, err
	}
	for _, object := range objects {
		reference := kube.Refer(object)
		if reference.Namespace == "" {
			reference.Namespace = c.namespace
		}
		there, err := c.cluster.Get(ctx, reference)
		if meta.IsNoMatchError(err) { // its kind has been deleted
			return false, nil
		}
		if err != nil || there == nil {
			return false, err
		}
	}
	return true, nil
}

// decoded reads the objects of a release.
func decoded(manifest string) (objects []*unstructured.Unstructured, err error) {
	for documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096); ; {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(&object.Object); err == io.EOF {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// Ensure installs a chart as a release, or upgrades that release to it. A release that a killed program left half
// installed is uninstalled first: Helm itself refuses to touch one that is pending
// (https://github.com/helm/helm/issues/8987). It does not wait until the chart's objects are ready.
func (c *Client) Ensure(ctx context.Context, name string, wanted *chart.Chart, values map[string]any) error {
	found, err := c.Get(name)
	if err != nil {
		return err
	}
	if found != nil && (found.Info == nil || found.Info.Status != release.StatusDeployed) {
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

// Install installs a chart as a new release, with labels on its record. It does not wait until the chart's objects are
// ready.
func (c *Client) Install(ctx context.Context, name string, wanted *Chart, values map[string]any, labels map[string]string) error {
	install := action.NewInstall(c.configuration)
	install.ReleaseName, install.Namespace, install.Labels = name, c.namespace, labels
	return c.render(func() error {
		_, err := install.RunWithContext(ctx, wanted, values)
		return err
	})
}

// Upgrade makes a new revision of a release, from that chart and these values alone.
func (c *Client) Upgrade(ctx context.Context, name string, wanted *Chart, values map[string]any) error {
	upgrade := action.NewUpgrade(c.configuration)
	upgrade.Namespace, upgrade.ResetValues = c.namespace, true
	return c.render(func() error {
		_, err := upgrade.RunWithContext(ctx, name, wanted, values)
		return err
	})
}

// Rollback makes a new revision of a release that equals an earlier one; 0 is the previous one.
func (c *Client) Rollback(name string, revision int) error {
	rollback := action.NewRollback(c.configuration)
	rollback.Version = revision
	return rollback.Run(name)
}

// Uninstall removes a release and its objects, whatever state it is in. It does nothing if there is none.
func (c *Client) Uninstall(name string) error {
	// Helm's own IgnoreNotFound ignores any failure to read the release's record
	if found, err := c.Get(name); err != nil || found == nil {
		return err
	}
	uninstall := action.NewUninstall(c.configuration)
	uninstall.DisableHooks = true // of a release that a killed program left half installed
	_, err := uninstall.Run(name)
	return err
}
