package mirror

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sync/errgroup"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/idle"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// answerWithin is how long a place may take to say whether it has an image, where there are others.
const answerWithin = 3 * time.Second

// Fetcher gets images that the Docker Engine lacks.
type Fetcher struct {
	docker *client.Client
	story  *progress.Progress
	config Config

	// within bounds the question who has an image.
	within  time.Duration
	mutex   sync.Mutex
	answers map[string]answer // by image
	silent  map[string]bool   // hosts that did not answer in time
	told    map[string]bool   // hosts of which it was said why they are passed over
}

// New returns a fetcher that looks where config says.
func New(docker *client.Client, story *progress.Progress, config Config) *Fetcher {
	return &Fetcher{docker: docker, story: story, config: config, within: answerWithin,
		answers: map[string]answer{}, silent: map[string]bool{}, told: map[string]bool{}}
}

// With is a fetcher that looks where config says, and knows which hosts were silent.
func (f *Fetcher) With(config Config) *Fetcher {
	if reflect.DeepEqual(config, f.config) {
		return f
	}
	other := New(f.docker, f.story, config)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	maps.Copy(other.silent, f.silent)
	maps.Copy(other.told, f.told)
	return other
}

// answer is what is known of where an image can be had.
type answer struct {
	// places may give it, the best first: those that say that they have it, and then those that have said nothing.
	places []place
	// have is how many of places say so.
	have int
	// refusals are from the others.
	refusals []refusal
}

// refusal is why a place does not give an image.
type refusal struct {
	place
	why error
}

// Survey asks who has each of the images that the engine lacks, all at the same time, so that it is known when they are wanted.
// It takes 3 s at most.
func (f *Fetcher) Survey(ctx context.Context, images ...string) {
	work, ctx := errgroup.WithContext(ctx)
	for _, image := range images {
		work.Go(func() error {
			if found, err := engine.Find(ctx, f.docker, image); err == nil && found == nil {
				f.ask(ctx, image)
			}
			return nil
		})
	}
	_ = work.Wait() // each failure is told where the image is wanted
}

// Unreachable lists the registries that were asked for images, and gave none, while mirrors of theirs did.
func (f *Fetcher) Unreachable() (upstreams []string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, answer := range f.answers {
		if answer.have == 0 {
			continue
		}
		away := slices.Clone(answer.places[answer.have:])
		for _, refusal := range answer.refusals {
			if !answered(refusal.why) {
				away = append(away, refusal.place)
			}
		}
		for _, place := range away {
			if place.origin && !slices.Contains(upstreams, place.host) {
				upstreams = append(upstreams, place.host)
			}
		}
	}
	slices.Sort(upstreams)
	return upstreams
}

// ask finds out who has an image, within a limit; a second time it knows. It does not wait for a place that comes after
// one which has the image. Where the origin says that there is no image of that tag, it is believed: a mirror might have another one.
func (f *Fetcher) ask(ctx context.Context, image string) (answer, error) {
	f.mutex.Lock()
	known, found := f.answers[image]
	f.mutex.Unlock()
	if found {
		return known, nil
	}
	places, err := f.config.places(image)
	if err != nil {
		return answer{}, err
	}
	asking, cancel := context.WithTimeout(ctx, f.within)
	defer cancel()
	said := make([]chan error, len(places))
	for i, place := range places {
		said[i] = make(chan error, 1)
		go func() { said[i] <- f.has(asking, place) }()
	}
	var result answer
	var quiet []place
	for i, place := range places {
		err := sayingOf(said[i], result.have > 0)
		switch {
		case ctx.Err() != nil:
			return answer{}, context.Cause(ctx)
		case err == nil:
			result.places = append(result.places, place)
			result.have++
			continue
		case errors.Is(err, errNotAwaited{}):
			quiet = append(quiet, place)
			continue
		case errors.Is(err, errSilent{}):
			quiet = append(quiet, place)
			err = messages.Errorf("no answer within %s", f.within)
		default:
			result.refusals = append(result.refusals, refusal{place, err})
		}
		if place.origin && result.have == 0 && !strings.Contains(image, "@") && unknown(err) {
			quiet = nil
			break
		}
		if len(places) > 1 && result.have == 0 {
			f.notice(place, err)
		}
	}
	result.places = append(result.places, quiet...)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.answers[image] = result
	return result, nil
}

// answered reports whether a refusal is a registry's own: it can be reached, then.
func answered(err error) bool {
	said := strings.ToLower(err.Error())
	return unknown(err) || strings.Contains(said, "toomanyrequests") || strings.Contains(said, "unauthorized")
}

// unknown reports whether a registry's answer is that it has no such image, or none for this user.
func unknown(err error) bool {
	said := strings.ToLower(err.Error())
	return slices.ContainsFunc([]string{"manifest unknown", "name unknown", "access denied", "access to the resource is denied"},
		func(sign string) bool { return strings.Contains(said, sign) })
}

// errSilent is the error of a place that does not answer in time.
type errSilent struct{}

func (errSilent) Error() string { return "no answer" }

// errNotAwaited stands for the answer of a place that was not waited for.
type errNotAwaited struct{}

