package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/distribution/reference"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/exec"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/messages"
)

// Refresh has every node that runs fetch images anew of which it has another version than the registry: kubelet does not ask
// again for what is there. pushed has their digests in the registry, by the names that YAML has for them.
func (l *Lab) Refresh(ctx context.Context, pushed map[string]string) error {
	all, err := l.nodes(ctx)
	if err != nil || len(all) == 0 || stateOf(all) != Running {
		return err
	}
	running, err := l.kind.ListInternalNodes(l.name())
	if err != nil {
		return err
	}
	var work errgroup.Group
	for _, node := range running {
		work.Go(func() error {
			for image, digest := range pushed {
				if err := refresh(ctx, node, image, digest); err != nil {
					return messages.Errorf("the node %s keeps the image %s that it has", node.String(), image).Because(errors.New(withOutput(err))).
						WithHint("once that is mended, run the same command again")
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// containerdWithin bounds the wait for containerd in a node that was started or restarted just now.
const containerdWithin = 30 * time.Second

// refresh has a node fetch an image, if it has another version of it.
func refresh(ctx context.Context, node nodes.Node, image, digest string) error {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return err
	}
	ctr := func(args ...string) exec.Cmd {
		return node.CommandContext(ctx, "ctr", append([]string{"--namespace", "k8s.io", "images"}, args...)...)
	}
	var list bytes.Buffer
	waiting, cancel := context.WithTimeout(ctx, containerdWithin)
	defer cancel()
	var asked error
	err = await.Poll(waiting, messages.Text{}, func(context.Context) error {
		list.Reset()
		asked = ctr("ls", "name=="+named.String()).SetStdout(&list).Run()
		return asked
	})
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		return asked
	}
	if !strings.Contains(list.String(), named.String()+" ") || strings.Contains(list.String(), digest) {
		return nil
	}
	return ctr("pull", "--hosts-dir", certsFolder, named.String()).Run()
}
