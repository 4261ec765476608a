package doctor

import (
	"context"
	"net/netip"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/port"
)

// Machine is what was seen of a machine.
type Machine struct {
	// System is named as Go does: "linux", "darwin", "windows".
	System string
	Getenv func(string) string
	Now    time.Time
	Engine Engine
	Lab    Lab
	// Taken are the lab's ports that it has not got and cannot have.
	Taken   []TakenPort
	Folders []Folder
	Kernel  Kernel
	Network Network
	Kubectl Kubectl
	Docker  DockerCommand
	Go      Go
	// Late are the parts that could not be looked at in time.
	Late []messages.Text
}

// Engine is the Docker Engine.
type Engine struct {
	// Err is why there is none; nothing else is known then.
	Err        error
	Info       system.Info
	API        string
	Networks   []network.Summary
	Containers []container.Summary
	// Records are the names of the labs on record.
	Records []string
	// Ahead is how much its clock is ahead of this machine's.
	Ahead time.Duration
}

// Lab is the lab that a command is about.
type Lab struct {
	Name string
	// State is bootstrap.Status's; "" is not known. Err is why it cannot be.
	State string
	Err   error
	// Nodes are how many it has, or will have.
	Nodes int
	Ports []WantedPort
	// Busy reports whether a process is working on a lab.
	Busy func(name string) bool
}

// WantedPort is a port of this machine that the lab is to have.
type WantedPort struct {
	Setting string
	port.Port
}

// TakenPort is a port that the lab cannot have.
type TakenPort struct {
	WantedPort
	// Reserved is one that Windows keeps for itself.
	Reserved bool
	// Container or Program has it, as far as that is known.
	Container, Program string
}

// Use is what a folder is for.
type Use int

// The uses.
const (
	Temporary Use = iota
	Cache
	EngineData
)

// Folder is a folder that a lab needs.
type Folder struct {
	Use  Use
	Path string
	// Err is why nothing can be written there.
	Err error
	// Free is what its disk has left, in bytes.
	Free uint64
}

// Kernel is what the system allows, on Linux.
type Kernel struct {
	// Instances and Watches are the limits for inotify, for each user; InUse are root's instances, as far as they can be
	// seen. 0 is not known.
	Instances, Watches, InUse int
	// Unprivileged is the first port that any user may listen on.
	Unprivileged int
	// Container says that this program itself runs in a container.
	Container bool
	// WSL says that it runs in Windows' subsystem for Linux; Mirrored that this shares Windows' addresses.
	WSL, Mirrored bool
	// Helper says that Docker Desktop's privileged helper is installed, on macOS.
	Helper bool
}

// Network is what the machine is connected to.
type Network struct {
	Addresses []netip.Addr
	// Routes are those that lead to networks, not the default ones.
	Routes []netip.Prefix
}

// Kubectl is the user's configuration of kubectl.
type Kubectl struct {
	// Err is why it cannot be read, ReadOnly why File cannot be written.
	Err, ReadOnly error
	File          string
	// Current is the current context; Dangling says that there is none of that name.
	Current  string
	Dangling bool
	// Since and Until are when the certificate for the lab is valid; zero is not known.
	Since, Until time.Time
}

// DockerCommand is the docker command line and its configuration.
type DockerCommand struct {
	// Err is why there is none.
	Err error
	// File is its configuration, Broken why that cannot be read.
	File   string
	Broken error
	// Proxies are those that it gives to containers.
	Proxies []string
	// Helpers are the programs for passwords that it names and that are not there.
	Helpers []string
}

// Go is this machine's Go, if it has one.
type Go struct{ Path, Version string }

// Place is where Inspect looks.
type Place struct {
	Getenv func(string) string
	// Docker is the engine's client; nil has Inspect connect itself.
	Docker *client.Client
	// Lab is what the configuration says of the lab; Find completes it with what the engine knows, and may be nil.
	Lab  Lab
	Find func(context.Context, *client.Client) (Lab, error)
	// Cache is the user's folder for what can be made again, with hellolab's own inside.
	Cache string
}
