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
// A name with a digest stands for that content, whatever repository it was pulled from: an image that came from a mirror has its
// digest under the mirror's name only, so the engine itself does not find it. The name that is returned is one that the engine
// knows.
func Find(ctx context.Context, docker *client.Client, name string) (*Image, error) {
	found, err := inspect(ctx, docker, name)
	if found == nil && err == nil && strings.Contains(name, "@") {
		if name, err = sameContent(ctx, docker, name); name != "" {
			found, err = inspect(ctx, docker, name)
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

// sameContent returns a name of the image that a name with a digest stands for, its own without the digest if that is one, or
// "" where the engine has no such image.
func sameContent(ctx context.Context, docker *client.Client, name string) (string, error) {
	if loaded, err := inspect(ctx, docker, PinnedTag(name)); err != nil || loaded != nil {
		return PinnedTag(name), err
	}
	tagged, digest, _ := strings.Cut(name, "@")
	all, err := docker.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return "", err
	}
	for _, candidate := range all {
		for _, held := range candidate.RepoDigests {
			if !strings.HasSuffix(held, "@"+digest) {
				continue
			}
			if named, err := inspect(ctx, docker, tagged); err == nil && named != nil && named.ID == candidate.ID {
				return tagged, nil
			}
			return held, nil
		}
	}
	return "", nil
}

// PinnedTag is a tag that says which content it stands for: "kindest/node:sha256-HEX" for kindest/node:v1@sha256:HEX. The engine
// keeps no digest of an image that was loaded from a file, so whoever loads one, and knows its digest, gives it this name.
func PinnedTag(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return ""
	}
	digested, ok := named.(reference.Digested)
	if !ok {
		return ""
	}
	return reference.FamiliarName(named) + ":" + strings.Replace(digested.Digest().String(), ":", "-", 1)
}

// Load puts an archive of images, as `docker save` writes it, into the engine.
func Load(ctx context.Context, docker *client.Client, archive io.Reader) error {
	response, err := docker.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	for decoder := json.NewDecoder(response.Body); ; {
		var message jsonmessage.JSONMessage
		switch err := decoder.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.Error != nil:
			return message.Error
		}
	}
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

// PullOptions are what a pull is told.
type PullOptions struct {
	// Login is what the engine shows the registry, as base64 of JSON; "" is nothing.
	Login string
	// Impatient gives a pull up where less than [enough] of its layers arrives within a few seconds: there are other places to
	// pull from.
	Impatient bool
	// Progress is told the share that has arrived, 0 to 1, and Say what is worth a line.
	Progress func(share float64)
	Say      func(messages.Text)
}

// enough is how many bytes have to arrive within [hurry], for a pull to go on that has other places to go to.
const (
	enough = 64 << 10
	hurry  = 3 * time.Second
)

// Pull fetches an image into the engine. Where nothing arrives it says so, and gives up in the end: a mirror that is overloaded
// sends nothing, for ever.
func Pull(ctx context.Context, docker *client.Client, name string, options PullOptions) error {
	limits := stall{mention: 20 * time.Second, giveUp: 2 * time.Minute, say: options.Say}
	if options.Impatient {
		limits.hurry = hurry
	}
	return pull(ctx, docker, name, options, limits)
}

func pull(ctx context.Context, docker *client.Client, name string, options PullOptions, limits stall) error {
	ctx, arrived, end := limits.watch(ctx, name)
	defer end()
	stream, err := docker.ImagePull(ctx, name, image.PullOptions{RegistryAuth: options.Login})
	if err != nil {
		return pullFailed(name, stalled(ctx, err, ""))
	}
	defer stream.Close()
	var layers layers
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
		case message.Progress != nil && message.Status == downloading:
			options.Progress(layers.add(message.ID, message.Progress.Current, message.Progress.Total))
		}
		said = message.Status
		arrived(&layers, message)
	}
}

// The engine's words for a layer that has not arrived.
const (
	fetching    = "Pulling fs layer"
	waiting     = "Waiting"
	downloading = "Downloading"
	retrying    = "Retrying" // and the seconds until it does, one after another
)

