package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs/course"
)

func TestFirstLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "",
		"one":                    "one",
		"\n  one\ntwo\n":         "one",
		strings.Repeat("你", 160): strings.Repeat("你", 160),
		strings.Repeat("你", 161): strings.Repeat("你", 160) + "…",
		"<!DOCTYPE html>\n<html>\n<head>\n<title>Welcome to nginx!</title>\n": "Welcome to nginx!",
		"<title>\n  503\n</title>": "503",
		"<title>no end":            "no end",
	} {
		if got := firstLine(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestTold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`Get "http://localhost/": dial tcp 127.0.0.1:80: connect: connection refused`: "connection refused",
		"EOF\n": "EOF",
		`Get "http://localhost/": context deadline exceeded`: "context deadline exceeded",
	} {
		if got := told(errors.New(text)).String(); got != want {
			t.Errorf("%q is told as %q, want %q", text, got, want)
		}
	}
}

// TestRefused checks that the API server's own message is not taken for the web server's answer, nor the other way round.
func TestRefused(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no endpoints available","code":503}`: "no endpoints available",
		`{"kind":"Status","apiVersion":"v1","status":"Success","message":"fine"}`:                              "",
		`{"message":"an answer in JSON","status":"Failure"}`:                                                   "",
		`{"kind":"Status","status":"Failure"`:                                                                  "",
		"[v1] Hello, Kubernetes!":                                                                              "",
		"":                                                                                                     "",
	} {
		if got := refused([]byte(body)); got != want {
			t.Errorf("%s is the refusal %q, want %q", body, got, want)
		}
	}
}

// checker is a Checker of a cluster with those objects, which answers no web requests.
func checker(t *testing.T, objects ...runtime.Object) *Checker {
	t.Helper()
	server := kubetest.New(t, objects...)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		switch parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); {
		case len(parts) > 6 && parts[6] == "log":
			_, _ = io.WriteString(w, "fake logs")
		case len(parts) > 6 && parts[6] == "proxy":
			kubetest.Refuse(w, apierrors.NewServiceUnavailable("nobody answers"))
		default:
			return false
		}
		return true
	})
	return &Checker{Cluster: server.Cluster(), Course: &course.Course{}, Place: course.Place{Registry: "localhost:5001"}}
}

// row checks one expectation, and returns what a user sees of it.
func row(t *testing.T, c *Checker, expectation string) string {
	t.Helper()
	lessons, err := course.Load(fstest.MapFS{
		"course.yaml":  {Data: []byte("namespaces: [default, dev]\nchapters: [one]\n")},
		"one/lab.yaml": {Data: []byte("steps:\n  - name: first\n    expect:\n      - " + expectation + "\n")},
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.Step(t.Context(), lessons.Chapters[0].Steps[0])
	if err != nil || len(rows) != 1 {
		t.Fatalf("there are %v, %v", rows, err)
	}
	r := rows[0]
	if r.Met != Met(rows) {
		t.Error("the row and the whole differ")
	}
	if r.Met {
		if !r.Why.IsZero() || !r.Next.IsZero() {
			t.Errorf("a row that is met has the cause %s, %s", r.Why, r.Next)
		}
		return fmt.Sprintf("✓ %s: %s", r.Subject, r.Have)
	}
	said := fmt.Sprintf("✗ %s: %s; want %s", r.Subject, r.Have, r.Expected)
	if !r.Why.IsZero() {
		said += "; why: " + r.Why.String()
	}
	return said + "; do: " + r.Next.String()
}

// expect compares what a user sees.
func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("the user sees\n%s\nwant\n%s", got, want)
	}
}

func ago(d time.Duration) metav1.Time { return metav1.NewTime(time.Now().Add(-d)) }

func metaOf(name string, labels ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), CreationTimestamp: ago(time.Hour), Labels: map[string]string{}}
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		m.Labels[key] = value
	}
	return m
}

func ownedBy(m metav1.ObjectMeta, kind, name string) metav1.ObjectMeta {
	controls := true
	m.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, UID: types.UID(name), Controller: &controls}}
	return m
}

// webPod is a Pod with the label app=web that is Ready, at an address.
func webPod(name, image, address string, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metaOf(name, "app=web"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}},
		Status: corev1.PodStatus{PodIP: address, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Ready: true}}}}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

