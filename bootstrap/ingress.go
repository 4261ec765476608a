package bootstrap

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/registry"
)

//go:embed ingress-nginx
var ingressChart embed.FS

// ingressName names the release, its namespace and its chart.
const ingressName = "ingress-nginx"

// ingressClass is the name of the built-in controller's IngressClass.
const ingressClass = "nginx"

// ensureIngress installs the ingress controller and waits until it works: an Ingress is accepted by its webhook, and
// port 80 answers. Where it works already, nothing happens.
func (l *Lab) ensureIngress(ctx context.Context, api *kube.Cluster) error {
	found, err := l.ingressController(ctx, api)
	if err != nil {
		return err
	}
	if found.whole && l.ingressWorks(ctx, api) == nil {
		return l.untilNodesReady(ctx, api)
	}
	return l.story.Do(ctx, messages.T("ingress controller at %s", l.Addresses().Ingress), func(ctx context.Context) error {
		ctx, cancel := l.within(ctx)
		defer cancel()
		if found.whole { // it has been installed a moment ago, or has to come back after a restart of the node
			stop := l.releaseController(ctx, api)
			err := l.untilIngressWorks(ctx, api, comeBackWithin)
			if stop(); err == nil {
				return nil
			}
		}
		if err := found.install(ctx); err != nil {
			return messages.Errorf("the ingress controller's chart cannot be installed").Because(err).
				WithHint("once that is mended, run the same command again; %s shows more", messages.Helm(ingressName, "status", ingressName))
		}
		if err := l.untilIngressWorks(ctx, api, l.settings.Bootstrap.Timeout); err != nil {
			return messages.Errorf("the ingress controller does not work").Because(errors.Join(err, newestWarning(ctx, api, ingressName))).
				Next(messages.Kubectl(ingressName, "get", "pods,events"))
		}
		return nil
	})
}

// ingressController is the ingress controller's installation.
func (l *Lab) ingressController(ctx context.Context, api *kube.Cluster) (installation, error) {
	releases, err := l.releases(api, ingressName)
	if err != nil {
		return installation{}, err
	}
	installed, err := releases.Get(ingressName)
	if err != nil {
		return installation{}, err
	}
	wanted, values, err := l.ingressChart(installed)
	if err != nil {
		return installation{}, err
	}
	return look(ctx, releases, ingressName, installed, wanted, values)
}

// comeBackWithin is longer than what is in the cluster takes to work again after a restart of its node.
const comeBackWithin = time.Minute

func (l *Lab) untilIngressWorks(ctx context.Context, api *kube.Cluster, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := l.untilNodesReady(ctx, api); err != nil {
		return err
	}
	return await.Poll(ctx, messages.Text{}, func(ctx context.Context) error { return l.ingressWorks(ctx, api) })
}

// ingressChart returns the chart to install and its values. The webhook's certificate of an earlier installation is
// kept, unless the clock has been set back behind its beginning.
func (l *Lab) ingressChart(installed *release.Release) (*chart.Chart, map[string]any, error) {
	settings := l.settings.Bootstrap.Ingress
	if settings.Chart != "" {
		own, err := helm.LoadPath(settings.Chart)
		if err != nil {
			return nil, nil, messages.Errorf("the chart %s cannot be read", settings.Chart).Because(err).
				WithHint("correct bootstrap.ingress.chart, or leave it out for the built-in one")
		}
		return own, settings.Values, nil
	}
	embedded, err := helm.Load(ingressChart, ingressName)
	if err != nil {
		return nil, nil, err
	}
	var webhook map[string]any
	if installed != nil {
		webhook, _ = installed.Config["webhook"].(map[string]any)
	}
	if !validNow(webhook) {
		if webhook, err = webhookCertificate(); err != nil {
			return nil, nil, err
		}
	}
	return embedded, map[string]any{"image": registry.Tagged(settings.Image), "webhook": webhook}, nil
}

// ingressWorks tries what a user will do: create an Ingress (a dry run), and open a page. While the controller is replaced by a newer one, the
// old one may answer once more.
func (l *Lab) ingressWorks(ctx context.Context, api *kube.Cluster) error {
	if err := l.controllerIsNew(ctx, api); err != nil {
		return err
	}
	path, prefix := "/", networkingv1.PathTypePrefix
	probe := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "hellolab-probe"},
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
			Host: "hellolab-probe.invalid",
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &prefix, Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: "hellolab-probe", Port: networkingv1.ServiceBackendPort{Number: 80}}}}}}}}}},
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	accepted, err := api.NetworkingV1().Ingresses(metav1.NamespaceDefault).Create(ctx, probe,
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: kube.Owner})
	if err != nil {
		return err
	}
	if accepted.Spec.IngressClassName == nil {
		return messages.Errorf("no IngressClass is the default one")
	}
	// ingress-nginx answers this path itself, whatever rules the user has
	return answersHTTP(ctx, l.Addresses().Ingress+"/healthz")
}

// controllerIsNew fails while the built-in controller's pod is not the one that its Deployment asks for.
func (l *Lab) controllerIsNew(ctx context.Context, api *kube.Cluster) error {
	if !l.builtInIngress() {
		return nil
	}
	found, err := api.AppsV1().Deployments(ingressName).Get(ctx, ingressName+"-controller", metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // nothing answers then
		return nil
	}
	if err != nil {
		return err
	}
	if status := found.Status; status.ObservedGeneration < found.Generation || status.UpdatedReplicas != status.Replicas || status.ReadyReplicas == 0 {
		return messages.Errorf("%v of %v pods are Ready", status.ReadyReplicas, status.Replicas)
	}
	return nil
}

// newestWarning returns what Kubernetes complained of last in a namespace, or nil.
func newestWarning(ctx context.Context, api *kube.Cluster, namespace string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	warnings, err := kube.Events(ctx, api, namespace, "type=Warning")
	if err != nil || len(warnings) == 0 {
		return nil
	}
	last := warnings[len(warnings)-1]
	return fmt.Errorf("%s %s: %s", strings.ToLower(last.InvolvedObject.Kind), last.InvolvedObject.Name, last.Message)
}

// webhookHost is where the API server, which is on the same node, asks the controller.
const webhookHost = "localhost"

// validNow reports whether the certificate that webhookCertificate made is valid at this time, at the address that the API server asks (another
// one in labs of older versions).
func validNow(webhook map[string]any) bool {
	encoded, _ := webhook["certificate"].(string)
	content, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	certificates, err := cert.ParseCertsPEM(content)
	now := time.Now()
	return err == nil && certificates[0].VerifyHostname(webhookHost) == nil && now.After(certificates[0].NotBefore) && now.Before(certificates[0].NotAfter)
}

// webhookCertificate makes the pair that the admission webhook identifies itself with. It lives as long as any lab, and
// nobody but the lab's own API server trusts it: the authority behind it has signed nothing else, and its key is gone.
func webhookCertificate() (map[string]any, error) {
	certificates, key, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{
		Host: webhookHost, MaxAge: 10 * 365 * 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	encode := base64.StdEncoding.EncodeToString
	return map[string]any{"certificate": encode(certificates), "key": encode(key)}, nil
}
