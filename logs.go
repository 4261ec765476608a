package main

import (
	"context"
	"time"

	"github.com/docker/docker/client"
	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/doctor"
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/lock"
	"github.com/hellolab/hellolab/logs"
	"github.com/hellolab/hellolab/messages"
)

// logs collects what a bug report needs in an archive, and prints its name. What cannot be had is noted there.
func (p *program) logs(c *cli.Context) error {
	config, err := p.configure(c)
	if err != nil {
		return err
	}
	file, force := c.Args().First(), c.Bool("force")
	if err := logs.Refuse(file, force); err != nil {
		return err
	}
	var collected *logs.Archive
	err = p.story.Do(c.Context, messages.T("collecting logs and states"), func(ctx context.Context) error {
		collected = logs.Collect(ctx, p.parts(config))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return collected.Write(file, force)
	})
	if err != nil {
		return err
	}
	missing := []string{}
	for _, part := range collected.Missing {
		missing = append(missing, part.Part)
	}
	if len(missing) > 0 {
		p.story.Say(messages.T("some of it could not be collected: %s; missing.json in the archive says why", missing))
	}
	p.story.Say(messages.T("passwords, tokens and keys are blanked, but look into it before you send it to anybody"))
	return p.print(c, map[string]any{"file": file, "missing": missing}, func() string { return file + "\n" })
}

// parts are all that goes into the archive.
func (p *program) parts(config configuration) []logs.Part {
	name := config.Bootstrap.Name
	kubectl := kube.Kubeconfig{Context: bootstrap.Context(name)}
	parts := []logs.Part{
		{Name: "program", Within: time.Second, Collect: func(_ context.Context, add logs.Add) error { return p.describe(config, add) }},
		{Name: "doctor", Within: 5 * time.Second, Collect: func(ctx context.Context, add logs.Add) error {
			seen := doctor.Inspect(ctx, p.thisMachine(config))
			add("doctor.json", p.diagnoses(doctor.Examine(seen)))
			add("machine.json", map[string]any{"system": seen.System, "folders": seen.Folders, "kernel": seen.Kernel, "network": seen.Network, "go": seen.Go})
			return nil
		}},
		{Name: "status", Within: 15 * time.Second, Collect: func(ctx context.Context, add logs.Add) error { return p.addStatus(ctx, config, add) }},
		{Name: "lock", Within: 5 * time.Second, Collect: func(ctx context.Context, add logs.Add) error {
			state := map[string]any{"held": busy(name)}
			if holder, found := lock.Find(ctx, name); found {
				state["last"] = holder
			}
			add("lock.json", state)
			return nil
		}},
	}
	parts = append(parts, logs.Engine(name, p.look)...)
	return append(parts, logs.Cluster(kubectl.Cluster)...)
}

// look connects to the engine without a change to this process: parts are collected beside each other.
func (p *program) look(ctx context.Context) (*client.Client, error) {
	endpoint, err := engine.Endpoint(p.getenv)
	if err != nil {
		return nil, err
	}
	return engine.ConnectWithin(ctx, endpoint, 10*time.Second)
}

// describe adds what this program is, and its configuration.
func (p *program) describe(config configuration, add logs.Add) error {
	add("version.json", thisBuild())
	var values map[string]any
	content, err := yaml.Marshal(config)
	if err == nil {
		err = yaml.Unmarshal(content, &values)
	}
	add("config.json", values)
	variables := map[string]string{}
	for _, variable := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CONFIG", "DOCKER_DEFAULT_PLATFORM", "MINIKUBE_ACTIVE_DOCKERD", "KUBECONFIG",
		"HELLOLAB_CONFIG", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "LANG", "LC_ALL", "TMPDIR", "SUDO_USER", "TERM", "SHELL"} {
		if value := p.getenv(variable); value != "" {
			variables[variable] = value
		}
	}
	add("environment.json", variables)
	return err
}

// addStatus adds the lab's status and its record.
func (p *program) addStatus(ctx context.Context, config configuration, add logs.Add) error {
	docker, err := p.look(ctx)
	if err != nil {
		return err
	}
	lab, err := bootstrap.Open(ctx, docker, p.story, p.log, bootstrap.Asked{Settings: config.settings(), Keys: config.asked})
	if err != nil {
		return err
	}
	add("recorded.json", section(lab.Settings()))
	status, err := lab.Status(ctx)
	add("status.json", status)
	return err
}
