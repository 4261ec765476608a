package kube

import (
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/hellolab/hellolab/messages"
)

// Kubeconfig is the user's own configuration of kubectl ($KUBECONFIG, or ~/.kube/config) as one of its contexts sees it,
// whether that is the current one, or there yet.
type Kubeconfig struct{ Context string }

// load reads the files that kubectl would read.
func load() (*api.Config, *clientcmd.ClientConfigLoadingRules, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := rules.Load()
	return config, rules, err
}

// Current returns the user's current context, or "" where there is none.
func (k Kubeconfig) Current() string {
	config, _, err := load()
	if err != nil {
		return ""
	}
	return config.CurrentContext
}

// Check fails where the configuration cannot be read, or where a program that was killed left a lock on it.
func (k Kubeconfig) Check() error {
	_, rules, err := load()
	if err != nil {
		return messages.Errorf("kubectl's configuration cannot be read").Because(err).
			WithHint("correct that file, or name another one: %s", messages.Shell("export").Usage("KUBECONFIG=FILE"))
	}
	for _, file := range rules.GetLoadingPrecedence() {
		lock := lockOf(file)
		if found, err := os.Stat(lock); err == nil && time.Since(found.ModTime()) > staleLock {
			return locked(lock)
		}
	}
	return nil
}

// Namespace returns the one that kubectl works in with this context, or "" where none is set.
func (k Kubeconfig) Namespace() string {
	config, _, err := load()
	if err != nil || config.Contexts[k.Context] == nil {
		return ""
	}
	return config.Contexts[k.Context].Namespace
}

// Server returns the URL of the context's API server, or "" where there is no such context.
func (k Kubeconfig) Server() string {
	config, _, err := load()
	if err != nil || config.Contexts[k.Context] == nil {
		return ""
	}
	cluster := config.Clusters[config.Contexts[k.Context].Cluster]
	if cluster == nil {
		return ""
	}
	return cluster.Server
}

// Client is the context's configuration in the shape that Helm wants.
func (k Kubeconfig) Client() clientcmd.ClientConfig {
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(),
		&clientcmd.ConfigOverrides{CurrentContext: k.Context})
}

// Cluster returns the cluster that the context leads to. Nothing is sent to it yet.
func (k Kubeconfig) Cluster() (*Cluster, error) {
	config, err := k.rest()
	if err != nil {
		return nil, err
	}
	return New(config)
}

// Parse returns the cluster that the content of a kubeconfig leads to. Nothing is sent to it yet.
func Parse(content []byte) (*Cluster, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(content)
	if err != nil {
		return nil, err
	}
	return New(unlimited(config))
}

func (k Kubeconfig) rest() (*rest.Config, error) {
	config, err := k.Client().ClientConfig()
	if err != nil {
		return nil, err
	}
	return unlimited(config), nil
}

// unlimited lets a client send what it wants to: a lab's own API server needs no protection from its only client.
func unlimited(config *rest.Config) *rest.Config {
	config.QPS, config.Burst = -1, -1
	return config
}
