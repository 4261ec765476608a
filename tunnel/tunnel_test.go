package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/hellolab/hellolab/messages"
)

// machine is a network in memory, with the addresses of the test's choice.
type machine struct {
	mu     sync.Mutex
	refuse func(address string) error
	open   map[string]*listener
	tries  int
}

func (m *machine) Listen(_ context.Context, _, address string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	var refused error
	if m.refuse != nil {
		refused = m.refuse(address)
	}
	if m.open[address] != nil {
		refused = syscall.EADDRINUSE
	}
	if refused != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", refused)}
	}
	opened := &listener{clients: make(chan net.Conn), closed: make(chan struct{})}
	opened.release = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.open[address] == opened {
			delete(m.open, address)
		}
	}
	m.open[address] = opened
	return opened, nil
}

// listener is an open port of a machine.
type listener struct {
	clients chan net.Conn
	once    sync.Once
	closed  chan struct{}
	release func()
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case client := <-l.clients:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.release()
		close(l.closed)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return nil }

// connection is one end of a connection in memory.
type connection struct {
	net.Conn // of which nothing is used
	in       *io.PipeReader
	out      *io.PipeWriter
}

func (c *connection) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *connection) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *connection) CloseWrite() error           { return c.out.Close() }
func (c *connection) Close() error {
	c.out.Close()
	return c.in.Close()
}

// connect opens a connection to what the tunnel opened at address.
func (m *machine) connect(t *testing.T, address string) *connection {
	t.Helper()
	m.mu.Lock()
	open := m.open[address]
	m.mu.Unlock()
	if open == nil {
		t.Fatalf("nothing listens at %s", address)
	}
	there, out := io.Pipe()
	in, back := io.Pipe()
	client := &connection{in: in, out: out}
	t.Cleanup(func() { client.Close() })
	open.clients <- &connection{in: there, out: back}
	return client
}

func (m *machine) listens() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []string{}
	for address := range m.open {
		all = append(all, address)
	}
	slices.Sort(all)
	return all
}

func (m *machine) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tries
}

// mac has 127.0.0.1 alone.
func mac(address string) error {
	if !strings.HasPrefix(address, "127.0.0.1:") {
		return syscall.EADDRNOTAVAIL
	}
	return nil
}

// anybody may not open ports below 1024.
func anybody(address string) error {
	if _, port, _ := net.SplitHostPort(address); len(port) < 4 {
		return syscall.EACCES
	}
	return nil
}

// running is a Tunnel that runs.
type running struct {
	*testing.T
	*machine
	cluster *fake.Clientset
	mu      sync.Mutex
	said    []string
	cancel  context.CancelFunc
	ended   chan error
}

// start runs a Tunnel until the test ends.
func start(t *testing.T, m *machine, dial func(context.Context, Endpoint) (Stream, error), objects ...runtime.Object) *running {
	t.Helper()
	return startOn(t, m, dial, fake.NewClientset(objects...))
}

func startOn(t *testing.T, m *machine, dial func(context.Context, Endpoint) (Stream, error), cluster *fake.Clientset, options ...func(*Tunnel)) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	m.open = map[string]*listener{}
	r := &running{T: t, machine: m, cluster: cluster, cancel: cancel, ended: make(chan error, 1)}
	tunnel := &Tunnel{Cluster: cluster, Listen: m.Listen, Dial: dial, Say: func(text messages.Text) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.said = append(r.said, text.String())
	}}
	for _, option := range options {
		option(tunnel)
	}
	go func() { r.ended <- tunnel.Run(ctx) }()
	t.Cleanup(cancel)
	return r
}

// end stops the Tunnel, and returns the error of Run.
func (r *running) end() error {
	r.Helper()
	r.cancel()
	return <-r.ended
}

// until waits for something to come true. The clock is the bubble's, which stands still while anything works.
func (r *running) until(what string, done func() bool) {
	r.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("not within 10 s: %s; it said %q, and listens at %v", what, r.story(), r.listens())
		}
	}
}

func (r *running) story() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said)
}

// times counts the lines that have all the words.
func (r *running) times(words ...string) int {
	n := 0
	for _, line := range r.story() {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			n++
		}
	}
	return n
}

func (r *running) waitFor(words ...string) {
	r.Helper()
	r.until(fmt.Sprintf("a line with %q", words), func() bool { return r.times(words...) > 0 })
}

