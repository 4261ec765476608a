package tunnel

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	protocol "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"
)

// node does what a node does with a forwarded port: pod "web" hears everything first and answers in capitals, and
// others refuse.
type node struct {
	// old knows no WebSocket.
	old bool
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	streams := make(chan httpstream.Stream, 2)
	arrived := func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	}
	connection := n.upgrade(w, r, arrived)
	if connection == nil {
		return
	}
	defer connection.Close()
	failures, data := <-streams, <-streams
	if got := failures.Headers().Get(corev1.StreamType); got != corev1.StreamTypeError {
		failures, data = data, failures
	}
	if strings.Contains(r.URL.Path, "/pods/web/") {
		heard, _ := io.ReadAll(data)
		fmt.Fprintf(data, "%s %s", data.Headers().Get(corev1.PortHeader), strings.ToUpper(string(heard)))
	} else {
		io.WriteString(failures, "connection refused")
	}
	failures.Close()
	data.Close()
	<-connection.CloseChan()
}

func (n *node) upgrade(w http.ResponseWriter, r *http.Request, arrived httpstream.NewStreamHandler) httpstream.Connection {
	if r.URL.Path != "/api/v1/namespaces/shop/pods/web/portforward" && r.URL.Path != "/api/v1/namespaces/shop/pods/other/portforward" {
		http.NotFound(w, r)
		return nil
	}
	if r.Method == http.MethodPost {
		if _, err := httpstream.Handshake(r, w, []string{protocol.PortForwardV1Name}); err != nil {
			return nil
		}
		return streamspdy.NewResponseUpgrader().UpgradeResponse(w, r, arrived)
	}
	if n.old {
		http.Error(w, "no WebSocket here", http.StatusBadRequest)
		return nil
	}
	upgrader := gorilla.Upgrader{Subprotocols: []string{protocol.WebsocketsSPDYTunnelingPortForwardV1}}
	socket, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil
	}
	connection, err := streamspdy.NewServerConnection(portforward.NewTunnelingConnection("server", socket), arrived)
	if err != nil {
		return nil
	}
	return connection
}

// TestDial holds that the streams go through the API server, in both ways that it may speak.
func TestDial(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old %v", old), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(&node{old})
			t.Cleanup(server.CloseClientConnections)
			config := &rest.Config{Host: server.URL}
			cluster, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			d := &dialer{config, cluster}
			stream, err := d.dial(t.Context(), Endpoint{"shop", "web", 3000})
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			long := strings.Repeat("hello ", 100_000)
			if _, err := io.WriteString(stream, long); err != nil {
				t.Fatal(err)
			}
			if err := stream.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(stream)
			if want := "3000 " + strings.ToUpper(long); err != nil || string(answer) != want {
				t.Errorf("the answer has %d bytes, want %d: %v", len(answer), len(want), err)
			}
			refused, err := d.dial(t.Context(), Endpoint{"shop", "other", 3000})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(refused); err == nil || err.Error() != "connection refused" {
				t.Errorf("the failure is %v", err)
			}
			refused.Close()
			if _, err := d.dial(t.Context(), Endpoint{"shop", "gone", 3000}); err == nil {
				t.Error("a pod that is not there can be reached")
			}
			// an end of our own is no failure
			waiting, err := d.dial(t.Context(), Endpoint{"shop", "web", 3000})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(waiting)
				ended <- err
			}()
			waiting.Close()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("closing fails: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("reading goes on after the stream was closed")
			}
		})
	}
}
