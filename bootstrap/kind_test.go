package bootstrap

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/exec"

	"github.com/hellolab/hellolab/port"
)

// TestKindConfig compares what kind is given as a whole: a field too many changes the cluster as much as one too few.
func TestKindConfig(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		settings func(*Config)
		cgroupV1 bool
		differs  func(want *v1alpha4.Cluster)
	}{
		{"the defaults", func(*Config) {}, false, func(*v1alpha4.Cluster) {}},
		{"two workers", func(c *Config) { c.Workers = 2 }, false, func(want *v1alpha4.Cluster) {
			worker := v1alpha4.Node{Role: v1alpha4.WorkerRole, Image: defaults.Image}
			want.Nodes = append(want.Nodes, worker, worker)
		}},
		{"another node image", func(c *Config) { c.NodeImage, c.Workers = "kindest/node:v1.34.0", 1 }, false, func(want *v1alpha4.Cluster) {
			want.Nodes[0].Image = "kindest/node:v1.34.0"
			want.Nodes = append(want.Nodes, v1alpha4.Node{Role: v1alpha4.WorkerRole, Image: "kindest/node:v1.34.0"})
		}},
		{"a node image of containerd 1", func(c *Config) { c.NodeImage = "mirror.example:5000/kindest/node:v1.32.2@sha256:f226" }, false, func(want *v1alpha4.Cluster) {
			want.Nodes[0].Image = "mirror.example:5000/kindest/node:v1.32.2@sha256:f226"
			want.ContainerdConfigPatches = []string{"[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n"}
		}},
		{"cgroup v1", func(*Config) {}, true, func(want *v1alpha4.Cluster) {
			want.KubeadmConfigPatches = []string{"kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nfailCgroupV1: false\n"}
		}},
		{"other ports and name", func(c *Config) {
			c.Name = "web"
			c.Ports = Ports{HTTP: port.Port{Number: 8080}, HTTPS: port.Port{Number: 8443}, NodePort: port.Port{Number: 31000}}
		}, false, func(want *v1alpha4.Cluster) {
			want.Name = "web"
			for i, number := range []int32{8080, 8443, 31000} {
				want.Nodes[0].ExtraPortMappings[i].HostPort = number
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			settings := defaultSettings(t).Bootstrap
			test.settings(&settings)
			want := defaultCluster()
			test.differs(want)
			if got := kindConfig(settings, nodeImage(settings), test.cgroupV1); !reflect.DeepEqual(got, want) {
				t.Errorf("kind is given\n%s\nwant\n%s", indented(t, got), indented(t, want))
			}
		})
	}
}

// defaultCluster is what kind is given for the default settings.
func defaultCluster() *v1alpha4.Cluster {
	publish := func(inside, outside int32) v1alpha4.PortMapping {
		return v1alpha4.PortMapping{ContainerPort: inside, HostPort: outside, ListenAddress: "127.0.0.1", Protocol: "TCP"}
	}
	clusterPatch := func(patch string) v1alpha4.PatchJSON6902 {
		return v1alpha4.PatchJSON6902{Group: "kubeadm.k8s.io", Version: "v1beta4", Kind: "ClusterConfiguration", Patch: patch}
	}
	raise := func(setting string) v1alpha4.PatchJSON6902 {
		return clusterPatch("- op: add\n  path: /controllerManager/extraArgs/-\n  value: {name: " + setting + ", value: \"300\"}\n")
	}
	return &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{Kind: "Cluster", APIVersion: "kind.x-k8s.io/v1alpha4"},
		Name:     "hellolab",
		Nodes: []v1alpha4.Node{{
			Role:   v1alpha4.ControlPlaneRole,
			Image:  defaults.Image,
			Labels: map[string]string{"hellolab/ingress": "true"},
			ExtraPortMappings: []v1alpha4.PortMapping{
				publish(80, 80),
				publish(443, 443),
				publish(30000, 30000),
			},
		}},
		KubeadmConfigPatchesJSON6902: []v1alpha4.PatchJSON6902{raise("kube-api-qps"), raise("kube-api-burst"),
			clusterPatch("- op: add\n  path: /controllerManager/extraArgs/-\n  value: {name: leader-elect, value: \"false\"}\n"),
			clusterPatch("- op: add\n  path: /apiServer/extraArgs/-\n  value: {name: shutdown-watch-termination-grace-period, value: 1s}\n"),
			clusterPatch("- op: add\n  path: /etcd\n  value: {local: {extraArgs: [{name: election-timeout, value: \"500\"}]}}\n"),
			clusterPatch("- op: add\n  path: /scheduler/extraArgs\n  value: [{name: leader-elect, value: \"false\"}]\n"),
			clusterPatch("- op: add\n  path: /encryptionAlgorithm\n  value: ECDSA-P256\n"),
			{Group: "kubeadm.k8s.io", Version: "v1beta4", Kind: "InitConfiguration", Patch: "- op: add\n  path: /skipPhases/-\n  value: kubelet-finalize\n"}},
	}
}

