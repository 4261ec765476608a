package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/kube/kubetest"
	images "github.com/hellolab/hellolab/registry"
)

// machine is what a run of the program finds: a Docker Engine, a home, and the API server of a lab if there is one. All of
// it is in memory or in a temporary folder.
type machine struct {
	*testing.T
	engine *enginetest.Engine
	api    *kubetest.Server
	// registry is the address of the lab's image registry, which answers whether its container runs or not.
	registry string
	// lasting is that of the program.
	lasting time.Duration
}

// ran is what a run of the program left.
type ran struct {
	stdout, stderr string
	status         int
}

// newMachine has the program find a machine without a lab. Nothing of the real one's is read. Tests on machines do not
// run beside each other, since the environment is the whole process's.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{T: t, engine: enginetest.New(t)}
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"), "XDG_CACHE_HOME": filepath.Join(home, "cache"),
		"KUBECONFIG": filepath.Join(home, "kubeconfig"), "DOCKER_HOST": m.engine.Host(), "DOCKER_CONFIG": filepath.Join(home, "docker"),
		"DOCKER_CONTEXT": "", "HELLOLAB_CONFIG": "", "LC_ALL": "", "LC_MESSAGES": "", "LANG": "C", "SHELL": "/bin/sh",
		"HTTP_PROXY": "", "http_proxy": "", "HTTPS_PROXY": "", "https_proxy": "",
	} {
		t.Setenv(name, value)
	}
	m.tools("kubectl", "docker")
	t.Chdir(t.TempDir())
	return m
}

// tools has the PATH hold programs of those names, which fail, and no others.
func (m *machine) tools(names ...string) {
	m.Helper()
	folder := m.TempDir()
	for _, name := range names {
		m.check(os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\nexit 1\n"), 0o755))
	}
	m.Setenv("PATH", folder)
}

// run runs the program as main does.
func (m *machine) run(args ...string) ran {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), time.Minute)
	defer cancel()
	var files [2]*os.File
	for i := range files {
		file, err := os.CreateTemp(m.TempDir(), "output")
		m.check(err)
		defer file.Close()
		files[i] = file
	}
	p := &program{getenv: os.Getenv, lasting: m.lasting}
	status := p.run(ctx, append([]string{"hellolab"}, args...), files[0], files[1])
	read := func(file *os.File) string {
		content, err := os.ReadFile(file.Name())
		m.check(err)
		return string(content)
	}
	return ran{read(files[0]), read(files[1]), status}
}

// must runs the program, which has to end with that status, and to say each of the texts on stdout or stderr.
func (m *machine) must(status int, args []string, texts ...string) ran {
	m.Helper()
	done := m.run(args...)
	if done.status != status {
		m.Errorf("%s ended with status %d, not %d:\n%s%s", strings.Join(args, " "), done.status, status, done.stdout, done.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(done.stdout+done.stderr, text) {
			m.Errorf("%s does not say %q, but\n%s%s", strings.Join(args, " "), text, done.stdout, done.stderr)
		}
	}
	return done
}

func (m *machine) check(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// The labels of a lab's record, and of kind's nodes.
const (
	settingsLabel = "io.github.hellolab.settings"
	sinceLabel    = "io.github.hellolab.since"
	clusterLabel  = "io.x-k8s.kind.cluster"
	roleLabel     = "io.x-k8s.kind.role"
)

// addLab puts a lab without ingress controller on the machine, made with settings: its record, node, registry and API
// server, which does what the controllers of a cluster do.
func (m *machine) addLab(name string, settings ...string) {
	m.Helper()
	store := httptest.NewServer(registryHandler())
	m.Cleanup(store.Close)
	address, err := url.Parse(store.URL)
	m.check(err)
	m.registry = "localhost:" + address.Port()
	var all configuration
	m.check(layer{"config.yaml", defaultConfig}.over(&all))
	settings = append([]string{"bootstrap.name=" + name, "bootstrap.ingress.enabled=false", "registry.image=registry:3", "registry.images=[]",
		"bootstrap.ports.nodePort=30123", "registry.port=" + address.Port()}, settings...)
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		m.check(layer{setting, nest(key, value)}.over(&all))
	}
	content, err := yaml.Marshal(all.settings())
	m.check(err)
	since := time.Now().Add(-time.Hour)
	m.engine.AddVolume(name+"-settings", map[string]string{engine.Label: name, settingsLabel: string(content), sinceLabel: since.Format(time.RFC3339)})
	m.engine.AddContainer(enginetest.Container{Name: name + "-registry", State: container.StateRunning,
		Config:     container.Config{Image: "registry:3", Labels: map[string]string{engine.Label: name}},
		HostConfig: container.HostConfig{PortBindings: nat.PortMap{"5000/tcp": {{HostIP: "127.0.0.1", HostPort: all.Registry.Port.String()}}}}})
	m.engine.AddNetwork("kind")
	m.addCluster(name, since)
}

// addCluster adds the node of a finished cluster, and its API server.
func (m *machine) addCluster(name string, since time.Time) {
	m.Helper()
	node := name + "-control-plane"
	m.api = kubetest.New(m.T,
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}})
	m.api.RunControllers()
	server := httptest.NewServer(m.api)
	m.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	m.check(err)
	m.engine.AddContainer(enginetest.Container{Name: node, State: container.StateRunning, Created: since.Add(time.Minute), Networks: []string{"kind"},
		Config: container.Config{Image: "kindest/node:v1", Labels: map[string]string{clusterLabel: name, roleLabel: "control-plane"}},
		HostConfig: container.HostConfig{PortBindings: nat.PortMap{
			"6443/tcp": {{HostIP: "127.0.0.1", HostPort: address.Port()}}, "30000/tcp": {{HostIP: "127.0.0.1", HostPort: "30123"}}}},
		Files: map[string]string{"/kind/hellolab": "created by hellolab\n"}})
	context := "kind-" + name
	m.check(clientcmd.WriteToFile(api.Config{
		Clusters: map[string]*api.Cluster{context: {Server: server.URL}}, CurrentContext: context,
		Contexts: map[string]*api.Context{context: {Cluster: context, AuthInfo: context}}, AuthInfos: map[string]*api.AuthInfo{context: {}},
	}, os.Getenv("KUBECONFIG")))
}

