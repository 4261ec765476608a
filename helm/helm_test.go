package helm

import (
	"io"
	"slices"
	"testing"
	"testing/fstest"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
)

// small is a chart of one object.
func small(t *testing.T) *chart.Chart {
	t.Helper()
	loaded, err := Load(fstest.MapFS{
		"small/Chart.yaml":        {Data: []byte("apiVersion: v2\nname: small\nversion: 1.0.0\n")},
		"small/values.yaml":       {Data: []byte("greeting: hello\n")},
		"small/templates/cm.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: small\ndata:\n  greeting: {{ .Values.greeting }}\n")},
	}, "small")
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// inMemory is a client without a cluster: charts are rendered, and releases kept, for real.
func inMemory() *Client {
	return &Client{namespace: "default", configuration: &action.Configuration{
		Releases:     storage.Init(driver.NewMemory()),
		KubeClient:   &fake.PrintingKubeClient{Out: io.Discard},
		Capabilities: chartutil.DefaultCapabilities,
		Log:          func(string, ...any) {},
	}}
}

func TestEnsure(t *testing.T) {
	t.Parallel()
	client, wanted := inMemory(), small(t)
	if found, err := client.Get("small"); found != nil || err != nil {
		t.Fatalf("before it is installed there is %v, %v", found, err)
	}
	for revision, greeting := range []string{"hello", "good evening"} {
		values := map[string]any{"greeting": greeting}
		if err := client.Ensure(t.Context(), "small", wanted, values); err != nil {
			t.Fatal(err)
		}
		found, err := client.Get("small")
		if err != nil || found.Version != revision+1 || !Current(found, wanted, values) {
			t.Errorf("after %q the release is %+v, %v", greeting, found, err)
		}
		if Current(found, wanted, map[string]any{"greeting": "other"}) {
			t.Error("other values are taken for the same")
		}
		changed := small(t)
		changed.Templates[0].Data = append(slices.Clone(changed.Templates[0].Data), '\n')
		if Current(found, changed, values) {
			t.Error("a changed template of the same version is taken for the same")
		}
	}
}

// TestWhole holds that a release counts as whole only while all of its objects are there.
func TestWhole(t *testing.T) {
	t.Parallel()
	manifest := "---\n# Source: a\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: small}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: more}\n---\n\n"
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "small"}}
	more := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "more"}}
	for _, test := range []struct {
		name  string
		there []runtime.Object
		want  bool
		more  string
	}{
		{"all", []runtime.Object{settings, more}, true, ""},
		{"without the kind of one", []runtime.Object{settings, more}, false, "---\napiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: a}\n"},
		{"the namespace only", []runtime.Object{more}, false, ""},
		{"without the namespace", []runtime.Object{settings}, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster, err := kube.New(kubetest.New(t, test.there...).Config())
			if err != nil {
				t.Fatal(err)
			}
			client := &Client{cluster: cluster, namespace: "web"}
			if whole, err := client.Whole(t.Context(), &release.Release{Manifest: manifest + test.more}); whole != test.want || err != nil {
				t.Errorf("it is whole: %v, %v", whole, err)
			}
		})
	}
}

// TestEnsureAfterAKill holds that a release which a killed program left half installed is no dead end.
func TestEnsureAfterAKill(t *testing.T) {
	t.Parallel()
	for _, left := range []release.Status{release.StatusPendingInstall, release.StatusPendingUpgrade, release.StatusFailed, release.StatusUninstalling} {
		t.Run(left.String(), func(t *testing.T) {
			t.Parallel()
			client, wanted := inMemory(), small(t)
			if err := client.Ensure(t.Context(), "small", wanted, nil); err != nil {
				t.Fatal(err)
			}
			found, err := client.Get("small")
			if err != nil {
				t.Fatal(err)
			}
			found.Info.Status = left
			if err := client.configuration.Releases.Update(found); err != nil {
				t.Fatal(err)
			}
			if Current(found, wanted, nil) {
				t.Error("it is taken for a finished one")
			}
			if err := client.Ensure(t.Context(), "small", wanted, nil); err != nil {
				t.Fatal(err)
			}
			if found, err := client.Get("small"); err != nil || found.Info.Status != release.StatusDeployed {
				t.Errorf("the release is %+v, %v", found, err)
			}
		})
	}
}

// TestRevisions holds that a release's revisions are counted on, that an upgrade forgets the values of before, and that
// the labels of the first record are on every further one: they tell whose the release is.
func TestRevisions(t *testing.T) {
	t.Parallel()
	client := inMemory()
	for step, do := range []func() error{
		func() error {
			return client.Install(t.Context(), "mine", small(t), map[string]any{"greeting": "first"}, map[string]string{"whose": "ours"})
		},
		func() error { return client.Upgrade(t.Context(), "mine", small(t), nil) },
		func() error { return client.Rollback("mine", 1) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		found, err := client.Get("mine")
		if err != nil {
			t.Fatal(err)
		}
		want := []any{"first", nil, "first"}[step]
		if found.Version != step+1 || found.Config["greeting"] != want || found.Labels["whose"] != "ours" {
			t.Errorf("revision %d has the values %v and the labels %v, want revision %d with %v", found.Version, found.Config, found.Labels, step+1, want)
		}
	}
	if err := client.Install(t.Context(), "mine", small(t), nil, nil); err == nil {
		t.Error("a second release of that name is installed")
	}
	for range 2 {
		if err := client.Uninstall("mine"); err != nil {
			t.Error(err)
		}
	}
	if found, err := client.Get("mine"); found != nil || err != nil {
		t.Errorf("after it is uninstalled there is %v, %v", found, err)
	}
}

func TestWhose(t *testing.T) {
	t.Parallel()
	record := map[string]string{"owner": "helm", "name": "mine", "version": "12"}
	if name, revision, found := Recorded("Secret", record); name != "mine" || revision != 12 || !found {
		t.Errorf("the record is %s, %d, %v", name, revision, found)
	}
	for kind, labels := range map[string]map[string]string{"ConfigMap": record, "Secret": {"owner": "me", "name": "mine", "version": "1"}} {
		if name, _, found := Recorded(kind, labels); found {
			t.Errorf("a %s with %v is a record of %s", kind, labels, name)
		}
	}
	if name, namespace := Owner(map[string]string{"meta.helm.sh/release-name": "mine", "meta.helm.sh/release-namespace": "dev"}); name != "mine" || namespace != "dev" {
		t.Errorf("the owner is %s in %s", name, namespace)
	}
}
