package course

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hellolab/hellolab/helm"
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
	return course, errors.Join(l.problems...)
}

// loader collects what is wrong with a course while it reads it.
type loader struct {
	files    fs.FS
	folder   string
	problems []error
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

func help() messages.Text { return messages.T("docs/courses.md describes the format of a course") }

func (l *loader) name(file string) string { return path.Join(l.folder, file) }

// read decodes a YAML file strictly, and gives its lines.
func (l *loader) read(file string, into any) *yaml.Node {
	content, err := fs.ReadFile(l.files, file)
	if err != nil {
		l.problems = append(l.problems, messages.Usagef("%s cannot be read", l.name(file)).Because(err).WithHint("%s", help()))
		return nil
	}
	if err := strict.Decode(l.name(file), content, into); err != nil {
		l.problems = append(l.problems, err)
		return nil
	}
	var lines yaml.Node
	if yaml.Unmarshal(content, &lines) != nil || len(lines.Content) == 0 {
		l.refuse(file, 0, messages.T("it is empty"))
		return nil
	}
	return lines.Content[0]
}

func (l *loader) course(account string) *Course {
	course := &Course{}
	lines := l.read(courseFile, course)
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
		if strings.HasPrefix(namespace, "kube-") || slices.Contains([]string{"hellolab", "ingress-nginx", "local-path-storage"}, namespace) {
			l.refuse(courseFile, line(lines, "namespaces", i), messages.T("the namespace %s belongs to the lab itself", namespace))
		}
	}
	if course.Account != "" && course.Account != account {
		l.own, l.account = regexp.MustCompile(`(?m)(^|image:\s*["']?)`+regexp.QuoteMeta(course.Account)+"/"), account
	}
	for i, name := range course.Order {
		at := line(lines, "chapters", i)
		switch {
		case !validName.MatchString(name):
			l.refuse(courseFile, at, messages.T("%q is no name: small letters, digits and - only", name))
		case slices.Index(course.Order, name) < i:
			l.refuse(courseFile, at, messages.T("%q is there twice", name))
		default:
			course.Chapters = append(course.Chapters, l.chapter(course, name))
		}
	}
	if l.own != nil {
		course.Account = account
	}
	return course
}

var validName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// chapter reads one chapter; those before it are in course.
func (l *loader) chapter(course *Course, name string) *Chapter {
	chapter := &Chapter{Name: name}
	file := path.Join(name, chapterFile)
	lines := l.read(file, chapter)
	if lines == nil {
		return chapter
	}
	if at := slices.Index(chapter.Steps, nil); at >= 0 {
		l.refuse(file, line(lines, "steps", at), messages.T("it is empty"))
		chapter.Steps = slices.DeleteFunc(chapter.Steps, func(step *Step) bool { return step == nil })
		return chapter // the lines of the others cannot be told any more
	}
	if len(chapter.Steps) == 0 {
		l.refuse(file, 0, messages.T("it has no steps"))
	}
	chapter.given = l.manifests(file, line(lines, "given"), "", chapter.Given, metav1.NamespaceDefault)
	if chapter.Before != "" {
		before, err := course.Find(chapter.Before)
		if err != nil {
			l.refuse(file, line(lines, "before"), messages.T("no chapter before this one has a step %q", chapter.Before))
		}
		chapter.before = before
	}
	for i, step := range chapter.Steps {
		step.chapter = chapter
		at := line(lines, "steps", i)
		switch {
		case !validName.MatchString(step.Name) || step.Name == nothing:
			l.refuse(file, at, messages.T("%q is no name: small letters, digits and - only", step.Name))
		case chapter.step(step.Name) != step:
			l.refuse(file, at, messages.T("%q is there twice", step.Name))
		}
		if i > 0 {
			step.previous = chapter.Steps[i-1]
		}
		if at := slices.IndexFunc(chapter.Steps, func(s *Step) bool { return s.Name == step.After }); step.After != "" && step.After != nothing && (at < 0 || at >= i) {
			l.refuse(file, line(lines, "steps", i, "after"), messages.T("no step before this one is called %q", step.After))
			step.After = ""
		}
		l.step(file, child(lines, "steps", i), step)
		step.snapshots()
	}
	return chapter
}

