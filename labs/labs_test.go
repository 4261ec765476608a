package labs

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/labs/check"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// TestFollowGivesUp holds that a cluster which cannot be asked is told of once, and not waited for without an end.
func TestFollowGivesUp(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	nobody, err := kube.New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	l := small(t)
	l.Cluster, l.Checker, l.Timeout = nobody, &check.Checker{Cluster: nobody, Course: l.Course}, 100*time.Millisecond
	l.Story = progress.New(progress.Options{Out: &said})
	step, err := l.Course.Find("pod/first")
	if err != nil {
		t.Fatal(err)
	}
	err = l.Follow(t.Context(), step, func(*course.Step, []check.Row) error {
		t.Error("it shows rows of a cluster that cannot be asked")
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "the lab's API server cannot be reached: ") || (messages.Printer{}).Hint(err) != "hellolab status" {
		t.Errorf("it ends with %v", err)
	}
	if strings.Count(said.String(), "trying again until it works") != 1 {
		t.Errorf("it says\n%s", said.String())
	}
}
