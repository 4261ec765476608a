//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// use is what containers take of the machine.
type use struct {
	processor time.Duration // since they began
	memory    int64         // bytes, without files that are kept only in case they are read again
	files     int64         // bytes of these, as far as `docker stats` counts them: whether it does is a matter of when they were read
}

// used asks the engine what containers take.
func used(t *testing.T, containers ...string) (all use) {
	t.Helper()
	for _, name := range containers {
		output, err := exec.Command("curl", "--silent", "--fail", "--unix-socket", strings.TrimPrefix(strings.TrimSpace(docker(t, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")), "unix://"),
			"http://engine/containers/"+name+"/stats?stream=false&one-shot=true").Output()
		if err != nil {
			t.Fatal(err)
		}
		var stats struct {
			CPU struct {
				Usage struct {
					Total int64 `json:"total_usage"` // nanoseconds
				} `json:"cpu_usage"`
			} `json:"cpu_stats"`
			Memory struct {
				Usage int64
				Stats map[string]int64
			} `json:"memory_stats"`
		}
		if err := json.Unmarshal(output, &stats); err != nil {
			t.Fatal(err)
		}
		all.processor += time.Duration(stats.CPU.Usage.Total)
		pages := func(name string) int64 { return max(stats.Memory.Stats["total_"+name], stats.Memory.Stats[name]) }
		all.files += pages("active_file")
		all.memory += stats.Memory.Usage - pages("inactive_file") - pages("active_file")
	}
	return all
}

// TestBenchIdle measures what a lab takes that does nothing, beside a bare kind cluster: memory, and the processor's time of a while. That
// begins some time after the start, as what starts a cluster goes on for a while.
func TestBenchIdle(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	const settles, window = 45 * time.Second, time.Minute
	measure := func(containers ...string) (taken use, share float64) {
		time.Sleep(settles)
		before := used(t, containers...)
		time.Sleep(window)
		after := used(t, containers...)
		return after, float64(after.processor-before.processor) / float64(window)
	}
	bench := newByHand(t)
	bench.create()
	bare, bareShare := measure("by-hand-control-plane")
	bench.remove()
	l := newLab(t, "e2e-bench", nil)
	l.must("up")
	lab, share := measure(l.node(), l.name+"-registry")
	t.Logf("| idle | memory, MB | files in memory, MB | of one core |\n|---|---|---|---|")
	more := use{memory: lab.memory - bare.memory, files: lab.files - bare.files}
	row := func(name string, taken use, share float64) {
		t.Logf("| %s | %d | %d | %.1f %% |", name, taken.memory/1e6, taken.files/1e6, 100*share)
	}
	row("lab", lab, share)
	row("bare kind", bare, bareShare)
	row("more", more, share-bareShare)
	if more.memory > 150e6 || share-bareShare > 0.03 {
		t.Error("too much: 120 MB and 1 % are wanted")
	}
}
