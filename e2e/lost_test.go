//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A trap is something that keeps a command from its end: how it is made, what is said of it, and the command among the words
// of that which ends it.
type trap struct {
	name   string
	make   func(l *lab)
	args   []string
	status int
	says   words
	// next is the command to type, a regular expression; "" where there is none.
	next string
}

const never = `metadata: {name: %s, namespace: %s, finalizers: [example.com/never]}`

// traps are from reports of people who met them: 9 and 14 of those, faults 15 and 17, and their neighbours.
func traps() []trap {
	reset := []string{"lab", "reset"}
	held := func(kind, name, namespace, more string) string {
		return kind + "\n" + fmt.Sprintf(never, name, namespace) + "\n" + more
	}
	free := func(what string) string {
		return `kubectl patch ` + what + ` --type=merge -p '\{"metadata":\{"finalizers":null\}\}'( -n \S+)?`
	}
	return []trap{
		{"a finalizer of a ConfigMap", func(l *lab) { l.apply(held("apiVersion: v1\nkind: ConfigMap", "mymap", "default", "")) },
			reset, 1, words{"still waiting", "configmap/mymap cannot be removed", `example\.com/never`}, free("configmap/mymap")},
		{"a finalizer of a Pod", func(l *lab) {
			l.apply(held("apiVersion: v1\nkind: Pod", "stuck", "default", "spec: {terminationGracePeriodSeconds: 1, containers: [{name: a, image: nginx}]}"))
		}, reset, 1, words{"pod/stuck cannot be removed", `example\.com/never`}, free("pod/stuck")},
		{"a custom resource whose operator is gone", func(l *lab) {
			l.apply(gadgetYAML)
			l.kubectl("", "wait", "--for=condition=Established", "crd/gadgets.example.com")
			eventually(l, "the kind is served", func() bool {
				return strings.Contains(l.kubectl("", "api-resources", "--api-group=example.com"), "gadgets")
			})
			l.apply(held("apiVersion: example.com/v1\nkind: Gadget", "mine", "default", ""))
		}, reset, 1, words{"gadget/mine cannot be removed", `example\.com/never`}, free(`gadget\.example\.com/mine`)},
		{"a namespace that is kept", func(l *lab) {
			l.kubectl("", "create", "namespace", "dev")
			l.apply(held("apiVersion: v1\nkind: ConfigMap", "inside", "dev", ""))
			l.kubectl("", "delete", "namespace", "dev", "--wait=false")
		}, []string{"lab", "namespace/create"}, 1, words{"configmap/inside -n dev cannot be removed", `example\.com/never`}, free("configmap/inside")},
		{"an API that nobody serves", func(l *lab) {
			l.kubectl("", "create", "namespace", "dev", "--dry-run=client", "-o", "yaml")
			l.must("lab", "namespace/create")
			l.apply(apiServiceYAML)
			l.kubectl("", "wait", "--for=condition=Available=False", "apiservice/v1beta1.gone.example.com")
		}, reset, 1, words{"namespace/dev could not be removed", `gone\.example\.com/v1beta1`}, `kubectl delete apiservice v1beta1\.gone\.example\.com`},
		{"a webhook for new objects without a server", func(l *lab) { l.apply(strings.ReplaceAll(webhookYAML, "OPERATION", "CREATE")) },
			[]string{"lab", "pod/nginx"}, 1, words{"still waiting", "nothing was changed", "validatingwebhookconfiguration/gone does not answer", `service "gone" not found`},
			"kubectl delete validatingwebhookconfiguration/gone"},
		{"a webhook for deletions without a server", func(l *lab) {
			l.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}", strings.ReplaceAll(webhookYAML, "OPERATION", "DELETE"))
		}, reset, 1, words{"configmap/mine cannot be removed", "validatingwebhookconfiguration/gone does not answer"}, "kubectl delete validatingwebhookconfiguration/gone"},
		{"a node port in another namespace", func(l *lab) {
			l.kubectl("", "create", "namespace", "shop")
			l.kubectl("", "-n", "shop", "create", "service", "nodeport", "n", "--tcp=80:80", "--node-port=30000")
		}, []string{"lab", "service/nodeport"}, 1, words{"node port 30000", "service-hellok8s-nodeport", "service/n -n shop", "nothing was changed"},
			"kubectl delete service/n -n shop"},
		{"a route in another namespace", func(l *lab) { l.kubectl("", "-n", "shop", "create", "ingress", "w", "--rule=/*=w:80") },
			[]string{"lab", "ingress/routes"}, 1, words{"route / of ingress/hello-ingress", "ingress/w -n shop", "nothing was changed"}, "kubectl delete ingress/w -n shop"},
		{"a volume with data", func(l *lab) {
			l.apply(strings.ReplaceAll(volumeYAML, "POLICY", "Delete"))
			l.kubectl("", "wait", "--for=jsonpath={.status.phase}=Bound", "pvc/task-pvc")
		}, reset, 2, words{"persistentvolumeclaim/task-pvc", "kubectl cp"}, `hellolab (--name \S+ )?lab reset --force`},
	}
}

