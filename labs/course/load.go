package course

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

const (
	courseFile  = "course.yaml"
	chapterFile = "lab.yaml"

	// nothing is what a step is `after` that builds on an empty snapshot.
	nothing = "nothing"
)

// Load reads a course, and refuses it with everything that is wrong with it, by file and line; folder is what errors
// call the place of the files. Images of the course's own account are looked for under account instead.
func Load(files fs.FS, folder, account string) (*Course, error) {
	l := &loader{files: files, folder: folder}
	course := l.course(account)
	return course, errors.Join(l.problems[:min(len(l.problems), mostWrong)]...)
}

// The sizes that a course may have. The built-in one is far below: a course beyond is there to wear out who reads it.
const (
	mostBytes   = 32 << 20 // of all files that are read, as often as they are
	mostSteps   = 500
	mostObjects = 5000
	mostWrong   = 100 // that are told of
)

// loader collects what is wrong with a course while it reads it.
type loader struct {
	files    fs.FS
	folder   string
	problems []error
	// bytes, steps and objects are how many have been read.
	bytes, steps, objects int
	rendering             time.Duration // that charts have taken
	// own matches images of the course's account, which are written with account instead.
	own     *regexp.Regexp
	account string
}

// refuse notes a problem at a line of a file; line 0 is the file as a whole.
func (l *loader) refuse(file string, line int, problem messages.Text) {
	if line == 0 {
		l.problems = append(l.problems, messages.Usagef("%s: %s", l.name(file), problem).WithHint("%s", help()))
		return
	}
	l.problems = append(l.problems, messages.Usagef("%s, line %v: %s", l.name(file), line, problem).WithHint("%s", help()))
}

// content reads a file. Others, such as a pipe, which nobody may ever write into, are refused.
func (l *loader) content(file string) ([]byte, error) {
	about, err := fs.Stat(l.files, file)
	if err != nil {
		if failure := new(fs.PathError); errors.As(err, &failure) {
			failure.Op = "open" // not the name of a system call
		}
		return nil, err
	}
	if !about.Mode().IsRegular() {
		return nil, messages.Usagef("it is not a regular file")
	}
	if l.bytes += int(min(about.Size(), mostBytes)); l.bytes > mostBytes {
		return nil, messages.Usagef("the course is too large: all of its files may have %v MiB", mostBytes>>20)
	}
	return fs.ReadFile(l.files, file)
}

func help() messages.Text { return messages.T("docs/courses.md describes the format of a course") }

func (l *loader) name(file string) string { return path.Join(l.folder, file) }

// read begins to decode a YAML file strictly, and returns what waits for that and returns the file's lines. Several files may be decoded
// at the same time.
func (l *loader) read(file string, into any) (decoded func() *yaml.Node) {
	content, failed := l.content(file)
	if failed != nil {
		failed = messages.Usagef("%s cannot be read", l.name(file)).Because(failed).WithHint("%s", help())
	}
	var document *yaml.Node
	var work sync.WaitGroup
	if failed == nil {
		work.Go(func() { document, failed = strict.Decode(l.name(file), content, into) })
	}
	return func() *yaml.Node {
		work.Wait()
		switch {
		case failed != nil:
			l.problems = append(l.problems, failed)
		case document == nil:
			l.refuse(file, 0, messages.T("it is empty"))
		default:
			return document.Content[0]
		}
		return nil
	}
}

func (l *loader) course(account string) *Course {
	course := &Course{}
	lines := l.read(courseFile, course)()
	if lines == nil {
		return course
	}
	if len(course.Order) == 0 {
		l.refuse(courseFile, 0, messages.T("it lists no chapters"))
	}
	if len(course.Namespaces) == 0 {
		l.refuse(courseFile, 0, messages.T("it lists no namespaces"))
	}
	for i, namespace := range course.Namespaces {
		if Reserved(namespace) {
			l.refuse(courseFile, line(lines, "namespaces", i), messages.T("the namespace %s belongs to the lab itself", namespace))
		}
	}
	if levels := []string{HintsLook, HintsCause, HintsCommand}; course.Hints != "" && !slices.Contains(levels, course.Hints) {
		l.refuse(courseFile, line(lines, "hints"), messages.T("hints: %q is not known; there are %s", course.Hints, levels))
	}
	if course.Account != "" && course.Account != account {
		l.own, l.account = regexp.MustCompile(`(?m)(^|image:\s*["']?)`+regexp.QuoteMeta(course.Account)+"/"), account
	}
	type begun struct {
		chapter *Chapter
		decoded func() *yaml.Node
	}
	var all []begun
	for i, name := range course.Order {
		at := line(lines, "chapters", i)
		switch {
		case !validName.MatchString(name):
			l.refuse(courseFile, at, messages.T("%q is not a valid name: use lower-case letters, digits and - only", name))
		case slices.Index(course.Order, name) < i:
			l.refuse(courseFile, at, messages.T("%q is there twice", name))
		default:
			chapter := &Chapter{Name: name}
			all = append(all, begun{chapter, l.read(chapter.file(), chapter)})
		}
	}
	for _, next := range all {
		l.chapter(course, next.chapter, next.decoded())
		course.Chapters = append(course.Chapters, next.chapter)
	}
	if l.own != nil {
		course.Account = account
	}
	return course
}

