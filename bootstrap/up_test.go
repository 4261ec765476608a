package bootstrap

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kind/pkg/cluster"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

const (
	running = "web-control-plane:running web-registry:running"
	volumes = "web-registry web-settings"
)

// TestUp holds that a lab is made, that a second `up` changes nothing, and that `down` leaves nothing.
func TestUp(t *testing.T) {
	w := newWorld(t)
	filled := false
	lab := w.open()
	if lab.Exists() || w.state() != Absent {
		t.Error("there is a lab before it is made")
	}
	if err := lab.Up(t.Context(), Course{Charts: w.course().Charts, Fill: func(context.Context) error {
		filled = true
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	if status, err := w.open().Status(t.Context()); err != nil || status.State != Running || status.Ingress.State != Running || status.Registry.State != Running || !filled {
		t.Errorf("the lab is %+v, %v; its registry is filled: %v", status, err, filled)
	}
	if w.context() != "kind-web" {
		t.Errorf("the current context is %q", w.context())
	}
	registry, _ := w.engine.Container("web-registry")
	node, _ := w.engine.Container("web-control-plane")
	if !strings.Contains(strings.Join(registry.Networks, " "), "kind") {
		t.Errorf("nodes do not find the registry in %q", registry.Networks)
	}
	if node.Files[certsFolder+"/docker.io/hosts.toml"] == "" || node.Files[finishedMark] == "" {
		t.Errorf("the node has the files %v", node.Files)
	}
	if w.api.Get("ConfigMap", "kube-public", "local-registry-hosting") == nil {
		t.Error("other tools do not find the registry")
	}

	calls := len(w.engine.Calls())
	again := w.up()
	if w.story.String() != "" || !again.Exists() {
		t.Errorf("a second up does something:\n%s", w.story)
	}
	for _, call := range w.engine.Calls()[calls:] {
		if method, path, _ := strings.Cut(call, " "); method != "GET" && method != "HEAD" && path != "/volumes/create" {
			t.Errorf("a second up calls %s", call)
		}
	}
	if err := w.open().Down(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.has("", "")
	if w.state() != Absent || w.context() != "" {
		t.Errorf("after down, the lab is %s, and the context %q", w.state(), w.context())
	}
}

// TestUpKeepsItsSettings holds that a lab is found by whatever was recorded of it (B3), and refuses to be another.
func TestUpKeepsItsSettings(t *testing.T) {
	w := newWorld(t)
	w.settings.Others = map[string]any{"images": map[string]any{"account": "me"}, "labs": map[string]any{"timeout": "3m"}}
	w.up()
	made := w.settings

	w.settings = defaultSettings(t)
	w.settings.Bootstrap.Name = "web"
	w.settings.Others = map[string]any{"images": map[string]any{"account": "nobody"}, "labs": map[string]any{"timeout": "9m"}}
	lab := w.open("labs.timeout")
	if got := lab.Settings(); got.Others["images"].(map[string]any)["account"] != "me" || got.Others["labs"].(map[string]any)["timeout"] != "9m" ||
		got.Bootstrap.Ports != made.Bootstrap.Ports {
		t.Errorf("the lab's settings are %+v", got)
	}
	wants(t, w.open("images.account").Up(t.Context(), Course{}),
		"error: the lab web was made with other settings (images.account: me, not nobody), and a lab keeps its settings\n"+
			"next: leave the new settings out; or remove the lab with all that is in it, and make it with them: hellolab down, then hellolab up\n")
	if err := w.open("images.account").Start(t.Context(), Course{}); err != nil {
		t.Errorf("start asks for nothing, and fails: %v", err)
	}
}

// TestUpWithoutTheWebServer holds that `up` says that there is no chart repository, and what makes one (B9).
func TestUpWithoutTheWebServer(t *testing.T) {
	w := newWorld(t)
	w.settings.Registry.Images = nil
	w.drop("nginx")
	lab := w.up()
	at := lab.Addresses()
	w.tells("there is no chart repository at " + at.Charts + ", as the image nginx is not in the lab's registry; to get one: docker pull nginx, " +
		"docker tag nginx " + at.Registry + "/library/nginx, docker push " + at.Registry + "/library/nginx, and hellolab up")
	if w.works("hellolab/charts") {
		t.Error("a repository is installed without its image")
	}
	w.hold("nginx")
	if w.up(); !w.works("hellolab/charts") || !lab.Exists() {
		t.Errorf("what it says does not help:\n%s", w.story)
	}
}

// TestUpAfterAnInterruption holds that the rest of an interrupted creation goes, with its record, and other settings are
// welcome then.
func TestUpAfterAnInterruption(t *testing.T) {
	w := newWorld(t)
	w.kindFails = errors.New("signal: interrupt\nand much more")
	wants(t, w.open().Up(t.Context(), Course{}),
		"error: kind cannot create the cluster web: signal: interrupt\n")
	if state := w.state(); state != Broken {
		t.Errorf("the lab is %s", state)
	}
	first := w.open().record.token()
	w.kindFails = nil
	w.settings.Bootstrap.Ports.HTTP = port.Port{Number: w.freePort()}
	lab := w.open("bootstrap.ports.http")
	if err := lab.Up(t.Context(), w.course()); err != nil {
		t.Fatal(err)
	}
	w.tells("removing the rest of an interrupted start")
	if w.state() != Running || lab.record.token() == first || w.open().Settings().Bootstrap.Ports != w.settings.Bootstrap.Ports {
		t.Errorf("the lab is %s, with the settings %+v", w.state(), lab.Settings())
	}
}

// TestUpInterrupted holds that an interrupt is heeded while kind works, which takes none, and that the failure of another part is not
// one: the cluster that kind makes meanwhile is good.
func TestUpInterrupted(t *testing.T) {
	w := newWorld(t)
	began := make(chan struct{})
	lab := w.open()
	lab.kind = slowKind{fakeKind{w}, began, nil} // it never ends
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		<-began
		interrupt()
	}()
	if err := lab.Up(ctx, Course{}); !errors.Is(err, context.Canceled) {
		t.Errorf("up ends with %v", err)
	}
	failing, fail := context.WithCancelCause(t.Context())
	began = make(chan struct{})
	lab.kind = slowKind{fakeKind{w}, began, make(chan struct{})}
	go func() {
		<-began
		fail(errors.New("no room"))
		close(lab.kind.(slowKind).finish)
	}()
	if err := lab.create(failing); err != nil {
		t.Errorf("kind is not waited for: %v", err)
	}
}

// slowKind is kind, which says when it begins and waits before it ends.
type slowKind struct {
	fakeKind
	began, finish chan struct{}
}

func (k slowKind) Create(name string, options ...cluster.CreateOption) error {
	close(k.began)
	<-k.finish
	return k.fakeKind.Create(name, options...)
}

// TestUpWhereAnImageIsMissing holds that an image that cannot be had is reported, and does not keep the lab from being
// made.
func TestUpWhereAnImageIsMissing(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("no way")
	w.settings.Registry.Images = []string{"localhost:1/lost:v1"}
	err := w.open().Up(t.Context(), Course{Fill: func(context.Context) error { return broken }})
	if err == nil || !errors.Is(err, broken) || !strings.Contains(err.Error(), "localhost:1/lost:v1") {
		t.Errorf("the error is %v", err)
	}
	if state := w.state(); state != Running {
		t.Errorf("the lab is %s", state)
	}
}

// TestUpWhereAPortIsTaken holds that nothing is made then.
func TestUpWhereAPortIsTaken(t *testing.T) {
	w := newWorld(t)
	settings, _ := freePorts(t)
	w.settings.Bootstrap.Ports.HTTP = settings.Bootstrap.Ports.HTTP
	err := w.open().Up(t.Context(), Course{})
	if err == nil || !strings.HasPrefix(err.Error(), "port ") {
		t.Errorf("the error is %v", err)
	}
	w.has("", "")
	w.settings.Bootstrap.Ports.HTTP = port.Port{Auto: true}
	w.settings.Bootstrap.Ingress.Enabled = false
	if lab := w.up(); lab.settings.Registry.Port.Auto {
		t.Error("auto is recorded")
	}
}

// TestUpBesideAForeignCluster holds that a cluster of somebody else's is left alone, by all commands.
func TestUpBesideAForeignCluster(t *testing.T) {
	w := newWorld(t)
	w.addNode("web", controlPlane, map[int]int{nodePort: w.settings.Bootstrap.Ports.NodePort.Number})
	report := "error: there is a kind cluster named web already, and hellolab did not make it\n" +
		"next: choose another name for the lab: hellolab --name NAME up\n"
	wants(t, w.open().Up(t.Context(), Course{}), report)
	if err := w.open().Down(t.Context(), false); err != nil {
		t.Error(err)
	}
	w.tells("there is no lab named web in the Docker Engine at " + w.engine.Host() + ": nothing to remove")
	w.has("web-control-plane:running", "")
}

// TestOwnership holds how a lab tells its own cluster: by the token in it, whatever the clocks say (B16); without one, by
// time and port.
func TestOwnership(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*world)
		ours   bool
	}{
		{"as it was made", func(*world) {}, true},
		{"the engine's clock stepped back while it was made", func(w *world) {
			w.remake(func(labels map[string]string) {
				labels[sinceLabel] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			})
		}, true},
		{"a version's that wrote the whole record only", func(w *world) {
			node, _ := w.engine.Container("web-control-plane")
			w.markByAnother(node.Files[finishedMark])
		}, true},
		{"another cluster of the same name and port", func(w *world) {
			w.markByAnother(`{"` + tokenLabel + `": "another"}`)
		}, false},
		{"an older version's cluster for this record", func(w *world) {
			w.markByAnother("created by hellolab\n")
		}, false},
		{"cluster and record of an older version", func(w *world) {
			w.remake(func(labels map[string]string) { delete(labels, tokenLabel) })
			w.markByAnother("created by hellolab\n")
		}, true},
		{"an older version's record from after the cluster", func(w *world) {
			w.remake(func(labels map[string]string) {
				delete(labels, tokenLabel)
				labels[sinceLabel] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			})
			w.markByAnother("created by hellolab\n")
		}, false},
		{"a record that a prune removed", func(w *world) { w.engine.RemoveVolume("web-settings") }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.up()
			test.change(w)
			nodes, err := w.open().nodes(t.Context())
			if ours := err == nil && len(nodes) == 1; ours != test.ours {
				t.Fatalf("the cluster is the lab's: %v, %v; want %v", ours, err, test.ours)
			}
			err = w.open().Up(t.Context(), Course{})
			if test.ours {
				if err != nil || w.state() != Running {
					t.Errorf("the lab is %s, after the error %v", w.state(), err)
				}
				if _, there := w.engine.Volume("web-settings"); !there {
					t.Error("the lab has no record")
				}
			} else if !errors.As(err, &foreignCluster{}) {
				t.Errorf("up takes the cluster: %v", err)
			}
			if err := w.open().Down(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if test.ours {
				w.has("", "")
			} else {
				w.has("web-control-plane:running", "")
			}
		})
	}
}

// markByAnother has the cluster be marked as finished by somebody else, or by another version.
func (w *world) markByAnother(content string) {
	w.t.Helper()
	volume, _ := w.engine.Volume("web-settings")
	w.engine.RemoveFile("web-control-plane", tokenMark(volume.Labels[tokenLabel]))
	w.engine.WriteFile("web-control-plane", finishedMark, content)
}

// remake writes the lab's record with other labels.
func (w *world) remake(change func(labels map[string]string)) {
	w.t.Helper()
	volume, _ := w.engine.Volume("web-settings")
	w.engine.RemoveVolume("web-settings")
	change(volume.Labels)
	w.engine.AddVolume("web-settings", volume.Labels)
}

// TestUpAfterALoss holds that what somebody has deleted of the charts' objects comes back, though what is asked for still works.
func TestUpAfterALoss(t *testing.T) {
	w := newWorld(t)
	w.up()
	w.objectsLost = true
	w.up()
	w.tells("ingress controller at")
	if w.objectsLost {
		t.Error("they are not back")
	}
	w.up()
	if got := w.story.String(); strings.Contains(got, "•") {
		t.Errorf("once more it says %s", got)
	}
}

// TestUpAfterADrain holds that a control plane which was cordoned takes pods again, and that status says so before.
func TestUpAfterADrain(t *testing.T) {
	w := newWorld(t)
	lab := w.up()
	api, err := lab.API(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	node, err := api.CoreV1().Nodes().Get(t.Context(), "web-control-plane", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Spec.Unschedulable = true
	w.api.Put(node)
	if status, err := w.open().Status(t.Context()); err != nil || status.Nodes[0].Schedulable || status.State != Broken {
		t.Errorf("the lab is %+v, %v", status, err)
	}
	w.up()
	w.tells("letting node web-control-plane take pods again")
	if status, err := w.open().Status(t.Context()); err != nil || !status.Nodes[0].Schedulable || status.State != Running {
		t.Errorf("the lab is %+v, %v", status, err)
	}
}

// TestInterruptedWithoutItsRecord holds that what an interrupted creation left is the lab's, though its record was pruned, and that
// down removes it.
func TestInterruptedWithoutItsRecord(t *testing.T) {
	w := newWorld(t)
	w.up()
	node, _ := w.engine.Container("web-control-plane")
	w.remove("web-control-plane")
	delete(node.Files, finishedMark)
	w.engine.AddContainer(node)
	w.engine.RemoveVolume("web-settings")
	if state := w.state(); state != Broken {
		t.Errorf("the lab is %s", state)
	}
	if err := w.open().Down(t.Context(), false); err != nil {
		t.Error(err)
	}
	w.has("", "")
}

// TestHostsAreCompleted holds that a node which has some of the files for containerd only gets the others.
func TestHostsAreCompleted(t *testing.T) {
	w := newWorld(t)
	w.up()
	node, _ := w.engine.Container("web-control-plane")
	w.remove("web-control-plane")
	for file := range node.Files {
		if strings.HasPrefix(file, certsFolder+"/.hellolab-") || strings.HasSuffix(file, "/docker.io/hosts.toml") {
			delete(node.Files, file)
		}
	}
	w.engine.AddContainer(node)
	w.up()
	if node, _ = w.engine.Container("web-control-plane"); node.Files[certsFolder+"/docker.io/hosts.toml"] == "" {
		t.Errorf("the node has the files %v", node.Files)
	}
}

// TestExpired holds that a certificate which is not valid at this time is told apart from one that nobody knows.
func TestExpired(t *testing.T) {
	t.Parallel()
	for reason, want := range map[x509.InvalidReason]bool{x509.Expired: true, x509.NotAuthorizedToSign: false} {
		err := expired(fmt.Errorf("Get: %w", x509.CertificateInvalidError{Reason: reason}))
		if (err != nil) != want {
			t.Errorf("reason %v is %v", reason, err)
		}
	}
}

// TestNotStarting holds what is said of a node whose port cannot be published, where this package knows why.
func TestNotStarting(t *testing.T) {
	t.Parallel()
	for cause, want := range map[string]string{
		"Bind for 127.0.0.1:80 failed: port is already allocated": "", // the rules of doctor know
		"listen tcp6 [::1]:80: cannot assign requested address":   map[bool]string{true: "this machine has lost IPv6", false: ""}[len(port.Localhost()) == 1],
	} {
		err := notStarting(messages.Errorf("the node %s does not start", "web").Because(errors.New(cause)))
		if hint := (messages.Printer{}).Hint(err); !strings.HasPrefix(hint, want) || want == "" && hint != "" {
			t.Errorf("the hint for %q is %q", cause, hint)
		}
	}
}
