package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/docker/docker/client"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/hellolab/hellolab/messages"
)

// The exit statuses, as docs/commands.md lists them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitNotYet = 3
)

// errNotYet is the end of `lab check` where the cluster is not yet as the step leaves it: exit status 3.
type errNotYet struct{}

func (errNotYet) Error() string { return "not there yet" }

// exitStatus is the end of another program inside this one, which has said all there is to say.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("status %d", int(e)) }

// afterInterrupt is what went wrong with what had to be done after Ctrl-C.
type afterInterrupt struct{ error }

func (a afterInterrupt) Unwrap() error { return a.error }

// exit prints what became of a command, and returns the program's exit status.
func (p *program) exit(ctx context.Context, err error) int {
	var status exitStatus
	switch {
	case errors.As(err, &status):
		return int(status)
	case err == nil:
		return exitDone
	case errors.Is(err, errNotYet{}):
		return exitNotYet
	case ctx.Err() != nil && !errors.As(err, new(afterInterrupt)):
		err = messages.Errorf("interrupted").WithHint("run the same command again to go on from where it stopped")
	}
	fmt.Fprint(p.stderr, p.printer.Report(err))
	if messages.IsUsage(err) {
		return exitUsage
	}
	return exitFailed
}

// advice is what to do about an error that comes without a hint: mostly from the engine or the API server, which may
// go away at any moment.
func advice(err error) messages.Text {
	var wrongName *net.DNSError
	switch {
	case messages.IsUsage(err):
		return messages.Hellolab("help").Text()
	case client.IsErrConnectionFailed(err):
		return messages.T("start the Docker Engine, then run the same command again; %s shows what is there", messages.Hellolab("status"))
	case errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "no space left on device"):
		return messages.T("make room on the disk (%s shows what Docker holds), then run the same command again", messages.Shell("docker", "system", "df"))
	case utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err):
		return messages.T("%s shows how the lab is; %s completes it", messages.Hellolab("status"), messages.Hellolab("up"))
	case errors.As(err, &wrongName):
		return messages.T("check this machine's network and proxy settings, then run the same command again")
	}
	return messages.T("%s shows how the lab is; with -v, the same command shows what its parts say", messages.Hellolab("status"))
}
