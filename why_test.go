package main

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/messages"
)

// TestWhyText checks what a reader sees of findings, with each command on a line of its own, however long it is.
func TestWhyText(t *testing.T) {
	t.Parallel()
	p := &program{printer: messages.Printer{}}
	web, pod := kube.Reference{Kind: "Deployment", Name: "web"}, kube.Reference{Kind: "Pod", Name: "web-1", Namespace: "dev"}
	long := messages.Kubectl("dev", "patch", "service", "web", "--type=json", "-p", "[{op: replace, path: /spec/ports/0/nodePort, value: 30000}]").Text()
	result := p.whyResult("dev", []check.Finding{{Objects: []kube.Reference{web, web}, Way: []kube.Reference{web, pod}, Why: messages.T("it is suspended"), Next: long}})
	want := "✗ deployment/web\n    way    deployment/web → pod/web-1 -n dev\n    why    it is suspended\n    do     " + long.String() + "\n"
	if got := p.whyText("", result); got != want || result.Healthy {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
	if got := p.whyText("", p.whyResult("dev", nil)); got != "nothing is wrong in the namespace dev\n" {
		t.Errorf("of nothing it says %q", got)
	}
	if got := p.whyText("pod/a", p.whyResult("dev", nil)); got != "nothing is wrong with pod/a\n" {
		t.Errorf("of one that is well it says %q", got)
	}
}

// TestMeant checks what is said of an argument that names nothing.
func TestMeant(t *testing.T) {
	t.Parallel()
	cluster := kubetest.New(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}).Cluster()
	for _, test := range []struct {
		what, said string
		found      int
		usage      bool
	}{
		{"pod/a", "", 1, false},
		{"pods", "", 1, false},
		{"pod/b", "there is no pod b in the namespace default", 0, false},
		{"services", "there is no services in the namespace default", 0, false},
		{"a", "is not an object in the lab", 0, true},
		{"gadget/a", "is not an object in the lab", 0, true},
	} {
		found, err := (&program{}).meant(cluster, "default", test.what)
		if len(found) != test.found || messages.IsUsage(err) != test.usage || test.said != "" && (err == nil || !strings.Contains(err.Error(), test.said)) {
			t.Errorf("%s are %d objects, %v", test.what, len(found), err)
		}
	}
}
