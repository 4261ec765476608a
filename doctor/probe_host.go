package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/hellolab/hellolab/port"
)

// lookAtFolders tries to write where a lab has to, and asks what its disks have left.
func lookAtFolders(ctx context.Context, place Place) func(*Machine) {
	folders := []Folder{{Use: Temporary, Path: os.TempDir()}}
	if place.Cache != "" {
		folders = append(folders, Folder{Use: Cache, Path: place.Cache})
	}
	for i, folder := range folders {
		path := folder.Path
		if folder.Use == Cache { // it is made when it is needed
			path = existing(path)
			folders[i].Path = path
		}
		folders[i].Err = writable(path)
		folders[i].Free = free(ctx, path)
	}
	return func(seen *Machine) { seen.Folders = append(seen.Folders, folders...) }
}

// existing is the folder itself, or the nearest one around it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}

// writable fails where no file can be made in a folder.
func writable(folder string) error {
	file, err := os.CreateTemp(folder, ".hellolab-*")
	if err != nil {
		return err
	}
	file.Close()
	return os.Remove(file.Name())
}

// free is what the disk of a path has left for this user, in bytes; 0 is not known.
func free(ctx context.Context, path string) uint64 {
	usage, err := disk.UsageWithContext(ctx, path)
	if err != nil {
		return 0
	}
	return usage.Free
}

// lookAtKernel reads the limits that Linux shows as files. Elsewhere these are not there, and nothing is known.
func lookAtKernel(context.Context, Place) func(*Machine) {
	found := Kernel{
		Instances:    number("/proc/sys/fs/inotify/max_user_instances"),
		Watches:      number("/proc/sys/fs/inotify/max_user_watches"),
		Unprivileged: port.FirstUnprivileged(),
		Container:    exists("/.dockerenv") || exists("/run/.containerenv"),
		Helper:       exists("/Library/PrivilegedHelperTools/com.docker.vmnetd"),
		Mirrored:     exists("/sys/class/net/loopback0"), // https://learn.microsoft.com/windows/wsl/networking
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		found.WSL = strings.Contains(strings.ToLower(string(release)), "microsoft")
	}
	if os.Getuid() == 0 { // root sees all of its own, which the nodes' count to
		found.InUse = inotifyInstances()
	}
	return func(seen *Machine) { seen.Kernel = found }
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// number is the one that a file holds, or 0.
func number(path string) int {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	value, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return value
}

// inotifyInstances counts those of root's processes.
func inotifyInstances() int {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	count := 0
	for _, file := range open {
		if target, err := os.Readlink(file); err == nil && target == "anon_inode:inotify" {
			count++
		}
	}
	return count
}

// lookAtNetwork finds the machine's addresses, and the networks that it has routes to.
func lookAtNetwork(context.Context, Place) func(*Machine) {
	var found Network
	addresses, _ := net.InterfaceAddrs()
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			found.Addresses = append(found.Addresses, prefix.Addr().Unmap())
		}
	}
	if table, err := os.Open("/proc/net/route"); err == nil {
		defer table.Close()
		found.Routes = routes(bufio.NewScanner(table))
	}
	return func(seen *Machine) { seen.Network = found }
}

// routes reads Linux's table of IPv4 routes, whose addresses are in hexadecimal digits, the last byte first
// (https://man7.org/linux/man-pages/man5/proc_pid_net.5.html). Those of all addresses are left out.
func routes(table *bufio.Scanner) []netip.Prefix {
	var all []netip.Prefix
	for table.Scan() {
		fields := strings.Fields(table.Text())
		if len(fields) < 8 {
			continue
		}
		address, err := hex.DecodeString(fields[1])
		mask, err2 := hex.DecodeString(fields[7])
		if err != nil || err2 != nil || len(address) != 4 || len(mask) != 4 {
			continue
		}
		length := bits.OnesCount32(binary.LittleEndian.Uint32(mask))
		if length > 0 {
			all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{address[3], address[2], address[1], address[0]}), length))
		}
	}
	return all
}