// TestReadsHosts holds which node images are known to need no word about hosts.toml: an image that says nothing of its version may be an old one.
func TestReadsHosts(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]bool{
		defaults.Image:                      true,
		"kindest/node:v1.33.0":              true,
		"localhost:5000/node:v1.33.1":       true,
		"kindest/node:v1.33.0@sha256:0f5c":  true,
		"kindest/node:v1.32.11":             false, // published by kind v0.26, too, with containerd 1.7
		"kindest/node:v1.9.0":               false,
		"kindest/node@sha256:0f5c":          false,
		"localhost:5000/kindest/node":       false,
		"kindest/node:latest":               false,
		"kindest/node:sha256-0f5cdeadbeef3": false,
	} {
		if got := readsHosts(image); got != want {
			t.Errorf("%s: %v, want %v", image, got, want)
		}
	}
}

// TestStateOf holds what the states of several nodes make of the lab. Only one where all agree is not broken: `up`
// mends the others.
func TestStateOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		nodes string
		want  string
	}{
		{"", Broken}, // the settings are on record, the nodes are gone
		{"running", Running},
		{"running running running", Running},
		{"paused", Paused},
		{"paused paused", Paused},
		{"exited", Stopped},
		{"created", Stopped},
		{"exited created exited", Stopped},
		{"running exited", Broken},
		{"running paused", Broken},
		{"paused exited", Broken},
		{"exited running running", Broken},
		{"restarting", Broken},
		{"dead", Broken},
		{"exited dead", Broken},
	} {
		t.Run(test.nodes, func(t *testing.T) {
			t.Parallel()
			var nodes []container.Summary
			for _, state := range strings.Fields(test.nodes) {
				nodes = append(nodes, container.Summary{State: state})
			}
			if got := stateOf(nodes); got != test.want {
				t.Errorf("the lab is %s, want %s", got, test.want)
			}
		})
	}
}

// TestCause holds that of all that kind and its commands print, one line is told, and that it is the telling one.
func TestCause(t *testing.T) {
	t.Parallel()
	printed := func(output string) error {
		return &exec.RunError{Command: []string{"docker", "run"}, Output: []byte(output), Inner: errors.New("exit status 125")}
	}
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"kind's own", errors.New("node(s) already exist"), "node(s) already exist"},
		{"kind's own, over several lines", errors.New("\n  one: 100% of it\ntwo"), "one: 100% of it"},
		{"a command's", printed("abc123\ndocker: Error response from daemon: no space left.\n\nRun 'docker run --help'\n"), "Error response from daemon: no space left."},
		{"a command's without the word", printed("first\nlast\n"), "last"},
		{"a command's that said nothing", printed(""), "exit status 125"},
		{"JSON of an engine that is away", printed(`{"ID":"","Swarm":{"Error":""}}`), "exit status 125"},
		{"kubeadm's log", printed("error: no route\nI1128 13:31:24.360023     197 round_trippers.go:632] \"Response\" error=\"\"\n"), "error: no route"},
		{"usage", printed("docker: no such network\n\nRun 'docker run --help' for more information\n"), "no such network"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := cause(test.err).Error()
			if got == "" || strings.Contains(got, "\n") || !strings.Contains(got, test.want) {
				t.Errorf("the cause of %q is told as %q, want %q", test.err, got, test.want)
			}
		})
	}
}

func indented(t *testing.T, value any) string {
	t.Helper()
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
