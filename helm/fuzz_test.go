package helm

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/repo"
	"sigs.k8s.io/yaml"
)

// FuzzChart holds that a chart is read or refused, and that what is packed of it is read as the same chart.
func FuzzChart(f *testing.F) {
	f.Add([]byte("apiVersion: v2\nname: small\nversion: 0.1.0\n"), []byte("a: b\n"), []byte(`{"$ref": "#"}`), "templates/a.yaml")
	f.Add([]byte("apiVersion: v1\nname: ../small\nversion: 1\ndependencies: [{name: a, alias: b}]\n"), []byte("&a [*a]"), []byte("[]"), "crds/../x")
	f.Add([]byte("apiVersion: v2\nname: a\nversion: 1.0.0+b\n"), []byte("a: {b: {c: null}}"), []byte(`{"a": [{"$ref": "http://x"}]}`), "charts/b/Chart.yaml")
	f.Fuzz(func(t *testing.T, metadata, values, schema []byte, name string) {
		_, _ = Values(values, values)
		chart, err := LoadFiles(map[string][]byte{"Chart.yaml": metadata, "values.yaml": values, "values.schema.json": schema, name: metadata})
		if err != nil || chart.Validate() != nil {
			return
		}
		Abroad(chart)
		packed, err := Pack(Version(Edit(chart, map[string]any{"a": "b"}), "2.0.0"))
		if err != nil {
			return
		}
		again, err := loader.LoadArchive(bytes.NewReader(packed.Content))
		if err == nil && (again.Name() != packed.Chart() || again.Metadata.Version != packed.Version()) {
			t.Errorf("%s %s is packed as %s %s", packed.Chart(), packed.Version(), again.Name(), again.Metadata.Version)
		}
		if _, err := Index(packed); err == nil && packed.Tag() == "" {
			t.Error("it has no tag")
		}
	})
}

// FuzzArchive holds that the archive of a chart, from a repository that anybody may write into, is read or refused.
func FuzzArchive(f *testing.F) {
	chart, err := LoadFiles(map[string][]byte{"Chart.yaml": []byte("apiVersion: v2\nname: small\nversion: 0.1.0\n"), "templates/a.yaml": []byte("a: b")})
	if err != nil {
		f.Fatal(err)
	}
	packed, err := Pack(chart)
	if err != nil {
		f.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed.Content))
	if err != nil {
		f.Fatal(err)
	}
	var archive bytes.Buffer
	if _, err := archive.ReadFrom(unpacked); err != nil {
		f.Fatal(err)
	}
	f.Add(archive.Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		var compressed bytes.Buffer
		writer := gzip.NewWriter(&compressed)
		writer.Write(archive)
		writer.Close()
		chart, err := loader.LoadArchive(&compressed)
		if err != nil || chart.Validate() != nil {
			return
		}
		Abroad(chart)
		_, _ = Pack(chart)
	})
}

// FuzzIndex holds that a package gets into every index that can be read, once.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{"", "apiVersion: v1\nentries: {}\n", "entries: {small: [null, {urls: [a]}, {version: 0.1.0}, {name: small, version: 0.0.1}]}\n", "entries: []\n", "entries: {a: null, b: [{}]}\n", "{"} {
		f.Add([]byte(seed))
	}
	chart, err := LoadFiles(map[string][]byte{"Chart.yaml": []byte("apiVersion: v2\nname: small\nversion: 0.1.0\n")})
	if err != nil {
		f.Fatal(err)
	}
	packed, err := Pack(chart)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		written, err := listed(content, packed)
		if errors.As(err, new(BadIndex)) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var index repo.IndexFile
		if err := yaml.Unmarshal(written, &index); err != nil {
			t.Fatal(err)
		}
		there := 0
		for _, version := range index.Entries["small"] {
			if version.Version == "0.1.0" {
				there++
			}
		}
		if there != 1 {
			t.Errorf("it is there %d times in\n%s", there, written)
		}
	})
}

// FuzzManifests holds that Helm's record of a release, in a file of somebody else's, is read or refused.
func FuzzManifests(f *testing.F) {
	for _, seed := range []string{`{"manifest": "a: b", "hooks": [null, {"manifest": "c: d"}]}`, "{}", "null", "[]", `{"info": {"first_deployed": 1}}`, ""} {
		f.Add([]byte(seed), true)
	}
	f.Add([]byte("eA=="), false)
	f.Fuzz(func(t *testing.T, content []byte, pack bool) {
		if pack {
			var packed bytes.Buffer
			writer := gzip.NewWriter(&packed)
			writer.Write(content)
			writer.Close()
			content = []byte(base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(packed.Bytes()))))
		}
		if manifests, err := Manifests(string(content)); err == nil && len(manifests) == 0 {
			t.Error("a record without a manifest")
		}
		Recorded("Secret", map[string]string{"owner": "helm", "name": "a", "version": string(content)})
	})
}
