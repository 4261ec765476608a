package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// Image is an image that the engine holds.
type Image struct {
	// Name that containers can be created with.
	Name string
	// ID is the engine's, and Architecture is named as Go does.
	ID, Architecture string
	// Layers are the digests of its unpacked layers, from below.
	Layers []string
	// How its containers run, unless told otherwise.
	Entrypoint, Cmd, Env []string
	User, WorkingDir     string
}

// Find returns an image of the engine's, or nil where it has none.
//
// A name with a digest stands for that content, whatever repository it was pulled from: an image that came from a mirror
// and got its usual name by docker tag has its digest under the mirror's name only, so the engine itself does not find it.
func Find(ctx context.Context, docker *client.Client, name string) (*Image, error) {
	found, err := inspect(ctx, docker, name)
	tagged, digest, pinned := strings.Cut(name, "@")
	if found == nil && err == nil && pinned {
		name = tagged
		found, err = inspect(ctx, docker, name)
		if found != nil && !slices.ContainsFunc(found.RepoDigests, func(held string) bool { return strings.HasSuffix(held, "@"+digest) }) {
			return nil, nil
		}
	}
	if found == nil {
		return nil, err
	}
	image := &Image{Name: name, ID: found.ID, Architecture: found.Architecture, Layers: found.RootFS.Layers}
	if config := found.Config; config != nil {
		image.Entrypoint, image.Cmd, image.Env = config.Entrypoint, config.Cmd, config.Env
		image.User, image.WorkingDir = config.User, config.WorkingDir
	}
	return image, nil
}

func inspect(ctx context.Context, docker *client.Client, name string) (*image.InspectResponse, error) {
	found, err := docker.ImageInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &found, nil
}

// EnsureImage pulls an image unless the engine holds it, as a step of the story. It returns the name that containers can
// be created with, see [Find].
func EnsureImage(ctx context.Context, docker *client.Client, story *progress.Progress, name string) (string, error) {
	found, err := Find(ctx, docker, name)
	if err != nil {
		return "", err
	}
	if found != nil {
		return found.Name, nil
	}
	shown, _, _ := strings.Cut(name, "@")
	step := story.Start(messages.T("pulling %s", shown))
	err = Pull(ctx, docker, name, func(share float64) { step.Detail(messages.Percent(share)) }, story.Say)
	step.End(err)
	return name, err
}

// Pull fetches an image into the engine, and reports the share that has arrived, 0 to 1. Where nothing arrives it says so, and
// gives up in the end: a mirror that is overloaded sends nothing, for ever.
func Pull(ctx context.Context, docker *client.Client, name string, progress func(share float64), say func(messages.Text)) error {
	return pull(ctx, docker, name, progress, stall{mention: 20 * time.Second, giveUp: 2 * time.Minute, say: say})
}

func pull(ctx context.Context, docker *client.Client, name string, progress func(float64), limits stall) error {
	ctx, arrived, end := limits.watch(ctx, name)
	defer end()
	stream, err := docker.ImagePull(ctx, name, image.PullOptions{})
	if err != nil {
		return pullFailed(name, stalled(ctx, err, ""))
	}
	defer stream.Close()
	var layers shares
	said := ""
	for decoder := json.NewDecoder(stream); ; {
		var message jsonmessage.JSONMessage
		switch err := decoder.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return pullFailed(name, stalled(ctx, err, said))
		case message.Error != nil: // the engine answers 200 and puts the failure inside the stream
			return pullFailed(name, message.Error)
		case message.Progress != nil && message.Status == "Downloading":
			progress(layers.add(message.ID, message.Progress.Current, message.Progress.Total))
		}
		if said = message.Status; !strings.HasPrefix(said, "Retrying") { // it says so every second
			arrived()
		}
	}
}

// stall is how long nothing of an image may arrive until that is mentioned, and until the pull is given up.
type stall struct {
	mention, giveUp time.Duration
	say             func(messages.Text)
}

// watch returns a context that ends when nothing arrives for too long; arrived is to be called when something does.
func (s stall) watch(ctx context.Context, name string) (watched context.Context, arrived, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	mention := time.AfterFunc(s.mention, func() {
		s.say(messages.T("nothing of %s has arrived for %s", name, s.mention))
	})
	giveUp := time.AfterFunc(s.giveUp, func() { cancel(errStalled{s.giveUp}) })
	arrived = func() {
		mention.Reset(s.mention)
		giveUp.Reset(s.giveUp)
	}
	return ctx, arrived, func() {
		mention.Stop()
		giveUp.Stop()
		cancel(nil)
	}
}

