package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/hellolab/hellolab/doctor"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/redact"
)

// The exit statuses, as docs/commands.md lists them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitNotYet = 3
	// exitInterrupted is what shells have for a program that Ctrl-C has ended.
	exitInterrupted = 130
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
	}
	interrupted := ctx.Err() != nil && !errors.As(err, new(afterInterrupt))
	if interrupted {
		err = messages.Errorf("interrupted").WithHint("run the same command again: it makes what is missing")
	}
	report := p.story.Fold(func(printer messages.Printer) string { return printer.Report(explain(err)) })
	fmt.Fprint(p.stderr, redact.New(nil).Userinfo(report))
	switch {
	case interrupted:
		return exitInterrupted
	case messages.IsUsage(err):
		return exitUsage
	}
	return exitFailed
}

// explain says in the reader's words what an error is that comes without a next command: mostly of the engine's or of the
// API server's, which may go away at any moment. The words of others follow, as the cause.
func explain(err error) error {
	if joined, several := err.(interface{ Unwrap() []error }); several {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, explain(one))
		}
		return errors.Join(all...)
	}
	if (messages.Printer{}).Hint(err) != "" || messages.IsUsage(err) {
		return err
	}
	if matched := doctor.Match(err); matched != nil {
		return matched
	}
	var wrongName *net.DNSError
	switch {
	case utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err):
		return messages.Errorf("a part of the lab does not answer").Because(err).
			WithHint("%s shows how the lab is; %s completes it", messages.Hellolab("status"), messages.Hellolab("up"))
	case errors.As(err, &wrongName):
		return messages.Errorf("the network does not know a name").Because(err).
			WithHint("check this machine's network and proxy settings, then run the same command again")
	case utilnet.IsTimeout(err):
		return messages.Errorf("something did not answer in time").Because(err).
			WithHint("%s shows how the lab is; %s looks for the cause", messages.Hellolab("status"), messages.Hellolab("doctor"))
	}
	return err
}

// advice is what to do about an error that comes without a hint.
func advice(err error) messages.Text {
	if messages.IsUsage(err) {
		return messages.Hellolab("help").Text()
	}
	return messages.T("%s shows how the lab is, %s what may be wrong with this machine; with -v, the same command shows what its parts say",
		messages.Hellolab("status"), messages.Hellolab("doctor"))
}
