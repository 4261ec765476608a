package tunnel

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	protocol "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/transport/websocket"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

// Endpoint is a port of a pod.
type Endpoint struct {
	Namespace, Pod string
	Port           int32
}

// Stream is a connection to an endpoint. Once it is closed, reading gives io.EOF.
type Stream interface {
	io.ReadWriteCloser
	// CloseWrite tells the other side that nothing more comes.
	CloseWrite() error
}

const (
	// complainEvery is how often a Service's connections may tell that they fail.
	complainEvery = time.Minute
	// lastWords is how long a stream that has ended may take to say why.
	lastWords = time.Second
	// acceptAgain is the pause after a connection that could not be accepted: too many are open, say.
	acceptAgain = 100 * time.Millisecond
)

// byService sorts slices by the Services that they belong to.
func byService(all []discoveryv1.EndpointSlice) map[types.NamespacedName][]discoveryv1.EndpointSlice {
	sorted := map[types.NamespacedName][]discoveryv1.EndpointSlice{}
	for _, slice := range all {
		name := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		sorted[name] = append(sorted[name], slice)
	}
	return sorted
}

// ready lists the Ready pods behind a port of a Service. Each slice has the port's number of its own, as pods may give a name to
// different numbers. A pod with addresses of two families is in two slices.
func ready(behind []discoveryv1.EndpointSlice, portName string) []Endpoint {
	var all []Endpoint
	for _, slice := range behind {
		number := numberOf(slice.Ports, portName)
		for _, e := range slice.Endpoints {
			if number == 0 || e.TargetRef == nil || e.TargetRef.Kind != "Pod" || e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			if found := (Endpoint{slice.Namespace, e.TargetRef.Name, number}); !slices.Contains(all, found) {
				all = append(all, found)
			}
		}
	}
	return all
}

func numberOf(ports []discoveryv1.EndpointPort, name string) int32 {
	for _, p := range ports {
		if p.Port != nil && (p.Protocol == nil || isTCP(*p.Protocol)) && (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) {
			return *p.Port
		}
	}
	return 0
}

// accept forwards connections to the listeners, one for each port of s, until stop is called or ctx ends.
func (r *run) accept(ctx context.Context, s *service, listeners []net.Listener) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	for i, listener := range listeners {
		p := s.ports[i]
		r.work.Go(func() {
			for ctx.Err() == nil {
				if client, err := listener.Accept(); err == nil {
					r.work.Go(func() { r.forward(ctx, s, p, client) })
				} else {
					pause(ctx, acceptAgain)
				}
			}
		})
	}
	return func() {
		cancel()
		closeAll(listeners)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// forward connects one client to a pod.
func (r *run) forward(ctx context.Context, s *service, p port, client net.Conn) {
	defer client.Close()
	to, pod, err := r.reach(ctx, s, p)
	if err == nil {
		release := context.AfterFunc(ctx, func() {
			client.Close()
			pod.Close()
		})
		defer release()
		if failure := pump(client, pod); failure != nil {
			err = messages.Errorf("the connection to port %v of pod/%s broke", to.Port, to.Pod).Because(failure)
		}
	}
	if err != nil && ctx.Err() == nil && s.mayComplain() {
		r.Say(messages.T("%s: %s", s, err))
	}
}

// reach connects to a random Ready pod, as kube-proxy does, or to another one if that one cannot be reached.
func (r *run) reach(ctx context.Context, s *service, p port) (to Endpoint, pod Stream, err error) {
	pods := ready((*r.behind.Load())[s.name], p.name)
	err = messages.Errorf("no pod behind port %v is Ready", p.number)
	for _, i := range rand.Perm(len(pods)) {
		to = pods[i]
		if pod, err = r.Dial(ctx, to); err == nil {
			return to, pod, nil
		}
		err = messages.Errorf("port %v of pod/%s cannot be reached", to.Port, to.Pod).Because(err)
	}
	return to, nil, err
}

// mayComplain limits how often failures are reported: a browser may try again and again.
func (s *service) mayComplain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.complained) < complainEvery {
		return false
	}
	s.complained = time.Now()
	return true
}

