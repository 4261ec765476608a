package check

import (
	"context"
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

// taken finds an object that keeps a release from being installed: Helm takes over no object that is not the release's
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
				next: messages.Helm(namespace, "uninstall", owner).Text()}, nil
		} else if owner == "" {
			return cause{why: messages.T("there is %s already, which belongs to no release, and Helm does not take it over", reference),
				next: messages.Kubectl(reference.Namespace, "delete", typed(reference)).Text()}, nil
		}
	}
	return cause{}, nil
}

// failed explains a release that is not deployed, by Helm's note on it.
func (c *Checker) failed(ctx context.Context, e *course.ReleaseState, found *helm.Release) (cause, error) {
	next := recovery(e.Namespace, e.Name, found)
	// the message of ingress-nginx's admission webhook
	same := regexp.MustCompile(`host "([^"]*)" and path "([^"]*)" is already defined in ingress ([^/\s]+)/(\S+)`).FindStringSubmatch(found.Description)
	if same == nil {
		return cause{why: messages.Verbatim(firstLine(found.Description)), next: next}, nil
	}
	path, namespace, name := same[2], same[3], same[4]
	why := messages.T("the path %s belongs to the Ingress %s in the namespace %s already, and ingress-nginx allows it only once; this release has to be uninstalled, too",
		path, name, namespace)
	other, err := c.Cluster.Get(ctx, kube.Reference{APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Namespace: namespace, Name: name})
	if err != nil {
		return cause{}, err
	}
	if other == nil { // gone since
		return cause{why: why, next: next}, nil
	}
	if owner, in := helm.Owner(other.GetAnnotations()); owner != "" {
		return cause{why: why, next: messages.Helm(in, "uninstall", owner).Text()}, nil
	}
	return cause{why: why, next: messages.Kubectl(namespace, "delete", "ingress", name).Text()}, nil
}

// recovery is the command after which a release that is not deployed can be installed or upgraded again; none is needed
// after an upgrade that failed.
func recovery(namespace, name string, found *helm.Release) messages.Text {
	switch {
	case found.Revision == 1 || !slices.Contains([]string{"failed", "pending-upgrade", "pending-rollback"}, found.Status):
		return messages.Helm(namespace, "uninstall", name).Text()
	case found.Status != "failed": // helm refuses to upgrade it before
		return messages.Helm(namespace, "rollback", name).Text()
	}
	return messages.Text{}
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
