package progress

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/hellolab/hellolab/messages"
)

// span is something that took time: a step, or a part of the work that the story does not tell.
type span struct {
	name       messages.Text
	begin, end time.Time
}

// Silent begins a part of the work that only a trace shows. It ends when end is called.
func (p *Progress) Silent(name messages.Text) (end func()) {
	begin := time.Now()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.note(name, begin)
	}
}

// note keeps what has just ended.
func (p *Progress) note(name messages.Text, begin time.Time) {
	p.spans = append(p.spans, span{name, begin, time.Now()})
}

// traced is a complete event of a trace; times are in microseconds.
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU has the format.
type traced struct {
	Name     string `json:"name"`
	Phase    string `json:"ph"`
	Start    int64  `json:"ts"`
	Duration int64  `json:"dur"`
	Process  int    `json:"pid"`
	Lane     int    `json:"tid"`
}

// WriteTrace writes what has ended so far, in the format that chrome://tracing and ui.perfetto.dev read. What overlaps lies in lanes of
// its own; all begins with the first of them.
func (p *Progress) WriteTrace(out io.Writer) error {
	p.mu.Lock()
	spans := slices.Clone(p.spans)
	p.mu.Unlock()
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Or(a.begin.Compare(b.begin), b.end.Compare(a.end)) })
	events := []traced{}
	var lanes []time.Time // when the last of each ends
	for _, each := range spans {
		lane := slices.IndexFunc(lanes, func(busy time.Time) bool { return !busy.After(each.begin) })
		if lane < 0 {
			lane, lanes = len(lanes), append(lanes, time.Time{})
		}
		lanes[lane] = each.end
		events = append(events, traced{Name: messages.Clean(p.Printer.Text(each.name)), Phase: "X", Start: each.begin.Sub(spans[0].begin).Microseconds(),
			Duration: each.end.Sub(each.begin).Microseconds(), Process: 1, Lane: lane + 1})
	}
	return json.NewEncoder(out).Encode(trace{"ms", events})
}

// trace is the whole of it, as it is written.
type trace struct {
	Unit   string   `json:"displayTimeUnit"`
	Events []traced `json:"traceEvents"`
}

// IsTrace reports whether [Progress.WriteTrace] has written a file, or has been interrupted before.
func IsTrace(content []byte) bool {
	return len(content) == 0 || bytes.HasPrefix(content, []byte(`{"displayTimeUnit":"ms","traceEvents":[`))
}