var validName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// file is where the chapter is written.
func (c *Chapter) file() string { return path.Join(c.Name, chapterFile) }

// chapter reads what the lines of one chapter lead to; those before it are in course.
func (l *loader) chapter(course *Course, chapter *Chapter, lines *yaml.Node) {
	if lines == nil {
		return
	}
	file := chapter.file()
	if at := slices.Index(chapter.Steps, nil); at >= 0 {
		l.refuse(file, line(lines, "steps", at), messages.T("it is empty"))
		chapter.Steps = slices.DeleteFunc(chapter.Steps, func(step *Step) bool { return step == nil })
		return // the lines of the others are not known any more
	}
	if len(chapter.Steps) == 0 {
		l.refuse(file, 0, messages.T("it has no steps"))
	}
	chapter.given = spot{l, file, line(lines, "given")}.manifests("", chapter.Given, metav1.NamespaceDefault)
	if chapter.Before != "" {
		before, err := course.Find(chapter.Before)
		if err != nil {
			l.refuse(file, line(lines, "before"), messages.T("no chapter before this one has a step %q", chapter.Before))
		}
		chapter.before = before
	}
	if l.steps += len(chapter.Steps); l.steps > mostSteps {
		l.refuse(file, 0, messages.T("the course is too large: all of it may have %v steps", mostSteps))
		return
	}
	for i, step := range chapter.Steps {
		step.chapter = chapter
		at := line(lines, "steps", i)
		switch {
		case !validName.MatchString(step.Name) || step.Name == nothing:
			l.refuse(file, at, messages.T("%q is not a valid name: use lower-case letters, digits and - only", step.Name))
		case chapter.step(step.Name) != step:
			l.refuse(file, at, messages.T("%q is there twice", step.Name))
		}
		if i > 0 {
			step.previous = chapter.Steps[i-1]
		}
		if step.After != "" && step.After != nothing && !slices.ContainsFunc(chapter.Steps[:i], func(s *Step) bool { return s.Name == step.After }) {
			l.refuse(file, line(lines, "steps", i, "after"), messages.T("no step before this one is called %q", step.After))
			step.After = ""
		}
		l.step(file, child(lines, "steps", i), step)
		step.snapshots()
		l.faults(file, child(lines, "steps", i), step)
	}
}

func (l *loader) step(file string, lines *yaml.Node, step *Step) {
	for i, part := range step.Needs {
		if part != "ingress" && part != "tunnel" {
			l.refuse(file, line(lines, "needs", i), messages.T("a lab has no part %q", part))
		}
	}
	step.file, step.line = l.name(file), line(lines, "sources")
	for _, language := range []string{"en", "zh"} {
		guide := step.Guide.English
		if language == "zh" {
			guide = step.Guide.Chinese
		}
		if _, err := (Place{}).fill(guide); err != nil {
			l.refuse(file, line(lines, "guide", language), messages.T("it is not a valid guide: %s", err))
		}
	}
	if len(step.Do) == 0 {
		step.Do = l.everything(step, line(lines))
	}
	for _, list := range []string{"do", "exercise", "expect", "sources"} {
		l.noGaps(file, child(lines, list))
	}
	l.actions(file, step, step.Do, step.Exercise)
	l.noChanges(file, step.Do, step.Exercise)
	if len(step.Expect) == 0 {
		l.refuse(file, line(lines), messages.T("the step %s expects nothing", step.Name))
	}
	for i := range step.Expect {
		step.Expect[i].check(spot{l, file, step.Expect[i].line})
	}
}

// actions checks lists of a step's actions.
func (l *loader) actions(file string, step *Step, lists ...[]Action) {
	for _, actions := range lists {
		for i := range actions {
			actions[i].Step = step
			actions[i].check(spot{l, file, actions[i].line})
		}
	}
}

