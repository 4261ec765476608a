package check

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// tries is how many requests are sent at most until the answers differ. If each goes to one of three pods at random, all of
// them go to the same one in 1 of 60,000 cases.
const tries = 11

// patience is how long one request may take.
const patience = 3 * time.Second

// question sends one request to a web server, and returns the status and the body of the response.
type question func(context.Context) (status int, body string, err error)

// routedWithin is how long the ingress controller may take until it routes to pods that are Ready: it applies changes at
// most every 3.3 s (its --sync-rate-limit).
const routedWithin = 4 * time.Second

// http sends requests to a web server.
func (c *Checker) http(ctx context.Context, step *course.Step, e *course.HTTP) (Row, cause, error) {
	ask, subject := c.asker(e.Namespace, "/"+strings.TrimPrefix(e.Path, "/"), e)
	return c.httpRouted(ctx, step, e, subject, ask)
}

// httpRouted repeats the requests to a server behind the ingress controller while nothing but the controller's pace
// explains that there is no answer.
func (c *Checker) httpRouted(ctx context.Context, step *course.Step, e *course.HTTP, subject string, ask question) (Row, cause, error) {
	answered := false
	look := func() (Row, cause, error) {
		return c.httpOnce(ctx, step, e, subject, func(ctx context.Context) (int, string, error) {
			status, body, err := ask(ctx)
			answered = err == nil && status == http.StatusOK
			return status, body, err
		})
	}
	row, why, err := look()
	late := func() bool { return e.Ingress != "" && err == nil && !row.Met && !answered && !why.found() }
	if !late() {
		return row, why, err
	}
	waiting, cancel := context.WithTimeout(ctx, routedWithin)
	defer cancel()
	_ = await.Poll(waiting, messages.Text{}, func(context.Context) error { // row tells how it ends
		if row, why, err = look(); late() {
			return messages.Errorf("the controller does not route to it yet")
		}
		return nil
	})
	return row, why, err
}

func (c *Checker) httpOnce(ctx context.Context, step *course.Step, e *course.HTTP, subject string, ask question) (Row, cause, error) {
	row, err := answers(ctx, Row{Subject: messages.Verbatim("GET " + subject)}, ask, e.Answers, e.Differ)
	if err != nil {
		return row, cause{}, err
	}
	if row.Met {
		why, err := c.outdated(ctx, e)
		if row.Met = !why.found(); why.found() {
			row.Have = messages.T("it still answers as before the latest change: %s", row.Have)
		}
		return row, why, err
	}
	why, err := c.unanswered(ctx, step, e.Namespace, e)
	return row, why, err
}

// answers sends requests until there are enough different answers, and fills in what row has and expects. It stops at the
// first answer that is wrong.
func answers(ctx context.Context, row Row, ask question, pattern course.Pattern, differ int) (Row, error) {
	row.Expected = messages.T("an answer like %s", pattern)
	if pattern.String() == "." {
		row.Expected = messages.T("any answer")
	}
	if differ > 1 {
		row.Expected = messages.T("an answer like %s, and %v different ones", pattern, differ)
	}
	different := map[string]bool{}
	for range tries {
		status, body, err := ask(ctx)
		if ctx.Err() != nil {
			return row, context.Cause(ctx)
		}
		body = strings.TrimSpace(body)
		good := err == nil && status == http.StatusOK && pattern.MatchString(body)
		if !different[body] {
			row.Answers = append(row.Answers, Answer{body, good})
		}
		switch {
		case err != nil:
			row.Have = messages.T("no answer: %s", told(err))
			return row, nil
		case status != http.StatusOK:
			row.Have = messages.T("status %v: %s", status, firstLine(body))
			return row, nil
		case !good:
			row.Have = messages.Verbatim(firstLine(body))
			return row, nil
		}
		different[body] = true
		row.Have = messages.Verbatim(firstLine(body))
		if len(different) >= differ {
			row.Met = true
			return row, nil
		}
	}
	row.Have = messages.T("%v answers, %v different: %s", tries, len(different), row.Have)
	return row, nil
}

