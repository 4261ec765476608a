package check

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// release looks at the latest revision of a Helm release.
func (c *Checker) release(ctx context.Context, step *course.Step, e *course.ReleaseState) (Row, cause, error) {
	row := Row{Subject: messages.Verbatim("release/" + e.Name + inNamespace(e.Namespace)),
		Expected: messages.T("chart %s, deployed, revision %v or higher", e.Chart, e.Revision)}
	found, err := helm.Last(c.Cluster.CoreV1().Secrets(e.Namespace), e.Name)
	if err != nil {
		return row, cause{}, err
	}
	if found == nil {
		row.Have = messages.T("it is not there")
		why, err := c.taken(ctx, step, e)
		return row, why, err
	}
	row.Have = messages.T("chart %s, %s, revision %v", found.Chart+"-"+found.Version, found.Status, found.Revision)
	if found.Status != helm.Deployed {
		why, err := c.failed(ctx, e, found)
		return row, why, err
	}
	version := e.Version.Regexp == nil || e.Version.MatchString(found.Version)
	if !version {
		row.Expected = messages.T("%s, with a version like %s", row.Expected, e.Version)
	}
	row.Met = found.Chart == e.Chart && version && found.Revision >= e.Revision
	return row, cause{}, nil
}

// taken tells of objects that keep a release from being installed: Helm takes over none that is not its own
// (https://helm.sh/docs/faq/changes_since_helm_2/#importing-existing-resources).
func (c *Checker) taken(ctx context.Context, step *course.Step, e *course.ReleaseState) (cause, error) {
	for _, object := range step.Snapshot().Objects {
		reference := kube.Refer(object)
		if reference.Namespace != e.Namespace || step.Snapshot().FileOf(reference.Kind, reference.Namespace, reference.Name) != "" {
			continue
		}
		found, err := c.Cluster.Get(ctx, reference)
		if err != nil {
			return cause{}, err
		}
		if found == nil {
			continue
		}
		if owner, namespace := helm.Owner(found.GetAnnotations()); owner != "" && owner != e.Name {
			return cause{why: messages.T("%s belongs to the release %s, and two releases cannot have the same object", reference, owner),
				next: command("helm uninstall " + owner + inNamespace(namespace))}, nil
		} else if owner == "" {
			return cause{why: messages.T("there is %s already, which is no release's, and Helm does not take it over", reference),
				next: command("kubectl delete " + reference.String())}, nil
		}
	}
	return cause{}, nil
}

// failed explains a release that is not deployed, by what Helm noted of it.
func (c *Checker) failed(ctx context.Context, e *course.ReleaseState, found *helm.Release) (cause, error) {
	uninstall := command("helm uninstall " + e.Name + inNamespace(e.Namespace))
	// the words of ingress-nginx's admission webhook
	same := regexp.MustCompile(`host "([^"]*)" and path "([^"]*)" is already defined in ingress ([^/\s]+)/(\S+)`).FindStringSubmatch(found.Description)
	if same == nil {
		return cause{why: messages.Verbatim(firstLine(found.Description)), next: uninstall}, nil
	}
	path, namespace, name := same[2], same[3], same[4]
	why := messages.T("the path %s belongs to the Ingress %s in the namespace %s already, and ingress-nginx allows it only once; this release has to be uninstalled, too", path, name, namespace)
	other, err := c.Cluster.Get(ctx, kube.Reference{APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Namespace: namespace, Name: name})
	if err != nil {
		return cause{}, err
	}
	if other == nil { // gone since
		return cause{why: why, next: uninstall}, nil
	}
	if owner, in := helm.Owner(other.GetAnnotations()); owner != "" {
		return cause{why: why, next: command("helm uninstall " + owner + inNamespace(in))}, nil
	}
	return cause{why: why, next: command(fmt.Sprintf("kubectl delete ingress %s%s", name, inNamespace(namespace)))}, nil
}

// chart looks for a chart in the lab's registry.
func (c *Checker) chart(ctx context.Context, e *course.PublishedChart) (Row, cause, error) {
	row := Row{Subject: messages.T("chart %s in oci://%s/charts", e.Name, c.Place.Registry), Have: messages.T("none"),
		Expected: messages.T("a version like %s", e.Version)}
	versions, err := c.Registry.ChartVersions(ctx, e.Name)
	if err != nil {
		return row, cause{}, err
	}
	if len(versions) > 0 {
		row.Have = messages.T("%s", versions)
	}
	row.Met = slices.ContainsFunc(versions, e.Version.MatchString)
	return row, cause{}, nil
}
