package engine

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// Network is the Docker network that kind puts its nodes on
// (https://kind.sigs.k8s.io/docs/user/known-issues/#podman-and-docker-networks). Containers on it find each other by name.
const Network = "kind"

// EnsureNetwork creates a bridge network, unless there is one of that name. It has IPv6 where the engine has: kind clusters of
// the user's own, which may want that, share it.
func EnsureNetwork(ctx context.Context, docker *client.Client, name string) error {
	_, err := docker.NetworkInspect(ctx, name, network.InspectOptions{})
	if !errdefs.IsNotFound(err) {
		return err
	}
	options := network.CreateOptions{Driver: "bridge", Options: map[string]string{"com.docker.network.bridge.enable_ip_masquerade": "true"}}
	if usual, err := docker.NetworkInspect(ctx, "bridge", network.InspectOptions{}); err == nil && usual.Options[mtu] != "" {
		options.Options[mtu] = usual.Options[mtu] // a VPN's or a cloud's: larger packets would be lost
	}
	both, yes := options, true
	both.EnableIPv6, both.IPAM = &yes, &network.IPAM{Config: []network.IPAMConfig{{Subnet: localSubnet()}}}
	if _, err = docker.NetworkCreate(ctx, name, both); err != nil && !errdefs.IsConflict(err) && ctx.Err() == nil {
		_, err = docker.NetworkCreate(ctx, name, options)
	}
	if errdefs.IsConflict(err) { // another program was faster
		return nil
	}
	return err
}

// mtu is the option of a bridge network for the size of its packets.
const mtu = "com.docker.network.driver.mtu"

// localSubnet is a random subnet for local IPv6 addresses (https://www.rfc-editor.org/rfc/rfc4193#section-3.2).
func localSubnet() string {
	var id [5]byte
	rand.Read(id[:]) // it never fails: https://pkg.go.dev/crypto/rand#Read
	return fmt.Sprintf("fd%02x:%02x%02x:%02x%02x::/64", id[0], id[1], id[2], id[3], id[4])
}

// Start starts a container. Of its networks, those that were removed while it was stopped, as a prune does, are made anew
// first: the engine keeps their IDs, and refuses to start it without them
// (https://github.com/docker/for-mac/issues/7703).
func Start(ctx context.Context, docker *client.Client, name string) error {
	found, err := docker.ContainerInspect(ctx, name)
	if err != nil {
		return err
	}
	for joined, endpoint := range found.NetworkSettings.Networks {
		if err := rejoin(ctx, docker, found.ID, joined, endpoint.NetworkID); err != nil {
			return err
		}
	}
	return docker.ContainerStart(ctx, found.ID, container.StartOptions{})
}

// rejoin puts a container that does not run on the network that has taken the place of one of its own, if that is gone. One that
// never ran knows its networks by their names only.
func rejoin(ctx context.Context, docker *client.Client, id, name, lost string) error {
	if lost == "" {
		return EnsureNetwork(ctx, docker, name)
	}
	_, err := docker.NetworkInspect(ctx, lost, network.InspectOptions{})
	if !errdefs.IsNotFound(err) {
		return err
	}
	if err := EnsureNetwork(ctx, docker, name); err != nil {
		return err
	}
	if err := docker.NetworkDisconnect(ctx, name, id, true); err != nil {
		return err
	}
	return docker.NetworkConnect(ctx, name, id, &network.EndpointSettings{})
}
