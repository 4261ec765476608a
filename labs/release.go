package labs

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// release is a Helm release, as far as it is in the course's namespaces: its records and its objects.
type release struct {
	namespace, name string
	// ours says that hellolab installed it, whoever made later revisions.
	ours bool
	// touched says that somebody else has changed it since: a user who upgraded it, for example.
	touched bool
	objects []*unstructured.Unstructured
}

// releaseOf returns the release that an object is part of, or a record of: NAMESPACE/NAME, or "".
func releaseOf(object *unstructured.Unstructured) string {
	if name, _, found := helm.Recorded(object.GetKind(), object.GetLabels()); found {
		return object.GetNamespace() + "/" + name
	}
	if name, namespace := helm.Owner(object.GetAnnotations()); name != "" {
		return namespace + "/" + name
	}
	return ""
}

// releasesOf returns the releases that have a record among objects, by NAMESPACE/NAME.
func releasesOf(objects []*unstructured.Unstructured) map[string]*release {
	found := map[string]*release{}
	for _, object := range objects {
		name, _, isRecord := helm.Recorded(object.GetKind(), object.GetLabels())
		if !isRecord {
			continue
		}
		key := releaseOf(object)
		if found[key] == nil {
			found[key] = &release{namespace: object.GetNamespace(), name: name}
		}
		found[key].ours = found[key].ours || object.GetLabels()[kube.ChapterLabel] != ""
	}
	for _, object := range objects {
		if of := found[releaseOf(object)]; of != nil {
			of.objects = append(of.objects, object)
			of.touched = of.touched || !kube.Untouched(object)
		}
	}
	return found
}

// called is how a user knows an object: by its release, if it is part of one.
func called(object *unstructured.Unstructured) string {
	namespace, name, found := strings.Cut(releaseOf(object), "/")
	if !found {
		return kube.Refer(object).String()
	}
	return kube.Reference{Kind: "Release", Namespace: namespace, Name: name}.String()
}

// uninstall uninstalls releases, with their objects outside of the course's namespaces.
func (l *Labs) uninstall(ctx context.Context, releases []*release) error {
	for _, release := range releases {
		client, err := l.Lab.Releases(release.namespace)
		if err != nil {
			return err
		}
		if err := client.Uninstall(release.name); err != nil {
			said := messages.Errorf("the release %s cannot be uninstalled", release.name).Because(l.Cluster.Explain(ctx, err))
			if messages.HintOf(said).IsZero() {
				said.WithHint("%s, then run the same command again", messages.Helm(release.namespace, "uninstall", release.name))
			}
			return said
		}
	}
	return nil
}

// install installs a chart as a release, with a record that says that it is hellolab's.
func (l *Labs) install(ctx context.Context, action course.Action, release *course.Release) error {
	client, err := l.Lab.Releases(release.Namespace)
	if err != nil {
		return err
	}
	chart, values := release.Loaded()
	labels := map[string]string{kube.ChapterLabel: action.Step.Chapter().Name}
	if err := client.Install(ctx, release.Name, chart, values, labels); err != nil {
		return messages.Errorf("the release %s cannot be installed", release.Name).Because(l.Cluster.Explain(ctx, err))
	}
	return l.untilAllObserved(ctx, action)
}

// upgrade makes the next revision of a release.
func (l *Labs) upgrade(ctx context.Context, action course.Action, release *course.Release) error {
	client, err := l.Lab.Releases(release.Namespace)
	if err != nil {
		return err
	}
	chart, values := release.Loaded()
	if err := client.Upgrade(ctx, release.Name, chart, values); err != nil {
		return messages.Errorf("the release %s cannot be upgraded", release.Name).Because(l.Cluster.Explain(ctx, err))
	}
	return l.untilAllObserved(ctx, action)
}

// untilAllObserved waits until the Deployments of a release have the revision of what was installed.
func (l *Labs) untilAllObserved(ctx context.Context, action course.Action) error {
	for _, manifest := range action.Manifests() {
		for _, object := range manifest.Objects {
			if object.GetKind() != "Deployment" {
				continue
			}
			if err := l.untilObserved(ctx, object.GetNamespace(), object.GetName()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Labs) rollback(rollback *course.Rollback) error {
	client, err := l.Lab.Releases(rollback.Namespace)
	if err != nil {
		return err
	}
	if err := client.Rollback(rollback.Release, rollback.Revision); err != nil {
		return messages.Errorf("the release %s cannot be rolled back", rollback.Release).Because(err)
	}
	return nil
}

func (l *Labs) publish(ctx context.Context, publish *course.Publish) error {
	packed, err := helm.Pack(publish.Loaded())
	if err != nil {
		return err
	}
	there, err := l.Lab.PublishedCharts(ctx, packed)
	if err != nil {
		return err
	}
	if err := l.keepPackages(packed, there); err != nil {
		return err
	}
	return l.Lab.PublishChart(ctx, packed)
}

// keepPackages saves the user's packages that a chart of the course's replaces.
func (l *Labs) keepPackages(coming helm.Package, there [][]byte) error {
	kept := [][]byte{coming.Content}
	for _, content := range there {
		if slices.ContainsFunc(kept, func(k []byte) bool { return bytes.Equal(k, content) }) {
			continue
		}
		kept = append(kept, content)
		file, err := l.keep("-"+coming.File, content)
		if err != nil {
			return messages.Errorf("a chart of your own would be replaced (%s), and cannot be saved", coming.File).Because(err).
				WithHint("make %s a folder that you can write to", l.Saved)
		}
		l.Story.Say(messages.T("the course's chart takes the place of your own: %s", coming.File))
		l.Story.Say(messages.T("it is kept in %s", file))
	}
	return nil
}
