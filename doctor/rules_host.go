package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	goversion "go/version"

	"github.com/docker/docker/api/types/container"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
)

// size writes bytes as people read them.
func size(bytes uint64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/gibibyte) }

// least is how much a disk has to have left for a use: below full nothing works, below low it soon does not.
func least(use Use) (full, low uint64) {
	if use == EngineData {
		return gibibyte, 5 * gibibyte
	}
	return gibibyte / 10, gibibyte / 2
}

func fullDisks(seen Machine) []Case {
	return disks(seen, func(folder Folder) bool { full, _ := least(folder.Use); return folder.Free < full })
}

func lowDisks(seen Machine) []Case {
	return disks(seen, func(folder Folder) bool {
		full, low := least(folder.Use)
		return folder.Free >= full && folder.Free < low
	})
}

func disks(seen Machine, short func(Folder) bool) []Case {
	var cases []Case
	for _, folder := range seen.Folders {
		if folder.Free == 0 || !short(folder) { // 0 is not known
			continue
		}
		cases = append(cases, Case{messages.T("the disk of %s has %s left", folder.Path, size(folder.Free)), makeRoom()})
	}
	return cases
}

func unwritableFolders(seen Machine) []Case {
	var cases []Case
	for _, folder := range seen.Folders {
		if folder.Err == nil {
			continue
		}
		next := messages.T("make it writable, then run the same command again")
		switch denied := errors.Is(folder.Err, fs.ErrPermission) && seen.System != "windows"; {
		case folder.Use == Temporary && seen.Getenv(temporaryVariable(seen.System)) != "":
			next = messages.T("use the system's own folder: %s; or make this one: %s", messages.Unset(temporaryVariable(seen.System)),
				messages.Shell("mkdir", "-p", folder.Path))
		case folder.Use == Temporary && denied:
			next = messages.T("give it its usual rights back: %s", messages.Shell("chmod", "1777", folder.Path).Sudo())
		case denied:
			next = messages.T("take ownership of that folder: %s", messages.Shell("chown", "$USER", folder.Path).Sudo())
		}
		cases = append(cases, Case{messages.T("nothing can be written in %s: %s", folder.Path, folder.Err), next})
	}
	return cases
}

// temporaryVariable names the folder for temporary files, where one is not to be the system's own.
func temporaryVariable(system string) string {
	if system == "windows" {
		return "TMP"
	}
	return "TMPDIR"
}

// A node uses about that many inotify instances (systemd, containerd, kubelet, kube-proxy, the control plane's parts),
// as was counted; and as many watches are enough for several.
const (
	instancesOfNode = 30
	fewestWatches   = 8192
)

func inotifyLimits(seen Machine) []Case {
	kernel := seen.Kernel
	if kernel.Instances == 0 || seen.Lab.exists() {
		return nil
	}
	used := max(kernel.InUse, instancesOfNode*seen.Engine.runningNodes())
	need := used + instancesOfNode*seen.Lab.Nodes
	switch {
	case kernel.Instances < need:
		return one(messages.T("this machine's limit of inotify instances, %v, is too low: %v are in use, and the lab needs about %v",
			kernel.Instances, used, need-used), moreInotify())
	case kernel.Watches > 0 && kernel.Watches < fewestWatches:
		return one(messages.T("this machine's limit of inotify watches, %v, is too low", kernel.Watches), moreInotify())
	}
	return nil
}

func (e Engine) runningNodes() int {
	count := 0
	for _, found := range e.Containers {
		if found.Labels[clusterLabel] != "" && found.State == container.StateRunning {
			count++
		}
	}
	return count
}

// The subnets of kind clusters, where no setting names others
// (https://kind.sigs.k8s.io/docs/user/configuration/#networking).
const (
	serviceSubnet = "10.96.0.0/16"
	podSubnet     = "10.244.0.0/16"
)

