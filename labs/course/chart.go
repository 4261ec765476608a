package course

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/helm"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/strict"
)

// chart reads a chart from a folder below the course's, or gives nil and notes why it cannot.
func (l *loader) chart(listedIn string, at int, folder string) *helm.Chart {
	if folder == "" {
		l.refuse(listedIn, at, messages.T("%q is missing", "chart"))
		return nil
	}
	files := map[string][]byte{}
	err := fs.WalkDir(l.files, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(l.files, name)
		files[strings.TrimPrefix(name, folder+"/")] = l.renamed(content)
		return err
	})
	if err == nil {
		var chart *helm.Chart
		if chart, err = helm.LoadFiles(files); err == nil {
			return chart
		}
	}
	l.refuse(listedIn, at, messages.T("%s cannot be read: %s", folder, err))
	return nil
}

// renamed gives a file with the course's own images under the account that is asked for.
func (l *loader) renamed(content []byte) []byte {
	if l.own == nil {
		return content
	}
	return l.own.ReplaceAll(content, []byte("${1}"+l.account+"/"))
}

// release reads the chart and the values of a release, and gives what it makes of them: the chart's files, with the
// objects that come out of each.
func (l *loader) release(listedIn string, at int, r *Release) []Manifest {
	if r.Release == "" {
		l.refuse(listedIn, at, messages.T("%q is missing", "release"))
	}
	if r.Namespace == "" {
		r.Namespace = metav1.NamespaceDefault
	}
	if r.chart = l.chart(listedIn, at, r.Chart); r.chart == nil {
		return nil
	}
	r.chart = helm.Version(r.chart, r.Version)
	edits, known := l.values(listedIn, at, r.Edits)
	values, also := l.values(listedIn, at, r.Values)
	if !known || !also {
		return nil
	}
	r.chart, r.values = helm.Edit(r.chart, edits), values
	rendered, err := helm.Render(r.chart, r.values, r.Release, r.Namespace)
	if err != nil {
		l.refuse(listedIn, at, messages.T("%s cannot be read: %s", r.Chart, err))
		return nil
	}
	all := l.filesOf(r)
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		objects, err := l.objects(path.Join(path.Dir(r.Chart), name), []byte(rendered[name]), r.Namespace)
		if err != nil {
			l.problems = append(l.problems, strict.Retell(l.name(path.Join(path.Dir(r.Chart), name)), err))
		}
		all = append(all, Manifest{Objects: objects, Release: r.Release})
	}
	return all
}

// values reads files of values, and tells whether that went well.
func (l *loader) values(listedIn string, at int, files []string) (map[string]any, bool) {
	var contents [][]byte
	for _, file := range files {
		content, err := fs.ReadFile(l.files, file)
		if err != nil {
			l.refuse(listedIn, at, messages.T("%s cannot be read: %s", file, err))
			return nil, false
		}
		contents = append(contents, l.renamed(content))
	}
	values, err := helm.Values(contents...)
	if err != nil {
		l.refuse(listedIn, at, messages.T("%s cannot be read: %s", strings.Join(files, ", "), err))
	}
	return values, err == nil
}

// filesOf are what a reader has of a release: nothing where the chart comes from a repository, what they change where they
// change it, and all of the chart elsewhere.
func (l *loader) filesOf(r *Release) (all []Manifest) {
	switch {
	case r.Repository != "":
	case len(r.Edits) > 0:
		for _, file := range r.Edits {
			content, _ := fs.ReadFile(l.files, file) // it could be read a moment ago
			all = append(all, Manifest{Name: path.Base(file), Content: string(l.renamed(content)), Release: r.Release})
		}
	default:
		for _, file := range r.chart.Raw {
			all = append(all, Manifest{Name: path.Join(path.Base(r.Chart), file.Name), Content: string(file.Data), Release: r.Release})
		}
	}
	return all
}