// loadBalancer sends requests to the EXTERNAL-IP of a Service.
func (c *Checker) loadBalancer(ctx context.Context, e *course.LoadBalancer) (Row, cause, error) {
	row := Row{Subject: messages.T("EXTERNAL-IP of service/%s", e.Service+inNamespace(e.Namespace)),
		Expected: messages.T("an address that answers")}
	service, err := c.Cluster.CoreV1().Services(e.Namespace).Get(ctx, e.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		row.Have = messages.T("there is no such Service")
		return row, cause{}, nil
	}
	if err != nil {
		return row, cause{}, err
	}
	addresses := service.Status.LoadBalancer.Ingress
	if len(addresses) == 0 {
		row.Have = messages.Verbatim("<pending>")
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
			return row, cause{why: messages.T("its type is %s", string(service.Spec.Type))}, nil
		}
		return row, noTunnel(), nil
	}
	url := "http://" + net.JoinHostPort(cmp.Or(addresses[0].IP, addresses[0].Hostname), strconv.Itoa(e.Port)) + "/"
	row.Subject = messages.Verbatim("GET " + url)
	row, err = answers(ctx, row, func(ctx context.Context) (int, string, error) { return get(ctx, url) }, e.Answers, e.Differ)
	if err != nil || row.Met {
		return row, cause{}, err
	}
	why, err := c.serviceCause(ctx, e.Namespace, e.Service)
	if err == nil && !why.found() {
		why = noTunnel()
	}
	return row, why, err
}

// asker returns how to send the requests of an expectation, and the name of what they go to.
func (c *Checker) asker(namespace, path string, e *course.HTTP) (question, string) {
	port := strconv.Itoa(e.Port)
	proxied := func(ctx context.Context, resource, name string) (int, string, error) {
		status := 0
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		// not Suffix, which drops the last slash: the API server would send this to the same path with one
		body, err := c.Cluster.CoreV1().RESTClient().Get().
			AbsPath("/api/v1/namespaces/" + namespace + "/" + resource + "/http:" + name + ":" + port + "/proxy" + path).Do(ctx).StatusCode(&status).Raw()
		if refusal := refused(body); refusal != "" {
			return 0, "", messages.Errorf("%s", refusal)
		}
		if status != 0 && len(body) > 0 {
			err = nil
		}
		return status, string(body), err
	}
	switch {
	case e.Ingress != "":
		url := c.Place.Ingress + e.Ingress
		return func(ctx context.Context) (int, string, error) { return get(ctx, url) }, url
	case e.NodePort != "":
		url := c.Place.NodePort + path
		return func(ctx context.Context) (int, string, error) { return get(ctx, url) }, url
	case e.Service != "":
		return func(ctx context.Context) (int, string, error) { return proxied(ctx, "services", e.Service) },
			"service/" + e.Service + ":" + port + path + inNamespace(namespace)
	case e.Pod != "":
		return func(ctx context.Context) (int, string, error) { return proxied(ctx, "pods", e.Pod) },
			"pod/" + e.Pod + ":" + port + path + inNamespace(namespace)
	}
	return func(ctx context.Context) (int, string, error) {
		pods, err := c.listPods(ctx, namespace, e.Pods)
		if err != nil {
			return 0, "", err
		}
		for _, pod := range pods {
			if ready(pod) {
				return proxied(ctx, "pods", pod.Name)
			}
		}
		return 0, "", messages.Errorf("no pod is Ready")
	}, "pod (" + e.Pods + "):" + port + path + inNamespace(namespace)
}

// refused is the API server's own message if it could not pass a request on, or "".
func refused(body []byte) string {
	var status metav1.Status
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" || status.Status != metav1.StatusFailure {
		return ""
	}
	return status.Message
}

// get sends a request to a web server on this machine, on a new connection and without a proxy.
func get(ctx context.Context, url string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: stays}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, string(body), err
}

