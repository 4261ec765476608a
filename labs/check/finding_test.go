package check

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
)

// toldOf is what a user sees of findings.
func toldOf(findings []Finding) string {
	var lines []string
	for _, f := range findings {
		var objects, way []string
		for _, r := range f.Objects {
			objects = append(objects, r.String())
		}
		for _, r := range f.Way {
			way = append(way, r.String())
		}
		line := strings.Join(objects, ", ") + ": " + f.Why.String() + "; do: " + f.Next.String()
		if len(way) > 1 {
			line += "; way: " + strings.Join(way, " > ")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// engine is a Docker Engine with images.
type engine []string

func (e engine) HasImage(_ context.Context, image string) (bool, error) {
	for _, there := range e {
		if there == image {
			return true, nil
		}
	}
	return false, nil
}

func (e engine) Proxy(context.Context, string) (string, error) { return "http://127.0.0.1:7890", nil }

// refusedSet is a Deployment whose ReplicaSet is refused its pods.
func refusedSet(message string) string {
	whole := deploymentOf("us/web:v2", "{}")
	whole = whole[:strings.LastIndex(whole, "---\n")]
	at := strings.LastIndex(whole, "status: {observedGeneration: 1}")
	return whole[:at] + "status: {observedGeneration: 1, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: '" + message + "'}]}\n"
}

const node = "\n---\napiVersion: v1\nkind: Node\nmetadata: {name: node}\nspec: "

// TestExplain checks the causes that are found for objects, and that each command that is suggested puts an end to it.
func TestExplain(t *testing.T) {
	t.Parallel()
	web := func(status string) string { return deploymentOf("us/web:v2", status) }
	unscheduled := "{conditions: [{type: PodScheduled, status: 'False', message: '0/1 nodes are available: no ports'}]}"
	terminated := func(fields string) string {
		return "{containerStatuses: [{name: web, image: 'us/web:v2', state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {" + fields + "}}}]}"
	}
	pulls := func(image, message string) string {
		return strings.ReplaceAll(strings.ReplaceAll(web(waiting("ErrImagePull", message)), "us/web:v9", image), "us/web:v2", image)
	}
	running := web(readyStatus)
	service := func(spec string) string {
		return "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: " + spec + "\n"
	}
	for _, test := range []struct{ name, cluster, asked, want string }{
		{"a quota", refusedSet(`pods "web-x" is forbidden: failed quota: small: must specify cpu`) + "---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {name: small}\n", "deployment/web",
			"deployment/web: replicaset/web-rs: failed quota: small: must specify cpu; do: kubectl delete resourcequota/small; way: deployment/web > replicaset/web-rs > resourcequota/small"},
		{"a quota that has gone", refusedSet(`pods "web-x" is forbidden: failed quota: small: must specify cpu`), "deployment/web",
			"deployment/web: deployment/web was refused its pods (failed quota: small: must specify cpu), and tries again after a while; do: kubectl rollout restart deployment/web; way: deployment/web > replicaset/web-rs"},
		{"limits", refusedSet(`pods "web-x" is forbidden: maximum cpu usage per Container is 1, but limit is 2`) + "---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: most}\n", "replicasets",
			"replicaset/web-rs: replicaset/web-rs: maximum cpu usage per Container is 1, but limit is 2; do: kubectl delete limitrange/most; way: replicaset/web-rs > limitrange/most"},
		{"pod security", refusedSet(`pods "web-x" is forbidden: violates PodSecurity "restricted:latest": root`) +
			"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {pod-security.kubernetes.io/enforce: restricted}}\n", "deployment/web",
			"deployment/web: replicaset/web-rs: violates PodSecurity \"restricted:latest\": root; do: kubectl label namespace default pod-security.kubernetes.io/enforce-; way: deployment/web > replicaset/web-rs > namespace/default"},
		{"a webhook that does not answer", refusedSet(`Internal error occurred: failed calling webhook "a.b.c": no service`) +
			"---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: hook}\nwebhooks: [{name: a.b.c}]\n", "deployment/web",
			"deployment/web: replicaset/web-rs: failed calling webhook \"a.b.c\": no service; do: kubectl delete validatingwebhookconfiguration/hook; way: deployment/web > replicaset/web-rs > validatingwebhookconfiguration/hook"},
		{"an account", refusedSet(`pods "web-x" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found`), "deployment/web",
			"deployment/web: replicaset/web-rs: error looking up service account default/robot: serviceaccount \"robot\" not found; do: kubectl create serviceaccount robot; way: deployment/web > replicaset/web-rs"},
		{"paused", strings.Replace(web("{}"), "replicas: 1\n", "replicas: 1\n  paused: true\n", 1), "deployment/web",
			"deployment/web: deployment/web is paused, so it makes no new pods; do: kubectl rollout resume deployment/web"},
		{"a change that nobody has seen", strings.Replace(web("{}"), "metadata: {name: web, uid: d}", "metadata: {name: web, uid: d, generation: 2}", 1), "deployment/web",
			"deployment/web: deployment/web was changed a moment ago, and its controller has not processed that yet; do: kubectl describe deployment web"},
		{"nothing but too few pods", web("{}"), "deployment/web", "deployment/web: 0 of 1 pods are Ready; do: kubectl describe deployment web"},

		{"a cordoned node", web(unscheduled) + node + "{unschedulable: true}\n", "pod/web-1",
			"pod/web-1: no node takes the pod web-1: the node node is cordoned; do: kubectl uncordon node; way: pod/web-1 > node/node"},
		{"a taint", web(unscheduled) + node + "{taints: [{key: a, value: b, effect: NoSchedule}]}\n", "pod/web-1",
			"pod/web-1: no node takes the pod web-1: the node node has the taint a=b:NoSchedule; do: kubectl taint nodes node a=b:NoSchedule-; way: pod/web-1 > node/node"},
		{"a taint that Kubernetes has set", web(unscheduled) + node + "{taints: [{key: node.kubernetes.io/disk-pressure, effect: NoSchedule}]}\n", "pod/web-1",
			"pod/web-1: no node takes the pod web-1: the node node is in trouble: node.kubernetes.io/disk-pressure:NoSchedule; do: kubectl describe node node; way: pod/web-1 > node/node"},
		{"a port of the node", strings.Replace(web(unscheduled), `{name: web, image: "us/web:v2"}]}`+"\nstatus", `{name: web, ports: [{hostPort: 80}]}]}`+"\nstatus", 1) +
			"\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: first, namespace: dev, uid: q}\nspec: {nodeName: node, containers: [{name: c, ports: [{hostPort: 80}]}]}\n", "pod/web-1",
			"pod/web-1: no node takes the pod web-1: pod/first -n dev has the node's port 80/TCP (hostPort); do: kubectl edit deployment/web; way: pod/web-1 > pod/first -n dev"},
		{"no memory", strings.ReplaceAll(web(terminated("exitCode: 137, reason: OOMKilled")), `image: "us/web:v2"}`, `image: "us/web:v2", resources: {limits: {memory: 16Mi}}}`), "deployment/web",
			"deployment/web: the container web of pod web-1 was killed because it used more memory than its limit, 16Mi; do: kubectl set resources deployment/web -c web --limits=memory=32Mi; way: deployment/web > replicaset/web-rs > pod/web-1"},
		{"a command that there is not", web(terminated(`exitCode: 128, reason: StartError, message: 'failed: exec: "x": executable file not found'`)), "deployment/web",
			"deployment/web: the container web of pod web-1 cannot start: exec: \"x\": executable file not found; do: kubectl edit deployment/web; way: deployment/web > replicaset/web-rs > pod/web-1"},
		{"a program for another processor", web(terminated(`exitCode: 1, message: 'exec /app: exec format error'`)), "pod/web-1",
			"pod/web-1: the container web of pod web-1 cannot start: its program is for another kind of processor than the node's (exec /app: exec format error); do: hellolab images list"},
		{"a program that ends", web(terminated(`exitCode: 0`)), "pod/web-1",
			"pod/web-1: the container web of pod web-1 has nothing more to do and ends, and is started again and again; do: kubectl edit deployment/web"},
		{"an init container that goes on", strings.Replace(web(waiting("PodInitializing", "")), "{containerStatuses", "{initContainerStatuses: [{name: db, state: {running: {}}}], containerStatuses", 1), "pod/web-1",
			"pod/web-1: the pod web-1 waits for its init container db, which has not ended; do: kubectl logs web-1"},
		{"a Secret with keys", strings.Replace(web(waiting("CreateContainerConfigError", `secret "s" not found`)), `image: "us/web:v2"}]}`+"\nstatus", `env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]}`+"\nstatus", 1), "pod/web-1",
			"pod/web-1: pod web-1 cannot start: there is no secret s in its namespace; do: kubectl create secret generic s --from-literal=k=VALUE"},
		{"a Secret in another namespace", web(waiting("CreateContainerConfigError", `secret "s" not found`)) + "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: dev}\n", "pod/web-1",
			"pod/web-1: pod web-1 cannot start: there is no secret s in its namespace; there is one of that name in the namespace dev; do: kubectl create secret generic s"},

		{"an image that only the engine has", pulls("mine:1", ""), "pod/web-1",
			"pod/web-1: pod web-1 cannot pull mine:1: Docker on this machine has the image, but the registry localhost:5001, where the nodes look, has not; " +
				"do: hellolab images push mine:1"},
		{"one of another registry's that only the engine has", pulls("quay.io/a/b:1", ""), "pod/web-1",
			"pod/web-1: pod web-1 cannot pull quay.io/a/b:1: Docker on this machine has the image, but the registry localhost:5001, where the nodes look, has not; " +
				"do: hellolab images push quay.io/a/b:1"},
		{"a proxy that the node cannot reach", pulls("far:1", "failed to do request: proxyconnect tcp: dial tcp 127.0.0.1:7890: connect: connection refused"), "pod/web-1",
			"pod/web-1: pod web-1 cannot pull far:1: the nodes use the proxy 127.0.0.1:7890, where nothing answers (proxyconnect tcp: dial tcp 127.0.0.1:7890: connect: connection refused); " +
				"do: hellolab images push far:1"},
		{"a proxy of which kubelet says nothing", pulls("far:1", "not found"), "pod/web-1",
			"pod/web-1: pod web-1 cannot pull far:1: the registry localhost:5001 has no such image, and the nodes ask others through the proxy 127.0.0.1:7890, which is this machine's own and out of their reach; " +
				"do: hellolab images push far:1"},
		{"a mistyped image", pulls("ngnix", ""), "pod/web-1",
			"pod/web-1: pod web-1 cannot pull ngnix: the registry localhost:5001 has no such image; there is nginx; do: kubectl set image deployment/web web=nginx"},

		{"a claim that was deleted and made anew", "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nstatus: {phase: Pending}\n---\n" +
			"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: disk}\nspec: {claimRef: {namespace: default, name: data}}\nstatus: {phase: Released}\n", "persistentvolumeclaim/data",
			"persistentvolumeclaim/data: the volume disk still belongs to an earlier claim data, which was deleted; do: kubectl patch persistentvolume disk --type=json -p '[{op: remove, path: /spec/claimRef}]'; way: persistentvolumeclaim/data > persistentvolume/disk"},
		{"a claim that waits for its pod", "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, uid: c}\nstatus: {phase: Pending}\n---\n" +
			"apiVersion: v1\nkind: Event\nmetadata: {name: e}\nreason: WaitForFirstConsumer\ninvolvedObject: {uid: c}\n", "persistentvolumeclaim/data", ""},
		{"a pod whose claim is not there", strings.Replace(web("{phase: Pending}"), "spec: {containers: [{name: web, image: \"us/web:v2\"}]}\nstatus", "spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}\nstatus", 1), "pod/web-1",
			"pod/web-1: pod web-1 waits for the claim data, which is not there; do: kubectl edit deployment/web"},

		{"a name of a port", running + service("{selector: {app: web}, ports: [{port: 80, targetPort: http}]}"), "services",
			"service/web: service web sends requests to the port named http of its pods (targetPort), and they have no port of that name: -; do: kubectl edit service web"},
		{"a node port that is not published", running + service("{type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 3000, nodePort: 31234}]}"), "service/web",
			"service/web: service web has the node port 31234, and of the nodes' ports this machine has only 30000; do: kubectl port-forward service/web 8080:80"},
		{"no tunnel", running + service("{type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 3000}]}"), "service/web",
			"service/web: addresses come from hellolab tunnel, which has to run in another terminal; do: hellolab tunnel"},
		{"a name for somewhere else", service("{type: ExternalName, externalName: a.com}"), "service/web", ""},
		{"a policy", running + service("{selector: {app: web}, ports: [{port: 80, targetPort: 3000}]}") +
			"\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec: {podSelector: {}}\n", "service/web",
			"service/web: the NetworkPolicy deny lets no requests in to the pod web-1; do: kubectl delete networkpolicy/deny; way: service/web > networkpolicy/deny"},
		{"two policies, one of which lets requests in", running + service("{selector: {app: web}, ports: [{port: 80, targetPort: 3000}]}") +
			"\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec: {podSelector: {}}\n" +
			"\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: let}\nspec: {podSelector: {matchLabels: {app: web}}, ingress: [{}]}\n", "service/web", ""},
		{"a Service whose Deployment asks for no pods", strings.Replace(running[:strings.LastIndex(running, "---\napiVersion: v1\nkind: Pod")], "replicas: 1\n", "replicas: 0\n", 1) + service("{selector: {app: web}, ports: [{port: 80}]}"), "service/web",
			"service/web: deployment/web asks for 0 pods; do: kubectl scale deployment/web --replicas=1; way: service/web > deployment/web"},
		{"another class", "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\nspec: {controller: k8s.io/ingress-nginx}\n---\n" +
			"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {ingressClassName: traefik}\n", "ingress/web",
			"ingress/web: ingress web has the class traefik, and the lab's controller is for nginx; do: kubectl patch ingress web -p 'spec: {ingressClassName: nginx}'"},
		{"a finalizer", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, deletionTimestamp: '2026-01-01T12:00:00Z', finalizers: [a.com/wait]}\n", "configmap/held",
			"configmap/held: configmap/held is being deleted, and stays until its finalizers are gone: a.com/wait; do: kubectl patch configmap/held --type=merge -p 'metadata: {finalizers: null}'"},
		{"what a rollout takes away", strings.NewReplacer("{name: web, uid: d}", "{name: web, uid: d, annotations: {deployment.kubernetes.io/revision: '2'}}",
			"{name: web-rs, ", "{name: web-rs, annotations: {deployment.kubernetes.io/revision: '1'}, ").Replace(web(waiting("ErrImagePull", "no route"))), "deployment/web",
			"deployment/web: 0 of 1 pods are Ready; do: kubectl describe deployment web"},
		{"what a rollout brings", strings.NewReplacer("{name: web, uid: d}", "{name: web, uid: d, annotations: {deployment.kubernetes.io/revision: '2'}}",
			"{name: web-rs, ", "{name: web-rs, annotations: {deployment.kubernetes.io/revision: '2'}, ").Replace(pulls("far:1", "no route")), "deployment/web",
			"deployment/web: pod web-1 cannot pull far:1: the registry localhost:5001 has no such image, and the nodes ask others through the proxy 127.0.0.1:7890, which is this machine's own and out of their reach; do: hellolab images push far:1; way: deployment/web > replicaset/web-rs > pod/web-1"},
		{"a program that has just ended", strings.Replace(web("{containerStatuses: [{name: web, state: {terminated: {exitCode: 0}}}]}"),
			"spec: {containers: [{name: web, image: \"us/web:v2\"}]}\nstatus", "spec: {restartPolicy: Always, containers: [{name: web, image: \"us/web:v2\"}]}\nstatus", 1), "pod/web-1",
			"pod/web-1: the container web of pod web-1 has nothing more to do and ends, and is started again and again; do: kubectl edit deployment/web"},
		{"a node that was restarted", web("{conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: web, ready: true, state: {running: {}}, " +
			"lastState: {terminated: {exitCode: 255, reason: Unknown, finishedAt: '" + time.Now().UTC().Format(time.RFC3339) + "'}}}]}"), "pod/web-1", ""},
		{"a Secret that has come since", web(waiting("CreateContainerConfigError", "secret \"s\" not found")) + "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n", "pod/web-1",
			"pod/web-1: the pod web-1 is just being made; do: kubectl get pods --watch"},
		{"a suspended CronJob", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: cron}\nspec: {suspend: true}\n", "cronjobs",
			"cronjob/cron: it is suspended; do: kubectl patch cronjob/cron --type=merge -p 'spec: {suspend: false}'"},
		{"nothing", running, "deployment/web", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := onCluster(t, test.cluster, map[string]string{"web-1:3000": "hello"})
			c.Engine, c.Course = engine{"mine:1", "quay.io/a/b:1"}, nginxCourse(t)
			objects, err := c.Cluster.Find("default", test.asked)
			if err != nil {
				t.Fatal(err)
			}
			findings, err := c.Explain(t.Context(), objects)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, toldOf(findings), test.want)
		})
	}
}

