package dashboard

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/hellolab/hellolab/messages"
)

// action is something that a reader may do with an object: a kubectl command.
type action struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	// Command has {FIELD} where a field's value belongs.
	Command string  `json:"command"`
	Fields  []field `json:"fields"`
	// Danger says that something is lost by it.
	Danger bool `json:"danger"`
}

// field is what a reader fills in.
type field struct {
	Name string `json:"name"`
	// Kind is number, or choice: one of Options.
	Kind    string   `json:"kind"`
	Value   string   `json:"value"`
	Options []option `json:"options,omitempty"`
}

// option is a value that a reader may choose, and what is known of it.
type option struct {
	Value string `json:"value"`
	Text  string `json:"text"`
}

// takes reports whether value can be the field's.
func (f field) takes(value string) bool {
	if f.Kind == "choice" {
		return slices.ContainsFunc(f.Options, func(o option) bool { return o.Value == value })
	}
	number, err := strconv.Atoi(value)
	return err == nil && number >= 0 && number <= most
}

// most is the highest number that a field takes.
const most = 1000

// offer is an action without the language that it is told in.
type offer struct {
	name   string
	label  messages.Text
	words  func(fields map[string]string) []string
	fields []field
	danger bool
}

// actions are what can be done with an object. earlier are the revisions that a Deployment can go back to.
func actions(o *object, earlier []option) (all []offer) {
	target := strings.ToLower(o.Kind) + "/" + o.Name
	switch o.Kind {
	case "Ingress", "Service":
		all = append(all, offer{name: visiting, label: messages.T("Ask its address")})
	case "Deployment", "StatefulSet", "ReplicaSet":
		if o.Owner == "" {
			all = append(all, offer{name: "scale", label: messages.T("Scale"), words: with("replicas", "scale", target, "--replicas="),
				fields: []field{{Name: "replicas", Kind: "number", Value: strconv.Itoa(int(*o.Wanted))}}})
		}
	}
	switch o.Kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		all = append(all, offer{name: "restart", label: messages.T("Restart"), words: constant("rollout", "restart", target)})
		if o.Kind != "Deployment" {
			all = append(all, offer{name: "rollback", label: messages.T("Roll back"), words: constant("rollout", "undo", target)})
		} else if len(earlier) > 0 {
			all = append(all, offer{name: "rollback", label: messages.T("Roll back"), words: with("revision", "rollout", "undo", target, "--to-revision="),
				fields: []field{{Name: "revision", Kind: "choice", Value: earlier[0].Value, Options: earlier}}})
		}
	}
	if o.Kind != "Node" && o.Kind != "Release" {
		all = append(all,
			offer{name: "apply", label: messages.T("Edit and apply"), words: constant("apply", "-f", "-")},
			offer{name: "delete", label: messages.T("Delete"), words: constant("delete", target), danger: o.Kind != "Pod" || o.Owner == ""})
	}
	return all
}

// constant are words that no field is part of.
func constant(words ...string) func(map[string]string) []string {
	return func(map[string]string) []string { return words }
}

// with are words of which the last ends with a field's value.
func with(field string, words ...string) func(map[string]string) []string {
	return func(fields map[string]string) []string {
		filled := slices.Clone(words)
		filled[len(filled)-1] += fields[field]
		return filled
	}
}

// visiting is the one action that is not kubectl's: asking an Ingress' or a Service's address.
const visiting = "visit"

// applying is the action for YAML of no object yet.
func applying() offer {
	return offer{name: "apply", label: messages.T("Apply YAML"), words: func(map[string]string) []string { return []string{"apply", "-f", "-"} }}
}

// shown is an action as a page shows it.
func (o offer) shown(printer messages.Printer, namespace string, visits string) action {
	a := action{Name: o.name, Label: printer.Text(o.label), Command: visits, Fields: o.fields, Danger: o.danger}
	if a.Fields == nil {
		a.Fields = []field{}
	}
	if o.words != nil {
		holes := map[string]string{}
		for _, f := range o.fields {
			holes[f.Name] = "HOLE" + f.Name
		}
		a.Command = printer.Command(messages.Kubectl(namespace, o.words(holes)...))
		for name, hole := range holes {
			a.Command = strings.ReplaceAll(a.Command, hole, "{"+name+"}")
		}
	}
	return a
}

// checked refuses what cannot be a field's value.
func (o offer) checked(fields map[string]string) error {
	for _, f := range o.fields {
		switch value := fields[f.Name]; {
		case f.takes(value):
		case f.Kind == "choice":
			return messages.Usagef("there is no %s any more", f.Name+" "+value)
		default:
			return messages.Usagef("%q is not a number from 0 to %v", value, most)
		}
	}
	return nil
}

// covered stands for what is in a Secret, until a reader asks for it.
const covered = "••••"

// do does an action, and returns the command and what it said.
func (d *Dashboard) do(ctx context.Context, printer messages.Printer, o *object, wanted offer, fields map[string]string) (command, said string, err error) {
	if err := wanted.checked(fields); err != nil {
		return "", "", err
	}
	namespace := ""
	if o != nil {
		namespace = o.Namespace
	}
	words := wanted.words(fields)
	command = printer.Command(messages.Kubectl(namespace, words...))
	var input io.Reader = strings.NewReader("")
	if wanted.name == "apply" {
		if strings.Contains(fields["yaml"], covered) {
			return command, "", messages.Usagef("some of the values are covered").WithHint("show the values before you change the object")
		}
		input = strings.NewReader(fields["yaml"])
	}
	if namespace != "" {
		words = append([]string{"-n", namespace}, words...)
	}
	said, err = d.Kubectl(ctx, input, words...)
	if said = strings.TrimSpace(said); err != nil && said != "" { // kubectl itself has said why
		err = messages.Errorf("%s", said)
	}
	return command, said, err
}
