package main

import (
	"github.com/urfave/cli/v2"
)

// tunnel gives LoadBalancer Services addresses until Ctrl-C.
func (p *program) tunnel(c *cli.Context) error {
	s, err := p.begin(c)
	if err != nil {
		return err
	}
	cluster, err := s.lab.API(c.Context)
	if err != nil {
		return err
	}
	ran, err := p.supply(s, cluster).RunTunnel(c.Context)
	if err == nil && !ran {
		unlock, busy := s.lab.Lock(c.Context) // hellolab lab has a tunnel of its own while it works, and not any longer
		if busy != nil {
			return busy
		}
		unlock()
		err = s.lab.TunnelBusy(c.Context)
	}
	if err != nil && c.Context.Err() != nil {
		err = afterInterrupt{err}
	}
	return err
}
