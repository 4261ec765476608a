package helm

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
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

// TestWithin holds that what follows the rendering has all the time that it needs, and what does not come so far has not.
func TestWithin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // on a clock of its own: a slow machine is not a slow template
		failed, limits := errors.New("failed"), bounds{time.Second, 1 << 40}
		if err := limits.within(func(over func()) error {
			over()
			over()
			time.Sleep(time.Minute)
			return failed
		}); err != failed {
			t.Errorf("it returns %v", err)
		}
		if err := limits.within(func(func()) error {
			time.Sleep(time.Minute)
			return nil
		}); err == nil || !strings.Contains(err.Error(), "take longer than 1s") {
			t.Errorf("what never ends gives %v", err)
		}
		time.Sleep(time.Minute) // until that has ended, too
	})
}
