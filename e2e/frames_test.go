//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/text/language"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/dashboard"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// noRegistry is a registry that holds nothing.
type noRegistry struct{}

func (noRegistry) HasImage(context.Context, string) (bool, error) { return false, nil }
func (noRegistry) PushedBy(context.Context, string) (reader, snapshot bool, err error) {
	return false, false, nil
}

func (noRegistry) ChartVersions(context.Context, string) ([]string, error) { return nil, nil }

// TestFrames measures how long a real browser needs for a frame of the dashboard with a thousand pods, of which some change all the time. A kind
// node takes 110 pods, so the API server is one in memory.
func TestFrames(t *testing.T) {
	long(t)
	const deployments, each, changing = 40, 25, 9
	api := kubetest.New(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	lessons, err := course.Load(course.Embedded(), "", "guangzhengli")
	l := &lab{T: t}
	l.check(err)
	cluster := api.Cluster()
	state := &labs.Labs{Course: lessons, Cluster: cluster, Timeout: time.Second, Checker: &check.Checker{Cluster: cluster, Course: lessons, Registry: noRegistry{}, Namespace: "default"}}
	board := &dashboard.Dashboard{Name: "many", Course: lessons, Printer: func(tag language.Tag) messages.Printer { return messages.In(tag) },
		Connect: func(context.Context) (*labs.Labs, dashboard.Condition) {
			return state, dashboard.Condition{State: dashboard.Ready}
		}}
	for i := range deployments {
		name := fmt.Sprintf("web-%d", i)
		meta := metav1.ObjectMeta{Name: name, Namespace: "default"}
		api.Put(&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: new(int32(each))}})
		meta.OwnerReferences = owner("Deployment", name)
		api.Put(&appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(each))}})
		for j := range each {
			api.Put(manyPod(name, j, true))
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	l.check(err)
	opened := make(chan string, 1)
	go board.Run(t.Context(), listener, "en", func(url, _ string) { opened <- url })
	b := l.opens(<-opened)
	b.until("all Deployments", fmt.Sprintf(`document.querySelectorAll('#stage [data-id^="Deployment/"]').length === %d`, deployments))
	b.runs(`window.times = []; let last = performance.now(); (function frame(now) { times.push(now - last); last = now; requestAnimationFrame(frame); })(last)`)
	for round, end := 0, time.Now().Add(10*time.Second); time.Now().Before(end); round++ {
		for i := range changing {
			api.Put(manyPod(fmt.Sprintf("web-%d", (round*changing+i)%deployments), round%each, round%2 == 0))
		}
		time.Sleep(50 * time.Millisecond) // how often something changes is what is measured
	}
	times := evaluates[[]float64](b, `times.slice(1)`)
	slices.Sort(times)
	at := func(share float64) float64 { return times[int(share*float64(len(times)-1))] }
	t.Logf("%d frames: median %.1f ms, 95 %% %.1f ms, 99 %% %.1f ms, worst %.1f ms", len(times), at(0.5), at(0.95), at(0.99), at(1))
	if at(1) > 100 {
		t.Errorf("a frame takes %.0f ms, at most 100 are wanted", at(1))
	}
	b.screenshot("thousand-pods")
}

func owner(kind, name string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: "1", Controller: new(true)}}
}

func manyPod(set string, number int, isReady bool) *corev1.Pod {
	is := corev1.ConditionFalse
	if isReady {
		is = corev1.ConditionTrue
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", set, number), Namespace: "default", OwnerReferences: owner("ReplicaSet", set)},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: is}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Ready: isReady}}}}
}
