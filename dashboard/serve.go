package dashboard

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/labs/guide"
	"github.com/hellolab/hellolab/messages"
)

//go:embed web
var web embed.FS

// policy lets the page load and ask nothing but this server, and nobody show it in a frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// handler serves the page at one of hosts, which are HOST:PORT, and whatever it asks to those who have the token.
func (d *Dashboard) handler(hosts []string) (http.Handler, error) {
	files, err := fs.Sub(web, "web")
	if err != nil {
		return nil, err
	}
	api := http.NewServeMux()
	api.HandleFunc("GET /api/texts", d.texts)
	api.HandleFunc("GET /api/stream", d.stream)
	api.HandleFunc("GET /api/guide", d.guide)
	api.HandleFunc("GET /api/object", d.object)
	api.HandleFunc("GET /api/logs", d.logs)
	api.HandleFunc("POST /api/step", d.choose)
	api.HandleFunc("POST /api/act", d.act)
	static := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		switch {
		case !slices.Contains(hosts, r.Host): // a name that somebody has lead here
			http.Error(w, "this is not the address of the dashboard", http.StatusMisdirectedRequest)
		case !sameOrigin(r):
			http.Error(w, "another page has no business here", http.StatusForbidden)
		case !strings.HasPrefix(r.URL.Path, "/api/"):
			static.ServeHTTP(w, r)
		case r.Method == http.MethodPost && r.URL.Path == "/api/enter":
			d.enter(w, r)
		case !d.knows(r):
			http.Error(w, "the key of this start of the dashboard is missing", http.StatusUnauthorized)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, largestRequest)
			api.ServeHTTP(w, r)
		}
	}), nil
}

// largestRequest is how many bytes a request may have: an object's YAML, at most 1.5 MiB as etcd takes it.
const largestRequest = 2 << 20

// sameOrigin reports whether a request comes from the page itself, or from nobody's.
func sameOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return false
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin" || site == "none" && r.Method == http.MethodGet
}

// knows reports whether a request has the token of this start.
func (d *Dashboard) knows(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+d.token)) == 1
}

// enter gives the token for the pass of this start.
func (d *Dashboard) enter(w http.ResponseWriter, r *http.Request) {
	var given struct{ Code string }
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&given) != nil || !d.pass.take(given.Code) {
		http.Error(w, "the key of this start of the dashboard is missing", http.StatusUnauthorized)
		return
	}
	answer(w, map[string]string{"token": d.token})
}

// printer speaks the language that a page has asked for.
func (d *Dashboard) printer(r *http.Request) messages.Printer {
	tag, err := language.Parse(r.URL.Query().Get("lang"))
	if err != nil {
		tag = language.English
	}
	return d.Printer(tag)
}

// answer sends a value as JSON.
func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // whoever asked has gone where it fails
}

// refuse sends an error, in the reader's words.
func (d *Dashboard) refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "said": messages.Clean(d.printer(r).Error(err))})
}

// texts are the page's own, in one language.
func (d *Dashboard) texts(w http.ResponseWriter, r *http.Request) {
	name := "en"
	if d.printer(r).Language() == language.SimplifiedChinese {
		name = "zh"
	}
	content, err := web.ReadFile("web/texts." + name + ".json")
	if err != nil {
		d.refuse(w, r, http.StatusInternalServerError, err)
		return
	}
	answer(w, map[string]any{"lang": name, "texts": json.RawMessage(content)})
}

// listedChapter and listedStep are the course as a page lists it.
type listedChapter struct {
	ID    string       `json:"id"`
	Title string       `json:"title"`
	Steps []listedStep `json:"steps"`
}

type listedStep struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Installed string `json:"installed"`
	Passed    bool   `json:"passed"`
	// By is who did it: labs.ByHand, labs.BySnapshot or "".
	By string `json:"by"`
}

// stillThere is how often a silent stream says that it goes on.
const stillThere = 15 * time.Second

// stream tells a page what there is, and then what changes.
func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request) {
	printer := d.printer(r)
	w.Header().Set("Content-Type", "text/event-stream")
	page := d.hub.open()
	defer page.close()
	silent := time.NewTicker(stillThere)
	defer silent.Stop()
	out := http.NewResponseController(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-d.ended:
			return
		case <-silent.C:
			fmt.Fprint(w, ": still there\n\n")
		case <-page.wake:
			d.tell(w, printer, page.take())
		}
		if out.Flush() != nil {
			return
		}
	}
}

