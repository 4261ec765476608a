package supply_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/progress"
	lab "github.com/hellolab/hellolab/registry"
	"github.com/hellolab/hellolab/supply"
)

// fakeLab is a lab of a registry in memory and a web server that takes charts.
type fakeLab struct {
	registry  *lab.Registry
	charts    string
	ingress   bool
	started   int
	refuses   error
	tunnelled bool
}

func (f *fakeLab) StartRegistry(context.Context) error {
	f.started++
	return f.refuses
}
func (f *fakeLab) Registry() *lab.Registry { return f.registry }
func (f *fakeLab) Addresses() bootstrap.Addresses {
	return bootstrap.Addresses{Registry: f.registry.Address(), Charts: f.charts}
}
func (f *fakeLab) Settings() bootstrap.Settings {
	return bootstrap.Settings{Bootstrap: bootstrap.Config{Ingress: bootstrap.Ingress{Enabled: f.ingress}}}
}
func (f *fakeLab) LockTunnel() (func(), error) {
	if f.tunnelled {
		return nil, nil
	}
	return nil, errors.New("no lock file")
}
func (f *fakeLab) Gone(context.Context) bool { return false }

// fakeBuilder notes what it is asked to build.
type fakeBuilder struct {
	built []string
	fails error
}

func (f *fakeBuilder) Build(_ context.Context, tags []images.Tag) ([]string, []string, error) {
	for _, tag := range tags {
		f.built = append(f.built, tag.Name)
	}
	return nil, nil, f.fails
}

func (f *fakeBuilder) BuildSnapshot(_ context.Context, tags []images.Tag) ([]string, []string, error) {
	for _, tag := range tags {
		f.built = append(f.built, "snapshot "+tag.Name)
	}
	return nil, nil, f.fails
}

// newSupply is a supply over a registry in memory; files is what the chart repository holds.
func newSupply(t *testing.T) (s *supply.Supply, l *fakeLab, builder *fakeBuilder, files *store) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	files = &store{content: map[string][]byte{}}
	charts := httptest.NewServer(files)
	t.Cleanup(charts.Close)
	story := progress.New(progress.Options{Out: io.Discard})
	l = &fakeLab{registry: lab.New(nil, story, "test", lab.Config{Port: port.Port{Number: number}}, nil), charts: charts.URL, ingress: true}
	builder = &fakeBuilder{}
	return &supply.Supply{Lab: l, Builder: builder, Account: "guangzhengli", Say: func(messages.Text) {}}, l, builder, files
}

// store is a web server that keeps what is put into it, and refuses to where it is broken.
type store struct {
	mu      sync.Mutex
	content map[string][]byte
	broken  bool
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, found := s.content[r.URL.Path]
	switch {
	case s.broken:
		w.WriteHeader(http.StatusBadGateway)
	case r.Method == http.MethodPut:
		s.content[r.URL.Path], _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
	case !found:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Write(content)
	}
}

func (s *store) set(path string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content[path] = content
}

