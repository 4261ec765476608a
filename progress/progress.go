// Package progress shows long work as it goes on: the story of a command, on stderr.
//
// On a terminal, finished steps scroll by with their times and one last line turns while others run. In a pipe, a
// file or a dumb terminal there are plain lines only: one when a step starts, one when it ends, and one for every 30 s between. Both
// come from the same calls.
package progress

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hellolab/hellolab/messages"
)

const (
	frames   = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
	interval = 100 * time.Millisecond
	// silence is how long a pipe or a file gets nothing while a step goes on.
	silence = 30 * time.Second

	green, red, reset = "\x1b[32m", "\x1b[31m", "\x1b[0m"
	clearLine         = "\r\x1b[K"
)

// Options are where and how the story is written.
type Options struct {
	Out     io.Writer
	Printer messages.Printer
	// Columns returns the terminal's present width, and is nil where Out is no terminal.
	Columns func() int
	Color   bool
}

// Progress writes the story. Its methods may be called from many goroutines.
type Progress struct {
	Options
	mu      sync.Mutex
	running []*Step
	count   int
	frame   int
	drawn   bool
	stop    chan struct{}
	spans   []span
}

// New returns a story that is written on options.Out.
func New(options Options) *Progress { return &Progress{Options: options} }

// Step is one part of the work, from Start to End.
type Step struct {
	progress *Progress
	name     messages.Text
	detail   messages.Text
	started  time.Time
	// still tells now and then that the step goes on, where nothing turns.
	still *time.Timer
}

// Do runs work as one step. The error comes back as it is; the story only marks the step as failed.
func (p *Progress) Do(ctx context.Context, name messages.Text, work func(context.Context) error) error {
	step := p.Start(name)
	err := work(ctx)
	step.End(err)
	return err
}

// Start begins a step.
func (p *Progress) Start(name messages.Text) *Step {
	p.mu.Lock()
	defer p.mu.Unlock()
	step := &Step{progress: p, name: name, started: time.Now()}
	p.count++
	if p.Columns == nil {
		fmt.Fprintf(p.Out, "• %s\n", p.text(name))
		step.still = time.AfterFunc(silence, step.goesOn)
		return step
	}
	p.running = append(p.running, step)
	if len(p.running) == 1 {
		p.stop = make(chan struct{})
		go p.turn(p.stop)
	}
	p.draw()
	return step
}

// goesOn writes how far a step is, and does so again after a while.
func (s *Step) goesOn() {
	s.progress.mu.Lock()
	defer s.progress.mu.Unlock()
	if s.still == nil { // it has just ended
		return
	}
	fmt.Fprintf(s.progress.Out, "… %s %s\n", s.line(), seconds(time.Since(s.started)))
	s.still.Reset(silence)
}

// line is what a step does, and how far it is.
func (s *Step) line() string {
	line := s.progress.text(s.name)
	if !s.detail.IsZero() {
		line += " " + s.progress.text(s.detail)
	}
	return line
}

// Detail sets how far a running step is, such as a percentage.
func (s *Step) Detail(detail messages.Text) {
	s.progress.mu.Lock()
	defer s.progress.mu.Unlock()
	s.detail = detail
}

// End finishes a step, with its time.
func (s *Step) End(err error) {
	p := s.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(s.name, s.started)
	p.erase()
	mark, color := "✓", green
	if err != nil {
		mark, color = "✗", red
	}
	if p.Color {
		mark = color + mark + reset
	}
	fmt.Fprintf(p.Out, "%s %s %s\n", mark, p.text(s.name), seconds(time.Since(s.started)))
	if p.Columns == nil {
		s.still.Stop()
		s.still = nil
		return
	}
	for i, step := range p.running {
		if step == s {
			p.running = append(p.running[:i], p.running[i+1:]...)
			break
		}
	}
	if len(p.running) == 0 {
		close(p.stop)
		return
	}
	p.draw()
}

// Say writes one line of the story between the steps; on a terminal as many as its width takes.
func (p *Progress) Say(text messages.Text) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	io.WriteString(p.Out, p.Fold(func(printer messages.Printer) string { return printer.Text(text) + "\n" }))
	p.draw()
}

// Fold renders lines of text, on a terminal broken where that ends, but not within a command, which has to be copied in one piece.
func (p *Progress) Fold(render func(messages.Printer) string) string {
	if p.Columns == nil {
		return messages.Clean(render(p.Printer))
	}
	printer := p.Printer
	printer.Glued = true
	var b strings.Builder
	for line := range strings.Lines(messages.Clean(render(printer))) {
		line = strings.TrimRight(line, "\n")
		words := strings.TrimLeft(line, " ")
		b.WriteString(Wrap(words, line[:len(line)-len(words)], p.Columns()))
	}
	return messages.Unglued(b.String())
}

// Steps returns how many steps have been started: none means that there was nothing to do.
func (p *Progress) Steps() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Write writes whole lines of somebody else's, such as a logger's, above the line that turns.
func (p *Progress) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	n, err := messages.Cleaned(p.Out).Write(line)
	p.draw()
	return n, err
}

// text renders what is told, in which the words of others may be.
func (p *Progress) text(t messages.Text) string { return messages.Clean(p.Printer.Text(t)) }

func (p *Progress) turn(stop <-chan struct{}) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			p.mu.Lock()
			if len(p.running) > 0 {
				p.frame++
				p.erase()
				p.draw()
			}
			p.mu.Unlock()
		}
	}
}

func (p *Progress) erase() {
	if p.drawn {
		io.WriteString(p.Out, clearLine)
		p.drawn = false
	}
}

// draw writes the line that turns: what runs now, the oldest first, cut to the terminal's width.
func (p *Progress) draw() {
	if len(p.running) == 0 || p.drawn {
		return
	}
	names := make([]string, len(p.running))
	for i, step := range p.running {
		names[i] = step.line()
	}
	all := []rune(frames)
	line := fmt.Sprintf("%c %s %s", all[p.frame%len(all)], seconds(time.Since(p.running[0].started)), strings.Join(names, " · "))
	line = strings.NewReplacer("\n", " ", "\t", " ").Replace(line) // it is drawn over, so it has to be one
	io.WriteString(p.Out, cut(line, p.Columns()-1))
	p.drawn = true
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