// pump copies both ways until the pod has sent everything, or the client has hung up. The client may close its sending side
// first and still read. The error is the pod's: a client that hangs up is no failure.
func pump(client io.ReadWriteCloser, pod Stream) error {
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := io.Copy(pod, client); err != nil || pod.CloseWrite() != nil {
			pod.Close()
		}
	})
	from := &source{Reader: pod}
	io.Copy(client, from)
	client.Close()
	pod.Close()
	sending.Wait()
	return from.failure
}

// source keeps the error of reading apart, which io.Copy does not tell from one of writing.
type source struct {
	io.Reader
	failure error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.failure = err
	}
	return n, err
}

// dialer connects to pods through the API server.
type dialer struct {
	config  *rest.Config
	cluster kubernetes.Interface
}

func (d *dialer) dial(ctx context.Context, to Endpoint) (Stream, error) {
	connection, err := d.overWebSocket(ctx, to)
	if httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err) {
		connection, err = d.overSPDY(ctx, to)
	}
	if err != nil {
		return nil, err
	}
	release := context.AfterFunc(ctx, func() { connection.Close() })
	defer release()
	stream, err := open(connection, to.Port)
	if err != nil {
		connection.Close()
		return nil, err
	}
	return stream, nil
}

// overWebSocket connects the way that API servers support since 1.31.
func (d *dialer) overWebSocket(ctx context.Context, to Endpoint) (httpstream.Connection, error) {
	transport, holder, err := websocket.RoundTripperFor(d.config)
	if err != nil {
		return nil, err
	}
	request, err := d.request(ctx, http.MethodGet, to)
	if err != nil {
		return nil, err
	}
	socket, err := websocket.Negotiate(transport, holder, request, protocol.WebsocketsSPDYTunnelingPortForwardV1)
	if err != nil {
		return nil, err
	}
	return streamspdy.NewClientConnectionWithPings(portforward.NewTunnelingConnection(kube.Owner, socket), portforward.PingPeriod)
}

// overSPDY connects the way that older API servers support, and proxies that do not know WebSocket.
func (d *dialer) overSPDY(ctx context.Context, to Endpoint) (httpstream.Connection, error) {
	transport, upgrader, err := spdy.RoundTripperFor(d.config)
	if err != nil {
		return nil, err
	}
	request, err := d.request(ctx, http.MethodPost, to)
	if err != nil {
		return nil, err
	}
	connection, _, err := spdy.NegotiateStreaming(upgrader, &http.Client{Transport: transport}, request, protocol.PortForwardV1Name)
	return connection, err
}

func (d *dialer) request(ctx context.Context, method string, to Endpoint) (*http.Request, error) {
	address := d.cluster.CoreV1().RESTClient().Verb(method).Resource("pods").Namespace(to.Namespace).Name(to.Pod).SubResource("portforward").URL()
	return http.NewRequestWithContext(ctx, method, address.String(), nil)
}

// podStream is one connection to a pod, with its own connection to the API server.
type podStream struct {
	httpstream.Stream
	connection httpstream.Connection
	// failure receives the node's error for the stream, and is closed at the end of the node's messages.
	failure chan error
}

// open creates the two streams of a forwarded connection: the first carries errors, the other the data.
func open(connection httpstream.Connection, number int32) (*podStream, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(number)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	if err := failures.Close(); err != nil { // nothing is sent on it
		return nil, err
	}
	headers = headers.Clone()
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	stream := &podStream{data, connection, make(chan error, 1)}
	go func() {
		defer close(stream.failure)
		if said, _ := io.ReadAll(failures); len(said) > 0 {
			stream.failure <- errors.New(string(said))
		}
	}()
	return stream, nil
}

// Read ends with the node's error for the stream, if that is why it ended.
func (s *podStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if err != io.EOF {
		return n, err
	}
	select {
	case failure := <-s.failure:
		if failure != nil {
			return n, failure
		}
	case <-time.After(lastWords):
	}
	return n, io.EOF
}

// CloseWrite closes one direction, as closing a SPDY stream does.
func (s *podStream) CloseWrite() error { return s.Stream.Close() }

// Close closes both directions.
func (s *podStream) Close() error { return s.connection.Close() }
