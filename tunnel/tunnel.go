// Package tunnel gives Services of type LoadBalancer what a cloud would give them: an external IP that answers.
//
// The addresses are loopback addresses of this machine, so the tunnel works without privileges on the network and no other
// machine can reach them. The data goes through the API server to the pods, as with kubectl port-forward, so that no route
// to the nodes is needed on any system.
package tunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// Tunnel gives LoadBalancer Services addresses of this machine.
type Tunnel struct {
	// Config is how to reach the lab's API server, and Cluster what is there.
	Config  *rest.Config
	Cluster kubernetes.Interface
	// Say reports progress, one line for each change. It is called from many goroutines.
	Say func(messages.Text)
	// Gone reports whether the lab that Config leads to has been removed. If it is nil, the lab always exists.
	Gone func(context.Context) bool
	// Listen opens a port of this machine. If it is nil, net.Listen does.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
	// Dial opens a connection to a port of a pod. If it is nil, the connection goes through the API server.
	Dial func(context.Context, Endpoint) (Stream, error)
}

const (
	// only is the one loopback address that macOS has.
	only = "127.0.0.1"
	// retryEvery is how soon a port is tried again that was taken.
	retryEvery = 5 * time.Second
	// endsWithin bounds the clean-up, which cannot be interrupted.
	endsWithin = 10 * time.Second
)

// Run serves until ctx ends, and then removes the addresses. It fails if the lab is removed meanwhile.
func (t *Tunnel) Run(ctx context.Context) error {
	r := &run{Tunnel: *t, services: map[types.NamespacedName]*service{}}
	if r.Listen == nil {
		r.Listen = (&net.ListenConfig{}).Listen
	}
	if r.Dial == nil {
		r.Dial = (&dialer{t.Config, t.Cluster}).dial
	}
	if err := r.look(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	if len(r.services) == 0 && ctx.Err() == nil {
		r.Say(messages.T("no Service has the type LoadBalancer yet; the tunnel waits for one, until Ctrl-C"))
	}
	gone := await.Changes(ctx, await.Every(retryEvery), func(ctx context.Context) (bool, error) {
		err := r.look(ctx)
		if err != nil && r.gone(ctx) {
			return true, nil
		}
		r.trouble(ctx, err)
		return false, err
	}, r.changes()...) == nil // which the end of ctx is not
	err := r.end(ctx)
	if gone {
		return messages.Errorf("the lab is gone, and the tunnel with it").WithHint("%s, then %s", messages.Hellolab("up"), messages.Hellolab("tunnel"))
	}
	return err
}

// run is the state of a running Tunnel. It belongs to one goroutine; the connections' goroutines use behind and work alone.
type run struct {
	Tunnel
	services map[types.NamespacedName]*service
	// behind has the EndpointSlices of every Service. The connections read it.
	behind atomic.Pointer[map[types.NamespacedName][]discoveryv1.EndpointSlice]
	// work are the goroutines of the listeners and connections.
	work sync.WaitGroup
	// troubled is whether it has been reported that the API server does not answer.
	troubled bool
}

// changes are the watches after whose events to look again.
func (r *run) changes() []await.Watch {
	return []await.Watch{
		func(ctx context.Context) (watch.Interface, error) {
			return r.Cluster.CoreV1().Services("").Watch(ctx, metav1.ListOptions{})
		},
		func(ctx context.Context) (watch.Interface, error) {
			return r.Cluster.DiscoveryV1().EndpointSlices("").Watch(ctx, metav1.ListOptions{})
		},
	}
}

func (r *run) gone(ctx context.Context) bool { return r.Gone != nil && r.Gone(ctx) }

// trouble reports an error of the API server, once until it answers again.
func (r *run) trouble(ctx context.Context, err error) {
	if ctx.Err() == nil && err != nil && !r.troubled {
		r.Say(messages.T("%s; the tunnel keeps trying", err))
	}
	r.troubled = err != nil
}

// look makes the listeners and addresses what the Services require now. A failure of one Service is reported, and tried again;
// an error means that the API server does not answer.
func (r *run) look(ctx context.Context) error {
	services, err := r.Cluster.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return messages.Errorf("the Services of the lab cannot be listed").Because(err)
	}
	behind, err := r.Cluster.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return messages.Errorf("the EndpointSlices of the lab cannot be listed").Because(err)
	}
	r.behind.Store(new(byService(behind.Items)))
	wanted := slices.DeleteFunc(services.Items, func(object corev1.Service) bool { return !wants(&object) })
	for _, s := range r.services {
		if !slices.ContainsFunc(wanted, func(object corev1.Service) bool { return nameOf(&object) == s.name }) {
			r.retire(ctx, s)
		}
	}
	// those that have an address come first, so that no other gets it
	slices.SortStableFunc(wanted, func(a, b corev1.Service) int { return -cmp.Compare(carried(&a), carried(&b)) })
	for i := range wanted {
		r.serve(ctx, &wanted[i])
	}
	return nil
}

