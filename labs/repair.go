package labs

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Repair is part of a fault's cleanup, kept in the cluster: when it is due, another course may be in hand.
type Repair struct {
	course.Target
	// With is what changes, as in [course.Patch]; without it, the objects are removed.
	With json.RawMessage `json:"with,omitempty"`
}

// repairsOf are those of a fault.
func repairsOf(fault *course.Fault) (all []Repair, err error) {
	for _, action := range fault.Cleanup {
		switch operation := action.Operation.(type) {
		case *course.Patch:
			content, err := operation.Content()
			if err != nil {
				return nil, err
			}
			all = append(all, Repair{operation.Target, content})
		case *course.Delete:
			all = append(all, Repair{Target: operation.Target})
		}
	}
	return all, nil
}

// leavePractice ends the practices that are on, of whatever course, and takes away what would outlive the objects of their steps.
func (l *Labs) leavePractice(ctx context.Context) error {
	found, err := l.Cluster.CoreV1().ConfigMaps(stateNamespace).Get(ctx, stateName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(found.Data)) {
		if err := l.leave(ctx, key, found.Data[key]); err != nil {
			return err
		}
	}
	return nil
}

// leave is leavePractice for one key of the state.
func (l *Labs) leave(ctx context.Context, key, content string) error {
	suffix, isPractice := strings.CutPrefix(strings.TrimSuffix(key, keySuffix), practicePrefix)
	var kept practised
	if !isPractice || json.Unmarshal([]byte(content), &kept) != nil || kept.Practice.Fault == "" {
		return nil
	}
	if err := l.cleanUp(ctx, kept.Practice); err != nil {
		return err
	}
	kept.Practice.end(time.Now(), false)
	kept.Practice.Fault, kept.Practice.Cleanup, kept.Practice.Trusted = "", nil, false
	ctx, cancel := l.within(ctx)
	defer cancel()
	return l.Cluster.Retry(ctx, func(ctx context.Context) error { return l.write(ctx, practiceManager+suffix, key, kept) })
}

// cleanUp cleans up after a fault, with the trust that has planted it. What is gone needs no repair.
func (l *Labs) cleanUp(ctx context.Context, practice Practice) error {
	ctx, cancel := l.within(ctx)
	defer cancel()
	planter := *l
	planter.Trust = Trust{Foreign: !practice.Trusted}
	for _, repair := range practice.Cleanup {
		if err := planter.repair(ctx, repair); err != nil && !gone(err) {
			return messages.Errorf("what the fault %s has changed cannot be taken back", practice.Fault).Because(err)
		}
	}
	return nil
}

// repair does a repair, but for objects that it is not trusted with: these are told of, since nothing could go on otherwise.
func (l *Labs) repair(ctx context.Context, repair Repair) error {
	targets, err := l.meant(ctx, repair.Target)
	if err != nil {
		return err
	}
	if repair.With == nil {
		return l.Cluster.Remove(ctx, targets)
	}
	for _, target := range targets {
		err, refusal := l.patchOne(ctx, target, repair.With), untrusted{}
		switch {
		case errors.As(err, &refusal):
			l.Story.Say(messages.T("%s stays as it is: %s", target, err))
		case err != nil && !gone(err):
			return err
		}
	}
	return nil
}

// gone reports whether an object, or all of its kind, is not there.
func gone(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

// patch patches an object, or all that are meant.
func (l *Labs) patch(ctx context.Context, patch *course.Patch) error {
	content, err := patch.Content()
	if err != nil {
		return err
	}
	targets, err := l.meant(ctx, patch.Target)
	for _, target := range targets {
		if err == nil {
			err = l.patchOne(ctx, target, content)
		}
	}
	return err
}

// patchOne patches an object. What a patch of somebody else's course would make of it is refused as [Labs.VetObject] does.
func (l *Labs) patchOne(ctx context.Context, target kube.Reference, content []byte) error {
	if l.Trust.Foreign && !l.Trust.Given {
		patched, err := l.Cluster.Patch(ctx, target, content, true)
		if err == nil {
			err = l.VetObject(patched)
		}
		if err != nil {
			return err
		}
	}
	_, err := l.Cluster.Patch(ctx, target, content, false)
	return err
}

// meant are the objects that an action is done to: of those with labels, what is hellolab's, or of the whole cluster.
func (l *Labs) meant(ctx context.Context, target course.Target) (all []kube.Reference, err error) {
	version, err := l.Cluster.APIVersion(target.Kind)
	if err != nil || target.Name != "" {
		return []kube.Reference{{APIVersion: version, Kind: target.Kind, Namespace: target.Namespace, Name: target.Name}}, err
	}
	selector, err := labels.Parse(target.Labels)
	if err != nil {
		return nil, err
	}
	namespace, ours := target.Namespace, func(*unstructured.Unstructured) bool { return true }
	if target.Wide() {
		namespace = ""
	} else if ours, err = l.ours(ctx, namespace); err != nil {
		return nil, err
	}
	objects, err := l.Cluster.Of(ctx, version, target.Kind, namespace)
	for _, object := range objects {
		if selector.Matches(labels.Set(object.GetLabels())) && ours(object) {
			all = append(all, kube.Refer(object))
		}
	}
	return all, err
}

// ours tells which objects of a namespace are hellolab's: those that it has made, with its Helm releases, and what controllers have made for
// them. A reader's own Deployment may have pods with the very labels of a step's.
func (l *Labs) ours(ctx context.Context, namespace string) (func(*unstructured.Unstructured) bool, error) {
	there, _, err := l.present(ctx, []string{namespace}, true)
	if err != nil {
		return nil, err
	}
	releases, byUID := releasesOf(there), map[types.UID]*unstructured.Unstructured{}
	for _, object := range there {
		byUID[object.GetUID()] = object
	}
	return func(object *unstructured.Unstructured) bool {
		root := rootOf(object, byUID)
		of := releases[releaseOf(root)]
		return root.GetLabels()[kube.ChapterLabel] != "" || of != nil && of.ours
	}, nil
}

// rootOf is the object that an object was made for, by however many controllers in between.
func rootOf(object *unstructured.Unstructured, byUID map[types.UID]*unstructured.Unstructured) *unstructured.Unstructured {
	for range byUID { // owners may go in a circle
		controller := metav1.GetControllerOf(object)
		if controller == nil || byUID[controller.UID] == nil {
			break
		}
		object = byUID[controller.UID]
	}
	return object
}
