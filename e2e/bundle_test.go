//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestBundle takes a lab from a file to a machine that has no image and no way out: an engine without any, in a network namespace
// whose default route leads nowhere, and listens to what tries to leave.
func TestBundle(t *testing.T) {
	onEmpty(t, func(e *engine) {
		l := newLab(t, "e2e-bundle", nil)
		file := filepath.Join(l.folder, "lab.bundle")
		save := l.command("bundle", "save", file)
		save.Env = append(save.Env, "DOCKER_HOST=") // the engine that has the images
		saved := l.wait(save)
		if saved.status != 0 {
			l.Fatal("no bundle")
		}
		caches := l.emptyCaches() // of programs, which the bundle has
		part := func(name string, do func(l *lab)) { t.Run(name, func(t *testing.T) { do(l.in(t)) }) }
		part("nothing", (*lab).hasNothing)
		noWayOut(e)
		part("damaged", func(l *lab) { l.refusesDamaged(file) })
		part("loaded", func(l *lab) { l.isLoaded(file) })
		reads := func(document, locale string) {
			t.Run(document, func(t *testing.T) {
				reader := newLab(t, "hellolab", usualPorts())
				reader.env = append(reader.env, "XDG_CACHE_HOME="+caches)
				reader.follows(document, locale)
			})
		}
		reads("README.zh-CN.md", "zh_CN.UTF-8")
		if os.Getenv("LONG") != "" {
			reads("README.md", "C.UTF-8")
			part("all chapters", (*lab).walksTheCourse)
		}
		part("served", func(l *lab) { l.isServed(file, saved.stdout, caches) })
	})
}

// hasNothing holds that where nothing can be reached, it is said what is missing, what was tried, and which ways there are.
func (l *lab) hasNothing() {
	l.fails(1, []string{"up"}, words{"neither on this machine nor to be pulled", "kindest/node:", "registry:3", "nginx", "busybox", "ingress-nginx/controller",
		"through Docker: docker.io: ", "through Docker: https://docker.m.daocloud.io: ", "directly: ", "registry.mirrors=cn", "proxy", "bundle load"})
	l.must("down")
}

// noWayOut gives the namespace a default route to nowhere, and fails if anything has taken it.
func noWayOut(e *engine) {
	e.Helper()
	run(e.T, "ip", "link", "add", "out", "type", "veth", "peer", "name", "nowhere")
	for _, end := range []string{"out", "nowhere"} { // IPv6 looks for its router by itself
		if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", end, "disable_ipv6"), []byte("1"), 0); err != nil {
			e.Fatal(err)
		}
	}
	for _, line := range []string{"addr add 192.0.2.2/24 dev out", "link set nowhere up", "link set out up",
		"neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev out", "route add default via 192.0.2.1 dev out"} {
		run(e.T, "ip", strings.Fields(line)...)
	}
	heard := e.listens("nowhere")
	if connection, err := net.Dial("udp", "198.51.100.1:9"); err == nil {
		connection.Write([]byte("x"))
		connection.Close()
	}
	eventually(e.T, "a packet is heard of", func() bool { return len(heard()) == 1 })
	e.Cleanup(func() {
		sent := slices.DeleteFunc(heard()[1:], isKinds)
		if len(sent) != 0 {
			e.Errorf("%d packets tried to leave: %q", len(sent), sent[:min(len(sent), 20)])
		}
	})
}

// isKinds reports whether a packet is of what kind's node and Kubernetes do wherever they run, and hellolab has no part in: the node's
// entrypoint asks for host.docker.internal, CoreDNS asks for a random number to find loops (over TCP where nothing answers), and a
// packet for a Service or a pod may come before or after the node knows its way, for an address that does not exist outside.
func isKinds(packet string) bool {
	return regexp.MustCompile(`^10\.(96|244)\.|:53 ""$|:53 "(host\.docker\.internal|[0-9]+\.[0-9]+)\."$`).MatchString(packet)
}

// listens returns what has heard of the IP packets that arrive at an interface since: where they were sent ("192.0.2.9:53"), and the
// name that a DNS query asks for, or "".
func (e *engine) listens(at string) (heard func() []string) {
	e.Helper()
	link, err := net.InterfaceByName(at)
	if err != nil {
		e.Fatal(err)
	}
	const ip = 0x0800 // ETH_P_IP
	network := uint16(ip>>8 | ip&0xff<<8)
	socket, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, int(network))
	if err == nil {
		err = syscall.Bind(socket, &syscall.SockaddrLinklayer{Protocol: network, Ifindex: link.Index})
	}
	if err != nil {
		e.Fatal(err)
	}
	var mutex sync.Mutex
	var packets []string
	go func() {
		for packet := make([]byte, 2000); ; {
			n, _, err := syscall.Recvfrom(socket, packet, 0)
			if err != nil {
				return
			}
			if n < 42 { // an Ethernet header, an IP header, and the least that is in one
				continue
			}
			to, protocol, port, name := net.IP(packet[30:34]), packet[23], int(packet[36])<<8|int(packet[37]), ""
			if protocol == syscall.IPPROTO_UDP && port == 53 {
				name = queried(packet[42:n])
			}
			mutex.Lock()
			packets = append(packets, fmt.Sprintf("%s:%d %q", to, port, name))
			mutex.Unlock()
		}
	}()
	return func() []string {
		mutex.Lock()
		defer mutex.Unlock()
		return slices.Clone(packets)
	}
}

// queried is the name that a DNS query asks for, https://www.rfc-editor.org/rfc/rfc1035#section-4.1.2.
func queried(message []byte) (name string) {
	for at := 12; at < len(message) && message[at] != 0; {
		end := at + 1 + int(message[at])
		name += string(message[at+1:min(end, len(message))]) + "."
		at = end
	}
	return name
}

