package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
)

// object is an object of the cluster as the page draws it.
type object struct {
	// ID is Kind/namespace/name; Owner and To are such IDs.
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Owner     string `json:"owner,omitempty"`
	// To is what it leads to: an Ingress to Services, a Service to the pods that get its traffic, a pod to what it uses.
	To []string `json:"to,omitempty"`
	// State is ready, waiting, failing, done, going or idle.
	State string `json:"state"`
	// Text is how it is, in Kubernetes' own words, as kubectl shows it.
	Text string `json:"text,omitempty"`
	// Facts are few and short, each a key and a value.
	Facts [][2]string `json:"facts,omitempty"`
	// Wanted and Ready are how many pods a workload is to have, and has.
	Wanted *int32 `json:"wanted,omitempty"`
	Ready  *int32 `json:"ready,omitempty"`
	// Course says that hellolab made it.
	Course bool `json:"course,omitempty"`

	created time.Time
	// release is the ID of the Helm release that it belongs to, or "".
	release string
	// class is the name of an Ingress' class, or "".
	class string
	// template is what a ReplicaSet makes pods of, and cause what its maker says of the change, or "".
	template *corev1.PodTemplateSpec
	cause    string
}

// The states of objects.
const (
	ready   = "ready"
	waiting = "waiting"
	failing = "failing"
	done    = "done"
	going   = "going"
	idle    = "idle"
)

func id(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

// drawn reports whether the page shows what is in a namespace: what makes the lab work is not the reader's.
func drawn(namespace string) bool { return !course.Reserved(namespace) }

// draw returns an object as the page shows it, or nil for one that it does not show.
func draw(found metav1.Object) *object {
	if !drawn(found.GetNamespace()) {
		return nil
	}
	o := &object{Namespace: found.GetNamespace(), Name: found.GetName(), State: ready, created: found.GetCreationTimestamp().Time,
		Course: found.GetLabels()[kube.ChapterLabel] != ""}
	if owner := metav1.GetControllerOf(found); owner != nil {
		o.Owner = id(owner.Kind, o.Namespace, owner.Name)
	}
	if release := found.GetAnnotations()["meta.helm.sh/release-name"]; release != "" {
		o.release = id("Release", cmp.Or(found.GetAnnotations()["meta.helm.sh/release-namespace"], o.Namespace), release)
	}
	if !o.fill(found) {
		return nil
	}
	o.ID = id(o.Kind, o.Namespace, o.Name)
	if found.GetDeletionTimestamp() != nil {
		o.State, o.Text = going, "Terminating"
	}
	return o
}

// fill adds what differs by kind. It reports whether the page shows such an object.
func (o *object) fill(found metav1.Object) bool {
	switch found := found.(type) {
	case *corev1.Pod:
		o.pod(found)
	case *corev1.Service:
		o.service(found)
	case *networkingv1.Ingress:
		o.ingress(found)
	case *appsv1.Deployment:
		o.workload("Deployment", found.Spec.Replicas, found.Status.ReadyReplicas, found.Spec.Template)
		o.revision(found.Annotations)
		if current := found.Status.UpdatedReplicas; o.State == ready && (current < *o.Wanted || found.Status.Replicas > *o.Wanted) {
			o.State = waiting
		}
		for _, condition := range found.Status.Conditions {
			if condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse {
				o.State, o.Text = failing, condition.Reason
			}
		}
	case *appsv1.ReplicaSet:
		o.workload("ReplicaSet", found.Spec.Replicas, found.Status.ReadyReplicas, found.Spec.Template)
		o.revision(found.Annotations)
		o.template, o.cause = &found.Spec.Template, found.Annotations["kubernetes.io/change-cause"]
	case *appsv1.StatefulSet:
		o.workload("StatefulSet", found.Spec.Replicas, found.Status.ReadyReplicas, found.Spec.Template)
	case *appsv1.DaemonSet:
		o.workload("DaemonSet", &found.Status.DesiredNumberScheduled, found.Status.NumberReady, found.Spec.Template)
	case *batchv1.Job:
		o.job(found)
	case *batchv1.CronJob:
		o.cronJob(found, time.Now())
	case *corev1.ConfigMap:
		if o.Kind = "ConfigMap"; o.Name == "kube-root-ca.crt" { // every namespace has it
			return false
		}
		o.keys(slices.Concat(slices.Collect(maps.Keys(found.Data)), slices.Collect(maps.Keys(found.BinaryData))))
	case *corev1.Secret:
		return o.secret(found)
	case *corev1.PersistentVolumeClaim:
		o.Kind, o.Text = "PersistentVolumeClaim", string(found.Status.Phase)
		o.Facts = [][2]string{{"size", found.Spec.Resources.Requests.Storage().String()}}
		if found.Status.Phase != corev1.ClaimBound {
			o.State = waiting
		}
	case *corev1.ResourceQuota:
		o.Kind = "ResourceQuota"
		for _, name := range slices.Sorted(maps.Keys(found.Status.Hard)) {
			used, hard := found.Status.Used[name], found.Status.Hard[name]
			o.Facts = append(o.Facts, [2]string{string(name), used.String() + " / " + hard.String()})
		}
	case *corev1.Namespace:
		if o.Kind, o.Text = "Namespace", string(found.Status.Phase); !drawn(o.Name) {
			return false
		}
	case *corev1.Node:
		o.Kind, o.State, o.Text = "Node", waiting, "NotReady"
		for _, condition := range found.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				o.State, o.Text = ready, "Ready"
			}
		}
		o.Facts = [][2]string{{"version", found.Status.NodeInfo.KubeletVersion}}
	default:
		return false
	}
	return true
}

