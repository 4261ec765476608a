//go:build !darwin

package port

import (
	"context"

	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// Owner returns the name of the program of this machine that listens on a TCP port, or "" where it is not known: programs
// of other users are visible to the administrator only.
func Owner(ctx context.Context, number int) string {
	connections, err := net.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return ""
	}
	for _, connection := range connections {
		if connection.Status != "LISTEN" || int(connection.Laddr.Port) != number || connection.Pid == 0 {
			continue
		}
		if owner, err := process.NewProcessWithContext(ctx, connection.Pid); err == nil {
			name, _ := owner.NameWithContext(ctx)
			return name
		}
	}
	return ""
}
