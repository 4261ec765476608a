package dashboard

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"

	corev1 "k8s.io/api/core/v1"
)

// chartOf is where a release's Secret keeps the chart's name and version, once what else is in it has gone ([slim]).
const chartOf = "hellolab/release-"

// largestRelease is how many bytes a release is read of: Kubernetes takes Secrets of 1 MiB, and YAML becomes a tenth of its size.
const largestRelease = 32 << 20

// noteChart keeps the name and the version of a release's chart, the only part of it that is shown.
func noteChart(found *corev1.Secret) {
	var release struct {
		Chart struct {
			Metadata struct{ Name, Version string }
		}
	}
	content, err := unpacked(found.Data["release"])
	if err != nil || json.Unmarshal(content, &release) != nil { // then it is shown without
		return
	}
	if found.Annotations == nil {
		found.Annotations = map[string]string{}
	}
	found.Annotations[chartOf+"chart"], found.Annotations[chartOf+"version"] = release.Chart.Metadata.Name, release.Chart.Metadata.Version
}

// unpacked is a release as JSON: Helm packs it with gzip, as base64.
func unpacked(release []byte) ([]byte, error) {
	packed, err := base64.StdEncoding.AppendDecode(nil, release)
	if err != nil {
		return nil, err
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(reader, largestRelease))
}
