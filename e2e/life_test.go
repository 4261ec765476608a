//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// answer is what the image guangzhengli/hellok8s:v3 says.
var answer = regexp.MustCompile(`^\[v3\] Hello, Kubernetes!, From host: hellok8s-deployment-`)

// TestLab is a lab's whole life: `up`, killed and begun again, the life of its images, an application, everything that may
// happen to it, and `down`. It runs with nothing beside it, since it holds what has to take no longer than a second.
func TestLab(t *testing.T) {
	l := newLab(t, "e2e-lab", nil)
	caches := l.emptyCaches()
	before := l.neighbours()
	part := func(name string, do func(l *lab)) {
		t.Run(name, func(t *testing.T) { do(l.in(t)) })
	}

	part("up", func(l *lab) {
		for _, m := range moments {
			if !m.long {
				l.killsUp(m, "--no-images")
			}
		}
		l.upBesideImagesBuild()
		if found := l.healthy(); len(found.Nodes) != 1 || !found.Nodes[0].Ready {
			l.Errorf("the nodes are %+v", found.Nodes)
		}
	})
	part("an application", (*lab).runsTheApplication)
	if t.Failed() {
		return // all that follows builds upon it
	}
	part("no step is done", (*lab).hasNothingDone)
	part("a second up changes nothing", (*lab).upAgain)
	part("words are completed", (*lab).completesInShells)

	made := l.images()
	part("all eight images run by the course's names", (*lab).runsEveryTag)
	part("images are small, current, and not built again", (*lab).buildsNothingTwice)
	part("images exported, changed, and built by hand", (*lab).keepsOwnImages)
	part("a container restarts, another gets no traffic", (*lab).probesEveryTag)
	part("up after the loss of all but the cluster", func(l *lab) { l.survives(func() { l.losesAllButTheCluster(caches) }) })
	part("images build is refused", (*lab).refusesToBuild)
	part("images build is interrupted", (*lab).interruptsABuild)
	part("the same digests from either builder, two at once", func(l *lab) { l.buildsTheSame(made) })

	part("pause and resume", (*lab).pauses)
	part("up after stop and start", func(l *lab) { l.survives(l.stopsAndStarts) })
	part("up after a restart of the node, without its kubeconfig entry", func(l *lab) {
		l.survives(func() {
			docker(l, "restart", l.node())
			l.check(os.WriteFile(filepath.Join(l.folder, "kubeconfig"), []byte(theirs), 0o600))
			l.must("up")
		})
	})
	if os.Getenv("LONG") != "" {
		part("up after each of them alone", (*lab).survivesEach)
	}
	part("down keeps what is others'", func(l *lab) {
		l.must("down")
		l.clean(before)
		l.says(l.must("down").stderr, nothingToRemove)
		l.clean(before)
	})
}

// upAgain holds that `up` on a healthy lab does nothing, in no time.
func (l *lab) upAgain() {
	before := l.everything()
	again := l.must("up")
	if again.took > time.Second {
		l.Errorf("took %s", again.took)
	}
	l.says(again.stderr, nothingToChange)
	if strings.Count(again.stderr, "\n") != 1 {
		l.Errorf("said %q", again.stderr)
	}
	if after := l.everything(); after != before {
		l.Errorf("changed\n%s\nto\n%s", before, after)
	}
	l.fails(1, []string{"up", "--workers", "1"}, staysAsMade)
}

// runsTheApplication applies the course's YAML as it stands: two Deployments, NodePort, Ingress; of each pod just one.
func (l *lab) runsTheApplication() {
	found := l.healthy()
	l.apply(deploymentYAML(1, "v3", "", ""),
		serviceYAML("service-hellok8s-clusterip", "ClusterIP", "hellok8s", "port: 3000"),
		serviceYAML("service-hellok8s-nodeport", "NodePort", "hellok8s", "port: 3000, nodePort: 30000"),
		nginxYAML("nginx-deployment", "nginx", 1),
		serviceYAML("service-nginx-clusterip", "ClusterIP", "nginx", "port: 4000, targetPort: 80"),
		ingressYAML)
	l.works()
	if row := l.kubectl("", "get", "ingress", "hello-ingress"); !regexp.MustCompile(`hello-ingress +nginx `).MatchString(row) {
		l.Errorf("kubectl get ingress prints\n%s", row)
	}
	if hint := l.kubectl("", "get", "cm", "-n", "kube-public", "local-registry-hosting", "-o", "yaml"); !strings.Contains(hint, found.Registry.Address) {
		l.Errorf("the registry is announced as\n%s", hint)
	}
	releases := l.kubectl("", "get", "secret", "-n", "ingress-nginx", "-l", "owner=helm,name=ingress-nginx,status=deployed", "-o", "name")
	if strings.Count(releases, "\n") != 1 {
		l.Errorf("Helm's releases are %q", releases)
	}
}

