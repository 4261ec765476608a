//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A trouble is something that goes wrong in a reader's lab.
type trouble struct {
	name string
	// step of the course that is done before; its check passes then.
	step string
	// happens makes it so, on purpose or by mistake.
	happens func(l *lab)
	// said is what the check says of it, with a command that matches next, to be typed as it stands; where that opens an
	// editor, sed makes the change.
	said      words
	next, sed string
	// undo puts right what the reader has done beside, after the check passes again.
	undo func(l *lab)
}

// troubles are ordered by their steps: one that was put right leaves the step as it was.
func troubles() []trouble {
	return []trouble{
		{name: "one is scaled away, none deleted", step: "deployment/create", happens: func(l *lab) {
			l.apply(deploymentYAML(1, "v1", "", "")) // as the course's, without the pod that hellolab has deleted
			l.kubectl("", "delete", "deployment", "hellok8s-deployment")
			l.apply(deploymentYAML(1, "v1", "", ""))
			l.rolledOut()
			for _, replicas := range []string{"2", "1"} {
				l.kubectl("", "scale", "deployment/hellok8s-deployment", "--replicas="+replicas)
				l.rolledOut()
			}
			eventually(l, "the second pod has gone", func() bool { return strings.Count(l.kubectl("", "get", "pods", "-o", "name"), "pod/") == 1 })
		}, said: words{"a deleted pod", "nobody deleted them"}, next: `kubectl delete pod -l app=hellok8s`},
		{name: "a node is drained", step: "deployment/create", happens: func(l *lab) {
			l.kubectl("", "delete", "deployment", "hellok8s-deployment")
			l.apply(deploymentYAML(1, "v1", "", ""))
			l.rolledOut()
			l.kubectl("", "drain", l.node(), "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--pod-selector=app=hellok8s")
			l.kubectl("", "uncordon", l.node())
			l.rolledOut()
		}, said: words{"a deleted pod", "nobody deleted them"}, next: `kubectl delete pod -l app=hellok8s`},

		{name: "a quota", step: "deployment/scale", happens: func(l *lab) {
			l.apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: rq-demo}, spec: {hard: {pods: 100, requests.cpu: 2}}}")
			l.kubectl("", "delete", "pods", "-l", "app=hellok8s", "--wait=false")
		}, said: words{"failed quota: rq-demo", `requests\.cpu`}, next: `kubectl delete resourcequota/rq-demo`},
		{name: "limits", step: "deployment/scale", happens: func(l *lab) {
			l.apply("{apiVersion: v1, kind: LimitRange, metadata: {name: least}, spec: {limits: [{type: Pod, min: {memory: 1Gi}}]}}")
			l.kubectl("", "delete", "pods", "-l", "app=hellok8s", "--wait=false")
		}, said: words{"minimum memory usage"}, next: `kubectl delete limitrange/least`},
		{name: "pod security", step: "deployment/scale", happens: func(l *lab) {
			l.kubectl("", "label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted")
			l.kubectl("", "delete", "pods", "-l", "app=hellok8s", "--wait=false")
		}, said: words{"PodSecurity", "restricted"}, next: `kubectl label namespace default pod-security.kubernetes.io/enforce-`},
		{name: "an autoscaler", step: "deployment/scale", happens: func(l *lab) {
			l.kubectl("", "autoscale", "deployment", "hellok8s-deployment", "--min=1", "--max=1", "--cpu=50%")
			eventually(l, "it scales down", func() bool {
				return l.kubectl("", "get", "deployment", "hellok8s-deployment", "-o", "jsonpath={.spec.replicas}") == "1"
			})
		}, said: words{"horizontalpodautoscaler/hellok8s-deployment"}, next: `kubectl delete horizontalpodautoscaler/hellok8s-deployment`},
		{name: "a cordoned node", step: "deployment/scale", happens: func(l *lab) {
			l.kubectl("", "cordon", l.node())
			l.kubectl("", "delete", "pods", "-l", "app=hellok8s", "--wait=false")
		}, said: words{"cordoned", "e2e-causes-control-plane"}, next: `kubectl uncordon`},
		{name: "a taint", step: "deployment/scale", happens: func(l *lab) {
			l.kubectl("", "taint", "nodes", l.node(), "a=b:NoSchedule")
			l.kubectl("", "delete", "pods", "-l", "app=hellok8s", "--wait=false")
		}, said: words{"taint a=b:NoSchedule"}, next: `kubectl taint nodes .* a=b:NoSchedule-`},
		{name: "kubectl works in another namespace", step: "deployment/scale", happens: func(l *lab) {
			l.kubectl("", "create", "namespace", "shop")
			l.kubectl("", "config", "set-context", "--current", "--namespace=shop")
			l.kubectl("", "delete", "deployment", "hellok8s-deployment", "-n", "default")
			l.kubectl(deploymentYAML(3, "v1", "", ""), "apply", "-f", "-")
		}, said: words{"it is in the namespace shop", "--namespace=default"}, next: `kubectl apply -f deployment.yaml -n default`, undo: func(l *lab) {
			l.kubectl("", "config", "set-context", "--current", "--namespace=default")
			l.kubectl("", "delete", "namespace", "shop")
		}},
		{name: "a container of another name", step: "deployment/scale", happens: func(l *lab) {
			l.kubectl("", "delete", "deployment", "hellok8s-deployment")
			l.apply(strings.Replace(deploymentYAML(3, "v1", "", ""), "name: hellok8s-container", "name: web", 1))
		}, said: words{"container is called web, not hellok8s-container"}, next: `kubectl edit deployment`, sed: `s/name: web$/name: hellok8s-container/`},
		{name: "a mistyped image", step: "deployment/scale", happens: func(l *lab) {
			l.kubectl("", "set", "image", "deployment/hellok8s-deployment", "hellok8s-container=guangzhengli/helok8s:v1")
		}, said: words{"cannot pull", "helok8s:v1", "there is guangzhengli/hellok8s:v1"}, next: `kubectl set image .*hellok8s:v1`},
		{name: "a command that there is not", step: "deployment/scale", happens: func(l *lab) {
			l.kubectl("", "patch", "deployment", "hellok8s-deployment", "-p", "spec: {template: {spec: {containers: [{name: hellok8s-container, command: [nonsuch]}]}}}")
		}, said: words{"cannot start", "nonsuch"}, next: `kubectl edit deployment`, sed: `/- nonsuch/d;s/- command:/- tty: false/`},

		{name: "another node port", step: "service/nodeport", happens: func(l *lab) {
			l.kubectl("", "patch", "service", "service-hellok8s-nodeport", "--type=json", "-p", "[{op: replace, path: /spec/ports/0/nodePort, value: 30080}]")
		}, said: words{"30080", "only 30000"}, next: `kubectl patch service`},
		{name: "another namespace has the node port", step: "service/nodeport", happens: func(l *lab) {
			l.kubectl("", "delete", "service", "service-hellok8s-nodeport")
			l.kubectl("", "create", "namespace", "shop")
			l.kubectl("", "create", "service", "nodeport", "n", "--tcp=80:80", "--node-port=30000", "-n", "shop")
		}, said: words{"30000 belongs to service/n -n shop"}, next: `kubectl delete service/n -n shop`, undo: func(l *lab) { l.kubectl("", "delete", "namespace", "shop") }},
		{name: "a wrong name of a target port", step: "service/nodeport", happens: func(l *lab) {
			l.kubectl("", "patch", "service", "service-hellok8s-nodeport", "--type=json", "-p", "[{op: replace, path: /spec/ports/0/targetPort, value: web}]")
		}, said: words{"port named web", "targetPort"}, next: `kubectl edit service`, sed: `s/targetPort: web/targetPort: 3000/`},

		{name: "a host", step: "ingress/routes", happens: func(l *lab) {
			l.kubectl("", "patch", "ingress", "hello-ingress", "--type=json", "-p", "[{op: add, path: /spec/rules/0/host, value: hello.local}]")
			if l.checkStep("ingress/routes").Passed {
				l.Error("a check right after the change passes on what was before it")
			}
		}, said: words{"the path /hello", "host hello.local only"}, next: `kubectl patch ingress hello-ingress`},
		{name: "a class", step: "ingress/routes", happens: func(l *lab) {
			l.kubectl("", "patch", "ingress", "hello-ingress", "-p", "spec: {ingressClassName: traefik}")
			if l.checkStep("ingress/routes").Passed {
				l.Error("a check right after the change passes on what was before it")
			}
		}, said: words{"has the class traefik", "is for nginx"}, next: `kubectl patch ingress hello-ingress`},
		{name: "another namespace has the route", step: "ingress/routes", happens: func(l *lab) {
			l.kubectl("", "delete", "ingress", "hello-ingress")
			l.kubectl("", "create", "namespace", "shop")
			eventually(l, "the controller has let go of the route", func() bool {
				create := l.command("kubectl", "create", "ingress", "w", "--rule=/hello*=w:80", "-n", "shop")
				return create.Run() == nil
			})
		}, said: words{"/hello belongs to the Ingress w in the namespace shop"}, next: `kubectl delete ingress/w -n shop`, undo: func(l *lab) { l.kubectl("", "delete", "namespace", "shop") }},
		{name: "an ingress controller that does not run", step: "ingress/routes", happens: func(l *lab) {
			l.kubectl("", "scale", "deployment/ingress-nginx-controller", "--replicas=0", "-n", "ingress-nginx")
			eventually(l, "it is gone", func() bool { code, _ := get(l.status().Ingress.Address + "/hello"); return code != 200 })
		}, said: words{"ingress controller is scaled to 0"}, next: `kubectl scale deployment/ingress-nginx-controller --replicas=1 -n ingress-nginx`},

		{name: "a Job with a second container", step: "job/job", happens: func(l *lab) {
			l.kubectl("", "delete", "job", "hello-job")
			l.apply(strings.Replace(jobYAML("hello-job", countdown), "containers:", "containers:\n      - {name: helper, image: busybox, command: [echo, hello]}", 1))
		}},
	}
}

