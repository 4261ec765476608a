package logs_test

import (
	"archive/zip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/engine/enginetest"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/kube/kubetest"
	"github.com/hellolab/hellolab/logs"
	"github.com/hellolab/hellolab/messages"
)

// unpack returns the files of an archive.
func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	archive, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	files := map[string]string{}
	for _, entry := range archive.File {
		content, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		read, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name] = string(read)
	}
	return files
}

// TestPartsAreApart holds that a part which fails, or hangs, is noted, and that all the rest is there.
func TestPartsAreApart(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	defer close(released)
	start := time.Now()
	collected := logs.Collect(t.Context(), []logs.Part{
		{Name: "good", Within: time.Minute, Collect: func(_ context.Context, add logs.Add) error {
			add("good.json", map[string]string{"a": "b"})
			return nil
		}},
		{Name: "fails", Within: time.Minute, Collect: func(_ context.Context, add logs.Add) error {
			add("half.txt", []byte("half"))
			return errors.New("the rest is not there")
		}},
		{Name: "hangs", Within: 50 * time.Millisecond, Collect: func(_ context.Context, add logs.Add) error {
			<-released
			add("late.txt", []byte("late"))
			return nil
		}},
	})
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it takes %s", took)
	}
	file := filepath.Join(t.TempDir(), "report.zip")
	if err := collected.Write(file, false); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, file)
	if !strings.Contains(files["good.json"], `"a": "b"`) || files["half.txt"] != "half" || len(files) != 3 {
		t.Errorf("it holds %v", files)
	}
	var missing []logs.Missing
	if err := json.Unmarshal([]byte(files["missing.json"]), &missing); err != nil || len(missing) != 2 ||
		missing[0] != (logs.Missing{Part: "fails", Why: "the rest is not there"}) || missing[1].Part != "hangs" || !strings.Contains(missing[1].Why, "50ms") {
		t.Errorf("it misses %v, %v", missing, err)
	}
}

// TestSecretsGoEverywhere holds that what one part tells to be secret is blanked in all others.
func TestSecretsGoEverywhere(t *testing.T) {
	t.Parallel()
	const secret = "pl4nted-word"
	collected := logs.Collect(t.Context(), []logs.Part{{Name: "all", Within: time.Minute, Collect: func(_ context.Context, add logs.Add) error {
		add("objects/Secret.json", []any{map[string]any{"kind": "Secret", "data": map[string]any{"key": base64.StdEncoding.EncodeToString([]byte(secret))}}})
		add("pods/log.txt", []byte("the pod says "+secret+" aloud"))
		add("long.txt", []byte(strings.Repeat("x", 3<<20)+" the end"))
		return errors.New("and so does an error: " + secret)
	}}})
	file := filepath.Join(t.TempDir(), "report.zip")
	if err := collected.Write(file, false); err != nil {
		t.Fatal(err)
	}
	for name, content := range unpack(t, file) {
		if strings.Contains(content, secret) || strings.Contains(content, base64.StdEncoding.EncodeToString([]byte(secret))) {
			t.Errorf("%s holds it: %s", name, content)
		}
		if name == "long.txt" && (len(content) > 2<<20 || !strings.HasSuffix(content, " the end")) {
			t.Errorf("a long log has %d bytes", len(content))
		}
	}
}

// TestWrite holds that nothing is overwritten unasked, nothing is left half, and nobody else may read it.
func TestWrite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "report.zip")
	if err := os.WriteFile(file, []byte("the user's"), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := logs.Collect(t.Context(), nil)
	for name, refused := range map[string]string{"a file that is there": file, "a folder": folder, "no folder": filepath.Join(folder, "gone", "report.zip")} {
		err := empty.Write(refused, false)
		if !messages.IsUsage(err) || (messages.Printer{}).Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if content, _ := os.ReadFile(file); string(content) != "the user's" {
		t.Errorf("the file holds %q", content)
	}
	if err := empty.Write(file, true); err != nil {
		t.Fatal(err)
	}
	unpack(t, file)
	if found, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && found.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", found.Mode(), err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 1 {
		t.Errorf("there are %v", left)
	}
}

// TestEngine holds that the containers of the lab are described, and no others, and that nodes' journals are read.
func TestEngine(t *testing.T) {
	t.Parallel()
	docker := enginetest.New(t)
	for name, labels := range map[string]map[string]string{
		"web-control-plane": {"io.x-k8s.kind.cluster": "web"}, "web-registry": {"io.github.hellolab.lab": "web"}, "other": {"io.github.hellolab.lab": "other"},
	} {
		docker.AddContainer(enginetest.Container{Name: name, State: container.StateRunning, Config: container.Config{Labels: labels, Env: []string{"DB_PASSWORD=pl4nted-word"}}})
	}
	docker.Handle("GET /containers/{id}/logs", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "plain lines, as of a terminal\n") })
	docker.Fail("POST /containers/{id}/exec", 409, "Container is paused, unpause the container first")
	collected := logs.Collect(t.Context(), logs.Engine("web", func(context.Context) (*client.Client, error) { return docker.Client(), nil }))
	file := filepath.Join(t.TempDir(), "report.zip")
	if err := collected.Write(file, false); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, file)
	for _, name := range []string{"engine/info.json", "engine/version.json", "engine/networks.json", "engine/volumes.json",
		"containers/web-control-plane/inspect.json", "containers/web-control-plane/log.txt", "containers/web-registry/inspect.json"} {
		if files[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if log := files["containers/web-registry/log.txt"]; log != "plain lines, as of a terminal\n" {
		t.Errorf("the log is %q", log)
	}
	all := ""
	for name, content := range files {
		all += name + content
	}
	if strings.Contains(all, "containers/other") || strings.Contains(all, "pl4nted-word") {
		t.Errorf("it holds what it must not: %s", all)
	}
	if !strings.Contains(files["missing.json"], "web-control-plane: ") || !strings.Contains(files["missing.json"], "is paused") {
		t.Errorf("it does not say why there is no journal: %s", files["missing.json"])
	}
}

// TestCluster holds that objects of all namespaces are there, Kubernetes' own too, and the Secrets' data is not.
func TestCluster(t *testing.T) {
	t.Parallel()
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	server := kubetest.New(t,
		&corev1.Namespace{ObjectMeta: meta("", "default")},
		&corev1.Secret{ObjectMeta: meta("default", "web"), Data: map[string][]byte{"key": []byte("pl4nted-word")}},
		&corev1.ConfigMap{ObjectMeta: meta("kube-system", "settings"), Data: map[string]string{"a": "it says pl4nted-word"}})
	collected := logs.Collect(t.Context(), logs.Cluster(func() (*kube.Cluster, error) { return kube.New(server.Config()) }))
	file := filepath.Join(t.TempDir(), "report.zip")
	if err := collected.Write(file, false); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, file)
	for name, stays := range map[string]string{"objects/_cluster/Namespace.json": "default", "objects/default/Secret.json": `"key"`, "objects/kube-system/ConfigMap.json": "it says REDACTED"} {
		if !strings.Contains(files[name], stays) || strings.Contains(files[name], "pl4nted-word") {
			t.Errorf("%s is %q", name, files[name])
		}
	}
	if len(collected.Missing) > 0 {
		t.Errorf("it misses %v", collected.Missing)
	}
	gone := logs.Collect(t.Context(), logs.Cluster(func() (*kube.Cluster, error) { return nil, errors.New("no context") }))
	if len(gone.Missing) != 2 {
		t.Errorf("without a cluster it misses %v", gone.Missing)
	}
}
