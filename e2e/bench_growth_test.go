//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestBenchGrowth measures how a lab grows: with nodes, with labs at once, and with pods. Nothing may grow faster than what there is of it.
func TestBenchGrowth(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	t.Run("workers", func(t *testing.T) {
		t.Logf("| workers | `up`, seconds | memory, MB | `down`, seconds |\n|---|---|---|---|")
		grown := &growth{T: t}
		for _, workers := range []int{1, 5} {
			l := newLab(t, "e2e-bench", map[string]any{"bootstrap": map[string]any{"workers": workers}})
			up := l.must("up", "--no-images")
			memory := used(t, strings.Fields(docker(t, "ps", "--format", "{{.Names}}", "--filter", "label=io.x-k8s.kind.cluster="+l.name))...).memory
			down := l.must("down")
			t.Logf("| %d | %.1f | %d | %.1f |", workers, up.took.Seconds(), memory/1e6, down.took.Seconds())
			grown.by(workers+1, map[string]float64{"up": up.took.Seconds(), "memory": float64(memory), "down": down.took.Seconds()})
		}
	})
	t.Run("labs", func(t *testing.T) {
		t.Logf("| labs begun at once | all are up, seconds | `lab pod` in all, seconds |\n|---|---|---|")
		grown := &growth{T: t}
		for _, count := range []int{1, 3} {
			labs := make([]*lab, count)
			for i := range labs {
				labs[i] = newLab(t, fmt.Sprintf("e2e-bench-%d", i), nil)
			}
			up, chapter := atOnce(labs, "up", "--no-images"), atOnce(labs, "lab", "pod/nginx")
			t.Logf("| %d | %.1f | %.1f |", count, up.Seconds(), chapter.Seconds())
			grown.by(count, map[string]float64{"up": up.Seconds(), "lab": chapter.Seconds()})
			for _, l := range labs {
				l.removeEverything()
			}
		}
	})
	t.Run("pods", func(t *testing.T) { podsGrow(t) })
}

// atOnce runs hellolab in several labs at the same time, until all are done.
func atOnce(labs []*lab, args ...string) time.Duration {
	start := time.Now()
	var work sync.WaitGroup
	for _, l := range labs {
		work.Go(func() {
			if done := l.run(args...); done.status != 0 {
				l.Errorf("%v ends with %d", args, done.status)
			}
		})
	}
	work.Wait()
	return time.Since(start)
}

// podsGrow looks at a lab of many pods, which wait for a gate that nobody opens: a node takes 110 that run.
func podsGrow(t *testing.T) {
	l := newLab(t, "e2e-bench", nil)
	l.must("up", "--no-images")
	l.must("lab", "pod/nginx")
	file := filepath.Join(l.folder, "saved.yaml")
	commands := [][]string{{"lab", "check", "pod/nginx"}, {"lab", "save", "--force", file}, {"why", "pod/nginx-pod"}, {"status"}}
	t.Logf("| pods | `lab check`, seconds, MB | `lab save` | `why` | `status` |\n|---|---|---|---|---|")
	grown, there := &growth{T: t}, 0
	for _, count := range []int{250, 500, 1000} {
		for ; there < count; there += 250 {
			l.apply(gatedPods(there, 250))
		}
		row, numbers := fmt.Sprintf("| %d |", count), map[string]float64{}
		for _, args := range commands {
			took, memory := l.costs(args...)
			row += fmt.Sprintf(" %.2f, %d |", took.Seconds(), memory/1e6)
			what := strings.Join(args, " ")
			numbers[what], numbers["memory of "+what] = took.Seconds(), float64(memory)
		}
		t.Log(row)
		grown.by(count, numbers)
	}
}

// gatedPods are pods that no node takes.
func gatedPods(first, count int) string {
	var pods []string
	for i := range count {
		pods = append(pods, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: many-%d, namespace: default, labels: {app: many}}\n"+
			"spec:\n  schedulingGates: [{name: example.org/nobody}]\n  containers: [{name: web, image: nginx}]\n", first+i))
	}
	return strings.Join(pods, "---\n")
}

// costs is how long a command takes, the median of rounds, and the most memory that it had, in bytes.
func (l *lab) costs(args ...string) (time.Duration, int64) {
	l.Helper()
	var times []time.Duration
	var memory int64
	for range rounds {
		command := l.command(args...)
		done := l.wait(command)
		if done.status != 0 {
			l.Fatalf("%v ends with %d", args, done.status)
		}
		times = append(times, done.took)
		memory = max(memory, command.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
	}
	return median(times), memory
}

// growth compares what something takes with the smallest that was measured of it.
type growth struct {
	*testing.T
	count   int
	numbers map[string]float64
}

// slack is for what two equal runs differ on a machine of two cores.
const slack = 1.25

func (g *growth) by(count int, numbers map[string]float64) {
	g.Helper()
	if g.numbers == nil {
		g.count, g.numbers = count, numbers
		return
	}
	for what, number := range numbers {
		if times, most := number/g.numbers[what], float64(count)/float64(g.count); times > most*slack {
			g.Errorf("%s: %d take %.1f times what %d take", what, count, times, g.count)
		}
	}
}
