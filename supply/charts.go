package supply

import (
	"context"
	"errors"
	"slices"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/messages"
)

// folder is where charts lie in the image registry.
const folder = "charts"

// Repository returns what the chart repository holds from the start: packages of the charts, and their files by name,
// the index among them.
func Repository(charts []*helm.Chart) (packages []helm.Package, files map[string][]byte, err error) {
	files = map[string][]byte{}
	for _, chart := range charts {
		packed, err := helm.Pack(chart)
		if err != nil {
			return nil, nil, err
		}
		packages = append(packages, packed)
		files[packed.File] = packed.Content
	}
	files["index.yaml"], err = helm.Index(packages...)
	return packages, files, err
}

// ChartVersions lists the versions that the image registry has of a chart.
func (s *Supply) ChartVersions(ctx context.Context, name string) ([]string, error) {
	return s.Lab.Registry().Tags(ctx, folder+"/"+name)
}

// inRegistry reports whether the image registry has a package's version of its chart.
func (s *Supply) inRegistry(ctx context.Context, chart helm.Package) (bool, error) {
	versions, err := s.ChartVersions(ctx, chart.Chart())
	return slices.Contains(versions, chart.Tag()), err
}

// ociFolder is where helm finds the charts in the image registry.
func (s *Supply) ociFolder() string { return s.Lab.Registry().Address() + "/" + folder }

// PushCharts puts the packages into the image registry that it lacks.
func (s *Supply) PushCharts(ctx context.Context, packages []helm.Package) error {
	for _, packed := range packages {
		held, err := s.inRegistry(ctx, packed)
		if err == nil && !held {
			err = helm.Push(ctx, s.ociFolder(), packed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// PublishedCharts returns every package already published under a chart's version, in the image registry and in the
// chart repository.
func (s *Supply) PublishedCharts(ctx context.Context, chart helm.Package) (all [][]byte, err error) {
	held, err := s.inRegistry(ctx, chart)
	if err != nil {
		return nil, err
	}
	if held {
		content, err := helm.Pull(ctx, s.ociFolder(), chart)
		if err != nil {
			return nil, messages.Errorf("%s cannot be read from the image registry", chart.File).Because(err).Next(messages.Hellolab("up"))
		}
		all = append(all, content)
	}
	if !s.hasRepository() {
		return all, nil
	}
	content, err := helm.Download(ctx, s.Lab.Addresses().Charts, chart)
	if err != nil {
		return nil, s.withoutRepository(messages.Errorf("%s cannot be read from the chart repository", chart.File).Because(err))
	}
	if content != nil {
		all = append(all, content)
	}
	return all, nil
}

// PublishChart puts a chart into the image registry, and into the chart repository where the lab has one.
func (s *Supply) PublishChart(ctx context.Context, chart helm.Package) error {
	if err := helm.Push(ctx, s.ociFolder(), chart); err != nil {
		return messages.Errorf("%s cannot be written into the image registry", chart.File).Because(err).Next(messages.Hellolab("up"))
	}
	if !s.hasRepository() {
		return nil
	}
	err := helm.Upload(ctx, s.Lab.Addresses().Charts, chart)
	if err == nil {
		return nil
	}
	failure := messages.Errorf("%s cannot be put into the chart repository", chart.File).Because(err)
	if errors.As(err, new(helm.BadIndex)) {
		return failure.WithHint("%s brings back the first index; then run the same command again",
			messages.Curl("-X", "DELETE", s.Lab.Addresses().Charts+"/index.yaml"))
	}
	return s.withoutRepository(failure)
}

// withoutRepository adds what to do where the chart repository does not answer. Without the image that its web server
// runs, `up` leaves it out.
func (s *Supply) withoutRepository(failure *messages.Error) error {
	return failure.WithHint("%s brings the chart repository back; it needs the image %s in the registry", messages.Hellolab("up"), "nginx")
}

// hasRepository reports whether the lab has a chart repository: it answers behind the ingress controller.
func (s *Supply) hasRepository() bool { return s.Lab.Settings().Bootstrap.Ingress.Enabled }
