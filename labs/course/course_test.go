package course

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/labs/guide"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// somewhere is the lab as most readers have it.
func somewhere() Place {
	return Place{Name: "hellolab", Context: "kind-hellolab", Node: "hellolab-control-plane", Ingress: "http://localhost",
		NodePort: "http://localhost:30000", Registry: "localhost:5001", Account: "guangzhengli", Charts: "http://localhost/charts"}
}

func load(t *testing.T, account string) *Course {
	t.Helper()
	course, err := Load(Embedded(), "course", account)
	if err != nil {
		t.Fatal(err)
	}
	return course
}

// TestEmbedded holds that the course is whole.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	course := load(t, "guangzhengli")
	want := []string{"container/build-run-push", "pod/nginx", "pod/hellok8s", "deployment/create", "deployment/scale", "deployment/upgrade",
		"deployment/rollback", "deployment/rolling-update", "deployment/liveness", "deployment/readiness", "service/clusterip", "service/nodeport", "service/loadbalancer",
		"ingress/controller", "ingress/routes", "namespace/create", "configmap/per-namespace", "secret/password", "job/job", "job/cronjob",
		"helm/install", "helm/chart", "helm/upgrade", "helm/rollback", "helm/environments", "helm/publish", "dashboard/web", "dashboard/k9s"}
	var chapters, steps []string
	for _, chapter := range course.Chapters {
		chapters = append(chapters, chapter.Name)
		if chapter.Title.English == "" || chapter.Title.Chinese == "" {
			t.Errorf("the chapter %s has the titles %+v", chapter.Name, chapter.Title)
		}
		for _, step := range chapter.Steps {
			steps = append(steps, step.ID())
			if step.Title.English == "" || step.Title.Chinese == "" {
				t.Errorf("the step %s has the titles %+v", step.ID(), step.Title)
			}
		}
	}
	if got, want := strings.Join(chapters, ","), "container,pod,deployment,service,ingress,namespace,configmap,secret,job,helm,dashboard"; got != want {
		t.Errorf("the chapters are %s, want %s", got, want)
	}
	if !slices.Equal(steps, want) {
		t.Errorf("the steps are\n%q, want\n%q", steps, want)
	}
}