const (
	gadgetYAML = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]`
	apiServiceYAML = `apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.gone.example.com}
spec: {group: gone.example.com, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true, service: {namespace: default, name: gone}}`
	webhookYAML = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: gone}
webhooks:
  - name: gone.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    clientConfig: {service: {namespace: default, name: gone}}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [OPERATION], resources: [pods, configmaps]}]`
	volumeYAML = `apiVersion: v1
kind: PersistentVolume
metadata: {name: task-pv}
spec: {storageClassName: manual, capacity: {storage: 100Mi}, accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: POLICY, hostPath: {path: /tmp/e2e-lost}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: task-pvc}
spec: {storageClassName: manual, accessModes: [ReadWriteOnce], resources: {requests: {storage: 50Mi}}}`
	endpointsYAML = `apiVersion: v1
kind: Service
metadata: {name: external-db}
spec: {ports: [{port: 3306, targetPort: 3306}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: external-db-1, labels: {kubernetes.io/service-name: external-db}}
addressType: IPv4
ports: [{port: 3306, protocol: TCP}]
endpoints: [{addresses: [10.9.9.9]}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: old-db}
subsets: [{addresses: [{ip: 10.9.9.8}], ports: [{port: 3306}]}]`
)

// TestLost holds that no work of a reader's is lost, and that what does not go is named.
func TestLost(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-lost", nil)
	l.must("up")
	for _, trap := range traps() {
		t.Run(trap.name, func(t *testing.T) { l.in(t).isCaught(trap) })
	}
	for _, part := range []struct {
		name string
		do   func(*lab)
	}{
		{"a reset is not kept twice", (*lab).keepsOnce},
		{"endpoints by hand come back", (*lab).endpointsComeBack},
		{"a volume by hand comes back", (*lab).volumeComesBack},
		{"what had to go comes back with the command that is printed", (*lab).keptComesBack},
		{"a saved file that Windows has had comes back", (*lab).windowsFileComesBack},
		{"a file that is none", (*lab).savesToDevices},
		{"a broken API is not heard of", (*lab).isQuiet},
		{"the API server is away", (*lab).outlastsTheServer},
	} {
		t.Run(part.name, func(t *testing.T) { part.do(l.in(t)) })
	}
}

// isCaught makes a trap, sees that the command ends soon and says what ends the trap, does so, and sees that the command
// works then.
func (l *lab) isCaught(trap trap) {
	l.must("lab", "reset", "--force")
	trap.make(l)
	done := l.run(trap.args...)
	l.failed(done, trap.status, trap.says)
	if done.took > 60*time.Second {
		l.Errorf("it takes %s", done.took)
	}
	l.shell(l.next(done, trap.next))
	l.must(trap.args...)
}

// next is the command to type that a result's words have.
func (l *lab) next(done result, pattern string) string {
	l.Helper()
	_, hints, _ := strings.Cut(done.stderr, "next: ")
	found := regexp.MustCompile(pattern).FindString(hints)
	if found == "" {
		l.Fatalf("it advises no %s", pattern)
	}
	return found
}

// keptFiles are those in the folder for what had to go.
func (l *lab) keptFiles() []string {
	files, err := filepath.Glob(filepath.Join(l.folder, "config", "hellolab", "saved", l.name, "*.yaml"))
	l.check(err)
	return files
}

