package doctor

import (
	"slices"

	"github.com/docker/docker/api/types/container"

	"github.com/hellolab/hellolab/messages"
)

// The states of labs that rules look for, as bootstrap.Status has them.
const (
	absent = "absent"
	broken = "broken"
	lost   = "lost"
)

func (l Lab) exists() bool { return l.State != "" && l.State != absent }

// busy reports whether a process is working on a lab: what it has made so far is no leftover.
func (l Lab) busy(name string) bool { return l.Busy != nil && l.Busy(name) }

func takenPorts(seen Machine) []Case {
	var cases []Case
	for _, port := range seen.Taken {
		if port.Reserved {
			continue
		}
		who := messages.T("another program")
		next := messages.T("stop what is using it, or let hellolab choose another port: %s", choose(seen))
		switch {
		case port.Container != "":
			who = messages.T("the container %s", port.Container)
			next = messages.T("stop it (%s), or let hellolab choose another port: %s", seen.Engine.stop(port.Container), choose(seen))
		case port.Program != "":
			who = messages.T("the program %s", port.Program)
		}
		if seen.Lab.exists() { // its ports are on record
			next = messages.T("stop what is using it, then start the lab: %s", messages.Hellolab("start"))
		}
		cases = append(cases, Case{messages.T("port %v is taken by %s", port.Number, who), next})
	}
	return cases
}

// stop is the command that stops a container: with the lab that it is a part of, if it is.
func (e Engine) stop(container string) messages.Command {
	for _, lab := range e.Records {
		if container == lab+"-control-plane" || container == lab+"-registry" {
			return messages.Shell("hellolab", "--name", lab, "stop")
		}
	}
	return messages.Shell("docker", "stop", container)
}

// choose is the command that has hellolab choose other ports for all those that are taken.
func choose(seen Machine) messages.Command {
	words := []string{"up"}
	for _, port := range seen.Taken {
		words = append(words, "--set", port.Setting+"=auto")
	}
	return messages.Hellolab(words...)
}

func reservedPorts(seen Machine) []Case {
	var cases []Case
	next := messages.T("%s shows the ranges that it keeps; let hellolab choose another port: %s",
		messages.Shell("netsh", "int", "ipv4", "show", "excludedportrange", "tcp"), choose(seen))
	if seen.Lab.exists() { // its ports are on record
		next = messages.T("let Windows choose its ranges again, as administrator: %s, %s; then start the lab: %s",
			messages.Shell("net", "stop", "winnat"), messages.Shell("net", "start", "winnat"), messages.Hellolab("start"))
	}
	for _, port := range seen.Taken {
		if port.Reserved {
			cases = append(cases, Case{messages.T("Windows keeps port %v for itself", port.Number), next})
		}
	}
	return cases
}

func missingHelper(seen Machine) []Case {
	if seen.System != "darwin" || !isDesktop(seen.Engine.Info) || seen.Kernel.Helper || seen.Lab.exists() {
		return nil
	}
	low := slices.DeleteFunc(slices.Clone(seen.Lab.Ports), func(port WantedPort) bool { return port.Auto || port.Number >= 1024 })
	if len(low) == 0 {
		return nil
	}
	return one(messages.T("Docker Desktop's privileged helper is not installed, and the lab wants port %v", low[0].Number),
		messages.T("allow it in Docker Desktop (Settings, Advanced: privileged port mapping), or let hellolab choose other ports: %s",
			messages.Hellolab("up", "--set", "bootstrap.ports.http=auto", "--set", "bootstrap.ports.https=auto")))
}

func brokenLab(seen Machine) []Case {
	switch {
	case seen.Lab.busy(seen.Lab.Name):
		return nil
	case seen.Lab.State == broken:
		return one(messages.T("the lab %s is broken", seen.Lab.Name),
			messages.T("%s shows what is missing; %s mends it", messages.Hellolab("status"), messages.Hellolab("up")))
	case seen.Lab.State == lost:
		return one(messages.T("something other than hellolab has removed the cluster of the lab %s", seen.Lab.Name),
			messages.T("a new, empty one: %s; or remove the rest: %s", messages.Hellolab("up"), messages.Hellolab("down")))
	}
	return nil
}

func unreadableLab(seen Machine) []Case {
	if seen.Lab.Err == nil {
		return nil
	}
	return of(seen.Lab.Err)
}

// clusterLabel is kind's, on its nodes.
const clusterLabel = "io.x-k8s.kind.cluster"

func foreignCluster(seen Machine) []Case {
	if seen.Lab.State != absent || seen.Lab.busy(seen.Lab.Name) || !seen.Engine.hasNodes(seen.Lab.Name) {
		return nil
	}
	return one(messages.T("there is a kind cluster named %s already, and hellolab did not make it", seen.Lab.Name),
		messages.T("choose another name for the lab: %s", messages.Shell("hellolab", "--name").Usage("NAME up")))
}

func (e Engine) hasNodes(lab string) bool {
	return slices.ContainsFunc(e.Containers, func(c container.Summary) bool { return c.Labels[clusterLabel] == lab })
}

func leftovers(seen Machine) []Case {
	var cases []Case
	for _, name := range seen.Engine.Records {
		if name != seen.Lab.Name && !seen.Engine.hasNodes(name) && !seen.Lab.busy(name) {
			cases = append(cases, Case{messages.T("there are leftovers of the lab %s", name),
				messages.T("remove them: %s", messages.Shell("hellolab", "--name", name, "down"))})
		}
	}
	return cases
}

func labCertificates(seen Machine) []Case {
	kubectl := seen.Kubectl
	switch {
	case !seen.Lab.exists() || kubectl.Until.IsZero():
		return nil
	case seen.Now.After(kubectl.Until):
		return one(messages.T("the certificate for the lab %s has expired on %s", seen.Lab.Name, kubectl.Until.Format("2006-01-02")), anew())
	case seen.Now.Before(kubectl.Since):
		return one(messages.T("the certificate for the lab %s is valid from %s on only, and this machine's clock shows %s",
			seen.Lab.Name, kubectl.Since.Format("2006-01-02 15:04"), seen.Now.Format("2006-01-02 15:04")),
			messages.T("set this machine's clock right"))
	}
	return nil
}
