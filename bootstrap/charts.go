package bootstrap

import (
	"context"
	"embed"
	"encoding/base64"
	"net/http"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/messages"
)

//go:embed charts
var chartRepository embed.FS

const (
	// chartsName is the chart repository's release's, and its chart's.
	chartsName = "charts"
	// chartsNamespace is hellolab's own.
	chartsNamespace = "hellolab"
)

// ensureCharts installs the chart repository, which holds files from the start, and what the reader puts in later, and
// waits until it answers. Without the image of its web server, which cannot be had then, there is none.
func (l *Lab) ensureCharts(ctx context.Context, kube kube, files map[string][]byte) error {
	if len(files) == 0 || !l.settings.Bootstrap.Ingress.Enabled {
		return nil
	}
	releases, err := helm.New(kube.config, chartsNamespace, l.log)
	if err != nil {
		return err
	}
	installed, err := releases.Get(chartsName)
	if err != nil {
		return err
	}
	wanted, err := helm.Load(chartRepository, chartsName)
	if err != nil {
		return err
	}
	encoded := map[string]any{}
	for name, content := range files {
		encoded[name] = base64.StdEncoding.EncodeToString(content)
	}
	values := map[string]any{"files": encoded}
	if helm.Current(installed, wanted, values) && answersWith(ctx, l.Addresses().Charts+"/index.yaml", http.StatusOK) == nil {
		return nil // otherwise parts of it may have been deleted, which an upgrade to the same brings back
	}
	if image, _, err := l.registry.Find(ctx, "nginx"); err != nil || image == nil {
		return err
	}
	return l.story.Do(ctx, messages.T("chart repository at %s", l.Addresses().Charts), func(ctx context.Context) error {
		if err := releases.Ensure(ctx, chartsName, wanted, values); err != nil {
			return messages.Errorf("the chart repository cannot be installed").Because(err).WithHint("run the same command again")
		}
		ctx, cancel := l.within(ctx)
		defer cancel()
		return await.Poll(ctx, messages.T("the chart repository does not answer"), func(ctx context.Context) error {
			return answersWith(ctx, l.Addresses().Charts+"/index.yaml", http.StatusOK)
		})
	})
}