// address is what a Service shows.
func (r *running) address(name string) string {
	r.Helper()
	object, err := r.cluster.CoreV1().Services("default").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	var all []string
	for _, ingress := range object.Status.LoadBalancer.Ingress {
		text := ingress.IP
		if ingress.IPMode != nil {
			text += " " + string(*ingress.IPMode)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (r *running) waitForAddress(name, want string) {
	r.Helper()
	r.until(fmt.Sprintf("service/%s shows %q", name, want), func() bool { return r.address(name) == want })
}

// change edits a Service.
func (r *running) change(name string, edit func(*corev1.Service)) {
	r.Helper()
	services := r.cluster.CoreV1().Services("default")
	object, err := services.Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	edit(object)
	if _, err := services.Update(context.Background(), object, metav1.UpdateOptions{}); err != nil {
		r.Fatal(err)
	}
}

// bubble is a parallel test in which time passes only while everything waits.
func bubble(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	}
}

// touch changes nothing that matters.
func touch(object *corev1.Service) {
	object.Annotations = map[string]string{"touched": time.Now().String()}
}

// balanced is a Service of type LoadBalancer.
func balanced(name string, ports ...int32) *corev1.Service {
	object := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	for _, number := range ports {
		object.Spec.Ports = append(object.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", number), Port: number, Protocol: corev1.ProtocolTCP})
	}
	return object
}

// having is a Service that shows an address.
func having(object *corev1.Service, ip string, mode corev1.LoadBalancerIPMode) *corev1.Service {
	object.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip, IPMode: &mode}}
	return object
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	proxy, vip := corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP
	classed := having(balanced("classed", 80), "127.0.0.7", proxy)
	classed.Spec.LoadBalancerClass = new("example.com/lb")
	for name, test := range map[string]struct {
		refuse   func(string) error
		services []runtime.Object
		// want has the address of each, and what is open.
		want map[string]string
		open []string
		said []string
	}{
		"one address each": {
			services: []runtime.Object{balanced("a", 80), balanced("b", 80, 443)},
			want:     map[string]string{"a": "127.0.0.2 Proxy", "b": "127.0.0.3 Proxy"},
			open:     []string{"127.0.0.2:80", "127.0.0.3:443", "127.0.0.3:80"},
			said:     []string{"service/a: 127.0.0.2:80", "service/b: 127.0.0.3:80, 127.0.0.3:443"},
		},
		"an address where all ports are free": {
			refuse: func(address string) error {
				if address == "127.0.0.2:443" {
					return syscall.EADDRINUSE
				}
				return nil
			},
			services: []runtime.Object{balanced("a", 80, 443)},
			want:     map[string]string{"a": "127.0.0.3 Proxy"},
			open:     []string{"127.0.0.3:443", "127.0.0.3:80"},
		},
		"one address for all": {
			refuse:   mac,
			services: []runtime.Object{balanced("a", 8080), balanced("b", 8081)},
			want:     map[string]string{"a": "127.0.0.1 Proxy", "b": "127.0.0.1 Proxy"},
			open:     []string{"127.0.0.1:8080", "127.0.0.1:8081"},
		},
		"one address for all, and one port": {
			refuse:   mac,
			services: []runtime.Object{balanced("a", 8080), balanced("b", 8080)},
			want:     map[string]string{"a": "127.0.0.1 Proxy", "b": ""},
			open:     []string{"127.0.0.1:8080"},
			said:     []string{"service/a: 127.0.0.1:8080", "port 8080 of service/b is not free on any address of this machine: listen tcp: bind: address already in use"},
		},
		"the address from before": {
			services: []runtime.Object{balanced("a", 80), having(balanced("b", 80), "127.0.0.2", proxy), having(balanced("c", 80), "127.0.0.77", proxy)},
			want:     map[string]string{"a": "127.0.0.3 Proxy", "b": "127.0.0.2 Proxy", "c": "127.0.0.77 Proxy"},
			open:     []string{"127.0.0.2:80", "127.0.0.3:80", "127.0.0.77:80"},
		},
		"an address from before that is another's now": {
			refuse: func(address string) error {
				if address == "127.0.0.5:80" {
					return syscall.EADDRINUSE
				}
				return nil
			},
			services: []runtime.Object{having(balanced("a", 80), "127.0.0.5", proxy)},
			want:     map[string]string{"a": "127.0.0.2 Proxy"},
			open:     []string{"127.0.0.2:80"},
		},
		"a left over address that cannot be served": {
			refuse:   anybody,
			services: []runtime.Object{having(balanced("a", 80), "127.0.0.5", proxy), balanced("b", 8080)},
			want:     map[string]string{"a": "", "b": "127.0.0.2 Proxy"},
			open:     []string{"127.0.0.2:8080"},
		},
		"somebody else's": {
			services: []runtime.Object{having(balanced("a", 80), "172.18.0.9", vip), having(balanced("b", 80), "127.0.0.5", vip), classed},
			want:     map[string]string{"a": "172.18.0.9 VIP", "b": "127.0.0.5 VIP", "classed": "127.0.0.7 Proxy"},
			open:     []string{},
			said:     []string{"service/a has an address from somebody else, which stays", "service/b has an address from somebody else, which stays"},
		},
	} {
		t.Run(name, bubble(func(t *testing.T) {
			r := start(t, &machine{refuse: test.refuse}, nil, test.services...)
			for service, want := range test.want {
				r.waitForAddress(service, want)
			}
			r.until(fmt.Sprintf("it listens at %v", test.open), func() bool { return slices.Equal(r.listens(), test.open) })
			r.until(fmt.Sprintf("it says %q", test.said), func() bool { return test.said == nil || slices.Equal(r.story(), test.said) })
			if err := r.end(); err != nil {
				t.Error(err)
			}
			for service, want := range test.want {
				if !strings.HasSuffix(want, "VIP") && service != "classed" {
					want = ""
				}
				if got := r.address(service); got != want {
					t.Errorf("after the end, service/%s shows %q, want %q", service, got, want)
				}
			}
			if left := r.listens(); len(left) != 0 {
				t.Errorf("it still listens at %v", left)
			}
		}))
	}
}

// TestChanges holds that the addresses follow the Services.
func TestChanges(t *testing.T) {
	bubble(func(t *testing.T) {
		r := start(t, &machine{}, nil)
		r.waitFor("no Service has the type LoadBalancer yet")
		ctx, services := context.Background(), r.cluster.CoreV1().Services("default")
		if _, err := services.Create(ctx, balanced("web", 80), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.waitFor("service/web: 127.0.0.2:80")
		r.change("web", func(object *corev1.Service) { object.Spec.Ports[0].Port = 81 })
		r.waitFor("service/web: 127.0.0.2:81")
		r.change("web", func(object *corev1.Service) { object.Status.LoadBalancer = corev1.LoadBalancerStatus{} })
		r.waitForAddress("web", "127.0.0.2 Proxy")
		r.change("web", func(object *corev1.Service) { object.Spec.Type = corev1.ServiceTypeNodePort })
		r.waitForAddress("web", "")
		r.until("the ports of a NodePort Service are closed", func() bool { return len(r.listens()) == 0 })
		r.change("web", func(object *corev1.Service) { object.Spec.Type = corev1.ServiceTypeLoadBalancer })
		r.waitForAddress("web", "127.0.0.2 Proxy")
		if err := services.Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.until("the ports of a Service that is gone are closed", func() bool { return len(r.listens()) == 0 })
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})(t)
}

// TestToldOnce holds that what cannot be served is told once, whatever changes, that the others are served, and that it
// is served when it can be.
func TestToldOnce(t *testing.T) {
	bubble(func(t *testing.T) {
		mixed := balanced("dns", 5353)
		mixed.Spec.Ports = append(mixed.Spec.Ports, corev1.ServicePort{Name: "udp", Port: 53, Protocol: corev1.ProtocolUDP})
		r := start(t, &machine{refuse: anybody}, nil, balanced("low", 80), balanced("web", 8080), mixed)
		r.waitFor("service/web: 127.0.0.3:8080")
		r.waitFor("service/dns: 127.0.0.2:5353")
		for range 3 {
			before := r.count()
			r.change("low", touch)
			r.until("it tries again", func() bool { return r.count() > before })
		}
		if n := r.times("port 80 of service/low may not be opened by this user"); n != 1 {
			t.Errorf("the port was told of %d times: %q", n, r.story())
		}
		if n := r.times("service/dns", "53/UDP"); n != 1 || r.times("53/UDP", "5353") != 0 {
			t.Errorf("the UDP port was told of %d times: %q", n, r.story())
		}
		r.machine.mu.Lock()
		r.refuse = nil
		r.machine.mu.Unlock()
		r.change("low", touch)
		r.waitFor("service/low: 127.0.0.4:80")
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})(t)
}

// TestGone holds that a tunnel ends with its lab, and not with a lab that is only stopped.
func TestGone(t *testing.T) {
	bubble(func(t *testing.T) {
		var gone, broken atomic.Bool
		cluster := fake.NewClientset(balanced("web", 80))
		cluster.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
			if broken.Load() {
				return true, nil, errors.New("connection refused")
			}
			return false, nil, nil
		})
		r := startOn(t, &machine{}, nil, cluster, func(tunnel *Tunnel) { tunnel.Gone = func(context.Context) bool { return gone.Load() } })
		r.waitFor("service/web: 127.0.0.2:80")
		broken.Store(true)
		r.change("web", touch)
		r.waitFor("the tunnel keeps trying")
		gone.Store(true)
		r.change("web", touch)
		if err := <-r.ended; err == nil || err.Error() != "the lab is gone, and the tunnel with it" {
			t.Errorf("the failure is %v", err)
		}
		if left := r.listens(); len(left) > 0 {
			t.Errorf("it still listens at %v", left)
		}
	})(t)
}

