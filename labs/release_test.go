package labs

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// record is a Secret of Helm's, with one more label.
func record(t *testing.T, namespace, name string, revision int, label string) *unstructured.Unstructured {
	return object(t, fmt.Sprintf("kind: Secret\nmetadata:\n  name: sh.helm.release.v1.%[2]s.v%[3]d\n  namespace: %[1]s\n  labels: {owner: helm, name: %[2]s, version: \"%[3]d\"%[4]s}\n",
		namespace, name, revision, label))
}

func released(t *testing.T, namespace, release, name string) *unstructured.Unstructured {
	return object(t, fmt.Sprintf("kind: ConfigMap\nmetadata:\n  name: %s\n  namespace: %s\n  annotations: {meta.helm.sh/release-name: %s, meta.helm.sh/release-namespace: %[2]s}\n", name, namespace, release))
}

// TestReleases holds that a release is hellolab's where any record of it says so, and that it has all of its objects and
// no others; objects that only call themselves a release's are nobody's.
func TestReleases(t *testing.T) {
	t.Parallel()
	const ours = ", hellolab/chapter: helm"
	found := releasesOf([]*unstructured.Unstructured{
		record(t, "default", "mine", 1, ours), record(t, "default", "mine", 2, ours), released(t, "default", "mine", "one"), released(t, "default", "mine", "two"),
		record(t, "dev", "mine", 1, ""), released(t, "dev", "mine", "one"),
		released(t, "default", "gone", "three"), object(t, "kind: ConfigMap\nmetadata: {name: four, namespace: default}"),
	})
	for key, want := range map[string]struct {
		ours    bool
		objects int
	}{"default/mine": {true, 4}, "dev/mine": {false, 2}} {
		if release := found[key]; release == nil || release.ours != want.ours || len(release.objects) != want.objects {
			t.Errorf("%s is %+v, want %+v", key, release, want)
		}
	}
	if len(found) != 2 {
		t.Errorf("there are %d releases", len(found))
	}
}
