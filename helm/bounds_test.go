package helm

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestRenderEnds holds that templates which do not end, or which fill the memory, are given up. They do end here, later.
func TestRenderEnds(t *testing.T) {
	t.Parallel()
	bomb := func(template string) *Chart {
		chart, err := LoadFiles(map[string][]byte{
			"Chart.yaml":       []byte("apiVersion: v2\nname: bomb\nversion: 0.1.0\n"),
			"templates/a.yaml": []byte(template),
		})
		if err != nil {
			t.Fatal(err)
		}
		return chart
	}
	const long, much = `{{ range 1000000 }}{{ $x := printf "%d" . }}{{ end }}`, `{{ repeat 300000000 "x" }}{{ range 2000000 }}{{ $x := . }}{{ end }}`
	for _, test := range []struct {
		template string
		limits   bounds
		want     string
	}{
		{long, bounds{50 * time.Millisecond, 1 << 40}, "take longer than"},
		{much, bounds{time.Minute, 64 << 20}, "take more than 64 MiB"},
		{"{{ range 100 }}{{ end }}a: b", bounds{time.Minute, 1 << 40}, ""},
		{`{{ fail "so" }}`, usual(), "so"},
		{`{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`, usual(), "unable to execute template"},
	} {
		_, err := renderWithin(test.limits, bomb(test.template), nil, "mine", "default")
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.template, err, test.want)
		}
	}
}

// TestWithin holds that what follows the rendering has all the time that it needs.
func TestWithin(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	err := bounds{time.Millisecond, 1 << 40}.within(func(over func()) error {
		over()
		over()
		time.Sleep(20 * time.Millisecond)
		return failed
	})
	if err != failed {
		t.Errorf("it returns %v", err)
	}
}