// stall is how long nothing of an image may arrive until that is mentioned, and until the pull is given up. hurry, if it is not
// 0, is for a pull that has somewhere else to go: until layers are there, [enough] of them has to arrive within it.
type stall struct {
	mention, giveUp, hurry time.Duration
	say                    func(messages.Text)
}

// watch returns a context that ends when too little arrives for too long; arrived is to be called with whatever the engine says.
func (s stall) watch(ctx context.Context, name string) (watched context.Context, arrived func(*layers, jsonmessage.JSONMessage), end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	mention := time.AfterFunc(s.mention, func() {
		s.say(messages.T("nothing of %s has arrived for %s", name, s.mention))
	})
	limit := s.giveUp
	if s.hurry != 0 {
		limit = s.hurry
	}
	var counted int64 // bytes, when limit was last put off
	giveUp := time.AfterFunc(limit, func() { cancel(errStalled{limit}) })
	arrived = func(of *layers, message jsonmessage.JSONMessage) {
		if strings.HasPrefix(message.Status, retrying) {
			return
		}
		mention.Reset(s.mention)
		switch have := of.heard(message); {
		case s.hurry == 0 || of.arrived():
			giveUp.Reset(s.giveUp)
		case have-counted >= enough:
			counted = have
			giveUp.Reset(s.hurry)
		}
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

// stalledError is the error for a pull that was given up.
type stalledError struct{ error }

func (s stalledError) Unwrap() error { return s.error }

// Stalled reports whether err is about a pull of which too little arrived.
func Stalled(err error) bool {
	var stalled stalledError
	return errors.As(err, &stalled)
}

// stalled is the cause of a failed pull: that nothing arrived, and what the engine said last, where it was given up.
func stalled(ctx context.Context, err error, said string) error {
	var given errStalled
	if !errors.As(context.Cause(ctx), &given) {
		return err
	}
	cause := messages.Errorf("nothing has arrived for %s", given.after)
	if given.after == hurry {
		cause = messages.Errorf("hardly anything has arrived within %s", given.after)
	}
	if said == "" {
		return stalledError{cause}
	}
	return stalledError{cause.Because(errors.New(said))}
}

func pullFailed(name string, cause error) error {
	failure := messages.Errorf("the image %s cannot be pulled", name).Because(cause)
	failure.Hint = PullHint(name, cause)
	return failure
}

// layers adds up what has arrived of each layer.
type layers struct {
	bytes   map[string][2]int64
	missing map[string]bool
}

// heard takes in what the engine says of a layer, and returns how many bytes have arrived.
func (l *layers) heard(message jsonmessage.JSONMessage) (have int64) {
	if l.missing == nil {
		l.missing = map[string]bool{}
	}
	switch message.Status {
	case fetching, waiting, downloading:
		l.missing[message.ID] = true
	default:
		delete(l.missing, message.ID)
	}
	for _, share := range l.bytes {
		have += share[0]
	}
	return have
}

// arrived reports whether all layers that the engine has spoken of are there, one at least: what takes its time then is this
// machine's disk.
func (l *layers) arrived() bool { return len(l.bytes) > 0 && len(l.missing) == 0 }

func (l *layers) add(layer string, current, total int64) float64 {
	if l.bytes == nil {
		l.bytes = map[string][2]int64{}
	}
	l.bytes[layer] = [2]int64{current, total}
	var have, want int64
	for _, share := range l.bytes {
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
			"connection reset", "has arrived", "network is unreachable", "no route to host", "proxyconnect", "eof"}, mirrorHint(host)},
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

// mirrorHint is for a registry that cannot be reached.
func mirrorHint(host string) messages.Text {
	return messages.T("check that Docker can reach %s, through the proxy of its own settings if it needs one; or take the images from a mirror: the same command with %s (in China) or %s; or from a file: %s",
		host, "--set registry.mirrors=cn", "--set registry.mirrors."+host+"=https://MIRROR", messages.Hellolab("bundle", "load").Usage("FILE"))
}