// nginxCourse is a course with a pod of nginx.
func nginxCourse(t *testing.T) *course.Course {
	t.Helper()
	loaded, err := course.Load(fstest.MapFS{
		"course.yaml":        {Data: []byte("namespaces: [default]\nchapters: [one]\n")},
		"one/lab.yaml":       {Data: []byte("steps: [{name: first, expect: [{image: nginx}]}]\n")},
		"one/first/pod.yaml": {Data: []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\nspec: {containers: [{name: c, image: nginx}]}\n")},
	}, "", "us")
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// TestExplainNamespace checks that causes are told once, with all that suffers from them, and in an order.
func TestExplainNamespace(t *testing.T) {
	t.Parallel()
	broken := deploymentOf("us/web:v2", waiting("CreateContainerConfigError", `secret "s" not found`))
	c, _ := onCluster(t, broken+"\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n---\n"+
		"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {suspend: true}\n"+node+"{unschedulable: true}\n", nil)
	findings, err := c.ExplainNamespace(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, toldOf(findings), "node/node: the node node is cordoned; do: kubectl uncordon node\n"+
		"deployment/web, service/web: pod web-1 cannot start: there is no secret s in its namespace; do: kubectl create secret generic s; way: deployment/web > replicaset/web-rs > pod/web-1\n"+
		"cronjob/a: it is suspended; do: kubectl patch cronjob/a --type=merge -p 'spec: {suspend: false}'")
	none, err := c.ExplainNamespace(t.Context(), "dev")
	if err != nil || len(none) != 1 {
		t.Errorf("in another namespace there are %s, %v, want the node alone", toldOf(none), err)
	}
}

// TestSettle checks that a check waits for what was changed a moment ago, and not for what was changed before.
func TestSettle(t *testing.T) {
	t.Parallel()
	changed := func(manager string, ago time.Duration) string {
		at := time.Now().Add(-ago).UTC().Format(time.RFC3339)
		return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, managedFields: [{manager: " + manager + ", operation: Update, time: '" + at + "'}]}\n"
	}
	fixed := func(cluster string) func() string { return func() string { return cluster } }
	service := "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"
	slice := "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\nendpoints: [{addresses: [10.0.0.1]}]\n"
	for _, test := range []struct {
		name    string
		cluster func() string
		waits   time.Duration
	}{
		{"an Ingress of the reader's", func() string { return changed("kubectl-edit", 0) }, routedWithin},
		{"an Ingress that was changed before", func() string { return changed("kubectl-edit", 10*time.Second) }, 0},
		{"an Ingress of hellolab's", func() string { return changed(kube.Owner, 0) }, 0},
		{"a Deployment that nobody has seen", fixed(strings.Replace(deploymentOf("us/web:v2", "{}"), "metadata: {name: web, uid: d}", "metadata: {name: web, uid: d, generation: 2}", 1)), routedWithin},
		{"endpoints of pods that have gone", fixed(service + slice), routedWithin},
		{"a Service without pods", fixed(service), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := onCluster(t, test.cluster(), nil)
				began := time.Now()
				if err := c.settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != test.waits {
					t.Errorf("it took %s, want %s", took, test.waits)
				}
			})
		})
	}
}

