package course

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hellolab/hellolab/messages"
)

// Expectation is one thing to be seen after a step, whoever did the step.
type Expectation struct {
	// Condition is what has to be true.
	Condition Condition
	// Why explains the expectation to somebody who does not meet it, where the cluster does not show a cause. Next is the
	// command to type then. Both are templates, see [Place].
	Why  Words
	Next string

	line int
}

// Condition is what can be expected of a lab: a pointer to one of the types of this file.
type Condition interface {
	// check refuses what is wrong with it, and fills in what need not be written.
	check(at spot)
}

// conditions are the kinds of expectations.
func conditions() []kind[Condition] {
	return []kind[Condition]{
		{"object", func() Condition { return &Object{} }},
		{"absent", func() Condition { return &Absent{} }},
		{"http", func() Condition { return &HTTP{} }},
		{"pods", func() Condition { return &Pods{} }},
		{"endpoints", func() Condition { return &Endpoints{} }},
		{"history", func() Condition { return &History{} }},
		{"replaced", func() Condition { return &Replaced{} }},
		{"logs", func() Condition { return &Logs{} }},
		{"image", func() Condition { return &Image{} }},
		{"pushed", func() Condition { return &Pushed{} }},
		{"runs", func() Condition { return &Runs{} }},
		{"release", func() Condition { return &ReleaseState{} }},
		{"chart", func() Condition { return &PublishedChart{} }},
		{"loadBalancer", func() Condition { return &LoadBalancer{} }},
	}
}

// UnmarshalYAML reads the expectation by the key of its condition.
func (e *Expectation) UnmarshalYAML(decode func(any) error) (err error) {
	e.Condition, e.line, err = oneOf(decode, conditions(), map[string]any{"why": &e.Why, "next": &e.Next})
	return err
}

func (e *Expectation) check(at spot) {
	if e.Condition == nil {
		at.notOne(keys(conditions()))
		return
	}
	if _, err := (Place{}).fill(e.Next); err != nil {
		at.wrong(messages.T("%q is not a valid command: %s", e.Next, err))
	}
	for _, why := range []string{e.Why.English, e.Why.Chinese} {
		if _, err := (Place{}).fill(why); err != nil {
			at.wrong(messages.T("%q is not a valid explanation: %s", why, err))
		}
	}
	e.Condition.check(at)
}

// orDefault fills in the namespace where none is written.
func orDefault(namespace *string) { *namespace = cmp.Or(*namespace, metav1.NamespaceDefault) }

// Object is part of an object: the cluster's has to have every field of it. See docs/courses.md for the tags !match,
// !image, !base64 and !least.
type Object struct {
	Part yaml.Node
}

// UnmarshalYAML keeps the part as it is written.
func (o *Object) UnmarshalYAML(node *yaml.Node) error {
	o.Part = *node
	return nil
}

// Kind is the kind of the object.
func (o *Object) Kind() string { return field(&o.Part, "kind") }

func (o *Object) check(at spot) {
	for _, key := range []string{"apiVersion", "kind", "metadata.name"} {
		if field(&o.Part, key) == "" {
			at.missing(key)
		}
	}
	at.leaves(&o.Part)
}

// leaves checks the patterns of a partial object.
func (s spot) leaves(node *yaml.Node) {
	for _, inner := range node.Content {
		s.leaves(inner)
	}
	if (node.Kind == yaml.MappingNode || node.Kind == yaml.SequenceNode) && !strings.HasPrefix(node.Tag, "!!") {
		s.refuse(s.file, node.Line, messages.T("%s belongs to a single value", node.Tag))
	}
	if node.Kind == yaml.AliasNode {
		s.refuse(s.file, node.Line, messages.T("an object has to be written out, without an alias"))
	}
	if node.Kind != yaml.ScalarNode {
		return
	}
	if _, err := NewMatcher(node); err != nil {
		s.refuse(s.file, node.Line, messages.T("%s %s is not a valid pattern: %s", node.Tag, node.Value, err))
	}
}

// Reference names an object.
type Reference struct {
	Kind      string `yaml:"kind"`
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace"`
}