// told is the text of an error without the request, which the row names.
func told(err error) messages.Text {
	if own, is := err.(*messages.Error); is && own.Cause == nil { // which has a translation
		return messages.T("%s", own)
	}
	text := strings.TrimSpace(err.Error())
	if at := strings.LastIndex(text, ": "); at >= 0 {
		text = text[at+2:]
	}
	return messages.Verbatim(text)
}

// firstLine is what a row shows of a text: its first line, or the title of an HTML page.
func firstLine(text string) string {
	if _, title, found := strings.Cut(text, "<title>"); found {
		text, _, _ = strings.Cut(title, "</title>")
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if runes := []rune(text); len(runes) > 160 {
		text = string(runes[:160]) + "…"
	}
	return text
}

// listPods returns the pods that match labels and are not being deleted, the newest first.
func (c *Checker) listPods(ctx context.Context, namespace, labels string) ([]corev1.Pod, error) {
	list, err := c.Cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: labels})
	if err != nil {
		return nil, err
	}
	pods := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	return pods, nil
}

func ready(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// settled is how long a container has to run without becoming ready until it counts as stuck.
const settled = 3 * time.Second

func (c *Checker) pods(ctx context.Context, e *course.Pods) (Row, cause, error) {
	namespace := e.Namespace
	row := Row{Subject: messages.T("pods %s with the image %s", e.Labels, e.Image+inNamespace(namespace))}
	all, err := c.listPods(ctx, namespace, e.Labels)
	if err != nil {
		return row, cause{}, err
	}
	pods := slices.DeleteFunc(slices.Clone(all), func(pod corev1.Pod) bool {
		return !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return course.MatchImage(e.Image, c.Image) })
	})
	var readyPods, restarts int
	stuck := len(pods) > 0
	for _, pod := range pods {
		if ready(pod) {
			readyPods++
		}
		for _, status := range pod.Status.ContainerStatuses {
			restarts = max(restarts, int(status.RestartCount))
			running := status.State.Running
			stuck = stuck && (status.Ready || running != nil && time.Since(running.StartedAt.Time) > settled)
		}
		stuck = stuck && len(pod.Status.ContainerStatuses) > 0
	}
	row.Met = true
	var have, expected []messages.Text
	if e.Count != nil {
		have, expected = append(have, messages.T("%v pods", len(pods))), append(expected, messages.T("%v pods", *e.Count))
		row.Met = row.Met && len(pods) == *e.Count
	}
	if e.Ready != nil {
		have, expected = append(have, messages.T("%v Ready", readyPods)), append(expected, messages.T("%v Ready", *e.Ready))
		row.Met = row.Met && readyPods == *e.Ready
	}
	if e.Restarts > 0 {
		have, expected = append(have, messages.T("%v restarts", restarts)), append(expected, messages.T("at least %v restarts", e.Restarts))
		row.Met = row.Met && restarts >= e.Restarts
	}
	if e.Stuck {
		expected = append(expected, messages.T("running for some time"))
		row.Met = row.Met && stuck
	}
	row.Have, row.Expected = messages.T("%s", have), messages.T("%s", expected)
	if row.Met {
		return row, cause{}, nil
	}
	why, err := c.labelled(ctx, namespace, e.Labels, pods)
	return row, why, err
}

// endpoints compares a Service's endpoints with the addresses of the Ready pods that it selects.
func (c *Checker) endpoints(ctx context.Context, e *course.Endpoints) (Row, cause, error) {
	namespace := e.Namespace
	row := Row{Subject: messages.T("endpoints of service/%s", e.Service+inNamespace(namespace)),
		Expected: messages.T("the addresses of %v Ready pods", e.Count)}
	service, err := c.Cluster.CoreV1().Services(namespace).Get(ctx, e.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		row.Have = messages.T("there is no such Service")
		return row, cause{}, nil
	}
	if err != nil {
		return row, cause{}, err
	}
	addresses, err := c.addresses(ctx, namespace, e.Service)
	if err != nil {
		return row, cause{}, err
	}
	pods, err := c.listPods(ctx, namespace, labels.Set(service.Spec.Selector).String())
	if err != nil {
		return row, cause{}, err
	}
	var wanted []string
	for _, pod := range pods {
		if ready(pod) && len(service.Spec.Selector) > 0 { // without a selector it finds none, not all
			wanted = append(wanted, pod.Status.PodIP)
		}
	}
	slices.Sort(wanted)
	row.Have = messages.T("%v: %s", len(addresses), addresses)
	if len(addresses) == 0 {
		row.Have = messages.T("none")
	}
	if row.Met = slices.Equal(addresses, wanted) && len(addresses) == e.Count; row.Met {
		return row, cause{}, nil
	}
	why, err := c.serviceCause(ctx, namespace, e.Service)
	return row, why, err
}