// keepsOnce tries a reset twice that cannot end: the object is kept in one file, and the second try is short.
func (l *lab) keepsOnce() {
	l.must("lab", "reset", "--force")
	before := len(l.keptFiles())
	l.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mymap, finalizers: [example.com/never]}")
	l.fails(1, []string{"lab", "reset"}, words{"configmap/mymap", "lab restore"})
	again := l.run("lab", "reset")
	l.failed(again, 1, words{"configmap/mymap"})
	if after := len(l.keptFiles()); after != before+1 || again.took > 20*time.Second {
		l.Errorf("there are %d files more, and the second try takes %s", after-before, again.took)
	}
	l.shell(l.next(again, `kubectl patch .*'`))
	l.must("lab", "reset")
}

// endpointsComeBack saves, resets and restores what a reader has written for Services without a selector (report 11).
func (l *lab) endpointsComeBack() {
	l.must("lab", "reset", "--force")
	l.apply(endpointsYAML)
	file := filepath.Join(l.folder, "endpoints.yaml")
	l.must("lab", "save", file)
	l.must("lab", "reset")
	there := func() string {
		return l.kubectl("", "get", "endpointslices,endpoints", "-o", "jsonpath={.items[*].metadata.name} {.items[*].endpoints[*].addresses[*]}")
	}
	if now := there(); strings.Contains(now, "db") {
		l.Errorf("after the reset there are %s", now)
	}
	l.must("lab", "restore", file)
	l.says(there(), words{"external-db-1", `old-db`, `10\.9\.9\.9`})
}

// volumeComesBack restores a pod with a volume that its reader has made, on the same lab (report 13).
func (l *lab) volumeComesBack() {
	l.must("lab", "reset", "--force")
	l.kubectl("", "delete", "pv", "task-pv", "--ignore-not-found")
	l.apply(strings.ReplaceAll(volumeYAML, "POLICY", "Retain"), `apiVersion: v1
kind: Pod
metadata: {name: task-pod, labels: {app: task}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: d, persistentVolumeClaim: {claimName: task-pvc}}]
  containers: [{name: c, image: nginx, volumeMounts: [{name: d, mountPath: /data}]}]`)
	l.kubectl("", "wait", "--for=condition=Ready", "pod/task-pod", "--timeout=120s")
	l.kubectl("", "exec", "task-pod", "--", "sh", "-c", "echo mine > /data/mine")
	l.kubectl("", "create", "clusterrole", "outside", "--verb=get", "--resource=pods")
	defer l.kubectl("", "delete", "clusterrole", "outside")
	file := filepath.Join(l.folder, "volume.yaml")
	saved := l.must("lab", "save", file)
	l.says(saved.stderr, words{"clusterrole/outside"})
	if strings.Contains(saved.stderr, "persistentvolume/task-pv") || strings.Contains(saved.stderr, "kindnet") || strings.Contains(saved.stderr, "kubeadm") {
		l.Errorf("it says %s", saved.stderr)
	}
	l.must("lab", "restore", "--trust", file) // the file has a path of the node's in it
	if got := l.kubectl("", "exec", "task-pod", "--", "cat", "/data/mine"); got != "mine\n" {
		l.Errorf("the volume holds %q", got)
	}
	l.must("lab", "reset")
	l.kubectl("", "delete", "pv", "task-pv")
	l.must("lab", "restore", "--trust", file)
}

// keptComesBack has a large ConfigMap be in the way of a step, and takes it back with the command that is printed: it is
// too large for kubectl apply.
func (l *lab) keptComesBack() {
	l.must("lab", "reset", "--force")
	l.kubectl("", "create", "namespace", "dev")
	large := filepath.Join(l.folder, "large")
	l.check(os.WriteFile(large, []byte(strings.Repeat("line\r\n", 100_000)), 0o600))
	l.kubectl("", "create", "configmap", "hellok8s-config", "-n", "dev", "--from-file=large="+large, "--from-literal=DB_URL=mine")
	done := l.must("lab", "configmap/per-namespace")
	l.says(done.stderr, words{"configmap/hellok8s-config -n dev"})
	l.shell(regexp.MustCompile(`hellolab (--name \S+ )?lab restore \S+`).FindString(done.stderr))
	if got := l.kubectl("", "get", "configmap", "hellok8s-config", "-n", "dev", "-o", "jsonpath={.data.large}"); len(got) != 600_000 {
		l.Errorf("it has %d bytes", len(got))
	}
	if got := l.kubectl("", "get", "configmap", "hellok8s-config", "-n", "dev", "-o", "jsonpath={.data.DB_URL}"); got != "mine" {
		l.Errorf("it has %s", got)
	}
	l.kubectl("", "get", "pod", "hellok8s-pod", "-n", "dev") // what is not in the way stays
}

