package dashboard

import (
	"maps"
	"slices"
	"sync"

	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Condition is how a lab is, where it cannot be asked for anything.
type Condition struct {
	// State is ready, absent, stopped, paused, broken or away.
	State string
	// Text says so in words, and Next is what to type.
	Text messages.Text
	Next messages.Text
}

// The states of a lab.
const (
	Ready   = "ready"
	Absent  = "absent"
	Stopped = "stopped"
	Paused  = "paused"
	Broken  = "broken"
	Away    = "away"
)

// result is a step's check.
type result struct {
	step *course.Step
	rows []check.Row
}

// traffic is a request on its way through objects, and its answer, which is empty where the page shows that elsewhere.
type traffic struct {
	path []string
	ok   bool
	text messages.Text
}

// alike reports whether two requests look the same on a page.
func (t traffic) alike(other traffic) bool {
	return t.ok == other.ok && slices.Equal(t.path, other.path)
}

// news is what a page has not been told yet.
type news struct {
	lab, course, check bool
	// reset has it forget all objects that it knows.
	reset   bool
	objects map[string]bool
	traffic []traffic
}

// hub holds what all pages show, and what each of them has not been told yet.
type hub struct {
	mutex   sync.Mutex
	lab     Condition
	objects map[string]*object
	// known says that the objects have been looked at: before, there is nothing to tell.
	known bool
	// looked says that the course has been looked at.
	looked bool
	// state is what is remembered of the course, and step the one that is checked now.
	marks     labs.Marks
	installed string
	before    bool
	step      *course.Step
	check     result
	// sent are the check's requests that pages were told of last.
	sent  []traffic
	pages map[*page]bool
}

// page is one that somebody looks at.
type page struct {
	hub  *hub
	news news
	wake chan struct{}
}

func newHub() *hub { return &hub{objects: map[string]*object{}, pages: map[*page]bool{}} }

// open begins to collect news for a page, of everything that there is at first.
func (h *hub) open() *page {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	p := &page{hub: h, wake: make(chan struct{}, 1)}
	p.news = news{lab: true, course: true, check: true, reset: true, objects: map[string]bool{}}
	h.pages[p], h.sent = true, nil
	p.wake <- struct{}{}
	return p
}

func (p *page) close() {
	p.hub.mutex.Lock()
	defer p.hub.mutex.Unlock()
	delete(p.hub.pages, p)
}

// change changes what is held, and has tell note for every page what has.
func (h *hub) change(what func(), tell func(*news)) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	what()
	for p := range h.pages {
		tell(&p.news)
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// setLab says how the lab is. It is looked at again and again, and pages are told of what differs only.
func (h *hub) setLab(lab Condition) {
	h.mutex.Lock()
	same := h.lab.State == lab.State && h.lab.Text.String() == lab.Text.String() && h.lab.Next.String() == lab.Next.String()
	h.mutex.Unlock()
	if same {
		return
	}
	h.change(func() { h.lab = lab }, func(n *news) { n.lab = true })
}

// replace begins a new picture, with all that there is: no page is told of the one without the other.
func (h *hub) replace(all map[string]*object) {
	h.change(func() { h.objects, h.known = all, true }, func(n *news) { n.reset, n.objects = true, map[string]bool{} })
}

// put changes objects; nil is one that has gone.
func (h *hub) put(changed map[string]*object) {
	h.change(func() {
		for id, o := range changed {
			if o == nil {
				delete(h.objects, id)
			} else {
				h.objects[id] = o
			}
		}
	}, func(n *news) {
		for id := range changed {
			n.objects[id] = true
		}
	})
}

// chosenStep is the step that is checked now, or nil.
func (h *hub) chosenStep() *course.Step {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.step
}

// moved reports whether another snapshot has been installed since the last look, that of step.
func (h *hub) moved(step string) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.looked && step != "" && step != h.installed
}

// setCourse says how far the reader is, unless a step has been chosen since the look began, which was at from. Pages are told of what
// differs only.
func (h *hub) setCourse(from *course.Step, state labs.State, step *course.Step, rows []check.Row) {
	h.mutex.Lock()
	late := h.step != from
	course := h.step != step || h.installed != state.Step || h.before != state.Before || !maps.Equal(h.marks, state.Marks)
	same := h.check.step == step && slices.EqualFunc(h.check.rows, rows, alike)
	h.mutex.Unlock()
	if late || !course && same {
		return
	}
	h.change(func() {
		h.looked = true
		h.step, h.installed, h.before, h.marks = step, state.Step, state.Before, state.Marks
		h.check = result{step, rows}
	}, func(n *news) {
		n.course = n.course || course
		n.check = n.check || !same
	})
}

// mostTraffic is how many requests are kept for a page that is slow.
const mostTraffic = 50

// send tells pages of the requests of a check. It checks every other second: those that go as the last ones went are not drawn again, but for a page
// that has come since.
func (h *hub) send(sent []traffic) {
	h.mutex.Lock()
	same := slices.EqualFunc(h.sent, sent, traffic.alike)
	h.mutex.Unlock()
	if !same {
		h.change(func() { h.sent = sent }, func(n *news) {
			n.traffic = append(n.traffic, sent...)
			n.traffic = n.traffic[max(0, len(n.traffic)-mostTraffic):]
		})
	}
}

// alike reports whether two rows say the same to a reader. What a row that is met has may differ each time: the pod that has answered.
func alike(a, b check.Row) bool {
	if a.Met && b.Met {
		return a.Subject.String() == b.Subject.String()
	}
	said := func(row check.Row) []string {
		return []string{row.Subject.String(), row.Have.String(), row.Expected.String(), row.Why.String(), row.Next.String()}
	}
	return a.Met == b.Met && slices.Equal(said(a), said(b))
}

// find returns an object by its ID, or nil.
func (h *hub) find(id string) *object {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.objects[id]
}

// told is what a page is told next.
type told struct {
	news
	condition Condition
	set       []*object
	gone      []string
	marks     labs.Marks
	installed string
	before    bool
	step      *course.Step
	result    result
}

// take returns what is new for a page, and considers it told.
func (p *page) take() told {
	p.hub.mutex.Lock()
	defer p.hub.mutex.Unlock()
	h := p.hub
	t := told{news: p.news, condition: h.lab, marks: h.marks, installed: h.installed, before: h.before, step: h.step, result: h.check}
	p.news = news{objects: map[string]bool{}}
	if t.reset && !h.known {
		t.reset, p.news.reset = false, true
	}
	if t.reset {
		for _, o := range h.objects {
			t.set = append(t.set, o)
		}
	} else {
		for id := range t.objects {
			if o := h.objects[id]; o != nil {
				t.set = append(t.set, o)
			} else {
				t.gone = append(t.gone, id)
			}
		}
	}
	slices.SortFunc(t.set, func(a, b *object) int {
		if by := a.created.Compare(b.created); by != 0 {
			return by
		}
		return slices.Compare([]string{a.ID}, []string{b.ID})
	})
	slices.Sort(t.gone)
	return t
}
