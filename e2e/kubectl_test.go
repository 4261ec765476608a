//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// typed is what readers type, a line of the shell each, in which `kubectl` is kubectl's own program the first time, and
// `hellolab kubectl` the second. In front is the status that kubectl itself has to end with (? for whichever), so that
// no line compares two mistakes of this file; behind ## is the name of what may differ. $MINE is a name of each program's
// own, for what a line changes, and lines build upon those before them. $FOLDER holds the files of kubectlFiles.
const typed = `
# the words themselves
0 kubectl
0 kubectl --help
0 kubectl help
0 kubectl get --help
0 kubectl rollout undo -h
0 kubectl help create secret generic
? kubectl help gett
0 export LC_ALL=zh_CN.UTF-8; kubectl get --help
0 kubectl options
1 kubectl rollout
1 kubectl gett pods
1 kubectl get pods --nope
1 kubectl --nope get pods
1 kubectl --lang zh get pods
1 kubectl --name nope get pods
1 kubectl -v get pods
1 kubectl get
1 kubectl get pods -o
1 kubectl get nopes
1 kubectl exec box --
1 kubectl create
1 kubectl create nope
1 kubectl create deployment nope
1 kubectl run nope
0 kubectl version --client ## versions
0 kubectl version --client -o json ## values
0 kubectl version ## versions
1 kubectl version -o nope
0 kubectl completion bash
0 kubectl completion zsh
1 kubectl completion nope
0 kubectl __complete get po
0 kubectl __complete get pods ""
0 kubectl __complete --namespace ""
0 kubectl __completeNoDesc roll

# flags before the command, and those of every command
0 kubectl -n dev get pods
0 kubectl --namespace=dev get configmaps -o name
0 kubectl -v=0 get nodes -o name
0 kubectl --context=kind-$LAB get pods -o name
1 kubectl --context=nope get pods
1 kubectl --kubeconfig=/nope get pods
1 kubectl --cluster=nope get pods
1 kubectl --server=https://127.0.0.1:1 get pods ## logged
0 kubectl get pods -o name --request-timeout=30s
1 kubectl get pods -o name --request-timeout=soon
1 kubectl get pods --as=nobody
0 kubectl get componentstatuses etcd-0
1 kubectl get componentstatuses etcd-0 --warnings-as-errors
0 kubectl --kuberc=$FOLDER/kuberc podnames

# get
0 kubectl get pods ## ages
0 kubectl get pods -o wide ## ages
0 kubectl get pods -o name
0 kubectl get pod web -o yaml
0 kubectl get pods,configmaps -o json
0 kubectl get pods -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}'
0 kubectl get pod web -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'
1 kubectl get pods -o jsonpath='{.items['
0 kubectl get pods -o custom-columns='NAME:.metadata.name,IMAGE:.spec.containers[0].image,NODE:.spec.nodeName'
0 kubectl get pods -o go-template='{{range .items}}{{.metadata.name}} {{end}}'
0 kubectl get secret password -o go-template='{{.data.password | base64decode}}'
1 kubectl get pods -o nope
0 kubectl get pods --show-labels ## ages
0 kubectl get pods -L app --sort-by=.metadata.uid ## ages
0 kubectl get pods -A --no-headers ## ages
0 kubectl get all -A -o name
0 kubectl get deployments,services,configmaps,secrets ## ages
0 kubectl get nodes -o wide ## ages
0 kubectl get pods -l app=front -o name
0 kubectl get pods -l 'app in (web,front),app!=web' -o name
0 kubectl get pods --field-selector=status.phase=Running,metadata.name=web -o name
0 kubectl get pods --chunk-size=1 -o name
0 kubectl get -f $FOLDER/configmap.yaml -o name
0 kubectl get --raw /version
1 kubectl get --raw /nope
1 kubectl get pod nope
1 kubectl get pod/web pod/nope -o name
0 kubectl get pod nope --ignore-not-found

# describe, explain, and what the cluster has
0 kubectl describe pod web ## ages
0 kubectl describe deployment front ## ages
0 kubectl describe configmap/settings secret/password
0 kubectl describe namespace dev
1 kubectl describe pod nope
0 kubectl events --for=pod/web ## ages
0 kubectl explain pod
0 kubectl explain deployment.spec.replicas
0 kubectl explain pod.spec.containers --recursive
1 kubectl explain pod.nope
1 kubectl explain nope
0 kubectl api-resources
0 kubectl api-resources --namespaced=true --sort-by=name -o wide
0 kubectl api-resources --api-group=apps -o name
0 kubectl api-versions
0 kubectl cluster-info
1 kubectl top pods
1 kubectl top nodes

# logs
0 kubectl logs box
0 kubectl logs box --tail=2
0 kubectl logs box -c box --timestamps
0 kubectl logs deployment/front --tail=1
0 kubectl logs -l app=box --prefix
1 kubectl logs box -c nope
1 kubectl logs box --previous
1 kubectl logs nope
1 kubectl logs

# exec and cp
0 kubectl exec box -- echo hello
1 kubectl exec box echo hello
3 kubectl exec box -- sh -c 'echo out; echo err >&2; exit 3'
? kubectl exec box -- nope ## hashes
0 echo hello | kubectl exec -i box -- cat
0 head -c 1000000 /dev/zero | kubectl exec -i box -- wc -c
0 echo hello | kubectl exec -it box -- cat
1 kubectl exec -it box -- tty
1 kubectl exec -t box -- tty
0 kubectl exec deployment/front -c nginx -- cat /etc/hostname
1 kubectl exec box -c nope -- ls
1 kubectl exec nope -- ls
0 echo hello >$FOLDER/$MINE && kubectl cp $FOLDER/$MINE box:/$MINE && kubectl exec box -- cat /$MINE
0 kubectl cp box:/$MINE $FOLDER/$MINE.back >/dev/null && cat $FOLDER/$MINE.back
0 kubectl cp web:/usr/share/nginx/html $FOLDER/$MINE.html >/dev/null && cat $FOLDER/$MINE.html/index.html
1 kubectl cp $FOLDER/nope box:/
1 kubectl cp box:/nope

# who may do what
0 kubectl auth can-i create pods
1 kubectl auth can-i create pods --as=nobody
0 kubectl auth can-i --list --as=nobody
1 kubectl auth can-i
0 kubectl auth whoami

# a ConfigMap's life
0 kubectl apply -f $FOLDER/configmap.yaml --dry-run=client
0 kubectl apply -f $FOLDER/configmap.yaml --dry-run=server
0 sed s/blue/red/ $FOLDER/configmap.yaml | kubectl apply --dry-run=server -f - -o yaml
0 kubectl diff -f $FOLDER/configmap.yaml
1 sed s/blue/red/ $FOLDER/configmap.yaml | kubectl diff -f - ## files
2 kubectl diff -f $FOLDER/nope.yaml
0 sed s/settings/$MINE/ $FOLDER/configmap.yaml | kubectl apply -f -
0 sed s/settings/$MINE/ $FOLDER/configmap.yaml | kubectl apply -f -
0 sed "s/settings/$MINE/; s/blue/red/" $FOLDER/configmap.yaml | kubectl apply -f -
0 sed "s/settings/$MINE/; s/blue/red/" $FOLDER/configmap.yaml | kubectl apply --server-side -f -
1 sed "s/settings/$MINE/; s/blue/pink/" $FOLDER/configmap.yaml | kubectl apply --server-side --field-manager=other -f - ## times
0 sed "s/settings/$MINE/; s/blue/pink/" $FOLDER/configmap.yaml | kubectl apply --server-side --field-manager=other --force-conflicts -f -
1 kubectl apply
1 kubectl apply -f -
1 echo nope | kubectl apply -f -
1 echo '{kind: Nope, apiVersion: v1, metadata: {name: nope}}' | kubectl apply -f -
1 echo '{kind: ConfigMap, apiVersion: v1, metadata: {name: nope}, dada: {}}' | kubectl apply -f -
1 kubectl apply -f $FOLDER/nope.yaml
1 kubectl create configmap $MINE --from-literal=a=b
0 kubectl create configmap $MINE-too --from-literal=a=b --from-file=$FOLDER/configmap.yaml
0 kubectl label configmap $MINE tier=web
1 kubectl label configmap $MINE tier=db
0 kubectl label configmap $MINE tier=db --overwrite
0 kubectl annotate configmap $MINE note=hello
0 kubectl annotate configmap $MINE note-
0 kubectl get configmap $MINE -o jsonpath='{.metadata.labels}{.metadata.annotations.note}{.data}'
0 kubectl patch configmap $MINE -p '{"data":{"colour":"green"}}'
0 kubectl patch configmap $MINE -p '{"data":{"colour":"green"}}'
1 kubectl patch configmap $MINE --type=json -p '[{"op":"test","path":"/data/colour","value":"nope"}]'
1 kubectl patch configmap $MINE -p nope
0 export KUBE_EDITOR='sed -i s/green/black/'; kubectl edit configmap $MINE
0 export KUBE_EDITOR=true; kubectl edit configmap $MINE
1 export KUBE_EDITOR=false; kubectl edit configmap $MINE ## files
1 export KUBE_EDITOR='sed -i s/colour:/colour/'; kubectl edit configmap $MINE ## files
0 kubectl get configmap $MINE -o yaml | sed s/black/white/ | kubectl replace -f -
0 kubectl get configmap $MINE --show-managed-fields -o jsonpath='{range .metadata.managedFields[*]}{.manager}{"\n"}{end}' | sort -u
0 kubectl delete configmap $MINE $MINE-too
1 kubectl delete configmap $MINE
0 kubectl delete configmap $MINE --ignore-not-found
0 kubectl delete configmap -l app=nope
1 kubectl delete configmap

# what is only printed
0 kubectl create deployment nope --image=nginx --replicas=3 --dry-run=client -o yaml
0 kubectl create configmap nope --from-literal=a=b --dry-run=client -o yaml
0 kubectl create secret generic nope --from-literal=a=b --dry-run=client -o json
0 kubectl create service clusterip nope --tcp=80:8080 --dry-run=client -o yaml
0 kubectl create job nope --image=busybox --dry-run=client -o yaml -- echo hello
0 kubectl create namespace nope --dry-run=server -o name
0 kubectl run nope --image=nginx --port=80 --dry-run=client -o yaml
0 kubectl expose deployment front --port=80 --dry-run=client -o yaml
0 kubectl autoscale deployment front --max=3 --dry-run=client
0 kubectl taint nodes --all a=b:NoSchedule --dry-run=server
0 kubectl kustomize $FOLDER/kustomize
1 kubectl kustomize $FOLDER/nope
0 kubectl apply -k $FOLDER/kustomize --dry-run=server
1 kubectl get -k $FOLDER/kustomize

# a Deployment's life
0 kubectl create deployment $MINE --image=nginx
0 kubectl wait --for=condition=Available deployment/$MINE --timeout=60s
0 kubectl rollout status deployment/$MINE
0 kubectl scale deployment/$MINE --replicas=2
1 kubectl scale deployment/$MINE --current-replicas=9 --replicas=1
1 kubectl scale deployment/nope --replicas=1
1 kubectl scale deployment/$MINE
0 kubectl wait --for=jsonpath='{.status.readyReplicas}'=2 deployment/$MINE --timeout=60s
0 kubectl set env deployment/$MINE COLOUR=blue
0 kubectl rollout status deployment/$MINE --timeout=60s ## waiting
0 kubectl rollout history deployment/$MINE
0 kubectl rollout history deployment/$MINE --revision=2 ## hashes
0 kubectl set image deployment/$MINE nginx=nginx:nope
1 kubectl set image deployment/$MINE nope=nginx
1 kubectl rollout status deployment/$MINE --timeout=1s ## waiting
0 kubectl rollout undo deployment/$MINE
0 kubectl rollout status deployment/$MINE --timeout=60s ## waiting
0 kubectl rollout history deployment/$MINE
1 kubectl rollout undo deployment/$MINE --to-revision=9
0 kubectl rollout pause deployment/$MINE
1 kubectl rollout pause deployment/$MINE
0 kubectl rollout resume deployment/$MINE
0 kubectl rollout restart deployment/$MINE
0 kubectl get deployment $MINE --show-managed-fields -o jsonpath='{range .metadata.managedFields[*]}{.manager}{"\n"}{end}' | sort -u
0 kubectl delete deployment $MINE --wait
1 kubectl get deployment $MINE

# Pods, and waiting
0 kubectl wait --for=condition=Ready pod/web pod/box
1 kubectl wait --for=delete pod/web --timeout=1s 2>/dev/null
1 kubectl wait --for=condition=Ready pod/nope
0 echo hello | kubectl run --rm -i --restart=Never $MINE-run --image=busybox -- sh -c 'read word; echo $word'
4 echo | kubectl run --rm -i --restart=Never $MINE-exit --image=busybox -- sh -c 'read word; exit 4'
0 kubectl run $MINE-pod --image=nginx
0 kubectl wait --for=condition=Ready pod/$MINE-pod --timeout=60s
0 kubectl delete pod $MINE-pod --force --grace-period=0

# ports
1 kubectl port-forward pod/web
1 kubectl port-forward pod/web nope
1 kubectl port-forward pod/web 99999:80
1 kubectl port-forward pod/nope 0:80
1 kubectl port-forward service/nope 0:80
1 kubectl proxy --port=99999
1 kubectl proxy --port=nope

# plugins
5 kubectl hello one --two
5 kubectl hello --help
? kubectl plugin list
1 kubectl nosuch plugin

# kubectl's own configuration; the last line takes back what it changes
0 kubectl config current-context
0 kubectl config get-contexts
0 kubectl config get-contexts -o name
1 kubectl config get-contexts nope
0 kubectl config get-clusters
0 kubectl config view
0 kubectl config view --raw --minify
0 kubectl config use-context kind-$LAB
1 kubectl config use-context nope
0 kubectl config set-context --current --namespace=dev && kubectl get configmaps -o name && kubectl config unset contexts.kind-$LAB.namespace && kubectl config view
`

