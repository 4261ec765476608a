//go:build e2e

package e2e

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"go.yaml.in/yaml/v3"
)

// traffic is what a registry has sent of the layers and configurations of images: bytes, by digest.
type traffic struct {
	sync.Mutex
	sent  map[string]int64
	times map[string]int
}

// counts lets a mirror answer, and counts what it sends.
func (f *traffic) counts(images http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counted := &countedAnswer{ResponseWriter: w}
		images.ServeHTTP(counted, r)
		if isBlob(r) && r.Header.Get("X-Test") == "" {
			f.Lock()
			defer f.Unlock()
			digest := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
			f.sent[digest] += counted.bytes
			f.times[digest]++
		}
	})
}

type countedAnswer struct {
	http.ResponseWriter
	bytes int64
}

func (c *countedAnswer) Write(content []byte) (int, error) {
	c.bytes += int64(len(content))
	return c.ResponseWriter.Write(content)
}

// configurations is the most that those of all images take, in bytes: the engine reads an image's when it is asked who has it, and once more when it pulls.
const configurations = 64 << 10

// TestBenchFirst measures what the first `up` on a machine takes of its network and its disk, and holds that no layer is fetched twice: on an
// engine that has no image, from a mirror on this machine which has all of them.
func TestBenchFirst(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	onEmpty(t, func(e *engine) {
		l := newLab(t, "e2e-bench-first", nil)
		mirror, all := l.mirror(nil), &traffic{sent: map[string]int64{}, times: map[string]int{}}
		mirror.Config.Handler = all.counts(mirror.Config.Handler)
		var settings struct {
			Bootstrap struct {
				NodeImage string `yaml:"nodeImage"`
				Ingress   struct{ Image string }
			}
			Registry struct{ Image string }
		}
		l.check(yaml.Unmarshal([]byte(l.must("config").stdout), &settings))
		ingress := settings.Bootstrap.Ingress.Image
		for _, image := range []string{settings.Bootstrap.NodeImage, settings.Registry.Image, ingress, "nginx", "busybox"} {
			archive := filepath.Join(l.folder, "image.tar")
			save := exec.Command("docker", "save", "--output", archive, image)
			save.Env = append(os.Environ(), "DOCKER_HOST=") // the engine that has the images
			if said, err := save.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			content, err := tarball.ImageFromPath(archive, nil)
			l.check(err)
			name := strings.TrimPrefix(image, "registry.k8s.io/")
			if !strings.Contains(name, "/") {
				name = "library/" + name
			}
			mirror.has(name, content)
		}
		before := onDisk(t, e.folder)
		l.writeSettings("settings.yaml", map[string]any{"registry": map[string]any{"mirrors": map[string]any{
			"docker.io": []string{mirror.URL}, "registry.k8s.io": []string{mirror.URL}}}})
		up := l.must("up")
		var bytes, again int64
		for digest, sent := range all.sent {
			bytes += sent
			if all.times[digest] > 1 {
				again += sent
			}
		}
		if again > configurations {
			t.Errorf("%d bytes are in what was fetched more than once", again)
		}
		disk := onDisk(t, e.folder) - before
		t.Logf("| first `up` | |\n|---|---|\n| over the network | %d MB |\n| on the disk, while the lab runs | %.1f GB |\n| seconds | %.1f |", bytes/1e6, float64(disk)/1e9, up.took.Seconds())
		if bytes < 50e6 {
			t.Errorf("only %d bytes came from the mirror", bytes)
		}
		l.must("down")
		t.Logf("| on the disk, after `down` | %.1f GB |", float64(onDisk(t, e.folder)-before)/1e9)
	})
}

// onDisk is what the files below a folder take, in bytes.
func onDisk(t *testing.T, folder string) (bytes int64) {
	t.Helper()
	counted := map[[2]uint64]bool{} // files with several names
	err := filepath.WalkDir(filepath.Join(folder, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil { // it went meanwhile
			return nil
		}
		if entry.IsDir() && strings.HasSuffix(path, "/merged") { // the same files once more
			return filepath.SkipDir
		}
		about, err := entry.Info()
		if err != nil {
			return nil
		}
		of := about.Sys().(*syscall.Stat_t)
		if key := [2]uint64{of.Dev, of.Ino}; !counted[key] {
			counted[key] = true
			bytes += of.Blocks * 512
		}
		return nil
	})
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return bytes
}
