package kube

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/hellolab/hellolab/durable"
	"github.com/hellolab/hellolab/messages"
)

// Add puts the context of content, a kubeconfig that has one of that name, into the user's configuration: where that has
// it already, or else into the first of its files that can be written. The namespace that the user has set stays.
func (k Kubeconfig) Add(ctx context.Context, content string) error {
	from, err := clientcmd.Load([]byte(content))
	if err != nil {
		return unwritable(err)
	}
	config, rules, err := load()
	if err != nil {
		return unwritable(err)
	}
	found := config.Contexts[k.Context]
	put := func(into *api.Config) {
		added := from.Contexts[k.Context].DeepCopy()
		if found != nil {
			added.Namespace = found.Namespace
		}
		into.Clusters[added.Cluster], into.AuthInfos[added.AuthInfo] = from.Clusters[added.Cluster], from.AuthInfos[added.AuthInfo]
		into.Contexts[k.Context] = added
	}
	if found != nil { // one in another file would count after this one, or not at all
		return unwritable(edit(ctx, found.LocationOfOrigin, put))
	}
	return unwritable(editFirst(ctx, rules, put))
}

// Use makes another context the user's current one, if it exists; "" is none.
func (k Kubeconfig) Use(ctx context.Context, name string) error {
	config, rules, err := load()
	if err != nil || config.Contexts[name] == nil && name != "" || config.CurrentContext == name {
		return unwritable(err)
	}
	choose := func(into *api.Config) { into.CurrentContext = name }
	for _, file := range rules.GetLoadingPrecedence() { // the first that names a context counts
		if found, err := clientcmd.LoadFromFile(file); err == nil && found.CurrentContext != "" {
			return unwritable(edit(ctx, file, choose))
		}
	}
	return unwritable(editFirst(ctx, rules, choose))
}

// Remove takes the context out of the user's configuration, with its cluster and user where no other context has them. If it is the
// current one, previous becomes that.
func (k Kubeconfig) Remove(ctx context.Context, previous string) error {
	if k.Current() == k.Context {
		if config, _, err := load(); err == nil && config.Contexts[previous] == nil {
			previous = ""
		}
		if err := k.Use(ctx, previous); err != nil {
			return err
		}
	}
	_, rules, err := load()
	if err != nil {
		return unwritable(err)
	}
	var problems []error
	for _, file := range rules.GetLoadingPrecedence() {
		if found, err := clientcmd.LoadFromFile(file); err == nil && names(found, k.Context) {
			problems = append(problems, edit(ctx, file, k.takeOut))
		}
	}
	return unwritable(errors.Join(problems...))
}

// names reports whether a file has anything of that name. kind gives a context, its cluster and its user the same one.
func names(config *api.Config, name string) bool {
	return config.Contexts[name] != nil || config.Clusters[name] != nil || config.AuthInfos[name] != nil || config.CurrentContext == name
}

func (k Kubeconfig) takeOut(from *api.Config) {
	delete(from.Contexts, k.Context)
	cluster, user := false, false
	for _, other := range from.Contexts {
		cluster, user = cluster || other.Cluster == k.Context, user || other.AuthInfo == k.Context
	}
	if !cluster {
		delete(from.Clusters, k.Context)
	}
	if !user {
		delete(from.AuthInfos, k.Context)
	}
	if from.CurrentContext == k.Context {
		from.CurrentContext = ""
	}
}

// editFirst changes the file that kubectl would, or the first of the others that can be written.
func editFirst(ctx context.Context, rules *clientcmd.ClientConfigLoadingRules, change func(*api.Config)) error {
	files := append([]string{rules.GetDefaultFilename()}, rules.GetLoadingPrecedence()...)
	var problems []error
	for i, file := range files {
		if file == "" || slices.Contains(files[:i], file) {
			continue
		}
		err := edit(ctx, file, change)
		if err == nil {
			return nil
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// edit changes one file of the configuration, as a whole or not at all, while no program that keeps to the lock of client-go does.
func edit(ctx context.Context, file string, change func(*api.Config)) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	unlock, err := lockKubeconfig(ctx, file)
	if err != nil {
		return err
	}
	defer unlock()
	config, err := clientcmd.LoadFromFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		config, err = api.NewConfig(), nil
	}
	if err != nil {
		return err
	}
	before := config.DeepCopy()
	if change(config); reflect.DeepEqual(before, config) {
		return nil
	}
	content, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return durable.Replace(file, content, 0o600)
}

// staleLock is the age at which a lock file beside a kubeconfig must have been forgotten: nobody needs one for seconds.
const staleLock = 10 * time.Second

// lockOf is the file that keeps others from writing a kubeconfig, by convention of kind and client-go, which create it and remove it
// when they are done (https://github.com/kubernetes/client-go/blob/master/tools/clientcmd/loader.go).
func lockOf(file string) string { return file + ".lock" }

func lockKubeconfig(ctx context.Context, file string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, staleLock)
	defer cancel()
	lock := lockOf(file)
	for {
		created, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			created.Close()
			return func() { os.Remove(lock) }, nil
		case errors.Is(err, fs.ErrPermission) || isReadOnly(err): // nobody else makes one there, either
			return func() {}, nil
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, locked(lock)
			}
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// locked is the error for a lock that nobody lets go of.
func locked(lock string) error {
	return messages.Errorf("kubectl's configuration is locked by %s", lock).
		WithHint("a program that was killed left that file; if no kubectl is running, remove it: %s", messages.Shell("rm", lock))
}

// unwritable is the error for a configuration that cannot be written, unless it says already what to do.
func unwritable(cause error) error {
	var told *messages.Error
	if cause == nil || errors.As(cause, &told) {
		return cause
	}
	failure := messages.Errorf("kubectl's configuration cannot be written").Because(cause)
	if errors.Is(cause, syscall.ENOSPC) { // what is to be done then is the same for every file
		return failure
	}
	return failure.WithHint("make that file writable, or name another one: %s", messages.Shell("export").Usage("KUBECONFIG=FILE"))
}
