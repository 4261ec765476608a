package dashboard

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/text/language"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/labs/guide"
	"github.com/hellolab/hellolab/messages"
)

// nothing is a registry that holds nothing.
type nothing struct{}

func (nothing) HasImage(context.Context, string) (bool, error) { return false, nil }
func (nothing) PushedBy(context.Context, string) (reader, snapshot bool, err error) {
	return false, false, nil
}
func (nothing) ChartVersions(context.Context, string) ([]string, error) { return nil, nil }

// started is a dashboard that runs, on an API server in memory.
type started struct {
	*testing.T
	api   *kubetest.Server
	board *Dashboard
	// url of the page without what is behind #, token, and the code that is exchanged for it.
	url, token, code string
	// lab is what a try to connect finds.
	lab chan Condition
	// ran are kubectl's words and input.
	ran   chan string
	ended chan error
}

// start runs a dashboard on a lab without objects.
func start(t *testing.T) *started {
	t.Helper()
	return startAt(t, course.Place{})
}

// startAt runs a dashboard on a lab that answers at a place.
func startAt(t *testing.T, place course.Place) *started {
	t.Helper()
	s := &started{T: t, api: kubetest.New(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}), lab: make(chan Condition, 1), ran: make(chan string, 10)}
	lessons, err := course.Load(course.Embedded(), "", "guangzhengli")
	s.check(err)
	s.check(lessons.AddSources(func(tag string) ([]course.File, error) {
		return []course.File{{Name: tag + "/main.go", Content: "package main"}}, nil
	}))
	cluster := s.api.Cluster()
	lab := &labs.Labs{Course: lessons, Cluster: cluster, Timeout: time.Second, Checker: &check.Checker{Cluster: cluster, Course: lessons, Registry: nothing{}, Namespace: "default", Place: place}}
	condition := Condition{State: Ready}
	s.board = &Dashboard{Name: "web", Course: lessons, Printer: func(tag language.Tag) messages.Printer { return messages.In(tag) },
		Connect: func(context.Context) (*labs.Labs, Condition) {
			select {
			case condition = <-s.lab:
			default:
			}
			if condition.State != Ready {
				return nil, condition
			}
			return lab, condition
		},
		Kubectl: func(_ context.Context, input io.Reader, words ...string) (string, error) {
			content, _ := io.ReadAll(input)
			s.ran <- strings.Join(words, " ") + string(content)
			if slices.Contains(words, "statefulset/bad") {
				return "Error: it is <b>bad</b>\n", errors.New("exit status 1")
			}
			return "done\n", nil
		}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.check(err)
	ctx, cancel := context.WithCancel(t.Context())
	opened, ended := make(chan [2]string, 1), make(chan error, 1)
	go func() {
		ended <- s.board.Run(ctx, listener, "en", func(url, once string) { opened <- [2]string{url, once} })
	}()
	addresses := <-opened
	parts := regexp.MustCompile(`^(http://127\.0\.0\.1:\d+)/#token=([0-9a-f]{32})&lang=en$`).FindStringSubmatch(addresses[0])
	once := regexp.MustCompile(`^(http://127\.0\.0\.1:\d+)/#code=([0-9a-f]{32})&lang=en$`).FindStringSubmatch(addresses[1])
	if parts == nil || once == nil || parts[1] != once[1] || parts[2] == once[2] {
		t.Fatalf("the addresses are %q", addresses)
	}
	s.url, s.token, s.code = parts[1], parts[2], once[2]
	s.ended = ended
	t.Cleanup(cancel)
	return s
}

func (s *started) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// ask sends a request with the token, changed by change.
func (s *started) ask(method, path, body string, change func(*http.Request)) (status int, answer string) {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	s.check(err)
	request.Header.Set("Authorization", "Bearer "+s.token)
	if change != nil {
		change(request)
	}
	response, err := http.DefaultClient.Do(request)
	s.check(err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	s.check(err)
	if !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		s.Errorf("%s has no policy", path)
	}
	return response.StatusCode, string(content)
}

// reader is a page that listens.
type reader struct {
	*started
	lines *bufio.Scanner
	// seen are the objects that the page knows, by ID.
	seen map[string]object
}

// listen opens the stream.
func (s *started) listen() *reader {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url+"/api/stream?lang=en", nil)
	s.check(err)
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := http.DefaultClient.Do(request)
	s.check(err)
	s.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 10<<20)
	return &reader{s, lines, map[string]object{}}
}