// pushed puts images into the lab's registry, as a user would.
func (m *machine) pushed(names ...string) {
	m.Helper()
	image, err := random.Image(16, 1)
	m.check(err)
	for _, wanted := range names {
		repository, err := images.Repository(wanted)
		m.check(err)
		reference, err := name.ParseReference(m.registry+"/"+repository, name.Insecure)
		m.check(err)
		m.check(remote.Write(reference, image))
	}
}

// registryHandler is an image registry in memory.
func registryHandler() http.Handler {
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		store.ServeHTTP(w, r)
	})
}

// TestWithoutLab holds what each command says where there is no lab.
func TestWithoutLab(t *testing.T) {
	m := newMachine(t)
	m.must(exitDone, []string{"status"}, "hellolab", "absent", "next: hellolab up")
	m.must(exitDone, []string{"status", "--name", "mine"}, "next: hellolab --name mine up")
	m.must(exitDone, []string{"down"}, "there is no lab named hellolab")
	for _, command := range []string{"stop", "start", "pause", "resume", "ip", "tunnel"} {
		m.must(exitFailed, []string{command}, "there is no lab named hellolab", "next: hellolab up")
	}
	m.must(exitFailed, []string{"lab", "pod"}, "next: hellolab up")
	m.must(exitDone, []string{"lab", "list"}, "pod/nginx", "helm/publish")
	m.must(exitDone, []string{"lab", "show", "pod/nginx"}, "nginx-pod", "--- ")
	m.must(exitDone, []string{"images", "list"}, "liveness", "absent", "next: hellolab images build")
	m.must(exitDone, []string{"images", "env", "--shell", "fish"}, "set -gx DOCKER_HOST", "set -gx HELLOLAB_REGISTRY", "# hellolab images env | source")
}

// TestNameFromFile holds that a command which a user is told to type is about the lab that a file names, too: typed as
// it stands, "hellolab down" would remove another lab.
func TestNameFromFile(t *testing.T) {
	m := newMachine(t)
	m.check(os.WriteFile("mine.yaml", []byte("bootstrap: {name: mine}\n"), 0o600))
	m.must(exitFailed, []string{"stop", "--config", "mine.yaml"}, "there is no lab named mine", "next: hellolab --name mine up --config mine.yaml")
	t.Setenv("HELLOLAB_CONFIG", "mine.yaml")
	m.must(exitFailed, []string{"stop"}, "next: hellolab --name mine up\n")
}

// TestInterrupted holds that what is said after Ctrl-C names no other lab, and removes none.
func TestInterrupted(t *testing.T) {
	m := newMachine(t)
	m.addLab("mine")
	entered, resume := m.engine.Hang("GET /volumes/{name}")
	defer resume()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	m.check(err)
	defer file.Close()
	if status := run(ctx, []string{"hellolab", "status", "--name", "mine"}, file, file); status != exitInterrupted {
		t.Errorf("it ended with status %d", status)
	}
	said, err := os.ReadFile(file.Name())
	m.check(err)
	if string(said) != "error: interrupted\nnext: run the same command again: it makes what is missing\n" {
		t.Errorf("it says %q", said)
	}
}

