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
	"strings"
	"testing"
	"time"
)

// pods are the course's tags, each with the environment that the course gives it, and what it has to answer; HOST is
// the pod's name.
var pods = []struct{ tag, environment, answer string }{
	{"v1", "", "[v1] Hello, Kubernetes!"},
	{"v2", "", "[v2] Hello, Kubernetes!"},
	{"v3", "", "[v3] Hello, Kubernetes!, From host: HOST"},
	{"v4", "DB_URL: http://DB_ADDRESS_DEV", "[v4] Hello, Kubernetes! From host: HOST, Get Database Connect URL: http://DB_ADDRESS_DEV"},
	{"v5", "DB_PASSWORD: db_password", "[v5] Hello, Kubernetes! From host: HOST, Get Database Connect Password: db_password"},
	{"v6", "MESSAGE: It works with Helm Values!\nNAMESPACE: default\nDB_URL: http://DB\nDB_PASSWORD: secret",
		"[v6] Hello, Helm! Message from helm values: It works with Helm Values!, From namespace: default, From host: HOST, Get Database Connect URL: http://DB, Database Connect Password: secret"},
	{"liveness", "", "[v2] Hello, Kubernetes!"},
	{"bad", "", "[v2] Hello, Kubernetes!"},
}

// pod is the YAML of a pod of a tag, with the probes that the course has for it.
func pod(tag, environment string) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: Pod\nmetadata:\n  name: hellok8s-" + tag + "\nspec:\n  containers:\n    - name: hellok8s-container\n      image: guangzhengli/hellok8s:" + tag + "\n      imagePullPolicy: Always\n")
	if environment != "" {
		b.WriteString("      env:\n")
		for line := range strings.Lines(environment) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			b.WriteString("        - name: " + name + "\n          value: \"" + value + "\"\n")
		}
	}
	switch tag {
	case "liveness":
		b.WriteString("      livenessProbe:\n        httpGet: {path: /healthz, port: 3000}\n        initialDelaySeconds: 3\n        periodSeconds: 3\n")
	case "bad":
		b.WriteString("      readinessProbe:\n        httpGet: {path: /healthz, port: 3000}\n        initialDelaySeconds: 1\n        successThreshold: 5\n")
	}
	return b.String()
}

// answers is what the pod of a tag says at /.
func (l *lab) answers(tag string) string {
	l.Helper()
	said := ""
	eventually(l, "the pod of "+tag+" answers", func() bool {
		output, err := exec.Command("docker", "exec", l.node(), "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf",
			"get", "--raw", "/api/v1/namespaces/default/pods/hellok8s-"+tag+":3000/proxy/").Output()
		said = string(output)
		return err == nil
	})
	return said
}

type imageState struct {
	Tag, Digest string
	Size        int64
	Current     bool
	Own         bool
}

func (l *lab) images() []imageState {
	l.Helper()
	var states []imageState
	l.check(json.Unmarshal([]byte(l.must("images", "list", "-o", "json").stdout), &states))
	return states
}

// emptyCaches has hellolab keep its programs in a new folder, and gives that: nothing is there from before.
func (l *lab) emptyCaches() string {
	l.Helper()
	caches := l.TempDir()
	l.env = append(l.env, "XDG_CACHE_HOME="+caches)
	if cache, err := exec.Command("go", "env", "GOCACHE").Output(); err == nil {
		l.env = append(l.env, "GOCACHE="+strings.TrimSpace(string(cache))) // but Go's own, which is not what is tested
	}
	return caches
}