// errStalled is why a pull was given up.
type errStalled struct{ after time.Duration }

func (e errStalled) Error() string { return fmt.Sprintf("nothing has arrived for %s", e.after) }

// stalled is the cause of a failed pull: that nothing arrived, and what the engine said last, where it was given up.
func stalled(ctx context.Context, err error, said string) error {
	var given errStalled
	if !errors.As(context.Cause(ctx), &given) {
		return err
	}
	cause := messages.Errorf("nothing has arrived for %s", given.after)
	if said == "" {
		return cause
	}
	return cause.Because(errors.New(said))
}

func pullFailed(name string, cause error) error {
	failure := messages.Errorf("the image %s cannot be pulled", name).Because(cause)
	failure.Hint = PullHint(name, cause)
	return failure
}

// shares adds up what has arrived of each layer.
type shares map[string][2]int64

func (s *shares) add(layer string, current, total int64) float64 {
	if *s == nil {
		*s = shares{}
	}
	(*s)[layer] = [2]int64{current, total}
	var have, want int64
	for _, share := range *s {
		have, want = have+share[0], want+share[1]
	}
	if want == 0 {
		return 0
	}
	return min(1, float64(have)/float64(want)) // the size of some layers is not known
}

// pullFailures are the kinds of failure of a pull, by the words of engines, registries and Go. The first that matches
// counts: the most telling ones come first, since an image may have been looked for in two places.
func pullFailures(name string) []pullFailure {
	again, info := messages.Shell("docker", "pull", name), messages.Shell("docker", "info")
	host := "docker.io"
	if named, err := reference.ParseNormalizedNamed(name); err == nil {
		host = reference.Domain(named)
	}
	login := messages.Shell("docker", "login", host)
	return []pullFailure{
		{[]string{"no space left on device"},
			messages.T("make room on the disk (%s shows what Docker uses), then run the same command again",
				messages.Shell("docker", "system", "df"))},
		{[]string{"toomanyrequests", "too many requests"},
			messages.T("this registry limits pulls: wait an hour, or %s, then %s, then run the same command again", login, again)},
		{[]string{"invalid character '<'", "text/html"},
			messages.T("a proxy or mirror returns a web page instead of the image: correct Docker's settings (%s shows both)", info)},
		{[]string{"x509:", "certificate"},
			messages.T("Docker does not trust the certificate of the registry, or of a proxy or mirror: %s shows both", info)},
		{[]string{"unauthorized", "denied", "forbidden", "authentication required"},
			messages.T("check the image's name (%s); if it needs a login: %s, then %s, then run the same command again",
				messages.Hellolab("config"), login, again)},
		{[]string{"no such host", "server misbehaving", "name resolution", "timeout", "deadline exceeded", "connection refused",
			"connection reset", "has arrived", "network is unreachable", "no route to host", "proxyconnect", "eof"}, mirrorHint(name)},
		{[]string{"manifest unknown", "name unknown", "not found", "does not exist"},
			messages.T("check the image's name and tag: %s shows the settings", messages.Hellolab("config"))},
	}
}

type pullFailure struct {
	signs []string
	hint  messages.Text
}

// PullHint returns what to do about an image that cannot be pulled, by the kind of its failure.
func PullHint(name string, cause error) messages.Text {
	said := strings.ToLower(cause.Error())
	for _, failure := range pullFailures(name) {
		if slices.ContainsFunc(failure.signs, func(sign string) bool { return strings.Contains(said, sign) }) {
			return failure.hint
		}
	}
	return messages.T("%s shows more; when that works, run the same command again", messages.Shell("docker", "pull", name))
}

// mirrorHint is for a registry that cannot be reached: a mirror's image counts, once it has the usual name.
func mirrorHint(name string) messages.Text {
	tagged, digest, pinned := strings.Cut(name, "@")
	named, err := reference.ParseNormalizedNamed(tagged)
	if err != nil {
		return messages.Shell("docker", "pull", name).Text()
	}
	place := reference.Path(named)
	switch tag, ok := reference.TagNameOnly(named).(reference.Tagged); {
	case pinned:
		place += "@" + digest
	case ok:
		place += ":" + tag.Tag()
	}
	return messages.T("check that Docker can reach the registry, or pull from a mirror: %s, then %s; then run the same command again",
		messages.Shell("docker", "pull").Usage("MIRROR/"+place), messages.Shell("docker", "tag").Usage("MIRROR/"+place+" "+tagged))
}
