package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sirupsen/logrus"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/kind/pkg/cluster"
	kindnodes "sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/exec"

	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
	"github.com/hellolab/hellolab/progress"
	"github.com/hellolab/hellolab/registry"
)

// world is everything around a lab: an engine, what runs in its containers, and the user's files.
type world struct {
	t        *testing.T
	engine   *enginetest.Engine
	api      *kubetest.Server
	settings Settings
	story    *bytes.Buffer
	// held is what the lab's registry answers with.
	held http.Handler
	// kindFails is what kind's next Create fails with, once it has made its nodes.
	kindFails error
	// apiPort is where the API server of the present cluster is published.
	apiPort int

	lock sync.Mutex
	// sick has nothing work that is installed in the cluster.
	sick bool
	// down has nothing answer at the node's ports.
	down bool
	// objectsLost says that somebody has deleted some of the charts' objects.
	objectsLost bool
	releases    map[string]*release.Release // by namespace/name
	// installed are the releases in the order in which they were installed.
	installed []string
	// given are the ports that something has been given.
	given []int
	// commands are those that the control plane was told.
	commands []string
	// atWork happens while kind works on a cluster that can be talked to already; nil is nothing.
	atWork func()
}

// newWorld is one without a lab.
func newWorld(t *testing.T) *world {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("HOME", folder)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(folder, "cache"))
	t.Setenv("KUBECONFIG", filepath.Join(folder, "kubeconfig"))
	t.Setenv("PATH", folder)
	if err := os.WriteFile(filepath.Join(folder, "docker"), nil, 0o755); err != nil { // found, and never run
		t.Fatal(err)
	}
	w := &world{t: t, engine: enginetest.New(t), api: kubetest.New(t, namespace("kube-public"), namespace(corev1.NamespaceNodeLease)), settings: defaultSettings(t), story: &bytes.Buffer{},
		held: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))), releases: map[string]*release.Release{
			// the rest of an earlier installation, so that no test has to wait for a certificate
			"ingress-nginx/ingress-nginx": {Info: &release.Info{Status: release.StatusFailed}, Config: map[string]any{"webhook": map[string]any{}}},
		}}
	w.settings.Bootstrap.Name = "web"
	w.settings.Bootstrap.Timeout = 5 * time.Second
	w.settings.Bootstrap.NodeImage = "kindest/node:v1"
	w.settings.Bootstrap.Ingress.Image = "controller:v1"
	w.settings.Registry.Image = "registry:3"
	for _, wanted := range w.settings.ports() {
		*wanted.port = port.Port{Number: w.freePort()}
	}
	w.engine.AddNetwork("kind")
	w.engine.AddImage("kindest/node:v1")
	w.engine.AddImage("registry:3")
	w.engine.Listen("registry:3", w.held)
	w.engine.Listen("kindest/node:v1", http.HandlerFunc(w.serveNode))
	w.api.Intercept(w.admitIngress)
	for _, image := range []string{"nginx", "busybox", "controller:v1"} {
		w.hold(image)
	}
	return w
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// freePort is a port that nothing listens on, that no program is given by chance, and that the world has for nothing else.
func (w *world) freePort() int {
	w.t.Helper()
	for range 100 {
		number := 20000 + rand.IntN(10000)
		if !slices.Contains(w.given, number) && port.Free(port.Localhost(), number) {
			w.given = append(w.given, number)
			return number
		}
	}
	w.t.Fatal("no port is free")
	return 0
}

