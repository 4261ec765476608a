package mirror

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, text string) Config {
	t.Helper()
	var config Config
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// TestPlaces holds where an image is looked for, in which order, and by which name.
func TestPlaces(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:e6d2a5c9f4b19b8a6a9d3a0f42b0d6d0fbd9b4a4a4f0fb1ecb47d0a2e7401403"
	for _, test := range []struct {
		config, image string
		want          []string
	}{
		{"none", "nginx", []string{"nginx"}},
		{"{}", "nginx", []string{"nginx"}},
		{"auto", "registry:3" + digest, []string{"registry:3" + digest, "docker.m.daocloud.io/library/registry" + digest, "docker.1ms.run/library/registry" + digest}},
		{"cn", "registry.k8s.io/pause:3.10", []string{"k8s.m.daocloud.io/pause:3.10", "registry.k8s.io/pause:3.10"}},
		{"cn", "mcr.example/a/b", []string{"mcr.example/a/b"}},
		{"{docker.io: https://one.example}", "nginx", []string{"one.example/library/nginx:latest", "nginx"}},
		{"{docker.io: [one.example/docker.io/, 'http://127.0.0.1:5009']}", "a/b:c", []string{"one.example/docker.io/a/b:c", "127.0.0.1:5009/a/b:c", "a/b:c"}},
		{"{quay.io: https://one.example}", "nginx", []string{"nginx"}},
	} {
		places, err := read(t, test.config).places(test.image)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, place := range places {
			got = append(got, place.image)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s of %s is looked for at %q, want %q", test.image, test.config, got, test.want)
		}
	}
}

// TestValidate holds what is refused, and that a refusal names what is wrong.
func TestValidate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"auto": "", "cn": "", "none": "", "{}": "", "{docker.io: []}": "",
		"{docker.io: [https://one.example, two.example:5000/a/b]}": "",
		"china":                                    `no preset "china"`,
		"{mcr.example: https://one.example}":       `"mcr.example" is not among registry.upstreams`,
		"{docker.io: 'ftp://one.example'}":         `"ftp://one.example" is not the address`,
		"{docker.io: 'https://me:pw@one.local'}":   "is not the address",
		"{docker.io: 'https://one.example/?a=b'}":  "is not the address",
		"{docker.io: onlyaname}":                   `"onlyaname" is not the address`,
		"{docker.io: 'https://one.example/UPPER'}": "is not the address",
	} {
		err := read(t, text).Validate([]string{"docker.io", "quay.io"})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s is refused with %v, want %q", text, err, want)
		}
	}
}

// TestYAML holds that what is written reads the same, and that mirrors of one registry leave those of others alone.
func TestYAML(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"auto", "none", "docker.io:\n    - https://one.example", "{}"} {
		config := read(t, text)
		written, err := yaml.Marshal(config)
		if err != nil || strings.TrimSpace(string(written)) != text {
			t.Errorf("%q is written as %q, %v", text, written, err)
		}
	}
	config := read(t, "{docker.io: https://one.example}")
	if err := yaml.Unmarshal([]byte("{quay.io: https://two.example}"), &config); err != nil || len(config.By) != 2 {
		t.Errorf("two files give %v, %v", config, err)
	}
	if err := yaml.Unmarshal([]byte("cn"), &config); err != nil || config.By != nil || config.Preset != China {
		t.Errorf("a preset over mirrors gives %v, %v", config, err)
	}
	if err := yaml.Unmarshal([]byte("{docker.io: {a: b}}"), &config); err == nil {
		t.Errorf("a mapping is read as %v", config)
	}
}

// TestPresets holds that each mirror of a preset is one.
func TestPresets(t *testing.T) {
	t.Parallel()
	var all map[string]map[string][]string
	if err := yaml.Unmarshal(presets, &all); err != nil || len(all) != 1 {
		t.Fatalf("there are %d presets, %v", len(all), err)
	}
	for upstream, addresses := range all[China] {
		if found, first := (Config{Preset: China}).Of(upstream); len(found) != len(addresses) || len(found) == 0 || !first {
			t.Errorf("%s has the mirrors %v, want %v", upstream, found, addresses)
		}
	}
}