func (r *Reference) check(at spot) {
	orDefault(&r.Namespace)
	if r.Name == "" {
		at.missing("name")
	}
}

// Absent is an object that must not be there.
type Absent struct {
	Reference `yaml:",inline"`
}

func (a *Absent) check(at spot) {
	a.Reference.check(at)
	if a.Kind == "" {
		at.missing("kind")
	}
}

// Replaced is a Deployment of which a pod was deleted and came back under another name.
type Replaced struct {
	Reference `yaml:",inline"`
}

// Runs is a CronJob whose last run succeeded, if there has been one.
type Runs struct {
	Reference `yaml:",inline"`
}

// Image has to be in the lab's registry.
type Image struct {
	Name string
}

// UnmarshalYAML reads the name alone.
func (i *Image) UnmarshalYAML(decode func(any) error) error { return decode(&i.Name) }

func (i *Image) check(at spot) {
	i.Name = string(at.renamed([]byte(i.Name)))
	if i.Name == "" {
		at.missing("image")
	}
}

// Pushed is an image in the lab's registry that the reader has built: not the one that hellolab puts there of its own accord.
type Pushed struct {
	Image
}

func (p *Pushed) check(at spot) {
	p.Name = string(at.renamed([]byte(p.Name)))
	if p.Name == "" {
		at.missing("pushed")
	}
}

// HTTP is a question to a web server. Just one of Pod, Pods, Service, NodePort and Ingress is set.
type HTTP struct {
	Namespace string `yaml:"namespace"`
	// Pod of that name, or the Pods with those labels ("app=hellok8s"), or a Service, through the API server; Port
	// is the one to ask.
	Pod     string `yaml:"pod"`
	Pods    string `yaml:"pods"`
	Service string `yaml:"service"`
	Port    int    `yaml:"port"`
	// NodePort is a Service that is asked from this machine, through the nodes' port 30000.
	NodePort string `yaml:"nodePort"`
	// Ingress is a path that is asked from this machine, through the ingress controller.
	Ingress string `yaml:"ingress"`
	// Path to ask for, "/" unless set; not with Ingress.
	Path string `yaml:"path"`
	// Answers is what the answer has to look like.
	Answers Pattern `yaml:"answers"`
	// Differ is how many different answers there have to be, when asked several times.
	Differ int `yaml:"differ"`
}

func (h *HTTP) check(at spot) {
	orDefault(&h.Namespace)
	if count(h.Pod != "", h.Pods != "", h.Service != "", h.NodePort != "", h.Ingress != "") != 1 {
		at.notOne([]string{"pod", "pods", "service", "nodePort", "ingress"})
	}
	if h.NodePort == "" && h.Ingress == "" && h.Port == 0 {
		at.missing("port")
	}
	if h.Ingress != "" {
		at.path("ingress", h.Ingress)
	}
	at.path("path", "/"+strings.TrimPrefix(h.Path, "/"))
	at.pattern("answers", &h.Answers)
	at.labels(h.Pods)
}

// path refuses what does not stay at the address that it is put behind: "@host/" would make a user's name of that.
func (s spot) path(key, path string) {
	parsed, err := url.Parse("http://localhost" + path)
	if err != nil || !strings.HasPrefix(path, "/") || parsed.Host != "localhost" || slices.Contains(strings.Split(parsed.Path, "/"), "..") {
		s.wrong(messages.T("%s: %q is not a valid path: it has to begin with / and must not lead back", key, path))
	}
}

// count returns how many are true.
func count(conditions ...bool) (n int) {
	for _, condition := range conditions {
		if condition {
			n++
		}
	}
	return n
}

// labels refuses what cannot select pods.
func (s spot) labels(selector string) {
	if _, err := labels.Parse(selector); err != nil {
		s.wrong(messages.T("%q is not a valid list of labels: %s", selector, err))
	}
}

