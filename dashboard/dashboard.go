// Package dashboard is the live picture of the lab's cluster: a page that a browser shows, served on this machine's loopback only.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// Dashboard serves the page. All exported fields have to be set.
type Dashboard struct {
	// Name is the lab's.
	Name string
	// Course and Place are what guides are taken from where there is no lab.
	Course *course.Course
	Place  course.Place
	// Connect returns the course on the lab's cluster, or how the lab is where that cannot be asked.
	Connect func(context.Context) (*labs.Labs, Condition)
	// Printer speaks a language.
	Printer func(language.Tag) messages.Printer
	// Kubectl runs kubectl on the lab, and returns what it has printed, also where it has failed.
	Kubectl func(ctx context.Context, input io.Reader, words ...string) (string, error)

	token string
	pass  *pass
	hub   *hub
	ended chan struct{}

	mutex sync.Mutex
	lab   *labs.Labs
	// chosen is closed when another step is to be checked.
	chosen chan struct{}
}

// gone is why Run ends where the lab has been removed meanwhile.
func gone() error {
	return messages.Errorf("the lab is gone, and the dashboard with it").WithHint("%s, then %s", messages.Hellolab("up"), messages.Hellolab("dashboard"))
}

const (
	// lookEvery is how often the lab is looked at: whether its API server answers, and if not, why.
	lookEvery = time.Second
	// checkEvery is how often a step is checked though the cluster tells of no change: an address may answer, or not.
	checkEvery = 2 * time.Second
	// answerWithin is how long the API server may take to say that it is ready.
	answerWithin = 2 * time.Second
	// connectWithin bounds one try to connect.
	connectWithin = 5 * time.Second
)

// Run serves the page on listener until ctx ends, or until a lab that was there is gone. It calls open with the page's address for the reader,
// which has the token of this start, and with the one for a browser's arguments, which others may read: that is good once, and for a minute.
func (d *Dashboard) Run(ctx context.Context, listener net.Listener, language string, open func(url, once string)) error {
	if err := d.begin(); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	handler, err := d.handler([]string{"127.0.0.1:" + port, "localhost:" + port})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	defer server.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer close(d.ended)
	address := func(key, value string) string {
		return fmt.Sprintf("http://%s/#%s=%s&lang=%s", listener.Addr(), key, value, language)
	}
	open(address("token", d.token), address("code", d.pass.code))
	kept := make(chan error, 1)
	go func() { kept <- d.keep(ctx) }()
	select {
	case err := <-failed:
		return err
	case err := <-kept:
		return err
	case <-d.pass.shared:
		return shared()
	}
}

// begin prepares a start, with secrets of its own.
func (d *Dashboard) begin() (err error) {
	d.hub, d.ended, d.chosen = newHub(), make(chan struct{}), make(chan struct{})
	if d.token, err = secret(); err != nil {
		return err
	}
	d.pass, err = newPass()
	return err
}

// keep keeps the picture like the lab, whatever becomes of it, until ctx ends or the lab is gone.
func (d *Dashboard) keep(ctx context.Context) error {
	was := false // whether there was a lab
	for ctx.Err() == nil {
		trying, cancel := context.WithTimeout(ctx, connectWithin)
		lab, condition := d.Connect(trying)
		cancel()
		if condition.State == Absent && was {
			return gone()
		}
		was = was || condition.State != Absent
		switch {
		case lab != nil:
			d.show(ctx, lab)
		case ctx.Err() == nil:
			d.hub.setLab(condition)
		}
		pause(ctx, lookEvery)
	}
	return ctx.Err()
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}

// current is the lab while it can be asked, or nil.
func (d *Dashboard) current() *labs.Labs {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.lab
}

func (d *Dashboard) use(lab *labs.Labs) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.lab = lab
}

func (d *Dashboard) place() course.Place {
	if lab := d.current(); lab != nil {
		return lab.Checker.Place
	}
	return d.Place
}

// show shows a lab until its API server is away.
func (d *Dashboard) show(ctx context.Context, lab *labs.Labs) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	d.use(lab)
	defer d.use(nil)
	work.Go(func() {
		defer cancel()
		for ctx.Err() == nil && answers(ctx, lab) {
			pause(ctx, lookEvery)
		}
	})
	if err := watch(ctx, d.hub, lab.Cluster); err != nil {
		return
	}
	d.hub.setLab(Condition{State: Ready})
	work.Go(func() { d.check(ctx, lab) })
	<-ctx.Done()
}

// answers reports whether the lab's API server says that it is ready.
func answers(ctx context.Context, lab *labs.Labs) bool {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := lab.Cluster.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err == nil
}

// follow has a step be the one that is checked.
func (d *Dashboard) follow(step *course.Step) {
	d.hub.change(func() { d.hub.step, d.hub.check, d.hub.sent = step, result{}, nil }, func(n *news) { n.course = true })
	d.mutex.Lock()
	defer d.mutex.Unlock()
	close(d.chosen)
	d.chosen = make(chan struct{})
}

// check checks the chosen step whenever something changes. Until a reader chooses one, it is the one that is installed, or next.
func (d *Dashboard) check(ctx context.Context, lab *labs.Labs) {
	for ctx.Err() == nil {
		d.mutex.Lock()
		chosen := d.chosen
		d.mutex.Unlock()
		checking, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-chosen:
				cancel()
			case <-checking.Done():
			}
		}()
		// it ends only with the context: what fails is tried again, and that the API server is away is noticed elsewhere
		_ = await.Changes(checking, await.Every(checkEvery), func(ctx context.Context) (bool, error) { return false, d.checkOnce(ctx, lab) }, lab.Cluster.Changes()...)
		cancel()
	}
}

// checkOnce checks the step that is chosen, and tells what is new.
func (d *Dashboard) checkOnce(ctx context.Context, lab *labs.Labs) error {
	state, err := lab.State(ctx)
	if err != nil {
		return err
	}
	from := d.hub.chosenStep()
	step := from
	if step == nil || d.hub.moved(state.Step) {
		if step, err = lab.Current(ctx); messages.IsUsage(err) { // the course is done
			step, err = d.Course.Steps()[0], nil
		}
		if err != nil {
			return err
		}
	}
	rows, err := lab.Check(ctx, step)
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if check.Met(rows) && !state.Marks.Done(step.ID()) { // it is noted now; what is installed is what it was when the step was chosen
		now, err := lab.State(ctx)
		if err != nil {
			return err
		}
		state.Marks = now.Marks
	}
	d.hub.setCourse(from, state, step, rows)
	return d.drawRequests(ctx, lab, step, rows)
}

// drawRequests shows the way of the requests that a check has sent, one for each different answer.
func (d *Dashboard) drawRequests(ctx context.Context, lab *labs.Labs, step *course.Step, rows []check.Row) error {
	var sent []traffic
	for i, row := range rows {
		if len(row.Answers) == 0 {
			continue
		}
		through, err := lab.Checker.Way(ctx, step.Expect[i].Condition)
		if err != nil {
			return err
		}
		var path []string
		for _, each := range through {
			path = append(path, id(each.Kind, each.Namespace, each.Name))
		}
		if len(path) == 0 { // they go to a pod itself
			continue
		}
		for _, answer := range row.Answers {
			sent = append(sent, traffic{path: d.way(slices.Clone(path), answer.Text), ok: answer.Good})
		}
	}
	d.hub.send(sent)
	return nil
}