func unready(pod *corev1.Pod) {
	pod.Status.Conditions[0].Status = corev1.ConditionFalse
	pod.Status.ContainerStatuses[0].Ready = false
	pod.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{StartedAt: ago(time.Minute)}
}

func leaving(pod *corev1.Pod) {
	now := ago(0)
	pod.DeletionTimestamp, pod.Finalizers = &now, []string{"example.com/wait"}
}

func TestPods(t *testing.T) {
	t.Parallel()
	restarted := func(pod *corev1.Pod) { pod.Status.ContainerStatuses[0].RestartCount = 2 }
	justStarted := func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses[0].State.Running.StartedAt = ago(-time.Minute) // whenever the row is looked at
	}
	elsewhere := func(pod *corev1.Pod) { pod.Namespace = "dev" }
	event := &corev1.Event{ObjectMeta: metaOf("event"), Type: "Warning", Reason: "Unhealthy", Message: "Readiness probe failed: 500\nmore",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "b", UID: "b"}}
	for _, test := range []struct {
		name, expectation, want string
		objects                 []runtime.Object
	}{
		{"just so many", "pods: {labels: app=web, image: web:v1, count: 2, ready: 2}", "✓ pods app=web with the image web:v1: 2 pods, 2 Ready",
			[]runtime.Object{webPod("a", "us/web:v1", ""), webPod("b", "web:v1", ""), webPod("c", "us/web:v2", ""), webPod("d", "us/web:v1", "", leaving), webPod("e", "us/web:v1", "", elsewhere)}},
		{"too many", "pods: {labels: app=web, image: web:v1, count: 1}", "✗ pods app=web with the image web:v1: 2 pods; want 1 pods; do: hellolab lab show one/first",
			[]runtime.Object{webPod("a", "us/web:v1", ""), webPod("b", "web:v1", "")}},
		{"one that is not Ready", "pods: {labels: app=web, image: web, count: 2, ready: 2}",
			"✗ pods app=web with the image web: 2 pods, 1 Ready; want 2 pods, 2 Ready; why: pod b: Readiness probe failed: 500; do: kubectl describe pod b",
			[]runtime.Object{webPod("a", "web", ""), webPod("b", "web", "", unready), event}},
		{"in a namespace", "pods: {namespace: dev, labels: app=web, image: web, count: 1}", "✓ pods app=web with the image web -n dev: 1 pods",
			[]runtime.Object{webPod("a", "web", ""), webPod("b", "web", "", elsewhere)}},
		{"restarted", "pods: {labels: app=web, image: web, restarts: 2}", "✓ pods app=web with the image web: 2 restarts",
			[]runtime.Object{webPod("a", "web", ""), webPod("b", "web", "", restarted)}},
		{"not restarted often enough", "pods: {labels: app=web, image: web, restarts: 3}", "✗ pods app=web with the image web: 2 restarts; want at least 3 restarts; do: hellolab lab show one/first",
			[]runtime.Object{webPod("a", "web", ""), webPod("b", "web", "", restarted)}},
		{"stuck", "pods: {labels: app=web, image: web, count: 1, ready: 0, stuck: true}", "✓ pods app=web with the image web: 1 pods, 0 Ready",
			[]runtime.Object{webPod("a", "web", "", unready)}},
		{"on its way", "pods: {labels: app=web, image: web, count: 1, ready: 0, stuck: true}", "✗ pods app=web with the image web: 1 pods, 0 Ready; want 1 pods, 0 Ready, running for some time; do: hellolab lab show one/first",
			[]runtime.Object{webPod("a", "web", "", unready, justStarted)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, row(t, checker(t, test.objects...), test.expectation), test.want)
		})
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	service := &corev1.Service{ObjectMeta: metaOf("web"), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}}}
	slice := func(service string, ready bool, addresses ...string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metaOf("slice-"+strings.Join(addresses, "-"), discoveryv1.LabelServiceName+"="+service),
			Endpoints: []discoveryv1.Endpoint{{Addresses: addresses, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}}}
	}
	for _, test := range []struct {
		name, want string
		objects    []runtime.Object
	}{
		{"both pods", "✓ endpoints of service/web: 2: 10.0.0.1, 10.0.0.2", []runtime.Object{service,
			slice("web", true, "10.0.0.2"), slice("web", true, "10.0.0.1"), slice("web", false, "10.0.0.3"), slice("db", true, "10.0.0.4"),
			webPod("a", "web", "10.0.0.1"), webPod("b", "web", "10.0.0.2"), webPod("c", "web", "10.0.0.3", unready)}},
		{"an address of nobody's", "✗ endpoints of service/web: 2: 10.0.0.1, 10.0.0.9; want the addresses of 2 Ready pods; do: hellolab lab show one/first",
			[]runtime.Object{service, slice("web", true, "10.0.0.1", "10.0.0.9"), webPod("a", "web", "10.0.0.1"), webPod("b", "web", "10.0.0.2")}},
		{"one pod too few", "✗ endpoints of service/web: 1: 10.0.0.1; want the addresses of 2 Ready pods; do: hellolab lab show one/first",
			[]runtime.Object{service, slice("web", true, "10.0.0.1"), webPod("a", "web", "10.0.0.1")}},
		{"no Service", "✗ endpoints of service/web: there is no such Service; want the addresses of 2 Ready pods; do: hellolab lab show one/first", nil},
		{"no pods", "✗ endpoints of service/web: none; want the addresses of 2 Ready pods; " +
			"why: the selector app=web of service web matches no pod, and there are no pods with labels; do: kubectl edit service web", []runtime.Object{service}},
		{"pods with other labels", "✗ endpoints of service/web: none; want the addresses of 2 Ready pods; " +
			"why: the selector app=web of service web matches no pod; the pods there have app=db; do: kubectl edit service web",
			[]runtime.Object{service, webPod("a", "web", "10.0.0.1", func(pod *corev1.Pod) {
				pod.Labels = map[string]string{"app": "db", "pod-template-hash": "abc"}
			})}},
		{"no selector", "✗ endpoints of service/web: none; want the addresses of 2 Ready pods; " +
			"why: service web has no selector, so it finds no pods; do: kubectl edit service web",
			[]runtime.Object{&corev1.Service{ObjectMeta: metaOf("web")}, webPod("a", "web", "10.0.0.1"), webPod("b", "web", "10.0.0.2")}},
		{"a pod that cannot be scheduled", "✗ endpoints of service/web: none; want the addresses of 2 Ready pods; " +
			"why: no node takes the pod a: 0/1 nodes are available; do: kubectl describe pod a",
			[]runtime.Object{service, webPod("a", "web", "", unready, func(pod *corev1.Pod) {
				pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes are available"})
			})}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, row(t, checker(t, test.objects...), "endpoints: {service: web, count: 2}"), test.want)
		})
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	set := func(deployment, number string, images ...string) runtime.Object {
		var containers []corev1.Container
		for _, image := range images {
			containers = append(containers, corev1.Container{Image: image})
		}
		m := ownedBy(metaOf(deployment+"-"+number), "Deployment", deployment)
		m.Annotations = map[string]string{"deployment.kubernetes.io/revision": number}
		return &appsv1.ReplicaSet{ObjectMeta: m, Spec: appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: containers}}}}
	}
	missed := "; want web:v1, web:v2, the last being number 2 or higher; why: the Deployment has not gone through these versions one after the other; do: kubectl rollout history deployment web"
	for _, test := range []struct {
		name, want string
		sets       []runtime.Object
	}{
		{"one after the other", "✓ revisions of deployment/web: 1 web:v1, 2 web:v2", []runtime.Object{set("web", "2", "us/web:v2"), set("web", "1", "us/web:v1"), set("db", "3", "db")}},
		{"with others between", "✓ revisions of deployment/web: 9 web:v1, 10 web:bad, 11 web:v2", []runtime.Object{set("web", "11", "us/web:v2"), set("web", "9", "us/web:v1"), set("web", "10", "us/web:bad")}},
		{"the other way round", "✗ revisions of deployment/web: 2 web:v2, 3 web:v1" + missed, []runtime.Object{set("web", "2", "us/web:v2"), set("web", "3", "us/web:v1")}},
		{"gone on since", "✗ revisions of deployment/web: 1 web:v1, 2 web:v2, 3 web:v3" + missed, []runtime.Object{set("web", "1", "us/web:v1"), set("web", "2", "us/web:v2"), set("web", "3", "us/web:v3")}},
		{"beside another container", "✓ revisions of deployment/web: 1 helper + web:v1, 2 helper + web:v2", []runtime.Object{set("web", "1", "helper", "us/web:v1"), set("web", "2", "helper", "us/web:v2")}},
		{"only the last", "✗ revisions of deployment/web: 2 web:v2" + missed, []runtime.Object{set("web", "2", "us/web:v2")}},
		{"none", "✗ revisions of deployment/web: none; want web:v1, web:v2, the last being number 2 or higher; do: hellolab lab show one/first", []runtime.Object{set("db", "1", "web:v1")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, row(t, checker(t, test.sets...), `history: {deployment: web, revision: 2, images: ["web:v1", "web:v2"]}`), test.want)
		})
	}
	t.Run("too low a number", func(t *testing.T) {
		t.Parallel()
		if got := row(t, checker(t, set("web", "1", "web:v1")), `history: {deployment: web, revision: 2, images: ["web:v1"]}`); !strings.HasPrefix(got, "✗") {
			t.Errorf("the reader sees %s", got)
		}
	})
}