// TestGuides holds that every guide is there in both languages, and reads on a terminal of 80 columns as it is written: the same words,
// and the same lines of code.
func TestGuides(t *testing.T) {
	t.Parallel()
	printer := messages.In(language.SimplifiedChinese)
	for _, chapter := range load(t, "guangzhengli").Chapters {
		for _, step := range chapter.Steps {
			text := somewhere().Guide(step)
			english, chinese := messages.Printer{}.Text(text), printer.Text(text)
			if english == "" || strings.ContainsFunc(english, han) {
				t.Errorf("the English guide of %s is %q", step.ID(), english)
			}
			if !strings.ContainsFunc(chinese, han) {
				t.Errorf("the Chinese guide of %s is %q", step.ID(), chinese)
			}
			for _, markdown := range []string{english, chinese} {
				for line := range strings.SplitSeq(markdown, "\n") {
					if strings.Contains(line, "{{") || strings.Contains(line, "<no value>") || line != strings.TrimRight(line, " ") {
						t.Errorf("the guide of %s has the line %q", step.ID(), line)
					}
					if strings.HasPrefix(line, "    ") && progress.Columns(line) > 76 {
						t.Errorf("the guide of %s has code of %d columns: %s", step.ID(), progress.Columns(line)-4, line)
					}
				}
				shown := ""
				for _, line := range guide.Lines(guide.Parse(markdown), printer, 80) {
					if progress.Columns(line.Text) > 80 {
						t.Errorf("the guide of %s has a line of %d columns: %s", step.ID(), progress.Columns(line.Text), line.Text)
					}
					shown += line.Text + "\n"
				}
				if got, want := prose(shown), prose(strings.ReplaceAll(markdown, `\\`, `\`)); got != want {
					t.Errorf("the guide of %s is\n%s\nwant\n%s", step.ID(), got, want)
				}
				if got, want := codeLines(shown), codeLines(markdown); !slices.Equal(got, want) {
					t.Errorf("the guide of %s has the code\n%q\nwant\n%q", step.ID(), got, want)
				}
			}
		}
	}
}

// codeLines are the lines of a guide that are code.
func codeLines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return !strings.HasPrefix(line, "    ") })
}

// prose is the rest of a guide: a line for each paragraph, in which an end of a line is a space, but for those beside what is Chinese on
// both sides or a fullwidth sign.
func prose(text string) string {
	var all strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "    ") {
			line = ""
		}
		all.WriteString(strings.TrimLeft(strings.TrimPrefix(line, "## "), " ") + "\n") // a heading; the indentation of an element of a list
	}
	paragraphs := regexp.MustCompile(`\n{2,}`).Split(strings.TrimSpace(all.String()), -1)
	inChinese := regexp.MustCompile(`(\p{Han})\n(\p{Han})|([\x{3000}-\x{303f}\x{ff00}-\x{ff65}])\n|\n([\x{3000}-\x{303f}\x{ff00}-\x{ff65}])`)
	for i, paragraph := range paragraphs {
		paragraphs[i] = strings.ReplaceAll(inChinese.ReplaceAllString(paragraph, "$1$2$3$4"), "\n", " ")
	}
	return strings.Join(paragraphs, "\n")
}

func han(r rune) bool { return unicode.Is(unicode.Han, r) }

// TestEmbeddedAccount holds that readers may have their images under an account of their own.
func TestEmbeddedAccount(t *testing.T) {
	t.Parallel()
	own := 0
	for _, chapter := range load(t, "someone").Chapters {
		for _, step := range chapter.Steps {
			for _, image := range step.Snapshot().Images {
				switch {
				case strings.HasPrefix(image, "someone/hellok8s:"):
					own++
				case strings.Contains(image, "/"), strings.Contains(image, "hellok8s"):
					t.Errorf("%s runs %s", step.ID(), image)
				}
			}
			for _, manifest := range step.Manifests() {
				if strings.Contains(manifest.Content, "guangzhengli") {
					t.Errorf("%s shows\n%s", step.ID(), manifest.Content)
				}
			}
		}
	}
	if own == 0 {
		t.Error("no step runs an image of the course's own")
	}
}

// TestPath holds which steps lead to a snapshot.
func TestPath(t *testing.T) {
	t.Parallel()
	course := load(t, "guangzhengli")
	for id, want := range map[string]string{
		"container/build-run-push":  "container/build-run-push",
		"pod/hellok8s":              "pod/nginx pod/hellok8s",
		"deployment/rollback":       "deployment/create deployment/scale deployment/upgrade deployment/rollback",
		"deployment/rolling-update": "deployment/create deployment/scale deployment/upgrade deployment/rolling-update",
		"deployment/liveness":       "deployment/create deployment/scale deployment/upgrade deployment/rolling-update deployment/liveness",
	} {
		step, err := course.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		var path []string
		for _, step := range step.Snapshot().Steps {
			path = append(path, step.ID())
		}
		if got := strings.Join(path, " "); got != want {
			t.Errorf("the way to %s is %s, want %s", id, got, want)
		}
	}
}

// TestPreviousAndNext holds that the reading order is that of the file, whatever a step builds on.
func TestPreviousAndNext(t *testing.T) {
	t.Parallel()
	course := load(t, "guangzhengli")
	for _, chapter := range course.Chapters {
		var previous *Step
		for i, step := range chapter.Steps {
			if step.Previous() != previous {
				t.Errorf("before %s comes %v", step.ID(), step.Previous())
			}
			if previous != nil && previous.Next() != step {
				t.Errorf("after %s comes %v", previous.ID(), previous.Next())
			}
			if i == len(chapter.Steps)-1 && step.Next() != nil {
				t.Errorf("after the last step comes %s", step.Next().ID())
			}
			previous = step
		}
	}
}

// TestBefore holds which state a reader comes with: that of the step before, or what the chapter names.
func TestBefore(t *testing.T) {
	t.Parallel()
	course := load(t, "guangzhengli")
	for id, want := range map[string]string{
		"pod/nginx": "", "pod/hellok8s": "pod/nginx", "deployment/rolling-update": "deployment/rollback",
		"ingress/controller": "service/nodeport", "helm/chart": "helm/install", "ingress/routes": "ingress/controller", "configmap/per-namespace": "namespace/create",
	} {
		step, err := course.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if before := step.Start().Step; before != nil {
			got = before.ID()
		}
		if got != want {
			t.Errorf("before %s is %q, want %q", id, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	course := load(t, "guangzhengli")
	for name, want := range map[string]string{"pod": "pod/hellok8s", "pod/nginx": "pod/nginx", "deployment": "deployment/readiness"} {
		if step, err := course.Find(name); err != nil || step.ID() != want {
			t.Errorf("%s means %v, %v; want %s", name, step, err, want)
		}
	}
	for name, want := range map[string]string{
		"pods":        "error: there is no chapter \"pods\"\nnext: did you mean: pod\n",
		"pod/hello":   "error: the chapter pod has no step \"hello\"\nnext: did you mean: pod/hellok8s\n",
		"volumes":     "error: there is no chapter \"volumes\"\nnext: the chapters are: container, pod, deployment, service, ingress, namespace, configmap, secret, job, helm, dashboard; hellolab lab list shows them with their steps\n",
		"pod/":        "error: the chapter pod has no step \"\"\nnext: its steps are: nginx, hellok8s\n",
		"pod/busybox": "error: the chapter pod has no step \"busybox\"\nnext: its steps are: nginx, hellok8s\n",
	} {
		_, err := course.Find(name)
		if err == nil || !messages.IsUsage(err) {
			t.Errorf("%s gives %v", name, err)
			continue
		}
		if got := (messages.Printer{}).Report(err); got != want {
			t.Errorf("%s gives\n%swant\n%s", name, got, want)
		}
	}
}

// layered is a chapter in which later steps change what earlier ones made.
func layered(t *testing.T) *Chapter {
	t.Helper()
	object := func(kind, name, image string) string {
		return "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: {template: {initContainers: [{image: wait}], containers: [{image: '" + image + "'}]}}\n"
	}
	all := fstest.MapFS{}
	for name, content := range map[string]string{
		"course.yaml":       "namespaces: [default]\nchapters: [one]\n",
		"one/given/a.yaml":  object("A", "base", "base"),
		"one/first/b.yaml":  object("B", "web", "web:1"),
		"one/second/b.yaml": object("B", "web", "web:2") + "---\n" + object("C", "web", "extra"),
		"one/third/c.yaml":  object("B", "web", "web:3"),
		"one/lab.yaml": `given: [one/given/a.yaml]
steps:
  - {name: first, expect: [image: pushed]}
  - {name: second, expect: [runs: {name: a}]}
  - {name: third, after: first, expect: [runs: {name: a}]}
`,
	} {
		all[name] = &fstest.MapFile{Data: []byte(content)}
	}
	course, err := Load(all, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return course.Chapters[0]
}

// TestObjects holds that a snapshot has each object once, as the last manifest on the way to it has it.
func TestObjects(t *testing.T) {
	t.Parallel()
	chapter := layered(t)
	for i, test := range []struct{ objects, images, file string }{
		{"A/base base, B/web web:1", "base pushed wait web:1", "b.yaml"},
		{"A/base base, B/web web:2, C/web extra", "base extra pushed wait web:1 web:2", "b.yaml"},
		{"A/base base, B/web web:3", "base pushed wait web:1 web:3", "c.yaml"},
	} {
		step := chapter.Steps[i]
		var objects []string
		for _, object := range step.Snapshot().Objects {
			images := slices.DeleteFunc(ImagesIn(object.Object), func(image string) bool { return image == "wait" })
			objects = append(objects, object.GetKind()+"/"+object.GetName()+" "+strings.Join(images, " "))
		}
		if got := strings.Join(objects, ", "); got != test.objects {
			t.Errorf("%s has %s, want %s", step.ID(), got, test.objects)
		}
		if got := strings.Join(step.Snapshot().Images, " "); got != test.images {
			t.Errorf("%s runs %s, want %s", step.ID(), got, test.images)
		}
		if got := step.Snapshot().FileOf("B", "default", "web"); got != test.file {
			t.Errorf("%s has its object in %q, want %q", step.ID(), got, test.file)
		}
		for _, other := range [][3]string{{"D", "default", "web"}, {"B", "dev", "web"}, {"B", "default", "other"}} {
			if got := step.Snapshot().FileOf(other[0], other[1], other[2]); got != "" {
				t.Errorf("%s has %q in %q", step.ID(), other, got)
			}
		}
	}
}

// TestStart holds what a user begins a step with: what the chapter takes for granted, or the step before; and that the
// images of the coming step are there already.
func TestStart(t *testing.T) {
	t.Parallel()
	chapter := layered(t)
	for i, test := range []struct {
		objects         int
		images, step    string
		actions, expect int
	}{
		{1, "base wait web:1", "", 0, 0},
		{2, "base extra pushed wait web:1 web:2", "first", 1, 1},
		{3, "base extra pushed wait web:1 web:2 web:3", "second", 2, 1},
	} {
		start := chapter.Steps[i].Start()
		step := ""
		if start.Step != nil {
			step = start.Step.Name
		}
		if len(start.Objects) != test.objects || strings.Join(start.Images, " ") != test.images || step != test.step {
			t.Errorf("%s starts with %d objects, the images %s and the step %q, want %+v",
				chapter.Steps[i].ID(), len(start.Objects), start.Images, step, test)
		}
		if len(start.Given) != 1 || len(start.Actions) != test.actions || len(start.Expect) != test.expect {
			t.Errorf("%s starts with %d given manifests, %d actions and %d expectations, want %+v",
				chapter.Steps[i].ID(), len(start.Given), len(start.Actions), len(start.Expect), test)
		}
		if after := chapter.Steps[i].Snapshot(); strings.Contains(strings.Join(after.Images, " "), "web:2") != (i == 1) {
			t.Errorf("the images of %s have changed: %s", chapter.Steps[i].ID(), after.Images)
		}
	}
}

// TestSnapshotEndsWithTheExercise holds that an exercise is done where its step is the goal, and in no later snapshot.
func TestSnapshotEndsWithTheExercise(t *testing.T) {
	t.Parallel()
	all := files(map[string]string{"one/lab.yaml": `steps:
  - name: first
    do: [complete: pod/web]
    exercise: [replace: web]
    expect: [image: web]
  - name: second
    do: [complete: pod/web]
    exercise: [{replace: web}, {replace: db}]
    expect: [image: web]
`})
	course, err := Load(all, "", "us")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{2, 4} {
		snapshot := course.Chapters[0].Steps[i].Snapshot()
		if len(snapshot.Actions) != want || snapshot.Actions[0].Step.Name != "first" {
			t.Errorf("%s has the actions %+v", snapshot.Step.ID(), snapshot.Actions)
		}
	}
}

// TestPlace holds that commands and guides speak of the reader's lab, and that a language which is missing is no gap.
func TestPlace(t *testing.T) {
	t.Parallel()
	place := somewhere()
	place.Hellolab = "hellolab --name mine"
	if got, want := place.Command("curl {{.NodePort}}/{{.Name}}").String(), "curl http://localhost:30000/hellolab"; got != want {
		t.Errorf("the command is %q, want %q", got, want)
	}
	if got, want := place.Command("{{.Hellolab}} lab check").String(), "hellolab --name mine lab check"; got != want {
		t.Errorf("the command is %q, want %q", got, want)
	}
	elsewhere := messages.Printer{Lab: func() messages.Lab {
		return messages.Lab{Kubectl: []string{"hellolab", "kubectl"}, Context: "kind-mine", Namespace: "shop"}
	}}
	for command, want := range map[string]string{
		"kubectl delete pod -l app=hellok8s":               "hellolab kubectl delete pod -l app=hellok8s -n default",
		"kubectl delete deployment web -n dev":             "hellolab kubectl delete deployment web -n dev",
		"helm rollback hello-helm 1":                       "helm rollback hello-helm 1 --kube-context kind-mine -n default",
		"helm push a.tgz oci://{{.Registry}} --plain-http": "helm push a.tgz oci://localhost:5001 --plain-http",
		"kubectl get pods | wc -l":                         "kubectl get pods | wc -l",
	} {
		if got := elsewhere.Text(place.Command(command)); got != want {
			t.Errorf("%s is printed as %q, want %q", command, got, want)
		}
	}
	if got, want := somewhere().Text(Words{English: "see {{.Hellolab}}"}).String(), "see hellolab"; got != want {
		t.Errorf("the text is %q, want %q", got, want)
	}
	guide := place.Guide(&Step{Guide: Words{English: "{{.Registry}}/{{.Account}} {{.Context}} {{.Node}} {{.Ingress}}"}})
	want := "localhost:5001/guangzhengli kind-hellolab hellolab-control-plane http://localhost"
	for _, printer := range []messages.Printer{{}, messages.In(language.SimplifiedChinese)} {
		if got := printer.Text(guide); got != want {
			t.Errorf("the guide is %q, want %q", got, want)
		}
	}
}

// TestTextsLeadToTheLab holds that every command of hellolab's in the course's texts is for the user's lab, whatever its
// name.
func TestTextsLeadToTheLab(t *testing.T) {
	t.Parallel()
	place := somewhere()
	place.Hellolab = "THIS"
	printers := []messages.Printer{{}, messages.In(language.SimplifiedChinese)}
	command := regexp.MustCompile(`hellolab (lab|images|tunnel|up|down|stop|start|pause|status|kubectl|ip)\b`)
	for _, chapter := range load(t, "guangzhengli").Chapters {
		for _, step := range chapter.Steps {
			texts := []Words{step.Guide}
			for _, expectation := range step.Expect {
				texts = append(texts, expectation.Why, Words{English: expectation.Next})
			}
			for _, words := range texts {
				text := place.Text(words)
				for _, printer := range printers {
					if found := command.FindString(printer.Text(text)); found != "" {
						t.Errorf("a text of %s has the command %s, which leads to the lab hellolab only", step.ID(), found)
					}
				}
			}
		}
	}
}
