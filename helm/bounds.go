package helm

import (
	"runtime/metrics"
	"sync"
	"time"

	"github.com/hellolab/hellolab/messages"
)

// bounds are what a chart's templates may take: a chart is somebody else's, and what its templates repeat need not come to
// an end.
type bounds struct {
	time   time.Duration
	memory uint64 // bytes
}

// usual bounds are far above what any chart needs. Go ends a program whose stack takes 1 GiB.
func usual() bounds { return bounds{10 * time.Second, 768 << 20} }

// watch is how often memory is looked at: as long as it takes to fill some 100 MiB.
const watch = 10 * time.Millisecond

// within does work that templates decide the end of, until it calls over, and waits for the rest of it without bounds. Nothing
// can end the work that goes beyond them, so the caller has to end the program then.
func (b bounds) within(work func(over func()) error) error {
	ended, over := make(chan error, 1), make(chan struct{})
	go func() { ended <- work(sync.OnceFunc(func() { close(over) })) }()
	deadline, tick, before := time.After(b.time), time.NewTicker(watch), inUse()
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-over:
			return <-ended
		case <-deadline:
			return messages.Errorf("the chart's templates take longer than %s", b.time)
		case <-tick.C:
			if now := inUse(); now > before+b.memory {
				return messages.Errorf("the chart's templates take more than %v MiB of memory", b.memory>>20)
			}
		}
	}
}

// inUse is the memory that Go has got from the system and holds something in, in bytes.
func inUse() uint64 {
	sample := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(sample)
	return sample[0].Value.Uint64() - sample[1].Value.Uint64() - sample[2].Value.Uint64()
}
