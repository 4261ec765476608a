package bootstrap

import (
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/port"
)

// withPorts are settings whose ports are all written.
func withPorts() (s Settings) {
	auto := port.Port{Auto: true}
	s.Bootstrap.Ports.HTTP, s.Bootstrap.Ports.HTTPS, s.Bootstrap.Ports.NodePort, s.Registry.Port = auto, auto, auto, auto
	return s
}

// FuzzRecord holds that the record of a lab, which another version or program may have written, is read or refused, and can be
// compared with what a user asks for, and written again.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{"", "{", "bootstrap: {name: web, workers: 1, ports: {http: auto, https: 1, nodePort: 2}, ingress: {enabled: true, values: {a: [b]}}, timeout: 5m}\nregistry: {image: registry:3, port: 5001, images: [nginx]}\nlabs: {timeout: 3m}\n",
		"bootstrap: [a]\n", "bootstrap: {ports: null, ingress: {values: {1: 2}}}\n", "images: {a: {b: &a [c]}}\nlabs: *a\n", "labs: text\n", "? [a]\n: b\n", "registry: {upstreams: [a/b, '']}\n"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, ours, theirs string) {
		is, asked := withPorts(), withPorts() // it lies over defaults, which have them
		if yaml.Unmarshal([]byte(ours), &is) != nil || yaml.Unmarshal([]byte(theirs), &asked) != nil {
			return
		}
		_ = is.Validate()
		is.Others = overlay(asked.Others, is.Others)
		wanted := Asked{Settings: asked, Keys: []string{"bootstrap", "labs", "registry.port", "images.builder"}}
		is.Differences(wanted)
		is.With(wanted)
		if content, err := yaml.Marshal(is); err == nil {
			var again Settings
			if err := yaml.Unmarshal(content, &again); err != nil {
				t.Errorf("it is recorded as\n%s\nwhich cannot be read: %v", content, err)
			}
		}
		newRecord(map[string]string{sinceLabel: ours, settingsLabel: theirs})
	})
}
