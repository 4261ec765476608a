//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// rounds of a benchmark; the medians count.
const rounds = 3

// probe is an Ingress whose Service has no pods: a working controller answers 503 for it, and 404 for anything else.
const probe = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: probe
spec:
  ingressClassName: nginx
  rules:
    - http:
        paths:
          - path: /probe
            pathType: Prefix
            backend:
              service:
                name: probe
                port:
                  number: 80
---
apiVersion: v1
kind: Service
metadata:
  name: probe
spec:
  ports:
    - port: 80
`

// TestBenchUp measures a lab's life beside (a) `kind create cluster --wait` and (b) the same lab made by hand: kind, a registry, hosts.toml,
// pushes, helm install --wait of upstream's chart. One after the other, several times, so that a machine whose speed drifts does so for all.
func TestBenchUp(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	bench := newByHand(t)
	bare, byHand := []time.Duration{}, []time.Duration{}
	ours := map[string][]time.Duration{}
	for range rounds {
		for what, took := range benchLife(t) {
			ours[what] = append(ours[what], took)
		}
		bare = append(bare, bench.bareKind())
		byHand = append(byHand, bench.whole())
	}
	t.Logf("| seconds | min | median | max | of (a) | at most |\n|---|---|---|---|---|---|")
	row := func(name string, times []time.Duration, most string) {
		t.Logf("| %s | %.2f | %.2f | %.2f | %.2f | %s |", name, slices.Min(times).Seconds(), median(times).Seconds(), slices.Max(times).Seconds(), ratio(times, bare), most)
	}
	row("(a) `kind create cluster --wait`, no Ingress", bare, "")
	row("(b) the same lab by hand, until an Ingress answers", byHand, "")
	for _, wanted := range []struct {
		what        string
		most, fails float64 // of (a): what is wanted, and where the benchmark fails
		absolute    time.Duration
	}{
		{what: ofUp, most: 1.15, fails: 1.2}, {what: ofUpAlone, most: 1.15, fails: 1.1}, {what: ofStop, most: 0.6, fails: 0.8}, {what: ofStart, most: 0.6, fails: 0.7}, {what: ofResume, absolute: time.Second},
		{what: ofCheck, absolute: time.Second / 2}, {what: ofList, absolute: time.Second / 10}, {what: ofStatus, absolute: time.Second / 10},
		{what: ofDown, absolute: 3 * time.Second},
	} {
		times := ours[wanted.what]
		most := fmt.Sprintf("%.2f of (a)", wanted.most)
		if wanted.absolute > 0 {
			most = wanted.absolute.String()
		}
		row(wanted.what, times, most)
		if wanted.fails > 0 && ratio(times, bare) > wanted.fails || wanted.absolute > 0 && median(times) > 2*wanted.absolute {
			t.Errorf("%s takes %s", wanted.what, median(times))
		}
	}
	if of := ratio(ours[ofUp], byHand); of > 0.55 {
		t.Errorf("up takes %.2f of (b), at most 0.5 wanted", of)
	} else {
		t.Logf("up takes %.2f of (b), at most 0.5 wanted", of)
	}
}

// What is measured of a lab's life.
const (
	ofUp = "`up`, until an Ingress answers"
	// ofUpAlone ends with the command, which waits for the chart repository's Ingress. The next Ingress waits for the controller's pause of 3.3 s.
	ofUpAlone = "of this, `up` alone: the Ingress of the chart repository answers"
	ofCheck   = "`lab check` of a step that is met"
	ofList    = "`lab list`"
	ofStatus  = "`status`"
	ofResume  = "`pause` and `resume`, until an Ingress answers"
	ofStop    = "`stop` and `start`, until an Ingress answers"
	ofStart   = "`start` alone, until an Ingress answers"
	ofDown    = "`down`"
)

// benchLife lives through a lab's life.
func benchLife(t *testing.T) map[string]time.Duration {
	l := newLab(t, "e2e-bench", nil)
	defer l.removeEverything()
	life, timed := map[string]time.Duration{}, func(do func()) time.Duration {
		start := time.Now()
		do()
		return time.Since(start)
	}
	answers := func() {
		eventually(t, "the Ingress answers", func() bool { code, _ := get(l.status().Ingress.Address + "probe"); return code == 503 })
	}
	trace := filepath.Join(l.folder, "trace.json")
	life[ofUp] = timed(func() {
		life[ofUpAlone] = l.must("up", "--trace", trace).took
		if code, body := get(l.status().Ingress.Address + "charts/index.yaml"); code != 200 {
			t.Errorf("the chart repository answers %d behind up: %s", code, body)
		}
		l.kubectl(probe, "apply", "-f", "-")
		answers()
	})
	picture, _ := l.readTrace(trace)
	t.Logf("up, half a second a sign:\n%s", picture)
	l.must("lab", "pod/nginx")
	life[ofCheck] = l.must("lab", "check", "pod/nginx").took
	life[ofList], life[ofStatus] = l.must("lab", "list").took, l.must("status").took
	l.kubectl(probe, "apply", "-f", "-")
	answers()
	life[ofResume] = timed(func() {
		l.must("pause")
		l.must("resume")
		answers()
	})
	stopped := timed(func() { l.must("stop") })
	life[ofStart] = timed(func() {
		l.must("start")
		answers()
	})
	life[ofStop] = stopped + life[ofStart]
	life[ofDown] = timed(func() { l.must("down") })
	return life
}

// ratio compares medians.
func ratio(ours, theirs []time.Duration) float64 {
	return float64(median(ours)) / float64(median(theirs))
}

// mostOfCluster is how long `up --no-images` takes, at most, as a share of the time in which kind creates its cluster. It was 1.8 before the
// charts were installed while kind works, 1.3 after, and 1.2 since kubelet is not restarted any more.
const mostOfCluster = 1.5

// upTraced brings a lab up, and holds that hardly anything waits until kind is done.
func (l *lab) upTraced() {
	l.Helper()
	file := filepath.Join(l.folder, "trace.json")
	took := l.must("up", "--no-images", "--trace", file).took
	picture, cluster := l.readTrace(file)
	share := float64(took) / float64(cluster)
	l.Logf("up takes %.1f s, which is %.2f of the time that kind takes\n%s", took.Seconds(), share, picture)
	if share > mostOfCluster {
		l.Errorf("up takes %.2f of the time that kind takes, at most %.2f is wanted", share, mostOfCluster)
	}
}

// readTrace draws the trace of an `up`, half a second a sign, and returns how long kind took to create the cluster.
func (l *lab) readTrace(file string) (picture string, cluster time.Duration) {
	l.Helper()
	var trace struct {
		TraceEvents []struct {
			Name    string
			Ts, Dur int64 // microseconds
		}
	}
	content, err := os.ReadFile(file)
	l.check(err)
	l.check(json.Unmarshal(content, &trace))
	const sign = 500_000
	for _, event := range trace.TraceEvents {
		if event.Name == "Kubernetes cluster "+l.name {
			cluster = time.Duration(event.Dur) * time.Microsecond
		}
		name := strings.TrimRight(event.Name, "📦📜🕹️🔌💾🖼 \ufe0f")
		picture += fmt.Sprintf("%5.1f s %s%s %s\n", float64(event.Dur)/1e6, strings.Repeat(" ", int(event.Ts/sign)), strings.Repeat("▬", max(1, int((event.Dur+sign/2)/sign))), name)
	}
	if cluster == 0 {
		l.Fatalf("the trace has no cluster:\n%s", content)
	}
	return picture, cluster
}

// TestBenchVersion measures how long hellolab needs to say anything, beside the kubectl that it has inside: machines differ.
// The 100 ms are for make bench.
func TestBenchVersion(t *testing.T) {
	l := newLab(t, "e2e-version", nil)
	kubectl := kubectlItself(t)
	var ours, theirs []time.Duration
	for range 11 {
		ours = append(ours, l.must("version").took)
		start := time.Now()
		l.check(exec.Command(kubectl, "version", "--client").Run())
		theirs = append(theirs, time.Since(start))
	}
	t.Logf("hellolab version: median %s, %.2f of kubectl version --client", median(ours), ratio(ours, theirs))
	if ratio(ours, theirs) > 0.9 {
		t.Errorf("takes more than 0.9 of kubectl")
	}
	t.Run("the catalogue of kubectl's sentences", func(t *testing.T) {
		l := l.in(t)
		const reader = "init k8s.io/kubectl/pkg/cmd/options" // the first package that asks for a sentence
		for command, reads := range map[string]bool{"version": false, "kubectl": true} {
			traced := l.command(strings.Fields(command)...)
			traced.Env = append(traced.Env, "GODEBUG=inittrace=1")
			_, line, found := strings.Cut(l.wait(traced).stderr, reader+" ")
			bytes := regexp.MustCompile(`(\d+) bytes`).FindStringSubmatch(line)
			if !found || bytes == nil {
				t.Fatalf("%s: no %s", command, reader)
			}
			if taken, _ := strconv.Atoi(bytes[1]); (taken > 1e6) != reads {
				t.Errorf("hellolab %s takes %d bytes for it before it begins", command, taken)
			}
		}
		chinese := exec.Command(kubectl, "label", "--help")
		chinese.Env = append(os.Environ(), "LC_ALL=zh_CN.UTF-8")
		want, err := chinese.Output()
		l.check(err)
		asked := l.command("kubectl", "label", "--help")
		asked.Env = append(asked.Env, "LC_ALL=zh_CN.UTF-8")
		if got := l.wait(asked).stdout; got != string(want) {
			t.Errorf("in Chinese hellolab kubectl says:\n%s\nkubectl says:\n%s", got, want)
		}
	})
	if os.Getenv("BENCH") != "" && median(ours) > 100*time.Millisecond {
		t.Errorf("takes more than 100 ms")
	}
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

// byHand is what a reader without hellolab types, with kind, helm and docker on the PATH.
type byHand struct {
	*testing.T
	folder, kindConfig                string
	nodeImage, registryImage, ingress string
}

func newByHand(t *testing.T) *byHand {
	t.Helper()
	for _, tool := range []string{"kind", "helm", "kubectl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the benchmark needs %s on the PATH", tool)
		}
	}
	var settings struct {
		Bootstrap struct {
			NodeImage string `yaml:"nodeImage"`
			Ingress   struct{ Image string }
		}
		Registry struct{ Image string }
	}
	l := newLab(t, "e2e-bench", nil)
	if err := yaml.Unmarshal([]byte(l.must("config").stdout), &settings); err != nil {
		t.Fatal(err)
	}
	bench := &byHand{T: t, folder: t.TempDir(), nodeImage: settings.Bootstrap.NodeImage,
		registryImage: settings.Registry.Image, ingress: settings.Bootstrap.Ingress.Image}
	bench.kindConfig = filepath.Join(bench.folder, "kind.yaml")
	config := `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    failCgroupV1: false
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
nodes:
  - role: control-plane
    extraPortMappings:
      - {containerPort: 80, hostPort: 28080, listenAddress: 127.0.0.1}