func TestReplaced(t *testing.T) {
	t.Parallel()
	set := &appsv1.ReplicaSet{ObjectMeta: ownedBy(metaOf("web-1"), "Deployment", "web")}
	set.Spec.Template.Labels = map[string]string{"app": "web", appsv1.DefaultDeploymentUniqueLabelKey: "1"}
	pod := func(name string, after time.Duration) *corev1.Pod {
		made := webPod(name, "web", "")
		made.ObjectMeta = ownedBy(made.ObjectMeta, "ReplicaSet", "web-1")
		made.CreationTimestamp = metav1.NewTime(set.CreationTimestamp.Add(after))
		return made
	}
	created := func(name string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metaOf("event-" + name), Reason: "SuccessfulCreate", Message: "Created pod: " + name, InvolvedObject: corev1.ObjectReference{UID: "web-1"}}
	}
	late, going := pod("web-1-new", 2*time.Second), pod("web-1-a", time.Second)
	unready(late)
	unready(going)
	leaving(going)
	removed := func(name string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metaOf("removed-" + name), Reason: "SuccessfulDelete", Message: "Deleted pod: " + name, InvolvedObject: corev1.ObjectReference{UID: "web-1"}}
	}
	about := func(reason, name, message string, at time.Duration) *corev1.Event {
		event := &corev1.Event{ObjectMeta: metaOf(reason + name), Reason: reason, Message: message, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: name}}
		event.CreationTimestamp = metav1.NewTime(set.CreationTimestamp.Add(at))
		event.FirstTimestamp = event.CreationTimestamp
		return event
	}
	nobody := "✗ a deleted pod of deployment/web: none has been deleted yet; want another one has come in its place; why: pods have gone, but nobody deleted them: " +
		"the Deployment or its node gave them up (scaling, a rollout, an eviction); do: kubectl delete pod -l app=web"
	for _, test := range []struct {
		name, want string
		objects    []runtime.Object
	}{
		{"an event of one that is gone", "✓ a deleted pod of deployment/web: web-1-b has come", []runtime.Object{set, pod("web-1-b", time.Second), created("web-1-a"), created("web-1-b")}},
		{"one that is about to go", "✓ a deleted pod of deployment/web: web-1-b has come", []runtime.Object{set, going, pod("web-1-b", time.Second), created("web-1-a"), created("web-1-b")}},
		{"one that was scaled away", nobody, []runtime.Object{set, pod("web-1-b", 5*time.Second), created("web-1-a"), created("web-1-b"), removed("web-1-a")}},
		{"one that was scaled away, and one that was deleted", "✓ a deleted pod of deployment/web: web-1-c has come",
			[]runtime.Object{set, pod("web-1-c", time.Second), created("web-1-a"), created("web-1-b"), created("web-1-c"), removed("web-1-a")}},
		{"one that a drained node gave up", nobody, []runtime.Object{set, pod("web-1-b", 5*time.Second), created("web-1-a"), created("web-1-b"),
			about("Killing", "web-1-a", "Stopping container web", 4*time.Second), about("FailedScheduling", "web-1-b", "0/1 nodes are available: 1 node(s) were unschedulable.", 5*time.Second)}},
		{"one that was deleted before the node was drained", "✓ a deleted pod of deployment/web: web-1-b has come", []runtime.Object{set, pod("web-1-b", 5*time.Second), created("web-1-a"), created("web-1-b"),
			about("Killing", "web-1-a", "Stopping container web", 4*time.Second), about("FailedScheduling", "web-1-x", "1 node(s) were unschedulable.", 60*time.Second)}},
		{"one that a taint drove away", nobody, []runtime.Object{set, pod("web-1-b", 5*time.Second), created("web-1-a"), created("web-1-b"), about("TaintManagerEviction", "web-1-a", "", 0)}},
		{"a pod that came later", "✓ a deleted pod of deployment/web: web-1-b has come", []runtime.Object{set, pod("web-1-b", 5*time.Second)}},
		{"the first pod", "✗ a deleted pod of deployment/web: none has been deleted yet; want another one has come in its place; do: hellolab lab show one/first",
			[]runtime.Object{set, pod("web-1-a", time.Second), created("web-1-a")}},
		{"nobody has come yet", "✗ a deleted pod of deployment/web: none has been deleted yet; want another one has come in its place; do: hellolab lab show one/first",
			[]runtime.Object{set, late, created("web-1-a")}},
		{"no Deployment", "✗ a deleted pod of deployment/web: there is no Deployment of that name; want another one has come in its place; do: hellolab lab show one/first", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, row(t, checker(t, test.objects...), "replaced: {name: web}"), test.want)
		})
	}
}

