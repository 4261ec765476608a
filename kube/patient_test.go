package kube_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/messages"
)

// refused is the error of a port that nothing listens on.
func refused() error {
	return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// TestPatient holds that requests of all kinds outlast a server that is away, that this is told of once it has lasted, and
// that it is given up at the limit.
func TestPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := kubetest.New(t, &corev1.Pod{ObjectMeta: named("dev", "a")}, &corev1.Namespace{ObjectMeta: named("", "dev")})
		var said []string
		cluster := patient(t, server, &said)
		pods := cluster.CoreV1().Pods("dev")
		server.Break(refused())
		time.AfterFunc(20*time.Second, func() { server.Break(nil) })
		if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
		server.Break(refused())
		time.AfterFunc(5*time.Second, func() { server.Break(nil) })
		if _, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: named("dev", "b")}, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
		if got := strings.Join(said, "\n"); got != "the API server does not answer: dial: connect: connection refused; going on once it does\nthe API server answers again" {
			t.Errorf("it says\n%s", got)
		}
		server.Break(refused())
		before := time.Now()
		if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(before) != 3*time.Minute {
			t.Errorf("after %s it ends with %v", time.Since(before), err)
		}
		if last := said[len(said)-1]; last != "the API server has not answered for 3m0s: not waiting any longer" {
			t.Errorf("at last it says %q", last)
		}
	})
}

// cut is a network that loses the answers of the first requests.
type cut struct {
	next  http.RoundTripper
	times *int
}

func (c cut) RoundTrip(r *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	response, err := c.next.RoundTrip(r)
	if *c.times > 0 && err == nil {
		*c.times--
		return nil, &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	return response, err
}

// TestPatientOnce holds that what may have been carried out is not asked for a second time, unless it only reads.
func TestPatientOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := kubetest.New(t, &corev1.Namespace{ObjectMeta: named("", "dev")})
		times := 0
		config := server.Config()
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return cut{next, &times} })
		pods := patientOf(t, config).CoreV1().Pods("dev")
		times = 1
		if _, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: named("dev", "a")}, metav1.CreateOptions{}); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("it ends with %v", err)
		}
		times = 3
		if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); err != nil || times != 0 {
			t.Errorf("it ends with %v", err)
		}
	})
}

func patientOf(t *testing.T, config *rest.Config) *kube.Cluster {
	t.Helper()
	cluster, err := kube.New(config)
	if err == nil {
		cluster, err = cluster.Patient(t.Context(), 3*time.Minute, func(messages.Text) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// TestPatientWithABeginner holds that a server which has only just started is not believed, and one that is ready is.
func TestPatientWithABeginner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := kubetest.New(t, &corev1.Pod{ObjectMeta: named("dev", "a")})
		var said []string
		pods := patient(t, server, &said).CoreV1().Pods("dev")
		forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "a", errors.New("no rights are known"))
		server.Fail(http.MethodGet, "/pods/a", 2, forbidden)
		server.Fail(http.MethodGet, "/readyz", 1, apierrors.NewInternalError(errors.New("starting")))
		if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
			t.Errorf("it ends with %v", err)
		}
		server.Fail(http.MethodGet, "/pods/a", -1, forbidden)
		before := time.Now()
		if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsForbidden(err) || time.Since(before) != 0 {
			t.Errorf("after %s it ends with %v", time.Since(before), err)
		}
	})
}

// webhook is a configuration of an admission webhook that somebody has made.
func webhook(manager string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
		"metadata": map[string]any{"name": "checks", "managedFields": []any{map[string]any{"manager": manager, "operation": "Update"}}},
		"webhooks": []any{map[string]any{"name": "check.example.com"}}}}
}

// TestRetryNamesWebhooks holds that a webhook which does not answer is named with the command that ends it; the lab's own is
// waited for longer.
func TestRetryNamesWebhooks(t *testing.T) {
	for manager, test := range map[string]struct {
		after time.Duration
		hint  string
	}{
		"kubectl-create": {30 * time.Second, "if nothing needs it any more: kubectl delete validatingwebhookconfiguration/checks; then run the same command again"},
		kube.Owner:       {3 * time.Minute, "hellolab up mends it; then run the same command again"},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := kubetest.New(t, webhook(manager))
			var said []string
			cluster := patient(t, server, &said)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			before := time.Now()
			err := cluster.Retry(ctx, func(context.Context) error {
				return apierrors.NewInternalError(errors.New(`failed calling webhook "check.example.com": no service`))
			})
			if hint := (messages.Printer{}).Hint(err); hint != test.hint || time.Since(before) != test.after ||
				!strings.HasPrefix(err.Error(), "the admission webhook of validatingwebhookconfiguration/checks does not answer: ") {
				t.Errorf("after %s it ends with %v, and advises %q", time.Since(before), err, hint)
			}
			if len(said) != 1 || !strings.HasPrefix(said[0], "still waiting, for the API server says: ") {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// TestExplainConversion holds that a kind which nobody converts is named, and that an error about nothing is left alone.
func TestExplainConversion(t *testing.T) {
	t.Parallel()
	server := kubetest.New(t)
	server.Serve(kubetest.Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false))
	server.Put(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "gadgets.example.com"}, "spec": map[string]any{"group": "example.com", "names": map[string]any{"kind": "Gadget"}}}})
	cluster := server.Cluster()
	err := cluster.Explain(t.Context(), apierrors.NewInternalError(errors.New("conversion webhook for example.com/v1, Kind=Gadget failed: Post")))
	if hint := (messages.Printer{}).Hint(err); !strings.Contains(hint, "kubectl patch customresourcedefinition/gadgets.example.com --type=merge -p ") {
		t.Errorf("it says %v, and advises %q", err, hint)
	}
	if other := errors.New("other"); !errors.Is(cluster.Explain(t.Context(), other), other) || (messages.Printer{}).Hint(cluster.Explain(t.Context(), other)) != "" {
		t.Error("another error is changed")
	}
}