// addresses are the sorted addresses that a Service sends requests to.
func (c *Checker) addresses(ctx context.Context, namespace, service string) ([]string, error) {
	options := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service}
	list, err := c.Cluster.DiscoveryV1().EndpointSlices(namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				all = append(all, endpoint.Addresses...)
			}
		}
	}
	slices.Sort(all)
	return all, nil
}

// revision is a revision of a Deployment: its number, and the images of its containers.
type revision struct {
	number int64
	images []string
}

func (r revision) has(image string) bool {
	return slices.ContainsFunc(r.images, func(there string) bool { return course.MatchImage(image, there) })
}

// String is how a row shows a revision: "2 hellok8s:v2".
func (r revision) String() string {
	shown := strconv.FormatInt(r.number, 10)
	for i, image := range r.images {
		if i > 0 {
			shown += " +"
		}
		shown += " " + image[strings.LastIndex(image, "/")+1:]
	}
	return shown
}

// history checks that a Deployment has run the images in this order, and runs the last one now.
func (c *Checker) history(ctx context.Context, e *course.History) (Row, cause, error) {
	namespace := e.Namespace
	row := Row{Subject: messages.T("revisions of deployment/%s", e.Deployment+inNamespace(namespace)),
		Expected: messages.T("%s, the last being number %v or higher", e.Images, e.Revision)}
	sets, err := c.replicaSets(ctx, namespace, e.Deployment)
	if err != nil {
		return row, cause{}, err
	}
	var revisions []revision
	var have []string
	for _, set := range sets {
		number, _ := strconv.ParseInt(set.Annotations[revisionAnnotation], 10, 64)
		found := revision{number: number}
		for _, container := range set.Spec.Template.Spec.Containers {
			found.images = append(found.images, container.Image)
		}
		if number > 0 && len(found.images) > 0 {
			revisions = append(revisions, found)
		}
	}
	slices.SortFunc(revisions, func(a, b revision) int { return cmp.Compare(a.number, b.number) })
	met := 0
	for _, found := range revisions {
		have = append(have, found.String())
		if met < len(e.Images) && found.has(e.Images[met]) {
			met++
		}
	}
	if row.Have = messages.Verbatim(strings.Join(have, ", ")); len(have) == 0 {
		row.Have = messages.T("none")
		return row, cause{}, nil
	}
	current := revisions[len(revisions)-1]
	row.Met = met == len(e.Images) && current.number >= e.Revision && current.has(e.Images[met-1])
	return row, cause{why: messages.T("the Deployment has not gone through these versions one after the other"),
		next: messages.Kubectl(namespace, "rollout", "history", "deployment", e.Deployment).Text()}, nil
}

// replicaSets are the ReplicaSets of a Deployment.
func (c *Checker) replicaSets(ctx context.Context, namespace, deployment string) ([]appsv1.ReplicaSet, error) {
	list, err := c.Cluster.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(set appsv1.ReplicaSet) bool {
		owner := metav1.GetControllerOf(&set)
		return owner == nil || owner.Kind != "Deployment" || owner.Name != deployment
	}), nil
}