// upBesideImagesBuild runs `up` with `images build` beside it.
func (l *lab) upBesideImagesBuild() {
	up, beside := l.command("up"), l.command("images", "build")
	var stdout, stderr strings.Builder
	up.Stdout, up.Stderr = &stdout, &stderr
	l.check(up.Start())
	eventually(l, "the lab is on record", func() bool { // before that, images build would make a registry of its own, and up give way
		return docker(l, "volume", "ls", "-q", "--filter", "name="+l.name+"-settings") != ""
	})
	if done := l.wait(beside); done.status != 0 || strings.Count(done.stdout, "\n") != len(pods) {
		l.Errorf("images build ended with %d and printed\n%s", done.status, done.stdout)
	}
	if err := up.Wait(); err != nil || stdout.Len() > 0 {
		l.Errorf("up beside images build: %v; on stdout it prints %q\n%s", err, stdout.String(), stderr.String())
	}
}

// runsEveryTag runs a pod of each image.
func (l *lab) runsEveryTag() {
	var manifests []string
	for _, wanted := range pods {
		manifests = append(manifests, pod(wanted.tag, wanted.environment))
	}
	l.apply(manifests...)
	for _, pod := range pods {
		if got, want := l.answers(pod.tag), strings.ReplaceAll(pod.answer, "HOST", "hellok8s-"+pod.tag); got != want {
			l.Errorf("%s answers %q, want %q", pod.tag, got, want)
		}
	}
}

