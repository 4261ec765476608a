package doctor

import (
	"context"
	"crypto/x509"
	"debug/buildinfo"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/kube"
)

// lookAtKubectl reads kubectl's configuration, and tries whether the lab could be written into it.
func lookAtKubectl(_ context.Context, place Place) func(*Machine) {
	context := kube.Kubeconfig{Context: "kind-" + place.Lab.Name} // as kind names it
	found := Kubectl{Err: context.Check()}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	found.File, found.ReadOnly = target(rules)
	if config, err := rules.Load(); err == nil {
		found.Current = config.CurrentContext
		found.Dangling = found.Current != "" && config.Contexts[found.Current] == nil
		found.Since, found.Until = validity(config, context.Context)
	}
	return func(seen *Machine) { seen.Kubectl = found }
}

// target is the file that the lab is written into: the one that kubectl would write to, or the first of the others that can be
// written. Where there is none, err is about the first.
func target(rules *clientcmd.ClientConfigLoadingRules) (first string, err error) {
	for _, file := range append([]string{rules.GetDefaultFilename()}, rules.GetLoadingPrecedence()...) {
		failed := replaceable(file)
		if failed == nil {
			return file, nil
		}
		if err == nil {
			first, err = file, failed
		}
	}
	return first, err
}

// replaceable fails where a file cannot be written, or its folder, which gets a lock.
func replaceable(file string) error {
	if file == "" {
		return nil
	}
	opened, err := os.OpenFile(file, os.O_WRONLY, 0)
	switch {
	case err == nil:
		opened.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return writable(existing(filepath.Dir(file)))
}

// validity is when the certificate that a context has for its user is valid.
func validity(config *api.Config, name string) (since, until time.Time) {
	used := config.Contexts[name]
	if used == nil || config.AuthInfos[used.AuthInfo] == nil {
		return since, until
	}
	block, _ := pem.Decode(config.AuthInfos[used.AuthInfo].ClientCertificateData)
	if block == nil {
		return since, until
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return since, until
	}
	return certificate.NotBefore, certificate.NotAfter
}

// lookAtDockerCommand reads the docker command's configuration, and finds the programs that this names.
func lookAtDockerCommand(_ context.Context, place Place) func(*Machine) {
	found := DockerCommand{Err: engine.CheckCommand(), File: engine.ConfigFile(place.Getenv)}
	proxies := engine.Proxies(place.Getenv)
	found.Proxies = []string{proxies.HTTPProxy, proxies.HTTPSProxy}
	var named struct {
		Store   string            `json:"credsStore"`
		Helpers map[string]string `json:"credHelpers"`
	}
	content, err := os.ReadFile(found.File)
	if err == nil {
		err = json.Unmarshal(content, &named)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		found.Broken = err
	}
	for _, helper := range slices.Compact(slices.Sorted(maps.Values(named.Helpers))) {
		found.note(helper)
	}
	found.note(named.Store)
	return func(seen *Machine) { seen.Docker = found }
}

// note remembers a helper that is not there.
func (d *DockerCommand) note(helper string) {
	program := "docker-credential-" + helper // https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol
	if _, err := exec.LookPath(program); err != nil && helper != "" && !slices.Contains(d.Helpers, program) {
		d.Helpers = append(d.Helpers, program)
	}
}

// lookAtGo finds this machine's Go and reads its version from the file, since running it may take long.
func lookAtGo(context.Context, Place) func(*Machine) {
	var found Go
	if path, err := exec.LookPath("go"); err == nil {
		found.Path = path
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			path = resolved
		}
		if built, err := buildinfo.ReadFile(path); err == nil {
			found.Version = built.GoVersion
		}
	}
	return func(seen *Machine) { seen.Go = found }
}