// TestAnotherTunnel holds that two tunnels do not take the addresses from each other for ever.
func TestAnotherTunnel(t *testing.T) {
	bubble(func(t *testing.T) {
		r := start(t, &machine{}, nil, balanced("web", 80))
		r.waitForAddress("web", "127.0.0.2 Proxy")
		r.waitFor("service/web: 127.0.0.2:80")
		r.change("web", func(object *corev1.Service) { having(object, "127.0.0.9", corev1.LoadBalancerIPModeProxy) })
		r.waitFor("service/web has an address from somebody else")
		r.until("the port is closed", func() bool { return len(r.listens()) == 0 })
		if got := r.address("web"); got != "127.0.0.9 Proxy" {
			t.Errorf("the address is %q now", got)
		}
		r.change("web", func(object *corev1.Service) { object.Status.LoadBalancer = corev1.LoadBalancerStatus{} })
		r.waitForAddress("web", "127.0.0.2 Proxy")
		r.change("web", func(object *corev1.Service) { having(object, "127.0.0.9", corev1.LoadBalancerIPModeProxy) })
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if got := r.address("web"); got != "127.0.0.9 Proxy" {
			t.Errorf("the end made it %q", got)
		}
	})(t)
}

// TestFailures holds that the API server's failures come out: at the start and the end as errors, in between as lines.
func TestFailures(t *testing.T) {
	t.Parallel()
	services := corev1.Resource("services")
	broken := func(verb string, err func(call int) error) *fake.Clientset {
		cluster, calls := fake.NewClientset(balanced("web", 80)), 0
		cluster.PrependReactor(verb, "services", func(clienttesting.Action) (bool, runtime.Object, error) {
			calls++
			failure := err(calls)
			return failure != nil, nil, failure
		})
		return cluster
	}
	t.Run("at the start", bubble(func(t *testing.T) {
		r := startOn(t, &machine{}, nil, broken("list", func(int) error { return errors.New("connection refused") }))
		if err := <-r.ended; err == nil || err.Error() != "the Services of the lab cannot be listed: connection refused" {
			t.Errorf("the failure is %v", err)
		}
	}))
	t.Run("later", bubble(func(t *testing.T) {
		r := startOn(t, &machine{}, nil, broken("list", func(call int) error {
			if call == 2 || call == 3 {
				return errors.New("connection refused")
			}
			return nil
		}))
		r.waitFor("cannot be listed: connection refused; the tunnel keeps trying")
		r.change("web", func(object *corev1.Service) { object.Spec.Ports[0].Port = 81 })
		r.change("web", touch)
		r.change("web", touch)
		r.waitFor("service/web: 127.0.0.2:81")
		if n := r.times("keeps trying"); n != 1 {
			t.Errorf("it was told %d times", n)
		}
	}))
	t.Run("a conflict", bubble(func(t *testing.T) {
		r := startOn(t, &machine{}, nil, broken("update", func(call int) error {
			if call == 1 {
				return apierrors.NewConflict(services, "web", errors.New("somebody was faster"))
			}
			return nil
		}))
		r.waitFor("service/web: 127.0.0.2:80")
		if n := len(r.story()); n != 1 {
			t.Errorf("it said %q", r.story())
		}
	}))
	t.Run("at the end", bubble(func(t *testing.T) {
		r := startOn(t, &machine{}, nil, broken("update", func(call int) error {
			if call == 2 {
				return errors.New("no route to host")
			}
			return nil
		}))
		r.waitFor("service/web: 127.0.0.2:80")
		err := r.end()
		if err == nil || err.Error() != "service/web keeps its address: no route to host" || (messages.Printer{}).Hint(err) == "" {
			t.Errorf("the failure is %v", err)
		}
	}))
	t.Run("writing", bubble(func(t *testing.T) {
		r := startOn(t, &machine{}, nil, broken("update", func(call int) error {
			if call == 1 {
				return errors.New("forbidden")
			}
			return nil
		}))
		r.waitFor("the address of service/web cannot be changed: forbidden")
		r.waitFor("service/web: 127.0.0.2:80")
	}))
}