// refusesDamaged holds that a damaged bundle is refused, and that the engine has nothing of it.
func (l *lab) refusesDamaged(file string) {
	content, err := os.ReadFile(file)
	l.check(err)
	bad := filepath.Join(l.TempDir(), "bad.bundle")
	for name, content := range map[string][]byte{
		"flipped": append(append(bytes.Clone(content[:len(content)/2]), content[len(content)/2]^1), content[len(content)/2+1:]...),
		"cut":     content[:len(content)-100],
		"other":   []byte("404 page not found\n"),
	} {
		l.check(os.WriteFile(bad, content, 0o600))
		l.fails(1, []string{"bundle", "load", bad}, words{"damaged", "next: "})
		if images := docker(l.T, "image", "ls", "--quiet"); images != "" {
			l.Errorf("%s: the engine has\n%s", name, images)
		}
	}
	l.fails(2, []string{"bundle", "load", filepath.Join(l.folder, "nothing")}, words{"bundle save"})
	l.fails(2, []string{"bundle", "save", file}, words{"--force"})
	l.fails(2, []string{"bundle", "save", "--platform", "linux/s390x", bad + "x"}, words{"linux/arm64"})
}

// usualPorts are settings with the ports that a reader's lab has: this engine's are nobody else's.
func usualPorts() map[string]any {
	return map[string]any{"bootstrap": map[string]any{"ports": map[string]any{"http": 80, "https": 443, "nodePort": 30000}}, "registry": map[string]any{"port": 5001}}
}

// isLoaded takes all images from a bundle, once.
func (l *lab) isLoaded(file string) {
	loaded := l.must("bundle", "load", file)
	if lines := strings.Fields(loaded.stdout); len(lines) < 5 {
		l.Errorf("it loads %q", lines)
	}
	if again := l.must("bundle", "load", file); again.stdout != "" {
		l.Errorf("it loads once more %q", again.stdout)
	}
}

// walksTheCourse makes a lab from what was loaded, and sets up every chapter.
func (l *lab) walksTheCourse() {
	l.must("up")
	for _, chapter := range chapters() {
		l.must("lab", chapter)
	}
	l.hasAllImages()
	l.must("down")
}

// hasAllImages holds that the lab has the course's eight, which a bundle brings along.
func (l *lab) hasAllImages() {
	l.Helper()
	if images := l.must("images", "list").stdout; strings.Count(images, "up to date") != 8 {
		l.Errorf("of the images there is\n%s", images)
	}
}

// isServed takes a bundle from a server that has it, after a first attempt that was killed.
func (l *lab) isServed(file, saved, caches string) {
	serve := l.command("bundle", "serve", file, "--address", "127.0.0.1", "--port", "18765")
	stdout, err := serve.StdoutPipe()
	l.check(err)
	l.check(serve.Start())
	defer func() {
		serve.Process.Signal(os.Interrupt)
		serve.Wait()
	}()
	const server = "http://127.0.0.1:18765"
	line := make([]byte, len(server))
	if _, err := io.ReadFull(stdout, line); err != nil || string(line) != server {
		l.Fatalf("it says %q, %v", line, err)
	}
	docker(l.T, "image", "rm", strings.Fields(docker(l.T, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=registry"))[0])

	first := l.command("up", "--no-images", "--from", server)
	l.check(first.Start())
	parts := filepath.Join(caches, "hellolab", "bundle", "*.part")
	eventually(l, "something has arrived", func() bool {
		found, _ := filepath.Glob(parts)
		return len(found) == 1
	})
	l.check(first.Process.Signal(syscall.SIGKILL))
	first.Wait()
	l.must("up", "--from", server)
	if left, _ := filepath.Glob(parts); len(left) != 0 {
		l.Errorf("there is left %q", left)
	}
	again := l.must("up", "--no-images", "--from", server)
	l.says(again.stderr, nothingToChange)
	l.must("lab", "service")
	l.hasAllImages()
	l.must("down")

	clients := 3
	if os.Getenv("LONG") != "" {
		clients = 30
	}
	digest := regexp.MustCompile(`sha256:([0-9a-f]{64})`).FindStringSubmatch(saved)
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			response, err := http.Get(server + "/bundle")
			if err != nil {
				l.Error(err)
				return
			}
			defer response.Body.Close()
			hash := sha256.New()
			if _, err := io.Copy(hash, response.Body); err != nil || len(digest) != 2 || fmt.Sprintf("%x", hash.Sum(nil)) != digest[1] {
				l.Errorf("a client has another content, %v", err)
			}
		})
	}
	work.Wait()
	memory, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", serve.Process.Pid))
	l.check(err)
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(memory)
	if kilobytes, err := strconv.Atoi(string(peak[1])); err != nil || kilobytes > 100_000 {
		l.Errorf("the server took %d kB, %v", kilobytes, err)
	} else {
		l.Logf("the server took %d kB for %d clients", kilobytes, clients)
	}
	for _, request := range []struct{ method, path string }{{"POST", "/bundle"}, {"PUT", "/bundle"}, {"GET", "/"}, {"GET", "/bundle/../../etc/passwd"}} {
		asked, err := http.NewRequest(request.method, server+request.path, strings.NewReader("x"))
		l.check(err)
		response, err := http.DefaultClient.Do(asked)
		l.check(err)
		if response.Body.Close(); response.StatusCode != http.StatusNotFound {
			l.Errorf("%s %s is answered by %s", request.method, request.path, response.Status)
		}
	}
}