// A whyTrouble is made of one manifest in a namespace of its own; `hellolab why` tells its cause, and is content once what it says
// has been typed.
type whyTrouble struct {
	name, manifest, asks string
	said                 words
	next, sed            string
}

func whyTroubles() []whyTrouble {
	return []whyTrouble{
		{"too little memory", podTemplate("oom", `{name: c, image: busybox, command: [sh, -c, "dd if=/dev/zero of=/dev/null bs=20M count=1 && sleep 1d"], resources: {limits: {memory: 16Mi}}}`, ""), "deploy/oom",
			words{"memory", "16Mi", "deployment/create"}, `kubectl set resources deployment/oom .*32Mi`, ""},
		{"a Secret that is not there", podTemplate("env", `{name: c, image: nginx, env: [{name: A, valueFrom: {secretKeyRef: {name: sec, key: password}}}]}`, ""), "deploy/env",
			words{"no secret sec"}, `kubectl create secret generic sec --from-literal=password=VALUE -n causes`, ""},
		{"a ConfigMap that is not there, as a volume", podTemplate("vol", `{name: c, image: nginx, volumeMounts: [{name: v, mountPath: /v}]}`, "volumes: [{name: v, configMap: {name: nocm}}]"), "rs",
			words{`nocm.* not found`}, `kubectl create configmap nocm -n causes`, ""},
		{"a mistyped image", podTemplate("typo", `{name: c, image: ngnix}`, ""), "deployments.apps/typo",
			words{"ngnix", "there is nginx"}, `kubectl set image deployment/typo c=nginx -n causes`, ""},
		{"a liveness probe", podTemplate("live", `{name: c, image: nginx, livenessProbe: {httpGet: {path: /nope, port: 80}, periodSeconds: 1, failureThreshold: 1}}`, ""), "po",
			words{"Liveness probe failed", "404", "pod/nginx"}, `kubectl edit deployment/live -n causes`, `s,/nope,/,`},
		{"an init container", podTemplate("init", `{name: c, image: nginx}`, `initContainers: [{name: i, image: busybox, command: [sh, -c, "echo no database; exit 4"]}]`), "deploy/init",
			words{"container i", "status 4", "no database"}, `kubectl logs .* -c i .*-n causes`, ""},
		{"a read-only file system", podTemplate("ro", `{name: c, image: nginx, securityContext: {readOnlyRootFilesystem: true}}`, ""), "deploy/ro",
			words{"Read-only file system"}, `kubectl logs`, ""},
		{"a program that ends", podTemplate("ends", `{name: c, image: busybox}`, ""), "deploy/ends",
			words{"nothing more to do"}, `kubectl edit deployment/ends -n causes`, `s,image: busybox,image: nginx,`},
		{"a port of the node that is taken", podTemplate("hostport", `{name: c, image: nginx, ports: [{containerPort: 80, hostPort: 80}]}`, ""), "deploy/hostport",
			words{"ingress-nginx-controller", "80/TCP"}, `kubectl edit deployment/hostport -n causes`, `/hostPort/d`},
		{"no service account", podTemplate("sa", `{name: c, image: nginx}`, "serviceAccountName: robot"), "deploy/sa",
			words{"robot", "not found"}, `kubectl create serviceaccount robot -n causes`, ""},
		{"a claim without a volume", podTemplate("pvc", `{name: c, image: nginx, volumeMounts: [{name: v, mountPath: /v}]}`, "volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]") +
			"\n---\n{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {storageClassName: manual, accessModes: [ReadWriteOnce], resources: {requests: {storage: 5Mi}}}}", "deploy/pvc",
			words{"persistentvolumeclaim/data", "claim data has no volume"}, `kubectl describe persistentvolumeclaim data`, ""},
		{"a selector that matches nothing", podTemplate("web", `{name: c, image: nginx}`, "") + "\n---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: wep}, ports: [{port: 80}]}}", "svc/web",
			words{"app=wep", "app=web", "service/clusterip"}, `kubectl edit service web -n causes`, `s/app: wep/app: web/`},
		{"requests that a policy keeps out", podTemplate("web", `{name: c, image: nginx}`, "") + "\n---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}" +
			"\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny-all}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}", "svc/web",
			words{"NetworkPolicy deny-all"}, `kubectl delete networkpolicy/deny-all -n causes`, ""},
		{"a Job that failed", "{apiVersion: batch/v1, kind: Job, metadata: {name: fails}, spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox, command: [sh, -c, 'echo bad luck; exit 2']}]}}}}", "job/fails",
			words{"status 2", "bad luck", "job/job"}, `kubectl logs fails-`, ""},
		{"a suspended CronJob", "{apiVersion: batch/v1, kind: CronJob, metadata: {name: cron}, spec: {schedule: '0 0 1 1 *', suspend: true, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}}}}", "cj",
			words{"suspended", "job/cronjob"}, `kubectl patch cronjob/cron`, ""},
		{"a node port that is not published", podTemplate("web", `{name: c, image: nginx}`, "") + "\n---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 31234}]}}", "service/web",
			words{"31234", "only 30000"}, `kubectl port-forward service/web 8080:80 -n causes`, ""},
		{"a finalizer", "{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.com/wait]}}", "cm/held",
			words{"finalizers", "example.com/wait"}, `kubectl patch configmap/held`, ""},
		{"a proxy that is only on this machine", podTemplate("far", `{name: c, image: "nosuch/image:1"}`, ""), "deploy/far",
			words{"proxy 127.0.0.1:9", "out of their reach"}, "hellolab (--name [^ ]+ )?images push nosuch/image:1", ""},
		{"an image that only Docker has", podTemplate("cache", `{name: c, image: "e2e-causes-image:1"}`, ""), "deploy/cache",
			words{"Docker on this machine has the image"}, `hellolab (--name \S+ )?images push e2e-causes-image:1`, ""},
	}
}