// hold puts an image into the registry, as if somebody had pushed it.
func (w *world) hold(image string) {
	w.t.Helper()
	content, err := random.Image(100, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	w.atRegistry(image, func(reference name.Reference) error { return remote.Write(reference, content) })
}

// drop removes an image from the registry.
func (w *world) drop(image string) {
	w.t.Helper()
	w.atRegistry(image, func(reference name.Reference) error { return remote.Delete(reference) })
}

func (w *world) atRegistry(image string, do func(name.Reference) error) {
	w.t.Helper()
	server := httptest.NewServer(w.held)
	defer server.Close()
	repository, err := registry.Repository(image)
	if err != nil {
		w.t.Fatal(err)
	}
	reference, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/" + repository)
	if err == nil {
		err = do(reference)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// open finds the lab, as a new run of the program would.
func (w *world) open(keys ...string) *Lab {
	w.t.Helper()
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	w.story.Reset()
	lab, err := Open(w.t.Context(), w.engine.Client(), progress.New(progress.Options{Out: w.story}), logger, Asked{w.settings, keys})
	if err != nil {
		w.t.Fatal(err)
	}
	lab.kind = fakeKind{w}
	lab.releases = func(_ *kube.Cluster, namespace string) (releases, error) { return fakeReleases{w, namespace}, nil }
	return lab
}

// up brings the lab up.
func (w *world) up() *Lab {
	w.t.Helper()
	lab := w.open()
	if err := lab.Up(w.t.Context(), w.course()); err != nil {
		w.t.Fatalf("up: %s", messages.Printer{}.Report(err))
	}
	return lab
}

func (w *world) course() Course { return Course{Charts: map[string][]byte{"index.yaml": []byte("{}")}} }

// has holds which containers and volumes there are.
func (w *world) has(containers, volumes string) {
	w.t.Helper()
	var names []string
	for _, found := range w.engine.Containers() {
		names = append(names, found.Name+":"+string(found.State))
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != containers {
		w.t.Errorf("the containers are %q, want %q", got, containers)
	}
	if got := strings.Join(w.engine.Volumes(), " "); got != volumes {
		w.t.Errorf("the volumes are %q, want %q", got, volumes)
	}
}

// tells holds that the story has a line.
func (w *world) tells(line string) {
	w.t.Helper()
	if !strings.Contains(w.story.String(), line) {
		w.t.Errorf("the story lacks %q:\n%s", line, w.story)
	}
}

// state is that of the lab, as a new run of the program sees it.
func (w *world) state() string {
	w.t.Helper()
	status, err := w.open().Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return status.State
}

// wants holds what a failure reports.
func wants(t *testing.T, err error, report string) {
	t.Helper()
	if err == nil {
		t.Errorf("there is no error, want\n%s", report)
	} else if got := (messages.Printer{}).Report(err); got != report {
		t.Errorf("the report is\n%s\nwant\n%s", got, report)
	}
}

// setDown has nothing answer at the node's ports, or all again.
func (w *world) setDown(down bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.down = down
}

// works reports whether a release is installed, and does what it is for.
func (w *world) works(name string) bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	found := w.releases[name]
	return found != nil && found.Info.Status == release.StatusDeployed && !w.sick
}

// serveNode answers at the ports of a node: the API server's, and the ingress controller's.
func (w *world) serveNode(out http.ResponseWriter, r *http.Request) {
	w.lock.Lock()
	down := w.down
	w.lock.Unlock()
	if down {
		out.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/healthz":
		if !w.works("ingress-nginx/ingress-nginx") {
			out.WriteHeader(http.StatusBadGateway)
		}
	case "/charts/index.yaml":
		if !w.works("hellolab/charts") {
			out.WriteHeader(http.StatusNotFound)
		}
	default:
		w.api.ServeHTTP(out, r)
	}
}

// admitIngress refuses an Ingress until there is a controller, and gives it a class then.
func (w *world) admitIngress(out http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/ingresses") {
		return false
	}
	if !w.works("ingress-nginx/ingress-nginx") {
		kubetest.Refuse(out, apierrors.NewInternalError(errors.New("failed calling webhook")))
		return true
	}
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(http.StatusCreated)
	fmt.Fprint(out, `{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"ingressClassName": "nginx"}}`)
	return true
}

// fakeKind is kind, on the world's engine.
type fakeKind struct{ *world }

func (k fakeKind) Create(name string, _ ...cluster.CreateOption) error {
	k.apiPort = k.freePort()
	ports := k.settings.Bootstrap.Ports
	k.addNode(name, controlPlane, map[int]int{80: ports.HTTP.Number, 443: ports.HTTPS.Number, nodePort: ports.NodePort.Number, 6443: k.apiPort})
	for range k.settings.Bootstrap.Workers {
		k.addNode(name, "worker", nil)
	}
	if k.atWork != nil {
		k.atWork()
	}
	return k.kindFails
}

// addNode puts a node into the engine, and into the cluster.
func (w *world) addNode(cluster, role string, ports map[int]int) {
	published := nat.PortMap{}
	for inside, outside := range ports {
		published[nat.Port(fmt.Sprintf("%d/tcp", inside))] = []nat.PortBinding{{HostIP: "127.0.0.1", HostPort: fmt.Sprint(outside)}}
	}
	name := cluster + "-" + role
	w.engine.AddContainer(enginetest.Container{Name: name, State: container.StateRunning, Networks: []string{"kind"},
		Config:     container.Config{Image: "kindest/node:v1", Labels: map[string]string{clusterLabel: cluster, roleLabel: role}},
		HostConfig: container.HostConfig{PortBindings: published}})
	seen := metav1.NewMicroTime(time.Now().Add(time.Hour)) // whenever the node is started again
	w.api.Put(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease}, Spec: coordinationv1.LeaseSpec{RenewTime: &seen}})
}