// tell writes news as events.
func (d *Dashboard) tell(w http.ResponseWriter, printer messages.Printer, t told) {
	event := func(name string, value any) {
		content, err := json.Marshal(value)
		if err == nil {
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, content)
		}
	}
	if t.lab && t.condition.State != "" {
		next := []string{}
		if text := printer.Text(t.condition.Next); text != "" {
			next = append(next, text)
		}
		event("lab", map[string]any{"name": d.Name, "state": t.condition.State, "text": printer.Text(t.condition.Text), "next": next,
			"apply": applying().shown(printer, "", "").Command, "again": printer.Command(messages.Hellolab("dashboard"))})
	}
	if t.reset || len(t.set)+len(t.gone) > 0 {
		event("objects", map[string]any{"reset": t.reset, "set": orEmpty(t.set), "gone": orEmpty(t.gone)})
	}
	if t.course {
		step := ""
		if t.step != nil {
			step = t.step.ID()
		}
		event("course", map[string]any{"title": printer.Text(d.Course.Title.Text()), "chapters": d.chapters(printer, t), "step": step})
	}
	if t.check && t.result.step != nil {
		rows := []check.Told{}
		for _, each := range t.result.rows {
			rows = append(rows, each.Tell(printer))
		}
		event("check", map[string]any{"step": t.result.step.ID(), "passed": check.Met(t.result.rows), "rows": rows})
	}
	for _, each := range t.traffic {
		event("traffic", map[string]any{"path": each.path, "ok": each.ok, "text": printer.Text(each.text)})
	}
}

// orEmpty is a list as JSON has it: never null.
func orEmpty[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func (d *Dashboard) chapters(printer messages.Printer, t told) []listedChapter {
	all := []listedChapter{}
	for _, chapter := range d.Course.Chapters {
		listed := listedChapter{ID: chapter.Name, Title: printer.Text(chapter.Title.Text()), Steps: []listedStep{}}
		for _, step := range chapter.Steps {
			installed := ""
			switch {
			case step.ID() != t.installed:
			case t.before:
				installed = "before"
			default:
				installed = "after"
			}
			listed.Steps = append(listed.Steps, listedStep{step.ID(), printer.Text(step.Title.Text()), installed, t.marks.Done(step.ID()), t.marks[step.ID()].By})
		}
		all = append(all, listed)
	}
	return all
}

// step is the step that a request names, or nil after it was refused.
func (d *Dashboard) step(w http.ResponseWriter, r *http.Request, name string) *course.Step {
	step, err := d.Course.Find(name)
	if err != nil {
		d.refuse(w, r, http.StatusNotFound, err)
		return nil
	}
	return step
}

// guide tells what a step is about.
func (d *Dashboard) guide(w http.ResponseWriter, r *http.Request) {
	step := d.step(w, r, r.URL.Query().Get("step"))
	if step == nil {
		return
	}
	type file struct {
		Name    string `json:"name"`
		Content string `json:"content"`
	}
	printer, files := d.printer(r), []file{}
	for _, each := range step.Files() {
		files = append(files, file{each.Name, each.Content})
	}
	commands := []string{}
	for _, command := range []messages.Command{messages.Hellolab("lab", step.ID(), "--before"), messages.Hellolab("lab", step.ID())} {
		commands = append(commands, printer.Command(command))
	}
	answer(w, map[string]any{"step": step.ID(), "title": printer.Text(step.Title.Text()), "look": guide.Parse(printer.Text(d.place().Guide(step))), "files": files, "commands": commands})
}

// choose has another step be the one that is checked.
func (d *Dashboard) choose(w http.ResponseWriter, r *http.Request) {
	var wanted struct{ Step string }
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
		d.refuse(w, r, http.StatusBadRequest, err)
		return
	}
	step := d.step(w, r, wanted.Step)
	if step == nil {
		return
	}
	d.follow(step)
	answer(w, map[string]any{"ok": true})
}

// act does what a reader has clicked on.
func (d *Dashboard) act(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		ID, Name string
		Fields   map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
		d.refuse(w, r, http.StatusBadRequest, err)
		return
	}
	o, offered := d.hub.find(wanted.ID), []offer{applying()}
	if wanted.ID != "" {
		if o == nil {
			d.refuse(w, r, http.StatusNotFound, messages.Errorf("there is no %s any more", wanted.ID))
			return
		}
		offered = actions(o, d.hub.revisions(o))
	}
	at := slices.IndexFunc(offered, func(each offer) bool { return each.name == wanted.Name })
	if at < 0 {
		d.refuse(w, r, http.StatusBadRequest, messages.Errorf("%s cannot be done with %s", wanted.Name, wanted.ID))
		return
	}
	printer := d.printer(r)
	if wanted.Name == visiting {
		command, said, err := d.visit(r.Context(), printer, o)
		d.said(w, printer, command, said, err)
		return
	}
	command, said, err := d.do(r.Context(), printer, o, offered[at], wanted.Fields)
	d.said(w, printer, command, said, err)
}

// said answers what became of an action.
func (d *Dashboard) said(w http.ResponseWriter, printer messages.Printer, command, said string, err error) {
	if err != nil {
		said = printer.Error(err)
		if hint := printer.Hint(err); hint != "" {
			said += "\n" + hint
		}
	}
	answer(w, map[string]any{"ok": err == nil, "command": command, "said": messages.Clean(said)})
}
