package labs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// obstacles is what a change would fail on once things have been removed, or what it would take away for good.
func (l *Labs) obstacles(ctx context.Context, there inventory, plan room, change change) error {
	if err := undead(there, plan); err != nil {
		return err
	}
	if err := l.holders(ctx, plan, change.objects); err != nil {
		return err
	}
	if err := l.lastData(ctx, there, plan, change.again); err != nil {
		return err
	}
	return l.rehearse(ctx, there, change.objects)
}

// undead refuses to remove namespaces that would not go: those of a cluster with an API that does not answer, which may
// have something in them.
func undead(there inventory, plan room) error {
	names := slices.Concat(plan.leaving, slices.DeleteFunc(slices.Clone(plan.gone), func(r kube.Reference) bool { return r.Kind != "Namespace" }))
	if there.missing == nil || len(names) == 0 {
		return nil
	}
	return messages.Errorf("%s could not be removed: Kubernetes does not know what is in it", names[0]).Because(*there.missing)
}

// holders refuses what somebody else has already, in whatever namespace: node ports and routes.
func (l *Labs) holders(ctx context.Context, plan room, coming []*unstructured.Unstructured) error {
	wanted := map[claim]*unstructured.Unstructured{}
	for _, object := range coming {
		for _, claim := range claims(object) {
			wanted[claim] = object
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var all []error
	for kind, version := range map[string]string{"Service": "v1", "Ingress": "networking.k8s.io/v1"} {
		there, err := l.all(ctx, version, kind)
		if err != nil {
			return err
		}
		for _, object := range there {
			if plan.removes(object) || slices.ContainsFunc(coming, func(o *unstructured.Unstructured) bool { return kube.Refer(o).Same(kube.Refer(object)) }) {
				continue
			}
			for _, claim := range claims(object) {
				if wanted[claim] != nil {
					all = append(all, taken(claim, object, wanted[claim]))
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(all...)
}

// taken is the error about what an object has that a coming one needs.
func taken(what claim, by, coming *unstructured.Unstructured) error {
	said := messages.Errorf("%s of %s belongs to %s already; nothing was changed", what.text(), kube.Refer(coming), kube.Refer(by))
	if by.GetNamespace() == kube.Namespace {
		return said.WithHint("that one is the lab's own: give the route in %s another path", kube.Refer(coming))
	}
	return said.WithHint("%s, or change it; then run the same command again", kube.Refer(by).Remove())
}

// all lists the objects of a kind in all namespaces.
func (l *Labs) all(ctx context.Context, version, kind string) (all []*unstructured.Unstructured, err error) {
	ctx, cancel := l.within(ctx)
	defer cancel()
	err = l.Cluster.Retry(ctx, func(ctx context.Context) error {
		all, err = l.Cluster.Of(ctx, version, kind, "")
		return err
	})
	return all, err
}

// removes reports whether an object goes.
func (r room) removes(object *unstructured.Unstructured) bool {
	return slices.ContainsFunc(r.gone, func(gone kube.Reference) bool { return gone.UID == string(object.GetUID()) }) ||
		slices.ContainsFunc(slices.Concat(r.leaving, r.gone), func(gone kube.Reference) bool {
			return gone.Kind == "Namespace" && gone.Name == object.GetNamespace()
		})
}

// lastData refuses to remove volumes with what programs have written there, without the user's word: it is in no file.
func (l *Labs) lastData(ctx context.Context, there inventory, plan room, again messages.Command) error {
	if l.DropData || len(plan.gone) == 0 {
		return nil
	}
	all, err := l.all(ctx, "v1", "PersistentVolumeClaim")
	if err != nil {
		return err
	}
	var names []string
	for _, claim := range all {
		if (plan.removes(claim) || plan.removesOwner(claim)) && losesData(claim, there.volumes) {
			names = append(names, kube.Refer(claim).String())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return messages.Usagef("volumes would be deleted, with what is in them: %s", names).
		WithHint("copy what you need (%s); then %s deletes them", messages.Kubectl("", "cp").Usage("POD:PATH FILE"), again)
}

// removesOwner reports whether a claim goes along with what made it, but for a pod: what a pod claims for itself alone is
// not meant to outlive it.
func (r room) removesOwner(claim *unstructured.Unstructured) bool {
	return slices.ContainsFunc(claim.GetOwnerReferences(), func(owner metav1.OwnerReference) bool {
		return owner.Kind != "Pod" && slices.ContainsFunc(r.gone, func(gone kube.Reference) bool { return gone.UID == string(owner.UID) })
	})
}

// losesData reports whether a claim's volume goes with it.
func losesData(claim *unstructured.Unstructured, volumes []corev1.PersistentVolume) bool {
	name, _, _ := unstructured.NestedString(claim.Object, "spec", "volumeName")
	if name == "" || claim.GetDeletionTimestamp() != nil {
		return false
	}
	return !slices.ContainsFunc(volumes, func(v corev1.PersistentVolume) bool {
		return v.Name == name && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
	})
}

// rehearse asks the API server whether it would take objects, before anything is removed for them.
func (l *Labs) rehearse(ctx context.Context, there inventory, coming []*unstructured.Unstructured) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	usable := usable(there.namespaces)
	var work sync.WaitGroup
	refused := make([]error, len(coming))
	turns := make(chan struct{}, 8)
	for i, object := range coming {
		work.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			err := l.Cluster.Retry(ctx, func(ctx context.Context) error { return l.Cluster.Try(ctx, understudy(object, usable)) })
			refused[i] = judged(object, err)
		})
	}
	work.Wait()
	return errors.Join(distinct(refused)...)
}

// judged is what the failure of a rehearsal says of an object, or nil where things may be different once it is made.
func judged(object *unstructured.Unstructured, err error) error {
	switch {
	case err == nil, meta.IsNoMatchError(err), apierrors.IsNotFound(err): // what comes before it may bring its kind
		return nil
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"): // of which much is about to go
		return nil
	}
	said := messages.Errorf("the API server would not take %s; nothing was changed", kube.Refer(object)).Because(err)
	if messages.HintOf(err).IsZero() {
		said.WithHint("correct what it names, then run the same command again")
	}
	return said
}

// distinct drops nil and errors that say the same: of one object in its several states, say.
func distinct(all []error) (kept []error) {
	for _, one := range all {
		if one != nil && !slices.ContainsFunc(kept, func(k error) bool { return k.Error() == one.Error() }) {
			kept = append(kept, one)
		}
	}
	return kept
}

// usable are the namespaces that objects can be made in.
func usable(namespaces []corev1.Namespace) []string {
	names := []string{metav1.NamespaceDefault}
	for _, namespace := range namespaces {
		if namespace.DeletionTimestamp == nil {
			names = append(names, namespace.Name)
		}
	}
	return names
}

// understudy is an object for a rehearsal: under another name, without what the one that is there may still have, and in
// hellolab's namespace where its own is not there yet.
func understudy(object *unstructured.Unstructured, usable []string) *unstructured.Unstructured {
	object = portable(object)
	name := object.GetName()
	object.SetName("")
	object.SetGenerateName(strings.TrimRight(name[:min(len(name), 20)], "-.") + "-")
	if space := object.GetNamespace(); space != "" && !slices.Contains(usable, space) {
		object.SetNamespace(kube.Namespace)
	}
	unstructured.RemoveNestedField(object.Object, "status")
	switch object.GetKind() {
	case "Service":
		withoutPorts(object)
	case "Pod":
		unstructured.RemoveNestedField(object.Object, "spec", "serviceAccountName") // which is made before it
	case "Ingress":
		elsewhere(object)
	}
	return object
}

// withoutPorts takes from a Service what only one can have.
func withoutPorts(service *unstructured.Unstructured) {
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	for _, port := range ports {
		if fields, ok := port.(map[string]any); ok {
			delete(fields, "nodePort")
		}
	}
	if len(ports) > 0 {
		unstructured.SetNestedSlice(service.Object, ports, "spec", "ports")
	}
	unstructured.RemoveNestedField(service.Object, "spec", "healthCheckNodePort")
}

// elsewhere gives the routes of an Ingress a host that no other has.
func elsewhere(ingress *unstructured.Unstructured) {
	rules, _, _ := unstructured.NestedSlice(ingress.Object, "spec", "rules")
	for _, rule := range rules {
		if fields, ok := rule.(map[string]any); ok {
			fields["host"] = "rehearsal.hellolab.invalid"
		}
	}
	if len(rules) > 0 {
		unstructured.SetNestedSlice(ingress.Object, rules, "spec", "rules")
	}
}
