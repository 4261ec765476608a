package port_test

import (
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/port"
)

// FuzzPort holds that a port is one that can be listened on, or auto, and that it is written as it was read.
func FuzzPort(f *testing.F) {
	for _, seed := range []string{"80", "auto", "0", "65536", "-1", "+80", "0x50", "0b1", "1e3", "'80'", "[80]", "{80: 1}", "~", "&a 80", "80 # http", "!!str 80", "!!int auto"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var read struct{ Port port.Port }
		if yaml.Unmarshal([]byte("port: "+text), &read) != nil || read.Port == (port.Port{}) {
			return
		}
		if read.Port.Auto == (read.Port.Number != 0) || read.Port.Number < 0 || read.Port.Number > 65535 {
			t.Fatalf("%q is read as %+v", text, read.Port)
		}
		written, err := yaml.Marshal(read)
		again := read
		again.Port = port.Port{}
		if err != nil || yaml.Unmarshal(written, &again) != nil || again != read {
			t.Errorf("%q is written %q, %v, and read as %+v", text, written, err, again.Port)
		}
	})
}