// workload is what all that have pods of one template are.
func (o *object) workload(kind string, wanted *int32, has int32, template corev1.PodTemplateSpec) {
	o.Kind, o.Wanted, o.Ready = kind, new(int32(1)), &has
	if wanted != nil {
		*o.Wanted = *wanted
	}
	o.Text = fmt.Sprintf("%d/%d", has, *o.Wanted)
	switch {
	case *o.Wanted == 0 && has == 0:
		o.State = idle
	case has < *o.Wanted:
		o.State = waiting
	}
	if containers := template.Spec.Containers; len(containers) > 0 {
		o.Facts = append(o.Facts, [2]string{"image", shortImage(containers[0].Image)})
	}
}

// revision adds the number of a Deployment's revision.
func (o *object) revision(annotations map[string]string) {
	if number := annotations["deployment.kubernetes.io/revision"]; number != "" {
		o.Facts = append(o.Facts, [2]string{"revision", number})
	}
}

// shortImage is an image without the account and the registry that it comes from.
func shortImage(image string) string {
	name, _, _ := strings.Cut(image, "@")
	return name[strings.LastIndex(name, "/")+1:]
}

func (o *object) keys(keys []string) {
	slices.Sort(keys)
	if len(keys) > 0 {
		o.Facts = append(o.Facts, [2]string{"keys", strings.Join(keys, ", ")})
	}
}

func (o *object) job(found *batchv1.Job) {
	o.workload("Job", found.Spec.Completions, found.Status.Succeeded, found.Spec.Template)
	for _, condition := range found.Status.Conditions {
		switch {
		case condition.Status != corev1.ConditionTrue:
		case condition.Type == batchv1.JobComplete:
			o.State, o.Text = done, "Complete"
		case condition.Type == batchv1.JobFailed:
			o.State, o.Text = failing, condition.Reason
		}
	}
}

// cronJob is one as it is at a time: it changes when it runs, and the next time with it.
func (o *object) cronJob(found *batchv1.CronJob, now time.Time) {
	o.Kind, o.Facts = "CronJob", [][2]string{{"schedule", found.Spec.Schedule}}
	if found.Spec.Suspend != nil && *found.Spec.Suspend {
		o.State, o.Text = idle, "Suspended"
	} else if next := nextRun(found, now); !next.IsZero() {
		o.Facts = append(o.Facts, [2]string{"next", next.UTC().Format(time.RFC3339)})
	}
	if last := found.Status.LastScheduleTime; last != nil {
		o.Facts = append(o.Facts, [2]string{"last", last.UTC().Format(time.RFC3339)})
	}
}

