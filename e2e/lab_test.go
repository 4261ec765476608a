//go:build e2e

// Package e2e runs the built program against real clusters, as a reader would: bin/hellolab, the docker command line,
// helm, and hellolab's kubectl, which TestCourse holds to be kubectl.
//
// Every lab has a name of its own that begins with e2e-, its own ports and kubeconfig, and is taken away whatever happens.
// Ports are "auto", so that labs stand beside those that are there already. Clusters and pods are what takes time, so two
// tests have nearly all that make test looks at: TestLab, the life of a lab and of its images, and TestCourse, the course
// as a reader walks it. With LONG=1 the others run: what these two do in one go, each on its own.
package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// lab is one lab of a test's.
type lab struct {
	*testing.T
	name   string
	folder string
	env    []string
	silent bool // does not log what commands do: they are tried again and again
}

// result is what a command did.
type result struct {
	stdout, stderr string
	status         int
	took           time.Duration
}

// newLab prepares a lab, and its end; settings are put over those that this machine needs. Nothing is started.
func newLab(t *testing.T, name string, settings map[string]any) *lab {
	t.Helper()
	l := &lab{T: t, name: name, folder: t.TempDir()}
	l.env = append(os.Environ(),
		"PATH="+l.commands()+string(os.PathListSeparator)+os.Getenv("PATH"),
		"KUBECONFIG="+filepath.Join(l.folder, "kubeconfig"),
		"XDG_CONFIG_HOME="+filepath.Join(l.folder, "config"), // where objects of the reader's are kept
		"HELM_CONFIG_HOME="+filepath.Join(l.folder, "helm"),
		"HELM_CACHE_HOME="+filepath.Join(l.folder, "helm-cache"),
		"HELM_DATA_HOME="+filepath.Join(l.folder, "helm-data"),
		"HELLOLAB_CONFIG="+l.writeSettings("settings.yaml", settings))
	t.Cleanup(l.removeEverything)
	l.removeEverything() // what a killed run left
	return l
}