func (errNotAwaited) Error() string { return "not waited for" }

// sayingOf is what a place says; where enough is known, only if it has done so by now.
func sayingOf(said <-chan error, enough bool) error {
	if !enough {
		return <-said
	}
	select {
	case err := <-said:
		return err
	default:
		return errNotAwaited{}
	}
}

// notice says once why a place is passed over.
func (f *Fetcher) notice(place place, err error) {
	f.mutex.Lock()
	told := f.told[place.host]
	f.told[place.host] = true
	f.mutex.Unlock()
	if !told {
		f.story.Say(messages.T("%s is passed over: %s", place.host, err))
	}
}

// has asks the engine whether it can get an image from a place: it is the one that will pull, through its own network, mirrors and
// proxies. A host that was silent once is not waited for again.
func (f *Fetcher) has(ctx context.Context, place place) error {
	f.mutex.Lock()
	silent := f.silent[place.host]
	f.mutex.Unlock()
	if silent {
		return errSilent{}
	}
	_, err := f.docker.DistributionInspect(ctx, place.image, login(place.image))
	if err == nil || ctx.Err() == nil {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		f.silent[place.host] = true
	}
	return errSilent{}
}

// login is what `docker login` has left for a place, as the engine wants it, or "".
func login(image string) string {
	ref, err := name.ParseReference(image)
	if err != nil {
		return ""
	}
	found, err := authn.DefaultKeychain.Resolve(ref.Context())
	if err != nil || found == authn.Anonymous {
		return ""
	}
	auth, err := found.Authorization()
	if err != nil {
		return ""
	}
	encoded, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: auth.Username, Password: auth.Password, Auth: auth.Auth,
		IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken, ServerAddress: ref.Context().RegistryStr()})
	if err != nil {
		return ""
	}
	return encoded
}

// Ensure gets an image into the engine unless that holds it, as a step of the story, and returns the name that containers can be
// created with, see [engine.Find].
func (f *Fetcher) Ensure(ctx context.Context, image string) (string, error) {
	found, err := engine.Find(ctx, f.docker, image)
	if err != nil {
		return "", err
	}
	if found != nil {
		return found.Name, nil
	}
	step := f.story.Start(messages.T("pulling %s", tagged(image)))
	err = f.intoEngine(ctx, image, step.Detail)
	step.End(err)
	if err != nil {
		return image, err
	}
	if found, err = engine.Find(ctx, f.docker, image); err == nil && found == nil {
		err = messages.Errorf("the Docker Engine has lost the image %s", image)
	}
	if err != nil {
		return image, err
	}
	return found.Name, nil
}

// intoEngine has the engine pull an image. What it cannot get, this program may, by another way through the network.
func (f *Fetcher) intoEngine(ctx context.Context, image string, detail func(messages.Text)) error {
	pulling := f.Pull(ctx, image, detail)
	if pulling == nil || ctx.Err() != nil {
		return pulling
	}
	architecture, err := engine.Architecture(ctx, f.docker)
	if err != nil {
		return err
	}
	fetched, err := f.fetch(ctx, image, architecture)
	if err == nil {
		err = f.Load(ctx, image, fetched, detail)
	}
	if err != nil {
		return f.unavailable(image, pulling, err)
	}
	return nil
}

// Load puts an image into the engine: under its tag, or under one that stands for its digest.
func (f *Fetcher) Load(ctx context.Context, image string, fetched v1.Image, detail func(messages.Text)) error {
	named := engine.PinnedTag(image)
	if named == "" {
		named = image
	}
	tag, err := name.NewTag(named)
	if err != nil {
		return err
	}
	archive, into := io.Pipe()
	updates := make(chan v1.Update, 16)
	go func() {
		into.CloseWithError(tarball.Write(tag, fetched, into, tarball.WithProgress(updates)))
		close(updates)
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for update := range updates {
			if update.Total > 0 {
				detail(messages.Percent(float64(update.Complete) / float64(update.Total)))
			}
		}
	}()
	err = engine.Load(ctx, f.docker, archive)
	archive.CloseWithError(cmp.Or(err, io.ErrClosedPipe)) // what is left is not wanted
	<-done
	return err
}

// Pull has the engine pull an image from the first place that gives it: places that send too little are left while there are others,
// and waited for where there are none. The image has its own name then, wherever it came from.
func (f *Fetcher) Pull(ctx context.Context, image string, detail func(messages.Text)) error {
	if there, err := f.pulledByHand(ctx, image); err != nil || there {
		return err
	}
	answer, err := f.ask(ctx, image)
	if err != nil {
		return err
	}
	refusals := slices.Clone(answer.refusals)
	places := answer.places
	if len(places) == 0 { // the engine may refuse to look, and pull all the same
		for _, refusal := range refusals {
			if refusal.origin {
				places = append(places, refusal.place)
			}
		}
		refusals = slices.DeleteFunc(refusals, func(refusal refusal) bool { return refusal.origin })
	}
	for impatient := len(places) > 1; ; impatient = false {
		var slow []place
		for _, place := range places {
			err := engine.Pull(ctx, f.docker, place.image, engine.PullOptions{Login: login(place.image), Impatient: impatient,
				Progress: func(share float64) { detail(messages.Percent(share)) }, Say: f.story.Say})
			switch {
			case err == nil:
				f.mutex.Lock()
				delete(f.answers, image) // it is not missing any more
				f.mutex.Unlock()
				return f.rename(ctx, image, place)
			case ctx.Err() != nil:
				return err
			case impatient && engine.Stalled(err):
				slow = append(slow, place)
			default:
				refusals = append(refusals, refusal{place, errors.Unwrap(err)})
			}
			if impatient {
				f.notice(place, errors.Unwrap(err))
			}
		}
		if places = slow; len(places) == 0 {
			return refused(refusals)
		}
	}
}