// TestLogs checks that only pods that succeeded count. The logs of the fake cluster's pods are all "fake logs".
func TestLogs(t *testing.T) {
	t.Parallel()
	pod := func(phase corev1.PodPhase) runtime.Object {
		return &corev1.Pod{ObjectMeta: metaOf("job-"+strings.ToLower(string(phase)), batchv1.JobNameLabel+"=job"),
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "count"}}}, Status: corev1.PodStatus{Phase: phase}}
	}
	for _, test := range []struct {
		name, match, want string
		objects           []runtime.Object
	}{
		{"as expected", "^fake", "✓ log of job/job: fake logs", []runtime.Object{pod(corev1.PodSucceeded), pod(corev1.PodFailed)}},
		{"another log", "^real", `✗ log of job/job: fake logs; want a log like "^real"; do: kubectl logs job-succeeded`, []runtime.Object{pod(corev1.PodSucceeded)}},
		{"still at work", "^fake", `✗ log of job/job: none; want a log like "^fake"; do: hellolab lab show one/first`, []runtime.Object{pod(corev1.PodRunning)}},
		{"no pods", "^fake", `✗ log of job/job: none; want a log like "^fake"; do: hellolab lab show one/first`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, row(t, checker(t, test.objects...), "logs: {job: job, match: '"+test.match+"'}"), test.want)
		})
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	cron := func(age time.Duration, suspended bool) *batchv1.CronJob {
		m := metaOf("tick")
		m.CreationTimestamp = ago(age)
		return &batchv1.CronJob{ObjectMeta: m, Spec: batchv1.CronJobSpec{Suspend: &suspended}}
	}
	job := func(name, owner string, age time.Duration, succeeded int32) *batchv1.Job {
		m := ownedBy(metaOf(name), "CronJob", owner)
		m.CreationTimestamp = ago(age)
		return &batchv1.Job{ObjectMeta: m, Status: batchv1.JobStatus{Succeeded: succeeded}}
	}
	failed := job("tick-2", "tick", time.Minute, 0)
	failed.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Message: "too often"}}
	want := "; want the last one succeeded, or the first one is still to come; "
	for _, test := range []struct {
		name, want string
		objects    []runtime.Object
	}{
		{"the last one succeeded", "✓ runs of cronjob/tick: tick-2 succeeded", []runtime.Object{cron(time.Hour, false), job("tick-1", "tick", time.Hour, 0), job("tick-2", "tick", time.Minute, 1)}},
		{"the last one is at work", "✓ runs of cronjob/tick: tick-1 succeeded", []runtime.Object{cron(time.Hour, false), job("tick-1", "tick", time.Hour, 1), job("tick-2", "tick", time.Second, 0)}},
		{"the last one failed", "✗ runs of cronjob/tick: tick-2 has not succeeded" + want + "why: job tick-2 has failed: too often; do: kubectl describe job tick-2",
			[]runtime.Object{cron(time.Hour, false), job("tick-1", "tick", time.Hour, 1), failed}},
		{"just made", "✓ runs of cronjob/tick: the first one comes at the next full minute", []runtime.Object{cron(time.Second, false)}},
		{"none for too long", "✗ runs of cronjob/tick: none" + want + "do: kubectl describe cronjob tick", []runtime.Object{cron(time.Hour, false), job("other-1", "other", time.Minute, 1)}},
		{"suspended", "✗ runs of cronjob/tick: none" + want + `why: it is suspended; do: kubectl patch cronjob tick -p 'spec: {suspend: false}'`, []runtime.Object{cron(time.Second, true)}},
		{"no CronJob", "✗ runs of cronjob/tick: it is not there" + want + "do: hellolab lab show one/first", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, row(t, checker(t, test.objects...), "runs: {name: tick}"), test.want)
		})
	}
}

