package await_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/messages"
)

// stream is a watch.
type stream chan watch.Event

func (s stream) ResultChan() <-chan watch.Event { return s }

func (s stream) Stop() {}

// open gives a watch of what the test sends, which ends with its context, as the API server's do.
func open(ctx context.Context, sent <-chan watch.Event) stream {
	events := make(stream)
	go func() {
		defer close(events)
		for {
			select {
			case <-ctx.Done():
				return
			case event, more := <-sent:
				if !more {
					return
				}
				events <- event
			}
		}
	}()
	return events
}

// TestWatches holds that there is a check at once, one behind the opened watch (what changed in between told nobody),
// and one for every event; and none without.
func TestWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int64
		var enough atomic.Bool
		events, ended := make(chan watch.Event), make(chan error, 1)
		go func() {
			ended <- await.Watches(t.Context(), func(context.Context) (bool, error) {
				checks.Add(1)
				return enough.Load(), nil
			}, func(ctx context.Context) (watch.Interface, error) { return open(ctx, events), nil })
		}()
		look := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			if checks.Load() != want {
				t.Errorf("%s there were %d checks, want %d", when, checks.Load(), want)
			}
		}
		look("at the start", 2)
		time.Sleep(time.Hour)
		look("after an hour without events", 2)
		events <- watch.Event{}
		look("after an event", 3)
		enough.Store(true)
		events <- watch.Event{}
		look("after another event", 4)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestWatchesLoseNoEvent holds that events which come while a check runs lead to another check, and only to one.
func TestWatchesLoseNoEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		events := make(chan watch.Event)
		go func() {
			time.Sleep(90 * time.Second) // in the second check
			events <- watch.Event{}
			events <- watch.Event{}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		checks, start := 0, time.Now()
		err := await.Watches(ctx, func(context.Context) (bool, error) {
			checks++
			last := time.Since(start)
			time.Sleep(time.Minute)
			if checks == 3 && last != 2*time.Minute {
				t.Errorf("the third check came after %s", last)
			}
			return false, nil
		}, func(ctx context.Context) (watch.Interface, error) { return open(ctx, events), nil })
		if !errors.Is(err, context.DeadlineExceeded) || checks != 3 {
			t.Errorf("there were %d checks, want 3: %v", checks, err)
		}
	})
}

// TestWatchesOpenAgain holds that a watch which breaks, or cannot be opened, is opened again.
func TestWatchesOpenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := make(chan watch.Event)
		close(broken)
		var opened atomic.Int64
		start := time.Now()
		err := await.Watches(t.Context(), func(context.Context) (bool, error) { return opened.Load() == 5, nil },
			func(ctx context.Context) (watch.Interface, error) {
				if opened.Add(1)%2 == 0 {
					return nil, errors.New("the API server restarts")
				}
				return open(ctx, broken), nil
			})
		if took := time.Since(start); err != nil || took != 400*time.Millisecond {
			t.Errorf("it took %s and %d watches: %v", took, opened.Load(), err)
		}
	})
}

// TestChanges holds that there are checks without any event, too, and that one which fails is not believed.
func TestChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		checks, start := 0, time.Now()
		err := await.Changes(t.Context(), await.Every(200*time.Millisecond), func(context.Context) (bool, error) {
			checks++
			if checks == 2 {
				return true, errors.New("not now")
			}
			return checks == 4, nil
		})
		if took := time.Since(start); err != nil || took != 600*time.Millisecond {
			t.Errorf("it took %s and %d checks: %v", took, checks, err)
		}
	})
}

// TestTooLate holds that a failure tells why the wait ended, and what the last check or try said.
func TestTooLate(t *testing.T) {
	t.Parallel()
	late, last := messages.Errorf("not done within 3 s"), errors.New("connection refused")
	quiet := func(ctx context.Context) (watch.Interface, error) { return open(ctx, nil), nil }
	for _, test := range []struct {
		name string
		wait func(context.Context) error
		want string
	}{
		{"a check that fails", func(ctx context.Context) error {
			return await.Watches(ctx, func(context.Context) (bool, error) { return false, last }, quiet)
		}, "not done within 3 s\nconnection refused"},
		{"a check that is not met", func(ctx context.Context) error {
			return await.Changes(ctx, await.Every(time.Hour), func(context.Context) (bool, error) { return false, nil }, quiet)
		}, "not done within 3 s"},
		{"a try", func(ctx context.Context) error {
			return await.Poll(ctx, messages.T("the registry does not answer"), func(context.Context) error { return last })
		}, "the registry does not answer: not done within 3 s\nconnection refused"},
		{"a try without a name", func(ctx context.Context) error {
			return await.Poll(ctx, messages.Text{}, func(context.Context) error { return last })
		}, "not done within 3 s\nconnection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, late)
				defer cancel()
				start := time.Now()
				err := test.wait(ctx)
				if err == nil || (messages.Printer{}).Error(err) != test.want {
					t.Errorf("the failure is %v, want %s", err, test.want)
				}
				if !errors.Is(err, late) {
					t.Error("the failure does not hold its cause")
				}
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("it came after %s", took)
				}
			})
		})
	}
}

// TestPoll holds that the first try comes at once, and that nothing is tried after one that succeeded.
func TestPoll(t *testing.T) {
	t.Parallel()
	for needed, want := range map[int]time.Duration{1: 0, 2: 100 * time.Millisecond, 4: 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			tries, start := 0, time.Now()
			err := await.Poll(t.Context(), messages.T("it fails"), func(context.Context) error {
				if tries++; tries < needed {
					return errors.New("not yet")
				}
				return nil
			})
			if took := time.Since(start); err != nil || tries != needed || took != want {
				t.Errorf("%d tries took %s, want %d and %s: %v", tries, took, needed, want, err)
			}
		})
	}
}
