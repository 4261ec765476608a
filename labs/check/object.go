package check

import (
	"cmp"
	"context"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// difference is a field of an object that differs from what is expected.
type difference struct {
	// path of the field: "spec.template.spec.containers[hellok8s-container].image". A key that contains dots is in brackets
	// as well: "data[nginx.conf]".
	path string
	// have is nil if the field is missing.
	have     any
	expected string
	// secret marks a value that must not be shown.
	secret bool
}

// shown is the value there is, for people. Every text about a difference uses it and wanted, so that no text shows a secret.
func (d difference) shown() messages.Text {
	switch {
	case d.have == nil:
		return messages.Verbatim("-")
	case d.secret:
		return messages.T("(hidden)")
	}
	return messages.Verbatim(course.Leaf(d.have))
}

// wanted is the value there should be, for people.
func (d difference) wanted() messages.Text {
	if d.secret && reveals(d.expected) {
		return messages.T("(hidden)")
	}
	return messages.Verbatim(d.expected)
}

// conceal marks the differences that are about the values of a Secret. An annotation may repeat them: kubectl apply keeps
// there what it applied.
func conceal(kind string, differences []difference) []difference {
	for i, d := range differences {
		differences[i].secret = kind == "Secret" && (d.under("data") || d.under("stringData") || d.under("metadata.annotations"))
	}
	return differences
}

// reveals reports whether an expected value tells something of the value itself: whether, read as a regular expression, it
// asks for certain characters. "." and "^[a-z]{8}$" do not.
func reveals(expected string) bool {
	pattern, err := syntax.Parse(expected, syntax.Perl)
	return err != nil || literal(pattern)
}

func literal(pattern *syntax.Regexp) bool {
	if pattern.Op == syntax.OpLiteral && strings.TrimSpace(string(pattern.Rune)) != "" {
		return true
	}
	return slices.ContainsFunc(pattern.Sub, literal)
}

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

// object compares an object of the cluster with the expected part of it.
func (c *Checker) object(ctx context.Context, step *course.Step, expected *yaml.Node) (Row, cause, error) {
	reference := refer(expected)
	row := Row{Subject: messages.Verbatim(reference.String()), Expected: messages.T("it is there")}
	found, err := c.Cluster.Get(ctx, reference)
	if err != nil {
		return row, cause{}, err
	}
	kind := strings.ToLower(reference.Kind)
	if row.Look = messages.Kubectl(reference.Namespace, "get", kind, reference.Name, "-o", "yaml").Text(); found == nil {
		row.Have, row.Look = messages.T("it is not there"), messages.Kubectl(reference.Namespace, "get", kind).Text()
		why, err := c.missing(ctx, step, reference)
		return row, why, err
	}
	differences := conceal(reference.Kind, compare("", expected, found.Object))
	if len(differences) == 0 && value(expected, "status") != nil && !observed(found) { // the status is about what was before
		why, err := unseen(found)(ctx)
		row.Have = messages.T("it still answers as before the latest change: %s", messages.T("as expected"))
		return row, why, err
	}
	if row.Met = len(differences) == 0; row.Met {
		row.Have, row.Expected = messages.T("as expected"), messages.T("as expected")
		return row, cause{}, nil
	}
	var have, want []messages.Text
	for _, d := range differences {
		have = append(have, messages.T("%s: %s", shorten(d.path), d.shown()))
		want = append(want, messages.T("%s: %s", shorten(d.path), d.wanted()))
	}
	row.Have, row.Expected = messages.T("%s", have), messages.T("%s", want)
	why, err := c.why(ctx, step, found, differences)
	return row, why, err
}

// shorten strips the prefix that the paths of all workloads share.
func shorten(path string) string {
	for _, prefix := range []string{"spec.jobTemplate.spec.template.spec.", "spec.template.spec.", "spec.rules[0].http."} {
		path = strings.TrimPrefix(path, prefix)
	}
	return path
}

// refer returns the reference to the object that an expected part names.
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

// value returns the node at a key of a mapping, or nil.
func value(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// compare finds the fields of expected that are missing in have, or have another value there. Elements of lists are compared
// by name if they have one, otherwise with the element that fits best. Additional elements are no difference.
func compare(path string, expected *yaml.Node, have any) []difference {
	switch expected.Kind {
	case yaml.MappingNode:
		fields, ok := have.(map[string]any)
		if !ok {
			return []difference{{path: path, have: have, expected: render(expected)}}
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
				all = append(all, difference{path: inner, expected: render(expected.Content[i+1])})
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
	return []difference{{path: path, have: have, expected: matcher.String()}}
}

// compareElement compares an expected element with the one of the same name, type or path, or else with the one that differs
// least.
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
		best := closest(place, expected, elements)
		if len(best) == 1 && best[0].path == place+"."+key || len(elements) == 1 && len(best) < len(expected.Content)/2 { // it has another name
			return best
		}
		return []difference{{path: place, expected: render(expected)}}
	}
	return closest(fmt.Sprintf("%s[%d]", path, position), expected, elements)
}

// closest are the differences to the element that differs least.
func closest(place string, expected *yaml.Node, elements []any) []difference {
	best := []difference{{path: place, expected: render(expected)}}
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