// logs compares the logs of a Job's pods that succeeded: one of each pod's containers has to have printed what is expected.
func (c *Checker) logs(ctx context.Context, e *course.Logs) (Row, cause, error) {
	namespace := e.Namespace
	row := Row{Subject: messages.T("log of job/%s", e.Job+inNamespace(namespace)), Have: messages.T("none"),
		Expected: messages.T("a log like %q", e.Match.String())}
	pods, err := c.listPods(ctx, namespace, batchv1.JobNameLabel+"="+e.Job)
	if err != nil {
		return row, cause{}, err
	}
	finished := 0
	for _, pod := range pods {
		if pod.Status.Phase != corev1.PodSucceeded {
			continue
		}
		finished++
		printed, container := c.printed(ctx, pod, e.Match)
		if row.Have = messages.Verbatim(strings.Join(strings.Fields(printed), " ")); row.Have.String() == "" {
			row.Have = messages.T("none")
		}
		if !e.Match.MatchString(printed) {
			return row, cause{next: logs(pod, container, false)}, nil
		}
	}
	if row.Met = finished > 0; row.Met {
		return row, cause{}, nil
	}
	why, err := c.podsCause(ctx, pods)
	return row, why, err
}

// printed is the log of the container of a pod that has printed what is expected, or of the first that has printed anything. A
// log that cannot be read is empty.
func (c *Checker) printed(ctx context.Context, pod corev1.Pod, expected course.Pattern) (said, container string) {
	container = firstContainer(pod)
	for _, each := range pod.Spec.Containers {
		log, err := c.Cluster.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: each.Name}).DoRaw(ctx)
		if err == nil && expected.Match(log) {
			return string(log), each.Name
		}
		if err == nil && said == "" && len(log) > 0 {
			said, container = string(log), each.Name
		}
	}
	return said, container
}

// firstContainer is the name of the container whose log the API server shows if a pod has no other.
func firstContainer(pod corev1.Pod) string {
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	return pod.Spec.Containers[0].Name
}

// firstRun is how long a CronJob that runs every minute may take until its first Job has succeeded.
const firstRun = 90 * time.Second

// runs checks the last Job of a CronJob.
func (c *Checker) runs(ctx context.Context, e *course.Reference) (Row, cause, error) {
	namespace := e.Namespace
	row := Row{Subject: messages.T("runs of cronjob/%s", e.Name+inNamespace(namespace)), Have: messages.T("none"),
		Expected: messages.T("the last one succeeded, or the first one is still to come")}
	cron, err := c.Cluster.BatchV1().CronJobs(namespace).Get(ctx, e.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		row.Have = messages.T("it is not there")
		return row, cause{}, nil
	}
	if err != nil {
		return row, cause{}, err
	}
	jobs, err := c.Cluster.Of(ctx, "batch/v1", "Job", namespace)
	if err != nil {
		return row, cause{}, err
	}
	ours := slices.DeleteFunc(jobs, func(job *unstructured.Unstructured) bool { return !metav1.IsControlledBy(job, cron) })
	slices.SortFunc(ours, func(a, b *unstructured.Unstructured) int {
		return b.GetCreationTimestamp().Compare(a.GetCreationTimestamp().Time)
	})
	for _, job := range ours {
		if succeeded, _, _ := wished(job); succeeded > 0 {
			row.Met, row.Have = true, messages.T("%s succeeded", job.GetName())
			return row, cause{}, nil
		}
		why, err := c.explain(ctx, job)
		if err != nil || why.found() && !why.passing {
			row.Have = messages.T("%s has not succeeded", job.GetName())
			return row, why, err
		}
	}
	suspended := cron.Spec.Suspend != nil && *cron.Spec.Suspend
	if suspended {
		resume := messages.Kubectl(namespace, "patch", "cronjob", e.Name, "-p", "spec: {suspend: false}")
		return row, cause{why: messages.T("it is suspended"), next: resume.Text()}, nil
	}
	if row.Met = time.Since(cron.CreationTimestamp.Time) < firstRun; row.Met {
		row.Have = messages.T("the first one comes at the next full minute")
	}
	return row, cause{next: describe(namespace, "cronjob", e.Name)}, nil
}