// wants reports whether a Service is the tunnel's to serve. One with a class belongs to the controller of that class.
func wants(object *corev1.Service) bool {
	return object.Spec.Type == corev1.ServiceTypeLoadBalancer && object.Spec.LoadBalancerClass == nil && object.DeletionTimestamp == nil
}

// serve brings one Service to what it requires.
func (r *run) serve(ctx context.Context, object *corev1.Service) {
	s := r.services[nameOf(object)]
	if s == nil {
		s = &service{name: nameOf(object), told: map[string]bool{}}
		r.services[s.name] = s
	}
	if !s.mayWrite(object) {
		s.close()
		r.tell(s, messages.T("%s has an address from somebody else, which stays", s))
		return
	}
	if ports := tcp(object); s.address == "" || !slices.Equal(ports, s.ports) {
		s.close()
		r.open(ctx, s, ports, cmp.Or(carried(object), s.published))
		r.tellUnserved(s, object)
	}
	if carried(object) != s.address {
		if err := r.write(ctx, s); err != nil {
			r.tellFailure(ctx, s, err)
			return
		}
	}
	s.settled, s.published = true, s.address
	if s.address != "" && !s.announced {
		s.announced = true
		r.Say(messages.T("%s: %s", s, s.answers()))
	}
}

// retire stops serving a Service that was deleted or has another type now.
func (r *run) retire(ctx context.Context, s *service) {
	if err := r.withdraw(ctx, s); err != nil {
		r.tellFailure(ctx, s, err)
		return
	}
	delete(r.services, s.name)
}

// withdraw closes the listeners of a Service and removes its address.
func (r *run) withdraw(ctx context.Context, s *service) error {
	if s.close(); s.settled && s.published == "" {
		return nil
	}
	return r.write(ctx, s)
}

// end closes everything and removes the addresses. ctx has ended.
func (r *run) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endsWithin)
	defer cancel()
	var failures []error
	for _, s := range r.services {
		if err := r.withdraw(ctx, s); err != nil && !r.gone(ctx) { // no lab any more, and no Service
			failure := messages.Errorf("%s keeps its address", s).Because(err)
			failures = append(failures, failure.WithHint("%s takes the address away when it ends", messages.Hellolab("tunnel")))
		}
	}
	ended := make(chan struct{})
	go func() {
		r.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return errors.Join(failures...)
}

// tell reports something about a Service once.
func (r *run) tell(s *service, text messages.Text) {
	if said := text.String(); !s.told[said] {
		s.told[said] = true
		r.Say(text)
	}
}

func (r *run) tellFailure(ctx context.Context, s *service, err error) {
	if ctx.Err() == nil {
		r.tell(s, messages.T("the address of %s cannot be changed: %s", s, err))
	}
}

