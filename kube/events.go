package kube

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Events returns the events of a namespace that match a field selector ("type=Warning"), the newest last.
func Events(ctx context.Context, api kubernetes.Interface, namespace, selector string) ([]corev1.Event, error) {
	list, err := api.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: selector})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int {
		return cmp.Or(LastSeen(&a).Compare(LastSeen(&b)), strings.Compare(a.Name, b.Name))
	})
	return list.Items, nil
}

// LastSeen is when an event happened last. Components that use the API events.k8s.io, the scheduler among them, leave
// lastTimestamp empty: they set eventTime, and series once the event repeats
// (https://github.com/kubernetes/kubernetes/issues/89689).
func LastSeen(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil && !event.Series.LastObservedTime.IsZero():
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	}
	return event.CreationTimestamp.Time
}