// looks is a command that shows something, and mends nothing.
var looks = regexp.MustCompile(`kubectl .*\b(logs|describe|get|port-forward)\b|images push nosuch|lab show`)

// podTemplate is a Deployment of one container; more are other fields of its pods.
func podTemplate(name, container, more string) string {
	if more != "" {
		more = ", " + more
	}
	return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: " + name + "}, spec: {selector: {matchLabels: {app: " + name + "}}, template: {metadata: {labels: {app: " + name +
		"}}, spec: {terminationGracePeriodSeconds: 0, containers: [" + container + "]" + more + "}}}}"
}

// TestCauses makes what goes wrong in readers' labs happen: the cause is named, and what is printed mends it when it is typed.
func TestCauses(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-causes", nil)
	l.hasAProxy()
	l.must("up")
	t.Run("why", func(t *testing.T) { l.in(t).tellsWhyOf(whyTroubles()) })
	l.tellsCauses(troubles())
	t.Run("a step that waits", func(t *testing.T) { l.in(t).tellsWhileItWaits() })
}

// tellsCauses makes troubles in the course's steps.
func (l *lab) tellsCauses(all []trouble) {
	installed := ""
	for _, trouble := range all {
		l.Run(trouble.name, func(t *testing.T) {
			l := l.in(t)
			if installed != trouble.step {
				l.must("lab", trouble.step)
				l.savesFiles(trouble.step)
			}
			installed = "" // until it is put right
			trouble.happens(l)
			first := ""
			if trouble.next != "" {
				first = l.told(trouble.step, trouble.said, trouble.next)
				l.enters(first, trouble.sed)
			}
			l.mends(trouble.step, trouble.sed, first)
			if trouble.undo != nil {
				trouble.undo(l)
			}
			installed = trouble.step
		})
	}
}

// tellsWhileItWaits holds that a step which cannot end says why long before its time is over.
func (l *lab) tellsWhileItWaits() {
	l.apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: rq-demo}, spec: {hard: {pods: 100, requests.cpu: 2}}}")
	l.fails(1, []string{"lab", "deployment/scale", "--set", "labs.timeout=30s"},
		words{"still waiting: .*failed quota: rq-demo", "kubectl .*delete resourcequota/rq-demo", "after 30s"})
	l.kubectl("", "delete", "resourcequota", "rq-demo")
	l.must("lab", "deployment/scale")
}

// hasAProxy has docker's configuration name what readers behind a firewall have: a proxy on this machine, which the nodes cannot reach. The
// docker command gives it to them all the same.
func (l *lab) hasAProxy() {
	l.env = append(l.env, dockerConfig(`{"proxies": {"default": {"httpProxy": "http://127.0.0.1:9", "httpsProxy": "http://127.0.0.1:9"}}}`)(l)...)
}

// mends types what the check of a step says, but for what has been typed, until it passes.
func (l *lab) mends(step, sed string, typed ...string) {
	l.Helper()
	quiet := l.in(l.T)
	quiet.silent = true
	var said checked
	defer func() {
		if l.Failed() {
			l.Logf("typed: %q; lab check %s says %+v", typed, step, said)
		}
	}()
	eventually(l, "the check passes", func() bool {
		said = quiet.checkStep(step)
		for _, row := range said.Rows {
			if !row.Met && !looks.MatchString(row.Next) && !slices.Contains(typed, row.Next) {
				typed = append(typed, row.Next)
				l.enters(row.Next, sed)
				break
			}
		}
		return said.Passed
	})
}

// enters types a command into the shell.
func (l *lab) enters(command, sed string) {
	l.Helper()
	l.Log(command + "\n" + l.shell(command, "KUBE_EDITOR=sed -i '"+sed+"'"))
}

// savesFiles saves the files of a step and of those before it, as the guides say.
func (l *lab) savesFiles(step string) {
	l.Helper()
	chapter, _, _ := strings.Cut(step, "/")
	var shown []struct {
		ID    string
		Files []struct{ Name, Content string }
	}
	l.check(json.Unmarshal([]byte(l.must("lab", "show", chapter, "-o", "json").stdout), &shown))
	for _, each := range shown {
		for _, file := range each.Files {
			l.check(os.WriteFile(filepath.Join(l.folder, filepath.Base(file.Name)), []byte(file.Content), 0o600))
		}
		if each.ID == step {
			return
		}
	}
}

// rolledOut waits until the course's Deployment has its pods.
func (l *lab) rolledOut() { l.kubectl("", "rollout", "status", "deployment", "hellok8s-deployment") }

// tellsWhyOf makes troubles in a namespace of their own.
func (l *lab) tellsWhyOf(all []whyTrouble) {
	docker(l, "tag", "nginx", "e2e-causes-image:1") // which goes on, once it can be pulled
	defer func() { docker(l, "rmi", "e2e-causes-image:1") }()
	for _, trouble := range all {
		l.Run(trouble.name, func(t *testing.T) {
			l.in(t).tellsWhy(trouble.manifest, trouble.asks, trouble.said, trouble.next, trouble.sed)
		})
	}
}

// tellsWhy makes a trouble in a namespace of its own. `hellolab why` tells its cause and ends with status 3, and with 0 once what it
// says has been typed.
func (l *lab) tellsWhy(manifest, asks string, said words, next, sed string) {
	l.kubectl("", "create", "namespace", "causes")
	defer func() {
		l.command("kubectl", "patch", "configmap", "held", "-n", "causes", "--type=merge", "-p", "metadata: {finalizers: null}").Run() // so that it goes
		l.kubectl("", "delete", "namespace", "causes", "--timeout=2m")
	}()
	l.kubectl(manifest, "apply", "-n", "causes", "-f", "-")
	if strings.Contains(manifest, "finalizers") {
		l.kubectl("", "delete", "configmap", "held", "-n", "causes", "--wait=false")
	}
	quiet := l.in(l.T)
	quiet.silent = true
	var told, command string
	why := func(args ...string) result {
		return quiet.run(append([]string{"why", "-n", "causes", "-o", "json"}, args...)...)
	}
	eventually(l, "the cause is named", func() bool {
		done := why(asks)
		var found struct{ Findings []struct{ Why, Next string } }
		l.check(json.Unmarshal([]byte(done.stdout), &found))
		command = ""
		for _, finding := range found.Findings {
			if regexp.MustCompile(next).MatchString(finding.Next) {
				command = finding.Next
			}
		}
		if changed := done.stdout != told; changed {
			told = done.stdout
			l.Log(told)
		}
		return done.status == 3 && command != "" && said.missingIn(told) == ""
	})
	if why().status != 3 {
		l.Error("without an argument it finds nothing")
	}
	if looks.MatchString(command) {
		return
	}
	l.enters(command, sed)
	eventually(l, "nothing is wrong", func() bool { done := why(asks); return done.status == 0 || strings.Contains(done.stderr, "no cm held") })
}
