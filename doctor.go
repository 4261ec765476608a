package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"
	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/doctor"
	"github.com/hellolab/hellolab/lock"
	"github.com/hellolab/hellolab/messages"
)

// doctor finds what keeps the lab from working. It fails where it found an error, not where there are warnings only.
func (p *program) doctor(c *cli.Context) error {
	config, err := p.configure(c)
	if err != nil {
		return err
	}
	findings := doctor.Examine(doctor.Inspect(c.Context, p.thisMachine(config)))
	if err := p.print(c, p.diagnoses(findings), func() string { return p.diagnosesText(findings) }); err != nil {
		return err
	}
	if doctor.Serious(findings) {
		return exitStatus(exitFailed)
	}
	return nil
}

// diagnosis is a finding as -o json has it.
type diagnosis struct {
	ID       string          `json:"id"`
	Severity doctor.Severity `json:"severity"`
	// Text is what is wrong, Cause why it matters.
	Text  string `json:"text"`
	Cause string `json:"cause"`
	// Next is what to do about it.
	Next string `json:"next"`
}

func (p *program) diagnoses(findings []doctor.Finding) []diagnosis {
	all := []diagnosis{}
	for _, found := range findings {
		all = append(all, diagnosis{found.ID, found.Severity, p.printer.Text(found.What), p.printer.Text(found.Why), p.printer.Text(found.Case.Next)})
	}
	return all
}

func (p *program) diagnosesText(findings []doctor.Finding) string {
	if len(findings) == 0 {
		return p.say("nothing is wrong") + "\n"
	}
	var text strings.Builder
	for _, found := range p.diagnoses(findings) {
		severity := p.say("error: ")
		if found.Severity == doctor.Warning {
			severity = p.say("warning: ")
		}
		text.WriteString(p.wrapped(messages.Verbatim(found.Text+" ["+found.ID+"]"), severity) + p.wrapped(messages.Verbatim(found.Cause), "  "))
		if found.Next != "" {
			text.WriteString("  " + p.say("next: ") + found.Next + "\n")
		}
	}
	return text.String()
}

// thisMachine is where the doctor looks: this machine, and the lab that the configuration names.
func (p *program) thisMachine(config configuration) doctor.Place {
	place := doctor.Place{Getenv: p.getenv, Lab: wantedLab(config)}
	if caches, err := os.UserCacheDir(); err == nil {
		place.Cache = filepath.Join(caches, "hellolab")
	}
	place.Find = func(ctx context.Context, docker *client.Client) (doctor.Lab, error) {
		lab, err := bootstrap.Open(ctx, docker, p.story, p.log, bootstrap.Asked{Settings: config.settings(), Keys: config.asked})
		if err != nil {
			return doctor.Lab{}, err
		}
		recorded, err := config.of(lab.Settings())
		if err != nil {
			return doctor.Lab{}, err
		}
		found := wantedLab(recorded)
		status, err := lab.Status(ctx)
		found.State = status.State
		return found, err
	}
	return place
}

// wantedLab is what the configuration says of the lab.
func wantedLab(config configuration) doctor.Lab {
	settings := config.Bootstrap
	lab := doctor.Lab{Name: settings.Name, Nodes: 1 + settings.Workers, Busy: busy, Ports: []doctor.WantedPort{
		{Setting: "bootstrap.ports.nodePort", Port: settings.Ports.NodePort}, {Setting: "registry.port", Port: config.Registry.Port}}}
	if settings.Ingress.Enabled {
		lab.Ports = append(lab.Ports, doctor.WantedPort{Setting: "bootstrap.ports.http", Port: settings.Ports.HTTP},
			doctor.WantedPort{Setting: "bootstrap.ports.https", Port: settings.Ports.HTTPS})
	}
	return lab
}

// busy reports whether another hellolab is working on a lab.
func busy(lab string) bool {
	unlock, err := lock.Try(lab)
	if unlock != nil {
		unlock()
	}
	return err == nil && unlock == nil
}

// obstacles looks, beside what `up` does first, for what would keep it from making a lab, and tells what may trouble the lab later.
// Where there is a lab, nothing is left to look for that `up` would not notice itself.
func (p *program) obstacles(ctx context.Context, s session) <-chan error {
	found := make(chan error, 1)
	if s.lab.Exists() {
		found <- nil
		return found
	}
	place := p.thisMachine(s.config)
	place.Docker, place.Find = s.docker, nil
	go func() {
		var all []error
		stops, mentioned := doctor.Early(doctor.InspectEarly(ctx, place))
		for _, obstacle := range stops {
			all = append(all, obstacle.Failure())
		}
		for _, warning := range mentioned {
			p.story.Say(messages.T("warning: %s; %s", warning.What, warning.Case.Next))
		}
		found <- errors.Join(all...)
	}()
	return found
}