// mayDiffer are what two runs of one and the same kubectl print differently, and one space for many beside an age.
var mayDiffer = map[string]*regexp.Regexp{
	"ages":     regexp.MustCompile(` {2,}|\b(\d+[dhms])+\b`),
	"files":    regexp.MustCompile(`\S*/(LIVE|MERGED|(kubectl|hellolab)-edit)-\d+|\t\d{4}-\d\d-\d\d .*`),
	"hashes":   regexp.MustCompile(`pod-template-hash=\w+|[0-9a-f]{64}`),
	"logged":   regexp.MustCompile(`(?m)^[EWI]\d{4} [\d:.]+ +\d+ `),
	"numbers":  regexp.MustCompile(`\b\d{5}\b`),
	"times":    regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+Z`),
	"values":   regexp.MustCompile(`: ".*"`),
	"versions": regexp.MustCompile(`v\d+\.\d+\.\d+`),
	"waiting":  regexp.MustCompile(`\A(Waiting for .*\n)*`),
}

// kubectlFiles are in $FOLDER, of which bin is on the PATH.
var kubectlFiles = map[string]string{
	"configmap.yaml":               kubectlSettings,
	"kustomize/configmap.yaml":     kubectlSettings,
	"kustomize/kustomization.yaml": "namePrefix: my-\nresources: [configmap.yaml]\n",
	"bin/kubectl-hello":            "#!/bin/sh\necho \"hello, $*\"\nexit 5\n",
	"kuberc": `
apiVersion: kubectl.config.k8s.io/v1beta1
kind: Preference
aliases:
- name: podnames
  command: get
  prependArgs: [pods]
  options: [{name: output, default: name}]
`,
}

const (
	kubectlSettings = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  colour: blue
`
	kubectlObjects = `
apiVersion: v1
kind: Pod
metadata: {name: box, labels: {app: box}}
spec:
  containers:
  - {name: box, image: busybox, command: [sh, -c, seq 5; exec sleep 3600]}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: secret}
---
apiVersion: v1
kind: Namespace
metadata: {name: dev}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: of-dev, namespace: dev}
`
)

