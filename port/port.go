// Package port probes the ports of this machine that a lab wants to publish.
package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
)

// Port is a setting: a port number, or "auto" for the usual one and, where that is taken, the next free one.
type Port struct {
	Number int
	Auto   bool
}

// UnmarshalYAML reads 1 to 65535, or auto. Its error is of the YAML library's own type, since only with that one does the
// library continue to the next mistake in the file.
func (p *Port) UnmarshalYAML(node *yaml.Node) error {
	if node.Value == "auto" {
		*p = Port{Auto: true}
		return nil
	}
	number, err := strconv.Atoi(node.Value)
	if err != nil || number < 1 || number > 65535 {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: cannot unmarshal !!port `%s` into port.Port", node.Line, node.Value)}}
	}
	*p = Port{Number: number}
	return nil
}

// MarshalYAML writes what UnmarshalYAML reads.
func (p Port) MarshalYAML() (any, error) {
	if p.Auto {
		return "auto", nil
	}
	return p.Number, nil
}

// String is the number, or "auto".
func (p Port) String() string {
	if p.Auto {
		return "auto"
	}
	return strconv.Itoa(p.Number)
}

// Free reports whether number can be published on every one of addresses.
//
// A port that this user may not listen on (below 1024) may still be published by the engine. It counts as taken if
// something answers there.
func Free(addresses []string, number int) bool {
	for _, address := range addresses {
		target := net.JoinHostPort(address, strconv.Itoa(number))
		listener, err := net.Listen("tcp", target)
		switch {
		case err == nil:
			listener.Close()
		case errors.Is(err, syscall.EACCES):
			if conn, err := net.DialTimeout("tcp", target, time.Second); err == nil {
				conn.Close()
				return false
			}
		default:
			return false
		}
	}
	return true
}

// Reserved reports whether Windows keeps a port for itself, so that nobody can have it: Hyper-V reserves whole ranges
// (https://learn.microsoft.com/troubleshoot/windows-server/networking/default-dynamic-port-range-tcpip-chang).
func Reserved(number int) bool {
	target := net.JoinHostPort(Loopback, strconv.Itoa(number))
	listener, err := net.Listen("tcp", target)
	if err == nil {
		listener.Close()
		return false
	}
	if conn, err := net.DialTimeout("tcp", target, time.Second); err == nil { // of a program that shares it with nobody
		conn.Close()
		return false
	}
	return refused(runtime.GOOS, err)
}

// refused reports whether an error of Listen says that Windows does not give the port to anybody: WSAEACCES, which is not
// syscall.EACCES there.
func refused(system string, err error) bool {
	var number syscall.Errno
	return system == "windows" && errors.As(err, &number) && number == 10013
}

// FirstUnprivileged is the first port that any user of this machine may listen on.
func FirstUnprivileged() int {
	content, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err == nil {
		if first, err := strconv.Atoi(strings.TrimSpace(string(content))); err == nil {
			return first
		}
	}
	return 1024
}

// Loopback is the address that a lab listens on. It is not ::1 as well: a machine may lose IPv6 later, by a VPN or a setting, and
// a container that is published there does not start again then (https://github.com/moby/moby/issues/42288). Whoever
// asks for localhost comes to 127.0.0.1 where nobody answers at ::1.
const Loopback = "127.0.0.1"

// Localhost returns the addresses that localhost may stand for: a port is the lab's own only where it is free on all of them.
func Localhost() []string {
	addresses := []string{Loopback}
	if listener, err := net.Listen("tcp", "[::1]:0"); err == nil {
		listener.Close()
		addresses = append(addresses, "::1")
	}
	return addresses
}