// noGaps refuses elements of a list without a value, which decoding leaves out.
func (l *loader) noGaps(file string, list *yaml.Node) {
	if list == nil {
		return
	}
	for _, element := range list.Content {
		if element.Tag == "!!null" {
			l.refuse(file, element.Line, messages.T("it is empty"))
		}
	}
}

// everything applies the manifests in the step's folder.
func (l *loader) everything(step *Step, line int) []Action {
	found, err := fs.Glob(l.files, path.Join(step.chapter.Name, step.Name, "*.yaml"))
	if err != nil || len(found) == 0 {
		return nil
	}
	var apply []string
	for _, name := range found {
		apply = append(apply, strings.TrimPrefix(name, step.chapter.Name+"/"))
	}
	return []Action{{Operation: &Apply{Files: apply}, line: line}}
}

// manifests reads files below a folder of the course. Objects get namespace, where they name none.
func (s spot) manifests(folder string, names []string, namespace string) []Manifest {
	var all []Manifest
	for _, name := range names {
		file := path.Join(folder, name)
		content, err := s.content(file)
		if err != nil {
			s.wrong(messages.T("%s cannot be read: %s", name, err))
			continue
		}
		content = s.renamed(strict.Plain(content))
		objects := s.objectsIn(file, content, func(o *unstructured.Unstructured, line int) {
			switch {
			case o.GetKind() == "Namespace":
			case clusterWide(o):
				s.refuse(file, line, messages.T("%s %s is not in a namespace: apart from Namespaces, a course can only have objects that are",
					o.GetKind(), o.GetName()))
			case o.GetNamespace() == "":
				o.SetNamespace(namespace)
			}
		})
		all = append(all, Manifest{Name: path.Base(name), Content: string(content), Objects: objects})
	}
	return all
}

// objectsIn reads the objects of a file, and has each of them completed; the line is the one that it begins in.
func (l *loader) objectsIn(file string, content []byte, complete func(o *unstructured.Unstructured, line int)) (all []*unstructured.Unstructured) {
	documents, err := strict.Documents(l.name(file), content, strict.Written)
	if err != nil {
		l.problems = append(l.problems, err)
		return nil
	}
	for _, node := range documents {
		if node.Content[0].Tag == "!!null" {
			continue // nothing but a comment between two ---
		}
		if err := strict.Slips(l.name(file), node); err != nil {
			l.problems = append(l.problems, err)
			return nil
		}
		object, err := DecodeObject(node)
		if err != nil {
			l.refuse(file, node.Line, messages.T("it is not a valid object: %s", err))
			continue
		}
		if object.GetName() == "" || object.GetKind() == "" || object.GetAPIVersion() == "" {
			l.refuse(file, node.Content[0].Line, messages.T("an object needs apiVersion, kind and metadata.name"))
			continue
		}
		complete(object, node.Content[0].Line)
		all = append(all, object)
	}
	if len(all) == 0 {
		l.refuse(file, 0, messages.T("it has no objects"))
	}
	if l.objects += len(all); l.objects > mostObjects {
		l.refuse(file, 0, messages.T("the course is too large: all of it may have %v objects", mostObjects))
		return nil
	}
	return all
}

// DecodeObject turns YAML into an object with JSON's types, as the API server's clients have them.
func DecodeObject(node *yaml.Node) (*unstructured.Unstructured, error) {
	var content map[string]any
	if err := node.Decode(&content); err != nil {
		return nil, err
	}
	written, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, json.Unmarshal(written, &object.Object)
}

// child finds a node below another by keys and positions, or nil.
func child(node *yaml.Node, path ...any) *yaml.Node {
	for _, part := range path {
		if node == nil {
			return nil
		}
		var found *yaml.Node
		switch part := part.(type) {
		case int:
			if node.Kind == yaml.SequenceNode && part < len(node.Content) {
				found = node.Content[part]
			}
		case string:
			for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == part {
					found = node.Content[i+1]
				}
			}
		}
		node = found
	}
	return node
}

// line is the line of the nearest node along the way.
func line(node *yaml.Node, path ...any) int {
	for i := len(path); i >= 0; i-- {
		if found := child(node, path[:i]...); found != nil {
			return found.Line
		}
	}
	return 0
}

// field returns the text at a path of keys, or "".
func field(node *yaml.Node, keys string) string {
	var parts []any
	for _, key := range strings.Split(keys, ".") {
		parts = append(parts, key)
	}
	if found := child(node, parts...); found != nil {
		return found.Value
	}
	return ""
}
