package bootstrap

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/hellolab/hellolab/engine"
)

// HasCluster reports whether the lab's cluster was created to its end.
func (l *Lab) HasCluster(ctx context.Context) (bool, error) {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return false, err
	}
	return l.finished(ctx, nodes)
}

// dockerDesktopHost is this machine in containers of Docker Desktop's
// (https://docs.docker.com/desktop/features/networking/#i-want-to-connect-from-a-container-to-a-service-on-the-host).
const dockerDesktopHost = "host.docker.internal"

// NodesReach returns the name or the address by which nodes of the lab reach a server that listens at a port of this machine, or "" where
// they do not. It tries in a container of the node image, which it gets if need be.
func (l *Lab) NodesReach(ctx context.Context, port int) (host string, err error) {
	image, err := l.EnsureImage(ctx, nodeImage(l.settings.Bootstrap))
	if err != nil {
		return "", err
	}
	if err := engine.EnsureNetwork(ctx, l.docker, engine.Network); err != nil {
		return "", err
	}
	hosts, err := l.gateways(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	created, err := l.docker.ContainerCreate(ctx, &container.Config{
		Image:      image,
		Entrypoint: []string{"bash", "-c", probe},
		Cmd:        append([]string{"probe", fmt.Sprint(port)}, hosts...),
		Labels:     map[string]string{engine.Label: l.name()},
	}, &container.HostConfig{NetworkMode: engine.Network}, nil, nil, "")
	if err != nil {
		return "", err
	}
	defer l.removeNode(context.WithoutCancel(ctx), created.ID)
	ended, failed := l.docker.ContainerWait(ctx, created.ID, container.WaitConditionNextExit)
	if err := l.docker.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		return "", err
	}
	select {
	case end := <-ended:
		if at := int(end.StatusCode) - 1; at >= 0 && at < len(hosts) {
			return hosts[at], nil
		}
		return "", nil
	case err := <-failed:
		return "", err
	}
}

// probe ends with the number of the first host, from 1 on, that a port answers at, or 0.
const probe = `port=$1; shift; n=0
for host; do n=$((n+1)); timeout 3 bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null && exit $n; done
exit 0`

// gateways are the names of this machine that nodes might know.
func (l *Lab) gateways(ctx context.Context) (hosts []string, err error) {
	found, err := l.docker.NetworkInspect(ctx, engine.Network, network.InspectOptions{})
	if err != nil {
		return nil, err
	}
	for _, config := range found.IPAM.Config {
		gateway, _, _ := strings.Cut(config.Gateway, "/")
		if address, err := netip.ParseAddr(gateway); err == nil && address.Is4() {
			hosts = append(hosts, gateway)
		}
	}
	return append(hosts, dockerDesktopHost), nil
}
