package doctor

import (
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// Rules returns all rules. A new one is added here, and a sample of it to the tests.
func Rules() []Rule {
	needsEngine := messages.T("hellolab makes the lab's nodes and its image registry as containers of a Docker Engine on this machine")
	needsPorts := messages.T("the lab publishes this port, for what readers open at localhost")
	return []Rule{
		unusable(engine.Missing, needsEngine),
		unusable(engine.Stopped, needsEngine),
		unusable(engine.Forbidden, needsEngine),
		unusable(engine.Wedged, messages.T("it accepts calls and does not answer them, as Docker Desktop does while it starts, or a virtual machine after sleep")),
		unusable(engine.Elsewhere, messages.T("the lab's ports would be opened on that machine, and not at localhost")),
		unusable(engine.Minikube, messages.T("a lab would be made inside of minikube, with its ports closed off from this machine")),
		unusable(engine.Podman, messages.T("it speaks Docker's language, but makes other networks and nodes")),
		unusable(engine.BadContext, messages.T("hellolab uses the engine that the docker command uses")),
		{ID: "docker-command", Severity: Error, find: dockerCommand,
			Why: messages.T("kind makes the lab's nodes with it")},
		{ID: "engine-old", Severity: Error, Stops: true, find: oldEngine,
			Why: messages.T("nodes need features that Docker has from version 20.10 on")},
		{ID: "engine-windows", Severity: Error, Stops: true, find: windowsContainers,
			Why: messages.T("the lab's nodes are Linux containers")},
		{ID: "engine-outside", Severity: Error, Stops: true, find: insideContainer,
			Why: messages.T("the lab's ports would be opened on the engine's machine, and localhost is this container")},
		{ID: "rootless-limits", Severity: Error, Stops: true, find: rootlessLimits,
			Why:   messages.T("a node limits the memory and processes of its pods"),
			signs: []string{"rootless provider requires"},
			told:  messages.T("rootless Docker may not limit memory and processes"), next: delegate()},
		{ID: "rootless-ports", Severity: Error, find: rootlessPorts, Why: needsPorts,
			signs: []string{"cannot expose privileged port"},
			told:  messages.T("rootless Docker may not publish ports below 1024"), next: unprivileged(80)},
		{ID: "privileged-plugin", Severity: Warning, find: authorizationPlugins,
			Why: messages.T("the lab's nodes are privileged containers, which such a plugin may refuse")},
		{ID: "privileged-refused", Severity: Error,
			Why:   messages.T("the lab's nodes are privileged containers: systemd and containerd run in them"),
			signs: []string{"privileged mode is incompatible", "authorization denied by plugin", "privileged containers are not allowed"},
			told:  messages.T("this Docker Engine refuses privileged containers"),
			next:  messages.T("use an engine that allows them: %s shows what there is", messages.Shell("docker", "context", "ls"))},
		{ID: "cgroup-v1", Severity: Warning, find: cgroupV1,
			Why: messages.T("Kubernetes 1.35 and later starts there only because hellolab has it do so, and a later one will not")},
		{ID: "inotify-limits", Severity: Warning, Mentioned: true, find: inotifyLimits,
			Why:   messages.T("without them, parts of Kubernetes end with \"too many open files\" again and again"),
			signs: []string{"too many open files", "user limit on inotify"},
			told:  messages.T("this machine's limits for watching files are used up"), next: moreInotify()},
		{ID: "port-taken", Severity: Error, find: takenPorts, Why: needsPorts,
			signs: []string{"port is already allocated", "address already in use"},
			told:  messages.T("a port of the lab's is taken"), next: askDoctor()},
		{ID: "port-reserved", Severity: Error, find: reservedPorts, Why: needsPorts,
			signs: []string{"forbidden by its access permissions"},
			told:  messages.T("Windows keeps a port of the lab's for itself"), next: askDoctor()},
		{ID: "port-helper", Severity: Warning, find: missingHelper,
			Why:   messages.T("without it, Docker Desktop on macOS cannot publish ports below 1024 at localhost"),
			signs: []string{"ports are not available"},
			told:  messages.T("Docker Desktop may not publish a port of the lab's"), next: otherPorts()},
		{ID: "memory-low", Severity: Warning, Mentioned: true, find: lowMemory,
			Why: messages.T("Kubernetes and the course's pods need about 3 GiB; with less, pods are killed or the API server does not answer")},
		{ID: "cpu-low", Severity: Warning, Mentioned: true, find: fewProcessors,
			Why: messages.T("with one processor, Kubernetes may start too slowly for its own probes")},
		{ID: "disk-full", Severity: Error, Stops: true, find: fullDisks,
			Why:   messages.T("images, builds and the cluster's data need room"),
			signs: []string{"no space left on device", "there is not enough space on the disk"},
			told:  messages.T("a disk is full"), next: makeRoom()},
		{ID: "disk-low", Severity: Warning, Mentioned: true, find: lowDisks,
			Why: messages.T("the lab's images and data need about 5 GiB")},
		{ID: "folder-unwritable", Severity: Error, Stops: true, find: unwritableFolders,
			Why: messages.T("hellolab puts compiled programs, locks and what it builds there")},
		{ID: "subnet-clash", Severity: Warning, Mentioned: true, find: clashes,
			Why: messages.T("what has an address in both networks cannot be reached from one of them: the lab's nodes, or what is behind a VPN")},
		{ID: "proxy-loopback", Severity: Warning, find: loopbackProxies,
			Why: messages.T("hellolab gives it to the nodes of a new lab by an address that they can reach, or not at all if there is none: images that the lab's registry does not hold cannot be pulled then")},
		{ID: "default-platform", Severity: Warning, find: defaultPlatform,
			Why: messages.T("hellolab ignores it, but images that you build or pull with it do not run on the lab's nodes")},
		{ID: "clock-skew", Severity: Warning, Mentioned: true, find: clockSkew,
			Why:   messages.T("certificates are dated by one clock and checked by the other"),
			signs: []string{"certificate has expired or is not yet valid"},
			told:  messages.T("a certificate is not valid at the time that this machine's clock shows"),
			next:  messages.T("set the clocks right; %s compares them", messages.Hellolab("doctor"))},
		{ID: "lab-certificates", Severity: Error, find: labCertificates,
			Why: messages.T("the lab's API server refuses a certificate that has expired or is not valid yet; certificates last a year")},
		{ID: "lab-broken", Severity: Error, find: brokenLab,
			Why: messages.T("commands that work with the cluster fail until it is repaired")},
		{ID: "lab-unreadable", Severity: Error, find: unreadableLab,
			Why: messages.T("hellolab cannot tell what there is of the lab, and so changes nothing")},
		{ID: "lab-foreign", Severity: Error, find: foreignCluster,
			Why: messages.T("hellolab touches no cluster that it did not make, and a name can be used only once")},
		{ID: "lab-leftover", Severity: Warning, find: leftovers,
			Why: messages.T("its cluster is gone, and the rest takes room and ports")},
		{ID: "kubeconfig-broken", Severity: Error, find: brokenKubeconfig,
			Why: messages.T("hellolab writes the lab's address and certificates there, and kubectl reads them")},
		{ID: "kubeconfig-readonly", Severity: Error, Stops: true, find: readOnlyKubeconfig,
			Why: messages.T("hellolab writes the lab's address and certificates there, and kubectl reads them")},
		{ID: "kubeconfig-context", Severity: Warning, find: danglingContext,
			Why: messages.T("kubectl fails until another context is current")},
		{ID: "go-old", Severity: Warning, find: oldGo,
			Why: messages.T("the course's images are compiled in a container then, whose image has to be pulled first")},
		{ID: "wsl-addresses", Severity: Warning, find: wslAddresses,
			Why: messages.T("LoadBalancer Services get addresses from 127.0.0.2 on, which answer inside of WSL only")},
		{ID: "sudo", Severity: Warning, find: sudo,
			Why: messages.T("root has another home: another kubectl configuration, other locks, maybe another engine")},
		{ID: "docker-config", Severity: Warning, Mentioned: true, find: brokenDockerConfig,
			Why: messages.T("the context, the proxies and the logins that it names are silently lost")},
		{ID: "credential-helper", Severity: Warning, find: missingHelpers,
			Why: messages.T("pulling and pushing with the docker command fails")},
		{ID: "ipv6-off", Severity: Error,
			Why:   messages.T("an older hellolab has published them at ::1 too, and they do not start without it"),
			signs: []string{"cannot assign requested address"},
			told:  messages.T("this machine has no IPv6 any more, and the lab was made with it"), next: anew()},
		{ID: "container-stuck", Severity: Error,
			Why:   messages.T("a process that hangs in the kernel cannot be ended, nor can the container that it is in"),
			signs: []string{"did not receive an exit event", "could not kill container", "tried to kill container"},
			told:  messages.T("the Docker Engine cannot end a container"),
			next:  messages.T("restart the machine that the Docker Engine runs on, then run the same command again")},
		{ID: "unanswered", Severity: Warning, find: late,
			Why: messages.T("something there hangs, or this machine is very busy")},
	}
}

// unusable is the rule for engines that are unusable for a reason.
func unusable(reason engine.Reason, why messages.Text) Rule {
	return Rule{ID: string(reason), Severity: Error, Why: why, find: func(seen Machine) []Case { return ofReason(seen, reason) }}
}

// The commands of several rules.

// askDoctor is for an error that names no port, or the port of a lab that has it on record.
func askDoctor() messages.Text {
	return messages.T("%s says what is using it, and what to do", messages.Hellolab("doctor"))
}

func otherPorts() messages.Text {
	return messages.T("let hellolab choose other ports: %s", messages.Hellolab("up", "--set", "bootstrap.ports.http=auto",
		"--set", "bootstrap.ports.https=auto", "--set", "bootstrap.ports.nodePort=auto", "--set", "registry.port=auto"))
}

func makeRoom() messages.Text {
	return messages.T("make room on the disk (%s shows what Docker holds), then run the same command again", messages.Shell("docker", "system", "df"))
}

func anew() messages.Text {
	return messages.T("make the lab again, without what is in it: %s, then %s", messages.Hellolab("down"), messages.Hellolab("up"))
}

func moreInotify() messages.Text {
	return messages.T("raise them until the next restart: %s", messages.Shell("sysctl", "-w",
		"fs.inotify.max_user_instances=512", "fs.inotify.max_user_watches=524288").Sudo())
}
