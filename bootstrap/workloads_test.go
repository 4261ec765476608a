package bootstrap

import (
	"context"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/messages"
)

// TestIngressThatDoesNotWork holds that what Kubernetes complained of last is told, and how to see more.
func TestIngressThatDoesNotWork(t *testing.T) {
	w := newWorld(t)
	w.settings.Bootstrap.Timeout = time.Second
	w.sick = true
	warning := func(name, message string, at time.Time) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: ingressName, Name: name}, Type: corev1.EventTypeWarning,
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "controller"}, Message: message, EventTime: metav1.NewMicroTime(at)}
	}
	w.api.Put(namespace(ingressName), warning("a", "no node takes it", time.Now()), warning("b", "earlier", time.Now().Add(-time.Hour)))
	err := w.open().Up(t.Context(), Course{})
	if err == nil || !strings.HasPrefix(err.Error(), "the ingress controller does not work: ") || !strings.HasSuffix(err.Error(), "\npod controller: no node takes it") ||
		(messages.Printer{}).Hint(err) != "kubectl get pods,events -n ingress-nginx" {
		t.Errorf("the error is %v", err)
	}
	if status, err := w.open().Status(t.Context()); err != nil || status.State != Broken || status.Ingress.State != Broken || status.Kubernetes == "" {
		t.Errorf("the lab is %+v, %v", status, err)
	}
	if _, err := w.open().API(t.Context()); err != nil { // what needs no Ingress goes on (B2)
		t.Error(err)
	}
	w.sick = false
	if w.up(); w.state() != Running {
		t.Errorf("the lab is %s", w.state())
	}
}

// TestNodesThatAreNotReady holds that up waits for them, and says what shows why.
func TestNodesThatAreNotReady(t *testing.T) {
	w := newWorld(t)
	w.up()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "web-control-plane"},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}}}
	w.api.Put(node)
	if state := w.state(); state != Broken {
		t.Errorf("the lab is %s", state)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := w.open().Up(ctx, Course{})
	if err == nil || !strings.HasPrefix(err.Error(), "the nodes do not become Ready") || (messages.Printer{}).Hint(err) != "kubectl describe nodes shows why" {
		t.Errorf("the error is %v", err)
	}
	go func() {
		node.Status.Conditions[0].Status = corev1.ConditionTrue
		w.api.Put(node)
	}()
	if w.up(); w.state() != Running {
		t.Errorf("the lab is %s", w.state())
	}
}

// TestNodesAreHeardOf holds what shows that a node's kubelet runs: that it is Ready, by a word of after the start of its container. The lease of a
// new node may come 10 s after its status; what was before a restart counts for nothing.
func TestNodesAreHeardOf(t *testing.T) {
	t.Parallel()
	start := time.Now()
	before, after := start.Add(-time.Minute), start.Add(time.Minute)
	for _, test := range []struct {
		name          string
		ready         corev1.ConditionStatus
		status, lease time.Time
		want          bool
	}{
		{"both", corev1.ConditionTrue, after, after, true},
		{"its status, and no lease yet", corev1.ConditionTrue, after, time.Time{}, true},
		{"its status, and the lease of before", corev1.ConditionTrue, after, before, true},
		{"its lease, and the status of before", corev1.ConditionTrue, before, after, true},
		{"all is from before", corev1.ConditionTrue, before, before, false},
		{"nothing yet", corev1.ConditionTrue, time.Time{}, time.Time{}, false},
		{"not Ready", corev1.ConditionFalse, after, after, false},
		{"not heard of for long", corev1.ConditionUnknown, before, after, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			api := kubetest.New(t, namespace(corev1.NamespaceNodeLease), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"},
				Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: test.ready, LastHeartbeatTime: metav1.NewTime(test.status)}}}})
			if !test.lease.IsZero() {
				renewed := metav1.NewMicroTime(test.lease)
				api.Put(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: corev1.NamespaceNodeLease}, Spec: coordinationv1.LeaseSpec{RenewTime: &renewed}})
			}
			if got, err := nodesReady(t.Context(), api.Cluster(), map[string]time.Time{"a": start}); err != nil || got != test.want {
				t.Errorf("the node is Ready: %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

// TestAPIServerThatIsNotReady holds that it is waited for, no longer than the lab's limit, and that the advice gives it
// more time.
func TestAPIServerThatIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.up()
	w.settings.Bootstrap.Timeout = time.Second
	w.setDown(true)
	_, err := w.open("bootstrap.timeout").API(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "the API server does not become ready: timed out after 1s") ||
		(messages.Printer{}).Hint(err) != "hellolab status shows what is there; to continue with more time: hellolab up --set bootstrap.timeout=2s" {
		t.Errorf("the error is %v", err)
	}
	if status, err := w.open().Status(t.Context()); err != nil || status.State != Broken || status.Kubernetes != "" {
		t.Errorf("the lab is %+v, %v", status, err)
	}
	w.setDown(false)
	if _, err := w.open().API(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestKeepContext holds that kubectl's current context stays where the user wants it to.
func TestKeepContext(t *testing.T) {
	w := newWorld(t)
	w.settings.Bootstrap.KeepContext = true
	w.up()
	if w.context() != "" || w.open().kubectl.Server() == "" {
		t.Errorf("the current context is %q, the lab's leads to %q", w.context(), w.open().kubectl.Server())
	}
}