// slice has the endpoints of service/web for its port p80.
func slice(name string, ports []discoveryv1.EndpointPort, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		TypeMeta:   metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		Ports:      ports, Endpoints: endpoints, AddressType: discoveryv1.AddressTypeIPv4,
	}
}

func named(name string, number int32) discoveryv1.EndpointPort {
	return discoveryv1.EndpointPort{Name: new(name), Port: new(number), Protocol: new(corev1.ProtocolTCP)}
}

func pod(name string, isReady *bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses: []string{"10.244.0.5"}, Conditions: discoveryv1.EndpointConditions{Ready: isReady},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: name, Namespace: "default"},
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	udp := discoveryv1.EndpointPort{Name: new("http"), Port: new(int32(53)), Protocol: new(corev1.ProtocolUDP)}
	node := discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Kind: "Node", Name: "n"}}
	behind := []discoveryv1.EndpointSlice{
		*slice("old", []discoveryv1.EndpointPort{udp, named("http", 3000), named("metrics", 9090)}, pod("a", new(true)), pod("b", new(false)), pod("c", nil)),
		*slice("new", []discoveryv1.EndpointPort{named("http", 8080)}, pod("d", new(true)), node, discoveryv1.Endpoint{Addresses: []string{"1.2.3.4"}}),
		*slice("v6", []discoveryv1.EndpointPort{named("http", 3000)}, pod("a", new(true))),
		*slice("unnamed", []discoveryv1.EndpointPort{{Port: new(int32(5000))}, {Name: new("all")}}, pod("e", new(true))),
	}
	for name, want := range map[string][]Endpoint{
		"http":    {{"default", "a", 3000}, {"default", "c", 3000}, {"default", "d", 8080}},
		"metrics": {{"default", "a", 9090}, {"default", "c", 9090}},
		"":        {{"default", "e", 5000}},
		"all":     nil,
		"grpc":    nil,
	} {
		if got := ready(behind, name); !slices.Equal(got, want) {
			t.Errorf("behind %q are %v, want %v", name, got, want)
		}
	}
}