// until reads events until one is as wanted.
func (r *reader) until(what string, wanted func(event, data string) bool) {
	r.Helper()
	found := make(chan bool, 1)
	go func() {
		event := ""
		for r.lines.Scan() {
			line := r.lines.Text()
			if name, is := strings.CutPrefix(line, "event: "); is {
				event = name
			}
			data, is := strings.CutPrefix(line, "data: ")
			if !is {
				continue
			}
			if event == "objects" {
				r.learn(data)
			}
			if wanted(event, data) {
				found <- true
				return
			}
		}
		found <- false
	}()
	select {
	case is := <-found:
		if !is {
			r.Fatalf("the stream has ended before %s", what)
		}
	case <-time.After(20 * time.Second):
		r.Fatalf("the page is not told of %s; it knows %v", what, r.seen)
	}
}

func (r *reader) learn(data string) {
	var told struct {
		Reset bool
		Set   []object
		Gone  []string
	}
	if err := json.Unmarshal([]byte(data), &told); err != nil {
		r.Error(err)
	}
	if told.Reset {
		clear(r.seen)
	}
	for _, o := range told.Set {
		r.seen[o.ID] = o
	}
	for _, id := range told.Gone {
		delete(r.seen, id)
	}
}

func pod(name, owner string, isReady bool) *corev1.Pod {
	is := corev1.ConditionFalse
	if isReady {
		is = corev1.ConditionTrue
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default",
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: owner, Controller: new(true), APIVersion: "apps/v1", UID: "1"}}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "docker.io/guangzhengli/hellok8s:v2"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: is}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Ready: isReady, RestartCount: 2}}}}
}

// TestLive holds that a page sees what there is, and then what changes: a pod that becomes ready, a Service that leads to it, one that goes.
func TestLive(t *testing.T) {
	s := start(t)
	r := s.listen()
	r.until("the lab", func(event, data string) bool { return event == "lab" && strings.Contains(data, `"state":"ready"`) })
	s.api.Put(pod("web-1", "web", false), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 3000, NodePort: 30000}}}})
	r.until("a pod that waits", func(string, string) bool {
		return r.seen["Pod/default/web-1"].State == waiting && r.seen["Service/default/web"].State == waiting
	})
	if found := r.seen["Pod/default/web-1"]; found.Owner != "ReplicaSet/default/web" || found.Text != "Running 0/1" || !slices.Contains(found.Facts, [2]string{"image", "hellok8s:v2"}) ||
		!slices.Contains(found.Facts, [2]string{"restarts", "2"}) {
		t.Errorf("the pod is %+v", found)
	}
	s.api.Put(pod("web-1", "web", true), &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "web-abc", Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		Endpoints:  []discoveryv1.Endpoint{{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "web-1"}}}})
	r.until("a pod that is ready, behind its Service", func(string, string) bool {
		service := r.seen["Service/default/web"]
		return r.seen["Pod/default/web-1"].State == ready && service.State == ready && slices.Equal(service.To, []string{"Pod/default/web-1"})
	})
	late := s.listen()
	late.until("the same, on another page", func(string, string) bool { return len(late.seen) == len(r.seen) })
	s.api.Delete("Pod", "default", "web-1")
	r.until("a pod that has gone", func(string, string) bool { _, there := r.seen["Pod/default/web-1"]; return !there })
}

