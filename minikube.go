package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/kubectl"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/tunnel"
)

// What the course does with minikube, beside the lab's life.

// exitStatus is the end of another program inside this one, which has said all there is to say.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("status %d", int(e)) }

// afterInterrupt is what went wrong with what had to be done after Ctrl-C.
type afterInterrupt struct{ error }

func (a afterInterrupt) Unwrap() error { return a.error }

// byItsName puts the word kubectl behind a program that was called by that name: through a link, say.
func byItsName(args []string) []string {
	if len(args) > 0 && strings.TrimSuffix(filepath.Base(args[0]), ".exe") == "kubectl" {
		return append([]string{"hellolab", "kubectl"}, args[1:]...)
	}
	return args
}

// kubectl runs the real kubectl against the lab. It asks no engine: the context's name is all that it needs.
func (p *program) kubectl(c *cli.Context) error {
	all, _, err := p.settings(c)
	if err != nil {
		return err
	}
	args := c.Args().Slice()
	if len(args) > 0 && args[0] == "--" { // as in minikube kubectl -- get pods
		args = args[1:]
	}
	signal.Reset(ends()...)                        // kubectl ends by them, or handles them itself
	os.Args = append([]string{"kubectl"}, args...) // it tells the API server its name, and the reader in advice
	next := func(command string) string { return p.say("next: ") + command }
	status := kubectl.Run(bootstrap.Context(all.Bootstrap.Name), kubectl.Hints{Lost: next("hellolab up"), Refused: next("hellolab status")},
		os.Args, kubectl.Streams{In: os.Stdin, Out: p.stdout, Err: os.Stderr})
	if status != exitDone {
		return exitStatus(status)
	}
	return nil
}

// tunnel gives LoadBalancer Services addresses until Ctrl-C.
func (p *program) tunnel(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	api, err := s.lab.API(c.Context)
	if err != nil {
		return err
	}
	ran, err := p.runTunnel(c.Context, s, api.Config(), api)
	if err == nil && !ran {
		unlock, busy := s.lab.Lock(c.Context) // hellolab lab has a tunnel of its own while it works, and not any longer
		if busy != nil {
			return busy
		}
		unlock()
		err = messages.Errorf("another hellolab tunnel runs already").WithHint("end that one with Ctrl-C, or leave it: one is enough for all Services")
	}
	if err != nil && c.Context.Err() != nil {
		err = afterInterrupt{err}
	}
	return err
}

// runTunnel runs a tunnel until ctx ends. Where somebody runs one already, it does not, and tells.
func (p *program) runTunnel(ctx context.Context, s session, config *rest.Config, cluster kubernetes.Interface) (ran bool, err error) {
	unlock, err := s.lab.LockTunnel()
	if err != nil || unlock == nil {
		return false, err
	}
	defer unlock()
	return true, (&tunnel.Tunnel{Config: config, Cluster: cluster, Say: p.story.Say, Gone: s.lab.Gone}).Run(ctx)
}

// ip prints the address that the lab's published ports answer at.
func (p *program) ip(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	address, err := s.lab.IP()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, address)
	return err
}

// imagesEnv prints the lines that let a shell's docker push reach the lab's registry.
func (p *program) imagesEnv(c *cli.Context) error {
	shell := c.String("shell")
	if shell == "" {
		shell = p.shell()
	}
	set, found := map[string]string{
		"bash": "export %s=%q\n", "zsh": "export %s=%q\n", "sh": "export %s=%q\n", "fish": "set -gx %s %q;\n",
		"powershell": "$Env:%s = %q\n", "cmd": "SET %s=%s\n",
	}[shell]
	if !found {
		return messages.Usagef("%q is not a shell that hellolab knows", shell).WithHint("hellolab images env --shell bash, zsh, sh, fish, powershell or cmd")
	}
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	endpoint, err := engine.Endpoint(p.getenv)
	if err != nil {
		return err
	}
	var text strings.Builder
	if endpoint != "" {
		fmt.Fprintf(&text, set, "DOCKER_HOST", endpoint)
	}
	fmt.Fprintf(&text, set, "HELLOLAB_REGISTRY", s.lab.Registry().Address())
	for _, line := range envComments(shell, s.lab.Registry().Address(), s.all.Images.Account) {
		text.WriteString(line + "\n")
	}
	_, err = fmt.Fprint(p.stdout, text.String())
	return err
}

// envComments say what the lines before are good for.
func envComments(shell, registry, account string) []string {
	sign, evaluate := "# ", `eval "$(hellolab images env)"`
	switch shell {
	case "fish":
		evaluate = "hellolab images env | source"
	case "powershell":
		evaluate = "hellolab images env | Out-String | Invoke-Expression"
	case "cmd":
		sign, evaluate = "REM ", `@FOR /f "tokens=*" %i IN ('hellolab images env --shell cmd') DO @%i`
	}
	image := registry + "/" + account + "/hellok8s:v1"
	return []string{sign + evaluate, sign + "docker build -t " + image + " .", sign + "docker push " + image}
}

// shell is the user's, as far as it can be told.
func (p *program) shell() string {
	if name := filepath.Base(p.getenv("SHELL")); name == "fish" {
		return name
	}
	if runtime.GOOS == "windows" {
		return "powershell"
	}
	return "bash"
}
