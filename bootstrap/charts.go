package bootstrap

import (
	"context"
	"embed"
	"encoding/base64"
	"net/http"

	"github.com/hellolab/hellolab/await"
	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/kube"
	"github.com/hellolab/hellolab/messages"
)

//go:embed charts
var chartRepository embed.FS

const (
	// chartsName names the chart repository's release, its chart and its path.
	chartsName = "charts"
	// chartsNamespace is hellolab's own.
	chartsNamespace = "hellolab"
	// chartsImage is the web server that serves the repository.
	chartsImage = "nginx"
)

// ensureCharts installs the chart repository, which holds files from the start, and what users put in later, and waits
// until it answers. Without files, one that is there is waited for. Without the image of its web server in the lab's registry there is none, and it says so.
func (l *Lab) ensureCharts(ctx context.Context, api *kube.Cluster, files map[string][]byte) error {
	if !l.settings.Bootstrap.Ingress.Enabled {
		return nil
	}
	found, err := l.chartServer(ctx, api, files)
	if err != nil {
		return err
	}
	url := l.Addresses().Charts
	answers := func(ctx context.Context) error { return answersWith(ctx, url+"/index.yaml", http.StatusOK) }
	if found.whole && answers(ctx) == nil {
		return nil
	}
	if len(files) == 0 && !found.exists {
		return nil
	}
	if len(files) > 0 && !found.whole {
		image, _, err := l.registry.Find(ctx, chartsImage)
		if err != nil {
			return err
		}
		if image == nil {
			l.story.Say(l.noCharts())
			return nil
		}
	}
	return l.story.Do(ctx, messages.T("chart repository at %s", url), func(ctx context.Context) error {
		ctx, cancel := l.within(ctx)
		defer cancel()
		if len(files) == 0 {
			return untilCharts(ctx, answers)
		}
		if found.whole && within(ctx, comeBackWithin, func(ctx context.Context) error { return untilCharts(ctx, answers) }) == nil {
			return nil
		}
		if err := found.install(ctx); err != nil {
			return messages.Errorf("the chart repository cannot be installed").Because(err).WithHint("once that is mended, run the same command again")
		}
		return untilCharts(ctx, answers)
	})
}

// chartServer is the chart repository's installation. Without files it is whatever is installed.
func (l *Lab) chartServer(ctx context.Context, api *kube.Cluster, files map[string][]byte) (installation, error) {
	releases, err := l.releases(api, chartsNamespace)
	if err != nil {
		return installation{}, err
	}
	installed, err := releases.Get(chartsName)
	if err != nil {
		return installation{}, err
	}
	if len(files) == 0 {
		return installation{exists: installed != nil, whole: installed != nil}, nil
	}
	wanted, err := helm.Load(chartRepository, chartsName)
	if err != nil {
		return installation{}, err
	}
	encoded := map[string]any{}
	for name, content := range files {
		encoded[name] = base64.StdEncoding.EncodeToString(content)
	}
	values := map[string]any{"files": encoded}
	if l.settings.Bootstrap.Ingress.Chart == "" {
		values["class"] = ingressClass // which is not there yet where the chart is installed before the controller's
	}
	return look(ctx, releases, chartsName, installed, wanted, values)
}

func untilCharts(ctx context.Context, answers func(context.Context) error) error {
	return await.Poll(ctx, messages.T("the chart repository does not answer"), answers)
}

// noCharts says that there is no chart repository, and what makes one. The lab's own settings cannot: it keeps them.
func (l *Lab) noCharts() messages.Text {
	target := l.Addresses().Registry + "/library/" + chartsImage // as an official image of Docker Hub
	return messages.T("there is no chart repository at %s, as the image %s is not in the lab's registry; to get one: %s, %s, %s, and %s",
		l.Addresses().Charts, chartsImage, messages.Shell("docker", "pull", chartsImage), messages.Shell("docker", "tag", chartsImage, target),
		messages.Shell("docker", "push", target), messages.Hellolab("up"))
}
