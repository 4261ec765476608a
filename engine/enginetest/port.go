package enginetest

import (
	"net"
	"os"
	"strconv"
	"testing"
)

// held is the address on which [Port] holds a port, so that two tests do not choose the same.
const held = "127.0.0.43"

// Port returns a port of 127.0.0.1 for a container to publish, which no other test uses: it lies below the range that
// systems choose from for "any port", and is held on another loopback address until the test ends. Where there is no other
// loopback address (macOS), the test is skipped.
func Port(t testing.TB) int {
	t.Helper()
	first := 20000 + os.Getpid()%8000
	for number := first; number < first+2000; number++ {
		mine, err := net.Listen("tcp", net.JoinHostPort(held, strconv.Itoa(number)))
		if err != nil {
			continue
		}
		if probe, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(number))); err == nil {
			probe.Close()
			t.Cleanup(func() { mine.Close() })
			return number
		}
		mine.Close()
	}
	t.Skip("this machine has one loopback address only, so no port can be held")
	return 0
}
