//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/labs/course"
)

// hostile is a pod that says what a page must not take for HTML.
const hostile = `
apiVersion: v1
kind: Pod
metadata:
  name: hostile
  annotations: {note: "<script>document.title = 'taken'</script>"}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: busybox
      command: [sh, -c, "echo '<script>document.title = 1</script><img src=x onerror=document.title=2>'; sleep 3600"]
`

// browsing is a browser that looks at the dashboard.
type browsing struct {
	*lab
	ctx context.Context
	url string
}

// dashboards starts the dashboard with more flags, and a real browser on it.
func (l *lab) dashboards(flags ...string) *browsing {
	l.Helper()
	command := l.command(append([]string{"dashboard", "--no-browser", "--lang", "en"}, flags...)...)
	stdout, err := command.StdoutPipe()
	l.check(err)
	l.check(command.Start())
	l.Cleanup(func() {
		command.Process.Signal(os.Interrupt)
		if err := command.Wait(); err != nil {
			l.Errorf("the dashboard ends with %v", err)
		}
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	l.check(err)
	return l.opens(strings.TrimSpace(url))
}

// opens looks at a page with a real browser. testbed/shells installs that.
func (l *lab) opens(url string) *browsing {
	l.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		l.Fatal("there is no chromium here: testbed/shells installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(1440, 900))
	ctx, cancel := chromedp.NewExecAllocator(l.Context(), options...)
	l.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	l.Cleanup(cancel)
	l.check(chromedp.Do(ctx)) // the browser ends with the first context that it is given
	b := &browsing{l, ctx, url}
	b.do(chromedp.Navigate(b.url))
	return b
}

func (b *browsing) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	b.check(chromedp.Do(ctx, actions...))
}

// runs runs a script on the page.
func (b *browsing) runs(script string) {
	b.Helper()
	b.do(chromedp.Evaluate[chromedp.Void]("void (() => {" + script + "})()"))
}

// evaluates is the value of a JavaScript expression on the page.
func evaluates[T any](b *browsing, expression string) (value T) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	b.check(err)
	return value
}

// until waits for an expression to be true on the page, and returns how long that took. The browser is asked at every frame.
func (b *browsing) until(what, expression string) time.Duration {
	b.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(0))); err != nil {
		b.screenshot("failed")
		b.Fatalf("the page does not show %s: %v", what, err)
	}
	return time.Since(start)
}

// screenshot keeps what the page looks like, where SCREENSHOTS names a folder.
func (b *browsing) screenshot(name string) {
	b.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	b.until("that nothing moves", "document.getAnimations().length === 0")
	content, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	b.check(err)
	b.check(os.WriteFile(filepath.Join(folder, name+".png"), content, 0o644))
}

// shownPods is how many pods of a state the page shows, by a part of their names.
func shownPods(state, part string) string {
	return fmt.Sprintf(`document.querySelectorAll('#stage .pod.s-%s[data-id*="%s"]').length`, state, part)
}

// click clicks on what a selector finds.
func (b *browsing) click(selector string) {
	b.Helper()
	b.until(selector, fmt.Sprintf(`document.querySelector(%q) !== null`, selector))
	b.runs(fmt.Sprintf(`document.querySelector(%q).click()`, selector))
}

