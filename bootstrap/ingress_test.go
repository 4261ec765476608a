package bootstrap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/release"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/mirror"
)

// TestIngressClass holds that an Ingress of the course, which names no class, gets the controller's.
func TestIngressClass(t *testing.T) {
	t.Parallel()
	objects := ingressObjects(t)
	class := only[*networkingv1.IngressClass](t, objects)
	if class.Name != "nginx" || class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] != "true" {
		t.Errorf("the class %s is not the default one named nginx: %v", class.Name, class.Annotations)
	}
	arguments := only[*appsv1.Deployment](t, objects).Spec.Template.Spec.Containers[0].Args
	if want := "--controller-class=" + class.Spec.Controller; !slices.Contains(arguments, want) {
		t.Errorf("the controller does not look after the class: %q lacks %s", arguments, want)
	}
}

// TestIngressController holds that the controller runs where the machine's ports lead, and on no other node.
func TestIngressController(t *testing.T) {
	t.Parallel()
	settings := defaultSettings(t).Bootstrap
	settings.Workers = 2
	cluster := kindConfig(settings, nodeImage(settings), false)
	deployment := only[*appsv1.Deployment](t, ingressObjects(t))
	pod := deployment.Spec.Template

	var hostPorts []int32
	for _, published := range pod.Spec.Containers[0].Ports {
		if published.HostPort != 0 {
			hostPorts = append(hostPorts, published.HostPort)
			if published.HostPort != published.ContainerPort {
				t.Errorf("the node's port %d leads to %d", published.HostPort, published.ContainerPort)
			}
		}
	}
	if !slices.Equal(hostPorts, []int32{80, 443}) {
		t.Errorf("the host ports are %v, want 80 and 443", hostPorts)
	}
	for _, number := range hostPorts {
		if !slices.ContainsFunc(cluster.Nodes[0].ExtraPortMappings, func(m v1alpha4.PortMapping) bool { return m.ContainerPort == number }) {
			t.Errorf("the control plane's port %d is not published", number)
		}
	}

	selector := labels.SelectorFromSet(pod.Spec.NodeSelector)
	if want := map[string]string{"hellolab/ingress": "true"}; !maps.Equal(pod.Spec.NodeSelector, want) {
		t.Errorf("the node selector is %v, want %v", pod.Spec.NodeSelector, want)
	}
	for i, node := range cluster.Nodes {
		if selected := selector.Matches(labels.Set(node.Labels)); selected != (i == 0) {
			t.Errorf("the pod may run on node %d (%s): %v", i, node.Role, selected)
		}
	}
	// a control plane that has workers beside it carries this taint
	control := corev1.Taint{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}
	readers := corev1.Taint{Key: "a", Value: "b", Effect: corev1.TaintEffectNoExecute}
	for _, taint := range []corev1.Taint{control, readers} {
		if !slices.ContainsFunc(pod.Spec.Tolerations, func(toleration corev1.Toleration) bool {
			return toleration.ToleratesTaint(klog.Background(), &taint, false)
		}) {
			t.Errorf("the pod does not tolerate %s: %v", taint.Key, pod.Spec.Tolerations)
		}
	}
	if deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("an update is a %s: a second pod cannot have the host ports", deployment.Spec.Strategy.Type)
	}
	if !labels.SelectorFromSet(deployment.Spec.Selector.MatchLabels).Matches(labels.Set(pod.Labels)) {
		t.Error("the Deployment does not select its pods")
	}
}

// TestIngressImage holds that the nodes pull what the registry holds: by the tag, since the digest is that of the
// origin's list of platforms.
func TestIngressImage(t *testing.T) {
	t.Parallel()
	got := only[*appsv1.Deployment](t, ingressObjects(t)).Spec.Template.Spec.Containers[0].Image
	tagged, _, pinned := strings.Cut(defaultSettings(t).Bootstrap.Ingress.Image, "@sha256:")
	if !pinned {
		t.Error("config.yaml does not pin the controller's image by digest")
	}
	if got != tagged {
		t.Errorf("the image is %s, want %s", got, tagged)
	}
	_, tag, _ := strings.Cut(tagged, ":v")
	if embedded, _, err := defaultLab(t).ingressChart(nil); err != nil || embedded.Metadata.AppVersion != tag {
		t.Errorf("Chart.yaml says %s, %v, and config.yaml %s", embedded.Metadata.AppVersion, err, tag)
	}
}

