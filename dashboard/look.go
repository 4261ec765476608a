package dashboard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/messages"
)

// event is one of Kubernetes' about an object.
type event struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Reason string    `json:"reason"`
	Text   string    `json:"text"`
	Count  int32     `json:"count"`
}

// cause is why something is wrong with an object, and what to type.
type cause struct {
	Text string `json:"text"`
	Next string `json:"next"`
}

// seen is an object in all detail.
type seen struct {
	ID   string `json:"id"`
	YAML string `json:"yaml"`
	// Covered says that what a Secret holds is not shown.
	Covered    bool     `json:"covered"`
	Events     []event  `json:"events"`
	Containers []string `json:"containers"`
	Why        []cause  `json:"why"`
	Actions    []action `json:"actions"`
}

// lookWithin bounds one look at an object.
const lookWithin = 10 * time.Second

// asked is the object that a request is about, and the lab that it is in; it has refused the request where there is none.
func (d *Dashboard) asked(w http.ResponseWriter, r *http.Request) (*object, *labs.Labs) {
	o, l := d.hub.find(r.URL.Query().Get("id")), d.current()
	switch {
	case l == nil:
		d.refuse(w, r, http.StatusServiceUnavailable, messages.Errorf("the lab cannot be asked now"))
	case o == nil:
		d.refuse(w, r, http.StatusNotFound, messages.Errorf("there is no %s any more", r.URL.Query().Get("id")))
	default:
		return o, l
	}
	return nil, nil
}

// object shows an object in all detail.
func (d *Dashboard) object(w http.ResponseWriter, r *http.Request) {
	o, l := d.asked(w, r)
	if o == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookWithin)
	defer cancel()
	s, err := d.see(ctx, l, d.printer(r), o, r.URL.Query().Get("uncover") == "1")
	if err != nil {
		d.refuse(w, r, http.StatusBadGateway, err)
		return
	}
	answer(w, s)
}

func (d *Dashboard) see(ctx context.Context, l *labs.Labs, printer messages.Printer, o *object, uncover bool) (seen, error) {
	s := seen{ID: o.ID, Events: []event{}, Containers: []string{}, Why: []cause{}, Actions: []action{}}
	for _, offered := range actions(o, d.hub.revisions(o)) {
		visits := ""
		if offered.name == visiting {
			visits = printer.Text(d.address(ctx, l, o).command)
		}
		s.Actions = append(s.Actions, offered.shown(printer, o.Namespace, visits))
	}
	if o.Kind == "Release" { // which is not an object of Kubernetes'
		return s, nil
	}
	version, err := l.Cluster.APIVersion(o.Kind)
	if err != nil {
		return s, err
	}
	found, err := l.Cluster.Get(ctx, kube.Reference{APIVersion: version, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name})
	if err != nil {
		return s, err
	}
	if found == nil {
		return s, messages.Errorf("there is no %s any more", o.ID)
	}
	causes, err := explained(ctx, l, found)
	if err != nil {
		return s, err
	}
	for _, each := range causes {
		s.Why = append(s.Why, cause{printer.Text(each.Why), printer.Text(each.Next)})
	}
	happened, err := kube.Events(ctx, l.Cluster, o.Namespace, "involvedObject.kind="+o.Kind+",involvedObject.name="+o.Name)
	if err != nil {
		return s, err
	}
	for _, each := range slices.Backward(happened) {
		s.Events = append(s.Events, event{kube.LastSeen(&each), each.Type, each.Reason, each.Message, max(each.Count, 1)})
	}
	if o.Kind == "Pod" {
		for _, list := range []string{"initContainers", "containers"} {
			containers, _, _ := unstructured.NestedSlice(found.Object, "spec", list)
			for _, container := range containers {
				if name, is := container.(map[string]any)["name"].(string); is {
					s.Containers = append(s.Containers, name)
				}
			}
		}
	}
	s.Covered = o.Kind == "Secret" && !uncover
	s.YAML, err = asYAML(found, s.Covered)
	return s, err
}

// asYAML is an object as people want to read it: without who has written which field, and without a Secret's values where these are to be covered.
func asYAML(found *unstructured.Unstructured, cover bool) (string, error) {
	found = found.DeepCopy()
	found.SetManagedFields(nil)
	if cover {
		annotations := found.GetAnnotations()
		delete(annotations, corev1.LastAppliedConfigAnnotation) // which has them, too
		found.SetAnnotations(annotations)
		for _, field := range []string{"data", "stringData"} {
			values, _, _ := unstructured.NestedMap(found.Object, field)
			for key := range values {
				values[key] = covered
			}
			if len(values) > 0 {
				found.Object[field] = values
			}
		}
	}
	content, err := yaml.Marshal(found.Object)
	return string(content), err
}

// oldLines is how many lines a log begins with.
const oldLines = 500

