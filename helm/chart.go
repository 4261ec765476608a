package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/registry"
	"helm.sh/helm/v3/pkg/repo"
	"oras.land/oras-go/v2/registry/remote/auth"
	"sigs.k8s.io/yaml"
)

// Render gives the files that a chart's templates make for a release: YAML by the template's name, without those that
// come out empty and the chart's notes.
func Render(wanted *Chart, values map[string]any, release, namespace string) (map[string]string, error) {
	all, err := chartutil.ToRenderValues(wanted, values,
		chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(wanted, all)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(files, func(name, content string) bool {
		return strings.HasSuffix(name, "NOTES.txt") || strings.TrimSpace(content) == ""
	})
	return files, nil
}

// Values puts files with values together, as helm does with several -f: the last one wins.
func Values(files ...[]byte) (map[string]any, error) {
	merged := chartutil.Values{}
	for _, file := range files {
		values, err := chartutil.ReadValues(file)
		if err != nil {
			return nil, err
		}
		merged = chartutil.CoalesceTables(values, merged) // what the first one has stays
	}
	return merged, nil
}

// Version gives a chart that is the same but for its version.
func Version(wanted *Chart, version string) *Chart {
	if version == "" {
		return wanted
	}
	other, metadata := *wanted, *wanted.Metadata
	metadata.Version = version
	other.Metadata = &metadata
	return &other
}

// Edit gives a chart whose own values are others, where values has any.
func Edit(wanted *Chart, values map[string]any) *Chart {
	if len(values) == 0 {
		return wanted
	}
	edited := *wanted
	edited.Values = chartutil.CoalesceTables(values, maps.Clone(wanted.Values))
	return &edited
}

// Package is a chart as it lies in a chart repository.
type Package struct {
	// File is its name: "hello-helm-0.1.0.tgz".
	File    string
	Content []byte

	metadata *chart.Metadata
}

// Chart is the chart's name.
func (p Package) Chart() string { return p.metadata.Name }

// Version is the chart's.
func (p Package) Version() string { return p.metadata.Version }

// Tag is the version as an image registry has it, whose tags know no "+".
func (p Package) Tag() string { return strings.ReplaceAll(p.metadata.Version, "+", "_") }

// Pack makes the package of a chart: always the same one of the same chart, unlike helm package, which writes the time
// into it.
func Pack(wanted *Chart) (Package, error) {
	metadata, err := yaml.Marshal(wanted.Metadata)
	if err != nil {
		return Package{}, err
	}
	files := map[string][]byte{}
	for _, file := range wanted.Raw {
		files[file.Name] = file.Data
	}
	files[chartutil.ChartfileName] = metadata // its version may be another one than in the file
	var content bytes.Buffer
	compressed := gzip.NewWriter(&content)
	archive := tar.NewWriter(compressed)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: path.Join(wanted.Name(), name), Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(0, 0)}
		if err := archive.WriteHeader(header); err != nil {
			return Package{}, err
		}
		if _, err := archive.Write(files[name]); err != nil {
			return Package{}, err
		}
	}
	if err := archive.Close(); err != nil {
		return Package{}, err
	}
	if err := compressed.Close(); err != nil {
		return Package{}, err
	}
	file := wanted.Name() + "-" + wanted.Metadata.Version + ".tgz"
	return Package{file, content.Bytes(), wanted.Metadata}, nil
}

// Index is the index.yaml of a chart repository that holds packages, which lie beside it.
func Index(packages ...Package) ([]byte, error) {
	index := repo.NewIndexFile()
	for _, p := range packages {
		sum := sha256.Sum256(p.Content)
		if err := index.MustAdd(p.metadata, p.File, "", hex.EncodeToString(sum[:])); err != nil {
			return nil, err
		}
	}
	index.Generated = time.Unix(0, 0).UTC() // the same repository has the same index
	for _, versions := range index.Entries {
		for _, version := range versions {
			version.Created = index.Generated
		}
	}
	return yaml.Marshal(index)
}

// BadIndex is the error for an index.yaml that is none.
type BadIndex struct{ error }

// Upload puts a package into the chart repository at url, whose web server takes PUT, and into its index. Where that
// cannot be read, the error is a [BadIndex].
func Upload(ctx context.Context, url string, p Package) error {
	content, err := exchange(ctx, http.MethodGet, url+"/index.yaml", nil)
	if err != nil {
		return err
	}
	index := repo.NewIndexFile()
	if err := yaml.Unmarshal(content, index); err != nil {
		return BadIndex{err}
	}
	if index.Entries == nil { // as helm repo index writes it where there are no charts
		index.Entries = map[string]repo.ChartVersions{}
	}
	name := p.metadata.Name
	index.Entries[name] = slices.DeleteFunc(index.Entries[name], func(v *repo.ChartVersion) bool { return v.Version == p.metadata.Version })
	sum := sha256.Sum256(p.Content)
	if err := index.MustAdd(p.metadata, p.File, "", hex.EncodeToString(sum[:])); err != nil {
		return err
	}
	index.SortEntries()
	if content, err = yaml.Marshal(index); err != nil {
		return err
	}
	if _, err = exchange(ctx, http.MethodPut, url+"/"+p.File, p.Content); err != nil {
		return err
	}
	_, err = exchange(ctx, http.MethodPut, url+"/index.yaml", content)
	return err
}

// Download gives what the chart repository at url has as a package's file, or nil.
func Download(ctx context.Context, url string, p Package) ([]byte, error) {
	content, err := exchange(ctx, http.MethodGet, url+"/"+p.File, nil)
	var answer badStatus
	if errors.As(err, &answer) && answer.code == http.StatusNotFound {
		return nil, nil
	}
	return content, err
}

// badStatus is a web server's answer that is no success.
type badStatus struct {
	code int
	text string
}

func (b badStatus) Error() string { return b.text }

// exchange asks a web server on this machine, without a proxy.
func exchange(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, badStatus{response.StatusCode, fmt.Sprintf("%s %s: %s", method, url, response.Status)}
	}
	return io.ReadAll(response.Body)
}

// Push puts a package into an image registry that speaks plain HTTP, below a folder of it: "localhost:5001/charts".
// Nobody's credentials are looked for.
func Push(ctx context.Context, folder string, p Package) error {
	client, err := registryClient(ctx)
	if err != nil {
		return err
	}
	_, err = client.Push(p.Content, p.reference(folder), registry.PushOptCreationTime(time.Unix(0, 0).UTC().Format(time.RFC3339)))
	return err
}

// Pull gives what a registry as that of [Push] has as a package's version.
func Pull(ctx context.Context, folder string, p Package) ([]byte, error) {
	client, err := registryClient(ctx)
	if err != nil {
		return nil, err
	}
	pulled, err := client.Pull(p.reference(folder))
	if err != nil {
		return nil, err
	}
	return pulled.Chart.Data, nil
}

func (p Package) reference(folder string) string {
	return folder + "/" + p.metadata.Name + ":" + p.metadata.Version
}

func registryClient(ctx context.Context) (*registry.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // it is on this machine
	return registry.NewClient(registry.ClientOptPlainHTTP(), registry.ClientOptWriter(io.Discard),
		registry.ClientOptAuthorizer(auth.Client{Client: &http.Client{Transport: withContext{ctx, transport}}}))
}

// withContext ends requests with a context of their caller's: Helm's registry client takes none.
type withContext struct {
	ctx  context.Context
	next http.RoundTripper
}

func (t withContext) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	return t.next.RoundTrip(request)
}