// nextRun is when a CronJob runs next, or zero where it never does. Without a time zone, the schedule is in that of the controller manager, which
// is UTC on kind's nodes; the schedule itself cannot name one, which Kubernetes refuses.
func nextRun(found *batchv1.CronJob, now time.Time) time.Time {
	zone := time.UTC
	if name := found.Spec.TimeZone; name != nil {
		named, err := time.LoadLocation(*name)
		if err != nil {
			return time.Time{}
		}
		zone = named
	}
	if strings.Contains(found.Spec.Schedule, "TZ=") { // which the parser may panic at: https://github.com/robfig/cron/issues/554
		return time.Time{}
	}
	schedule, err := cron.ParseStandard(found.Spec.Schedule)
	if err != nil {
		return time.Time{}
	}
	return schedule.Next(now.In(zone))
}

// hides are the reasons for which a container waits that do not pass by themselves.
func hides(reason string) bool {
	return strings.HasSuffix(reason, "Error") || strings.HasSuffix(reason, "BackOff") || reason == "ErrImagePull" || reason == "InvalidImageName" || reason == "ErrImageNeverPull"
}

func (o *object) pod(found *corev1.Pod) {
	o.Kind, o.State = "Pod", waiting
	has, restarts := 0, int32(0)
	o.Text = cmp.Or(found.Status.Reason, string(found.Status.Phase))
	for _, status := range slices.Concat(found.Status.InitContainerStatuses, found.Status.ContainerStatuses) {
		restarts += status.RestartCount
		if waits := status.State.Waiting; waits != nil && waits.Reason != "" {
			o.Text = waits.Reason
		} else if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
			o.Text, o.State = cmp.Or(ended.Reason, "Error"), failing
		}
	}
	for _, status := range found.Status.ContainerStatuses {
		if status.Ready {
			has++
		}
	}
	switch {
	case found.Status.Phase == corev1.PodSucceeded:
		o.State, o.Text = done, "Completed"
	case found.Status.Phase == corev1.PodFailed, hides(o.Text):
		o.State = failing
	case has == len(found.Spec.Containers) && isReady(found):
		o.State = ready
	}
	if o.State != done {
		o.Text += fmt.Sprintf(" %d/%d", has, len(found.Spec.Containers))
	}
	if len(found.Spec.Containers) > 0 {
		o.Facts = append(o.Facts, [2]string{"image", shortImage(found.Spec.Containers[0].Image)})
	}
	if restarts > 0 {
		o.Facts = append(o.Facts, [2]string{"restarts", strconv.Itoa(int(restarts))})
	}
	if found.Status.PodIP != "" {
		o.Facts = append(o.Facts, [2]string{"ip", found.Status.PodIP})
	}
	o.To = uses(found)
}