// clashes compares the networks that this machine has routes to with the lab's. Routes to very large networks are left
// out: smaller ones go before them, and a VPN for everything has these.
func clashes(seen Machine) []Case {
	var cases []Case
	ours := seen.Engine.subnets()
	for _, route := range seen.Network.Routes {
		if route.Bits() <= 8 || slices.ContainsFunc(ours, func(s subnet) bool { return s.prefix == route }) {
			continue
		}
		for _, own := range labSubnets(ours) {
			if own.prefix.Overlaps(route) {
				cases = append(cases, clash(route, own))
			}
		}
	}
	return cases
}

func clash(route netip.Prefix, own subnet) Case {
	what := messages.T("this machine has a route to %s, and the lab's %s is %s", route.String(), own.name, own.prefix.String())
	if own.name.String() != messages.T("Docker network %s", engine.Network).String() {
		return Case{what, messages.T("disconnect the VPN that uses it while you use the lab, unless pods need nothing behind it")}
	}
	return Case{what, messages.T("disconnect the VPN that uses it while you use the lab; or let Docker choose another subnet: %s, %s, then %s",
		messages.Hellolab("down"), messages.Shell("docker", "network", "rm", engine.Network), messages.Hellolab("up"))}
}

// subnet is a range of addresses, and whose it is.
type subnet struct {
	name   messages.Text
	docker string
	prefix netip.Prefix
}

// subnets are those of Docker's own networks.
func (e Engine) subnets() []subnet {
	var all []subnet
	for _, network := range e.Networks {
		for _, config := range network.IPAM.Config {
			if prefix, err := netip.ParsePrefix(config.Subnet); err == nil {
				all = append(all, subnet{messages.T("Docker network %s", network.Name), network.Name, prefix.Masked()})
			}
		}
	}
	return all
}

// labSubnets are those of the lab's nodes, Services and pods.
func labSubnets(docker []subnet) []subnet {
	all := []subnet{
		{name: messages.T("range of Services"), prefix: netip.MustParsePrefix(serviceSubnet)},
		{name: messages.T("range of pods"), prefix: netip.MustParsePrefix(podSubnet)},
	}
	for _, network := range docker {
		if network.docker == engine.Network {
			all = append(all, network)
		}
	}
	return all
}

// proxyVariables are those that kind gives to nodes.
func proxyVariables() []string {
	return []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"}
}

func loopbackProxies(seen Machine) []Case {
	var set []string
	for _, name := range proxyVariables() {
		if isLoopback(seen.Getenv(name)) {
			set = append(set, name)
		}
	}
	if len(set) > 0 {
		return one(messages.T("the proxy in %s is on this machine's loopback: %s", set, withoutUser(seen.Getenv(set[0]))),
			messages.T("leave it out (%s), or let it listen on an address that containers reach, and name that; a lab keeps what it was made with: %s, then %s",
				messages.Unset(set...), messages.Hellolab("down"), messages.Hellolab("up")))
	}
	for _, proxy := range seen.Docker.Proxies {
		if isLoopback(proxy) {
			return one(messages.T("the proxy in %s is on this machine's loopback: %s", seen.Docker.File, withoutUser(proxy)),
				messages.T("before the lab is made, let it listen on an address that containers reach, and name that there"))
		}
	}
	return nil
}