// TestSettingsAreRecorded holds that a later command finds every setting of the lab without being given it again: those of
// the images and of the course as well.
func TestSettingsAreRecorded(t *testing.T) {
	m := newMachine(t)
	m.addLab("hellolab", "images.account=me", "labs.course=")
	m.must(exitDone, []string{"images", "list", "-o", "json"}, `"image": "me/hellok8s:v1"`)
	m.must(exitDone, []string{"lab", "show", "pod/hellok8s"}, "image: me/hellok8s:v1")
	m.must(exitDone, []string{"images", "env"}, m.registry+"/me/hellok8s:v1")
}

// TestSet holds that a setting can be given on the command line, and that a wrong one is refused.
func TestSet(t *testing.T) {
	m := newMachine(t)
	m.must(exitDone, []string{"config", "--set", "bootstrap.ports.http=8080", "--set", "registry.images=[nginx, redis]"}, "http: 8080", "- redis")
	m.must(exitDone, []string{"config", "-o", "json", "--set", "images.account=me"}, `"account": "me"`)
	m.must(exitUsage, []string{"config", "--set", "bootstrap.ports.htp=8080"}, "there is no setting bootstrap.ports.htp", "next: hellolab config shows all settings")
	m.must(exitUsage, []string{"config", "--set", "bootstrap.workers=two"}, `"two"`)
	m.must(exitUsage, []string{"config", "--set", "bootstrap.workers"}, "--set bootstrap.workers is not KEY=VALUE")
	m.must(exitUsage, []string{"config", "--set", "a: b=c"}, "next: hellolab")
	m.must(exitUsage, []string{"up", "--set", "bootstrap.workers=12"}, "bootstrap.workers: 12")
}

// TestOutputIsRefusedFirst holds that a format which is not known is refused before anything is done.
func TestOutputIsRefusedFirst(t *testing.T) {
	m := newMachine(t)
	m.addLab("hellolab")
	for _, command := range [][]string{{"status"}, {"lab", "check", "pod/nginx"}, {"lab", "pod/nginx"}, {"images", "build"}, {"lab", "save", "f.yaml"}} {
		m.must(exitUsage, append(command, "-o", "xml"), "-o xml is not known", "next: use -o json, or leave it out")
	}
	if calls := m.engine.Calls(); len(calls) > 0 {
		t.Errorf("the engine was asked %q", calls)
	}
}

// TestLife takes a lab through its states.
func TestLife(t *testing.T) {
	m := newMachine(t)
	m.addLab("mine")
	m.must(exitDone, []string{"status", "--name", "mine"}, "running", "http://localhost:30123/")
	m.must(exitDone, []string{"ip", "--name", "mine", "-o", "json"}, `"ip": "127.0.0.1"`)
	m.must(exitDone, []string{"pause", "--name", "mine"}, "paused")
	m.must(exitDone, []string{"lab", "list", "--name", "mine"}, "pod/nginx", "the lab mine is paused: how far you are is not shown")
	m.must(exitFailed, []string{"lab", "check", "pod/nginx", "--name", "mine"}, "next: hellolab --name mine resume")
	m.must(exitDone, []string{"resume", "--name", "mine"})
	m.must(exitDone, []string{"stop", "--name", "mine"})
	m.must(exitDone, []string{"status", "--name", "mine"}, "stopped", "next: hellolab --name mine start")
	m.must(exitFailed, []string{"tunnel", "--name", "mine"}, "next: hellolab --name mine start")
}