// works fails unless the application runs: images from the lab's registry, routes, NodePort, the chart repository.
func (l *lab) works() {
	l.Helper()
	found := l.healthy()
	for _, wanted := range []struct{ what, url, answer string }{
		{"Ingress answers /hello with v3", found.Ingress.Address + "hello", answer.String()},
		{"Ingress answers / with nginx", found.Ingress.Address, "nginx"},
		{"NodePort 30000 answers with v3", found.NodePort, answer.String()},
		{"the chart repository has the chart", found.Ingress.Address + "charts/index.yaml", `hello-helm-0\.1\.0\.tgz`},
	} {
		eventually(l, wanted.what, func() bool {
			code, body := get(wanted.url)
			return code == 200 && regexp.MustCompile(wanted.answer).MatchString(body)
		})
	}
	eventually(l, "the Deployments are Ready", func() bool {
		return l.kubectl("", "get", "deploy", "-o", "jsonpath={.items[*].status.readyReplicas}") == "1 1"
	})
}

// survives holds that the application runs after something has happened to the lab, and that its objects are the same ones.
func (l *lab) survives(happens func()) {
	l.Helper()
	before := l.application()
	happens()
	l.works()
	if after := l.application(); after != before {
		l.Errorf("the objects were\n%s\nand are\n%s", before, after)
	}
}

// losesAllButTheCluster takes away the registry with its volume, the ingress controller and the chart repository, and what
// was kept of images, for an `up` that cannot build any: it repairs everything else all the same, and says so at the end.
func (l *lab) losesAllButTheCluster(caches string) {
	l.losesTheImages(caches)
	l.losesTheController()
	l.losesTheCharts()
	bin := l.TempDir()
	command, err := exec.LookPath("docker")
	l.check(err)
	l.check(os.Symlink(command, filepath.Join(bin, "docker")))
	up := l.command("up", "--config", l.withoutBuilder())
	up.Env = append(up.Env, "PATH="+bin) // no Go there
	l.failed(l.wait(up), 1, upWithoutImages)
	if found := l.status(); found.State != "running" || found.Registry.State != "running" || found.Ingress.State != "running" {
		l.Errorf("the lab is %+v", found)
	}
}

func (l *lab) losesTheController() { l.kubectl("", "delete", "ns", "ingress-nginx", "--wait=true") }

func (l *lab) losesTheCharts() {
	l.kubectl("", "delete", "ingress,deployment,service", "--all", "-n", "hellolab")
}

// stopsAndStarts stops the lab and starts it again, while a check goes on in the reader's other terminal.
func (l *lab) stopsAndStarts() {
	w := l.watch("service/clusterip")
	w.until("service/clusterip", false)
	l.must("stop")
	if stopped := l.status(); stopped.State != "stopped" || stopped.Registry.State != "stopped" || stopped.Ingress.State != "stopped" {
		l.Errorf("after stop the lab is %+v", stopped)
	}
	if status := strings.TrimSpace(docker(l, "inspect", "--format", "{{.State.ExitCode}}", l.node())); status != "130" { // 137: it was killed
		l.Errorf("the node ended with %s: something in it did not end by itself in the time that the engine gives", status)
	}
	l.fails(1, []string{"pause"}, notRunning)
	l.says(l.run("kubectl", "get", "pods").stderr, noAnswer)
	l.must("start")
	journal := docker(l, "exec", l.node(), "journalctl", "--boot", "--unit", "kubelet", "--no-pager")
	starts, most := strings.Count(journal, "Started kubelet.service"), 1
	if strings.Contains(journal, "services have not yet been read") { // then start restarts it, once
		most = 2
	}
	if starts < 1 || starts > most {
		l.Errorf("the kubelet was started %d times, at most %d are wanted", starts, most)
	}
	w.command.Process.Kill()
	w.command.Wait()
	l.says(w.said.String(), keepsTrying)
	l.must("up")
}

// survivesEach does one by one what make test does at once.
func (l *lab) survivesEach() {
	for name, harm := range map[string]func(l *lab){
		"a restart of the node":      func(l *lab) { docker(l, "restart", l.node()) },
		"the loss of the registry":   func(l *lab) { docker(l, "rm", "-f", l.name+"-registry") },
		"the loss of the controller": (*lab).losesTheController,
		"the loss of the charts":     (*lab).losesTheCharts,
		"the loss of the kubeconfig": func(l *lab) { l.check(os.WriteFile(filepath.Join(l.folder, "kubeconfig"), []byte(theirs), 0o600)) },
	} {
		l.Run(name, func(t *testing.T) {
			l := l.in(t)
			l.survives(func() {
				harm(l)
				l.must("up")
			})
		})
	}
}

