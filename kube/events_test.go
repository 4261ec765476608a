package kube

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestEvents checks that the newest event is the last one, whichever field its component puts the time in.
func TestEvents(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 12, minute, 0, 0, time.UTC) }
	event := func(name string, created int, change func(*corev1.Event)) *corev1.Event {
		made := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", CreationTimestamp: metav1.NewTime(at(created))}}
		change(made)
		return made
	}
	last := func(minute int) func(*corev1.Event) {
		return func(e *corev1.Event) { e.LastTimestamp = metav1.NewTime(at(minute)) }
	}
	once := func(minute int) func(*corev1.Event) {
		return func(e *corev1.Event) { e.EventTime = metav1.NewMicroTime(at(minute)) }
	}
	repeated := func(minute int) func(*corev1.Event) {
		return func(e *corev1.Event) {
			e.EventTime, e.Series = metav1.NewMicroTime(at(1)), &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(at(minute))}
		}
	}
	for _, test := range []struct {
		name   string
		events []*corev1.Event
		want   []string
	}{
		{"the scheduler's, without a lastTimestamp", []*corev1.Event{event("a", 9, once(9)), event("b", 8, last(8))}, []string{"b", "a"}},
		{"one that repeats", []*corev1.Event{event("a", 1, repeated(9)), event("b", 8, last(8))}, []string{"b", "a"}},
		{"one that was made long ago and repeats", []*corev1.Event{event("a", 1, last(9)), event("b", 8, last(8))}, []string{"b", "a"}},
		{"one without any time of its own", []*corev1.Event{event("a", 9, func(*corev1.Event) {}), event("b", 8, last(8))}, []string{"b", "a"}},
		{"two of one moment", []*corev1.Event{event("b", 1, last(8)), event("a", 1, last(8))}, []string{"a", "b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			api := fake.NewClientset()
			for _, e := range test.events {
				if err := api.Tracker().Add(e); err != nil {
					t.Fatal(err)
				}
			}
			found, err := Events(t.Context(), api, "default", "")
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range found {
				names = append(names, e.Name)
			}
			if !slices.Equal(names, test.want) {
				t.Errorf("the order is %v, want %v", names, test.want)
			}
		})
	}
}