// TestIngressWebhook follows a request of the API server to the controller: each part names the next one, and a wrong
// name shows only as an Ingress that is refused.
func TestIngressWebhook(t *testing.T) {
	t.Parallel()
	objects := ingressObjects(t)
	webhooks := only[*admissionv1.ValidatingWebhookConfiguration](t, objects).Webhooks
	if len(webhooks) != 1 || webhooks[0].ClientConfig.URL == nil {
		t.Fatalf("the webhooks are %+v, want one that is at an address", webhooks)
	}
	if effects := webhooks[0].SideEffects; effects == nil || *effects != admissionv1.SideEffectClassNone {
		t.Errorf("the webhook's side effects are %v: the API server refuses a dry run then, by which up sees that it works", effects)
	}
	called, err := url.Parse(*webhooks[0].ClientConfig.URL)
	if err != nil {
		t.Fatal(err)
	}
	pod := only[*appsv1.Deployment](t, objects).Spec.Template
	container := pod.Spec.Containers[0]
	if !pod.Spec.HostNetwork || !slices.Contains(container.Args, "--validating-webhook="+called.Host) {
		t.Errorf("the controller does not listen where the API server asks, %s: %q", called.Host, container.Args)
	}

	secret := only[*corev1.Secret](t, objects)
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatalf("the controller cannot use its certificate: %v", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(webhooks[0].ClientConfig.CABundle) {
		t.Fatal("the caBundle is no certificate")
	}
	for _, when := range []time.Time{time.Now(), time.Now().AddDate(5, 0, 0)} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{
			DNSName: called.Hostname(), Roots: authorities, CurrentTime: when,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
			t.Errorf("the API server does not trust the controller at %s: %v", when, err)
		}
	}

	mounted := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Secret != nil && v.Secret.SecretName == secret.Name })
	if mounted < 0 || secret.Namespace != ingressName {
		t.Fatalf("the pod does not mount the secret %s of %s: %v", secret.Name, secret.Namespace, pod.Spec.Volumes)
	}
	at := slices.IndexFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == pod.Spec.Volumes[mounted].Name })
	if at < 0 {
		t.Fatalf("the controller does not see the secret: %v", container.VolumeMounts)
	}
	for flag, file := range map[string]string{"certificate": corev1.TLSCertKey, "key": corev1.TLSPrivateKeyKey} {
		if want := "--validating-webhook-" + flag + "=" + container.VolumeMounts[at].MountPath + "/" + file; !slices.Contains(container.Args, want) {
			t.Errorf("the controller is not told %s: %q", want, container.Args)
		}
	}
}

// TestIngressPermissions holds that the controller's account is the one that the roles are given to.
func TestIngressPermissions(t *testing.T) {
	t.Parallel()
	objects := ingressObjects(t)
	account := only[*corev1.ServiceAccount](t, objects)
	if used := only[*appsv1.Deployment](t, objects).Spec.Template.Spec.ServiceAccountName; used != account.Name {
		t.Errorf("the pod runs as %s, the account is %s", used, account.Name)
	}
	want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: account.Name, Namespace: ingressName}}
	everywhere, here := only[*rbacv1.ClusterRoleBinding](t, objects), only[*rbacv1.RoleBinding](t, objects)
	if !reflect.DeepEqual(everywhere.Subjects, want) || !reflect.DeepEqual(here.Subjects, want) {
		t.Errorf("the roles are given to %v and %v, want %v", everywhere.Subjects, here.Subjects, want)
	}
	if everywhere.RoleRef.Name != only[*rbacv1.ClusterRole](t, objects).Name || here.RoleRef.Name != only[*rbacv1.Role](t, objects).Name {
		t.Errorf("the roles %s and %s are not the chart's", everywhere.RoleRef.Name, here.RoleRef.Name)
	}
}

// TestIngressNeedsItsValues holds that a chart without an image or a certificate is not installed half.
func TestIngressNeedsItsValues(t *testing.T) {
	t.Parallel()
	embedded, values, err := defaultLab(t).ingressChart(nil)
	if err != nil {
		t.Fatal(err)
	}
	for lacking, change := range map[string]func(map[string]any){
		"image":               func(v map[string]any) { delete(v, "image") },
		"webhook.certificate": func(v map[string]any) { delete(v["webhook"].(map[string]any), "certificate") },
		"webhook.key":         func(v map[string]any) { delete(v["webhook"].(map[string]any), "key") },
	} {
		changed := throughJSON(t, values)
		change(changed)
		if _, err := render(embedded, changed); err == nil || !strings.Contains(err.Error(), lacking) {
			t.Errorf("without %s the chart renders with the error %v", lacking, err)
		}
	}
}

// TestIngressIsInstalledOnce holds that a lab which is up already is recognised, though Helm keeps a release's values
// as JSON: a new certificate each time, or an upgrade that changes nothing, would restart the controller.
func TestIngressIsInstalledOnce(t *testing.T) {
	t.Parallel()
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "Chart.yaml"), []byte("apiVersion: v2\nname: traefik\nversion: 1.2.3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, ingress := range map[string]Ingress{
		"the built-in chart":             defaultSettings(t).Bootstrap.Ingress,
		"one's own chart":                {Enabled: true, Chart: own, Values: map[string]any{"class": "traefik"}},
		"one's own chart with a number":  {Enabled: true, Chart: own, Values: map[string]any{"replicas": 2}},
		"one's own chart without values": {Enabled: true, Chart: own, Values: map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := &Lab{settings: Settings{Bootstrap: Config{Ingress: ingress}}}
			installed, values, err := lab.ingressChart(nil)
			if err != nil {
				t.Fatal(err)
			}
			found := &release.Release{Chart: installed, Config: values, Info: &release.Info{Status: release.StatusDeployed}}
			stored := &release.Release{}
			content, err := json.Marshal(found)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(content, stored); err != nil {
				t.Fatal(err)
			}
			wanted, again, err := lab.ingressChart(stored)
			if err != nil {
				t.Fatal(err)
			}
			if !helm.Current(stored, wanted, again) {
				t.Errorf("what was installed with %v is not taken for what is wanted", values)
			}
		})
	}
}

