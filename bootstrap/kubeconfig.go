package bootstrap

import (
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hellolab/hellolab/messages"
)

// kubeconfig is the user's own ($KUBECONFIG, or ~/.kube/config), seen from the lab.
type kubeconfig struct{ context string }

// Context is the kubectl context of a lab. kind names it so.
func Context(lab string) string { return "kind-" + lab }

// current is the user's current context, or "".
func (k kubeconfig) current() string {
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err != nil {
		return ""
	}
	return config.CurrentContext
}

// check fails where the user's kubeconfig cannot be read, or is locked, before anything is created.
func (k kubeconfig) check() error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if _, err := rules.Load(); err != nil {
		return messages.Errorf("kubectl's configuration cannot be read").Because(err).
			WithHint("mend that file, or name another one: export KUBECONFIG=FILE")
	}
	for _, file := range rules.GetLoadingPrecedence() {
		// kind and client-go lock with a file that a killed program leaves behind
		if found, err := os.Stat(file + ".lock"); err == nil && time.Since(found.ModTime()) > staleLock {
			return messages.Errorf("kubectl's configuration is locked by %s", file+".lock").
				WithHint("if no kubectl is at work, remove that file; it was left by a program that was killed")
		}
	}
	return nil
}

// staleLock is how old a lock on a kubeconfig has to be for it to have been forgotten: nobody needs one for seconds.
const staleLock = 10 * time.Second

// server is where the lab's context sends kubectl, or "" without one.
func (k kubeconfig) server() string {
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err != nil || config.Contexts[k.context] == nil || config.Clusters[config.Contexts[k.context].Cluster] == nil {
		return ""
	}
	return config.Clusters[config.Contexts[k.context].Cluster].Server
}

// client is how the lab's cluster is reached, whatever the current context.
func (k kubeconfig) client() clientcmd.ClientConfig {
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(),
		&clientcmd.ConfigOverrides{CurrentContext: k.context})
}

func (k kubeconfig) rest() (*rest.Config, error) {
	config, err := k.client().ClientConfig()
	if err == nil {
		config.QPS, config.Burst = -1, -1 // a lab's own API server needs no protection from its only client
	}
	return config, err
}

// use makes context the current one, if it exists.
func (k kubeconfig) use(context string) error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := rules.Load()
	if err != nil || config.Contexts[context] == nil && context != "" || config.CurrentContext == context {
		return err
	}
	config.CurrentContext = context
	return clientcmd.ModifyConfig(rules, *config, false)
}
