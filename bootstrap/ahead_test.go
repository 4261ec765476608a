package bootstrap

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube/kubetest"
)

// TestInstallAhead holds that the charts are installed once, while kind still works on the cluster: the chart repository first, as nothing
// accepts its Ingress between the controller's installation and its start.
func TestInstallAhead(t *testing.T) {
	w := newWorld(t)
	w.api.Put(namespace("kube-system"))
	ahead := 0
	w.atWork = func() {
		w.engine.WriteFile("web-control-plane", adminConf, "")
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && ahead < 2; time.Sleep(time.Millisecond) {
			w.lock.Lock()
			ahead = len(w.installed)
			w.lock.Unlock()
		}
	}
	w.up()
	if ahead != 2 || !slices.Equal(w.installed, []string{"charts", "ingress-nginx"}) {
		t.Errorf("%d were installed ahead, and in all %v", ahead, w.installed)
	}
}

// TestPrePull holds that images are fetched by the names that kubelet calls them, and not before the API server answers.
func TestPrePull(t *testing.T) {
	w := newWorld(t)
	w.up()
	a := &assembly{Lab: w.open(), apiAnswers: make(gate)}
	ended, end := context.WithCancel(t.Context())
	end()
	w.commands = nil
	if a.prePull(ended, "nginx"); len(w.commands) != 0 {
		t.Errorf("before the API server answers, the node was told %q", w.commands)
	}
	close(a.apiAnswers)
	for image, name := range map[string]string{
		"nginx": "docker.io/library/nginx:latest",
		"registry.k8s.io/ingress-nginx/controller:v1.2.3@sha256:" + strings.Repeat("0", 64): "registry.k8s.io/ingress-nginx/controller:v1.2.3",
	} {
		a.prePull(t.Context(), image)
		if want := []string{"ctr --namespace k8s.io images pull --hosts-dir " + certsFolder + " " + name}; !slices.Equal(w.commands, want) {
			t.Errorf("%s: the node was told %q, want %q", image, w.commands, want)
		}
		w.commands = nil
	}
}

// TestNothingAhead holds that all is installed in the end where nothing could be done before.
func TestNothingAhead(t *testing.T) {
	w := newWorld(t)
	w.up()
	if !slices.Equal(w.installed, []string{"ingress-nginx", "charts"}) {
		t.Errorf("%v were installed", w.installed)
	}
}

// TestBindPods holds that pods which tolerate everything need not wait for the scheduler while kind works: those that came before the API server
// was seen and those that come later, once each, and none that another node is for.
func TestBindPods(t *testing.T) {
	w := newWorld(t)
	w.api.Put(namespace("kube-system"), namespace("hellolab"))
	var bound []string
	w.api.Intercept(func(out http.ResponseWriter, r *http.Request) bool {
		at, isBinding := strings.CutSuffix(r.URL.Path, "/binding")
		if !isBinding {
			return false
		}
		var binding corev1.Binding
		if err := json.NewDecoder(r.Body).Decode(&binding); err != nil {
			t.Error(err)
		}
		w.lock.Lock()
		bound = append(bound, path.Base(at)+" to "+binding.Target.Name)
		w.lock.Unlock()
		found := w.api.Get("Pod", "hellolab", path.Base(at))
		found.Object["spec"].(map[string]any)["nodeName"] = binding.Target.Name
		w.api.Put(found)
		kubetest.Refuse(out, &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated}})
		return true
	})
	bindings := func() []string {
		w.lock.Lock()
		defer w.lock.Unlock()
		return slices.Sorted(slices.Values(bound))
	}
	pod := func(name string, change func(*corev1.PodSpec)) *corev1.Pod {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "hellolab", Name: name}, Spec: corev1.PodSpec{
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}}}
		change(&pod.Spec)
		return pod
	}
	anywhere := func(*corev1.PodSpec) {}
	w.atWork = func() {
		w.api.Put(pod("early", anywhere), pod("bound", func(s *corev1.PodSpec) { s.NodeName = "web-control-plane" }),
			pod("choosy", func(s *corev1.PodSpec) { s.Tolerations[0].Key = "node.kubernetes.io/not-ready" }),
			pod("elsewhere", func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"disk": "ssd"} }))
		w.engine.WriteFile("web-control-plane", adminConf, "")
		until := func(want ...string) {
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !slices.Equal(bindings(), want); time.Sleep(time.Millisecond) {
			}
		}
		until("early to web-control-plane")
		w.api.Put(pod("late", anywhere))
		until("early to web-control-plane", "late to web-control-plane")
	}
	w.up()
	if got, want := bindings(), []string{"early to web-control-plane", "late to web-control-plane"}; !slices.Equal(got, want) {
		t.Errorf("bound were %q, want %q", got, want)
	}
	w.api.Put(pod("after", anywhere))
	if got := bindings(); len(got) != 2 {
		t.Errorf("the scheduler's work is done for it when the lab is up: %q", got)
	}
}