// tellUnserved reports which ports of a Service do not answer.
func (r *run) tellUnserved(s *service, object *corev1.Service) {
	var others []string
	for _, p := range object.Spec.Ports {
		if !isTCP(p.Protocol) {
			others = append(others, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
		}
	}
	if len(others) > 0 {
		r.tell(s, messages.T("%s: the tunnel carries TCP alone, so these ports do not answer: %s", s, others))
	}
}

// write puts the address of a Service, or none, into its status. An address of somebody else's stays, even one that came after
// the Services were listed.
func (r *run) write(ctx context.Context, s *service) error {
	services := r.Cluster.CoreV1().Services(s.name.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		object, err := services.Get(ctx, s.name.Name, metav1.GetOptions{})
		if err != nil || !s.mayWrite(object) || carried(object) == s.address {
			return err
		}
		object.Status.LoadBalancer.Ingress = shown(s.address)
		_, err = services.UpdateStatus(ctx, object, metav1.UpdateOptions{FieldManager: kube.Owner})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// shown is the status for an address. Its mode is Proxy: with VIP, kube-proxy on each node would route the node's own
// 127.0.0.2 to the Service
// (https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/1860-kube-proxy-IP-node-binding).
func shown(address string) []corev1.LoadBalancerIngress {
	if address == "" {
		return nil
	}
	return []corev1.LoadBalancerIngress{{IP: address, IPMode: new(corev1.LoadBalancerIPModeProxy)}}
}

// carried is the address in a Service's status if it comes from a tunnel: this one, one that was killed, or another running
// one.
func carried(object *corev1.Service) string {
	ingress := object.Status.LoadBalancer.Ingress
	if len(ingress) != 1 || ingress[0].IPMode == nil || *ingress[0].IPMode != corev1.LoadBalancerIPModeProxy {
		return ""
	}
	address, err := netip.ParseAddr(ingress[0].IP)
	if err != nil || !address.Is4() || !address.IsLoopback() {
		return ""
	}
	return ingress[0].IP
}

// service is the state of one Service that is served.
type service struct {
	name types.NamespacedName
	// address is where the listeners for ports are, or "" while nothing listens. stop closes them and their connections.
	address string
	ports   []port
	stop    func()
	// published is the address that this tunnel has written into the Service. settled is whether it has done so: an address
	// that appears later is another running tunnel's, and the two must not overwrite each other for ever.
	published string
	settled   bool
	// announced is whether the address has been reported, and told has what else was.
	announced bool
	told      map[string]bool
	// complained is when a connection last reported a failure.
	mu         sync.Mutex
	complained time.Time
}

// port is a port of a Service.
type port struct {
	name   string
	number int32
}

// String is how kubectl names the Service: "service/web -n shop".
func (s *service) String() string {
	if s.name.Namespace == metav1.NamespaceDefault {
		return "service/" + s.name.Name
	}
	return "service/" + s.name.Name + " -n " + s.name.Namespace
}

// answers lists the addresses and ports that answer.
func (s *service) answers() []string {
	all := make([]string, len(s.ports))
	for i, p := range s.ports {
		all[i] = p.at(s.address)
	}
	return all
}

func (p port) at(address string) string {
	return net.JoinHostPort(address, strconv.Itoa(int(p.number)))
}

// mayWrite reports whether the tunnel may change a Service's address: there is none, or it is this tunnel's, or left over from
// one that was killed.
func (s *service) mayWrite(object *corev1.Service) bool {
	if len(object.Status.LoadBalancer.Ingress) == 0 {
		return true
	}
	address := carried(object)
	return address != "" && (!s.settled || address == s.published)
}

// close closes the listeners and their connections.
func (s *service) close() {
	if s.address == "" {
		return
	}
	s.stop()
	s.address, s.ports, s.announced = "", nil, false
	clear(s.told)
}

// open listens on all ports at the first address where they are free, and reports it if there is none.
func (r *run) open(ctx context.Context, s *service, ports []port, before string) {
	if len(ports) == 0 {
		return
	}
	var failed port
	var failure error
	for _, address := range r.candidates(before) {
		var listeners []net.Listener
		if listeners, failed, failure = r.listen(ctx, address, ports); failure == nil {
			s.address, s.ports = address, ports
			s.stop = r.accept(ctx, s, listeners)
			return
		}
		if errors.Is(failure, fs.ErrPermission) {
			r.tell(s, messages.T("port %v of %s may not be opened by this user; %s allows it, or give the Service a port from 1024 on",
				failed.number, s, allowing(failed.number)))
			return
		}
	}
	r.tell(s, messages.T("port %v of %s is not free on any address of this machine: %s", failed.number, s, failure))
}

// allowing is the command that lets this user open a low port. As root, a tunnel would have another kubectl configuration and other
// locks; on systems without such a setting it has to be.
func allowing(number int32) messages.Command {
	if runtime.GOOS == "linux" {
		return messages.Shell("sysctl", "-w", "net.ipv4.ip_unprivileged_port_start="+strconv.Itoa(int(number))).Sudo()
	}
	return messages.Hellolab("tunnel").Sudo()
}

// candidates are the addresses to try for a Service: the one that it had before, the unused ones, and the one that Services
// share on a machine that has no others.
func (r *run) candidates(before string) []string {
	var all []string
	if before != "" {
		all = append(all, before)
	}
	for last := 2; last < 255; last++ {
		all = append(all, "127.0.0."+strconv.Itoa(last))
	}
	for _, s := range r.services {
		all = slices.DeleteFunc(all, func(address string) bool { return address == s.address })
	}
	return append(all, only)
}

// listen opens all ports at an address, or returns the one that it could not open.
func (r *run) listen(ctx context.Context, address string, ports []port) (listeners []net.Listener, failed port, err error) {
	for _, p := range ports {
		listener, err := r.Listen(ctx, "tcp", p.at(address))
		if err != nil {
			closeAll(listeners)
			return nil, p, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, port{}, nil
}

func closeAll(listeners []net.Listener) {
	for _, listener := range listeners {
		listener.Close()
	}
}

// tcp lists the TCP ports of a Service, which are the ones that can be served.
func tcp(object *corev1.Service) []port {
	var all []port
	for _, p := range object.Spec.Ports {
		if isTCP(p.Protocol) {
			all = append(all, port{p.Name, p.Port})
		}
	}
	return all
}

func isTCP(protocol corev1.Protocol) bool { return protocol == corev1.ProtocolTCP || protocol == "" }

func nameOf(object *corev1.Service) types.NamespacedName {
	return types.NamespacedName{Namespace: object.Namespace, Name: object.Name}
}