// commands makes a folder with the commands that the course types.
func (l *lab) commands() string {
	l.Helper()
	folder := filepath.Join(l.folder, "commands")
	l.check(os.Mkdir(folder, 0o755))
	commands := map[string]string{"hellolab": program(l.T), "kubectl": program(l.T)}
	if helm := filepath.Join(cache(), "bin", "tools", "helm"); exists(helm) {
		commands["helm"] = helm
	}
	for name, program := range commands {
		l.check(os.Symlink(program, filepath.Join(folder, name)))
	}
	return folder
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// cache is where the test bed puts what it makes.
func cache() string {
	if folder := os.Getenv("TESTBED_CACHE"); folder != "" {
		return folder
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".cache", "hellolab-testbed")
}

// shell types a line into the shell, as a hint has it, with settings of the environment, and returns all that it prints.
func (l *lab) shell(line string, settings ...string) string {
	l.Helper()
	command := exec.Command("sh", "-c", line)
	command.Dir = l.folder
	command.Env = slices.Concat(l.env, settings)
	output, err := command.CombinedOutput()
	if err != nil {
		l.Fatalf("%s: %v\n%s", line, err, output)
	}
	return string(output)
}

// writeSettings writes a settings file for this lab on this machine.
func (l *lab) writeSettings(file string, settings map[string]any) string {
	l.Helper()
	merged := map[string]any{}
	if base := os.Getenv("HELLOLAB_CONFIG"); base != "" {
		if !filepath.IsAbs(base) {
			base = filepath.Join("..", base)
		}
		content, err := os.ReadFile(base)
		l.check(err)
		l.check(yaml.Unmarshal(content, &merged))
	}
	merge(merged, map[string]any{
		"bootstrap": map[string]any{"name": l.name, "ports": map[string]any{"http": "auto", "https": "auto", "nodePort": "auto"}},
		"registry":  map[string]any{"port": "auto"},
	})
	merge(merged, settings)
	content, err := yaml.Marshal(merged)
	l.check(err)
	path := filepath.Join(l.folder, file)
	l.check(os.WriteFile(path, content, 0o600))
	return path
}

func merge(into, from map[string]any) {
	for key, value := range from {
		if deeper, ok := value.(map[string]any); ok {
			if existing, ok := into[key].(map[string]any); ok {
				merge(existing, deeper)
				continue
			}
		}
		into[key] = value
	}
}

// removeEverything takes the lab away without hellolab, which may be what is broken.
func (l *lab) removeEverything() {
	for _, label := range []string{"io.x-k8s.kind.cluster=" + l.name, "io.github.hellolab.lab=" + l.name} {
		if containers := strings.Fields(docker(l.T, "ps", "-aq", "--filter", "label="+label)); len(containers) > 0 {
			docker(l.T, append([]string{"rm", "-fv"}, containers...)...)
		}
	}
	if volumes := strings.Fields(docker(l.T, "volume", "ls", "-q", "--filter", "label=io.github.hellolab.lab="+l.name)); len(volumes) > 0 {
		docker(l.T, append([]string{"volume", "rm", "-f"}, volumes...)...)
	}
}

func (l *lab) check(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// command is hellolab with args, ready to run.
func (l *lab) command(args ...string) *exec.Cmd {
	command := exec.Command(program(l.T), args...)
	command.Env = l.env
	return command
}

func program(t *testing.T) string {
	path, err := filepath.Abs(filepath.Join("..", "bin", "hellolab"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs hellolab to its end.
func (l *lab) run(args ...string) result {
	l.Helper()
	return l.wait(l.command(args...))
}

func (l *lab) wait(command *exec.Cmd) result {
	l.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	start := time.Now()
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.Fatal(err)
	}
	done := result{stdout.String(), stderr.String(), command.ProcessState.ExitCode(), time.Since(start)}
	if l.silent {
		return done
	}
	l.Logf("%s: status %d after %.1fs\n%s", strings.Join(command.Args[1:], " "), done.status, done.took.Seconds(), done.stderr)
	return done
}

// must runs hellolab, which has to succeed.
func (l *lab) must(args ...string) result {
	l.Helper()
	done := l.run(args...)
	if done.status != 0 {
		l.Fatalf("hellolab %s ended with status %d", strings.Join(args, " "), done.status)
	}
	return done
}

// fails runs hellolab, which has to end with status, to say something on stderr, and to print nothing on stdout.
func (l *lab) fails(status int, args []string, wanted words) {
	l.Helper()
	l.failed(l.run(args...), status, wanted)
}

func (l *lab) failed(done result, status int, wanted words) {
	l.Helper()
	if done.status != status || done.stdout != "" {
		l.Errorf("ended with status %d, not %d, and printed %q", done.status, status, done.stdout)
	}
	l.says(done.stderr, wanted)
}

// status is what `hellolab status -o json` says.
type status struct {
	State      string
	Kubernetes string
	Nodes      []struct {
		Name  string
		Ready bool
	}
	Registry, Ingress struct{ State, Address string }
	NodePort          string
}

func (l *lab) status() status {
	l.Helper()
	var found status
	l.check(json.Unmarshal([]byte(l.must("status", "-o", "json").stdout), &found))
	return found
}

// healthy fails unless all of the lab runs.
func (l *lab) healthy() status {
	l.Helper()
	found := l.status()
	if found.State != "running" || found.Registry.State != "running" || found.Ingress.State == "broken" {
		l.Fatalf("the lab is not healthy: %+v", found)
	}
	return found
}

func (l *lab) node() string { return l.name + "-control-plane" }

// kubectl runs hellolab's kubectl, with input as its stdin.
func (l *lab) kubectl(input string, args ...string) string {
	l.Helper()
	command := l.command(append([]string{"--name", l.name, "kubectl"}, args...)...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil {
		l.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return string(output)
}

// apply applies manifests in one go, as a reader does with a file of several.
func (l *lab) apply(manifests ...string) {
	l.Helper()
	l.kubectl(strings.Join(manifests, "\n---\n"), "apply", "-f", "-")
}

// docker runs the docker command line.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	output, err := exec.Command("docker", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("docker %s: %s", strings.Join(args, " "), exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(output)
}

// patience is how long something may take that has to come. It is long, since machines may have other things to do.
const patience = 4 * time.Minute

// eventually tries until ok. Between tries it lets the cluster work as long as the last one took.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		start := time.Now()
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(max(50*time.Millisecond, time.Since(start)))
	}
}

// get gives the status and the body at url, or 0.
func get(url string) (int, string) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}