// TestMissing checks what is said of an object that is not there, and that the API server would not take.
func TestMissing(t *testing.T) {
	t.Parallel()
	expectation := "object: {apiVersion: v1, kind: Service, metadata: {name: web}}"
	not := "✗ service/web: it is not there; want it is there; "
	elsewhere := "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{port: 80, nodePort: 30000}]}\n"
	for _, test := range []struct{ name, cluster, refusal, want string }{
		{"where kubectl works", elsewhere, "", not + "why: it is in the namespace shop, where your kubectl works (kubectl config set-context kind-lab --namespace=default changes that); do: kubectl apply -f web.yaml"},
		{"a node port that is taken", elsewhere, `Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated`,
			not + "why: the node port 30000 belongs to service/web -n shop already; do: kubectl delete service/web -n shop"},
		{"a refusal", "", "Service \"web\" is invalid: no idea", not + "why: the API server would refuse it: Service \"web\" is invalid: no idea; do: " + guide},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, server := onCluster(t, test.cluster, nil)
			c.Namespace, c.Place.Context = "shop", "kind-lab"
			if test.refusal != "" {
				server.Fail("POST", "/services", 1, apierrors.NewBadRequest(test.refusal))
			}
			found, err := c.Row(t.Context(), lessons(t, expectation), 0)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, shown(found), test.want)
		})
	}
}

// TestRowCannotBeLookedAt checks that a kind that the API server does not know spoils no other row.
func TestRowCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	c, _ := onCluster(t, "", nil)
	found, err := c.Row(t.Context(), lessons(t, "object: {apiVersion: example.com/v1, kind: Gadget, metadata: {name: a}}"), 0)
	if err != nil || found.Met || !strings.Contains(found.Why.String(), "Gadget") {
		t.Errorf("it is %s, %v", shown(found), err)
	}
}

// TestDistance checks how far words are apart.
func TestDistance(t *testing.T) {
	t.Parallel()
	for words, want := range map[[2]string]int{{"nginx", "ngnix"}: 1, {"nginx", "nginx"}: 0, {"nginx", "redis"}: 5, {"v1", "v12"}: 1, {"", "abc"}: 3} {
		if got := distance(words[0], words[1]); got != want {
			t.Errorf("%q are %d apart, want %d", fmt.Sprint(words), got, want)
		}
	}
}