// TestConditions holds that a page says how a lab is that cannot be asked, goes on by itself when it can, and ends with it.
func TestConditions(t *testing.T) {
	s := start(t)
	r := s.listen()
	r.until("the lab", func(event, data string) bool {
		return event == "lab" && strings.Contains(data, `"state":"ready"`) && strings.Contains(data, `"again":"hellolab dashboard"`)
	})
	s.api.Put(pod("web-1", "web", true))
	r.until("a pod", func(string, string) bool { return r.seen["Pod/default/web-1"].ID != "" })
	s.lab <- Condition{State: Paused, Text: messages.T("the lab %s is paused", "web"), Next: messages.Hellolab("resume").Text()}
	s.api.Fail("GET", "/readyz", 1, apierrors.NewInternalError(errors.New("away")))
	r.until("a paused lab", func(event, data string) bool {
		return event == "lab" && strings.Contains(data, `"state":"paused"`) && strings.Contains(data, "hellolab resume") && strings.Contains(data, "the lab web is paused")
	})
	if status, said := s.ask("GET", "/api/object?id=Namespace//default", "", nil); status != http.StatusServiceUnavailable {
		t.Errorf("a paused lab answers %d %s", status, said)
	}
	s.api.Delete("Pod", "default", "web-1")
	s.lab <- Condition{State: Ready}
	again := false
	r.until("the lab again, without what has gone meanwhile", func(event, data string) bool {
		again = again || event == "lab" && strings.Contains(data, `"state":"ready"`)
		_, there := r.seen["Pod/default/web-1"]
		return again && !there
	})
	s.lab <- Condition{State: Absent}
	s.api.Fail("GET", "/readyz", 1, apierrors.NewInternalError(errors.New("away")))
	for r.lines.Scan() { // until the stream ends
	}
	select {
	case err := <-s.ended:
		if !strings.Contains(fmt.Sprint(err), "the lab is gone") {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end with its lab")
	}
}

// TestStrangers holds that nobody but the page itself gets anything.
func TestStrangers(t *testing.T) {
	s := start(t)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, test := range map[string]struct {
		path   string
		change func(*http.Request)
		want   int
	}{
		"the page itself":           {"/", nil, 200},
		"its script":                {"/app.js", nil, 200},
		"another name for the host": {"/", func(r *http.Request) { r.Host = "evil.example" }, http.StatusMisdirectedRequest},
		"a name with the port":      {"/api/texts", func(r *http.Request) { r.Host = "evil.example" + strings.TrimPrefix(s.url, "http://127.0.0.1") }, http.StatusMisdirectedRequest},
		"another page":              {"/api/texts", header("Origin", "http://evil.example"), http.StatusForbidden},
		"another port":              {"/api/texts", header("Origin", "http://127.0.0.1:1"), http.StatusForbidden},
		"another page, by fetch":    {"/api/texts", header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"no token":                  {"/api/texts", header("Authorization", ""), http.StatusUnauthorized},
		"another token":             {"/api/stream", header("Authorization", "Bearer "+strings.Repeat("0", 32)), http.StatusUnauthorized},
		"the token":                 {"/api/texts", header("Origin", s.url), 200},
		"what is not there":         {"/api/nothing", nil, http.StatusNotFound},
		"a folder above":            {"/../dashboard.go", nil, http.StatusNotFound},
		"an object that is not":     {"/api/object?id=Pod/default/nope", nil, http.StatusNotFound},
		"a step that is not":        {"/api/guide?step=nope", nil, http.StatusNotFound},
	} {
		method := http.MethodGet
		if status, said := s.ask(method, test.path, "", test.change); status != test.want && !(test.want == http.StatusNotFound && status == http.StatusServiceUnavailable) {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	if status, _ := s.ask(http.MethodPost, "/api/act", `{"id":"","name":"apply","fields":{"yaml":"a: b"}}`, header("Origin", "null")); status != http.StatusForbidden {
		t.Errorf("a page without an origin may do something: %d", status)
	}
	if len(s.ran) > 0 {
		t.Errorf("kubectl was run: %s", <-s.ran)
	}
}

// TestPass holds that the browser's address is good once, and that the dashboard ends when somebody else uses it, too.
func TestPass(t *testing.T) {
	s := start(t)
	stranger := func(r *http.Request) { r.Header.Del("Authorization") }
	enter := func(code string) (int, string) {
		return s.ask(http.MethodPost, "/api/enter", fmt.Sprintf(`{"code":%q}`, code), stranger)
	}
	if status, said := enter(strings.Repeat("0", 32)); status != http.StatusUnauthorized || strings.Contains(said, s.token) {
		t.Errorf("another code gets %d %s", status, said)
	}
	if status, said := s.ask(http.MethodPost, "/api/enter", `{"code":"`+s.code+`"}`, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }); status != http.StatusForbidden {
		t.Errorf("another page gets %d %s", status, said)
	}
	if status, said := enter(s.code); status != http.StatusOK || !strings.Contains(said, s.token) {
		t.Errorf("the code gets %d %s", status, said)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/enter", strings.NewReader(`{"code":"`+s.code+`"}`))
	s.check(err)
	if response, err := http.DefaultClient.Do(request); err == nil { // or the server has gone before its answer
		if response.Body.Close(); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("the second time, the code gets %s", response.Status)
		}
	}
	select {
	case err := <-s.ended:
		if !strings.Contains(fmt.Sprint(err), "used twice") {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on though the code has come twice")
	}
}

// TestPassGetsOld holds that nobody can come with the browser's address later, neither in nor to end the dashboard.
func TestPassGetsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := newPass()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(passFor + time.Second)
		for range 2 {
			if p.take(p.code) {
				t.Error("it is good after its time")
			}
		}
		select {
		case <-p.shared:
			t.Error("an old one ends the dashboard")
		default:
		}
	})
}

// set is a revision of a Deployment's.
func set(number, image string, change func(*appsv1.ReplicaSet)) *appsv1.ReplicaSet {
	made := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "web-" + number, Namespace: "dev", Annotations: map[string]string{"deployment.kubernetes.io/revision": number},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web", Controller: new(true), APIVersion: "apps/v1", UID: "1"}}},
		Spec: appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", "pod-template-hash": number}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "guangzhengli/hellok8s:" + image}}}}}}
	if change != nil {
		change(made)
	}
	return made
}

// TestRollback holds that a Deployment goes back to a revision that a reader chooses by its image and by what it changed, and to no other.
func TestRollback(t *testing.T) {
	s := start(t)
	r := s.listen()
	probed := func(made *appsv1.ReplicaSet) {
		made.Spec.Template.Spec.Containers[0].LivenessProbe = &corev1.Probe{PeriodSeconds: 3}
	}
	s.api.Put(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "dev", Annotations: map[string]string{"deployment.kubernetes.io/revision": "10"}}},
		set("1", "v1", nil), set("2", "v2", nil), set("9", "v2", probed),
		set("10", "v3", probed), set("3", "v2", func(made *appsv1.ReplicaSet) { made.Annotations["kubernetes.io/change-cause"] = "said <b>so</b>" }))
	r.until("the revisions", func(string, string) bool { return len(r.seen) == 7 })
	status, said := s.ask(http.MethodGet, "/api/object?lang=en&id=Deployment/dev/web", "", nil)
	var shown seen
	s.check(json.Unmarshal([]byte(said), &shown))
	at := slices.IndexFunc(shown.Actions, func(a action) bool { return a.Name == "rollback" })
	if status != 200 || at < 0 {
		t.Fatalf("the Deployment is shown as %d %s", status, said)
	}
	offered := shown.Actions[at]
	want := []option{{"9", "hellok8s:v2 · livenessProbe"}, {"3", "hellok8s:v2 · said <b>so</b>"}, {"2", "hellok8s:v2 · image"}, {"1", "hellok8s:v1"}}
	if !slices.Equal(offered.Fields[0].Options, want) || offered.Fields[0].Value != "9" || offered.Command != "kubectl rollout undo deployment/web --to-revision={revision} -n dev" {
		t.Errorf("the rollback is %+v", offered)
	}
	if _, said := s.ask(http.MethodPost, "/api/act", `{"id":"Deployment/dev/web","name":"rollback","fields":{"revision":"2"}}`, nil); !strings.Contains(said, "--to-revision=2 -n dev") {
		t.Errorf("the rollback says %s", said)
	}
	if ran := <-s.ran; ran != "-n dev rollout undo deployment/web --to-revision=2" {
		t.Errorf("kubectl was run with %q", ran)
	}
	for _, wrong := range []string{"10", "4", "", "1 --all"} {
		_, said := s.ask(http.MethodPost, "/api/act", fmt.Sprintf(`{"id":"Deployment/dev/web","name":"rollback","fields":{"revision":%q}}`, wrong), nil)
		if !strings.Contains(said, `"ok":false`) || len(s.ran) > 0 {
			t.Errorf("revision %q: %s", wrong, said)
		}
	}
}

