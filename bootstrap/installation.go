package bootstrap

import (
	"context"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"

	"github.com/hellolab/hellolab/helm"
)

// installation is a Helm release of the lab's own, as it has to be.
type installation struct {
	releases releases
	name     string
	wanted   *chart.Chart
	values   map[string]any
	// exists reports whether there is one, and whole whether it is just so, with all its objects.
	exists, whole bool
}

// look compares a release that is installed, or nil, with what it has to be.
func look(ctx context.Context, releases releases, name string, installed *release.Release, wanted *chart.Chart, values map[string]any) (installation, error) {
	found := installation{releases: releases, name: name, wanted: wanted, values: values, exists: installed != nil}
	if !helm.Current(installed, wanted, values) {
		return found, nil
	}
	var err error
	found.whole, err = releases.Whole(ctx, installed)
	return found, err
}

// install makes it so. It does not wait for its pods.
func (i installation) install(ctx context.Context) error {
	return i.releases.Ensure(ctx, i.name, i.wanted, i.values)
}

// within bounds one try of several.
func within(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return try(ctx)
}