// isLoopback reports whether a proxy, as the variables name it, is on this machine's loopback.
func isLoopback(proxy string) bool {
	host := ""
	if address, err := url.Parse(proxy); err == nil {
		host = address.Hostname()
	}
	if host == "" { // without a scheme
		if address, err := url.Parse("http://" + proxy); err == nil {
			host = address.Hostname()
		}
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// withoutUser is a proxy without its password.
func withoutUser(proxy string) string {
	if at := strings.LastIndex(proxy, "@"); at >= 0 {
		return proxy[at+1:]
	}
	return proxy
}

func defaultPlatform(seen Machine) []Case {
	const variable = "DOCKER_DEFAULT_PLATFORM"
	named := seen.Getenv(variable)
	if named == "" || seen.Engine.Info.Architecture == "" || strings.HasPrefix(named+"/", "linux/"+architecture(seen.Engine.Info.Architecture)+"/") {
		return nil
	}
	return one(messages.T("%s is %s, and the Docker Engine's architecture is %s", variable, named, seen.Engine.Info.Architecture),
		messages.Unset(variable).Text())
}

// architecture is the kernel's name of one as Go and Docker have it.
func architecture(kernel string) string {
	switch kernel {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return kernel
}

func brokenKubeconfig(seen Machine) []Case {
	if seen.Kubectl.Err == nil {
		return nil
	}
	return of(seen.Kubectl.Err)
}

func readOnlyKubeconfig(seen Machine) []Case {
	if seen.Kubectl.ReadOnly == nil {
		return nil
	}
	return one(messages.T("kubectl's configuration %s cannot be written: %s", seen.Kubectl.File, seen.Kubectl.ReadOnly),
		messages.T("make it writable, or name another file: %s", messages.Shell("export").Usage("KUBECONFIG=FILE")))
}

func danglingContext(seen Machine) []Case {
	if !seen.Kubectl.Dangling {
		return nil
	}
	what := messages.T("kubectl's current context, %s, does not exist", seen.Kubectl.Current)
	if seen.Lab.exists() {
		return one(what, messages.Shell("kubectl", "config", "use-context", "kind-"+seen.Lab.Name).Text())
	}
	return one(what, messages.T("choose an existing one (%s), or none: %s",
		messages.Shell("kubectl", "config", "get-contexts"), messages.Shell("kubectl", "config", "unset", "current-context")))
}

// oldestGo compiles the course's images.
const oldestGo = "go1.21"

func oldGo(seen Machine) []Case {
	version, _, _ := strings.Cut(seen.Go.Version, " ")
	if !goversion.IsValid(version) || goversion.Compare(version, oldestGo) >= 0 {
		return nil
	}
	return one(messages.T("this machine's Go (%s, %s) is too old", seen.Go.Path, version),
		messages.T("install a newer one: %s", "https://go.dev/dl/"))
}

func wslAddresses(seen Machine) []Case {
	if !seen.Kernel.WSL || seen.Kernel.Mirrored {
		return nil
	}
	return one(messages.T("hellolab runs in WSL, whose only address for Windows is localhost"),
		messages.T("open Services of type LoadBalancer from inside of WSL (%s), or let both share addresses: networkingMode=mirrored in .wslconfig",
			messages.Curl().Usage("http://127.0.0.2:3000")))
}

func sudo(seen Machine) []Case {
	user := seen.Getenv("SUDO_USER")
	if user == "" || user == "root" {
		return nil
	}
	next := messages.T("leave it out: %s", messages.Hellolab("doctor"))
	if seen.System == "darwin" {
		next = messages.T("leave it out, but for the tunnel's low ports: %s", messages.Hellolab("doctor"))
	}
	return one(messages.T("hellolab runs as root, by sudo, and not as %s", user), next)
}

func brokenDockerConfig(seen Machine) []Case {
	if seen.Docker.Broken == nil {
		return nil
	}
	return one(messages.T("the docker command's configuration %s cannot be read: %s", seen.Docker.File, seen.Docker.Broken),
		messages.T("correct that file, or move it away: %s", messages.Shell("mv", seen.Docker.File, seen.Docker.File+".old")))
}

func missingHelpers(seen Machine) []Case {
	var cases []Case
	for _, helper := range seen.Docker.Helpers {
		cases = append(cases, Case{messages.T("the docker command's configuration %s names a credential helper that does not exist: %s", seen.Docker.File, helper),
			messages.T("install it, or remove credsStore and credHelpers from that file")})
	}
	return cases
}

func late(seen Machine) []Case {
	var cases []Case
	for _, part := range seen.Late {
		cases = append(cases, Case{messages.T("%s could not be checked in time", part), messages.T("run the same command again when this machine is less busy")})
	}
	return cases
}