// packed is a chart's package.
func packed(t *testing.T, version string) helm.Package {
	t.Helper()
	chart, err := helm.LoadFiles(map[string][]byte{
		"Chart.yaml":           []byte("apiVersion: v2\nname: web\nversion: " + version + "\n"),
		"templates/empty.yaml": []byte("# " + version + "\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := helm.Pack(chart)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFetchImages holds which images are built, which are copied, and that one which cannot be had keeps no other away.
func TestFetchImages(t *testing.T) {
	t.Parallel()
	s, l, builder, _ := newSupply(t)
	image, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.registry.Put(t.Context(), "nginx", image, func(float64) {}); err != nil { // it need not be copied then
		t.Fatal(err)
	}
	wanted := []string{"guangzhengli/hellok8s:v1", "nginx", "Not An Image", "guangzhengli/hellok8s:v3", l.registry.Address() + "/me/web:v1"}
	err = s.FetchImages(t.Context(), wanted)
	if err == nil || !strings.Contains(err.Error(), "Not An Image") || strings.Contains(err.Error(), "me/web") {
		t.Errorf("the error is %v", err)
	}
	if want := []string{"v1", "v3"}; !slices.Equal(builder.built, want) || l.started != 1 {
		t.Errorf("built are %q, want %q; the registry was started %d times", builder.built, want, l.started)
	}
	builder.fails = errors.New("it does not compile")
	if err := s.FetchImages(t.Context(), wanted[:2]); !errors.Is(err, builder.fails) {
		t.Errorf("the error is %v", err)
	}
	l.refuses = errors.New("no registry")
	if err := s.FetchImages(t.Context(), nil); !errors.Is(err, l.refuses) {
		t.Errorf("without a registry, the error is %v", err)
	}
}

// TestFetchImagesOfAnAccount holds that the course's own images are those of the account that the settings name.
func TestFetchImagesOfAnAccount(t *testing.T) {
	t.Parallel()
	s, _, builder, _ := newSupply(t)
	s.Account = "me"
	if err := s.FetchImages(t.Context(), []string{"me/hellok8s:v2"}); err != nil || !slices.Equal(builder.built, []string{"v2"}) {
		t.Errorf("built are %q, %v", builder.built, err)
	}
}

func TestHasImage(t *testing.T) {
	t.Parallel()
	s, l, _, _ := newSupply(t)
	image, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.registry.Put(t.Context(), "me/web:v1", image, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"me/web:v1": true, l.registry.Address() + "/me/web:v1": true, "me/web:v2": false, "nginx": false} {
		if has, err := s.HasImage(t.Context(), name); err != nil || has != want {
			t.Errorf("%s: %v, %v; want %v", name, has, err, want)
		}
	}
}

// TestPushedBy holds that an image which hellolab has built of its own accord is not the user's, and that one of the course's is built as the user's.
func TestPushedBy(t *testing.T) {
	t.Parallel()
	s, l, builder, _ := newSupply(t)
	for name, annotations := range map[string]map[string]string{"me/hellok8s:v1": {"io.github.hellolab.source": "a"}, "me/hellok8s:v2": {"io.github.hellolab.own-source": "a"}, "me/hellok8s:v3": nil, "me/hellok8s:v5": {"io.github.hellolab.snapshot-source": "a"}} {
		image, err := random.Image(16, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.registry.Put(t.Context(), name, mutate.Annotations(image, annotations).(v1.Image), func(float64) {}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][2]bool{"me/hellok8s:v1": {}, "me/hellok8s:v2": {true, false}, "me/hellok8s:v3": {true, false}, "me/hellok8s:v4": {}, "me/hellok8s:v5": {false, true}} {
		if reader, snapshot, err := s.PushedBy(t.Context(), name); err != nil || want != [2]bool{reader, snapshot} {
			t.Errorf("%s was pushed by the reader: %v, a snapshot: %v, %v; want %v", name, reader, snapshot, err, want)
		}
	}
	if err := s.PushImage(t.Context(), s.Account+"/hellok8s:v4"); err != nil || !slices.Contains(builder.built, "snapshot v4") {
		t.Errorf("built are %v, %v", builder.built, err)
	}
	if err := s.PushImage(t.Context(), "nginx"); err == nil {
		t.Error("nginx can be built")
	}
}

// TestCharts holds that a chart is published in both places, and that what is there already is found in both.
func TestCharts(t *testing.T) {
	t.Parallel()
	s, l, _, files := newSupply(t)
	files.set("/index.yaml", []byte("apiVersion: v1\nentries: {}\n"))
	first, second := packed(t, "0.1.0"), packed(t, "0.1.1")
	for range 2 { // the second time there is nothing to push
		if err := s.PushCharts(t.Context(), []helm.Package{first}); err != nil {
			t.Fatal(err)
		}
	}
	if there, err := s.PublishedCharts(t.Context(), second); err != nil || len(there) != 0 {
		t.Errorf("before it is published, there are %d of it, %v", len(there), err)
	}
	if err := s.PublishChart(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	versions, err := s.ChartVersions(t.Context(), "web")
	if slices.Sort(versions); err != nil || !slices.Equal(versions, []string{"0.1.0", "0.1.1"}) {
		t.Errorf("the versions are %q, %v", versions, err)
	}
	there, err := s.PublishedCharts(t.Context(), second)
	if err != nil || len(there) != 2 || !bytes.Equal(there[0], second.Content) || !bytes.Equal(there[1], second.Content) {
		t.Errorf("there are %d of it, %v", len(there), err)
	}
	l.ingress = false // and so no chart repository
	if there, err := s.PublishedCharts(t.Context(), second); err != nil || len(there) != 1 {
		t.Errorf("without a chart repository, there are %d of it, %v", len(there), err)
	}
	if err := s.PublishChart(t.Context(), packed(t, "0.1.2")); err != nil {
		t.Error(err)
	}
}

// TestBrokenChartRepository holds that the hint says what brings it back, and what it needs for that.
func TestBrokenChartRepository(t *testing.T) {
	t.Parallel()
	s, l, _, files := newSupply(t)
	chart := packed(t, "0.1.0")
	files.set("/index.yaml", []byte("- no index\n"))
	err := s.PublishChart(t.Context(), chart)
	if hint := (messages.Printer{}).Hint(err); !strings.HasPrefix(hint, "curl -X DELETE "+l.charts+"/index.yaml brings back the first index") {
		t.Errorf("the hint is %q (%v)", hint, err)
	}
	files.broken = true
	_, reading := s.PublishedCharts(t.Context(), chart)
	for _, err := range []error{reading, s.PublishChart(t.Context(), chart)} {
		if hint := (messages.Printer{}).Hint(err); !strings.HasPrefix(hint, "hellolab up brings the chart repository back; it needs the image nginx") {
			t.Errorf("the hint is %q (%v)", hint, err)
		}
	}
}

// TestRepository holds that the chart repository begins with the charts and their index.
func TestRepository(t *testing.T) {
	t.Parallel()
	chart, err := helm.LoadFiles(map[string][]byte{"Chart.yaml": []byte("apiVersion: v2\nname: web\nversion: 0.1.0\n")})
	if err != nil {
		t.Fatal(err)
	}
	packages, files, err := supply.Repository([]*helm.Chart{chart})
	if err != nil || len(packages) != 1 || len(files) != 2 || !bytes.Contains(files["index.yaml"], []byte("web-0.1.0.tgz")) {
		t.Errorf("it holds %d packages and %d files, %v:\n%s", len(packages), len(files), err, files["index.yaml"])
	}
}

// TestTunnel holds that a tunnel that somebody runs is enough.
func TestTunnel(t *testing.T) {
	t.Parallel()
	s, l, _, _ := newSupply(t)
	l.tunnelled = true
	if ran, err := s.RunTunnel(t.Context()); ran || err != nil {
		t.Errorf("beside another one it ran: %v, %v", ran, err)
	}
	if err := s.Tunnel(t.Context()); err != nil {
		t.Error(err)
	}
	l.tunnelled = false
	if err := s.Tunnel(t.Context()); err == nil {
		t.Error("without its lock file there is no error")
	}
}