// TestCourse goes through the commands of the course on a lab.
func TestCourse(t *testing.T) {
	m := newMachine(t)
	m.addLab("hellolab")
	m.pushed("guangzhengli/hellok8s:v1", "nginx")
	m.must(exitDone, []string{"lab", "check"}, "container/build-run-push", "next: hellolab lab show pod/nginx")
	before := m.must(exitDone, []string{"lab", "deployment/create", "--before", "-o", "json"})
	var made installed
	if err := json.Unmarshal([]byte(before.stdout), &made); err != nil || made.Step != "deployment/create" || made.Guide == "" {
		t.Errorf("it prints %s (%v)", before.stdout, err)
	}
	m.must(exitDone, []string{"lab", "list"}, "deployment/create", "installed: the state before it")
	m.must(exitNotYet, []string{"lab", "check"}, "deployment/create", "✗ deployment/hellok8s-deployment", "a hint: hellolab lab hint deployment/create")
	m.must(exitNotYet, []string{"lab", "check", "--explain"}, "do        kubectl apply -f deployment.yaml")
	m.must(exitDone, []string{"lab", "hint"}, "✗ deployment/hellok8s-deployment", "look      kubectl get deployment", "hint 1 of 2; the next one: hellolab lab hint deployment/create")
	m.must(exitDone, []string{"lab", "hint"}, "do        kubectl apply -f deployment.yaml", "hint 2 of 2")
	m.must(exitDone, []string{"lab", "hint", "-o", "json"}, `"number": 2`, `"hint": "kubectl apply -f deployment.yaml"`)
	m.must(exitDone, []string{"lab", "report", "--as", "me"}, "✓  container/build-run-push", "1 by hand, 0 by snapshot, of 28 steps")
	m.must(exitDone, []string{"lab", "report", "reports.json", "--as", "me"}, "reports.json")
	m.must(exitUsage, []string{"lab", "report", "reports.json"}, "reports.json exists already")
	m.must(exitUsage, []string{"lab", "report", "-o", "csv"}, "hellolab lab report --collect DIR -o csv")
	m.must(exitUsage, []string{"lab", "report", "-o", "xml"}, "use -o json, -o csv, -o html, or leave it out")
	m.must(exitUsage, []string{"lab", "list", "-o", "csv"}, "use -o json, or leave it out")
	m.must(exitDone, []string{"lab", "report", "--collect", "."}, "me", "reports, of 28 steps")
	m.must(exitUsage, []string{"lab", "report", "--collect", "nowhere"}, "name the folder that they are in")
	m.must(exitNotYet, []string{"lab", "check", "-o", "json"}, `"passed": false`)
	m.tools() // kubectl is hellolab's own then
	m.must(exitNotYet, []string{"lab", "check", "--explain"}, "do        hellolab kubectl apply -f deployment.yaml")
	m.tools("kubectl")
	m.must(exitNotYet, []string{"lab", "check", "--explain", "--lang", "zh"}, "kubectl apply -f deployment.yaml", "没有处于 Ready 状态的 Pod")
	saved := m.must(exitDone, []string{"lab", "save", "lab.yaml", "-o", "json"})
	if !strings.Contains(saved.stdout, `"file": "lab.yaml"`) {
		t.Errorf("it prints %s", saved.stdout)
	}
	m.must(exitUsage, []string{"lab", "save", "lab.yaml"}, "lab.yaml exists already")
	m.must(exitDone, []string{"lab", "restore", "lab.yaml"})
	m.must(exitDone, []string{"lab", "reset"})
	m.must(exitNotYet, []string{"lab", "check"}, "pod/nginx  The first pod")
}

// TestListWhileSick holds that progress which cannot be read is an error, and not no progress.
func TestListWhileSick(t *testing.T) {
	m := newMachine(t)
	m.addLab("hellolab", "bootstrap.timeout=1s")
	m.engine.Stop("hellolab-registry") // the course does not need it for that
	m.must(exitDone, []string{"lab", "list"}, "pod/nginx")
	m.api.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/configmaps") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	if done := m.must(exitFailed, []string{"lab", "list"}, "next: "); done.stdout != "" {
		t.Errorf("it prints\n%s", done.stdout)
	}
}

// TestImagesBuild builds a tag in a container that pretends to compile.
func TestImagesBuild(t *testing.T) {
	m := newMachine(t)
	m.addLab("hellolab", "images.builder=golang:1")
	m.engine.Stop("hellolab-control-plane") // what a node does with new images is for a real one
	m.engine.AddImage("golang:1")
	m.engine.Run("golang:1", func(stdin io.Reader, stdout, _ io.Writer) int {
		io.Copy(io.Discard, stdin)
		archive := tar.NewWriter(stdout)
		defer archive.Close()
		archive.WriteHeader(&tar.Header{Name: "./tag-v1", Mode: 0o755, Size: 4})
		archive.Write([]byte("main"))
		return 0
	})
	m.must(exitUsage, []string{"images", "build", "v7"}, `there is no image tag "v7"`)
	m.must(exitDone, []string{"images", "build", "v1", "v1", "--builder", "docker"}, m.registry+"/guangzhengli/hellok8s:v1@sha256:")
	m.must(exitDone, []string{"images", "list"}, "up to date")
	exported := m.must(exitDone, []string{"images", "export", "hello", "-o", "json"})
	var folders []string
	if err := json.Unmarshal([]byte(exported.stdout), &folders); err != nil || len(folders) != 8 {
		t.Errorf("it prints %s (%v)", exported.stdout, err)
	}
}

// TestUpIsRefused holds what can be wrong before anything is made.
func TestUpIsRefused(t *testing.T) {
	m := newMachine(t)
	m.addLab("hellolab")
	m.must(exitFailed, []string{"up", "--workers", "2"}, "the lab hellolab was made with other settings", "bootstrap.workers: 0, not 2", "hellolab down", "hellolab up --workers 2")
	m.must(exitUsage, []string{"up", "--course", "nowhere"}, "the course cannot be read")
}
