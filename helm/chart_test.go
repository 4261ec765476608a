package helm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/yaml"
)

// templated is a chart with a value and a template that may come out empty.
func templated(t *testing.T) *Chart {
	t.Helper()
	chart, err := LoadFiles(map[string][]byte{
		"Chart.yaml":            []byte("apiVersion: v2\nname: small\nversion: 0.1.0\n"),
		"values.yaml":           []byte("message: hello\ndeep: {a: 1, b: 2}\n"),
		"templates/config.yaml": []byte("kind: ConfigMap\nnamespace: {{ .Release.Namespace }}\nrelease: {{ .Release.Name }}\nmessage: {{ .Values.message }} {{ .Values.deep.a }} {{ .Values.deep.b }}\n"),
		"templates/empty.yaml":  []byte("{{ if .Values.more }}kind: Secret{{ end }}\n"),
		"templates/NOTES.txt":   []byte("read this"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return chart
}

// TestRender holds that values win over the chart's own, edits being the chart's own, and that empty files are none.
func TestRender(t *testing.T) {
	t.Parallel()
	values, err := Values([]byte("message: first\ndeep: {a: 3}"), []byte("message: second"))
	if err != nil {
		t.Fatal(err)
	}
	edits, err := Values([]byte("deep: {a: 4, b: 5}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		chart  *Chart
		values map[string]any
		want   string
	}{
		{templated(t), nil, "hello 1 2"},
		{templated(t), values, "second 3 2"},
		{Edit(templated(t), edits), values, "second 3 5"},
		{Edit(templated(t), nil), nil, "hello 1 2"},
	} {
		files, err := Render(test.chart, test.values, "mine", "dev")
		if err != nil {
			t.Fatal(err)
		}
		want := "kind: ConfigMap\nnamespace: dev\nrelease: mine\nmessage: " + test.want + "\n"
		if len(files) != 1 || files["small/templates/config.yaml"] != want {
			t.Errorf("it renders %q, want %q", files, want)
		}
	}
}

// TestEditLeavesTheChart holds that a chart is not changed by what is made of it.
func TestEditLeavesTheChart(t *testing.T) {
	t.Parallel()
	chart := templated(t)
	edits, err := Values([]byte("message: edited\ndeep: {a: 9}"))
	if err != nil {
		t.Fatal(err)
	}
	Edit(chart, edits)
	if other := Version(chart, "0.2.0"); other.Metadata.Version != "0.2.0" || Version(chart, "") != chart {
		t.Errorf("the versions are %s", other.Metadata.Version)
	}
	if chart.Metadata.Version != "0.1.0" || chart.Values["message"] != "hello" || chart.Values["deep"].(map[string]any)["a"] != float64(1) {
		t.Errorf("the chart has become %s %v", chart.Metadata.Version, chart.Values)
	}
}

// TestPack holds that Helm reads a package, that its version is the chart's and not its file's, and that the same chart
// gives the same bytes: a lab's up compares them.
func TestPack(t *testing.T) {
	t.Parallel()
	packed, err := Pack(Version(templated(t), "0.1.1"))
	if err != nil {
		t.Fatal(err)
	}
	if mine, err := Pack(Version(templated(t), "0.1.1+mine")); err != nil || mine.Tag() != "0.1.1_mine" || packed.Tag() != "0.1.1" {
		t.Errorf("the tags are %s and %s, %v", mine.Tag(), packed.Tag(), err)
	}
	if packed.File != "small-0.1.1.tgz" || packed.Chart() != "small" || packed.Version() != "0.1.1" {
		t.Errorf("it is %s, %s %s", packed.File, packed.Chart(), packed.Version())
	}
	chart, err := loader.LoadArchive(bytes.NewReader(packed.Content))
	if err != nil {
		t.Fatal(err)
	}
	if chart.Metadata.Version != "0.1.1" || len(chart.Templates) != 3 || chart.Values["message"] != "hello" {
		t.Errorf("Helm reads %+v", chart.Metadata)
	}
	again, err := Pack(Version(templated(t), "0.1.1"))
	if err != nil || !bytes.Equal(packed.Content, again.Content) {
		t.Errorf("packing again gives other bytes, %v", err)
	}
	index, err := Index(packed)
	if err != nil {
		t.Fatal(err)
	}
	if same, _ := Index(again); !bytes.Equal(index, same) {
		t.Error("the same repository has another index")
	}
	if !strings.Contains(string(index), "- small-0.1.1.tgz") {
		t.Errorf("the index is\n%s", index)
	}
}

// TestUpload holds that a package comes to those that are there, that the same version takes its place, and that a web
// server which does not take it is told of.
func TestUpload(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	files := map[string][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPut {
			files[r.URL.Path], _ = io.ReadAll(r.Body)
			w.WriteHeader(http.StatusCreated)
			return
		}
		content, found := files[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		w.Write(content)
	}))
	t.Cleanup(server.Close)
	first, err := Pack(templated(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := Upload(t.Context(), server.URL+"/charts", first); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("without an index the failure is %v", err)
	}
	if files["/charts/index.yaml"], err = Index(first); err != nil {
		t.Fatal(err)
	}
	second, err := Pack(Version(templated(t), "0.1.1"))
	if err != nil {
		t.Fatal(err)
	}
	if content, err := Download(t.Context(), server.URL+"/charts", second); content != nil || err != nil {
		t.Errorf("before it is there, the package is %q, %v", content, err)
	}
	for range 2 {
		if err := Upload(t.Context(), server.URL+"/charts", second); err != nil {
			t.Fatal(err)
		}
	}
	if content, err := Download(t.Context(), server.URL+"/charts", second); !bytes.Equal(content, second.Content) || err != nil {
		t.Errorf("the package is %q, %v", content, err)
	}
	var index struct {
		Entries map[string][]struct{ Version, Digest string }
	}
	if err := yaml.Unmarshal(files["/charts/index.yaml"], &index); err != nil {
		t.Fatal(err)
	}
	if versions := index.Entries["small"]; len(versions) != 2 || versions[0].Version != "0.1.1" || versions[1].Version != "0.1.0" || len(versions[0].Digest) != 64 {
		t.Errorf("the index has %+v", index.Entries)
	}
	files["/charts/index.yaml"] = []byte("apiVersion: v1\nentries:\n") // of a folder without charts
	if err := Upload(t.Context(), server.URL+"/charts", first); err != nil || !strings.Contains(string(files["/charts/index.yaml"]), "small-0.1.0.tgz") {
		t.Errorf("an empty index becomes\n%s\n%v", files["/charts/index.yaml"], err)
	}
	files["/charts/index.yaml"] = []byte("]")
	if err := Upload(t.Context(), server.URL+"/charts", first); !errors.As(err, new(BadIndex)) {
		t.Errorf("of an index that cannot be read it says %v", err)
	}
}

// TestPush holds that what is pushed into an image registry can be pulled again, under the version that it has.
func TestPush(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	folder := strings.TrimPrefix(server.URL, "http://") + "/charts"
	packed, err := Pack(Version(templated(t), "0.1.1+mine"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), folder, packed); err == nil {
		t.Error("what was not pushed can be pulled")
	}
	if err := Push(t.Context(), folder, packed); err != nil {
		t.Fatal(err)
	}
	if content, err := Pull(t.Context(), folder, packed); err != nil || !bytes.Equal(content, packed.Content) {
		t.Errorf("it comes back as %d bytes of %d, %v", len(content), len(packed.Content), err)
	}
}

// TestSilentRegistry checks that a registry that takes a request and never answers it, a paused one say, holds up neither
// Push nor Pull once the caller's context has ended: Helm's client itself takes no context.
func TestSilentRegistry(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, string, Package) error{
		"Push": Push,
		"Pull": func(ctx context.Context, folder string, p Package) error {
			_, err := Pull(ctx, folder, p)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			begun := make(chan struct{}, 1)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case begun <- struct{}{}:
				default:
				}
				<-r.Context().Done() // until the client hangs up
			}))
			t.Cleanup(server.Close)
			packed, err := Pack(templated(t))
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- call(ctx, strings.TrimPrefix(server.URL, "http://")+"/charts", packed) }()
			<-begun
			interrupt()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("it ends with %v", err)
				}
			case <-time.After(10 * time.Second):
				server.CloseClientConnections()
				t.Error("it goes on after its context has ended")
			}
		})
	}
}
