package labs

import (
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

// Trust is how far what is to be installed may go.
type Trust struct {
	// Foreign says that the course is somebody else's, not the built-in one.
	Foreign bool
	// Given is the user's word (--trust) that whoever made the course, or the file, may do everything in the lab.
	Given bool
}

// Vet refuses a snapshot of somebody else's course that could do more than a course needs: each object is named, with what
// it could do. Nothing is changed.
func (l *Labs) Vet(step *course.Step, snapshot *course.Snapshot) error {
	if !l.Trust.Foreign || l.Trust.Given {
		return nil
	}
	again := messages.Hellolab("lab", "--trust", step.ID())
	return refused(messages.T("the course %s", l.Course.Title.Text()), snapshot.Dangers(), again)
}

// VetObject is [Labs.Vet] for what the templates of the course's charts make of this cluster, at the last moment.
func (l *Labs) VetObject(object *unstructured.Unstructured) error {
	if !l.Trust.Foreign || l.Trust.Given {
		return nil
	}
	dangers := course.Dangers([]*unstructured.Unstructured{object})
	if len(dangers) == 0 {
		return nil
	}
	var lines []messages.Text
	for _, danger := range dangers {
		lines = append(lines, danger.Text())
	}
	return untrusted{messages.Errorf("%s; it is not installed without %s", lines, messages.Hellolab("lab", "--trust").Usage("CHAPTER/STEP"))}
}

// untrusted is the refusal of an object.
type untrusted struct{ error }

func (u untrusted) Unwrap() error { return u.error }

// vetFile is [Labs.Vet] for the objects of a saved file, whose course may be any: files are passed on. The records of Helm
// releases are looked into, since helm does to the cluster what they say.
func (l *Labs) vetFile(file string, objects []*unstructured.Unstructured) error {
	if l.Trust.Given {
		return nil
	}
	dangers := course.Dangers(objects)
	for _, object := range objects {
		if _, _, isRecord := helm.Recorded(object.GetKind(), object.GetLabels()); isRecord {
			dangers = append(dangers, ofRecord(object)...)
		}
	}
	return refused(messages.T("%s", file), dangers, messages.Hellolab("lab", "restore", "--trust", file))
}

// ofRecord lists the dangers of what the record of a Helm release holds.
func ofRecord(record *unstructured.Unstructured) []course.Danger {
	unreadable := func(err error) []course.Danger {
		return []course.Danger{{Object: kube.Refer(record).String(), What: messages.T("what helm has recorded there cannot be read: %s", err)}}
	}
	content, _, _ := unstructured.NestedString(record.Object, "data", "release")
	manifests, err := helm.Manifests(content)
	if err != nil {
		return unreadable(err)
	}
	var objects []*unstructured.Unstructured
	for _, manifest := range manifests {
		documents, err := strict.Documents(record.GetName(), []byte(manifest), strict.Saved)
		if err != nil {
			return unreadable(err)
		}
		for _, document := range documents {
			object, err := course.DecodeObject(document)
			if err != nil { // Helm reads more than this program does
				return unreadable(err)
			}
			if object.GetKind() != "" {
				objects = append(objects, object)
			}
		}
	}
	return course.Dangers(objects)
}

// refused is the error about dangers, or nil where there are none.
func refused(whose messages.Text, dangers []course.Danger, again messages.Command) error {
	if len(dangers) == 0 {
		return nil
	}
	lines := []error{messages.Usagef("%s could do more than to run containers in its namespaces; nothing was changed", whose).
		WithHint("if you trust whoever made it with all of this lab and its engine: %s", again)}
	for i, danger := range dangers {
		if i == mostNamed {
			lines = append(lines, messages.Usagef("and %v more", len(dangers)-i))
			break
		}
		lines = append(lines, messages.Usagef("%s", danger.Text()))
	}
	return errors.Join(lines...)
}

// mostNamed is how many dangers are named.
const mostNamed = 50
