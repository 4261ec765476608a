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

// Render returns the manifests that a chart's templates produce for a release, by the template's name, and the chart's
// CustomResourceDefinitions. Empty ones and the chart's notes are left out. Where the templates do not come to an end, or fill
// the memory, it returns an error, and the program has to end: they go on.
func Render(wanted *Chart, values map[string]any, release, namespace string) (map[string]string, error) {
	return renderWithin(usual(), wanted, values, release, namespace)
}

func renderWithin(limits bounds, wanted *Chart, values map[string]any, release, namespace string) (map[string]string, error) {
	rendered := make(chan map[string]string, 1) // of a rendering that goes on, nobody reads
	err := limits.within(func(func()) error {
		all, err := chartutil.ToRenderValues(wanted, values,
			chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}, chartutil.DefaultCapabilities)
		if err != nil {
			return err
		}
		files, err := engine.Render(wanted, all)
		rendered <- files
		return err
	})
	if err != nil {
		return nil, err
	}
	files := <-rendered
	for _, definition := range wanted.CRDObjects() {
		files[definition.Filename] = string(definition.File.Data)
	}
	maps.DeleteFunc(files, func(name, content string) bool {
		return strings.HasSuffix(name, "NOTES.txt") || strings.TrimSpace(content) == ""
	})
	return files, nil
}

// Values merges files of values, as helm does with several -f: the last one wins.
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

// Version returns a copy of a chart with another version; "" keeps its own.
func Version(wanted *Chart, version string) *Chart {
	if version == "" {
		return wanted
	}
	other, metadata := *wanted, *wanted.Metadata
	metadata.Version = version
	other.Metadata = &metadata
	return &other
}

// Edit returns a copy of a chart in whose values.yaml these values are set.
func Edit(wanted *Chart, values map[string]any) *Chart {
	if len(values) == 0 {
		return wanted
	}
	edited := *wanted
	edited.Values = chartutil.CoalesceTables(values, maps.Clone(wanted.Values))
	return &edited
}

// Package is the archive of a chart, as a chart repository holds it.
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

// Tag is the version as a tag of an image registry, where "+" is not allowed.
func (p Package) Tag() string { return strings.ReplaceAll(p.metadata.Version, "+", "_") }

// Pack makes the package of a chart. The same chart always makes the same package, unlike helm package, which writes the
// current time into it.
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

// Index is the index.yaml of a chart repository that holds packages in the same folder.
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

// BadIndex is the error for an index.yaml that cannot be parsed.
type BadIndex struct{ error }

// Upload puts a package into the chart repository at url, whose web server accepts PUT, and adds it to the repository's
// index. If the index cannot be parsed, the error is a [BadIndex].
func Upload(ctx context.Context, url string, p Package) error {
	content, err := exchange(ctx, http.MethodGet, url+"/index.yaml", nil)
	if err != nil {
		return err
	}
	if content, err = listed(content, p); err != nil {
		return err
	}
	if _, err = exchange(ctx, http.MethodPut, url+"/"+p.File, p.Content); err != nil {
		return err
	}
	_, err = exchange(ctx, http.MethodPut, url+"/index.yaml", content)
	return err
}

// listed returns an index.yaml with a package in it, in the place of one of that name and version. Anybody may have written
// the index; entries that are no charts are left out.
func listed(content []byte, p Package) ([]byte, error) {
	index := repo.NewIndexFile()
	if err := yaml.Unmarshal(content, index); err != nil {
		return nil, BadIndex{err}
	}
	if index.Entries == nil { // as helm repo index writes it where there are no charts
		index.Entries = map[string]repo.ChartVersions{}
	}
	for name, versions := range index.Entries {
		index.Entries[name] = slices.DeleteFunc(versions, func(v *repo.ChartVersion) bool {
			return v == nil || v.Metadata == nil || v.Version == "" || name == p.metadata.Name && v.Version == p.metadata.Version
		})
	}
	sum := sha256.Sum256(p.Content)
	if err := index.MustAdd(p.metadata, p.File, "", hex.EncodeToString(sum[:])); err != nil {
		return nil, err
	}
	index.SortEntries()
	return yaml.Marshal(index)
}

// Download returns the content of a package's file in the chart repository at url, or nil if there is none.
func Download(ctx context.Context, url string, p Package) ([]byte, error) {
	content, err := exchange(ctx, http.MethodGet, url+"/"+p.File, nil)
	var answer badStatus
	if errors.As(err, &answer) && answer.code == http.StatusNotFound {
		return nil, nil
	}
	return content, err
}

// badStatus is the error for a response other than success.
type badStatus struct {
	code int
	text string
}

func (b badStatus) Error() string { return b.text }

// exchange sends one request to a web server on this machine and returns the body of the response.
func exchange(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: localTransport()}
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

// Push uploads a package to an image registry that speaks plain HTTP, into a folder of it: "localhost:5001/charts". No
// credentials are used.
func Push(ctx context.Context, folder string, p Package) error {
	client, err := registryClient(ctx)
	if err != nil {
		return err
	}
	_, err = client.Push(p.Content, p.reference(folder), registry.PushOptCreationTime(time.Unix(0, 0).UTC().Format(time.RFC3339)))
	return err
}

// Pull downloads the content of the package with the name and version of p from a registry, as [Push] put it there.
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
	return registry.NewClient(registry.ClientOptPlainHTTP(), registry.ClientOptWriter(io.Discard),
		registry.ClientOptAuthorizer(auth.Client{Client: &http.Client{Transport: withContext{ctx, localTransport()}}}))
}

// answersWithin is how long a server on this machine may take to begin its answer, once it has the whole request. A chart
// is some kilobytes.
const answersWithin = 30 * time.Second

// localTransport connects to servers on this machine, without a proxy. It keeps no connections, for every client here is
// used once.
func localTransport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: answersWithin}
}

// withContext ends requests when a context ends, besides their own: Helm's registry client accepts none from its caller
// and begins requests with context.Background().
type withContext struct {
	ctx  context.Context
	next http.RoundTripper
}

func (t withContext) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	stop := context.AfterFunc(t.ctx, func() { cancel(context.Cause(t.ctx)) })
	release := func() {
		stop()
		cancel(nil)
	}
	response, err := t.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		release()
		return nil, err
	}
	response.Body = &releasedBody{response.Body, release}
	return response, nil
}

// releasedBody releases the context of its request when it is closed.
type releasedBody struct {
	io.ReadCloser
	release func()
}

func (b *releasedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
