package bootstrap

import (
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
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

// check fails where the user's kubeconfig cannot be read, before anything is created.
func (k kubeconfig) check() error {
	_, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	return err
}

// has reports whether the lab's context is there.
func (k kubeconfig) has() bool {
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	return err == nil && config.Contexts[k.context] != nil
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