// TestChanges holds what two templates differ in, as a reader is told.
func TestChanges(t *testing.T) {
	base := set("1", "v1", nil).Spec.Template
	for name, test := range map[string]struct {
		change func(*corev1.PodTemplateSpec)
		want   []string
	}{
		"nothing": {func(*corev1.PodTemplateSpec) {}, nil},
		"a restart": {func(p *corev1.PodTemplateSpec) {
			p.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "now"}
		}, []string{"restartedAt"}},
		"a label": {func(p *corev1.PodTemplateSpec) { p.Labels["tier"] = "front" }, []string{"tier"}},
		"a volume": {func(p *corev1.PodTemplateSpec) {
			p.Spec.Volumes = []corev1.Volume{{Name: "data"}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		}, []string{"volumeMounts", "volumes"}},
		"what goes": {func(p *corev1.PodTemplateSpec) { delete(p.Labels, "app") }, []string{"app"}},
	} {
		changed := base.DeepCopy()
		if test.change(changed); !slices.Equal(changes(&base, changed), test.want) {
			t.Errorf("%s: %q", name, changes(&base, changed))
		}
	}
}

// TestNextRun holds when a CronJob runs next.
func TestNextRun(t *testing.T) {
	now := time.Date(2026, 3, 1, 11, 59, 30, 0, time.UTC)
	for _, test := range []struct {
		schedule string
		zone     *string
		want     string
	}{
		{"*/1 * * * *", nil, "2026-03-01T12:00:00Z"},
		{"30 2 * * 1", nil, "2026-03-02T02:30:00Z"},
		{"0 20 * * *", new("Asia/Shanghai"), "2026-03-01T12:00:00Z"},
		{"0 20 * * *", new("Nowhere/Town"), "0001-01-01T00:00:00Z"},
		{"0 0 30 2 *", nil, "0001-01-01T00:00:00Z"},
		{"TZ=0", nil, "0001-01-01T00:00:00Z"},
		{"nonsense", nil, "0001-01-01T00:00:00Z"},
	} {
		next := nextRun(&batchv1.CronJob{Spec: batchv1.CronJobSpec{Schedule: test.schedule, TimeZone: test.zone}}, now)
		if got := next.UTC().Format(time.RFC3339); got != test.want {
			t.Errorf("%s: %s, want %s", test.schedule, got, test.want)
		}
	}
}

