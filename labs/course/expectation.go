package course

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Expectation is one thing to be seen after a step, whoever did the step. Just one of the fields up to LoadBalancer is set.
type Expectation struct {
	// Object is part of an object: every field of it has to be in the cluster's. See docs/courses.md for the tags
	// !match, !image, !base64 and !least.
	Object yaml.Node `yaml:"object"`
	// Absent is an object that must not be there: its kind, name and namespace.
	Absent *Reference `yaml:"absent"`
	// HTTP asks a web server.
	HTTP *HTTP `yaml:"http"`
	// Pods counts pods.
	Pods *Pods `yaml:"pods"`
	// Endpoints compares a Service's endpoints with the pods.
	Endpoints *Endpoints `yaml:"endpoints"`
	// History looks at the revisions of a Deployment.
	History *History `yaml:"history"`
	// Replaced is a Deployment of which a pod was deleted and came back under another name.
	Replaced *Reference `yaml:"replaced"`
	// Logs reads what the pods of a Job wrote.
	Logs *Logs `yaml:"logs"`
	// Image has to be in the lab's registry.
	Image string `yaml:"image"`
	// Runs is a CronJob whose last run was well, if there has been one.
	Runs *Reference `yaml:"runs"`
	// Release is a Helm release.
	Release *ReleaseState `yaml:"release"`
	// Chart has to be in the lab's registry.
	Chart *PublishedChart `yaml:"chart"`
	// LoadBalancer is a Service with an address that answers on this machine.
	LoadBalancer *LoadBalancer `yaml:"loadBalancer"`

	// Why explains the expectation to somebody who does not meet it, where the cluster does not show a cause.
	Why Words `yaml:"why"`
	// Next is the command to type then; a template, see [Place].
	Next string `yaml:"next"`

	line int
}

// namespaces are where an expectation says which namespace it is about.
func (e *Expectation) namespaces() (all []*string) {
	for _, reference := range []*Reference{e.Absent, e.Replaced, e.Runs} {
		if reference != nil {
			all = append(all, &reference.Namespace)
		}
	}
	switch {
	case e.HTTP != nil:
		all = append(all, &e.HTTP.Namespace)
	case e.Pods != nil:
		all = append(all, &e.Pods.Namespace)
	case e.Endpoints != nil:
		all = append(all, &e.Endpoints.Namespace)
	case e.History != nil:
		all = append(all, &e.History.Namespace)
	case e.Logs != nil:
		all = append(all, &e.Logs.Namespace)
	case e.Release != nil:
		all = append(all, &e.Release.Namespace)
	case e.LoadBalancer != nil:
		all = append(all, &e.LoadBalancer.Namespace)
	}
	return all
}

// Reference names an object.
type Reference struct {
	Kind      string `yaml:"kind"`
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace"`
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

// Endpoints are a Service's: those of Count Ready pods.
type Endpoints struct {
	Namespace string `yaml:"namespace"`
	Service   string `yaml:"service"`
	Count     int    `yaml:"count"`
}

// History of a Deployment: at least so many revisions, and these images among them, the last being the current one.
type History struct {
	Namespace  string   `yaml:"namespace"`
	Deployment string   `yaml:"deployment"`
	Revision   int64    `yaml:"revision"`
	Images     []string `yaml:"images"`
}

// Logs of every pod of a Job that succeeded.
type Logs struct {
	Namespace string  `yaml:"namespace"`
	Job       string  `yaml:"job"`
	Match     Pattern `yaml:"match"`
}

// ReleaseState is a Helm release that is deployed: of a chart, in a version like that, with that revision or a later one.
type ReleaseState struct {
	Namespace string  `yaml:"namespace"`
	Name      string  `yaml:"name"`
	Chart     string  `yaml:"chart"`
	Version   Pattern `yaml:"version"`
	Revision  int     `yaml:"revision"`
}

// PublishedChart is a chart in the lab's registry, with a version like that.
type PublishedChart struct {
	Name    string  `yaml:"name"`
	Version Pattern `yaml:"version"`
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