func (k fakeKind) KubeConfig(name string, _ bool) (string, error) {
	config := api.NewConfig()
	config.Clusters["kind-"+name] = &api.Cluster{Server: fmt.Sprintf("http://127.0.0.1:%d", k.apiPort)}
	config.AuthInfos["kind-"+name] = &api.AuthInfo{Username: "kubernetes-admin"}
	config.Contexts["kind-"+name] = &api.Context{Cluster: "kind-" + name, AuthInfo: "kind-" + name}
	config.CurrentContext = "kind-" + name
	content, err := clientcmd.Write(*config)
	return string(content), err
}

func (k fakeKind) ListInternalNodes(name string) ([]kindnodes.Node, error) {
	return []kindnodes.Node{fakeNode{world: k.world, name: name + "-control-plane"}}, nil
}

// fakeNode is a node that is told commands, and does nothing.
type fakeNode struct {
	kindnodes.Node
	*world
	name string
}

func (n fakeNode) String() string { return n.name }

func (n fakeNode) CommandContext(_ context.Context, command string, arguments ...string) exec.Cmd {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.commands = append(n.commands, strings.Join(append([]string{command}, arguments...), " "))
	return fakeCommand{}
}

type fakeCommand struct{ exec.Cmd }

func (fakeCommand) Run() error { return nil }

// forgets has the user take a context out of the kubeconfig.
func (w *world) forgets(context string) {
	w.t.Helper()
	if err := (kube.Kubeconfig{Context: context}).Remove(w.t.Context(), ""); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) context() string {
	w.t.Helper()
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err != nil {
		w.t.Fatal(err)
	}
	return config.CurrentContext
}

// fakeReleases are the releases of a namespace.
type fakeReleases struct {
	*world
	namespace string
}

func (r fakeReleases) Get(name string) (*release.Release, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.world.releases[r.namespace+"/"+name], nil
}

func (r fakeReleases) Whole(context.Context, *release.Release) (bool, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	return !r.objectsLost, nil
}

func (r fakeReleases) Ensure(_ context.Context, name string, wanted *chart.Chart, values map[string]any) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.objectsLost = false
	r.installed = append(r.installed, name)
	r.world.releases[r.namespace+"/"+name] = &release.Release{Name: name, Chart: wanted, Config: values, Info: &release.Info{Status: release.StatusDeployed}}
	return nil
}
