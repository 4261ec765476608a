package course

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

// chart reads a chart from a folder below the course's, or returns nil and notes why it cannot.
func (s spot) chart(folder string) *helm.Chart {
	if folder == "" {
		s.missing("chart")
		return nil
	}
	files := map[string][]byte{}
	err := fs.WalkDir(s.files, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := s.content(name)
		files[strings.TrimPrefix(name, folder+"/")] = s.renamed(content)
		return err
	})
	if err == nil {
		var chart *helm.Chart
		if chart, err = helm.LoadFiles(files); err == nil {
			if abroad := helm.Abroad(chart); len(abroad) > 0 {
				s.wrong(messages.T("%s: values.schema.json refers to %s; it may refer to parts of itself (#...) only", folder, abroad))
				return nil
			}
			return chart
		}
	}
	s.wrong(messages.T("%s cannot be read: %s", folder, err))
	return nil
}

// renamed returns a text with the course's own images under the account of this lab.
func (l *loader) renamed(content []byte) []byte {
	if l.own == nil {
		return content
	}
	return l.own.ReplaceAll(content, []byte("${1}"+l.account+"/"))
}

// release reads the chart and the values of a release, and returns what it makes of them: the chart's files, with the
// objects that come out of each.
func (s spot) release(r *Release) []Manifest {
	if r.chart = s.chart(r.Chart); r.chart == nil {
		return nil
	}
	r.chart = helm.Version(r.chart, r.Version)
	edits, known := s.values(r.Edits)
	values, also := s.values(r.Values)
	if !known || !also {
		return nil
	}
	r.chart, r.values = helm.Edit(r.chart, edits), values
	rendered, err := s.rendered(r)
	if err != nil {
		s.wrong(messages.T("%s cannot be read: %s", r.Chart, err))
		return nil
	}
	all := s.filesOf(r)
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		template := path.Join(path.Dir(r.Chart), name)
		objects := s.objectsIn(template, []byte(rendered[name]), func(o *unstructured.Unstructured, _ int) {
			if o.GetNamespace() == "" && !clusterWide(o) { // helm uninstall removes those of the whole cluster, too
				o.SetNamespace(r.Namespace)
			}
		})
		all = append(all, Manifest{Objects: objects, Release: r.Name})
	}
	return all
}

// renderingWithin bounds the time that the charts of a course take to be rendered, all together.
const renderingWithin = 30 * time.Second

// rendered are the manifests of a release.
func (l *loader) rendered(r *Release) (map[string]string, error) {
	if l.rendering > renderingWithin {
		return nil, messages.Usagef("the charts before took longer than %s", renderingWithin)
	}
	started := time.Now()
	defer func() { l.rendering += time.Since(started) }()
	return helm.Render(r.chart, r.values, r.Name, r.Namespace)
}

// values reads files of values, and reports whether they could be read.
func (s spot) values(files []string) (map[string]any, bool) {
	var contents [][]byte
	for _, file := range files {
		content, err := s.content(file)
		if err != nil {
			s.wrong(messages.T("%s cannot be read: %s", file, err))
			return nil, false
		}
		if err := strict.Check(s.name(file), content); err != nil {
			s.problems = append(s.problems, err)
			return nil, false
		}
		contents = append(contents, s.renamed(strict.Plain(content)))
	}
	values, err := helm.Values(contents...)
	if err != nil {
		s.wrong(messages.T("%s cannot be read: %s", strings.Join(files, ", "), err))
	}
	return values, err == nil
}

// filesOf are what a user has of a release: nothing where the chart comes from a repository, what they change where they
// change it, and all of the chart elsewhere.
func (l *loader) filesOf(r *Release) (all []Manifest) {
	switch {
	case r.Repository != "":
	case len(r.Edits) > 0:
		for _, file := range r.Edits {
			content, _ := fs.ReadFile(l.files, file) // it could be read a moment ago
			all = append(all, Manifest{Name: path.Base(file), Content: string(l.renamed(strict.Plain(content))), Release: r.Name})
		}
	default:
		for _, file := range r.chart.Raw {
			all = append(all, Manifest{Name: path.Join(path.Base(r.Chart), file.Name), Content: string(file.Data), Release: r.Name})
		}
	}
	return all
}