// windowsFileComesBack restores a file with the line ends and the mark of Windows' editors (report 20).
func (l *lab) windowsFileComesBack() {
	l.must("lab", "pod/nginx")
	file := filepath.Join(l.folder, "plain.yaml")
	l.must("lab", "save", file)
	content, err := os.ReadFile(file)
	l.check(err)
	changed := filepath.Join(l.folder, "我的 实验.yaml")
	l.check(os.WriteFile(changed, []byte("\ufeff"+strings.ReplaceAll(string(content), "\n", "\r\n")), 0o600))
	l.must("lab", "restore", changed)
	if !l.checkStep("pod/nginx").Passed {
		l.Error("the restored lab does not pass its check")
	}
}

// savesToDevices saves to stdout, a device, a link and a folder (report 37).
func (l *lab) savesToDevices() {
	const first = "# hellolab lab save 1 sha256:"
	if done := l.must("lab", "save", "-"); !strings.HasPrefix(done.stdout, first) {
		l.Errorf("stdout is %.50q", done.stdout)
	}
	if got := l.shell("hellolab --name " + l.name + " lab save /dev/stdout 2>/dev/null | head -1"); !strings.HasPrefix(got, first) {
		l.Errorf("/dev/stdout gets %.50q", got)
	}
	l.must("lab", "save", os.DevNull)
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode()&os.ModeDevice == 0 {
		l.Fatalf("%s is %v", os.DevNull, info.Mode())
	}
	link, real := filepath.Join(l.folder, "link.yaml"), filepath.Join(l.folder, "real.yaml")
	l.check(os.Symlink("real.yaml", link))
	l.must("lab", "save", link)
	l.fails(2, []string{"lab", "save", link}, fileExists)
	l.must("lab", "save", "--force", link)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 || !exists(real) {
		l.Errorf("the link is %v", info.Mode())
	}
	l.fails(2, []string{"lab", "save", l.folder}, words{"folder", "lab save"})
}

// isQuiet holds that what an API without a server has Kubernetes' libraries say does not reach the reader.
func (l *lab) isQuiet() {
	l.apply(apiServiceYAML)
	defer l.kubectl("", "delete", "apiservice", "v1beta1.gone.example.com")
	l.kubectl("", "wait", "--for=condition=Available=False", "apiservice/v1beta1.gone.example.com")
	for _, args := range [][]string{{"lab", "save", "-"}, {"lab", "list"}, {"lab", "check", "pod/nginx"}, {"status"}} {
		done := l.run(args...)
		if found := regexp.MustCompile(`(?m)^[EWI]\d{4} .*$|memcache|Warning: `).FindString(done.stderr); found != "" {
			l.Errorf("%v says %q", args, found)
		}
	}
}

// away is how long the API server is away in outlastsTheServer.
const away = 20 * time.Second

// outlastsTheServer takes the API server away in the middle of a command that changes the lab (fault 36).
func (l *lab) outlastsTheServer() {
	l.must("lab", "deployment/upgrade")
	file := filepath.Join(l.folder, "away.yaml")
	l.must("lab", "save", file)
	for _, args := range [][]string{{"lab", "deployment/upgrade"}, {"lab", "save", "--force", file}, {"lab", "restore", file}} {
		start := time.Now()
		done := make(chan result, 1)
		go func() { done <- l.run(args...) }()
		docker(l.T, "exec", l.node(), "sh", "-c", "mv /etc/kubernetes/manifests/kube-apiserver.yaml /kind/ && pkill kube-apiserver")
		time.AfterFunc(away, func() { docker(l.T, "exec", l.node(), "mv", "/kind/kube-apiserver.yaml", "/etc/kubernetes/manifests/") })
		if ended := <-done; ended.status != 0 || time.Since(start) < away {
			l.Errorf("%v ends with status %d after %s", args, ended.status, time.Since(start))
		}
	}
	if !l.checkStep("deployment/upgrade").Passed {
		l.Error("the lab does not pass its check")
	}
}
