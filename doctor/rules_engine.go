package doctor

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// one is a rule's only case.
func one(what, next messages.Text) []Case { return []Case{{what, next}} }

// of is the case that an error of this program's tells of.
func of(err error) []Case {
	var said *messages.Error
	if !errors.As(err, &said) {
		return one(messages.T("%s", err), messages.Text{})
	}
	return one(messages.T("%s", error(&messages.Error{What: said.What, Cause: said.Cause})), said.Hint)
}

func ofReason(seen Machine, reason engine.Reason) []Case {
	var told engine.Unusable
	if !errors.As(seen.Engine.Err, &told) || told.Reason != reason {
		return nil
	}
	return of(told)
}

func dockerCommand(seen Machine) []Case {
	if seen.Docker.Err == nil {
		return nil
	}
	return of(seen.Docker.Err)
}

// oldestAPI is that of Docker 20.10, which gives nodes a cgroup namespace of their own.
const oldestAPI = "1.41"

func oldEngine(seen Machine) []Case {
	if seen.Engine.API == "" || versions.GreaterThanOrEqualTo(seen.Engine.API, oldestAPI) {
		return nil
	}
	return one(messages.T("this Docker Engine is too old: %s", seen.Engine.Info.ServerVersion),
		messages.T("install a newer one: %s", "https://docs.docker.com/engine/install/"))
}

func windowsContainers(seen Machine) []Case {
	if seen.Engine.Info.OSType != "windows" {
		return nil
	}
	return one(messages.T("this Docker Engine runs Windows containers"),
		messages.T("choose \"Switch to Linux containers\" in Docker Desktop's menu"))
}

// insideContainer tells an engine outside of the container that this program runs in by its network, whose gateway is an
// address of the engine's machine.
func insideContainer(seen Machine) []Case {
	if !seen.Kernel.Container {
		return nil
	}
	for _, network := range seen.Engine.Networks {
		if network.Name != "bridge" || len(network.IPAM.Config) == 0 {
			continue
		}
		gateway, err := netip.ParseAddr(network.IPAM.Config[0].Gateway)
		if err == nil && !slices.Contains(seen.Network.Addresses, gateway) {
			return one(messages.T("this program runs in a container, and the Docker Engine outside of it"),
				messages.T("run hellolab outside of the container, or start the container with %s", "--network host"))
		}
	}
	return nil
}

func rootless(info system.Info) bool {
	return slices.ContainsFunc(info.SecurityOptions, func(option string) bool { return strings.Contains(option, "name=rootless") })
}

func isDesktop(info system.Info) bool {
	return strings.Contains(info.OperatingSystem, "Docker Desktop")
}

func rootlessLimits(seen Machine) []Case {
	info := seen.Engine.Info
	switch {
	case !rootless(info):
		return nil
	case info.CgroupVersion != "2":
		return one(messages.T("rootless Docker has cgroup v1 here, and cannot run nodes with it"),
			messages.T("start the system with cgroup v2: %s", "https://rootlesscontaine.rs/getting-started/common/cgroup2/"))
	case !info.MemoryLimit || !info.PidsLimit || !info.CPUShares:
		return one(messages.T("rootless Docker may not limit memory and processes"), delegate())
	}
	return nil
}

func delegate() messages.Text {
	return messages.T("let systemd delegate these (Delegate=yes), then log in again: %s", "https://rootlesscontaine.rs/getting-started/common/cgroup2/")
}

func rootlessPorts(seen Machine) []Case {
	if !rootless(seen.Engine.Info) || seen.Lab.exists() {
		return nil
	}
	var cases []Case
	for _, wanted := range seen.Lab.Ports {
		if !wanted.Auto && wanted.Number < seen.Kernel.Unprivileged {
			cases = append(cases, Case{messages.T("rootless Docker may not publish port %v", wanted.Number), unprivileged(wanted.Number)})
		}
	}
	return cases
}

func unprivileged(port int) messages.Text {
	return messages.T("allow it until the next restart: %s; or let hellolab choose other ports: %s",
		messages.Shell("sysctl", "-w", "net.ipv4.ip_unprivileged_port_start="+strconv.Itoa(port)).Sudo(),
		messages.Hellolab("up", "--set", "bootstrap.ports.http=auto", "--set", "bootstrap.ports.https=auto"))
}

func authorizationPlugins(seen Machine) []Case {
	plugins := seen.Engine.Info.Plugins.Authorization
	if len(plugins) == 0 {
		return nil
	}
	return one(messages.T("this Docker Engine asks a plugin before it does anything: %s", plugins),
		messages.T("if the lab is refused, use an engine without it: %s shows what there is", messages.Shell("docker", "context", "ls")))
}

func cgroupV1(seen Machine) []Case {
	if seen.Engine.Info.CgroupVersion != "1" || rootless(seen.Engine.Info) {
		return nil
	}
	return one(messages.T("the Docker Engine's system has cgroup v1"),
		messages.T("nothing for now; a newer system has cgroup v2: %s", "https://kubernetes.io/docs/concepts/architecture/cgroups/"))
}

const gibibyte = 1 << 30

func lowMemory(seen Machine) []Case {
	total := seen.Engine.Info.MemTotal
	if total == 0 || total >= 3*gibibyte-gibibyte/4 { // what is sold as 3 GiB has a little less
		return nil
	}
	return one(messages.T("the Docker Engine has %s of memory", size(uint64(total))), resources(seen))
}

func fewProcessors(seen Machine) []Case {
	if seen.Engine.Info.NCPU != 1 {
		return nil
	}
	return one(messages.T("the Docker Engine has one processor"), resources(seen))
}

// resources is where an engine is given more.
func resources(seen Machine) messages.Text {
	switch {
	case isDesktop(seen.Engine.Info):
		return messages.T("give it more: Docker Desktop, Settings, Resources")
	case seen.System == "darwin":
		return messages.T("give it more: %s", messages.Shell("colima", "start", "--cpu", "2", "--memory", "4"))
	}
	return messages.T("close other programs, or give the virtual machine more if this is one")
}

// tolerated is how far clocks may be apart: kubeadm dates certificates back by as much
// (https://github.com/kubernetes/kubernetes/blob/master/cmd/kubeadm/app/constants/constants.go, CertificateBackdate).
const tolerated = 5 * time.Minute

func clockSkew(seen Machine) []Case {
	off := seen.Engine.Ahead
	if off.Abs() < tolerated {
		return nil
	}
	what := messages.T("the Docker Engine's clock is %s ahead of this machine's", off)
	if off < 0 {
		what = messages.T("the Docker Engine's clock is %s behind this machine's", -off)
	}
	if isDesktop(seen.Engine.Info) || seen.System != "linux" {
		return one(what, messages.T("restart the Docker Engine's virtual machine, which sets its clock"))
	}
	return one(what, messages.T("set the clocks right: %s", messages.Shell("timedatectl", "set-ntp", "true").Sudo()))
}