// registry is one with images and versions of every chart, or one that does not answer.
type registry struct {
	images, charts, own []string
	down                error
}

func (r registry) HasImage(_ context.Context, image string) (bool, error) {
	return slices.Contains(r.images, image), r.down
}

func (r registry) PushedBy(_ context.Context, image string) (reader, snapshot bool, err error) {
	return slices.Contains(r.own, image), false, r.down
}

func (r registry) ChartVersions(context.Context, string) ([]string, error) { return r.charts, r.down }

func TestImage(t *testing.T) {
	t.Parallel()
	c := checker(t)
	c.Registry = registry{images: []string{"us/web:v1"}}
	expect(t, row(t, c, "image: us/web:v1"), "✓ image us/web:v1: in the registry localhost:5001")
	expect(t, row(t, c, "image: us/web:v2"), "✗ image us/web:v2: it is not in the registry; want in the registry localhost:5001; do: hellolab lab show one/first")
	c.Registry = registry{images: []string{"us/web:v1", "us/web:v2"}, own: []string{"us/web:v1"}}
	expect(t, row(t, c, "pushed: us/web:v1"), "✓ image us/web:v1: your own, in the registry localhost:5001")
	expect(t, row(t, c, "pushed: us/web:v2"), "✗ image us/web:v2: the one that hellolab has built; want your own, in the registry localhost:5001; why: nobody has pushed another one since the lab was made; do: hellolab lab show one/first")
	expect(t, row(t, c, "pushed: us/web:v3"), "✗ image us/web:v3: it is not in the registry; want your own, in the registry localhost:5001; why: the cluster pulls images from the lab's registry, and nobody has pushed this one there; do: hellolab lab show one/first")
	c.Registry = registry{}
	// what the course says stands where the cluster shows no cause
	expect(t, row(t, c, "{image: 'us/web:v2', why: {en: nobody has pushed it}, next: 'docker push {{.Registry}}/us/web:v2'}"),
		"✗ image us/web:v2: it is not in the registry; want in the registry localhost:5001; why: nobody has pushed it; do: docker push localhost:5001/us/web:v2")
}

