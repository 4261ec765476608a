package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// difference is a field of an object that is not as expected.
type difference struct {
	// path of the field: "spec.template.spec.containers[hellok8s-container].image". A key with dots in it stands in
	// brackets, too: "data[nginx.conf]".
	path string
	// have is nil where the field is missing.
	have     any
	expected string
}

func (d difference) String() string { return d.path + ": " + course.Leaf(d.have) }

func (d difference) under(path string) bool {
	return d.path == path || strings.HasPrefix(d.path, path+".") || strings.HasPrefix(d.path, path+"[")
}

// last is the path's last word.
func (d difference) last() string {
	if path, found := strings.CutSuffix(d.path, "]"); found {
		return path[strings.LastIndex(path, "[")+1:]
	}
	return d.path[strings.LastIndex(d.path, ".")+1:]
}

// object compares an object with a part of one.
func (c *Checker) object(ctx context.Context, step *course.Step, expected *yaml.Node) (Row, cause, error) {
	reference := refer(expected)
	row := Row{Subject: messages.Verbatim(reference.String()), Expected: messages.T("it is there")}
	found, err := c.Cluster.Get(ctx, reference)
	if err != nil {
		return row, cause{}, err
	}
	if found == nil {
		row.Have = messages.T("it is not there")
		return row, c.missing(ctx, step, reference), nil
	}
	differences := compare("", expected, found.Object)
	if row.Met = len(differences) == 0; row.Met {
		row.Have, row.Expected = messages.T("as expected"), messages.T("as expected")
		return row, cause{}, nil
	}
	var have, want []string
	for _, d := range differences {
		have = append(have, shorten(d.path)+": "+orNone(d.have))
		want = append(want, shorten(d.path)+": "+d.expected)
	}
	row.Have, row.Expected = messages.Verbatim(strings.Join(have, ", ")), messages.Verbatim(strings.Join(want, ", "))
	why, err := c.why(ctx, step, found, differences)
	return row, why, err
}

func orNone(value any) string {
	if value == nil {
		return "-"
	}
	return course.Leaf(value)
}

// shorten leaves out of a path what every workload has.
func shorten(path string) string {
	for _, prefix := range []string{"spec.jobTemplate.spec.template.spec.", "spec.template.spec.", "spec.rules[0].http."} {
		path = strings.TrimPrefix(path, prefix)
	}
	return path
}

// refer gives the object that a part of one names.
func refer(part *yaml.Node) kube.Reference {
	at := func(keys ...string) string {
		node := part
		for _, key := range keys {
			if node = value(node, key); node == nil {
				return ""
			}
		}
		return node.Value
	}
	r := kube.Reference{APIVersion: at("apiVersion"), Kind: at("kind"), Namespace: at("metadata", "namespace"), Name: at("metadata", "name")}
	if !slices.Contains([]string{"Namespace", "IngressClass", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "StorageClass"}, r.Kind) {
		r.Namespace = cmp.Or(r.Namespace, metav1.NamespaceDefault)
	}
	return r
}

// value gives the node under a key of a mapping, or nil.
func value(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// compare finds the fields of expected that have does not have, or has otherwise. Lists of things with names are
// compared by name, others by their best fit: more elements than expected are no difference.
func compare(path string, expected *yaml.Node, have any) []difference {
	switch expected.Kind {
	case yaml.MappingNode:
		fields, ok := have.(map[string]any)
		if !ok {
			return []difference{{path, have, render(expected)}}
		}
		var all []difference
		for i := 0; i+1 < len(expected.Content); i += 2 {
			key := expected.Content[i].Value
			inner := strings.TrimPrefix(path+"."+key, ".")
			if strings.Contains(key, ".") {
				inner = path + "[" + key + "]"
			}
			if actual, found := fields[key]; found || expected.Content[i+1].Kind == yaml.MappingNode && len(fields) > 0 {
				if !found {
					actual = map[string]any{}
				}
				all = append(all, compare(inner, expected.Content[i+1], actual)...)
			} else {
				all = append(all, difference{inner, nil, render(expected.Content[i+1])})
			}
		}
		return all
	case yaml.SequenceNode:
		elements, _ := have.([]any)
		var all []difference
		for i, element := range expected.Content {
			all = append(all, compareElement(path, i, element, elements)...)
		}
		return all
	}
	matcher, err := course.NewMatcher(expected)
	if err == nil && matcher.Match(have) {
		return nil
	}
	return []difference{{path, have, matcher.String()}}
}

// compareElement compares an expected element with that of its name, type or path, or with the one that differs least.
func compareElement(path string, position int, expected *yaml.Node, elements []any) []difference {
	for _, key := range []string{"name", "type", "path"} {
		named := value(expected, key)
		if expected.Kind != yaml.MappingNode || named == nil {
			continue
		}
		place := fmt.Sprintf("%s[%s]", path, named.Value)
		for _, element := range elements {
			if fields, ok := element.(map[string]any); ok && course.Leaf(fields[key]) == named.Value {
				return compare(place, expected, element)
			}
		}
		return []difference{{place, nil, render(expected)}}
	}
	place := fmt.Sprintf("%s[%d]", path, position)
	best := []difference{{place, nil, render(expected)}}
	for i, element := range elements {
		differences := compare(place, expected, element)
		if i == 0 || len(differences) < len(best) {
			best = differences
		}
	}
	return best
}

// render writes an expected part on one line.
func render(node *yaml.Node) string {
	if node.Kind == yaml.ScalarNode {
		if matcher, err := course.NewMatcher(node); err == nil {
			return matcher.String()
		}
	}
	var parts []string
	for i, inner := range node.Content {
		if node.Kind == yaml.MappingNode {
			if i%2 == 0 {
				parts = append(parts, inner.Value+": "+render(node.Content[i+1]))
			}
			continue
		}
		parts = append(parts, render(inner))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