// talk is a stream to a pod that hears everything first, and then answers in capitals.
type talk struct {
	in  *io.PipeReader
	out *io.PipeWriter
}

func answering(name string) Stream {
	hear, in := io.Pipe()
	out, say := io.Pipe()
	go func() {
		heard, _ := io.ReadAll(hear)
		fmt.Fprintf(say, "%s: %s", name, strings.ToUpper(string(heard)))
		say.Close()
	}()
	return &talk{out, in}
}

func (s *talk) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *talk) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s *talk) CloseWrite() error           { return s.out.Close() }
func (s *talk) Close() error {
	s.out.CloseWithError(io.EOF)
	return s.in.CloseWithError(io.EOF)
}

// TestForward holds that bytes go both ways, to the Ready pods alone, and past one that cannot be reached.
func TestForward(t *testing.T) {
	bubble(func(t *testing.T) {
		var mu sync.Mutex
		dialed := map[Endpoint]int{}
		dial := func(_ context.Context, to Endpoint) (Stream, error) {
			mu.Lock()
			defer mu.Unlock()
			if dialed[to]++; to.Pod == "gone" {
				return nil, errors.New("pod not found")
			}
			return answering(to.Pod), nil
		}
		r := start(t, &machine{}, dial, balanced("web", 80),
			slice("web-1", []discoveryv1.EndpointPort{named("p80", 3000)}, pod("a", new(true)), pod("gone", new(true)), pod("starting", new(false))),
			slice("web-2", []discoveryv1.EndpointPort{named("p80", 4000)}, pod("b", new(true))))
		r.waitFor("service/web: 127.0.0.2:80")
		answered := map[string]bool{}
		for try := 0; len(answered) < 2; try++ {
			if try == 200 {
				t.Fatalf("only these pods answer: %v", answered)
			}
			client := r.connect(t, "127.0.0.2:80")
			io.WriteString(client, "hello")
			client.CloseWrite()
			answer, err := io.ReadAll(client)
			name, rest, _ := strings.Cut(string(answer), ": ")
			if err != nil || rest != "HELLO" {
				t.Fatalf("the answer is %q: %v", answer, err)
			}
			answered[name] = true
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		for to := range dialed {
			if want := map[string]int32{"a": 3000, "gone": 3000, "b": 4000}[to.Pod]; to.Port != want {
				t.Errorf("%v was asked, want port %d", to, want)
			}
		}
		if n := r.times("cannot be reached"); n != 0 {
			t.Errorf("a pod that another stood in for was told of: %q", r.story())
		}
	})(t)
}

// TestForwardFails holds that a connection which nobody takes is closed, and that this is not told for each.
func TestForwardFails(t *testing.T) {
	t.Parallel()
	ports := []discoveryv1.EndpointPort{named("p80", 3000)}
	for name, test := range map[string]struct {
		behind *discoveryv1.EndpointSlice
		stream Stream
		want   string
	}{
		"no pod":           {slice("web-1", ports, pod("a", new(false))), nil, "service/web: no pod behind port 80 is Ready"},
		"no way to it":     {slice("web-1", ports, pod("a", new(true))), nil, "service/web: port 3000 of pod/a cannot be reached: no container"},
		"nothing in there": {slice("web-1", ports, pod("a", new(true))), &refusing{}, "service/web: the connection to port 3000 of pod/a broke: connection refused"},
	} {
		t.Run(name, bubble(func(t *testing.T) {
			r := start(t, &machine{}, func(context.Context, Endpoint) (Stream, error) {
				if test.stream == nil {
					return nil, errors.New("no container")
				}
				return test.stream, nil
			}, balanced("web", 80), test.behind)
			r.waitFor("service/web: 127.0.0.2:80")
			for range 3 {
				if got, err := io.ReadAll(r.connect(t, "127.0.0.2:80")); err != nil || len(got) > 0 {
					t.Errorf("the answer is %q: %v", got, err)
				}
			}
			r.waitFor(test.want)
			if err := r.end(); err != nil {
				t.Error(err)
			}
			if story := r.story(); len(story) != 2 || story[1] != test.want {
				t.Errorf("it said %q, want %q", story, test.want)
			}
		}))
	}
}

// refusing is a stream that the node says an error of.
type refusing struct{}

func (*refusing) Read([]byte) (int, error)    { return 0, errors.New("connection refused") }
func (*refusing) Write(p []byte) (int, error) { return len(p), nil }
func (*refusing) CloseWrite() error           { return nil }
func (*refusing) Close() error                { return nil }

// TestEndCloses holds that connections end with the tunnel.
func TestEndCloses(t *testing.T) {
	bubble(func(t *testing.T) {
		r := start(t, &machine{}, func(context.Context, Endpoint) (Stream, error) { return answering("a"), nil },
			balanced("web", 80), slice("web-1", []discoveryv1.EndpointPort{named("p80", 3000)}, pod("a", new(true))))
		r.waitFor("service/web: 127.0.0.2:80")
		client := r.connect(t, "127.0.0.2:80")
		if _, err := io.WriteString(client, "hello"); err != nil {
			t.Fatal(err)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(client); err != nil { // were it still open, the bubble would find that nothing can end this
			t.Error(err)
		}
	})(t)
}