func (l *loader) step(file string, lines *yaml.Node, step *Step) {
	for i, part := range step.Needs {
		if part != "ingress" && part != "tunnel" {
			l.refuse(file, line(lines, "needs", i), messages.T("a lab has no part %q", part))
		}
	}
	for _, language := range []string{"en", "zh"} {
		guide := step.Guide.English
		if language == "zh" {
			guide = step.Guide.Chinese
		}
		if _, err := (Place{}).fill(guide); err != nil {
			l.refuse(file, line(lines, "guide", language), messages.T("it is no guide: %s", err))
		}
	}
	if len(step.Do) == 0 {
		step.Do = l.everything(step)
	}
	for i := range step.Do {
		step.Do[i].line = line(lines, "do", i)
		l.action(file, step, &step.Do[i])
	}
	for i := range step.Exercise {
		step.Exercise[i].line = line(lines, "exercise", i)
		l.action(file, step, &step.Exercise[i])
	}
	if len(step.Expect) == 0 {
		l.refuse(file, line(lines), messages.T("the step %s expects nothing", step.Name))
	}
	for i := range step.Expect {
		step.Expect[i].line = line(lines, "expect", i)
		l.expectation(file, &step.Expect[i])
	}
}

// everything applies the manifests in the step's folder.
func (l *loader) everything(step *Step) []Action {
	found, err := fs.Glob(l.files, path.Join(step.chapter.Name, step.Name, "*.yaml"))
	if err != nil || len(found) == 0 {
		return nil
	}
	var apply []string
	for _, name := range found {
		apply = append(apply, strings.TrimPrefix(name, step.chapter.Name+"/"))
	}
	return []Action{{Apply: apply}}
}

func (l *loader) action(file string, step *Step, action *Action) {
	action.Step = step
	if count(len(action.Apply) > 0, action.Undo != nil, action.Complete != "", action.Replace != "", action.Install != nil,
		action.Upgrade != nil, action.Rollback != nil, action.Publish != nil) != 1 {
		l.refuse(file, action.line, messages.T("it has to be just one of: %s",
			[]string{"apply", "undo", "complete", "replace", "install", "upgrade", "rollback", "publish"}))
	}
	if kind, name, _ := strings.Cut(action.Complete, "/"); action.Complete != "" && (name == "" || !slices.Contains([]string{"deployment", "job", "pod"}, kind)) {
		l.refuse(file, action.line, messages.T("%q is not deployment/NAME, job/NAME or pod/NAME", action.Complete))
	}
	if action.Undo != nil && action.Undo.Deployment == "" {
		l.refuse(file, action.line, messages.T("%q is missing", "deployment"))
	}
	if rollback := action.Rollback; rollback != nil {
		rollback.Namespace = cmp.Or(rollback.Namespace, metav1.NamespaceDefault)
		if rollback.Release == "" {
			l.refuse(file, action.line, messages.T("%q is missing", "release"))
		}
	}
	if publish := action.Publish; publish != nil {
		if publish.chart = l.chart(file, action.line, publish.Chart); publish.chart != nil {
			publish.chart = helm.Version(publish.chart, publish.Version)
		}
	}
	action.Namespace = cmp.Or(action.Namespace, metav1.NamespaceDefault)
	action.manifests = l.manifests(file, action.line, step.chapter.Name, action.Apply, action.Namespace)
	for _, release := range []*Release{action.Install, action.Upgrade} {
		if release != nil {
			action.manifests = append(action.manifests, l.release(file, action.line, release)...)
		}
	}
}

// count tells how many are true.
func count(conditions ...bool) (n int) {
	for _, condition := range conditions {
		if condition {
			n++
		}
	}
	return n
}

