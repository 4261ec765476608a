package helm

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/hellolab/hellolab/messages"
)

// Release is the latest revision of a release, as the cluster records it.
type Release struct {
	// Chart is the chart's name, and Version its version: "hello-helm", "0.1.0".
	Chart, Version string
	Revision       int
	// Status is Helm's word: "deployed", "failed", "pending-install".
	Status string
	// Description is Helm's note on the revision: the error, if it failed.
	Description string
}

// Deployed is the status of a release that was installed or upgraded without an error.
const Deployed = string(release.StatusDeployed)

// Last reads the latest revision of a release from the Secrets of its namespace. It returns nil if there is none.
func Last(secrets typedcore.SecretInterface, name string) (*Release, error) {
	found, err := storage.Init(driver.NewSecrets(secrets)).Last(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if found.Chart == nil || found.Chart.Metadata == nil || found.Info == nil { // a record that somebody has made
		return &Release{Revision: found.Version}, nil
	}
	metadata := found.Chart.Metadata
	return &Release{metadata.Name, metadata.Version, found.Version, string(found.Info.Status), found.Info.Description}, nil
}

// Recorded returns the name and the revision of the release that a Secret records for Helm.
func Recorded(kind string, labels map[string]string) (name string, revision int, found bool) {
	if kind != "Secret" || labels["owner"] != "helm" || labels["name"] == "" {
		return "", 0, false
	}
	revision, err := strconv.Atoi(labels["version"])
	return labels["name"], revision, err == nil
}

// Manifests returns what a release's record, the value of the key "release" in its Secret, has of the release: the manifest of
// its objects, and those of its hooks.
func Manifests(record string) ([]string, error) {
	stored, err := base64.StdEncoding.DecodeString(record) // as every value of a Secret
	if err != nil {
		return nil, err
	}
	packed, err := base64.StdEncoding.DecodeString(string(stored)) // as Helm writes it
	if err != nil {
		return nil, err
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(unpacked, largestRecord+1))
	if err != nil {
		return nil, err
	}
	if len(content) > largestRecord {
		return nil, messages.Errorf("it is too large: it may have %v MiB", largestRecord>>20)
	}
	var found release.Release
	if err := json.Unmarshal(content, &found); err != nil {
		return nil, err
	}
	all := []string{found.Manifest}
	for _, hook := range found.Hooks {
		if hook != nil {
			all = append(all, hook.Manifest)
		}
	}
	return all, nil
}

// largestRecord is how many bytes a record may have when it is unpacked. Packed, a Secret has 1 MiB at most.
const largestRecord = 64 << 20

// Owner returns the release that an object belongs to, from the annotations that Helm puts on every object it makes.
func Owner(annotations map[string]string) (name, namespace string) {
	return annotations["meta.helm.sh/release-name"], annotations["meta.helm.sh/release-namespace"]
}
