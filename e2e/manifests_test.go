//go:build e2e

package e2e

import "fmt"

// The course's YAML as readers write it, without a registry in front of any image. It is not what hellolab embeds.

const (
	rolling = `
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 1`
	livenessProbe  = "livenessProbe: {httpGet: {path: /healthz, port: 3000}, initialDelaySeconds: 3, periodSeconds: 3}"
	readinessProbe = "readinessProbe: {httpGet: {path: /healthz, port: 3000}, initialDelaySeconds: 1, successThreshold: 5}"

	countdown = "for i in 9 8 7 6 5 4 3 2 1; do echo $i; done"

	cronJobYAML = `
apiVersion: batch/v1
kind: CronJob
metadata:
  name: hello-cronjob
spec:
  schedule: "*/1 * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers:
          - name: echo
            image: busybox
            command: ["/bin/sh"]
            args: ["-c", "` + countdown + `"]
`
	ingressYAML = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: hello-ingress
  annotations:
    nginx.ingress.kubernetes.io/ssl-redirect: "false"
spec:
  rules:
    - http:
        paths:
          - path: /hello
            pathType: Prefix
            backend:
              service:
                name: service-hellok8s-clusterip
                port:
                  number: 3000
          - path: /
            pathType: Prefix
            backend:
              service:
                name: service-nginx-clusterip
                port:
                  number: 4000
`
)

func podYAML(name, container, image, labels string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {%s}
spec:
  containers:
  - image: %s
    name: %s
`, name, labels, image, container)
}

// envPodYAML is a pod with a variable from a ConfigMap or a Secret.
func envPodYAML(tag, variable, from, source string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: hellok8s-pod
spec:
  containers:
  - image: guangzhengli/hellok8s:%s
    name: hellok8s-container
    env:
    - name: %s
      valueFrom:
        %s:
          name: %s
          key: %s
`, tag, variable, from, source, variable)
}

// deploymentYAML is the course's Deployment; probe is a line of its container.
func deploymentYAML(replicas int, tag, strategy, probe string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hellok8s-deployment
spec:
  replicas: %d%s
  selector:
    matchLabels:
      app: hellok8s
  template:
    metadata:
      labels:
        app: hellok8s
    spec:
      containers:
      - image: guangzhengli/hellok8s:%s
        name: hellok8s-container
        %s
`, replicas, strategy, tag, probe)
}

// nginxYAML is a Deployment of nginx, whose pods have the label app.
func nginxYAML(name, app string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  labels:
    by: hand
spec:
  replicas: %[3]d
  selector:
    matchLabels:
      app: %[2]s
  template:
    metadata:
      labels:
        app: %[2]s
    spec:
      containers:
      - image: nginx:latest
        name: nginx-container
        ports:
        - containerPort: 80
`, name, app, replicas)
}

// serviceYAML is a Service in front of the pods with the label app; each port is the inside of {}.
func serviceYAML(name, kind, app string, ports ...string) string {
	yaml := fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata:
  name: %s
spec:
  type: %s
  selector:
    app: %s
  ports:
`, name, kind, app)
	for _, port := range ports {
		yaml += "  - {" + port + "}\n"
	}
	return yaml
}

func jobYAML(name, script string) string {
	return fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata:
  name: %s
spec:
  completions: 5
  parallelism: 3
  template:
    spec:
      containers:
      - name: echo
        image: busybox
        command: ["/bin/sh", "-c", %q]
      restartPolicy: OnFailure
`, name, script)
}
