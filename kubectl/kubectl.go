// Package kubectl is the real kubectl, inside this program.
package kubectl

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	"k8s.io/kubectl/pkg/cmd/util"
)

// Streams are kubectl's stdin, stdout and stderr. exec -it wants real files.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs kubectl and gives its exit status. args are "kubectl" and what follows, and have to be the program's own
// (os.Args), since kubectl reads them there, too. It works on the kubectl context of that name unless args name another
// one, or another kubeconfig. Where it cannot reach the lab, a hint follows kubectl's own error.
//
// It can be called once in a program: kubectl keeps what it is doing in globals.
func Run(context string, hints Hints, args []string, streams Streams) (status int) {
	ended := make(chan int, 1)
	onLab := false // nobody has named another place
	// kubectl's way to fail is to end the program, from wherever it is. Here that place waits for ever instead, and the
	// program ends where it began.
	util.BehaviorOnFatal(func(message string, status int) {
		if message != "" {
			fmt.Fprintln(streams.Err, strings.TrimSuffix(message, "\n"))
		}
		if hint := hints.after(message, context, onLab); hint != "" {
			fmt.Fprintln(streams.Err, hint)
		}
		ended <- status
		select {}
	})
	go func() {
		if err := run(context, args, streams, &onLab); err != nil {
			util.CheckErr(err)
		}
		ended <- 0
	}()
	return <-ended
}

// Hints are the lines for a reader whose kubectl cannot reach the lab.
type Hints struct {
	// Lost follows where the lab's context does not exist, and Refused where its API server does not answer.
	Lost, Refused string
}

// after gives the hint that an error of kubectl's is in need of, or "".
func (h Hints) after(message, context string, onLab bool) string {
	switch {
	case lost(message, context):
		return h.Lost
	case !onLab:
		return ""
	case strings.Contains(message, "was refused - did you specify the right host or port?"), strings.Contains(message, "TLS handshake timeout"):
		return h.Refused
	}
	return ""
}

// lost reports whether kubectl says, in either of its ways, that there is no such context.
func lost(message, context string) bool {
	return strings.Contains(message, "context was not found for specified context: "+context) ||
		strings.Contains(message, fmt.Sprintf("context %q does not exist", context))
}

// run does what kubectl's main does, for a context. onLab becomes true where args name no other place.
func run(context string, args []string, streams Streams, onLab *bool) error {
	logs.GlogSetter(cmd.GetLogVerbosity(args)) // before any flag is read: plugins are looked for by then
	io := genericiooptions.IOStreams{In: streams.In, Out: streams.Out, ErrOut: streams.Err}
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().
		WithDiscoveryBurst(300).WithDiscoveryQPS(50).WithWarningPrinter(io) // kubectl's own figures
	command := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     args, ConfigFlags: flags, IOStreams: io,
	})
	prepare := command.PersistentPreRunE
	command.PersistentPreRunE = func(c *cobra.Command, arguments []string) error {
		if *flags.Context == "" && *flags.KubeConfig == "" { // not as the flag's default, which help would show
			*flags.Context = context
			*onLab = *flags.APIServer == ""
		}
		return prepare(c, arguments)
	}
	return cli.RunNoErrOutput(command)
}