// TestCronJob holds what a CronJob's box shows.
func TestCronJob(t *testing.T) {
	now := time.Date(2026, 3, 1, 11, 59, 30, 0, time.UTC)
	found := &batchv1.CronJob{Spec: batchv1.CronJobSpec{Schedule: "*/1 * * * *"}, Status: batchv1.CronJobStatus{LastScheduleTime: &metav1.Time{Time: now.Add(-30 * time.Second)}}}
	shown := object{State: ready}
	shown.cronJob(found, now)
	if want := [][2]string{{"schedule", "*/1 * * * *"}, {"next", "2026-03-01T12:00:00Z"}, {"last", "2026-03-01T11:59:00Z"}}; !slices.Equal(shown.Facts, want) {
		t.Errorf("it is shown as %v", shown.Facts)
	}
	found.Spec.Suspend = new(true)
	suspended := object{State: ready}
	if suspended.cronJob(found, now); suspended.State != idle || len(suspended.Facts) != 2 {
		t.Errorf("suspended, it is shown as %+v", suspended)
	}
}

// TestRequestsOfChecks holds that a page sees which way a check's requests went, and how: not a second time, but where it has just come.
func TestRequestsOfChecks(t *testing.T) {
	var count, down atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "[v3] Hello, Kubernetes!, From host: hellok8s-deployment-%d", 1+count.Add(1)%2)
	}))
	defer web.Close()
	s := startAt(t, course.Place{NodePort: web.URL})
	endpoint := func(pod string) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod}}
	}
	const one, two = "hellok8s-deployment-1", "hellok8s-deployment-2"
	s.api.Put(pod(one, "web", true), pod(two, "web", true),
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "service-hellok8s-nodeport", Namespace: "default"}},
		&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "web-abc", Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "service-hellok8s-nodeport"}},
			Endpoints: []discoveryv1.Endpoint{endpoint(one), endpoint(two)}})
	r := s.listen()
	r.until("the pods", func(string, string) bool { return len(r.seen["Service/default/service-hellok8s-nodeport"].To) == 2 })
	if status, said := s.ask(http.MethodPost, "/api/step", `{"step":"service/nodeport"}`, nil); status != http.StatusOK {
		t.Fatal(said)
	}
	goes := func(ways ...string) func(string, string) bool {
		missing := slices.Clone(ways)
		return func(event, data string) bool {
			if event == "traffic" {
				missing = slices.DeleteFunc(missing, func(way string) bool { return strings.Contains(data, way) })
			}
			return len(missing) == 0
		}
	}
	const both = `"path":["Service/default/service-hellok8s-nodeport","Pod/default/hellok8s-deployment-%d"],"text":""`
	r.until("requests to both pods", goes(`"ok":true,`+fmt.Sprintf(both, 1), `"ok":true,`+fmt.Sprintf(both, 2)))
	s.listen().until("the same on another page", goes(`"ok":true,`+fmt.Sprintf(both, 1), `"ok":true,`+fmt.Sprintf(both, 2)))
	down.Store(1)
	r.until("a request that gets no good answer", goes(`"ok":false,"path":["Service/default/service-hellok8s-nodeport"]`))
}