// text is what a part of the page says.
func text(selector string) string {
	return fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? '')`, selector)
}

// showsTheDashboard looks at the dashboard as a reader does: what changes in the cluster changes on the page, and what is clicked on happens.
func (l *lab) showsTheDashboard() {
	l.must("lab", "service/nodeport")
	b := l.dashboards()
	b.until("three pods that are ready", shownPods("ready", "hellok8s")+" === 3")
	first := evaluates[float64](b, `performance.getEntriesByType('paint').find((e) => e.name === 'first-contentful-paint').startTime`)
	b.Logf("first contentful paint after %.0f ms", first)
	b.until("the step that passes", `document.querySelector('#course .passed') !== null`)
	b.screenshot("service")
	if found := evaluates[bool](b, `location.hash.includes('token')`); found {
		b.Error("the token stays in the address bar")
	}
	for _, part := range []struct {
		name string
		look func(*browsing)
	}{
		{"a change is there within a second", (*browsing).isLive},
		{"a rolling update", (*browsing).rolls},
		{"a check's requests", (*browsing).travels},
		{"a check turns red and green", (*browsing).checks},
		{"scaled by a click", (*browsing).scales},
		{"what a pod says is text", (*browsing).takesNothingForHTML},
		{"strangers", (*browsing).keepsStrangersOut},
		{"opened by hellolab", (*browsing).isOpened},
		{"a paused lab", (*browsing).waitsForTheLab},
	} {
		l.Run(part.name, func(t *testing.T) {
			inner := *b
			inner.lab = b.lab.in(t)
			part.look(&inner)
		})
	}
}

// isLive holds that what changes in the cluster is on the page within a second.
func (b *browsing) isLive() {
	b.until("the pod", shownPods("ready", "/nginx")+" === 1")
	b.kubectl("", "delete", "pod", "nginx", "--wait=false")
	if took := b.until("that a pod goes", shownPods("ready", "/nginx")+" === 0"); took > time.Second {
		b.Errorf("it takes %s", took)
	}
}

// rolls holds that a rolling update is seen: new pods beside old ones, and then only new ones.
func (b *browsing) rolls() {
	b.kubectl("", "set", "image", "deployment/hellok8s-deployment", "hellok8s-container=guangzhengli/hellok8s:v4")
	b.until("pods of both versions", `(() => { const all = [...document.querySelectorAll('#stage .pod')].map((e) => e.innerText).join(); return all.includes('v3') && all.includes('v4'); })()`)
	b.screenshot("rolling-update")
	b.until("pods of the new version only", `(() => { const all = [...document.querySelectorAll('#stage .pod[data-id*=hellok8s]')]; return all.length === 3 && all.every((e) => e.innerText.includes('v4') && e.classList.contains('s-ready')); })()`)
	b.rollsBack()
	b.until("the old version again", `(() => { const all = [...document.querySelectorAll('#stage .pod[data-id*=hellok8s]')]; return all.length === 3 && all.every((e) => e.innerText.includes('v3') && e.classList.contains('s-ready')); })()`)
}

// rollsBack goes back to the revision with the image before, which is chosen from those that the page lists.
func (b *browsing) rollsBack() {
	b.click(`[data-id="Deployment/default/hellok8s-deployment"]`)
	b.act("Roll back")
	b.until("the revisions", text("#about-actions fieldset")+`.includes('hellok8s:v3')`)
	b.runs(`[...document.querySelectorAll('#about-actions fieldset label')].find((e) => e.innerText.includes('hellok8s:v3')).click()`)
	b.until("the command", text("#about-actions .command")+`.match(/kubectl rollout undo deployment\/hellok8s-deployment --to-revision=\d+/)`)
	b.screenshot("rollback")
	if os.Getenv("LONG") != "" {
		b.audit("the revisions")
	}
	b.click("#about-actions .go")
	b.until("what kubectl said", text("#about-actions")+`.includes('rolled back')`)
	b.click("#drawer .close")
}

// act clicks on one of the things that can be done with what is open.
func (b *browsing) act(label string) {
	b.Helper()
	b.until("what can be done", text("#about-actions")+fmt.Sprintf(`.includes(%q)`, label))
	b.runs(fmt.Sprintf(`[...document.querySelectorAll('#about-actions button')].find((e) => e.innerText.includes(%q)).click()`, label))
}

// travels holds that the requests of a step's check are seen on their way to the pods, as the page's own are.
func (b *browsing) travels() {
	b.runs(`window.dots = []; new MutationObserver((all) => all.forEach((one) => one.addedNodes.forEach((node) =>
		node.classList.contains('traffic') && dots.push(node)))).observe(document.querySelector('#stage .lines'), {childList: true})`)
	b.click(`#course [data-key="service/nodeport"]`)
	b.until("a request on its way", `dots.length > 0`)
	b.until("that it gets on", `dots.some((dot) => /translate\([1-9]/.test(dot.getAttribute('transform')))`)
	b.until("that it arrives", `dots.every((dot) => !dot.isConnected)`)
	if bad := evaluates[bool](b, `dots.some((dot) => dot.classList.contains('bad'))`); bad {
		b.Error("the request is drawn as one without an answer")
	}
}