// TestIngressIsInstalledAgain holds that another image reaches a lab that has the chart already, with the certificate
// that it has.
func TestIngressIsInstalledAgain(t *testing.T) {
	t.Parallel()
	lab := defaultLab(t)
	installed, values, err := lab.ingressChart(nil)
	if err != nil {
		t.Fatal(err)
	}
	stored := &release.Release{Chart: installed, Config: throughJSON(t, values), Info: &release.Info{Status: release.StatusDeployed}}
	lab.settings.Bootstrap.Ingress.Image = "registry.k8s.io/ingress-nginx/controller:v9.9.9"
	wanted, changed, err := lab.ingressChart(stored)
	if err != nil {
		t.Fatal(err)
	}
	if helm.Current(stored, wanted, changed) {
		t.Error("another image is taken for the one that is installed")
	}
	if changed["image"] != lab.settings.Bootstrap.Ingress.Image || !reflect.DeepEqual(changed["webhook"], values["webhook"]) {
		t.Errorf("the values are %v: want the new image, and the certificate that is there", changed)
	}
}

// TestIngressCertificateIsMadeAnew holds that a certificate that the API server would not take is not kept: one whose time has not come, since the
// clock was set back, and one for the Service that older versions had.
func TestIngressCertificateIsMadeAnew(t *testing.T) {
	t.Parallel()
	lab := defaultLab(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, template := range map[string]x509.Certificate{
		"tomorrow's":      {DNSNames: []string{webhookHost}, NotBefore: now.Add(24 * time.Hour), NotAfter: now.Add(48 * time.Hour)},
		"yesterday's":     {DNSNames: []string{webhookHost}, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(-24 * time.Hour)},
		"another place's": {DNSNames: []string{"ingress-nginx-controller-admission.ingress-nginx.svc"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)},
	} {
		template.SerialNumber = big.NewInt(1)
		content, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		kept := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: content}))
		_, values, err := lab.ingressChart(&release.Release{Config: map[string]any{"webhook": map[string]any{"certificate": kept, "key": "a"}}})
		if webhook, _ := values["webhook"].(map[string]any); err != nil || webhook["certificate"] == kept || !validNow(webhook) {
			t.Errorf("%s certificate becomes %v, %v", name, webhook, err)
		}
	}
}

// TestIngressChartOfOnesOwn holds that a chart which is not there is told as such, with the setting to correct.
func TestIngressChartOfOnesOwn(t *testing.T) {
	t.Parallel()
	lab := defaultLab(t)
	lab.settings.Bootstrap.Ingress.Chart = filepath.Join(t.TempDir(), "nowhere")
	_, _, err := lab.ingressChart(nil)
	if err == nil || !strings.Contains(err.Error(), "nowhere") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}

func defaultLab(t *testing.T) *Lab {
	t.Helper()
	lab := &Lab{asked: Asked{Settings: defaultSettings(t)}, images: mirror.New(nil, nil, mirror.Config{})}
	lab.use(lab.asked.Settings)
	return lab
}

// ingressObjects are what a lab with the default settings installs, as the API server would read it: a field that it
// does not know is an error.
func ingressObjects(t *testing.T) []runtime.Object {
	t.Helper()
	embedded, values, err := defaultLab(t).ingressChart(nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := render(embedded, throughJSON(t, values))
	if err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for file, content := range files {
		documents := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(content)))
		buffer := make([]byte, len(content)+1)
		for {
			n, err := documents.Read(buffer)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(bytes.TrimSpace(buffer[:n])) == 0 {
				continue
			}
			document, err := yaml.ToJSON(buffer[:n]) // as Helm does: YAML's own rules let "<<" be overridden
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			object, _, err := decoder.Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			objects = append(objects, object)
		}
	}
	return objects
}

func render(of *chart.Chart, values map[string]any) (map[string]string, error) {
	all, err := chartutil.ToRenderValues(of, values, chartutil.ReleaseOptions{Name: ingressName, Namespace: ingressName, Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(of, all)
}

// only is the one object of its kind.
func only[Kind metav1.Object](t *testing.T, objects []runtime.Object) Kind {
	t.Helper()
	var found []Kind
	for _, object := range objects {
		if one, ok := object.(Kind); ok {
			found = append(found, one)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d objects of the kind %T", len(found), *new(Kind))
	}
	return found[0]
}

// throughJSON is a copy of values as Helm keeps them.
func throughJSON(t *testing.T, values map[string]any) map[string]any {
	t.Helper()
	content, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	var copied map[string]any
	if err := json.Unmarshal(content, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}
