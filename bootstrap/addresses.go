package bootstrap

import (
	"net"
	"strconv"
)

// Addresses are where the parts of a lab answer on this machine.
type Addresses struct {
	// Registry is a host and a port, as in the names of images: "localhost:5001".
	Registry string
	// Ingress and NodePort are URLs without a slash at the end: "http://localhost", "http://localhost:30000". NodePort
	// reaches port 30000 of the nodes.
	Ingress, NodePort string
	// Charts is the URL of the chart repository: "http://localhost/charts".
	Charts string
}

// Addresses returns where the lab's parts answer, whether they run or not.
func (l *Lab) Addresses() Addresses {
	ports := l.settings.Bootstrap.Ports
	ingress := localhost(ports.HTTP.Number)
	return Addresses{Registry: l.registry.Address(), Ingress: ingress, NodePort: localhost(ports.NodePort.Number),
		Charts: ingress + "/" + chartsName}
}

// localhost is the URL of a port of this machine.
func localhost(port int) string {
	if port == 80 {
		return "http://localhost"
	}
	return "http://" + net.JoinHostPort("localhost", strconv.Itoa(port))
}
