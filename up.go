package main

import (
	"context"
	"errors"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
	"github.com/hellolab/hellolab/supply"
)

// up starts the lab, or completes it.
func (p *program) up(c *cli.Context) error { return p.traced(c, p.bringUp) }

func (p *program) bringUp(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	obstacles := p.obstacles(c.Context, s)
	content, err := p.content(s, !c.Bool("no-images"))
	if err != nil {
		return err
	}
	if err := <-obstacles; err != nil {
		return err
	}
	if err := p.loadFrom(c.Context, s, c.String("from")); err != nil {
		return err
	}
	if err := p.translateProxies(c.Context, s.lab); err != nil {
		return err
	}
	if err := s.lab.Up(c.Context, content); err != nil {
		return err
	}
	return p.welcome(c.Context, s)
}

// start starts a lab that is there. Images of the course's that it lacks are built when a step needs them.
func (p *program) start(c *cli.Context) error { return p.traced(c, p.bringBack) }

func (p *program) bringBack(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	content, err := p.content(s, false)
	if err != nil {
		return err
	}
	if err := s.lab.Start(c.Context, content); err != nil || p.story.Steps() == 0 {
		return err
	}
	return p.welcome(c.Context, s)
}

// traced does work, and writes what took how long into the file that --trace names, also where the work has failed.
func (p *program) traced(c *cli.Context, work cli.ActionFunc) (err error) {
	path := c.String("trace")
	if path == "" {
		return work(c)
	}
	before, err := os.ReadFile(path)
	if err == nil && !progress.IsTrace(before) { // one of a try before is replaced: the same command is run again
		return messages.Usagef("%s is there already", path).WithHint("name another file for the trace")
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return messages.Usagef("the file for the trace cannot be written").Because(err).WithHint("name another file for the trace")
	}
	defer func() { err = errors.Join(err, file.Truncate(0), p.story.WriteTrace(file), file.Close()) }()
	return work(c)
}

// content is what the course puts into a lab.
func (p *program) content(s session, withImages bool) (bootstrap.Course, error) {
	lessons, err := s.course()
	if err != nil {
		return bootstrap.Course{}, err
	}
	packages, files, err := supply.Repository(lessons.Charts())
	fill := func(ctx context.Context) error {
		provided := p.supply(s, nil)
		err := provided.PushCharts(ctx, packages)
		if !withImages {
			return err
		}
		_, _, building := provided.Builder.Build(ctx, images.Tags())
		return errors.Join(err, building)
	}
	return bootstrap.Course{Fill: fill, Charts: files}, err
}

// welcome tells what there is now, and what to type first.
func (p *program) welcome(ctx context.Context, s session) error {
	settings, at := s.lab.Settings().Bootstrap, s.lab.Addresses()
	if p.story.Steps() == 0 {
		p.story.Say(messages.T("the lab %s is up already; nothing to change", settings.Name))
		if !settings.KeepContext {
			p.tellContext()
		}
		return nil
	}
	p.story.Say(messages.T("the lab %s is up; kubectl's context for it is %s", settings.Name, bootstrap.Context(settings.Name)))
	p.story.Say(messages.T("  image registry      %s", at.Registry))
	if settings.Ingress.Enabled {
		p.story.Say(messages.T("  Ingress             %s  (404 without an Ingress)", at.Ingress+"/"))
	}
	p.story.Say(messages.T("  NodePort 30000      %s  (silent without a Service)", at.NodePort+"/"))
	p.story.Say(messages.T("next: %s", p.firstSteps(ctx, s)))
	return nil
}

// down removes the lab.
func (p *program) down(c *cli.Context) error {
	return p.onLab(func(lab *bootstrap.Lab, ctx context.Context) error { return lab.Down(ctx, c.Bool("keep-registry")) })(c)
}

// ip prints the address that the lab's published ports answer at.
func (p *program) ip(c *cli.Context) error {
	return p.onLab(func(lab *bootstrap.Lab, _ context.Context) error {
		address, err := lab.IP()
		if err != nil {
			return err
		}
		return p.print(c, map[string]string{"ip": address}, func() string { return address + "\n" })
	})(c)
}