`
	if err := os.WriteFile(bench.kindConfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bench.remove)
	return bench
}

func (b *byHand) remove() {
	exec.Command("kind", "delete", "cluster", "--name", "by-hand", "--kubeconfig", b.kubeconfig()).Run()
	exec.Command("docker", "rm", "-fv", "by-hand-registry").Run()
}

func (b *byHand) kubeconfig() string { return filepath.Join(b.folder, "kubeconfig") }

func (b *byHand) do(input, name string, args ...string) {
	b.Helper()
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+b.kubeconfig())
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
}

func (b *byHand) bareKind() time.Duration {
	b.remove()
	took := b.create()
	b.Logf("kind create cluster --wait: %.1fs", took.Seconds())
	b.remove()
	return took
}

// create makes the cluster.
func (b *byHand) create() time.Duration {
	b.Helper()
	start := time.Now()
	args := []string{"create", "cluster", "--name", "by-hand", "--config", b.kindConfig, "--wait", "120s", "--kubeconfig", b.kubeconfig()}
	if b.nodeImage != "" {
		args = append(args, "--image", b.nodeImage)
	}
	b.do("", "kind", args...)
	return time.Since(start)
}

func (b *byHand) whole() time.Duration {
	b.remove()
	start := time.Now()
	b.create()
	const port = 25001
	b.do("", "docker", "run", "--detach", "--name", "by-hand-registry", "--network", "kind", "--publish", fmt.Sprintf("127.0.0.1:%d:5000", port), b.registryImage)
	for host, prefix := range map[string]string{"docker.io": "", "registry.k8s.io": "/v2/registry.k8s.io"} {
		toml := fmt.Sprintf("[host.\"http://by-hand-registry:5000%s\"]\n  capabilities = [\"pull\", \"resolve\"]\n  override_path = %v\n", prefix, prefix != "")
		b.do(toml, "docker", "exec", "-i", "by-hand-control-plane", "sh", "-c", "mkdir -p /etc/containerd/certs.d/"+host+" && cat >/etc/containerd/certs.d/"+host+"/hosts.toml")
	}
	local := "localhost:" + strconv.Itoa(port) + "/"
	controller := strings.Split(b.ingress, "@")[0]
	for from, to := range map[string]string{"nginx": "library/nginx", "busybox": "library/busybox", controller: controller} {
		b.do("", "docker", "tag", from, local+to)
		b.do("", "docker", "push", "--quiet", local+to)
		b.do("", "docker", "rmi", local+to)
	}
	version := controller[strings.LastIndex(controller, ":")+1:]
	charts, _ := filepath.Glob(filepath.Join(cache(), "ingress-nginx-*.tgz"))
	if len(charts) == 0 {
		b.Fatal("upstream's chart is not in the test bed's cache")
	}
	b.do("", "helm", "install", "ingress-nginx", charts[0], "--namespace", "ingress-nginx", "--create-namespace", "--wait",
		"--set", "controller.image.digest=,controller.image.tag="+version,
		"--set", "controller.hostPort.enabled=true,controller.service.type=NodePort,controller.publishService.enabled=false",
		"--set", "controller.admissionWebhooks.enabled=false") // its certgen images cannot be had where the test bed is needed
	b.do(probe, "kubectl", "apply", "-f", "-")
	eventually(b, "the Ingress answers", func() bool { code, _ := get("http://127.0.0.1:28080/probe"); return code == 503 })
	took := time.Since(start)
	b.Logf("the same lab by hand: %.1fs", took.Seconds())
	b.remove()
	return took
}

// TestBenchChapters measures `hellolab lab CHAPTER` beside kubectl apply and kubectl wait of the same manifests, from an
// empty lab with the images in place, one after the other.
func TestBenchChapters(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	l := newLab(t, "e2e-bench-chapters", nil)
	l.must("up")
	course, err := filepath.Abs(filepath.Join("..", "labs", "course"))
	l.check(err)
	const hellok8s = "deployment/hellok8s-deployment"
	const answers = "until the Ingress answers" // which kubectl cannot wait for
	url := l.status().Ingress.Address
	chapters := []struct {
		name   string
		byHand []string // kubectl's arguments, in the chapter's folder
	}{
		{"pod", []string{"apply -f nginx -f hellok8s", "wait pod --all --for=condition=Ready"}},
		{"deployment", []string{"apply -f create", "rollout status " + hellok8s, "apply -f scale", "apply -f upgrade", "rollout status " + hellok8s,
			"apply -f rolling-update", "apply -f liveness", "rollout status " + hellok8s, "rollout undo --to-revision=2 " + hellok8s,
			"rollout status " + hellok8s, "apply -f readiness", "wait --for=jsonpath={.status.updatedReplicas}=2 " + hellok8s}},
		{"service", []string{"apply -f clusterip -f nodeport -f loadbalancer", "wait --for=condition=Available " + hellok8s, "wait pod/nginx --for=condition=Ready"}},
		{"ingress", []string{"apply -f routes", "wait deployment --all --for=condition=Available", answers}},
		{"namespace", []string{"apply -f create/namespaces.yaml", "apply -n dev -f create/deployment.yaml", "wait -n dev --for=condition=Available " + hellok8s}},
		{"configmap", []string{"apply -f given", "wait -n dev --for=create serviceaccount/default", "wait -n test --for=create serviceaccount/default",
			"apply -n dev -f per-namespace/hellok8s-config-dev.yaml -f per-namespace/hellok8s.yaml",
			"apply -n test -f per-namespace/hellok8s-config-test.yaml -f per-namespace/hellok8s.yaml",
			"wait -n dev pod/hellok8s-pod --for=condition=Ready", "wait -n test pod/hellok8s-pod --for=condition=Ready"}},
		{"secret", []string{"apply -f password", "wait pod/hellok8s-pod --for=condition=Ready"}},
		{"job", []string{"apply -f job", "wait job/hello-job --for=condition=Complete", "apply -f cronjob"}},
	}
	for _, chapter := range chapters { // the node has every image after this
		l.must("lab", chapter.name)
	}
	var shares []float64
	for _, chapter := range chapters {
		var ours, theirs, without []time.Duration
		for range rounds {
			l.must("lab", "reset")
			start := time.Now()
			for _, line := range chapter.byHand {
				if line == answers {
					without = append(without, time.Since(start))
					eventually(t, "the Ingress answers", func() bool {
						hello, _ := get(url + "hello")
						nginx, _ := get(url)
						return hello == 200 && nginx == 200
					})
					continue
				}
				command := exec.Command("kubectl", strings.Fields(line)...)
				command.Dir, command.Env = filepath.Join(course, chapter.name), l.env
				if output, err := command.CombinedOutput(); err != nil {
					t.Fatalf("kubectl %s: %v\n%s", line, err, output)
				}
			}
			theirs = append(theirs, time.Since(start))
			l.must("lab", "reset")
			ours = append(ours, l.must("lab", chapter.name).took)
		}
		share := ratio(ours, theirs)
		t.Logf("| %-10s | %5.1f | %5.1f | %.2f |", chapter.name, median(ours).Seconds(), median(theirs).Seconds(), share)
		if len(without) > 0 {
			t.Logf("%s: kubectl alone, before the Ingress answers: %.1f", chapter.name, median(without).Seconds())
		}
		if share > 1.2 && chapter.name != "ingress" { // where it is chance, by hand too, when the controller may take up a change
			t.Errorf("%s takes %.2f of kubectl, at most 1.2 wanted", chapter.name, share)
		}
		if chapter.name != "deployment" {
			shares = append(shares, share)
		}
		if chapter.name != "deployment" && median(ours) > 15*time.Second { // its probes have to wait
			t.Errorf("%s takes %s, at most 15 s wanted", chapter.name, median(ours))
		}
	}
	slices.Sort(shares)
	if middle := shares[len(shares)/2]; middle > 1.15 {
		t.Errorf("the median of the chapters takes %.2f of kubectl, at most 1.0 wanted", middle)
	} else {
		t.Logf("the median of the chapters takes %.2f of kubectl, at most 1.0 wanted", middle)
	}
}