// A caller is a way to call kubectl: a program, and its words before kubectl's own.
type caller struct {
	program string
	words   []string
	mine    string // its $MINE, as long as the other one's
	// kubeconfig is one of its own, so that two callers can write theirs at the same time; "" is the lab's.
	kubeconfig string
}

// seen is all that a reader sees of a command, as far as it has to be the same.
type seen struct {
	status int
	text   string
}

// isKubectl holds that the kubectl inside hellolab is kubectl.
func (l *lab) isKubectl() {
	l.must("lab", "reset")
	t := l.T
	kubectl := caller{program: kubectlItself(t), mine: "mine-a"}
	hellolab := caller{program: program(t), words: []string{"kubectl"}, mine: "mine-b"}
	l.silent = true
	l.preparesForKubectl()
	kubectl.kubeconfig, hellolab.kubeconfig = l.copyOfKubeconfig(), l.copyOfKubeconfig()

	rows := regexp.MustCompile(`(?m)^(\d+|\?) (.+?)(?: ## (\w+))?$`).FindAllStringSubmatch(typed, -1)
	if written := regexp.MustCompile(`(?m)^[^#\n]`).FindAllString(typed, -1); len(rows) != len(written) {
		t.Fatalf("of %d lines %d can be read", len(written), len(rows))
	}
	for _, row := range rows {
		status, line, differs := row[1], row[2], mayDiffer[row[3]]
		t.Run(line, func(t *testing.T) {
			l := l.in(t)
			if row[3] != "" && differs == nil {
				l.Fatalf("there is nothing named %s that may differ", row[3])
			}
			have := make(chan seen)
			go func() { have <- l.types(hellolab, line, differs) }()
			want := l.types(kubectl, line, differs)
			if status != "?" && status != fmt.Sprint(want.status) {
				l.Errorf("kubectl itself ends with status %d, not %s:\n%s", want.status, status, want.text)
			}
			l.same(<-have, want)
		})
	}

	t.Run("by the name kubectl", func(t *testing.T) {
		l := l.in(t)
		named := caller{program: filepath.Join(t.TempDir(), "kubectl"), mine: hellolab.mine}
		if os.Symlink(program(t), named.program) != nil {
			content, err := os.ReadFile(program(t))
			l.check(err)
			l.check(os.WriteFile(named.program, content, 0o755))
		}
		for _, line := range []string{"kubectl get pods web box -o name", "kubectl", "kubectl gett", "kubectl --name nope get pods",
			"kubectl hello one", "kubectl exec box -- sh -c 'exit 3'"} {
			want := l.types(kubectl, line, nil)
			l.same(l.types(named, line, nil), want)
		}
	})
	t.Run("hellolab's own flags", func(t *testing.T) {
		l := l.in(t)
		want := l.types(kubectl, "kubectl get nodes -o name", nil)
		for _, words := range [][]string{{"--name", l.name}, {"--name=" + l.name, "--lang", "zh"}} {
			before := hellolab
			before.words = append(words, "kubectl")
			l.same(l.types(before, "kubectl get nodes -o name", nil), want)
			l.same(l.types(before, "kubectl gett", nil), l.types(kubectl, "kubectl gett", nil))
		}
		l.fails(2, []string{"--nope", "kubectl", "get", "nodes"}, unknownFlag)
	})
	t.Run("another current context", func(t *testing.T) {
		l := l.in(t)
		want := l.types(kubectl, "kubectl get nodes -o name", nil)
		kubectl, hellolab := kubectl, hellolab
		kubectl.kubeconfig, hellolab.kubeconfig = "", ""
		others := filepath.Join(t.TempDir(), "theirs")
		l.check(os.WriteFile(others, []byte(theirs), 0o600))
		l.env = append(slices.Clip(l.env), "KUBECONFIG="+others+string(os.PathListSeparator)+filepath.Join(l.folder, "kubeconfig"))
		l.same(l.types(hellolab, "kubectl get nodes -o name", nil), want)
		for _, line := range []string{"kubectl config current-context", "kubectl --context=theirs get nodes",
			"kubectl --kubeconfig=" + others + " get nodes"} {
			want := l.types(kubectl, line, mayDiffer["logged"])
			l.same(l.types(hellolab, line, mayDiffer["logged"]), want)
		}
	})
	t.Run("interrupted", func(t *testing.T) { l.in(t).interrupts(kubectl, hellolab) })
	t.Run("in a terminal", func(t *testing.T) { l.in(t).execsInATerminal(hellolab) })
}