// pulledByHand reports whether the engine has an image under the name that it has at a mirror. It gets its own name then, too. (One with
// a digest is found by that.)
func (f *Fetcher) pulledByHand(ctx context.Context, wanted string) (bool, error) {
	places, err := f.config.places(wanted)
	if err != nil || strings.Contains(wanted, "@") {
		return false, err
	}
	for _, place := range places {
		if place.origin {
			continue
		}
		found, err := engine.Find(ctx, f.docker, place.image)
		if err != nil {
			return false, err
		}
		if found != nil {
			return true, f.docker.ImageTag(ctx, place.image, wanted)
		}
	}
	return false, nil
}

// rename gives an image that was pulled from a mirror its own name; with a digest, it is found by that.
func (f *Fetcher) rename(ctx context.Context, wanted string, from place) error {
	if from.origin {
		return nil
	}
	f.story.Say(messages.T("%s comes from %s", tagged(wanted), from.host))
	if strings.Contains(wanted, "@") {
		return nil
	}
	if err := f.docker.ImageTag(ctx, from.image, wanted); err != nil {
		return err
	}
	_, err := f.docker.ImageRemove(ctx, from.image, image.RemoveOptions{}) // it has two names, and this one is removed
	return err
}

// refused is the error for an image that no place gives.
func refused(refusals []refusal) error {
	if len(refusals) == 1 && refusals[0].origin {
		return refusals[0].why
	}
	var all []error
	for _, refusal := range refusals {
		all = append(all, messages.Errorf("%s", refusal.host).Because(refusal.why))
	}
	return errors.Join(all...)
}

// Fetch gets an image for an architecture, named as Go does, into this program. pulling is why the engine does not get it.
func (f *Fetcher) Fetch(ctx context.Context, image, architecture string, pulling error) (v1.Image, error) {
	fetched, err := f.fetch(ctx, image, architecture)
	if err != nil {
		return nil, f.unavailable(image, pulling, err)
	}
	return fetched, nil
}

func (f *Fetcher) fetch(ctx context.Context, image, architecture string) (v1.Image, error) {
	places, err := f.config.places(image)
	if err != nil {
		return nil, err
	}
	var refusals []refusal
	for _, place := range places {
		ref, err := name.ParseReference(place.image)
		if err != nil {
			return nil, err
		}
		fetched, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
			remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}),
			remote.WithTransport(f.transport(len(places) > 1)), remote.WithRetryBackoff(remote.Backoff{Duration: time.Second, Factor: 1, Steps: 2}))
		if err == nil {
			return fetched, nil
		}
		refusals = append(refusals, refusal{place, err})
	}
	return nil, refused(refusals)
}

// transport fails soon where nothing responds, sooner where there are other places: the engine has tried before, for as long as it
// does. The bodies of responses may take their time, as long as something arrives.
func (f *Fetcher) transport(impatient bool) *http.Transport {
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.TLSHandshakeTimeout = 10 * time.Second
	transport.ResponseHeaderTimeout = 30 * time.Second
	if impatient {
		transport.TLSHandshakeTimeout, transport.ResponseHeaderTimeout = answerWithin, answerWithin
	}
	return idle.Limit(transport, 2*time.Minute)
}

// unavailable is the error for an image that neither the engine nor this program gets. The engine's reasons come first: its mirrors
// and its proxy are the ones to correct. It names every image that nobody has been found for.
func (f *Fetcher) unavailable(image string, pulling, fetching error) error {
	cause := fetching
	if pulling != nil {
		cause = errors.Join(through(messages.T("through Docker"), pulling), through(messages.T("directly"), fetching))
	}
	missing := []string{tagged(image)}
	f.mutex.Lock()
	for other, answer := range f.answers {
		if other != image && answer.have == 0 {
			missing = append(missing, tagged(other))
		}
	}
	f.mutex.Unlock()
	slices.Sort(missing[1:])
	failure := messages.Errorf("neither on this machine nor to be pulled: %s", missing).Because(cause)
	failure.Hint = engine.PullHint(image, cause)
	return failure
}

// through says of each failure by what way it happened.
func through(way messages.Text, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return messages.Errorf("%s", way).Because(err)
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, messages.Errorf("%s", way).Because(one))
	}
	return errors.Join(all...)
}

// tagged is an image's name without its digest.
func tagged(image string) string {
	name, _, _ := strings.Cut(image, "@")
	return name
}