func (l *loader) expectation(file string, e *Expectation) {
	set := count(!e.Object.IsZero(), e.Absent != nil, e.HTTP != nil, e.Pods != nil, e.Endpoints != nil, e.History != nil,
		e.Replaced != nil, e.Logs != nil, e.Image != "", e.Runs != nil, e.Release != nil, e.Chart != nil, e.LoadBalancer != nil)
	if set != 1 {
		l.refuse(file, e.line, messages.T("it has to be just one of: %s",
			[]string{"object", "absent", "http", "pods", "endpoints", "history", "replaced", "logs", "image", "runs", "release", "chart", "loadBalancer"}))
		return
	}
	if _, err := (Place{}).fill(e.Next); err != nil {
		l.refuse(file, e.line, messages.T("%q is no command: %s", e.Next, err))
	}
	for _, reference := range []*Reference{e.Absent, e.Replaced, e.Runs} {
		if reference != nil && reference.Name == "" {
			l.refuse(file, e.line, messages.T("%q is missing", "name"))
		}
	}
	for _, namespace := range e.namespaces() {
		*namespace = cmp.Or(*namespace, metav1.NamespaceDefault)
	}
	if l.own != nil {
		e.Image = l.own.ReplaceAllString(e.Image, "${1}"+l.account+"/")
	}
	switch {
	case !e.Object.IsZero():
		l.object(file, e)
	case e.Absent != nil && e.Absent.Kind == "":
		l.refuse(file, e.line, messages.T("%q is missing", "kind"))
	case e.HTTP != nil:
		l.http(file, e)
	case e.Pods != nil:
		if _, err := labels.Parse(e.Pods.Labels); err != nil {
			l.refuse(file, e.line, messages.T("%q is no list of labels: %s", e.Pods.Labels, err))
		}
	case e.Endpoints != nil && e.Endpoints.Service == "":
		l.refuse(file, e.line, messages.T("%q is missing", "service"))
	case e.History != nil && (e.History.Deployment == "" || len(e.History.Images) == 0):
		l.refuse(file, e.line, messages.T("%q is missing", "deployment, images"))
	case e.Logs != nil && e.Logs.Job == "":
		l.refuse(file, e.line, messages.T("%q is missing", "job"))
	case e.Logs != nil:
		l.pattern(file, e.line, "match", &e.Logs.Match)
	case e.Release != nil && (e.Release.Name == "" || e.Release.Chart == ""):
		l.refuse(file, e.line, messages.T("%q is missing", "name, chart"))
	case e.Release != nil:
		l.optional(file, e.line, "version", &e.Release.Version)
	case e.Chart != nil && e.Chart.Name == "":
		l.refuse(file, e.line, messages.T("%q is missing", "name"))
	case e.Chart != nil:
		l.pattern(file, e.line, "version", &e.Chart.Version)
	case e.LoadBalancer != nil && (e.LoadBalancer.Service == "" || e.LoadBalancer.Port == 0):
		l.refuse(file, e.line, messages.T("%q is missing", "service, port"))
	case e.LoadBalancer != nil:
		l.pattern(file, e.line, "answers", &e.LoadBalancer.Answers)
	}
}

// optional is pattern for a key that may be left out.
func (l *loader) optional(file string, at int, key string, pattern *Pattern) {
	if pattern.text != "" {
		l.pattern(file, at, key, pattern)
	}
}

// pattern compiles what a key has.
func (l *loader) pattern(file string, at int, key string, pattern *Pattern) {
	if pattern.text == "" {
		l.refuse(file, at, messages.T("%q is missing", key))
		return
	}
	compiled, err := regexp.Compile(pattern.text)
	if err != nil {
		l.refuse(file, pattern.line, messages.T("%s %s is no pattern: %s", key, pattern.text, err))
	}
	pattern.Regexp = compiled
}

func (l *loader) http(file string, e *Expectation) {
	question := e.HTTP
	if count(question.Pod != "", question.Pods != "", question.Service != "", question.NodePort != "", question.Ingress != "") != 1 {
		l.refuse(file, e.line, messages.T("it has to be just one of: %s", []string{"pod", "pods", "service", "nodePort", "ingress"}))
	}
	if question.NodePort == "" && question.Ingress == "" && question.Port == 0 {
		l.refuse(file, e.line, messages.T("%q is missing", "port"))
	}
	l.pattern(file, e.line, "answers", &question.Answers)
	if _, err := labels.Parse(question.Pods); err != nil {
		l.refuse(file, e.line, messages.T("%q is no list of labels: %s", question.Pods, err))
	}
}