// kubectlItself finds a kubectl of the minor version that hellolab has inside: on the PATH, or the test bed's.
func kubectlItself(t *testing.T) string {
	t.Helper()
	ours, err := buildinfo.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	minor := ""
	for _, module := range ours.Deps {
		if module.Path == "k8s.io/kubectl" { // v0.37.2 is of v1.37
			minor = "v1" + strings.TrimPrefix(module.Version[:strings.LastIndex(module.Version, ".")+1], "v0")
		}
	}
	if minor == "" {
		t.Fatal("there is no kubectl in bin/hellolab")
	}
	candidates := []string{filepath.Join(cache(), "bin", "tools", "kubectl")}
	if found, err := exec.LookPath("kubectl"); err == nil {
		candidates = append([]string{found}, candidates...)
	}
	var refused []string
	for _, candidate := range candidates {
		info, err := buildinfo.ReadFile(candidate)
		if err != nil || info.Path != "k8s.io/kubernetes/cmd/kubectl" { // hellolab by that name, or another wrapping
			refused = append(refused, candidate+" is not built from k8s.io/kubernetes/cmd/kubectl")
			continue
		}
		output, _ := exec.Command(candidate, "version", "--client", "-o", "json").Output()
		var version struct{ ClientVersion struct{ GitVersion string } }
		json.Unmarshal(output, &version)
		if strings.HasPrefix(version.ClientVersion.GitVersion, minor) {
			return candidate
		}
		refused = append(refused, fmt.Sprintf("%s has the version %q", candidate, version.ClientVersion.GitVersion))
	}
	t.Fatalf("no kubectl %sx to compare with (testbed/images tools makes one): %s", minor, strings.Join(refused, "; "))
	return ""
}

