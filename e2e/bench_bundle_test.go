//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBenchBundle measures a bundle beside `docker save | gzip` and `docker load` of the same images, which have none of the course's own
// and verify nothing, on an engine that has nothing. The table is in docs/benchmarks.md.
func TestBenchBundle(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	onEmpty(t, func(e *engine) {
		l := newLab(t, "e2e-bench-bundle", nil)
		bundle, archive := filepath.Join(l.folder, "lab.bundle"), filepath.Join(l.folder, "images.tar.gz")
		outside := func(args ...string) time.Duration { // on the engine that has the images
			command := l.command(args...)
			command.Env = append(command.Env, "DOCKER_HOST=")
			done := l.wait(command)
			if done.status != 0 {
				t.Fatal(args, "fails")
			}
			return done.took
		}
		shell := func(line string, settings ...string) time.Duration {
			start := time.Now()
			l.shell(line, settings...)
			return time.Since(start)
		}
		outside("bundle", "save", bundle)
		var names []string
		for _, name := range strings.Fields(l.must("bundle", "load", bundle).stdout) {
			names = append(names, strings.Split(name, "@")[0])
		}
		empty := func() { l.shell("docker image ls --all --quiet | sort -u | xargs docker image rm --force") }
		var ours, theirs struct{ save, load, up []time.Duration }
		for range 2 {
			ours.save = append(ours.save, outside("bundle", "save", "--force", bundle))
			theirs.save = append(theirs.save, shell("docker save "+strings.Join(names, " ")+" | gzip > "+archive, "DOCKER_HOST="))
			empty()
			ours.load = append(ours.load, l.must("bundle", "load", bundle).took)
			ours.up = append(ours.up, l.must("up").took)
			l.must("down")
			empty()
			theirs.load = append(theirs.load, shell("docker load --quiet --input "+archive))
		}
		size := func(path string) string {
			about, err := os.Stat(path)
			l.check(err)
			return fmt.Sprintf("%.0f MB", float64(about.Size())/1e6)
		}
		t.Logf("%-8s %-10s %-22s %s", "", "bundle", "docker save | gzip", "ratio")
		t.Logf("%-8s %-10s %-22s", "size", size(bundle), size(archive))
		for _, row := range []struct {
			name         string
			ours, theirs []time.Duration
		}{{"save", ours.save, theirs.save}, {"load", ours.load, theirs.load}} {
			t.Logf("%-8s %-10.1f %-22.1f %.2f", row.name, median(row.ours).Seconds(), median(row.theirs).Seconds(), float64(median(row.ours))/float64(median(row.theirs)))
		}
		t.Logf("%-8s %-10.1f", "up", median(ours.up).Seconds())
	})
}
