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
		all.memory += stats.Memory.Usage - max(stats.Memory.Stats["total_inactive_file"], stats.Memory.Stats["inactive_file"])
	}
	return all
}

// TestBenchIdle measures what a lab takes that does nothing, beside a bare kind cluster: memory, and the processor's time of a while. That
// begins some time after the start, as what starts a cluster goes on for a while.
func TestBenchIdle(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	const settles, window = 30 * time.Second, 30 * time.Second
	measure := func(containers ...string) (memory int64, share float64) {
		time.Sleep(settles)
		before := used(t, containers...)
		time.Sleep(window)
		after := used(t, containers...)
		return after.memory, float64(after.processor-before.processor) / float64(window)
	}
	bench := newByHand(t)
	bench.create()
	bareMemory, bareShare := measure("by-hand-control-plane")
	bench.remove()
	l := newLab(t, "e2e-bench", nil)
	l.must("up")
	memory, share := measure(l.node(), l.name+"-registry")
	t.Logf("| idle | memory, MB | of one core |\n|---|---|---|\n| lab | %d | %.1f %% |\n| bare kind | %d | %.1f %% |\n| more | %d | %.1f %% |", memory/1e6, 100*share, bareMemory/1e6, 100*bareShare,
		(memory-bareMemory)/1e6, 100*(share-bareShare))
	if memory-bareMemory > 240e6 || share-bareShare > 0.03 {
		t.Error("too much: 120 MB and 1 % are wanted")
	}
}
