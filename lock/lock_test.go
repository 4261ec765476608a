package lock_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hellolab/hellolab/lock"
	"github.com/hellolab/hellolab/messages"
)

// TestLock holds that one has a lock at a time, that the other learns who, and that both end in time.
func TestLock(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	unlock, err := lock.Try("web")
	if err != nil || unlock == nil {
		t.Fatal(err)
	}
	if second, err := lock.Try("web"); second != nil || err != nil {
		t.Errorf("a lock that is held is taken, %v", err)
	}
	if second, err := lock.Within(t.Context(), 10*time.Millisecond, "web"); second != nil || err != nil {
		t.Errorf("a lock that is held is taken after a while, %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := lock.Within(ended, time.Minute, "web"); err == nil {
		t.Error("a wait that was interrupted does not fail")
	}
	holder, found := lock.Find(t.Context(), "web")
	if !found || holder.PID != os.Getpid() || !strings.HasPrefix(holder.Command, filepath.Base(os.Args[0])) || time.Since(holder.Since) > time.Hour || holder.Suspended {
		t.Errorf("the holder is %+v, %v", holder, found)
	}
	busy := messages.Printer{}.Report(lock.Busy(t.Context(), "web", messages.Verbatim("busy")))
	if !strings.HasPrefix(busy, "error: busy: "+holder.Command) || !strings.Contains(busy, "next: wait until it is done, or end it (") {
		t.Errorf("the report is %q", busy)
	}
	unlock()
	if again, err := lock.Try("web"); again == nil || err != nil {
		t.Errorf("a lock that was let go of cannot be taken: %v", err)
	}
}

// TestUnknownHolder holds that a lock whose holder cannot be told is reported all the same.
func TestUnknownHolder(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if holder, found := lock.Find(t.Context(), "web"); found {
		t.Errorf("nobody is %+v", holder)
	}
	want := "error: busy\nnext: wait until it is done, then run the same command again\n"
	if got := (messages.Printer{}).Report(lock.Busy(t.Context(), "web", messages.Verbatim("busy"))); got != want {
		t.Errorf("the report is %q, want %q", got, want)
	}
}
