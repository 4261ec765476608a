package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/docker/docker/client"
	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/messages"
)

// engineImages is what the Docker Engine knows of images and nodes.
type engineImages struct{ docker *client.Client }

// HasImage reports whether the engine has an image.
func (e engineImages) HasImage(ctx context.Context, image string) (bool, error) {
	found, err := engine.Find(ctx, e.docker, image)
	return found != nil, err
}

// Proxy returns the proxy in the environment of a node, which its container runtime uses.
func (e engineImages) Proxy(ctx context.Context, node string) (string, error) {
	container, err := e.docker.ContainerInspect(ctx, node)
	if err != nil || container.Config == nil {
		return "", err
	}
	for _, variable := range container.Config.Env {
		if name, value, _ := strings.Cut(variable, "="); strings.EqualFold(name, "HTTPS_PROXY") && value != "" {
			return value, nil
		}
	}
	return "", nil
}

// whyResult is what `why -o json` prints, in the reader's language where it is for people.
type whyResult struct {
	Namespace string       `json:"namespace"`
	Healthy   bool         `json:"healthy"`
	Findings  []whyFinding `json:"findings"`
}

type whyFinding struct {
	// Objects suffer from it. Way leads from the first of them to what is at fault.
	Objects []string `json:"objects"`
	Way     []string `json:"way"`
	Why     string   `json:"why"`
	Next    string   `json:"next"`
	// Passing says that it resolves itself.
	Passing bool `json:"passing"`
	// Learn is the command that shows the step of the course about such objects, or "".
	Learn string `json:"learn"`
}

// why tells what is wrong with an object, or with all of a namespace.
func (p *program) why(c *cli.Context, l *labs.Labs) error {
	state, err := l.State(c.Context)
	if err == nil {
		err = state.Practice.Alone()
	}
	if err != nil {
		return err
	}
	namespace := cmp.Or(c.String("namespace"), l.Checker.Namespace)
	findings, err := p.findings(c, l, namespace)
	if err != nil {
		return err
	}
	result := p.whyResult(namespace, findings)
	if err := p.print(c, result, func() string { return p.whyText(c.Args().First(), result) }); err != nil {
		return err
	}
	if !result.Healthy {
		return errNotYet{}
	}
	return nil
}

func (p *program) findings(c *cli.Context, l *labs.Labs, namespace string) ([]check.Finding, error) {
	what := c.Args().First()
	if _, err := l.Cluster.CoreV1().Namespaces().Get(c.Context, namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return nil, messages.Errorf("there is no namespace %s", namespace).Next(messages.Kubectl("", "get", "namespaces"))
	}
	if what == "" {
		return l.Checker.ExplainNamespace(c.Context, namespace)
	}
	objects, err := p.meant(l.Cluster, namespace, what)
	if err != nil {
		return nil, err
	}
	return l.Checker.Explain(c.Context, objects)
}

// meant are the objects that a reader means by KIND/NAME, or by KIND for all of a kind.
func (p *program) meant(cluster *kube.Cluster, namespace, what string) ([]*unstructured.Unstructured, error) {
	objects, err := cluster.Find(namespace, what)
	kind, name, named := strings.Cut(what, "/")
	switch {
	case apierrors.IsNotFound(err) && named:
		return nil, messages.Errorf("there is no %s %s in the namespace %s", kind, name, namespace).Next(messages.Kubectl(namespace, "get", kind))
	case meta.IsNoMatchError(err), err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && !kube.Passing(err):
		return nil, messages.Usagef("%q is not an object in the lab", what).Because(err).
			WithHint("say which kind of object you mean, as kubectl does: %s", messages.Hellolab("why").Usage("KIND/NAME"))
	case err == nil && len(objects) == 0:
		return nil, messages.Errorf("there is no %s in the namespace %s", kind, namespace).Next(messages.Kubectl(namespace, "get", "all"))
	}
	return objects, err
}

func (p *program) whyResult(namespace string, findings []check.Finding) whyResult {
	result := whyResult{Namespace: namespace, Healthy: len(findings) == 0, Findings: []whyFinding{}}
	for _, finding := range findings {
		shown := whyFinding{Objects: strs(finding.Objects), Way: strs(finding.Way), Why: p.printer.Text(finding.Why),
			Next: p.printer.Text(finding.Next), Passing: finding.Passing}
		if finding.Step != nil {
			shown.Learn = p.printer.Text(messages.Hellolab("lab", "show", finding.Step.ID()).Text())
		}
		result.Findings = append(result.Findings, shown)
	}
	return result
}

func strs(references []kube.Reference) (all []string) {
	for _, r := range references {
		if !slices.Contains(all, r.String()) {
			all = append(all, r.String())
		}
	}
	return all
}

// whyText is a paragraph for every finding.
func (p *program) whyText(what string, result whyResult) string {
	if result.Healthy && what == "" {
		return p.printer.Text(messages.T("nothing is wrong in the namespace %s", result.Namespace)) + "\n"
	}
	if result.Healthy {
		return p.printer.Text(messages.T("nothing is wrong with %s", what)) + "\n"
	}
	text := ""
	for _, finding := range result.Findings {
		text += "✗ " + strings.Join(finding.Objects, ", ") + "\n"
		way := ""
		if len(finding.Way) > 1 {
			way = strings.Join(finding.Way, " → ")
		}
		said := messages.Verbatim
		text += p.fields([]field{{p.say("way"), said(way), false}, {p.say("why"), said(finding.Why), false}, {p.say("do"), said(finding.Next), true},
			{p.say("learn"), said(finding.Learn), true}})
	}
	return text
}
