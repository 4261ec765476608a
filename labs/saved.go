package labs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

// savedLab is the content of a saved file.
type savedLab struct {
	state   State
	objects []*unstructured.Unstructured
	// touched are hellolab's objects that the user has changed: "configmap/hellok8s-config -n dev".
	touched []string
	// apart says that these are objects that had to go for something else: they come back beside what is there.
	apart bool
}

// open reads a saved file, and refuses any other.
func (l *Labs) open(file string) (lab savedLab, err error) {
	save := messages.Hellolab("lab", "save")
	content, err := os.ReadFile(file)
	if err != nil {
		return lab, messages.Usagef("%s cannot be read", file).Because(err).WithHint("name a file that %s wrote", save)
	}
	content = strict.Plain(content) // editors and git may have changed the ends of its lines
	line, body, _ := bytes.Cut(content, []byte("\n"))
	sum, found := strings.CutPrefix(strings.TrimSuffix(string(line), "\r"), firstWords)
	if !found {
		sum, lab.apart = strings.CutPrefix(strings.TrimSuffix(string(line), "\r"), firstWordsApart)
	}
	if !found && !lab.apart {
		return lab, messages.Usagef("%s is not a file that %s wrote", file, save).
			WithHint("%s writes one; for other YAML, use %s", save.Usage("FILE"), messages.Kubectl("", "apply", "-f", file))
	}
	if actual := sha256.Sum256(body); hex.EncodeToString(actual[:]) != sum {
		return lab, messages.Usagef("%s is damaged or has been changed: its content is not what was saved", file).
			WithHint("get the original file again; or copy what you need of it to another file, and use %s", messages.Kubectl("", "apply", "-f").Usage("FILE"))
	}
	documents, err := strict.Documents(file, body, strict.Saved)
	if err != nil {
		return lab, err
	}
	for _, document := range documents {
		object, err := course.DecodeObject(document)
		if err != nil {
			return lab, messages.Usagef("%s is not YAML", file).Because(err)
		}
		lab.objects = append(lab.objects, object)
	}
	if lab.apart {
		return lab, within(file, lab)
	}
	return l.unpack(file, lab)
}

// within refuses a file of kept objects that has some where no course's may be.
func within(file string, lab savedLab) error {
	for _, object := range lab.objects {
		name := placeOf(object)
		if name == "" || course.Reserved(name) {
			return messages.Usagef("%s holds %s, which belongs to no course", file, kube.Refer(object)).
				WithHint("use %s, if that is what you want", messages.Kubectl("", "apply", "--server-side", "-f", file))
		}
	}
	return nil
}

// placeOf is the namespace that an object is in, or is, or is a volume for; "" where it belongs to the whole cluster.
func placeOf(object *unstructured.Unstructured) string {
	switch object.GetKind() {
	case "Namespace":
		return object.GetName()
	case "PersistentVolume":
		name, _, _ := unstructured.NestedString(object.Object, "spec", "claimRef", "namespace")
		return name
	}
	return object.GetNamespace()
}

// unpack reads the header off the objects, and refuses a file of another course.
func (l *Labs) unpack(file string, lab savedLab) (savedLab, error) {
	foreign := func(why messages.Text) error {
		return messages.Usagef("%s was saved from another course: %s", file, why).WithHint("name the course that it is from: --course DIR")
	}
	if len(lab.objects) == 0 || lab.objects[0].GetKind() != savedKind || lab.objects[0].GetAPIVersion() != savedSchema {
		return lab, foreign(messages.T("it does not name this one"))
	}
	header := lab.objects[0]
	lab.objects = lab.objects[1:]
	lab.state.Step, _, _ = unstructured.NestedString(header.Object, "step")
	lab.state.Before, _, _ = unstructured.NestedBool(header.Object, "before")
	lab.state.Installing, _, _ = unstructured.NestedBool(header.Object, "installing")
	marks, _, _ := unstructured.NestedString(header.Object, "marks")
	passed, _, _ := unstructured.NestedStringSlice(header.Object, "passed") // what older versions have written
	lab.state.Marks = readMarks(marks, passed)
	lab.touched, _, _ = unstructured.NestedStringSlice(header.Object, "touched")
	if lab.state.Step != "" {
		if _, err := l.Course.Find(lab.state.Step); err != nil {
			return lab, foreign(messages.T("it has a step %s", lab.state.Step))
		}
	}
	for _, object := range lab.objects {
		name := placeOf(object)
		if !slices.Contains(l.Course.Namespaces, name) {
			return lab, foreign(messages.T("it has a namespace %s", name))
		}
		if object.GetLabels()[kube.ChapterLabel] != "" {
			lab.state.Objects = append(lab.state.Objects, kube.Refer(object))
		}
	}
	return lab, nil
}
