// Package idle ends connections that nothing goes through any more.
package idle

import (
	"context"
	"net"
	"net/http"
	"time"
)

// dialWithin bounds the wait for a connection.
const dialWithin = 10 * time.Second

// Limit has a transport's requests fail once nothing has gone either way for a while: a server that stops in the middle of
// an image would be waited for without end.
func Limit(transport *http.Transport, limit time.Duration) *http.Transport {
	dialer := net.Dialer{Timeout: dialWithin}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return activeConn{connection, limit}, nil
	}
	transport.IdleConnTimeout = limit / 2 // before the deadline of a connection that no request uses
	return transport
}

// activeConn is a connection with a deadline that whatever is read or written puts off.
type activeConn struct {
	net.Conn
	limit time.Duration
}

func (a activeConn) Read(into []byte) (int, error) {
	if err := a.SetDeadline(time.Now().Add(a.limit)); err != nil {
		return 0, err
	}
	return a.Conn.Read(into)
}

func (a activeConn) Write(content []byte) (int, error) {
	if err := a.SetDeadline(time.Now().Add(a.limit)); err != nil {
		return 0, err
	}
	return a.Conn.Write(content)
}
