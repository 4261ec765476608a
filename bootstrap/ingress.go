package bootstrap

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/registry"
)

//go:embed ingress-nginx
var ingressChart embed.FS

// ingressName is the release's, its namespace's and its chart's.
const ingressName = "ingress-nginx"

// ensureIngress installs the ingress controller and waits until it works: an Ingress is accepted by its webhook, and
// port 80 answers. Where it works already, nothing happens.
func (l *Lab) ensureIngress(ctx context.Context, kube kube) error {
	releases, err := helm.New(kube.config, ingressName, l.log)
	if err != nil {
		return err
	}
	installed, err := releases.Get(ingressName)
	if err != nil {
		return err
	}
	wanted, values, err := l.ingressChart(installed)
	if err != nil {
		return err
	}
	current := helm.Current(installed, wanted, values)
	if current && l.ingressWorks(ctx, kube) == nil {
		return l.untilNodesReady(ctx, kube)
	}
	return l.story.Do(ctx, messages.T("ingress controller at %s", l.Addresses().Ingress), func(ctx context.Context) error {
		ctx, cancel := l.within(ctx)
		defer cancel()
		if current && kube.hasController(ctx) { // it only has to come back, after a restart of the node say
			if l.untilIngressWorks(ctx, kube, comeBackWithin) == nil {
				return nil
			}
		}
		if err := releases.Ensure(ctx, ingressName, wanted, values); err != nil {
			return messages.Errorf("the ingress controller's chart cannot be installed").Because(err).
				WithHint("run the same command again; helm status -n ingress-nginx ingress-nginx shows more")
		}
		if err := l.untilIngressWorks(ctx, kube, l.settings.Bootstrap.Timeout); err != nil {
			return messages.Errorf("the ingress controller does not work").Because(errors.Join(err, kube.why(ctx, ingressName))).
				WithHint("kubectl get pods,events -n ingress-nginx")
		}
		return nil
	})
}

// comeBackWithin is longer than the ingress controller takes to work again after a restart of its node.
const comeBackWithin = time.Minute

func (l *Lab) untilIngressWorks(ctx context.Context, kube kube, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := l.untilNodesReady(ctx, kube); err != nil {
		return err
	}
	return await.Poll(ctx, messages.Text{}, func(ctx context.Context) error { return l.ingressWorks(ctx, kube) })
}

// hasController reports whether somebody's ingress controller is there at all.
func (k kube) hasController(ctx context.Context) bool {
	found, err := k.AppsV1().Deployments(ingressName).List(ctx, metav1.ListOptions{})
	return err == nil && len(found.Items) > 0
}

// ingressChart gives the chart to install and its values. The webhook's certificate of an earlier installation is
// kept.
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
	webhook, found := map[string]any(nil), false
	if installed != nil {
		webhook, found = installed.Config["webhook"].(map[string]any)
	}
	if !found {
		if webhook, err = webhookCertificate(); err != nil {
			return nil, nil, err
		}
	}
	return embedded, map[string]any{"image": registry.Tagged(settings.Image), "webhook": webhook}, nil
}

// ingressWorks tries what a reader will do: create an Ingress (a dry run), and open a page.
func (l *Lab) ingressWorks(ctx context.Context, kube kube) error {
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
	accepted, err := kube.NetworkingV1().Ingresses(metav1.NamespaceDefault).Create(ctx, probe,
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: owner})
	if err != nil {
		return err
	}
	if accepted.Spec.IngressClassName == nil {
		return messages.Errorf("no IngressClass is the default one")
	}
	// ingress-nginx answers this path itself, whatever rules a reader has
	return answersHTTP(ctx, l.Addresses().Ingress+"/healthz")
}

// why tells what keeps the pods of a namespace from running: the newest warnings.
func (k kube) why(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	events, err := k.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil || len(events.Items) == 0 {
		return nil
	}
	last := events.Items[len(events.Items)-1]
	return fmt.Errorf("%s %s: %s", strings.ToLower(last.InvolvedObject.Kind), last.InvolvedObject.Name, last.Message)
}

// webhookCertificate makes the pair that the admission webhook identifies itself with. It signs itself and lives as
// long as any lab; nobody but the lab's own API server trusts it.
func webhookCertificate() (map[string]any, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	service := "ingress-nginx-controller-admission." + ingressName + ".svc"
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: service},
		DNSNames:              []string{service},
		NotBefore:             time.Now().Add(-time.Hour), // the engine's machine may have another clock
		NotAfter:              time.Now().AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return map[string]any{"certificate": encode("CERTIFICATE", certificate), "key": encode("PRIVATE KEY", private)}, nil
}

func encode(kind string, content []byte) string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}))
}