// TestLook holds what a reader is told to look at first, for every kind of expectation.
func TestLook(t *testing.T) {
	t.Parallel()
	for expectation, want := range map[string]string{
		"object: {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: dev}}": "kubectl get pod -n dev",
		"absent: {kind: Pod, name: web, namespace: dev}":                             "kubectl get pod -n dev",
		"http: {ingress: /hello, answers: a}":                                        "curl -i URL/hello",
		"http: {nodePort: web, path: a, answers: a}":                                 "curl -i URL/a",
		"http: {service: web, port: 80, answers: a}":                                 "kubectl describe service web",
		"http: {pod: web, port: 80, answers: a}":                                     "kubectl describe pod web",
		"http: {pods: app=web, port: 80, answers: a}":                                "kubectl get pods -l app=web",
		"pods: {labels: app=web, count: 1}":                                          "kubectl get pods -l app=web",
		"pods: {count: 1}":                                                           "kubectl get pods",
		"endpoints: {service: web, count: 1}":                                        "kubectl get endpointslices -l kubernetes.io/service-name=web",
		"history: {deployment: web, images: [a]}":                                    "kubectl rollout history deployment/web",
		"replaced: {name: web}":                                                      "kubectl get pods",
		"logs: {job: web, match: a}":                                                 "kubectl logs job/web",
		"image: web":                                                                 "hellolab images list",
		"pushed: web":                                                                "hellolab images list",
		"runs: {name: web}":                                                          "kubectl get cronjobs,jobs",
		"release: {name: web, chart: web}":                                           "helm list",
		"chart: {name: web, version: a}":                                             "",
		"loadBalancer: {service: web, port: 80, answers: a}":                         "kubectl get service web",
	} {
		lessons, err := course.Load(fstest.MapFS{
			"course.yaml":  {Data: []byte("namespaces: [default, dev]\nchapters: [one]\n")},
			"one/lab.yaml": {Data: []byte("steps: [{name: first, expect: [" + "{" + expectation + "}" + "]}]\n")},
		}, "", "")
		if err != nil {
			t.Fatal(expectation, err)
		}
		c := checker(t)
		c.Place.Ingress, c.Place.NodePort = "URL", "URL"
		got := c.look(lessons.Steps()[0].Expect[0].Condition)
		if strings.HasPrefix(expectation, "object") { // its row has it
			rows, err := c.Step(t.Context(), lessons.Steps()[0])
			if err != nil {
				t.Fatal(err)
			}
			got = rows[0].Look
		}
		if got.String() != want {
			t.Errorf("%s: look at %q, want %q", expectation, got, want)
		}
	}
}

