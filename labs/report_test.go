package labs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reports makes the reports of n readers, each of a lab of their own, as files.
func reports(t *testing.T, n int) (fstest.MapFS, *Labs) {
	t.Helper()
	files := fstest.MapFS{}
	var last *Labs
	for i := range n {
		w := begin(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}})
		if err := w.rememberMarks(t.Context(), done("web/first")); err != nil {
			t.Fatal(err)
		}
		report, err := w.Report(t.Context(), fmt.Sprintf("reader %02d", i))
		if err != nil {
			t.Fatal(err)
		}
		report.Lab = fmt.Sprintf("lab %d", i)
		report.Seal = report.seal()
		files[fmt.Sprintf("%02d.json", i)] = file(t, report)
		last = w.Labs
	}
	return files, last
}

func file(t *testing.T, report Report) *fstest.MapFile {
	t.Helper()
	content, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: content}
}

// TestCollect holds that the reports of a class are read, and that what is wrong with one is told.
func TestCollect(t *testing.T) {
	t.Parallel()
	files, l := reports(t, 30)
	changed := strings.Replace(string(files["03.json"].Data), "web/first", "web/second", 1)
	files["03.json"] = &fstest.MapFile{Data: []byte(changed)}
	files["04.json"] = &fstest.MapFile{Data: []byte("no report")}
	var other Report
	if err := json.Unmarshal(files["05.json"].Data, &other); err != nil {
		t.Fatal(err)
	}
	other.Course = "Another one"
	other.Seal = other.seal()
	files["05.json"] = file(t, other)
	var copied Report
	if err := json.Unmarshal(files["06.json"].Data, &copied); err != nil {
		t.Fatal(err)
	}
	copied.Name = "reader 31"
	copied.Seal = copied.seal()
	files["31.json"] = file(t, copied)
	earlier := copied
	earlier.Name, earlier.Lab, earlier.Made = "reader 32", "lab 32", copied.Made.Add(-1)
	earlier.Steps, earlier.Seal = []ReportedStep{}, ""
	earlier.Seal = earlier.seal()
	files["32 old.json"] = file(t, earlier)
	earlier.Made, earlier.Steps = copied.Made, copied.Steps
	earlier.Seal = earlier.seal()
	files["32.json"] = file(t, earlier)
	files["notes.txt"] = &fstest.MapFile{Data: []byte("not about this")}
	class, err := Collect(files, l.Course)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"03.json": Changed, "04.json": Unreadable, "05.json": OtherCourse, "06.json": SameLab, "31.json": SameLab}
	for _, each := range class {
		if got := strings.Join(each.Remarks, " "); got != want[each.File] {
			t.Errorf("%s: %q, want %q", each.File, got, want[each.File])
		}
		counted := 1
		if each.File == "03.json" || each.File == "04.json" {
			counted = 0
		}
		if each.Count(ByHand) != counted || each.Fallen() != 0 {
			t.Errorf("%s: %d by hand, want %d", each.File, each.Count(ByHand), counted)
		}
		if each.File == "32 old.json" {
			t.Error("an earlier report of the same reader is there, too")
		}
	}
	if len(class) != 32 {
		t.Errorf("there are %d", len(class))
	}
	if _, err := Collect(fstest.MapFS{}, l.Course); err == nil {
		t.Error("an empty folder has a class")
	}
}
