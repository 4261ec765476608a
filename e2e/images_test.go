//go:build e2e

package e2e

import (
	"encoding/json"
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

// TestImages is the life of the course's own images: built by `up`, run by their names, exported, changed, built anew.
func TestImages(t *testing.T) {
	l := newLab(t, "e2e-images", nil)
	caches := t.TempDir()
	l.env = append(l.env, "XDG_CACHE_HOME="+caches) // nothing is kept from before
	if cache, err := exec.Command("go", "env", "GOCACHE").Output(); err == nil {
		l.env = append(l.env, "GOCACHE="+strings.TrimSpace(string(cache))) // but Go's own, which is not what is tested
	}

	up := l.command("up")
	beside := l.command("images", "build")
	var said strings.Builder
	up.Stderr = &said
	l.check(up.Start())
	eventually(t, "the registry runs", func() bool { return strings.Contains(docker(t, "ps", "--format", "{{.Names}}"), l.name+"-registry") })
	l.Run("images build during up", func(t *testing.T) {
		l := l.in(t)
		if done := l.wait(beside); done.status != 0 || strings.Count(done.stdout, "\n") != 8 {
			t.Errorf("ended with %d and printed\n%s", done.status, done.stdout)
		}
	})
	if err := up.Wait(); err != nil {
		t.Fatalf("up beside images build: %v\n%s", err, said.String())
	}
	found := l.healthy()

	t.Run("all eight run by the course's names", func(t *testing.T) {
		l := l.in(t)
		for _, wanted := range pods {
			l.kubectl(pod(wanted.tag, wanted.environment), "apply", "-f", "-")
		}
		for _, pod := range pods {
			if got, want := l.answers(pod.tag), strings.ReplaceAll(pod.answer, "HOST", "hellok8s-"+pod.tag); got != want {
				t.Errorf("%s answers %q, want %q", pod.tag, got, want)
			}
		}
		eventually(t, "liveness restarts", func() bool {
			return l.kubectl("", "get", "pod", "hellok8s-liveness", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") >= "1"
		})
		if ready := l.kubectl("", "get", "pod", "hellok8s-bad", "-o", "jsonpath={.status.containerStatuses[0].ready}"); ready != "false" {
			t.Errorf("bad is ready: %s", ready)
		}
	})
	t.Run("small, current, and not built again", func(t *testing.T) {
		l := l.in(t)
		for _, image := range l.images() {
			if !image.Current || image.Size == 0 || image.Size > 7_000_000 {
				t.Errorf("%+v", image)
			}
		}
		again := l.must("images", "build")
		if again.took > time.Second || again.stderr != "" || strings.Count(again.stdout, "@sha256:") != 8 {
			t.Errorf("took %s, said %q, printed\n%s", again.took, again.stderr, again.stdout)
		}
	})
	t.Run("the same digests after a registry loss, from either builder, two at once", func(t *testing.T) {
		l := l.in(t)
		before := l.images()
		l.loseImages(caches)
		one, two := l.command("images", "build", "--builder", "docker"), l.command("images", "build", "--builder", "host")
		results := make(chan result)
		for _, command := range []*exec.Cmd{one, two} {
			go func() { results <- l.wait(command) }()
		}
		for range 2 {
			if done := <-results; done.status != 0 {
				t.Errorf("ended with %d", done.status)
			}
		}
		if after := l.images(); !slices.Equal(before, after) {
			t.Errorf("the images were\n%v\nand are\n%v", before, after)
		}
		if left := docker(t, "ps", "-aq", "--filter", "label=io.github.hellolab.lab="+l.name, "--filter", "ancestor=golang:1.26"); left != "" {
			t.Errorf("a build container is left: %s", left)
		}
	})
	t.Run("exported, changed, and built by hand", func(t *testing.T) {
		l := l.in(t)
		folder := filepath.Join(l.folder, "sources")
		l.must("images", "export", folder)
		main := filepath.Join(folder, "v1", "main.go")
		source, err := os.ReadFile(main)
		l.check(err)
		l.check(os.WriteFile(main, []byte(strings.ReplaceAll(string(source), "[v1]", "[mine]")), 0o600))
		l.fails(2, []string{"images", "export", folder}, main, "--force")

		tag := found.Registry.Address + "/guangzhengli/hellok8s:v1"
		docker(t, "build", "--quiet", "--tag", tag, filepath.Join(folder, "v1"))
		docker(t, "push", "--quiet", tag)
		docker(t, "rmi", tag)
		l.kubectl("", "delete", "pod", "hellok8s-v1", "--now")
		l.kubectl(pod("v1", ""), "apply", "-f", "-")
		if got := l.answers("v1"); got != "[mine] Hello, Kubernetes!" {
			t.Errorf("the image built by hand answers %q", got)
		}
		images := l.images()
		if images[0].Current || !images[0].Own || !images[1].Current || images[1].Own {
			t.Errorf("the images are %+v", images)
		}
		own := images[0].Digest

		for _, command := range [][]string{{"up"}, {"images", "build"}} {
			l.must(command...)
			if images := l.images(); images[0].Digest != own {
				t.Errorf("%v replaced the reader's own image", command)
			}
		}
		done := l.must("images", "build", "--source", folder)
		if !strings.Contains(done.stderr, "compiling 1 images") {
			t.Errorf("more than the changed source was built:\n%s", done.stderr)
		}
		if images := l.images(); !images[0].Own || images[0].Digest == own {
			t.Errorf("the image of the changed source is %+v", images[0])
		}
		if l.must("images", "build", "v1"); l.images()[0].Own {
			t.Error("a tag that is named is not replaced")
		}
		l.check(os.WriteFile(main, []byte("package main\n\nfunc main() { x }\n"), 0o600))
		for _, builder := range []string{"host", "docker"} {
			l.fails(1, []string{"images", "build", "--source", folder, "--builder", builder}, "the sources do not compile", "v1/main.go:3", "undefined: x", "next: ")
		}
	})
	t.Run("refused", func(t *testing.T) {
		l := l.in(t)
		l.fails(2, []string{"images", "build", "v9"}, `there is no image tag "v9"`)
		l.fails(2, []string{"images", "build", "v1", "--builder", "magic"}, "there is no builder")
		l.fails(2, []string{"images"}, "list, build, export")
		missing := l.writeSettings("missing.yaml", map[string]any{"images": map[string]any{"builder": "localhost:1/nothing:1"}})
		l.loseImages(caches)
		l.fails(1, []string{"images", "build", "--builder", "docker", "--config", missing}, "the builder image is not available", "install Go")

		// up gets everything else ready all the same, and tells at the end
		bin := t.TempDir()
		command, err := exec.LookPath("docker")
		l.check(err)
		l.check(os.Symlink(command, filepath.Join(bin, "docker")))
		l.kubectl("", "delete", "ns", "ingress-nginx", "--wait=true")
		up := l.command("up", "--config", missing)
		up.Env = append(up.Env, "PATH="+bin) // no Go there
		l.failed(l.wait(up), 1, "the builder image is not available", "--no-images")
		if found := l.status(); found.State != "running" || found.Ingress.State != "running" {
			t.Errorf("the lab is %+v", found)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		l := l.in(t)
		docker(t, "volume", "rm", l.name+"-go-cache")
		command := l.command("images", "build", "--builder", "docker")
		l.check(command.Start())
		building := func() bool {
			return docker(t, "ps", "-q", "--filter", "label=io.github.hellolab.lab="+l.name, "--filter", "ancestor=golang:1.26") != ""
		}
		eventually(t, "the build container runs", building)
		l.check(command.Process.Signal(os.Interrupt))
		if err := command.Wait(); err == nil {
			t.Error("it ended well all the same")
		}
		eventually(t, "the build container is gone", func() bool { return !building() })
		for _, image := range l.images() {
			if image.Digest != "" {
				t.Errorf("%s is listed", image.Tag)
			}
		}
	})
	l.must("down")
	if left := docker(t, "volume", "ls", "-q", "--filter", "name="+l.name); left != "" {
		t.Errorf("down leaves %s", left)
	}
}

// loseImages takes the course's images out of the registry, with all that was kept of them.
func (l *lab) loseImages(caches string) {
	l.Helper()
	docker(l, "rm", "-f", l.name+"-registry")
	docker(l, "volume", "rm", l.name+"-registry")
	l.check(os.RemoveAll(filepath.Join(caches, "hellolab", "images")))
	l.must("up", "--no-images")
}

// TestBenchImages measures all eight tags from nothing beside eight builds of a Dockerfile like the course's, then a
// build with nothing changed, and one with one changed source.
func TestBenchImages(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	l := newLab(t, "bench-images", nil)
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