// preparesForKubectl writes the files and makes the objects that lines are about, and waits until nothing moves.
func (l *lab) preparesForKubectl() {
	l.Helper()
	for name, content := range kubectlFiles {
		file := filepath.Join(l.folder, filepath.FromSlash(name))
		l.check(os.MkdirAll(filepath.Dir(file), 0o755))
		l.check(os.WriteFile(file, []byte(content), 0o755))
	}
	l.env = append(slices.Clip(l.env), "FOLDER="+l.folder, "LAB="+l.name, "PATH="+filepath.Join(l.folder, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	l.kubectl(kubectlSettings, "apply", "-f", "-")
	l.kubectl(kubectlObjects, "apply", "-f", "-")
	l.kubectl(podYAML("web", "nginx", "nginx", "app: web"), "apply", "-f", "-")
	l.kubectl("", "create", "deployment", "front", "--image=nginx", "--replicas=2")
	l.kubectl("", "rollout", "status", "deployment", "front", "--timeout=120s")
	l.kubectl("", "wait", "--for=condition=Ready", "pod", "--all", "--all-namespaces", "--timeout=120s")
}

// copyOfKubeconfig gives a file with what is in the lab's kubeconfig.
func (l *lab) copyOfKubeconfig() string {
	l.Helper()
	content, err := os.ReadFile(filepath.Join(l.folder, "kubeconfig"))
	l.check(err)
	path := filepath.Join(l.TempDir(), "kubeconfig")
	l.check(os.WriteFile(path, content, 0o600))
	return path
}

// environment is what a caller's kubectl runs in: each has a cache of its own, so that none lives on the other's.
func (l *lab) environment(by caller) []string {
	env := slices.Concat(l.env, []string{"PROGRAM=" + by.program, "WORDS=" + strings.Join(by.words, " "), "MINE=" + by.mine,
		"KUBECACHEDIR=" + filepath.Join(l.folder, "cache-"+by.mine)})
	if by.kubeconfig != "" {
		env = append(env, "KUBECONFIG="+by.kubeconfig)
	}
	return env
}

// types runs a line as the shell does, where the word kubectl means the caller.
func (l *lab) types(by caller, line string, differs *regexp.Regexp) seen {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", `kubectl() { "$PROGRAM" $WORDS "$@"; }; `+line)
	command.WaitDelay = time.Second
	command.Env = l.environment(by)
	return by.saw(l.wait(command), differs)
}

func (by caller) saw(done result, differs *regexp.Regexp) seen {
	text := done.stdout + "--- stderr\n" + done.stderr
	text = strings.ReplaceAll(text, by.mine, "MINE")
	if differs != nil {
		text = differs.ReplaceAllString(text, "~")
	}
	return seen{done.status, text}
}

// same fails unless hellolab does what kubectl does.
func (l *lab) same(have, want seen) {
	l.Helper()
	if have == want {
		return
	}
	ours, theirs := strings.SplitAfter(have.text, "\n"), strings.SplitAfter(want.text, "\n")
	at := 0
	for at < min(len(ours), len(theirs)) && ours[at] == theirs[at] {
		at++
	}
	from := func(lines []string) string { return strings.Join(lines[at:min(len(lines), at+8)], "") }
	l.Errorf("hellolab ends with status %d, kubectl with %d; from line %d on hellolab prints\n%s\nand kubectl\n%s",
		have.status, want.status, at+1, from(ours), from(theirs))
}

// interrupts holds that Ctrl-C ends what kubectl would go on with, at once and as it ends kubectl.
func (l *lab) interrupts(kubectl, hellolab caller) {
	for _, row := range []struct {
		args    []string
		ready   string // the line of its output that it can be interrupted after
		path    string // of what nginx or the API server answers at the address in that line
		answers string
		anyhow  bool // kubectl's own status is a matter of a moment
	}{
		{[]string{"port-forward", "--address=127.0.0.1", "pod/web", "0:80"}, `Forwarding from (127\.0\.0\.1:\d+) -> 80`, "/", "nginx", false},
		{[]string{"proxy", "--port=0"}, `Starting to serve on (127\.0\.0\.1:\d+)`, "/version", "gitVersion", false},
		{[]string{"logs", "--follow", "box"}, `^5$`, "", "", true},
		{[]string{"get", "pod", "web", "--watch", "-o", "name"}, `^pod/web$`, "", "", true},
		{[]string{"exec", "box", "--", "sh", "-c", "echo ready; sleep 3600"}, `^ready$`, "", "", false},
	} {
		l.Run(row.args[0], func(t *testing.T) {
			l := l.in(t)
			ready := regexp.MustCompile(row.ready)
			run := func(by caller) seen {
				reached := false
				done := l.interrupted(by, row.args, func(line string) bool {
					found := ready.FindStringSubmatch(line)
					if found == nil {
						return false
					}
					reached = true
					if row.path != "" {
						if code, body := get("http://" + found[1] + row.path); code != 200 || !strings.Contains(body, row.answers) {
							l.Errorf("%s answers %d %s", found[1], code, body)
						}
					}
					return true
				})
				if !reached {
					l.Errorf("%s never says %s, but\n%s%s", by.program, row.ready, done.stdout, done.stderr)
				}
				if row.anyhow {
					done.status = 0
				}
				return by.saw(done, mayDiffer["numbers"])
			}
			want := run(kubectl)
			l.same(run(hellolab), want)
		})
	}
}

// interrupted runs kubectl with args, and interrupts it when its output has come to a line that is ready.
func (l *lab) interrupted(by caller, args []string, ready func(line string) bool) result {
	l.Helper()
	command := exec.Command(by.program, slices.Concat(by.words, args)...)
	command.Env = l.environment(by)
	var stdout, stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.StdoutPipe()
	l.check(err)
	l.check(command.Start())
	defer time.AfterFunc(time.Minute, func() { command.Process.Kill() }).Stop()
	start := time.Now()
	for lines := bufio.NewScanner(output); lines.Scan(); {
		fmt.Fprintln(&stdout, lines.Text())
		if ready(lines.Text()) {
			start = time.Now()
			l.check(command.Process.Signal(os.Interrupt))
		}
	}
	command.Wait() // its status is what is asked for
	took := time.Since(start)
	if took > 10*time.Second {
		l.Errorf("%s %s does not end when it is interrupted, but after %s", by.program, strings.Join(args, " "), took)
	}
	status := command.ProcessState.ExitCode()
	if ended, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && ended.Signaled() {
		status = 128 + int(ended.Signal()) // as the shell has it
	}
	return result{stdout.String(), stderr.String(), status, took}
}

// execsInATerminal holds that a shell in a pod has a terminal of the size of the reader's, and gets the reader's Ctrl-C.
func (l *lab) execsInATerminal(hellolab caller) {
	script, err := exec.LookPath("script")
	l.check(err)
	const inside = `until [ "$(stty size)" = "33 101" ]; do sleep 0.1; done; tty; stty size; echo ready; sleep 3600`
	command := exec.Command(script, "-qec", `stty rows 33 cols 101; exec "$PROGRAM" $WORDS exec -it box -- sh -c '`+inside+`'`, "/dev/null")
	command.Env = append(l.environment(hellolab), "SHELL=/bin/sh")
	keyboard, err := command.StdinPipe() // held open: its end would be typed, too
	l.check(err)
	screen, err := command.StdoutPipe()
	l.check(err)
	l.check(command.Start())
	defer time.AfterFunc(time.Minute, func() { command.Process.Kill() }).Stop()
	var shown strings.Builder
	for lines := bufio.NewScanner(screen); lines.Scan(); {
		fmt.Fprintln(&shown, lines.Text())
		if lines.Text() == "ready" {
			_, err := io.WriteString(keyboard, "\x03")
			l.check(err)
		}
	}
	command.Wait() // its status is what is asked for
	if status := command.ProcessState.ExitCode(); status != 130 {
		l.Errorf("Ctrl-C in the pod ends with status %d, not 130", status)
	}
	for _, wanted := range []string{"/dev/pts/", "33 101\nready\n", "command terminated with exit code 130"} {
		if !strings.Contains(shown.String(), wanted) {
			l.Errorf("the terminal does not show %q, but\n%s", wanted, shown.String())
		}
	}
}
