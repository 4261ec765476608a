package helm

import (
	"encoding/json"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	helmkube "helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Vet has every object looked at that [Client.Install] and [Client.Upgrade] are about to send, hooks and
// CustomResourceDefinitions included: a template may make another one of what it finds in the cluster than it made before.
// An error ends the installation.
func (c *Client) Vet(vet func(*unstructured.Unstructured) error) { c.vet = vet }

// vetting is Helm's client, with a look at the objects that come out of templates. All of them pass through Build.
type vetting struct {
	*helmkube.Client
	vet      func(*unstructured.Unstructured) error
	rendered func()
}

// Build reads objects.
func (v vetting) Build(manifests io.Reader, validate bool) (helmkube.ResourceList, error) {
	v.rendered()
	resources, err := v.Client.Build(manifests, validate)
	if err != nil || v.vet == nil {
		return resources, err
	}
	for _, resource := range resources {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(resource.Object)
		if err != nil {
			return nil, err
		}
		if err := v.vet(&unstructured.Unstructured{Object: fields}); err != nil {
			return nil, err
		}
	}
	return resources, nil
}

// render does what renders a chart and sends its objects. Rendering is bounded.
func (c *Client) render(do func() error) error {
	// an API server that is away is waited for without a bound of the templates'
	if err := c.configuration.KubeClient.IsReachable(); err != nil {
		return err
	}
	return usual().within(func(rendered func()) error {
		client := c.configuration.KubeClient
		if real, ok := client.(*helmkube.Client); ok {
			c.configuration.KubeClient = vetting{real, c.vet, rendered}
			defer func() { c.configuration.KubeClient = client }()
		}
		return do()
	})
}

// Abroad lists what the schemas of a chart's values refer to outside of themselves. Helm reads such files and asks such web
// servers whenever it looks at values, from the machine that it runs on.
func Abroad(wanted *Chart) (all []string) {
	var schema any
	if json.Unmarshal(wanted.Schema, &schema) == nil {
		all = abroad(schema)
	}
	for _, dependency := range wanted.Dependencies() {
		all = append(all, Abroad(dependency)...)
	}
	return all
}

func abroad(schema any) (all []string) {
	switch schema := schema.(type) {
	case []any:
		for _, element := range schema {
			all = append(all, abroad(element)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(schema)) {
			reference, isText := schema[key].(string)
			if isText && strings.HasSuffix(strings.ToLower(key), "ref") && strings.HasPrefix(key, "$") && !strings.HasPrefix(reference, "#") {
				all = append(all, reference)
			}
			if isText && key == "$schema" && !standard.MatchString(reference) {
				all = append(all, reference)
			}
			all = append(all, abroad(schema[key])...)
		}
	}
	return all
}

// standard are the schemas of schemas, which the library has.
var standard = regexp.MustCompile(`^https?://json-schema\.org/(draft-0[4-7]|draft/20(19-09|20-12))/schema#?$`)
