package bootstrap

import (
	"slices"
	"testing"
	"time"
)

// TestInstallAhead holds that the charts are installed once, while kind still works on the cluster: the chart repository first, as nothing
// accepts its Ingress between the controller's installation and its start.
func TestInstallAhead(t *testing.T) {
	w := newWorld(t)
	w.api.Put(namespace("kube-system"))
	ahead := 0
	w.atWork = func() {
		w.engine.WriteFile("web-control-plane", adminConf, "")
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && ahead < 2; time.Sleep(time.Millisecond) {
			w.lock.Lock()
			ahead = len(w.installed)
			w.lock.Unlock()
		}
	}
	w.up()
	if ahead != 2 || !slices.Equal(w.installed, []string{"charts", "ingress-nginx"}) {
		t.Errorf("%d were installed ahead, and in all %v", ahead, w.installed)
	}
}

// TestNothingAhead holds that all is installed in the end where nothing could be done before.
func TestNothingAhead(t *testing.T) {
	w := newWorld(t)
	w.up()
	if !slices.Equal(w.installed, []string{"ingress-nginx", "charts"}) {
		t.Errorf("%v were installed", w.installed)
	}
}