func (l *loader) object(file string, e *Expectation) {
	for _, key := range []string{"apiVersion", "kind", "metadata.name"} {
		if field(&e.Object, key) == "" {
			l.refuse(file, e.line, messages.T("%q is missing", key))
		}
	}
	l.leaves(file, &e.Object)
}

// leaves checks the patterns of a partial object.
func (l *loader) leaves(file string, node *yaml.Node) {
	for _, inner := range node.Content {
		l.leaves(file, inner)
	}
	if (node.Kind == yaml.MappingNode || node.Kind == yaml.SequenceNode) && !strings.HasPrefix(node.Tag, "!!") {
		l.refuse(file, node.Line, messages.T("%s belongs to a single value", node.Tag))
	}
	if node.Kind == yaml.AliasNode {
		l.refuse(file, node.Line, messages.T("an object has to be written out, without an alias"))
	}
	if node.Kind != yaml.ScalarNode {
		return
	}
	if _, err := NewMatcher(node); err != nil {
		l.refuse(file, node.Line, messages.T("%s %s is no pattern: %s", node.Tag, node.Value, err))
	}
}

// manifests reads files below a folder of the course. Objects get namespace, where they name none.
func (l *loader) manifests(listedIn string, at int, folder string, names []string, namespace string) []Manifest {
	var all []Manifest
	for _, name := range names {
		file := path.Join(folder, name)
		content, err := fs.ReadFile(l.files, file)
		if err != nil {
			l.refuse(listedIn, at, messages.T("%s cannot be read: %s", name, err))
			continue
		}
		if l.own != nil {
			content = l.own.ReplaceAll(content, []byte("${1}"+l.account+"/"))
		}
		manifest := Manifest{Name: path.Base(name), Content: string(content)}
		if manifest.Objects, err = l.objects(file, content, namespace); err != nil {
			l.problems = append(l.problems, strict.Retell(l.name(file), err))
		}
		all = append(all, manifest)
	}
	return all
}

func (l *loader) objects(file string, content []byte, namespace string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if node.Content[0].Tag == "!!null" {
			continue // nothing but a comment between two ---
		}
		object, err := decodeObject(&node)
		if err != nil {
			l.refuse(file, node.Line, messages.T("it is no object: %s", err))
			continue
		}
		if object.GetName() == "" || object.GetKind() == "" || object.GetAPIVersion() == "" {
			l.refuse(file, node.Content[0].Line, messages.T("an object needs apiVersion, kind and metadata.name"))
			continue
		}
		if object.GetNamespace() == "" && object.GetKind() != "Namespace" {
			object.SetNamespace(namespace)
		}
		all = append(all, object)
	}
	if len(all) == 0 {
		l.refuse(file, 0, messages.T("it has no objects"))
	}
	return all, nil
}

// decodeObject turns YAML into an object with JSON's types, as the API server's clients have them.
func decodeObject(node *yaml.Node) (*unstructured.Unstructured, error) {
	var content map[string]any
	if err := node.Decode(&content); err != nil {
		return nil, err
	}
	written, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	err = json.Unmarshal(written, &object.Object)
	if err == nil {
		object.Object = Integers(object.Object)
	}
	return object, err
}

// Integers makes whole numbers int64, which is what apimachinery wants them to be.
func Integers(object map[string]any) map[string]any { return integers(object).(map[string]any) }

func integers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key := range value {
			value[key] = integers(value[key])
		}
	case []any:
		for i := range value {
			value[i] = integers(value[i])
		}
	case int:
		return int64(value)
	case float64:
		if whole := int64(value); float64(whole) == value {
			return whole
		}
	}
	return value
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

// field gives the text at a path of keys, or "".
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
