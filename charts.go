package main

import (
	"context"
	"slices"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/labs/course"
)

// repository is what the chart repository holds from the start: the course's charts, and their index.
func repository(lessons *course.Course) (packages []helm.Package, files map[string][]byte, err error) {
	files = map[string][]byte{}
	for _, chart := range lessons.Charts() {
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

// pushCharts puts the packages into the lab's registry that it lacks.
func pushCharts(ctx context.Context, s session, packages []helm.Package) error {
	for _, packed := range packages {
		versions, err := s.lab.Registry().Tags(ctx, chartsFolder+"/"+packed.Chart())
		if err != nil {
			return err
		}
		if slices.Contains(versions, packed.Tag()) {
			continue
		}
		if err := helm.Push(ctx, s.lab.Registry().Address()+"/"+chartsFolder, packed); err != nil {
			return err
		}
	}
	return nil
}
