package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/bundle"
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// bundled is a bundle's file.
type bundled struct {
	File   string `json:"file"`
	Digest string `json:"digest"`
	// Size in bytes.
	Size int64 `json:"size"`
}

// bundleSave writes a bundle of everything that a lab is made from.
func (p *program) bundleSave(c *cli.Context) error {
	path := c.Args().First()
	if _, err := os.Stat(path); err == nil && !c.Bool("force") {
		return messages.Usagef("%s is there already", path).WithHint("to overwrite it: --force")
	}
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	own, err := engine.Architecture(c.Context, s.docker)
	if err != nil {
		return err
	}
	architectures, err := platforms(c.StringSlice("platform"), own)
	if err != nil {
		return err
	}
	builder := p.builder(s)
	digest, err := bundle.Save(c.Context, p.story, s.lab.Images(), bundle.Content{
		Images:        append(s.lab.Settings().Images(), s.config.Images.Builder),
		Architectures: architectures,
		Engine:        own,
		Course: func(ctx context.Context, architecture string) (all []bundle.Image, err error) {
			made, err := builder.Make(ctx, images.Tags(), architecture)
			for name, image := range made {
				all = append(all, bundle.Image{Name: name, Architecture: architecture, Image: image})
			}
			return all, err
		},
	}, path)
	if err != nil {
		return err
	}
	about, err := os.Stat(path)
	if err != nil {
		return err
	}
	file := bundled{path, digest, about.Size()}
	return p.print(c, file, func() string {
		return progress.Table([][]string{{p.say("file"), file.File}, {p.say("digest"), file.Digest}, {p.say("size"), strconv.FormatInt(file.Size/1e6, 10) + " MB"}})
	})
}

// platforms are the architectures that a user names as "linux/arm64", each once, or the engine's own.
func platforms(named []string, own string) (architectures []string, err error) {
	for _, name := range named {
		architecture := strings.TrimPrefix(name, "linux/")
		if !slices.Contains([]string{"amd64", "arm64"}, architecture) {
			return nil, messages.Usagef("--platform: a lab's nodes cannot be %q", name).WithHint("linux/amd64 or linux/arm64, or both")
		}
		if !slices.Contains(architectures, architecture) {
			architectures = append(architectures, architecture)
		}
	}
	if len(architectures) == 0 {
		architectures = []string{own}
	}
	return architectures, nil
}

// bundleLoad takes a bundle's images.
func (p *program) bundleLoad(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	loaded, err := p.load(c.Context, s, c.Args().First())
	if err != nil {
		return err
	}
	p.story.Say(messages.T("this machine has all that a lab needs; to start one: %s", messages.Hellolab("up")))
	return p.printList(c, loaded)
}

// load takes a bundle's images into the engine, and the course's programs to where builds find them.
func (p *program) load(ctx context.Context, s session, path string) ([]string, error) {
	own, err := engine.Architecture(ctx, s.docker)
	if err != nil {
		return nil, err
	}
	return bundle.Load(ctx, p.story, path, own, target{s, p.builder(s)})
}

// target is where a bundle's images go.
type target struct {
	session
	builder *images.Builder
}

func (t target) Has(ctx context.Context, image string) (bool, error) {
	found, err := engine.Find(ctx, t.docker, image)
	return found != nil, err
}

func (t target) Keep(image v1.Image) (bool, error) { return t.builder.Keep(image) }

func (t target) Load(ctx context.Context, image string, loaded v1.Image, detail func(messages.Text)) error {
	return t.lab.Images().Load(ctx, image, loaded, detail)
}

// bundleServe gives a bundle to a class, until Ctrl-C.
func (p *program) bundleServe(c *cli.Context) error {
	if _, err := p.configure(c); err != nil { // for the commands that it says
		return err
	}
	path := c.Args().First()
	digest, err := bundle.Digest(path)
	if err != nil {
		return messages.Usagef("the bundle cannot be read").Because(err).WithHint("name a file that %s wrote", messages.Hellolab("bundle", "save").Usage("FILE"))
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(c.String("address"), strconv.Itoa(c.Int("port"))))
	if err != nil {
		return messages.Errorf("the bundle cannot be served").Because(err).
			WithHint("choose another port: %s", messages.Hellolab("bundle", "serve", path).Usage("--port N"))
	}
	addresses := served(listener.Addr().(*net.TCPAddr))
	p.story.Say(messages.T("%s (%s) is served until Ctrl-C; in the class: %s", path, digest,
		messages.Hellolab("up").Usage("--from "+addresses[0])))
	if err := p.printList(c, addresses); err != nil {
		return err
	}
	return bundle.Serve(c.Context, listener, path, digest)
}

// served lists the addresses that others reach a listener at: those of this machine's networks, or the one that it listens at.
func served(at *net.TCPAddr) (urls []string) {
	url := func(ip net.IP) string { return "http://" + net.JoinHostPort(ip.String(), strconv.Itoa(at.Port)) }
	if !at.IP.IsUnspecified() {
		return []string{url(at.IP)}
	}
	addresses, _ := net.InterfaceAddrs()
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			urls = append(urls, url(network.IP))
		}
	}
	if len(urls) == 0 {
		urls = []string{url(net.IPv4(127, 0, 0, 1))}
	}
	return urls
}

// loadFrom takes the images of the bundle that a server gives.
func (p *program) loadFrom(ctx context.Context, s session, server string) error {
	if server == "" {
		return nil
	}
	missing := false
	for _, image := range s.lab.Settings().Images() {
		found, err := engine.Find(ctx, s.docker, image)
		if err != nil {
			return err
		}
		missing = missing || found == nil
	}
	if !missing {
		return nil
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	path, err := bundle.Download(ctx, p.story, server, filepath.Join(caches, "hellolab", "bundle"))
	if err != nil {
		return err
	}
	if _, err := p.load(ctx, s, path); err != nil {
		return err
	}
	return os.Remove(path)
}
