package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named finds a test in a document: `TestA`, or `TestA/part/part`.
var named = regexp.MustCompile("`(Test[A-Za-z]+)(/[^`]+)?`")

// TestFaultsAreTested holds that the tests which docs/faults.md names exist, and so do their parts.
func TestFaultsAreTested(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sources := all.String()
	document, err := os.ReadFile(filepath.Join("docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := named.FindAllStringSubmatch(string(document), -1)
	if len(found) < 100 {
		t.Errorf("the document names %d tests", len(found))
	}
	for _, test := range found {
		if !strings.Contains(sources, "func "+test[1]+"(t *testing.T)") {
			t.Errorf("there is no %s", test[1])
		}
		if part := test[2][strings.LastIndex(test[2], "/")+1:]; part != "" && !strings.Contains(sources, `"`+part+`"`) {
			t.Errorf("there is no %s%s", test[1], test[2])
		}
	}
}
