package dashboard

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// number is an object's revision, or 0.
func (o *object) number() int {
	for _, fact := range o.Facts {
		if fact[0] == "revision" {
			number, _ := strconv.Atoi(fact[1])
			return number
		}
	}
	return 0
}

// revisions are those that a Deployment can go back to, the newest first, each with its image and with what it changed.
func (h *hub) revisions(o *object) (all []option) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	var sets []*object
	for _, each := range h.objects {
		if each.Kind == "ReplicaSet" && each.Owner == o.ID && each.number() > 0 {
			sets = append(sets, each)
		}
	}
	slices.SortFunc(sets, func(a, b *object) int { return cmp.Compare(a.number(), b.number()) })
	for i, set := range sets {
		if set.number() == o.number() { // it is there already
			continue
		}
		said := []string{}
		if containers := set.template.Spec.Containers; len(containers) > 0 {
			said = append(said, shortImage(containers[0].Image))
		}
		if set.cause != "" {
			said = append(said, set.cause)
		} else if i > 0 {
			said = append(said, strings.Join(changes(sets[i-1].template, set.template), ", "))
		}
		all = append(all, option{strconv.Itoa(set.number()), strings.Join(said, " · ")})
	}
	slices.Reverse(all)
	return all
}

// changes names what two templates of pods differ in, by the names of the fields: "image", "livenessProbe".
func changes(before, after *corev1.PodTemplateSpec) (names []string) {
	old, now := parts(before), parts(after)
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if old[key] != now[key] {
			names = append(names, key[strings.LastIndex(key, "/")+1:])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, still := now[key]; !still {
			names = append(names, key[strings.LastIndex(key, "/")+1:])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// parts are the fields of a template of pods and of its containers, by their paths, as JSON.
func parts(template *corev1.PodTemplateSpec) map[string]string {
	all := map[string]string{}
	add := func(path string, value any) {
		content, _ := json.Marshal(value)
		fields := map[string]json.RawMessage{}
		if json.Unmarshal(content, &fields) != nil {
			return
		}
		for key, field := range fields {
			all[path+key] = string(field)
		}
	}
	labels := maps.Clone(template.Labels)
	delete(labels, appsv1.DefaultDeploymentUniqueLabelKey) // which differs always
	add("labels/", labels)
	add("annotations/", template.Annotations)
	spec := template.Spec
	for _, container := range spec.Containers {
		add("containers/"+container.Name+"/", container)
	}
	spec.Containers = nil
	add("spec/", spec)
	return all
}
