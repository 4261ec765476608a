package labs

import (
	"context"

	"github.com/hellolab/hellolab/helm"
)

// Lab is what a course needs of the lab that it runs on, beside the cluster's API server.
type Lab interface {
	// FetchImages brings images into the lab's registry where they are missing.
	FetchImages(ctx context.Context, images []string) error
	// PushImage builds one of the course's images and pushes it, as the reader does, unless the registry has one of the reader's.
	PushImage(ctx context.Context, image string) error
	// Releases returns a client for the Helm releases of a namespace.
	Releases(namespace string) (*helm.Client, error)
	// PublishedCharts returns every package that is published in the lab already under that chart's name and version.
	PublishedCharts(ctx context.Context, chart helm.Package) ([][]byte, error)
	// PublishChart puts a chart into the lab's chart repositories.
	PublishChart(ctx context.Context, chart helm.Package) error
	// Tunnel gives LoadBalancer Services addresses of this machine until ctx ends, unless a tunnel runs already.
	Tunnel(ctx context.Context) error
}