// TestImageUnasked checks that a registry that does not answer is an error.
func TestImageUnasked(t *testing.T) {
	t.Parallel()
	c, down := checker(t), errors.New("the registry does not answer")
	c.Registry = registry{down: down}
	lessons, err := course.Load(fstest.MapFS{
		"course.yaml":  {Data: []byte("namespaces: [default]\nchapters: [one]\n")},
		"one/lab.yaml": {Data: []byte("steps: [{name: first, expect: [image: web]}]\n")},
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := c.Step(t.Context(), lessons.Chapters[0].Steps[0]); !errors.Is(err, down) {
		t.Errorf("there are %v, %v", rows, err)
	}
}

// TestHTTP checks what is said of the answers of a web server, which is the test's own here.
// ingressTo is an Ingress with one path.
func ingressTo(path, host string) *networkingv1.Ingress {
	to := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}
	rule := networkingv1.IngressRule{Host: host}
	rule.HTTP = &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: path, Backend: to}}}
	return &networkingv1.Ingress{ObjectMeta: metaOf("web"), Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{rule}}}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, expectation, want string
		status                  int
		answers                 []string // in turn
		asked                   int64
		objects                 []runtime.Object
	}{
		{"as expected", "http: {nodePort: web, answers: '^hello'}", "✓ GET URL/: hello", 200, []string{"hello\n"}, 1, nil},
		{"a path", "http: {nodePort: web, path: a/b, answers: .}", "✓ GET URL/a/b: hello", 200, []string{"hello"}, 1, nil},
		{"the ingress", "http: {ingress: /hello, answers: .}", "✓ GET URL/hello: hello", 200, []string{"hello"}, 1, []runtime.Object{ingressTo("/hello", "")}},
		{"the ingress, which is just about to stop", "http: {ingress: /hello, answers: .}", "✗ GET URL/hello: it still answers as before the latest change: hello; want any answer; " +
			"why: ingress web has the path /hello for requests to the host a.local only, not to 127.0.0.1; do: kubectl patch ingress web --type=json -p '[{op: remove, path: /spec/rules/0/host}]'",
			200, []string{"hello"}, 1, []runtime.Object{ingressTo("/hello", "a.local")}},
		{"another answer", "http: {nodePort: web, answers: '^hello'}",
			"✗ GET URL/: <Bye>; want an answer like ^hello; why: there is no Service web; do: hellolab lab show one/first", 200, []string{"<Bye>\nnow"}, 1, nil},
		{"another status", "http: {nodePort: web, answers: .}",
			"✗ GET URL/: status 404: Not Found; want any answer; why: there is no Service web; do: hellolab lab show one/first", 404, []string{"<title>Not Found</title>"}, 1, nil},
		{"no Ingress", "http: {ingress: /hello, answers: a}", "✗ GET URL/hello: hello; want an answer like a; why: no Ingress has the path /hello; do: hellolab lab show one/first", 200, []string{"hello"}, 1, nil},
		{"two pods in turn", "http: {nodePort: web, answers: hello, differ: 2}", "✓ GET URL/: hello from b", 200, []string{"hello from a", "hello from a", "hello from b"}, 3, nil},
		{"one wrong answer among them", "http: {nodePort: web, answers: hello, differ: 3}",
			"✗ GET URL/: bye; want an answer like hello, and 3 different ones; why: there is no Service web; do: hellolab lab show one/first", 200, []string{"hello from a", "hello from b", "bye"}, 3, nil},
		{"always the same pod", "http: {nodePort: web, answers: hello, differ: 2}",
			"✗ GET URL/: 11 answers, 1 different: hello from a; want an answer like hello, and 2 different ones; why: there is no Service web; do: hellolab lab show one/first", 200, []string{"hello from a"}, 11, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.answers[int(asked.Add(1)-1)%len(test.answers)])
			}))
			defer server.Close()
			c := checker(t, test.objects...)
			c.Place.NodePort, c.Place.Ingress = server.URL, server.URL
			expect(t, strings.ReplaceAll(row(t, c, test.expectation), server.URL, "URL"), test.want)
			if asked.Load() != test.asked {
				t.Errorf("it was asked %d times, want %d", asked.Load(), test.asked)
			}
		})
	}
}