// TestActions holds what each action runs, and that nothing else can be run.
func TestActions(t *testing.T) {
	s := start(t)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "dev"}, Spec: appsv1.DeploymentSpec{Replicas: new(int32(3))}}
	s.api.Put(deployment, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "bad", Namespace: "default"}},
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "good", Namespace: "default"}}, pod("web-1", "web", true))
	r := s.listen()
	r.until("the objects", func(string, string) bool {
		return r.seen["Deployment/dev/web"].ID != "" && r.seen["Pod/default/web-1"].ID != ""
	})
	for _, test := range []struct {
		id, name, fields string
		status           int
		ran, command     string
	}{
		{"Deployment/dev/web", "scale", `{"replicas":"5"}`, 200, "-n dev scale deployment/web --replicas=5", "kubectl scale deployment/web --replicas=5 -n dev"},
		{"Deployment/dev/web", "restart", `{}`, 200, "-n dev rollout restart deployment/web", "kubectl rollout restart deployment/web -n dev"},
		{"Deployment/dev/web", "rollback", `{}`, http.StatusBadRequest, "", ""},
		{"StatefulSet/default/good", "rollback", `{}`, 200, "-n default rollout undo statefulset/good", "kubectl rollout undo statefulset/good"},
		{"Pod/default/web-1", "delete", `{}`, 200, "-n default delete pod/web-1", "kubectl delete pod/web-1"},
		{"", "apply", `{"yaml":"kind: Pod"}`, 200, "apply -f -kind: Pod", "kubectl apply -f -"},
		{"Deployment/dev/web", "scale", `{"replicas":"5 --all"}`, 200, "", ""},
		{"Deployment/dev/web", "exec", `{}`, http.StatusBadRequest, "", ""},
		{"Pod/default/web-1", "scale", `{"replicas":"5"}`, http.StatusBadRequest, "", ""},
		{"Pod/default/nope", "delete", `{}`, http.StatusNotFound, "", ""},
		{"", "apply", `{"yaml":"password: ••••"}`, 200, "", ""},
	} {
		status, said := s.ask(http.MethodPost, "/api/act?lang=en", fmt.Sprintf(`{"id":%q,"name":%q,"fields":%s}`, test.id, test.name, test.fields), nil)
		ran := ""
		select {
		case ran = <-s.ran:
		default:
		}
		if status != test.status || ran != test.ran || !strings.Contains(said, test.command) {
			t.Errorf("%s of %s: %d %s; kubectl was run with %q", test.name, test.id, status, said, ran)
		}
		if (test.ran != "") != strings.Contains(said, `"ok":true`) {
			t.Errorf("%s of %s says %s", test.name, test.id, said)
		}
	}
	if _, said := s.ask(http.MethodPost, "/api/act", `{"id":"StatefulSet/default/bad","name":"restart"}`, nil); !strings.Contains(said, `"ok":false`) || !strings.Contains(said, "it is") {
		t.Errorf("a failure is told as %s", said)
	}
	<-s.ran
	status, said := s.ask(http.MethodGet, "/api/object?lang=zh&id=Deployment/dev/web", "", nil)
	var shown seen
	s.check(json.Unmarshal([]byte(said), &shown))
	if status != 200 || len(shown.Actions) != 4 || shown.Actions[0].Command != "kubectl scale deployment/web --replicas={replicas} -n dev" || shown.Actions[0].Fields[0].Value != "3" {
		t.Errorf("the Deployment is shown as %d %+v", status, shown)
	}
}

// TestGuide holds that a step's guide has the files that `lab show` has: with a chapter's first step those that it takes for granted, each
// name once, and the sources of the image that the step introduces.
func TestGuide(t *testing.T) {
	s := start(t)
	for step, want := range map[string]string{"configmap/per-namespace": "namespaces.yaml", "pod/nginx": "nginx.yaml", "dashboard/web": "hellok8s.yaml", "deployment/upgrade": "v2/main.go"} {
		_, said := s.ask(http.MethodGet, "/api/guide?lang=en&step="+step, "", nil)
		var told struct {
			Look  []guide.Block
			Files []struct{ Name, Content string }
		}
		s.check(json.Unmarshal([]byte(said), &told))
		names := 0
		for _, file := range told.Files {
			if file.Name == want && file.Content != "" {
				names++
			}
		}
		if names != 1 || len(told.Look) < 3 || told.Look[0].Kind != guide.Paragraph {
			t.Errorf("%s has %d times the file %s: %s", step, names, want, said)
		}
	}
}