// checks holds that the step's check fails on the page with its cause, and passes again, by itself.
func (b *browsing) checks() {
	manifest := b.kubectl("", "get", "service", "service-hellok8s-nodeport", "-o", "yaml")
	b.kubectl("", "delete", "service", "service-hellok8s-nodeport")
	b.until("a check that fails, and what to type", text("#course")+`.includes('kubectl apply -f service-hellok8s-nodeport.yaml')`)
	b.screenshot("check")
	b.kubectl(manifest, "apply", "-f", "-")
	b.until("the step that passes", `document.querySelector('#course .passed') !== null`)
}

// scales scales a Deployment by a click, which shows the command before and after.
func (b *browsing) scales() {
	b.click(`[data-id="Deployment/default/hellok8s-deployment"]`)
	b.act("Scale")
	b.until("the number to fill in", `document.querySelector('#about-actions input') !== null`)
	b.runs(`const e = document.querySelector('#about-actions input'); e.value = '5'; e.dispatchEvent(new Event('input', {bubbles: true}));`)
	if shown := evaluates[string](b, text("#about-actions")); !strings.Contains(shown, "kubectl scale deployment/hellok8s-deployment --replicas=5") {
		b.Errorf("before it is done, the command is %q", shown)
	}
	if replicas := b.kubectl("", "get", "deployment", "hellok8s-deployment", "-o", "jsonpath={.spec.replicas}"); replicas != "3" {
		b.Errorf("without a click there are %s replicas", replicas)
	}
	b.click("#about-actions .go")
	b.until("five pods that are ready", shownPods("ready", "hellok8s")+" === 5")
	b.until("what kubectl said", text("#about-actions")+`.includes('scaled')`)
	b.screenshot("scaled")
	b.kubectl("", "scale", "deployment", "hellok8s-deployment", "--replicas=3")
	b.until("three pods", `document.querySelectorAll('#stage .pod[data-id*=hellok8s]').length === 3`)
}

// takesNothingForHTML holds that what pods and objects say is shown as it is, in logs and in YAML.
func (b *browsing) takesNothingForHTML() {
	b.kubectl(hostile, "apply", "-f", "-")
	b.until("the pod", shownPods("ready", "/hostile")+" === 1")
	b.click(`[data-id="Pod/default/hostile"]`)
	b.click("#tab-logs")
	b.until("its log, as text", text("#drawer")+`.includes('<script>document.title = 1</script><img src=x onerror=document.title=2>')`)
	b.click("#tab-yaml")
	b.until("its YAML, as text", text("#drawer")+`.includes("<script>document.title = 'taken'</script>")`)
	if title := evaluates[string](b, "document.title"); title != b.name {
		b.Errorf("the page was taken over: its title is %q", title)
	}
	b.kubectl("", "delete", "pod", "hostile")
}

// keepsStrangersOut holds that a foreign name, a foreign page and whoever has no token get nothing.
func (b *browsing) keepsStrangersOut() {
	base, rest, _ := strings.Cut(b.url, "/#token=")
	token, _, _ := strings.Cut(rest, "&")
	for _, stranger := range []struct {
		name, header, value, token string
		want                       int
	}{
		{"the page itself", "Origin", base, token, http.StatusOK},
		{"a foreign Host", "Host", "evil.example", token, http.StatusMisdirectedRequest},
		{"a foreign Origin", "Origin", "http://evil.example", token, http.StatusForbidden},
		{"no token", "Origin", base, "", http.StatusUnauthorized},
	} {
		request, err := http.NewRequest(http.MethodGet, base+"/api/texts", nil)
		b.check(err)
		request.Header.Set("Authorization", "Bearer "+stranger.token)
		if request.Header.Set(stranger.header, stranger.value); stranger.header == "Host" {
			request.Host = stranger.value
		}
		response, err := http.DefaultClient.Do(request)
		b.check(err)
		response.Body.Close()
		if response.StatusCode != stranger.want {
			b.Errorf("%s gets %s", stranger.name, response.Status)
		}
	}
}