func isReady(found *corev1.Pod) bool {
	return slices.ContainsFunc(found.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
}

// uses are the ConfigMaps, Secrets and claims of a pod.
func uses(pod *corev1.Pod) (all []string) {
	add := func(kind, name string) {
		if one := id(kind, pod.Namespace, name); name != "" && name != "kube-root-ca.crt" && !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	for _, volume := range pod.Spec.Volumes {
		switch {
		case volume.ConfigMap != nil:
			add("ConfigMap", volume.ConfigMap.Name)
		case volume.Secret != nil:
			add("Secret", volume.Secret.SecretName)
		case volume.PersistentVolumeClaim != nil:
			add("PersistentVolumeClaim", volume.PersistentVolumeClaim.ClaimName)
		}
	}
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, from := range container.EnvFrom {
			if from.ConfigMapRef != nil {
				add("ConfigMap", from.ConfigMapRef.Name)
			}
			if from.SecretRef != nil {
				add("Secret", from.SecretRef.Name)
			}
		}
		for _, variable := range container.Env {
			if from := variable.ValueFrom; from != nil && from.ConfigMapKeyRef != nil {
				add("ConfigMap", from.ConfigMapKeyRef.Name)
			} else if from != nil && from.SecretKeyRef != nil {
				add("Secret", from.SecretKeyRef.Name)
			}
		}
	}
	return all
}

func (o *object) service(found *corev1.Service) {
	o.Kind, o.Text = "Service", string(found.Spec.Type)
	for _, port := range found.Spec.Ports {
		text := strconv.Itoa(int(port.Port))
		if target := port.TargetPort.String(); target != "0" && target != text {
			text += " → " + target
		}
		if port.NodePort != 0 {
			text = fmt.Sprintf("%d → %s", port.NodePort, text)
		}
		o.Facts = append(o.Facts, [2]string{"ports", text})
	}
	switch {
	case found.Spec.Type == corev1.ServiceTypeExternalName:
		o.State, o.Facts = idle, append(o.Facts, [2]string{"path", found.Spec.ExternalName})
	case len(found.Spec.Selector) == 0:
		o.State = idle
	default:
		o.State = waiting // until a pod is behind it
		o.Facts = append(o.Facts, [2]string{"selector", metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: found.Spec.Selector})})
	}
	if found.Spec.ClusterIP != "" {
		o.Facts = append(o.Facts, [2]string{"ip", found.Spec.ClusterIP})
	}
}

// behind adds the pods that get a Service's traffic.
func (o *object) behind(pods []string) {
	if o.To = pods; o.State == waiting && len(pods) > 0 {
		o.State = ready
	}
}

func (o *object) ingress(found *networkingv1.Ingress) {
	o.Kind = "Ingress"
	backend := func(path string, to networkingv1.IngressBackend) {
		if to.Service == nil {
			return
		}
		port := to.Service.Port.Name
		if port == "" {
			port = strconv.Itoa(int(to.Service.Port.Number))
		}
		o.Facts = append(o.Facts, [2]string{"path", path + " → :" + port})
		if one := id("Service", o.Namespace, to.Service.Name); !slices.Contains(o.To, one) {
			o.To = append(o.To, one)
		}
	}
	for _, rule := range found.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			backend(rule.Host+path.Path, path.Backend)
		}
	}
	if found.Spec.DefaultBackend != nil {
		backend("*", *found.Spec.DefaultBackend)
	}
	if found.Spec.IngressClassName != nil {
		o.class = *found.Spec.IngressClassName
	}
}

// helmSecret is the type of the Secrets that Helm keeps releases in, a revision each.
const helmSecret = "helm.sh/release.v1"

// served makes an Ingress wait that no class is for. One without a class is taken where there is one. Its address may come a minute after it
// works.
func (o *object) served(classes map[string]bool) {
	if o.class != "" && !classes[o.class] || len(classes) == 0 {
		o.State = waiting
	}
}

// secret is a Secret, or the revision of a Helm release. What is in it is not kept ([slim]).
func (o *object) secret(found *corev1.Secret) bool {
	if found.Type != helmSecret {
		o.Kind, o.Text = "Secret", string(found.Type)
		o.keys(slices.Collect(maps.Keys(found.Data)))
		return true
	}
	status := found.Labels["status"]
	if status == "superseded" || status == "uninstalled" {
		return false
	}
	o.Kind, o.Name, o.Text = "Release", found.Labels["name"], status
	for _, key := range []string{"chart", "version"} {
		if value := found.Annotations[chartOf+key]; value != "" {
			o.Facts = append(o.Facts, [2]string{key, value})
		}
	}
	o.Facts = append(o.Facts, [2]string{"revision", found.Labels["version"]})
	switch {
	case status == "failed":
		o.State = failing
	case strings.HasPrefix(status, "pending"), status == "uninstalling":
		o.State = waiting
	}
	return true
}