// nobody is an address of this machine that refuses connections: no system hands out a port below 1024 to a program that
// asks for any free one.
const nobody = "http://127.0.0.1:1"

// TestHTTPUnanswered checks that the error of a server that does not exist is shown without the request, which the row names.
func TestHTTPUnanswered(t *testing.T) {
	t.Parallel()
	c := checker(t)
	c.Place.NodePort = nobody
	got := strings.ReplaceAll(row(t, c, "http: {nodePort: web, answers: .}"), nobody, "URL")
	if !strings.HasPrefix(got, "✗ GET URL/: no answer: ") || strings.Contains(got, "dial tcp") {
		t.Errorf("the reader sees %s", got)
	}
}

// TestHTTPOfNobody checks that requests to pods that do not exist have a cause.
func TestHTTPOfNobody(t *testing.T) {
	t.Parallel()
	expect(t, row(t, checker(t), "http: {pods: app=web, port: 3000, answers: .}"),
		"✗ GET pod (app=web):3000/: no answer: no pod is Ready; want any answer; why: there are no pods with the label app=web; do: hellolab lab show one/first")
}

// TestHTTPRoutedLate checks that the ingress controller gets the time that it takes if the cluster shows no other cause, and
// that a wrong answer is an answer.
func TestHTTPRoutedLate(t *testing.T) {
	t.Parallel()
	cluster := `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{http: {paths: [{path: /hello, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
` + deploymentOf("us/web:v2", readyStatus)
	for _, test := range []struct {
		name, answer, want string
		late               int // this many answers are the controller's own, 503
		took               time.Duration
	}{
		{"at once", "hello", "✓ GET URL/hello: hello; want an answer like hello", 0, 0},
		{"late", "hello", "✓ GET URL/hello: hello; want an answer like hello", 3, 200 * time.Millisecond},
		{"another answer, late", "bye", "✗ GET URL/hello: bye; want an answer like hello", 3, 200 * time.Millisecond},
		{"never", "hello", "✗ GET URL/hello: status 503: no endpoints; want an answer like hello", 1000, routedWithin},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := onCluster(t, cluster, map[string]string{"web-1:80": "hello"})
				e := &course.HTTP{Namespace: "default", Ingress: "/hello", Answers: course.Pattern{Regexp: regexp.MustCompile("hello")}}
				sent, began := 0, time.Now()
				found, why, err := c.httpRouted(t.Context(), lessons(t, "image: web"), e, "URL/hello", func(context.Context) (int, string, error) {
					if sent++; sent <= test.late {
						return http.StatusServiceUnavailable, "no endpoints", nil
					}
					return http.StatusOK, test.answer, nil
				})
				if err != nil || why.found() {
					t.Errorf("the cause is %s, %v", why.why, err)
				}
				mark := map[bool]string{true: "✓", false: "✗"}[found.Met]
				expect(t, fmt.Sprintf("%s %s: %s; want %s", mark, found.Subject, found.Have, found.Expected), test.want)
				if took := time.Since(began); took != test.took || sent > test.late+1 {
					t.Errorf("it took %s and %d requests, want %s and %d at most", took, sent, test.took, test.late+1)
				}
			})
		})
	}
}