// logs is what a container says, as it goes on.
func (d *Dashboard) logs(w http.ResponseWriter, r *http.Request) {
	o, l := d.asked(w, r)
	if o == nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-d.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	stream, err := l.Cluster.CoreV1().Pods(o.Namespace).GetLogs(o.Name, &corev1.PodLogOptions{
		Container: r.URL.Query().Get("container"), Follow: true, TailLines: new(int64(oldLines))}).Stream(ctx)
	if err != nil {
		d.refuse(w, r, http.StatusBadGateway, err)
		return
	}
	defer stream.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := http.NewResponseController(w)
	out.Flush()
	for lines := bufio.NewReaderSize(stream, longestLine); ; {
		line, err := lines.ReadSlice('\n')
		io.WriteString(w, messages.Clean(string(line)))
		if errors.Is(err, bufio.ErrBufferFull) { // a pod may say anything, for ever
			io.WriteString(w, "\n")
			err = nil
		}
		if err != nil || lines.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

// longestLine is how many bytes of a log may be one line; what is longer is broken.
const longestLine = 64 << 10

// address is where an Ingress or a Service can be asked.
type address struct {
	url  string // "" where only the API server can ask it
	host string // the one that an Ingress is for, or ""
	// command asks it.
	command messages.Text
	path    []string
	service string
	port    string
}

// address finds out how an object can be asked.
func (d *Dashboard) address(ctx context.Context, l *labs.Labs, o *object) (a address) {
	a.path = []string{o.ID}
	if o.Kind == "Ingress" {
		found, err := l.Cluster.NetworkingV1().Ingresses(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
		if err != nil {
			return a
		}
		host, path, service := firstRoute(found)
		a.url, a.host, a.service = l.Checker.Place.Ingress+path, host, service
		words := []string{a.url}
		if host != "" {
			words = []string{"-H", "Host: " + host, a.url}
		}
		a.command = messages.Curl(words...).Text()
		a.path = append(a.path, id("Service", o.Namespace, service))
		return a
	}
	found, err := l.Cluster.CoreV1().Services(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	if err != nil || len(found.Spec.Ports) == 0 {
		return a
	}
	if found.Spec.Ports[0].NodePort == publishedNodePort {
		a.url = l.Checker.Place.NodePort
		a.command = messages.Curl(a.url).Text()
		return a
	}
	a.service, a.port = o.Name, strconv.Itoa(int(found.Spec.Ports[0].Port))
	a.command = messages.Kubectl("", "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/services/%s:%s/proxy/", o.Namespace, a.service, a.port)).Text()
	return a
}

// publishedNodePort is the one that this machine reaches.
const publishedNodePort = 30000

// firstRoute is the first rule of an Ingress.
func firstRoute(found *networkingv1.Ingress) (host, path, service string) {
	for _, rule := range found.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, each := range rule.HTTP.Paths {
			if each.Backend.Service != nil {
				return rule.Host, each.Path, each.Backend.Service.Name
			}
		}
	}
	return "", "/", ""
}

// visit asks an Ingress or a Service, and shows the way of what was asked on all pages.
func (d *Dashboard) visit(ctx context.Context, printer messages.Printer, o *object) (command, said string, err error) {
	l := d.current()
	if l == nil {
		return "", "", messages.Errorf("the lab cannot be asked now")
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	a := d.address(ctx, l, o)
	command = printer.Text(a.command)
	status, body := "", ""
	switch {
	case a.url != "":
		status, body, err = fetch(ctx, a)
	case a.port != "":
		status = "200 OK"
		var stream io.ReadCloser
		if stream, err = l.Cluster.CoreV1().Services(o.Namespace).ProxyGet("http", a.service, a.port, "/", nil).Stream(ctx); err == nil {
			body, err = beginning(stream)
		}
	default:
		return command, "", messages.Errorf("%s cannot be asked: it has no address", o.ID)
	}
	body = strings.TrimSpace(messages.Clean(body[:min(len(body), 300)]))
	t := traffic{path: d.way(a.path, body), ok: err == nil && strings.HasPrefix(status, "2"), text: messages.T("%s: %s", status, body)}
	if err != nil {
		t.text = messages.T("no answer: %s", err)
	}
	d.hub.change(func() {}, func(n *news) { n.traffic = append(n.traffic, t) })
	return command, strings.TrimSpace(status + "\n" + body), err
}

// fetch asks an address of this machine's.
func fetch(ctx context.Context, a address) (status, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return "", "", err
	}
	if a.host != "" {
		request.Host = a.host
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, // no proxy: this is loopback
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return "", "", err
	}
	body, err = beginning(response.Body)
	return response.Status, body, err
}

// beginning reads the first 4 KiB of an answer, which may be without end.
func beginning(stream io.ReadCloser) (string, error) {
	defer stream.Close()
	content, err := io.ReadAll(io.LimitReader(stream, 4<<10))
	return string(content), err
}

// way adds to a way what the answer tells: the course's programs say which pod has answered.
func (d *Dashboard) way(path []string, body string) []string {
	last := d.hub.find(path[len(path)-1])
	if last == nil {
		return path
	}
	for _, pod := range last.To {
		if name := pod[strings.LastIndex(pod, "/")+1:]; strings.Contains(body, name) || len(last.To) == 1 {
			return append(path, pod)
		}
	}
	return path
}

// explained are the causes of what is wrong with an object; in an exam there are none.
func explained(ctx context.Context, l *labs.Labs, object *unstructured.Unstructured) ([]check.Finding, error) {
	state, err := l.State(ctx)
	if err != nil || state.Practice.Exam() {
		return nil, err
	}
	return l.Checker.Explain(ctx, []*unstructured.Unstructured{object})
}
