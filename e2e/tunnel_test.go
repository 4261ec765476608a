//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
)

// tunnel runs `hellolab tunnel` until end is called, which tells how it ended.
func (l *lab) tunnel() (end func() result) {
	l.Helper()
	command := l.command("tunnel")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	l.check(command.Start())
	l.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	return func() result {
		l.Helper()
		l.check(command.Process.Signal(syscall.SIGINT))
		command.Wait()
		l.Logf("tunnel: status %d\n%s", command.ProcessState.ExitCode(), stderr.String())
		return result{stdout.String(), stderr.String(), command.ProcessState.ExitCode(), 0}
	}
}

// external gives the EXTERNAL-IP of a Service, or "".
func (l *lab) external(namespace, service string) string {
	l.Helper()
	return l.kubectl("", "get", "service", service, "-n", namespace, "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")
}

func (l *lab) printsItsAddress() {
	if address := l.must("ip").stdout; address != "127.0.0.1\n" {
		l.Errorf("ip prints %q", address)
	}
}

// pushesWithImagesEnv pushes an image as with minikube docker-env.
func (l *lab) pushesWithImagesEnv() {
	l.shell(`eval "$(hellolab images env --shell sh)"
		docker tag busybox "$HELLOLAB_REGISTRY/guangzhengli/hellok8s:env" &&
		docker push --quiet "$HELLOLAB_REGISTRY/guangzhengli/hellok8s:env"; status=$?
		docker rmi "$HELLOLAB_REGISTRY/guangzhengli/hellok8s:env"; exit $status`)
	l.kubectl("", "run", "pushed", "--image=guangzhengli/hellok8s:env", "--restart=Never", "--", "true")
	eventually(l, "the pushed image runs", func() bool {
		return l.kubectl("", "get", "pod", "pushed", "-o", "jsonpath={.status.phase}") == "Succeeded"
	})
	l.fails(2, []string{"images", "env", "--shell", "nope"}, unknownShell)
}

// tunnels holds that three Services with five ports answer at addresses of their own, whatever becomes of their pods, and
// that the addresses go with the tunnel.
func (l *lab) tunnels() {
	l.must("lab", "reset")
	ports := map[string][]int{"one": {8080}, "two": {8080, 8081}, "three": {9000, 9001}}
	for name, numbers := range ports {
		var listed []string
		for _, number := range numbers {
			listed = append(listed, fmt.Sprintf("name: p%d, port: %d, targetPort: 80", number, number))
		}
		l.apply(nginxYAML(name, name, 1), serviceYAML(name, "LoadBalancer", name, listed...))
	}
	l.kubectl("", "wait", "--for=condition=Available", "deployment", "--all", "--timeout=60s")
	if pending := l.kubectl("", "get", "service", "one"); !strings.Contains(pending, "<pending>") {
		l.Errorf("without a tunnel there is\n%s", pending)
	}
	end := l.tunnel()
	addresses := map[string]bool{}
	answersAll := func() {
		l.Helper()
		for name, numbers := range ports {
			var address string
			eventually(l, "service "+name+" has an address", func() bool { address = l.external("default", name); return address != "" })
			addresses[address] = true
			for _, number := range numbers {
				eventually(l, fmt.Sprintf("service %s answers at port %d", name, number), func() bool {
					code, body := get(fmt.Sprintf("http://%s:%d/", address, number))
					return code == 200 && strings.Contains(body, "nginx")
				})
			}
		}
	}
	answersAll()
	if len(addresses) != 3 {
		l.Errorf("the addresses are %v", addresses)
	}
	l.fails(1, []string{"tunnel"}, secondTunnel)

	before := l.kubectl("", "get", "pods", "-l", "app=two", "-o", "name")
	l.kubectl("", "rollout", "restart", "deployment", "two")
	l.kubectl("", "rollout", "status", "deployment", "two")
	eventually(l, "the old pod is gone", func() bool {
		now := l.kubectl("", "get", "pods", "-l", "app=two", "-o", "name")
		return strings.Count(now, "\n") == 1 && now != before
	})
	answersAll()

	address := l.external("default", "one")
	l.kubectl("", "patch", "service", "one", "-p", `{"spec":{"type":"ClusterIP"}}`)
	eventually(l, "a Service of another type does not answer", func() bool { code, _ := get("http://" + address + ":8080/"); return code == 0 })
	l.kubectl("", "patch", "service", "one", "-p", `{"spec":{"type":"LoadBalancer"}}`)
	answersAll()

	address = l.external("default", "three")
	done := end()
	if done.status != 0 || done.stdout != "" {
		l.Errorf("after Ctrl-C the tunnel ends with status %d and printed %q", done.status, done.stdout)
	}
	for name := range ports {
		if left := l.external("default", name); left != "" {
			l.Errorf("after the tunnel %s has the address %s", name, left)
		}
	}
	if code, _ := get("http://" + address + ":9000/"); code != 0 {
		l.Errorf("after the tunnel %s answers", address)
	}

	killed := l.command("tunnel")
	l.check(killed.Start())
	eventually(l, "an address", func() bool { return l.external("default", "one") != "" })
	l.check(killed.Process.Kill())
	killed.Wait()
	end = l.tunnel()
	answersAll()
	end()
	if left := l.external("default", "one"); left != "" {
		l.Errorf("the address of a killed tunnel is still there: %s", left)
	}
}
