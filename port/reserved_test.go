package port

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// TestRefused holds that Windows' own refusal (WSAEACCES) is told from ports that are taken or privileged, and on no other system.
func TestRefused(t *testing.T) {
	t.Parallel()
	listen := func(number syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", number)}
	}
	for _, test := range []struct {
		system string
		err    error
		want   bool
	}{
		{"windows", listen(10013), true},
		{"windows", fmt.Errorf("a test: %w", listen(10013)), true},
		{"windows", listen(10048), false}, // WSAEADDRINUSE
		{"linux", listen(syscall.EACCES), false},
		{"linux", listen(10013), false},
		{"darwin", listen(syscall.EADDRINUSE), false},
		{"windows", nil, false},
	} {
		if got := refused(test.system, test.err); got != test.want {
			t.Errorf("%s: %v counts as %v", test.system, test.err, got)
		}
	}
}

// TestReserved holds that neither a free port nor one that is listened on counts as reserved.
func TestReserved(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	number := listener.Addr().(*net.TCPAddr).Port
	if Reserved(number) {
		t.Error("a port that is listened on counts as reserved")
	}
	listener.Close()
	if Reserved(number) {
		t.Error("a free port counts as reserved")
	}
	if first := FirstUnprivileged(); first < 0 || first > 65536 {
		t.Errorf("the first unprivileged port is %d", first)
	}
}