// objects tells which objects there are, and that they are the same ones: their UIDs.
func (l *lab) objects() string {
	l.Helper()
	return l.kubectl("", "get", "deploy,svc,ingress,job,cm,secret", "-A", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\n"}{end}`)
}

// application names the objects that a reader made.
func (l *lab) application() string {
	l.Helper()
	return l.kubectl("", "get", "deploy,svc,ingress", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid}{"\n"}{end}`)
}

// pauses holds that a paused lab does nothing, and that nothing is lost.
func (l *lab) pauses() {
	restarts := func() string {
		return l.kubectl("", "get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{"\n"}{end}`)
	}
	url, before := l.status().NodePort, l.objects()+restarts()
	l.must("pause")
	if found := l.status(); found.State != "paused" {
		l.Errorf("the state is %s", found.State)
	}
	l.fails(1, []string{"lab", "check", "pod/nginx"}, isPaused)
	l.must("pause") // does nothing
	start := time.Now()
	l.must("resume")
	eventually(l, "NodePort 30000 answers again", func() bool { code, _ := get(url); return code == 200 })
	if took := time.Since(start); took > time.Second {
		l.Errorf("it takes %s to resume", took)
	}
	l.healthy()
	if after := l.objects() + restarts(); after != before {
		l.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
	l.must("resume") // does nothing
}

// in is the lab in a subtest.
func (l *lab) in(t *testing.T) *lab {
	inner := *l
	inner.T = t
	return &inner
}

// everything is all that a second up might change: containers, objects, kubeconfig.
func (l *lab) everything() string {
	l.Helper()
	kubeconfig, err := os.ReadFile(filepath.Join(l.folder, "kubeconfig"))
	l.check(err)
	containers := docker(l, "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", l.node(), l.name+"-registry")
	return containers + l.objects() + string(kubeconfig)
}

const foreign = "e2e-foreign"

// theirs is a kubeconfig with somebody else's clusters, one of kind's among them, in the order that client-go writes.
const theirs = `apiVersion: v1
kind: Config
clusters:
- name: kind-theirs
  cluster:
    server: https://127.0.0.1:2
- name: theirs
  cluster:
    server: https://127.0.0.1:1
contexts:
- name: kind-theirs
  context:
    cluster: kind-theirs
    user: theirs
- name: theirs
  context:
    cluster: theirs
    user: theirs
current-context: theirs
users:
- name: theirs
  user:
    token: secret
`

// neighbours puts things of other people's beside the lab: a container with a volume, and a current context in the
// same kubeconfig. It gives what that file says.
func (l *lab) neighbours() string {
	l.Helper()
	path := filepath.Join(l.folder, "kubeconfig")
	l.check(os.WriteFile(path, []byte(theirs), 0o600))
	exec.Command("docker", "rm", "-fv", foreign).Run()
	exec.Command("docker", "volume", "rm", foreign).Run()
	docker(l, "run", "--detach", "--name", foreign, "--volume", foreign+":/data", "--label", "io.github.hellolab.lab=somebody-else",
		"nginx")
	l.Cleanup(func() {
		docker(l.T, "rm", "-fv", foreign)
		docker(l.T, "volume", "rm", foreign)
	})
	return l.contexts()
}

// contexts is what the kubeconfig says, written in one way.
func (l *lab) contexts() string {
	l.Helper()
	content, err := os.ReadFile(filepath.Join(l.folder, "kubeconfig"))
	l.check(err)
	var parsed map[string]any
	l.check(yaml.Unmarshal(content, &parsed))
	written, err := yaml.Marshal(parsed)
	l.check(err)
	return string(written)
}

// clean fails unless nothing of the lab's is left, and everything of others' is.
func (l *lab) clean(kubeconfig string) {
	l.Helper()
	for _, list := range [][]string{
		{"ps", "-aq", "--filter", "label=io.x-k8s.kind.cluster=" + l.name},
		{"ps", "-aq", "--filter", "label=io.github.hellolab.lab=" + l.name},
		{"ps", "-aq", "--filter", "name=" + l.name},
		{"volume", "ls", "-q", "--filter", "label=io.github.hellolab.lab=" + l.name},
		{"volume", "ls", "-q", "--filter", "name=" + l.name},
	} {
		if left := docker(l, list...); left != "" {
			l.Errorf("docker %s: %s", strings.Join(list, " "), left)
		}
	}
	if endpoints := docker(l, "network", "inspect", "kind", "--format", "{{range .Containers}}{{.Name}} {{end}}"); strings.Contains(endpoints, l.name) {
		l.Errorf("the network still has %s", endpoints)
	}
	if now := l.contexts(); now != kubeconfig {
		l.Errorf("the kubeconfig was\n%s\nand is\n%s", kubeconfig, now)
	}
	if running := docker(l, "inspect", "--format", "{{.State.Running}}", foreign); running != "true\n" {
		l.Errorf("the foreign container is running: %s", running)
	}
	docker(l, "volume", "inspect", foreign)
}