// Pods counts those that have labels and an image.
type Pods struct {
	Namespace string `yaml:"namespace"`
	Labels    string `yaml:"labels"`
	Image     string `yaml:"image"`
	// Count of pods; Ready is how many of them are Ready.
	Count *int `yaml:"count"`
	Ready *int `yaml:"ready"`
	// Restarts is how often one of them has restarted at least.
	Restarts int `yaml:"restarts"`
	// Stuck says that they run for some time, and that those that are not Ready fail their readiness probe.
	Stuck bool `yaml:"stuck"`
}

func (p *Pods) check(at spot) {
	orDefault(&p.Namespace)
	at.labels(p.Labels)
}

// Endpoints are a Service's: those of Count Ready pods.
type Endpoints struct {
	Namespace string `yaml:"namespace"`
	Service   string `yaml:"service"`
	Count     int    `yaml:"count"`
}

func (e *Endpoints) check(at spot) {
	orDefault(&e.Namespace)
	if e.Service == "" {
		at.missing("service")
	}
}

// History of a Deployment: at least so many revisions, and these images among them, the last being the current one.
type History struct {
	Namespace  string   `yaml:"namespace"`
	Deployment string   `yaml:"deployment"`
	Revision   int64    `yaml:"revision"`
	Images     []string `yaml:"images"`
}

func (h *History) check(at spot) {
	orDefault(&h.Namespace)
	if h.Deployment == "" || len(h.Images) == 0 {
		at.missing("deployment, images")
	}
}

// Logs of every pod of a Job that succeeded.
type Logs struct {
	Namespace string  `yaml:"namespace"`
	Job       string  `yaml:"job"`
	Match     Pattern `yaml:"match"`
}

func (l *Logs) check(at spot) {
	orDefault(&l.Namespace)
	if l.Job == "" {
		at.missing("job")
		return
	}
	at.pattern("match", &l.Match)
}

// ReleaseState is a Helm release that is deployed: of a chart, in a version like that, with that revision or a later one.
type ReleaseState struct {
	Namespace string  `yaml:"namespace"`
	Name      string  `yaml:"name"`
	Chart     string  `yaml:"chart"`
	Version   Pattern `yaml:"version"`
	Revision  int     `yaml:"revision"`
}

func (r *ReleaseState) check(at spot) {
	orDefault(&r.Namespace)
	if r.Name == "" || r.Chart == "" {
		at.missing("name, chart")
		return
	}
	if r.Version.text != "" {
		at.pattern("version", &r.Version)
	}
}

// PublishedChart is a chart in the lab's registry, with a version like that.
type PublishedChart struct {
	Name    string  `yaml:"name"`
	Version Pattern `yaml:"version"`
}

func (p *PublishedChart) check(at spot) {
	if p.Name == "" {
		at.missing("name")
		return
	}
	at.pattern("version", &p.Version)
}

// LoadBalancer is a Service's port at its EXTERNAL-IP.
type LoadBalancer struct {
	Namespace string `yaml:"namespace"`
	Service   string `yaml:"service"`
	Port      int    `yaml:"port"`
	// Answers is what the answer has to look like, and Differ how many different ones there have to be.
	Answers Pattern `yaml:"answers"`
	Differ  int     `yaml:"differ"`
}

func (b *LoadBalancer) check(at spot) {
	orDefault(&b.Namespace)
	if b.Service == "" || b.Port == 0 {
		at.missing("service, port")
		return
	}
	at.pattern("answers", &b.Answers)
}

// Pattern is a regular expression (https://pkg.go.dev/regexp/syntax).
type Pattern struct {
	*regexp.Regexp // which Load compiles

	text string
	line int
}

// UnmarshalYAML keeps the pattern and its line.
func (p *Pattern) UnmarshalYAML(node *yaml.Node) error {
	p.line = node.Line
	return node.Decode(&p.text)
}

// pattern compiles what a key has.
func (s spot) pattern(key string, pattern *Pattern) {
	if pattern.text == "" {
		s.missing(key)
		return
	}
	compiled, err := regexp.Compile(pattern.text)
	if err != nil {
		s.refuse(s.file, pattern.line, messages.T("%s %s is not a valid pattern: %s", key, pattern.text, err))
	}
	pattern.Regexp = compiled
}
