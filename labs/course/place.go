package course

import (
	"cmp"
	"strings"
	"text/template"

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

// fill puts the place into a text of the course.
func (p Place) fill(text string) (string, error) {
	p.Hellolab = cmp.Or(p.Hellolab, "hellolab")
	parsed, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var filled strings.Builder
	err = parsed.Execute(&filled, p)
	return filled.String(), err
}

// Text is a text of the course for this place. [Load] has made sure that it is a template.
func (p Place) Text(words Words) messages.Text {
	english, _ := p.fill(words.English)
	chinese, _ := p.fill(words.Chinese)
	return messages.Both(english, chinese)
}

// Guide is the step's guide for this place.
func (p Place) Guide(step *Step) messages.Text { return p.Text(step.Guide) }

// Command is a command of the course's for this place.
func (p Place) Command(text string) string {
	filled, _ := p.fill(text)
	return filled
}
