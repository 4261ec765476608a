package course

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hellolab/hellolab/messages"
)

// Place is the lab that the course's texts are about: its fields are what guides, explanations and commands may name, as
// {{.NodePort}}.
type Place struct {
	// Hellolab is this program with the flags that lead to the lab: "hellolab", "hellolab --name mine".
	Hellolab string
	// Name of the lab, Context of kubectl's for it, and Node, its control plane.
	Name, Context, Node string
	// Ingress and NodePort are URLs without a slash at the end: "http://localhost", "http://localhost:30000".
	Ingress, NodePort string
	// Charts is the URL of the chart repository: "http://localhost/charts".
	Charts string
	// Registry is where the user pushes images: "localhost:5001". Account is the one that the manifests name.
	Registry, Account string
}

// longest is how many bytes a text of a course may have.
const longest = 64 << 10

// hole is what a text has in place of something of the lab's: a field, or a word in quotes that stands for itself, such as a
// {{ that is meant.
var hole = regexp.MustCompile("^\\{\\{\\s*(?:\\.([A-Za-z]+)|\"([^\"\\n]*)\"|`([^`\\n]*)`)\\s*\\}\\}")

// fill puts the place into a text of the course. Nothing but fields can be named: a text is somebody else's, and what can
// repeat or call anything need not come to an end.
func (p Place) fill(text string) (string, error) {
	if len(text) > longest {
		return "", messages.Usagef("it is too long: a text may have %v KiB", longest>>10)
	}
	fields := p.fields()
	var filled strings.Builder
	for {
		before, _, found := strings.Cut(text, "{{")
		filled.WriteString(before)
		if !found {
			return filled.String(), nil
		}
		text = text[len(before):]
		part := hole.FindStringSubmatch(text)
		if part == nil {
			line, _, _ := strings.Cut(text, "\n")
			return "", messages.Usagef("%q is not {{.NAME}}", line[:min(len(line), 40)])
		}
		value, known := fields[part[1]]
		if !known {
			return "", messages.Usagef("there is no {{.%s}}; there are %s", part[1], slices.Sorted(maps.Keys(fields))[1:])
		}
		filled.WriteString(value + part[2] + part[3])
		text = text[len(part[0]):]
	}
}

// fields are what a text may name; "" is no field.
func (p Place) fields() map[string]string {
	return map[string]string{"": "", "Hellolab": cmp.Or(p.Hellolab, "hellolab"), "Name": p.Name, "Context": p.Context, "Node": p.Node,
		"Ingress": p.Ingress, "NodePort": p.NodePort, "Charts": p.Charts, "Registry": p.Registry, "Account": p.Account}
}

// Text is a text of the course for this place. [Load] has made sure that it can be filled in.
func (p Place) Text(words Words) messages.Text {
	english, _ := p.fill(words.English)
	chinese, _ := p.fill(words.Chinese)
	return messages.Both(english, chinese)
}

// Guide is the step's guide for this place.
func (p Place) Guide(step *Step) messages.Text { return p.Text(step.Guide) }

// Command is a command of the course's for this place. One of kubectl's or helm's is printed as those of this program are: it leads
// to the lab, and to the namespace that it names or the default one, wherever the reader's own kubectl works.
func (p Place) Command(text string) messages.Text {
	filled, _ := p.fill(text)
	words := strings.Fields(filled)
	if len(words) < 2 || strings.ContainsAny(filled, "'\"`|&;<>$\\*") {
		return messages.Verbatim(filled)
	}
	program, namespace, words := words[0], "default", words[1:]
	if at := slices.Index(words, "-n"); at >= 0 && at+1 < len(words) {
		namespace = words[at+1]
		words = slices.Delete(words, at, at+2)
	}
	switch {
	case program == "kubectl":
		return messages.Kubectl(namespace, words...).Text()
	case program == "helm" && words[0] != "push": // which is about a registry, and not about the cluster
		return messages.Helm(namespace, words...).Text()
	}
	return messages.Verbatim(filled)
}
