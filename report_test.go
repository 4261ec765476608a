package main

import (
	"encoding/csv"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/messages"
)

// handedIn are two reports: a good one, with a name that a spreadsheet would take for a formula and a browser for HTML, and a changed one.
func handedIn() []labs.HandedIn {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	return []labs.HandedIn{
		{File: "a.json", Report: labs.Report{Name: "=<b>A</b>", Made: at, Steps: []labs.ReportedStep{
			{Step: "pod/first", Mark: labs.Mark{By: labs.ByHand, At: at}},
			{Step: "pod/second", Mark: labs.Mark{By: labs.BySnapshot, At: at.Add(time.Minute)}},
			{Step: "service/first", Mark: labs.Mark{By: labs.ByHand, At: at, Fell: at.Add(time.Hour)}},
		}, Exams: []labs.ExamResult{{Seed: 7, Faults: []labs.FaultResult{{Solved: true}, {}}}}}},
		{File: "b.json", Report: labs.Report{Name: "B"}, Remarks: []string{labs.Changed}},
	}
}

// printing is a program that prints into printed.
func printing() (*program, *strings.Builder) {
	printed := &strings.Builder{}
	return &program{stdout: printed, printer: messages.Printer{}}, printed
}

// TestClass holds a class's table in each of its forms.
func TestClass(t *testing.T) {
	t.Parallel()
	p, printed := printing()
	text := p.classText(lessons(t), handedIn())
	for _, want := range []string{"name       by hand  by snapshot  no longer  last", "=<b>A</b>  1        1            1", "1 of 2, seed 7", "changed by somebody", "2 reports, of 3 steps"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if err := p.classCSV(lessons(t), handedIn()); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(printed.String(), byteOrderMark))).ReadAll()
	if err != nil || len(lines) != 3 {
		t.Fatalf("%v: %v", lines, err)
	}
	want := "'=<b>A</b>|a.json|2026-11-28T12:00:00Z|1|1|1|1 of 2, seed 7||hand 2026-11-28T12:00:00Z|snapshot 2026-11-28T12:01:00Z|no longer 2026-11-28T13:00:00Z"
	if got := strings.Join(lines[1], "|"); got != want {
		t.Errorf("the line is\n%s\nwant\n%s", got, want)
	}
	printed.Reset()
	if err := p.classHTML(lessons(t), handedIn()); err != nil {
		t.Fatal(err)
	}
	page := printed.String()
	for _, want := range []string{"=&lt;b&gt;A&lt;/b&gt;", ">✓<", ">○<", ">✗<", "changed by somebody"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	if strings.Contains(page, "<b>A") {
		t.Error("a name is taken for HTML")
	}
}

// TestWriteReport holds that a report is not written over a file that is there.
func TestWriteReport(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "me.json")
	if err := writeReport(file, handedIn()[0].Report, "", false); err != nil {
		t.Fatal(err)
	}
	if err := writeReport(file, handedIn()[0].Report, "", false); err == nil || !messages.IsUsage(err) {
		t.Errorf("the second one ends with %v", err)
	}
	if err := writeReport(file, handedIn()[0].Report, "", true); err != nil {
		t.Error(err)
	}
	if err := writeReport(filepath.Join(file, "below"), handedIn()[0].Report, "", false); err == nil {
		t.Error("a file in a file is written")
	}
}