// TestSecrets holds that what is in a Secret is shown to nobody who has not asked for it, and never kept.
func TestSecrets(t *testing.T) {
	s := start(t)
	s.api.Put(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hush", Namespace: "default",
		Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: `{"data":{"password":"czNjcjN0"}}`}}, Data: map[string][]byte{"password": []byte("s3cr3t")}})
	r := s.listen()
	r.until("the Secret", func(string, string) bool { return r.seen["Secret/default/hush"].ID != "" })
	if o := r.seen["Secret/default/hush"]; !slices.Contains(o.Facts, [2]string{"keys", "password"}) {
		t.Errorf("the Secret is %+v", o)
	}
	_, hidden := s.ask(http.MethodGet, "/api/object?id=Secret/default/hush", "", nil)
	if strings.Contains(hidden, "czNjcjN0") || !strings.Contains(hidden, covered) || !strings.Contains(hidden, `"covered":true`) {
		t.Errorf("it is shown as %s", hidden)
	}
	if _, shown := s.ask(http.MethodGet, "/api/object?id=Secret/default/hush&uncover=1", "", nil); !strings.Contains(shown, "czNjcjN0") || strings.Contains(shown, `"covered":true`) {
		t.Errorf("asked for, it is shown as %s", shown)
	}
}

// TestSlim holds that what is in Secrets and ConfigMaps is not kept, in no place that has it.
func TestSlim(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "czNjcjN0", "kept": "yes"}},
		Data: map[string][]byte{"password": []byte("s3cr3t")}}
	config := &corev1.ConfigMap{Data: map[string]string{"url": "s3cr3t"}, BinaryData: map[string][]byte{"file": []byte("s3cr3t")}}
	release := helmRevision("1", "deployed")
	for _, object := range []any{secret, config, release} {
		slimmed, err := slim(object)
		content, _ := json.Marshal(slimmed)
		if err != nil || strings.Contains(string(content), "s3cr3t") || strings.Contains(string(content), "czNjcjN0") {
			t.Errorf("%s is kept, %v", content, err)
		}
	}
	if len(release.Data["release"]) > 0 || len(release.Annotations) != 2 {
		t.Errorf("of a release is kept %v %v", release.Data, release.Annotations)
	}
	broken := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default"}, Type: helmSecret, Data: map[string][]byte{"release": []byte("bm90IGd6aXA=")}}
	if _, err := slim(broken); err != nil || broken.Annotations != nil {
		t.Errorf("what is no release is taken for one: %v %v", broken.Annotations, err)
	}
	if len(secret.Data) != 1 || secret.Annotations["kept"] != "yes" {
		t.Errorf("the names of what there is are lost: %+v", secret)
	}
}

// packed is a release as Helm writes it.
func packed(number string) string {
	var bytes bytes.Buffer
	writer := gzip.NewWriter(&bytes)
	fmt.Fprintf(writer, `{"name":"web","version":%s,"chart":{"metadata":{"name":"hello-helm","version":"0.%s.0"},"values":{"password":"s3cr3t"}}}`, number, number)
	writer.Close()
	return base64.StdEncoding.EncodeToString(bytes.Bytes())
}

// helmRevision is what Helm keeps of a release.
func helmRevision(number, status string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.web.v" + number, Namespace: "default",
		Labels: map[string]string{"name": "web", "status": status, "version": number}}, Type: helmSecret, Data: map[string][]byte{"release": []byte(packed(number))}}
}

// TestReleases holds that the newest revision stands for a release, through upgrades, and that it goes with the last.
func TestReleases(t *testing.T) {
	s := start(t)
	r := s.listen()
	is := func(state, revision string) func(string, string) bool {
		return func(string, string) bool {
			found := r.seen["Release/default/web"]
			return found.State == state && slices.Equal(found.Facts, [][2]string{{"chart", "hello-helm"}, {"version", "0." + revision + ".0"}, {"revision", revision}})
		}
	}
	s.api.Put(helmRevision("1", "deployed"))
	r.until("the release", is(ready, "1"))
	s.api.Put(helmRevision("2", "pending-upgrade"))
	r.until("an upgrade", is(waiting, "2"))
	s.api.Put(helmRevision("1", "superseded"), helmRevision("2", "failed"))
	r.until("an upgrade that fails", is(failing, "2"))
	s.api.Put(helmRevision("3", "deployed"))
	r.until("another one", is(ready, "3"))
	s.api.Delete("Secret", "default", "sh.helm.release.v1.web.v3")
	r.until("the one before", is(failing, "2"))
	s.api.Put(helmRevision("2", "uninstalled"))
	r.until("that it goes", func(string, string) bool { return r.seen["Release/default/web"].ID == "" })
}

