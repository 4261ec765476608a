//go:build e2e

package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// commands at random, by how often each is drawn.
func drawn() [][]string {
	var all [][]string
	for line, times := range map[string]int{
		"status -o json": 4, "lab list": 3, "images list": 3, "kubectl get pods -A": 3, "lab check service/nodeport": 2,
		"up --no-images": 5, "start": 3, "stop": 2, "pause": 2, "resume": 3, "down": 1,
		"lab service/nodeport": 3, "lab deployment/create": 2, "lab reset": 1, "images build --builder host v1": 2, "config": 1, "ip": 1,
	} {
		for range times {
			all = append(all, strings.Fields(line))
		}
	}
	slices.SortFunc(all, slices.Compare)
	return all
}

// TestRandom has four processes run commands at random on one lab, 200 at least and for ten minutes. None hangs or breaks down, the lab can be brought up after
// them, and nothing is left when it is removed.
func TestRandom(t *testing.T) {
	long(t)
	onItsOwn(t, func(*engine) {
		l := newLab(t, "e2e-random", nil)
		l.silent = true
		scratch := filepath.Join(l.folder, "scratch")
		l.check(os.Mkdir(scratch, 0o755))
		l.env = append(l.env, "TMPDIR="+scratch)
		seed := uint64(time.Now().UnixNano())
		t.Logf("the seed is %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		var lock sync.Mutex
		next := func() []string {
			lock.Lock()
			defer lock.Unlock()
			all := drawn()
			return all[random.IntN(len(all))]
		}
		began := time.Now()
		var left atomic.Int64
		left.Store(200)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for left.Add(-1) >= 0 || time.Since(began) < 10*time.Minute {
					l.behaves(next())
				}
			})
		}
		group.Wait()
		t.Logf("%d commands in %s", 200-left.Load(), time.Since(began))
		l.silent = false
		l.must("up", "--no-images")
		l.healthy()
		l.must("down")
		for _, kind := range [][]string{{"ps", "-aq"}, {"volume", "ls", "-q"}} {
			for _, label := range []string{"io.x-k8s.kind.cluster=" + l.name, "io.github.hellolab.lab=" + l.name} {
				if found := docker(t, append(kind, "--filter", "label="+label)...); found != "" {
					t.Errorf("what is left of docker %s is %s", kind, found)
				}
			}
		}
		if found, err := os.ReadDir(scratch); err != nil || len(found) > 0 {
			t.Errorf("temporary files are left: %v, %v", found, err)
		}
	})
}

// longest is how long any command may take with three others beside it.
const longest = 8 * time.Minute

// behaves runs a command, which may fail, for others are at work, but has to say why, and what next.
func (l *lab) behaves(args []string) {
	command := l.command(args...)
	timer := time.AfterFunc(longest, func() { command.Process.Kill() })
	defer timer.Stop()
	done := l.wait(command)
	line := strings.Join(args, " ")
	l.Logf("%s: status %d after %.1fs", line, done.status, done.took.Seconds())
	switch {
	case done.took >= longest:
		l.Errorf("%s hangs", line)
	case strings.Contains(done.stderr, "goroutine "):
		l.Errorf("%s breaks down:\n%s", line, done.stderr)
	case done.status != 0 && done.status != 3 && args[0] != "kubectl" && !strings.Contains(done.stderr, "next: "):
		l.Errorf("%s ends with status %d and no next step:\n%s", line, done.status, done.stderr)
	}
}