// isOpened holds that the browser that hellolab opens gets in by an address without the token, and that whoever uses that again ends the dashboard.
func (b *browsing) isOpened() {
	given := filepath.Join(b.folder, "opened")
	opener := filepath.Join(b.TempDir(), "xdg-open")
	b.check(os.WriteFile(opener, []byte("#!/bin/sh\nprintf %s \"$1\" >"+given+".part && mv "+given+".part "+given+"\n"), 0o755))
	command := b.command("dashboard", "--lang", "en")
	command.Env = append(command.Env, "PATH="+filepath.Dir(opener)+string(os.PathListSeparator)+os.Getenv("PATH"))
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	b.check(command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	b.Cleanup(func() { command.Process.Kill() })
	eventually(b.T, "the browser is opened", func() bool { return exists(given) })
	url, err := os.ReadFile(given)
	b.check(err)
	if !strings.Contains(string(url), "/#code=") || strings.Contains(string(url), "token") {
		b.Errorf("the browser is given %s", url)
	}
	opened := b.opens(string(url))
	opened.until("the lab", shownPods("ready", "hellok8s")+" === 3")
	opened.do(chromedp.Reload())
	opened.until("the lab, loaded again", shownPods("ready", "hellok8s")+" === 3")
	stranger := b.opens(string(url))
	stranger.until("that it is not let in", text("#banner")+`.includes('hellolab dashboard')`)
	select {
	case <-ended:
	case <-time.After(patience):
		b.Fatal("the dashboard does not end")
	}
	if command.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "used twice") || !strings.Contains(stderr.String(), "dashboard --no-browser") {
		b.Errorf("it ends with status %d and says %s", command.ProcessState.ExitCode(), &stderr)
	}
}

// waitsForTheLab holds that the page says that the lab is paused, and goes on by itself.
func (b *browsing) waitsForTheLab() {
	b.must("pause")
	b.until("that the lab is paused", text("#banner")+`.includes('hellolab') && `+text("#banner")+`.includes('resume')`)
	b.screenshot("paused")
	b.must("resume")
	b.until("the lab again", `document.querySelector('#banner').hidden`)
	b.kubectl("", "run", "late", "--image=nginx")
	b.until("a new pod", `document.querySelector('[data-id="Pod/default/late"]') !== null`)
	b.kubectl("", "delete", "pod", "late", "--wait=false")
}

// markdown is a guide with all that Markdown has, and with what a page must not take for HTML, ask for or lead to.
const markdown = `
Some *words*, some **strong** ones, ~kubectl get pods~, 网页
服务器 and <none>.

## Do this

1. First
   - inner
2. Then

| 列 | column |
|---|---|
| a | [docs](https://kubernetes.io/docs) |

> a quote

~~~
kubectl get pods
~~~

***

<script>document.title = 'taken'</script><img src=x onerror="document.title = 'taken'">
[run](javascript:document.title='taken') ![a pod](https://example.com/pod.png)
`

// TestGuidePage holds what a guide in Markdown, somebody else's, looks like on the page. It needs no lab.
func TestGuidePage(t *testing.T) {
	l := newLab(t, "e2e-guide", nil)
	guide := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(markdown, "~~~", "```"), "~", "`"), "\n", "\n        ")
	b := l.dashboards("--course", l.courseOf(map[string]string{
		"course.yaml":  "title: {en: Theirs}\nnamespaces: [default]\nchapters: [one]\n",
		"one/lab.yaml": "title: {en: One}\nsteps:\n  - name: first\n    title: {en: First}\n    guide:\n      en: |" + guide + "\n    expect: [absent: {kind: Pod, name: a}]\n",
	}))
	b.click(`#course [data-key="one/first"]`)
	b.until("the guide", `document.querySelector('.course-guide h4') !== null`)
	for _, part := range []struct{ name, expression, want string }{
		{"the first paragraph", `document.querySelector('.course-guide p').innerHTML`, "Some <em>words</em>, some <strong>strong</strong> ones, <code>kubectl get pods</code>, 网页服务器 and &lt;none&gt;."},
		{"the heading", `document.querySelector('.course-guide h4').innerText`, "Do this"},
		{"the lists", `[...document.querySelectorAll('.course-guide ol > li')].map((e) => e.firstChild.innerText + e.querySelectorAll('ul > li').length).join()`, "First1,Then0"},
		{"the table", `[...document.querySelectorAll('.course-guide :is(th, td)')].map((e) => e.innerText).join()`, "列,column,a,docs"},
		{"the quote", `document.querySelector('.course-guide blockquote').innerText`, "a quote"},
		{"the command, and how to copy it", `document.querySelector('.course-guide .command').innerText.replace(/\s+/g, ' ')`, "kubectl get pods Copy"},
		{"where links lead", `[...document.querySelectorAll('.course-guide a')].map((e) => e.innerText + ' ' + e.href + ' ' + e.rel).join()`,
			"docs https://kubernetes.io/docs noopener noreferrer,Image: a pod https://example.com/pod.png noopener noreferrer"},
		{"what is no text", `String(document.querySelectorAll('.course-guide :is(img, script, iframe)').length)`, "0"},
		{"the title", "document.title", l.name},
	} {
		if got := evaluates[string](b, part.expression); got != part.want {
			t.Errorf("%s: %q, want %q", part.name, got, part.want)
		}
	}
	for _, look := range views() {
		b.shows(look)
		if look.width < 760 {
			b.click("[data-view=course]")
		}
		b.runs(`document.querySelector('.course-guide').scrollIntoView()`)
		b.screenshot("guide-" + look.name)
		if look.width > 760 { // on a phone, the course takes the place of the page's main part
			b.audit("the guide, " + look.name)
		}
	}
}