// TestIngressClasses holds that an Ingress waits as long as there is no class for it.
func TestIngressClasses(t *testing.T) {
	s := start(t)
	r := s.listen()
	ingress := func(name string, class *string) *networkingv1.Ingress {
		return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: networkingv1.IngressSpec{IngressClassName: class}}
	}
	s.api.Put(ingress("web", new("nginx")), ingress("typo", new("ngnix")), ingress("none", nil))
	states := func(web, typo, none string) func(string, string) bool {
		return func(string, string) bool {
			return r.seen["Ingress/default/web"].State == web && r.seen["Ingress/default/typo"].State == typo && r.seen["Ingress/default/none"].State == none
		}
	}
	r.until("three that wait", states(waiting, waiting, waiting))
	s.api.Put(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}})
	r.until("two that are ready", states(ready, waiting, ready))
}

// TestTexts holds that both languages have the same texts, and that all that the page's scripts name are there.
func TestTexts(t *testing.T) {
	read := func(name string) map[string]string {
		content, err := web.ReadFile("web/" + name)
		if err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{}
		if err := json.Unmarshal(content, &texts); err != nil {
			t.Fatal(err)
		}
		return texts
	}
	english, chinese := read("texts.en.json"), read("texts.zh.json")
	holes := func(text string) int { return strings.Count(text, "%s") }
	for key, text := range english {
		if chinese[key] == "" || holes(chinese[key]) != holes(text) {
			t.Errorf("%s: %q, %q", key, text, chinese[key])
		}
	}
	scripts, err := fs.Glob(web, "web/*.js")
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, script := range scripts {
		content, err := web.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`\bt\('([A-Za-z.]+)'[,)]`).FindAllStringSubmatch(string(content), -1) {
			if names++; english[found[1]] == "" {
				t.Errorf("%s names the text %s, which is not there", script, found[1])
			}
		}
	}
	if names < 50 {
		t.Errorf("the scripts name %d texts", names)
	}
	if len(english) != len(chinese) {
		t.Errorf("there are %d texts in English, and %d in Chinese", len(english), len(chinese))
	}
}

// TestWeight holds that the page weighs little: under 150 kB in all.
func TestWeight(t *testing.T) {
	entries, err := web.ReadDir("web")
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, entry := range entries {
		content, err := web.ReadFile("web/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	t.Logf("%d bytes", all.Len())
	if all.Len() > 150_000 {
		t.Errorf("the page has %d bytes", all.Len())
	}
	for _, elsewhere := range regexp.MustCompile(`https?://[^\s"'<)]+`).FindAllString(all.String(), -1) {
		if elsewhere != "http://www.w3.org/2000/svg" { // the name of a language, which nobody asks
			t.Errorf("the page names %s", elsewhere)
		}
	}
	if found := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`).FindAllString(all.String(), -1); len(found) > 0 {
		t.Errorf("the page takes text for HTML: %v", found)
	}
}

// TestThousandPods holds that a thousand pods are drawn and followed, in less than 100 MB: with the API server that is in memory here, too.
func TestThousandPods(t *testing.T) {
	s := start(t)
	r := s.listen()
	r.until("the lab", func(event, data string) bool { return event == "lab" && strings.Contains(data, `"state":"ready"`) })
	begun := time.Now()
	for i := range 1000 {
		s.api.Put(pod(fmt.Sprintf("web-%d", i), fmt.Sprintf("web-%d", i/25), i%2 == 0))
	}
	r.until("all of them", func(string, string) bool { return len(r.seen) >= 1001 })
	t.Logf("a thousand pods after %s", time.Since(begun))
	begun = time.Now()
	s.api.Put(pod("web-1", "web-0", true))
	r.until("the one that changes", func(string, string) bool { return r.seen["Pod/default/web-1"].State == ready })
	if took := time.Since(begun); took > time.Second {
		t.Errorf("a change among them takes %s", took)
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d MB are in use", memory.HeapInuse>>20)
	if memory.HeapInuse > 100<<20 {
		t.Errorf("%d MB are in use", memory.HeapInuse>>20)
	}
}
