package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/docker/docker/client"
	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"k8s.io/klog/v2"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/supply"
)

// session is what a command that needs the engine works with.
type session struct {
	// config is the lab's own where it exists, and what it would be made from where it does not.
	config configuration
	docker *client.Client
	lab    *bootstrap.Lab
}

// begin reads the configuration, connects to the Docker Engine and finds the lab there.
func (p *program) begin(c *cli.Context) (session, error) {
	config, err := p.configure(c)
	if err != nil {
		return session{}, err
	}
	return p.open(c, config)
}

// open finds the lab that the configuration names. kind's docker commands are sent to the same engine.
func (p *program) open(c *cli.Context, config configuration) (s session, err error) {
	s.config = config
	if err := p.hushKubernetes(); err != nil {
		return s, err
	}
	if s.docker, err = p.connect(c.Context); err != nil {
		return s, err
	}
	if err := p.bypassProxy(config.Bootstrap.Name + "-registry"); err != nil {
		return s, err
	}
	if s.lab, err = bootstrap.Open(c.Context, s.docker, p.story, p.log, bootstrap.Asked{Settings: config.settings(), Keys: config.asked}); err != nil {
		return s, err
	}
	s.config, err = config.of(s.lab.Settings())
	return s, err
}

// hushKubernetes has the messages of Kubernetes' client libraries, which otherwise go to stderr, be shown with -v only.
func (p *program) hushKubernetes() error {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(flags)
	klog.SetOutput(p.log.WriterLevel(logrus.DebugLevel))
	return errors.Join(flags.Set("logtostderr", "false"), flags.Set("stderrthreshold", "FATAL"))
}

// connect connects to the Docker Engine that the docker command uses, and has that use no other. Settings of the shell's that
// would have kind make other nodes than the lab's are left aside.
func (p *program) connect(ctx context.Context) (*client.Client, error) {
	for _, name := range []string{"DOCKER_DEFAULT_PLATFORM", "KIND_EXPERIMENTAL_DOCKER_NETWORK", "KIND_EXPERIMENTAL_CONTAINERD_SNAPSHOTTER"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	endpoint, err := engine.Endpoint(p.getenv)
	if err != nil {
		return nil, err
	}
	if endpoint != "" {
		if err := os.Setenv("DOCKER_HOST", endpoint); err != nil {
			return nil, err
		}
	}
	return engine.Connect(ctx, endpoint, p.story.Say)
}

// bypassProxy has the nodes reach a host without the proxy that kind tells them to use, if it does: kind takes it from
// these variables, or from the docker command's configuration, whose exceptions must not be lost then.
func (p *program) bypassProxy(host string) error {
	exceptions := p.getenv("NO_PROXY")
	if exceptions == "" {
		exceptions = p.getenv("no_proxy")
	}
	proxied := p.getenv("HTTP_PROXY")+p.getenv("http_proxy")+p.getenv("HTTPS_PROXY")+p.getenv("https_proxy") != ""
	if configured := engine.Proxies(p.getenv); configured.HTTPProxy+configured.HTTPSProxy != "" {
		proxied = true
		if exceptions == "" {
			exceptions = configured.NoProxy
		}
	}
	if !proxied {
		return nil
	}
	all := strings.Trim(exceptions+","+host, ",")
	return errors.Join(os.Setenv("NO_PROXY", all), os.Setenv("no_proxy", all))
}

// onLab is the action that does one thing with the lab that the settings name.
func (p *program) onLab(do func(*bootstrap.Lab, context.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, err := p.begin(c)
		if err != nil {
			return err
		}
		return do(s.lab, c.Context)
	}
}

// course reads the course that the configuration names, or the built-in one.
func (s session) course() (*course.Course, error) { return loadCourse(s.config) }

// readAhead begins to read the course that the user's configuration names, while the lab is looked for, and returns what has the course
// of the lab's configuration, which mostly names the same.
func readAhead(asked configuration) (of func(configuration) (*course.Course, error)) {
	var lessons *course.Course
	var failed error
	var reading sync.WaitGroup
	reading.Go(func() { lessons, failed = loadCourse(asked) })
	return func(config configuration) (*course.Course, error) {
		if config.Labs.Course != asked.Labs.Course || config.Images != asked.Images {
			return loadCourse(config)
		}
		reading.Wait()
		return lessons, failed
	}
}

// loadCourse reads the course, with the sources of the images that its steps introduce.
func loadCourse(config configuration) (*course.Course, error) {
	lessons, err := readCourse(config)
	if err != nil {
		return lessons, err
	}
	return lessons, lessons.AddSources(func(tag string) ([]course.File, error) { return sourcesOf(tag, config.Images.Builder) })
}

// sourcesOf are the files of an image of the course's, in a folder named as the image is, for readers who build it.
func sourcesOf(tag, builder string) (files []course.File, err error) {
	selected, err := images.Select([]string{tag})
	if err != nil {
		return nil, err
	}
	sources, err := selected[0].Files(builder)
	for _, file := range sources {
		files = append(files, course.File{Name: "hellok8s-" + tag + "/" + file.Name, Content: file.Content})
	}
	return files, err
}

func readCourse(config configuration) (*course.Course, error) {
	folder := config.Labs.Course
	if folder == "" {
		return course.Load(course.Embedded(), "", config.Images.Account)
	}
	root, err := os.OpenRoot(folder) // it may be somebody else's, with links to files that are not
	if err != nil {
		return nil, messages.Usagef("the course cannot be read").Because(err).WithHint("name a folder with a course: --course DIR")
	}
	defer root.Close()
	return course.Load(root.FS(), fromHere(folder), config.Images.Account)
}

// fromHere is the path of a folder as the user would name it: from the working folder on, where it lies below that.
func fromHere(folder string) string {
	here, err := os.Getwd()
	if err != nil {
		return folder
	}
	if relative, err := filepath.Rel(here, folder); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return folder
}

// supply is what the lab provides to the course; cluster may be nil where only images and charts are wanted.
func (p *program) supply(s session, cluster *kube.Cluster) *supply.Supply {
	return &supply.Supply{Lab: s.lab, Builder: p.builder(s), Account: s.config.Images.Account,
		Cluster: cluster, OpenReleases: s.lab.Releases, Say: p.story.Say}
}

// builder makes the course's images for the lab.
func (p *program) builder(s session) *images.Builder {
	builder := &images.Builder{Docker: s.docker, Story: p.story, Store: s.lab.Registry(), Images: s.lab, Config: s.config.Images,
		Lab: s.config.Bootstrap.Name, Compiler: "auto"}
	if caches, err := os.UserCacheDir(); err == nil {
		builder.Cache = filepath.Join(caches, "hellolab", "images")
	}
	return builder
}