// view is how a page is looked at: in a theme, and as wide as that in pixels.
type view struct {
	name, theme string
	width       int64
}

func views() []view {
	return []view{{"light", "light", 1440}, {"dark", "dark", 1440}, {"phone", "light", 390}}
}

// shows shows the page so.
func (b *browsing) shows(in view) {
	b.do(chromedp.EmulateViewport(in.width, 900))
	b.runs(fmt.Sprintf(`document.documentElement.dataset.theme = %q`, in.theme))
}

// axe is the package that audits a page, as npm names it.
const axe = "axe-core@4.14.1"

// audit finds what keeps people who use a keyboard or a screen reader from reading the page.
func (b *browsing) audit(where string) {
	b.Helper()
	folder := filepath.Join(cache(), "axe")
	script := filepath.Join(folder, "package", "axe.min.js")
	if !exists(script) {
		b.check(os.MkdirAll(folder, 0o755))
		command := exec.Command("sh", "-c", `tar xzf "$(npm pack --silent `+axe+`)"`)
		command.Dir = folder
		if output, err := command.CombinedOutput(); err != nil {
			b.Fatalf("%s cannot be had: %v\n%s", axe, err, output)
		}
	}
	content, err := os.ReadFile(script)
	b.check(err)
	b.until("that nothing moves", "document.getAnimations().length === 0")
	b.runs(string(content))
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`axe.run().then((all) => JSON.stringify(all.violations.map((one) => [one.id, one.help, one.nodes.map((node) => node.html)])))`, chromedp.EvalAwaitPromise))
	b.check(err)
	if found != "[]" {
		b.Errorf("%s: %s", where, found)
	}
}

// firstPicture holds how long it takes, in the middle of five loads, until the page shows anything, and until it shows the picture.
func (b *browsing) firstPicture(atMost float64) {
	var paints, pictures []float64
	for range 5 {
		b.runs("window.before = true")
		b.do(chromedp.Reload())
		b.until("the picture", `!window.before && performance.getEntriesByName('picture').length > 0`)
		b.until("a paint", `performance.getEntriesByName('first-contentful-paint').length > 0`)
		paints = append(paints, evaluates[float64](b, `performance.getEntriesByName('first-contentful-paint')[0].startTime`))
		pictures = append(pictures, evaluates[float64](b, `performance.getEntriesByName('picture')[0].startTime`))
	}
	slices.Sort(paints)
	slices.Sort(pictures)
	b.Logf("%d objects: first contentful paint after %.0f ms, the picture after %.0f ms (%.0f to %.0f)",
		evaluates[int](b, `document.querySelectorAll('#stage [data-id]').length`), paints[2], pictures[2], pictures[0], pictures[4])
	if paints[2] > atMost || pictures[2] > atMost {
		b.Errorf("the page takes %.0f ms until it shows anything, and %.0f ms for the picture; at most %.0f are wanted", paints[2], pictures[2], atMost)
	}
}

// boxes are what the boxes of objects of some kinds have to say at the end of a chapter.
func boxes() map[string]struct{ id, says string } {
	const times = `\* \* \* \* \* · Next run \d\d:\d\d`
	return map[string]struct{ id, says string }{
		"job":  {"CronJob/default/hello-cronjob", times},
		"helm": {"Release/default/hello-helm", `Chart hello-helm\s+Version 0\.1\.\d\s+Revision \d`},
	}
}

