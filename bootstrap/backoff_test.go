package bootstrap

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waitingPod is the ingress controller's pod whose container waits for a reason, after one that started at a time and ended with the node.
func waitingPod(reason string, ran time.Time) *corev1.Pod {
	status := corev1.ContainerStatus{Name: "controller", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
	if !ran.IsZero() {
		status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 255, Reason: "Unknown", StartedAt: metav1.NewTime(ran)}
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ingressName, Name: "ingress-nginx-controller-1"},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{status}}}
}

// TestHeldSince holds when kubelet is restarted: while a container that has not run since then waits for what is called a crash. One that has
// crashed since really did.
func TestHeldSince(t *testing.T) {
	t.Parallel()
	then := time.Now()
	before, after := then.Add(-time.Hour), then.Add(5*time.Second)
	for _, test := range []struct {
		name string
		pod  *corev1.Pod
		want bool
	}{
		{"held back", waitingPod("CrashLoopBackOff", before), true},
		{"crashed since", waitingPod("CrashLoopBackOff", after), false},
		{"the first try", waitingPod("CreateContainerConfigError", before), false},
		{"a new pod", waitingPod("ContainerCreating", time.Time{}), false},
		{"nothing is known yet", &corev1.Pod{}, false},
	} {
		if got := heldSince(*test.pod, then); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestReleaseController holds that kubelet is restarted once when it holds the controller back, and never where it does not.
func TestReleaseController(t *testing.T) {
	w := newWorld(t)
	w.up()
	w.api.Put(namespace(ingressName))
	const restart = "systemctl restart kubelet"
	restarts := func() int {
		w.lock.Lock()
		defer w.lock.Unlock()
		return len(slices.DeleteFunc(slices.Clone(w.commands), func(command string) bool { return command != restart }))
	}
	lab := w.open()
	w.api.Put(waitingPod("ContainerCreating", time.Time{}))
	stop := lab.releaseController(t.Context(), w.api.Cluster())
	stop()
	if restarts() != 0 {
		t.Errorf("kubelet is restarted for a pod that is being created: %q", w.commands)
	}
	stop = lab.releaseController(t.Context(), w.api.Cluster())
	w.api.Put(waitingPod("CrashLoopBackOff", time.Now().Add(-time.Hour)))
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && restarts() == 0; time.Sleep(time.Millisecond) {
	}
	w.api.Put(waitingPod("CrashLoopBackOff", time.Now().Add(-time.Hour)))
	if stop(); restarts() != 1 {
		t.Errorf("kubelet is restarted %d times, want once", restarts())
	}
}
