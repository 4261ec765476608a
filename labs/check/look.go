package check

import (
	"strings"

	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// look is the command that shows what a condition is about: the first hint. An object's row has it already.
func (c *Checker) look(condition course.Condition) messages.Text {
	switch condition := condition.(type) {
	case *course.Absent:
		return messages.Kubectl(condition.Namespace, "get", strings.ToLower(condition.Kind)).Text()
	case *course.HTTP:
		return c.lookHTTP(condition)
	case *course.Pods:
		return lookPods(condition.Namespace, condition.Labels)
	case *course.Endpoints:
		return messages.Kubectl(condition.Namespace, "get", "endpointslices", "-l", "kubernetes.io/service-name="+condition.Service).Text()
	case *course.History:
		return messages.Kubectl(condition.Namespace, "rollout", "history", "deployment/"+condition.Deployment).Text()
	case *course.Replaced:
		return lookPods(condition.Namespace, "")
	case *course.Logs:
		return messages.Kubectl(condition.Namespace, "logs", "job/"+condition.Job).Text()
	case *course.Image, *course.Pushed:
		return messages.Hellolab("images", "list").Text()
	case *course.Runs:
		return messages.Kubectl(condition.Namespace, "get", "cronjobs,jobs").Text()
	case *course.ReleaseState:
		return messages.Helm(condition.Namespace, "list").Text()
	case *course.LoadBalancer:
		return messages.Kubectl(condition.Namespace, "get", "service", condition.Service).Text()
	}
	return messages.Text{} // a chart's place is told by the cause
}

// lookHTTP shows an answer, where it can be had from this machine, or what there is to answer.
func (c *Checker) lookHTTP(e *course.HTTP) messages.Text {
	switch {
	case e.Ingress != "":
		return messages.Curl("-i", c.Place.Ingress+e.Ingress).Text()
	case e.NodePort != "":
		return messages.Curl("-i", c.Place.NodePort+"/"+strings.TrimPrefix(e.Path, "/")).Text()
	case e.Service != "":
		return messages.Kubectl(e.Namespace, "describe", "service", e.Service).Text()
	case e.Pod != "":
		return messages.Kubectl(e.Namespace, "describe", "pod", e.Pod).Text()
	}
	return lookPods(e.Namespace, e.Pods)
}

// lookPods lists those with labels, or all.
func lookPods(namespace, labels string) messages.Text {
	if labels == "" {
		return messages.Kubectl(namespace, "get", "pods").Text()
	}
	return messages.Kubectl(namespace, "get", "pods", "-l", labels).Text()
}