// hasAllChapters puts the objects of all chapters that have any beside what there is, each chapter's into a namespace of its own, and returns how many
// namespaces that makes.
func (l *lab) hasAllChapters() int {
	l.Helper()
	made := map[string]bool{}
	lessons, err := course.Load(course.Embedded(), "", "guangzhengli")
	l.check(err)
	for _, chapter := range lessons.Chapters {
		for _, step := range chapter.Steps {
			var all []any
			for _, manifest := range slices.Concat(chapter.GivenManifests(), step.Manifests()) {
				for _, object := range manifest.Objects {
					if object := beside(chapter.Name, object.DeepCopy()); object != nil {
						all = append(all, object.Object)
					}
				}
			}
			if len(all) == 0 {
				continue
			}
			content, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": append([]any{namespaceOf(chapter.Name)}, all...)})
			l.check(err)
			l.kubectl(string(content), "apply", "-f", "-")
			made[chapter.Name] = true
		}
	}
	return len(made)
}

func namespaceOf(chapter string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "chapter-" + chapter}}
}

// beside is an object of a chapter's in the chapter's own namespace, or nil for one that is in none. There is one node port for all, and one Ingress
// for a path of a host.
func beside(chapter string, object *unstructured.Unstructured) *unstructured.Unstructured {
	if object.GetNamespace() == "" {
		return nil
	}
	object.SetNamespace("chapter-" + chapter)
	spec, _ := object.Object["spec"].(map[string]any)
	ports, _ := spec["ports"].([]any)
	for _, port := range ports {
		delete(port.(map[string]any), "nodePort")
	}
	rules, _ := spec["rules"].([]any)
	for _, rule := range rules {
		rule.(map[string]any)["host"] = chapter + ".example"
	}
	return object
}

// TestFirstPicture measures how soon the page shows its picture on a lab that has the objects of all chapters.
func TestFirstPicture(t *testing.T) {
	long(t)
	l := newLab(t, "e2e-picture", nil)
	l.must("up")
	l.must("lab", "helm") // the chapter's release, which kubectl cannot make
	made := l.hasAllChapters()
	b := l.dashboards()
	b.until("all chapters", fmt.Sprintf(`document.querySelectorAll('#stage .band').length > %d`, made)) // and default
	b.firstPicture(300)
	b.screenshot("all-chapters")
}

// TestDashboard runs the dashboard's part of TestCourse on a lab of its own, which make test-long and screenshots want.
func TestDashboard(t *testing.T) {
	if os.Getenv("LONG") == "" && os.Getenv("SCREENSHOTS") == "" {
		t.Skip("TestCourse has it as a part")
	}
	l := newLab(t, "e2e-dashboard", nil)
	l.must("up")
	l.showsTheDashboard()
	b := l.dashboards()
	for _, chapter := range chapters() {
		t.Run(chapter, func(t *testing.T) {
			inner := *b
			inner.lab = l.in(t)
			inner.showsChapter(chapter)
		})
	}
	l.must("lab", "ingress")
	b.do(chromedp.EmulateViewport(1200, 760))
	b.runs(`document.documentElement.dataset.theme = "light"`)
	b.until("the chapter", `document.querySelector('#course .passed') !== null`)
	b.screenshot("dashboard") // the README has it
	b.click("#lang")
	b.until("the page in Chinese", text("#views")+`.includes("列表")`)
	b.screenshot("dashboard.zh-CN")
}

// showsChapter holds that the page follows to a chapter, and that everybody can read it there, however it is looked at.
func (b *browsing) showsChapter(chapter string) {
	b.must("lab", chapter)
	b.until("the chapter", fmt.Sprintf(`document.querySelector('#course [aria-current=step]')?.dataset.key.startsWith(%q)`, chapter+"/"))
	b.until("its check", `document.querySelector('#course li.row') !== null`)
	if box := boxes()[chapter]; box.says != "" {
		b.until("the box of "+box.id, fmt.Sprintf(`/%s/.test(document.querySelector('[data-id="%s"]')?.innerText)`, box.says, box.id))
	}
	for _, look := range views() {
		b.shows(look)
		b.screenshot(chapter + "-" + look.name)
		b.audit(chapter + ", " + look.name)
	}
}
