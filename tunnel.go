package main

import (
	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/messages"
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
		err = messages.Errorf("another tunnel to this lab runs already").
			WithHint("one tunnel is enough for all Services; Ctrl-C in its terminal ends it")
	}
	if err != nil && c.Context.Err() != nil {
		err = afterInterrupt{err}
	}
	return err
}
