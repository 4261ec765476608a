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

// Streams are kubectl's stdin, stdout and stderr. exec -it needs them to be files.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs kubectl and returns its exit status. args are "kubectl" and its arguments; they have to be equal to os.Args, which
// kubectl reads as well. It uses the given kubectl context unless args select another one, or another kubeconfig. If it
// cannot reach the lab, a hint follows kubectl's own error.
//
// It can be called once in a program: kubectl keeps its state in global variables.
func Run(context string, hints Hints, args []string, streams Streams) (status int) {
	ended := make(chan int, 1)
	onLab := false // whether args leave the choice of the cluster to us
	// kubectl fails by calling os.Exit. This replaces that call: the goroutine blocks for ever, and Run returns the status.
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

// Hints are the lines to print when kubectl cannot reach the lab.
type Hints struct {
	// Lost is for a context that does not exist, and Refused for an API server that does not answer.
	Lost, Refused string
}

// after returns the hint for an error of kubectl's, or "".
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

// lost reports whether an error of kubectl's, in either of its wordings, is that the context does not exist.
func lost(message, context string) bool {
	return strings.Contains(message, "context was not found for specified context: "+context) ||
		strings.Contains(message, fmt.Sprintf("context %q does not exist", context))
}

// run does what kubectl's main does, with another default context. It sets onLab if args select no other cluster.
func run(context string, args []string, streams Streams, onLab *bool) error {
	logs.GlogSetter(cmd.GetLogVerbosity(args)) // plugins are looked up, and logged, before the flags are parsed
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
