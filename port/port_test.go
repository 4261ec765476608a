package port_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/port"
)

// TestYAML holds that what the config file says is what a lab's record says later.
func TestYAML(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		written string
		want    port.Port
		text    string
	}{
		{"1", port.Port{Number: 1}, "1"},
		{"80", port.Port{Number: 80}, "80"},
		{`"80"`, port.Port{Number: 80}, "80"},
		{"65535", port.Port{Number: 65535}, "65535"},
		{"auto", port.Port{Auto: true}, "auto"},
	} {
		t.Run(test.written, func(t *testing.T) {
			t.Parallel()
			var read port.Port
			if err := yaml.Unmarshal([]byte(test.written), &read); err != nil || read != test.want {
				t.Fatalf("read as %+v, %v; want %+v", read, err, test.want)
			}
			if read.String() != test.text {
				t.Errorf("shown as %q, want %q", read, test.text)
			}
			again, err := yaml.Marshal(read)
			if err != nil || string(again) != test.text+"\n" {
				t.Errorf("written as %q, %v; want %q", again, err, test.text)
			}
			var back port.Port
			if err := yaml.Unmarshal(again, &back); err != nil || back != test.want {
				t.Errorf("read back as %+v, %v; want %+v", back, err, test.want)
			}
		})
	}
}

// TestYAMLForgetsTheDefault holds that a user's setting replaces the default as a whole.
func TestYAMLForgetsTheDefault(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]port.Port{"auto": {Auto: true}, "8080": {Number: 8080}} {
		for _, usual := range []port.Port{{Number: 80}, {Auto: true}} {
			read := usual
			if err := yaml.Unmarshal([]byte(written), &read); err != nil || read != want {
				t.Errorf("%s over %+v is %+v, %v; want %+v", written, usual, read, err, want)
			}
		}
	}
}

// TestBadYAML holds that a mistake is an error of the YAML library's own kind: of any other, the library would report
// the first in a file only.
func TestBadYAML(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"0", "65536", "-1", "80.5", "http", "Auto", "1e3", `""`, "[80]", "{number: 80}"} {
		t.Run(bad, func(t *testing.T) {
			t.Parallel()
			read := struct{ Before, Port port.Port }{}
			err := yaml.Unmarshal([]byte("before: 1\nport: "+bad+"\n"), &read)
			var mistyped *yaml.TypeError
			if !errors.As(err, &mistyped) {
				t.Fatalf("the error is a %T (%v), not a *yaml.TypeError", err, err)
			}
			if len(mistyped.Errors) != 1 || !strings.HasPrefix(mistyped.Errors[0], "line 2: ") {
				t.Errorf("the errors are %q, want one about line 2", mistyped.Errors)
			}
			if read.Port != (port.Port{}) {
				t.Errorf("%+v was read all the same", read.Port)
			}
		})
	}
}

// TestBadYAMLIsReportedAtOnce holds that one run shows all mistakes of a file, those of other types too.
func TestBadYAMLIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	var read struct {
		HTTP, HTTPS, Registry port.Port
		Workers               int
	}
	err := yaml.Unmarshal([]byte("http: 0\nhttps: no\nworkers: many\nregistry: 5001\n"), &read)
	var mistyped *yaml.TypeError
	if !errors.As(err, &mistyped) {
		t.Fatalf("the error is a %T (%v), not a *yaml.TypeError", err, err)
	}
	if len(mistyped.Errors) != 3 {
		t.Fatalf("%d mistakes are reported of 3: %q", len(mistyped.Errors), mistyped.Errors)
	}
	for i, value := range []string{"0", "no", "many"} {
		if line := mistyped.Errors[i]; !strings.HasPrefix(line, fmt.Sprintf("line %d: ", i+1)) || !strings.Contains(line, "`"+value+"`") {
			t.Errorf("%q does not name line %d and %q", line, i+1, value)
		}
	}
	if read.Registry.Number != 5001 {
		t.Errorf("what stands after the mistakes was read as %+v", read.Registry)
	}
}

// TestFree holds that a port counts as taken where one of the lab's addresses is, whichever it is.
func TestFree(t *testing.T) {
	t.Parallel()
	for _, address := range port.Localhost() {
		_, number := listen(t, address)
		if port.Free([]string{address}, number) {
			t.Errorf("port %d of %s counts as free while it is listened on", number, address)
		}
		if port.Free(port.Localhost(), number) {
			t.Errorf("port %d counts as free while %s is listened on", number, address)
		}
	}
}

// ownAddress is one of loopback's that no other test listens at, so that a port which is let go there stays free.
const ownAddress = "127.0.0.42"

// TestFreeAgain holds that a port is free when its listener is gone, and that looking does not take it.
func TestFreeAgain(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "darwin" {
		t.Skip("macOS has one loopback address only")
	}
	listener, number := listen(t, ownAddress)
	if port.Free([]string{ownAddress}, number) {
		t.Errorf("port %d counts as free while it is listened on", number)
	}
	listener.Close()
	for range 2 {
		if !port.Free([]string{ownAddress}, number) {
			t.Errorf("port %d counts as taken after its listener is gone", number)
		}
	}
}

// TestFreeBelow1024 holds that a port which only the engine may open is not called taken.
func TestFreeBelow1024(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:1")
	if err == nil {
		listener.Close()
	}
	if !errors.Is(err, syscall.EACCES) {
		t.Skip("this user may listen on every port")
	}
	if !port.Free([]string{"127.0.0.1"}, 1) {
		t.Error("port 1 counts as taken though nothing answers there")
	}
}

// TestLocalhost holds that every address can be listened on, and that IPv4 is always among them.
func TestLocalhost(t *testing.T) {
	t.Parallel()
	addresses := port.Localhost()
	if len(addresses) == 0 || addresses[0] != "127.0.0.1" {
		t.Errorf("the addresses are %q, want 127.0.0.1 first", addresses)
	}
	for _, address := range addresses {
		listen(t, address)
	}
}

// TestOwner holds that a program of this user's is named as the user knows it, on either address, and that a port which
// is in use, but which nobody listens on, has no owner: that of a connection's near end.
func TestOwner(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "darwin" {
		t.Skip("macOS does not tell")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range port.Localhost() {
		listener, number := listen(t, address)
		if got, want := port.Owner(t.Context(), number), filepath.Base(self); got != want {
			t.Errorf("the owner of port %d of %s is %q, want %q", number, address, got, want)
		}
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if number := connection.LocalAddr().(*net.TCPAddr).Port; port.Owner(t.Context(), number) != "" {
			t.Errorf("the owner of port %d of %s, which nobody listens on, is %q", number, address, port.Owner(t.Context(), number))
		}
	}
}

// listen opens a port that the system chooses.
func listen(t *testing.T, address string) (net.Listener, int) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	_, text, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return listener, number
}
