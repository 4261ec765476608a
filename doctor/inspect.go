package doctor

import (
	"context"
	"runtime"
	"time"

	"github.com/hellolab/hellolab/messages"
)

// patience is how long the look at a part may take. All are looked at together, and `doctor` is to end within 3 s.
const patience = 2500 * time.Millisecond

// probe looks at a part of a machine. It returns what it saw as a change of Machine, so that one which is late changes
// nothing.
type probe struct {
	part messages.Text
	// early says that `up` looks there before it makes anything.
	early bool
	look  func(context.Context, Place) func(*Machine)
}

func probes() []probe {
	return []probe{
		{messages.T("the Docker Engine"), true, lookAtEngine},
		{messages.T("the folders for temporary files"), true, lookAtFolders},
		{messages.T("the limits of the system"), true, lookAtKernel},
		{messages.T("the network"), true, lookAtNetwork},
		{messages.T("kubectl's configuration"), true, lookAtKubectl},
		{messages.T("the docker command"), false, lookAtDockerCommand},
		{messages.T("Go"), false, lookAtGo},
	}
}

// Inspect looks at a machine, all parts at the same time, and takes no longer than some seconds whatever hangs.
func Inspect(ctx context.Context, place Place) Machine {
	return inspect(ctx, place, probes(), patience)
}

// InspectEarly looks just at what `up` has to know before it makes anything.
func InspectEarly(ctx context.Context, place Place) Machine {
	var early []probe
	for _, one := range probes() {
		if one.early {
			early = append(early, one)
		}
	}
	return inspect(ctx, place, early, patience)
}

func inspect(ctx context.Context, place Place, all []probe, limit time.Duration) Machine {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	seen := Machine{System: runtime.GOOS, Getenv: place.Getenv, Now: time.Now(), Lab: place.Lab}
	type result struct {
		index int
		apply func(*Machine)
	}
	results := make(chan result, len(all))
	for i, one := range all {
		go func() { results <- result{i, one.look(ctx, place)} }()
	}
	waiting := make(map[int]bool, len(all))
	for i := range all {
		waiting[i] = true
	}
	grace := time.After(limit + limit/10) // for those that notice the end of ctx themselves
	for len(waiting) > 0 {
		select {
		case seenThere := <-results:
			delete(waiting, seenThere.index)
			seenThere.apply(&seen)
		case <-grace:
			for i, one := range all {
				if waiting[i] {
					seen.Late = append(seen.Late, one.part)
				}
			}
			return seen
		}
	}
	return seen
}
