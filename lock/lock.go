// Package lock keeps programs of one user from doing the same thing at the same time, by locked files, and tells who has
// a lock. A lock falls with its process, however that ends.
package lock

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/shirou/gopsutil/v4/process"

	"github.com/hellolab/hellolab/messages"
)

// retryEvery is how often a lock is tried again: files tell nobody when they are unlocked.
const retryEvery = 50 * time.Millisecond

// Try takes the lock of a name, or returns nil where another process has it.
func Try(name string) (unlock func(), err error) {
	return take(name, (*flock.Flock).TryLock)
}

// Within takes the lock of a name, or returns nil where another process has it for longer than the limit. It fails where ctx
// ends before.
func Within(ctx context.Context, limit time.Duration, name string) (unlock func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	unlock, err = take(name, func(file *flock.Flock) (bool, error) {
		locked, err := file.TryLockContext(waiting, retryEvery)
		if !locked && waiting.Err() != nil {
			return false, nil
		}
		return locked, err
	})
	if unlock == nil && err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return unlock, err
}

func take(name string, lock func(*flock.Flock) (bool, error)) (unlock func(), err error) {
	path := file(name)
	held := flock.New(path)
	locked := false
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		locked, err = lock(held)
	}
	if err != nil {
		return nil, messages.Errorf("the lab's lock file cannot be written").Because(err).
			WithHint("%s says why, and what to do", messages.Hellolab("doctor"))
	}
	if !locked {
		return nil, nil
	}
	// beside the lock, since Windows lets nobody read a locked file; without it, the holder is not named
	_ = os.WriteFile(path+".pid", []byte(strconv.Itoa(os.Getpid())), 0o644)
	return func() { held.Unlock() }, nil
}

// file is where a lock lies: in the user's cache folder, or the one for temporary files where there is none.
func file(name string) string {
	caches, err := os.UserCacheDir()
	if err != nil {
		caches = os.TempDir()
	}
	return filepath.Join(caches, "hellolab", name+".lock")
}

// Holder is the process that has a lock.
type Holder struct {
	PID int
	// Command is what was typed to start it.
	Command string
	Since   time.Time
	// Suspended is one that does nothing until it is continued, after Ctrl-Z for example.
	Suspended bool
}

// Find returns the process that has the lock of a name, where it can be told.
func Find(ctx context.Context, name string) (Holder, bool) {
	content, err := os.ReadFile(file(name) + ".pid")
	if err != nil {
		return Holder{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return Holder{}, false
	}
	found, err := process.NewProcessWithContext(ctx, int32(pid))
	if err != nil { // it has just ended
		return Holder{}, false
	}
	words, err := found.CmdlineSliceWithContext(ctx)
	if err != nil || len(words) == 0 {
		return Holder{}, false
	}
	words[0] = strings.TrimSuffix(filepath.Base(words[0]), ".exe")
	holder := Holder{PID: pid, Command: strings.Join(words, " ")}
	if created, err := found.CreateTimeWithContext(ctx); err == nil {
		holder.Since = time.UnixMilli(created)
	}
	states, _ := found.StatusWithContext(ctx) // Windows has none
	for _, state := range states {
		holder.Suspended = holder.Suspended || state == process.Stop
	}
	return holder, true
}

// Busy is the error for work that has to wait until another process lets go of the lock of a name.
func Busy(ctx context.Context, name string, working messages.Text) *messages.Error {
	holder, found := Find(ctx, name)
	if !found {
		return (&messages.Error{What: working}).WithHint("wait until it is done, then run the same command again")
	}
	failure := &messages.Error{What: messages.T("%s: %s (process %v, since %s)", working, holder.Command, holder.PID, holder.Since.Format("15:04:05"))}
	pid := strconv.Itoa(holder.PID)
	if holder.Suspended {
		return failure.WithHint("it is suspended (Ctrl-Z): let it go on (%s), or end it (%s); then run the same command again",
			messages.Shell("kill", "-CONT", pid), messages.Shell("kill", "-KILL", pid))
	}
	return failure.WithHint("wait until it is done, or end it (%s); then run the same command again", end(pid))
}