// probesEveryTag looks at the pods of the two images with probes, and takes all pods away.
func (l *lab) probesEveryTag() {
	eventually(l, "liveness restarts", func() bool {
		return l.kubectl("", "get", "pod", "hellok8s-liveness", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") >= "1"
	})
	if ready := l.kubectl("", "get", "pod", "hellok8s-bad", "-o", "jsonpath={.status.containerStatuses[0].ready}"); ready != "false" {
		l.Errorf("bad is ready: %s", ready)
	}
	args := []string{"delete", "pod", "--now", "--wait=false"}
	for _, pod := range pods {
		args = append(args, "hellok8s-"+pod.tag)
	}
	l.kubectl("", args...)
}

func (l *lab) buildsNothingTwice() {
	for _, image := range l.images() {
		if !image.Current || image.Size == 0 || image.Size > 7_000_000 {
			l.Errorf("%+v", image)
		}
	}
	again := l.must("images", "build")
	if again.took > time.Second || again.stderr != "" || strings.Count(again.stdout, "@sha256:") != len(pods) {
		l.Errorf("took %s, said %q, printed\n%s", again.took, again.stderr, again.stdout)
	}
}

// keepsOwnImages exports the sources, changes one, builds it with docker as the course does, brings it into the lab, and holds that
// hellolab keeps that image until its tag is named.
func (l *lab) keepsOwnImages() {
	folder := filepath.Join(l.folder, "sources")
	l.must("images", "export", folder)
	main := filepath.Join(folder, "v1", "main.go")
	source, err := os.ReadFile(main)
	l.check(err)
	l.check(os.WriteFile(main, []byte(strings.ReplaceAll(string(source), "[v1]", "[mine]")), 0o600))
	l.fails(2, []string{"images", "export", folder}, changedByReader)

	const tag = "guangzhengli/hellok8s:v1"
	docker(l, "build", "--quiet", "--tag", tag, filepath.Join(folder, "v1"))
	if got, want := l.must("images", "push", tag).stdout, l.status().Registry.Address+"/"+tag+"@sha256:"; !strings.HasPrefix(got, want) {
		l.Errorf("images push prints %q", got)
	}
	docker(l, "rmi", tag)
	l.kubectl("", "delete", "pod", "hellok8s-v1", "--now")
	l.apply(strings.Replace(pod("v1", ""), "imagePullPolicy: Always", "imagePullPolicy: IfNotPresent", 1)) // the node has another one of that tag
	if got := l.answers("v1"); got != "[mine] Hello, Kubernetes!" {
		l.Errorf("the image built by hand answers %q", got)
	}
	images := l.images()
	if images[0].Current || !images[0].Own || !images[1].Current || images[1].Own {
		l.Errorf("the images are %+v", images)
	}
	own := images[0].Digest

	for _, command := range [][]string{{"up"}, {"images", "build"}} {
		l.must(command...)
		if images := l.images(); images[0].Digest != own {
			l.Errorf("%v replaced the reader's own image", command)
		}
	}
	l.says(l.must("images", "build", "--source", folder).stderr, oneCompiled)
	if images := l.images(); !images[0].Own || images[0].Digest == own {
		l.Errorf("the image of the changed source is %+v", images[0])
	}
	for _, wrong := range []struct {
		name string
		said words
	}{{"nosuch/image:1", words{"nosuch/image:1", "through Docker", "directly"}}, {l.status().Registry.Address + "/gone:1", words{"Docker on this machine has no image", "docker image ls"}}} {
		l.fails(1, []string{"images", "push", wrong.name}, wrong.said)
	}
	if l.must("images", "build", "v1"); l.images()[0].Own {
		l.Error("a tag that is named is not replaced")
	}
	l.check(os.WriteFile(main, []byte("package main\n\nfunc main() { x }\n"), 0o600))
	l.fails(1, []string{"images", "build", "--source", folder, "--builder", "host"}, doesNotCompile)
}

// withoutBuilder is a settings file with a builder image that is nowhere.
func (l *lab) withoutBuilder() string {
	l.Helper()
	return l.writeSettings("missing.yaml", map[string]any{"images": map[string]any{"builder": "localhost:1/nothing:1"}})
}

// refusesToBuild is for a registry without the course's images.
func (l *lab) refusesToBuild() {
	l.fails(2, []string{"images", "build", "v9"}, noSuchTag)
	l.fails(2, []string{"images", "build", "v1", "--builder", "magic"}, noSuchBuilder)
	l.fails(2, []string{"images"}, imagesWhat)
	l.fails(1, []string{"images", "build", "--builder", "docker", "--config", l.withoutBuilder()}, noBuilder)
}

// interruptsABuild is for a registry without the course's images, too.
func (l *lab) interruptsABuild() {
	command := l.command("images", "build", "--builder", "docker")
	l.check(command.Start())
	building := func() bool { return l.compiles("-q") }
	eventually(l, "the build container runs", building)
	l.check(command.Process.Signal(os.Interrupt))
	if err := command.Wait(); err == nil {
		l.Error("it ended well all the same")
	}
	eventually(l, "the build container is gone", func() bool { return !building() })
	for _, image := range l.images() {
		if image.Digest != "" {
			l.Errorf("%s is listed", image.Tag)
		}
	}
}

// buildsTheSame builds all images with both builders at once, and one that does not compile in the container.
func (l *lab) buildsTheSame(made []imageState) {
	results := make(chan result)
	for _, builder := range []string{"docker", "host"} {
		command := l.command("images", "build", "--builder", builder)
		go func() { results <- l.wait(command) }()
	}
	for range 2 {
		if done := <-results; done.status != 0 {
			l.Errorf("ended with %d", done.status)
		}
	}
	if again := l.images(); !slices.Equal(again, made) {
		l.Errorf("the images were\n%v\nand are\n%v", made, again)
	}
	l.fails(1, []string{"images", "build", "--source", filepath.Join(l.folder, "sources"), "--builder", "docker"}, doesNotCompile)
	eventually(l, "no build container is left", func() bool { return !l.compiles("-aq") }) // the engine removes them when they end
}

// compiles reports whether docker ps lists a container that compiles images for this lab.
func (l *lab) compiles(which string) bool {
	l.Helper()
	return docker(l, "ps", which, "--filter", "label=io.github.hellolab.lab="+l.name, "--filter", "ancestor=golang:1.26") != ""
}

// losesTheImages takes the registry with all its images away, and the programs that were kept.
func (l *lab) losesTheImages(caches string) {
	l.Helper()
	docker(l, "rm", "-f", l.name+"-registry")
	docker(l, "volume", "rm", l.name+"-registry")
	l.check(os.RemoveAll(filepath.Join(caches, "hellolab", "images")))
}

// pushImage builds an image of the course's and pushes it as a reader would; it answers greeting.
func (l *lab) pushImage(tag, greeting string) {
	l.Helper()
	folder := l.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module hello\n",
		"main.go": fmt.Sprintf("package main\n\nimport (\n\t\"io\"\n\t\"net/http\"\n)\n\nfunc main() {\n"+
			"\thttp.HandleFunc(\"/\", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, %q) })\n"+
			"\thttp.ListenAndServe(\":3000\", nil)\n}\n", greeting),
		"Dockerfile": "FROM scratch\nCOPY main /main\nENTRYPOINT [\"/main\"]\n",
	} {
		l.check(os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	build := exec.Command("go", "build", "-trimpath", "-o", "main", ".")
	build.Dir = folder
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=") // as hellolab compiles: what both need is cached once
	if output, err := build.CombinedOutput(); err != nil {
		l.Fatalf("%v\n%s", err, output)
	}
	image := l.status().Registry.Address + "/guangzhengli/hellok8s:" + tag
	docker(l, "build", "--quiet", "--tag", image, folder)
	docker(l, "push", "--quiet", image)
	docker(l, "rmi", image)
}

// TestBenchImages measures all eight tags from nothing beside eight builds of a Dockerfile like the course's, then a
// build with nothing changed, and one with one changed source.
func TestBenchImages(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	l := newLab(t, "e2e-bench-images", nil)
	caches := t.TempDir()
	l.env = append(l.env, "XDG_CACHE_HOME="+caches)
	folder := filepath.Join(l.folder, "sources")
	l.must("images", "export", folder)

	cold := func() time.Duration {
		l.removeEverything()
		l.check(os.RemoveAll(filepath.Join(caches, "hellolab")))
		l.must("up", "--no-images") // the registry runs, as it does for the builds by hand
		return l.must("images", "build", "--builder", "docker").took
	}
	byHand := func() time.Duration {
		start := time.Now()
		for _, pod := range pods {
			build := exec.Command("docker", "build", "--no-cache", "--quiet", "--tag", "bench/hellok8s:"+pod.tag, filepath.Join(folder, pod.tag))
			if output, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
		}
		took := time.Since(start)
		for _, pod := range pods {
			docker(t, "rmi", "bench/hellok8s:"+pod.tag)
		}
		return took
	}
	main := filepath.Join(folder, "v3", "main.go")
	original, err := os.ReadFile(main)
	l.check(err)
	change := regexp.MustCompile(`\[v3[^\]]*\]`)
	var ours, theirs, nothing, one []time.Duration
	for round := range 1 {
		ours = append(ours, cold())
		nothing = append(nothing, l.must("images", "build", "--builder", "docker").took)
		l.check(os.WriteFile(main, change.ReplaceAll(original, []byte("[v3-"+strings.Repeat("x", round+1)+"]")), 0o600))
		one = append(one, l.must("images", "build", "--builder", "docker", "--source", folder).took)
		l.check(os.WriteFile(main, original, 0o600))
		theirs = append(theirs, byHand())
	}
	t.Logf("%-52s %8s %8s", "seconds", "min", "max")
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{{"all eight from nothing, builder docker", ours}, {"eight builds of the course's Dockerfile", theirs}, {"nothing changed", nothing}, {"one source changed", one}} {
		t.Logf("%-52s %8.2f %8.2f", row.name, slices.Min(row.times).Seconds(), slices.Max(row.times).Seconds())
	}
	ofTheirs := float64(slices.Max(ours)) / float64(slices.Min(theirs))
	ofCold := float64(slices.Max(one)) / float64(slices.Min(ours))
	t.Logf("from nothing: %.2f of eight builds, at most 0.15 wanted; one source: %.2f of that, at most 0.25 wanted", ofTheirs, ofCold)
	if ofTheirs > 0.15 || ofCold > 0.25 || slices.Max(nothing) > time.Second {
		t.Errorf("too slow")
	}
}
