package labs

import (
	"cmp"
	"context"
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// reportFormat is the first thing in a report.
const reportFormat = "hellolab-report/1"

// Report is how far a reader is in a course, for a teacher.
type Report struct {
	Format string `json:"format"`
	// Name is the reader's, as they have given it.
	Name string `json:"name"`
	// Course is its English title, or the Chinese one where there is no other.
	Course string `json:"course"`
	// Lab is the UID of the cluster's namespace kube-system: every lab has another one.
	Lab string `json:"lab"`
	// Made is when the report was.
	Made time.Time `json:"made"`
	// Steps are the marks, in the order of the course; steps without a mark are left out.
	Steps []ReportedStep `json:"steps"`
	// Exams are those that are over, the latest last.
	Exams []ExamResult `json:"exams,omitempty"`
	// Seal is a sum over all of it, so that a report which was changed is told from one that was not.
	Seal string `json:"seal"`
}

// ReportedStep is a step's mark.
type ReportedStep struct {
	Step string `json:"step"`
	Mark
}

// Report makes the report of a reader of that name.
func (l *Labs) Report(ctx context.Context, name string) (Report, error) {
	if !nameable(name) {
		return Report{}, messages.Usagef("%q is no name: it has to be one line of at most %v characters", name, longestName).
			Next(messages.Hellolab("lab", "report").Usage("FILE --as NAME"))
	}
	state, err := l.State(ctx)
	if err != nil {
		return Report{}, err
	}
	system, err := l.Cluster.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return Report{}, err
	}
	report := Report{Format: reportFormat, Name: name, Course: title(l.Course), Lab: string(system.UID), Made: now(), Steps: []ReportedStep{}, Exams: state.Exams}
	for _, step := range l.Course.Steps() {
		if mark, found := state.Marks[step.ID()]; found {
			mark.Seal = ""
			report.Steps = append(report.Steps, ReportedStep{step.ID(), mark})
		}
	}
	report.Seal = report.seal()
	return report, nil
}

func title(lessons *course.Course) string {
	if lessons.Title.English != "" {
		return lessons.Title.English
	}
	return lessons.Title.Chinese
}

// seal is the sum over a report; see [Mark.seal] for what it is worth.
func (r Report) seal() string {
	r.Seal = ""
	content, _ := json.Marshal(r) // a struct of such fields always can be
	return sumOf(content)
}

// Mark is what the report has of a step.
func (r Report) Mark(step string) (Mark, bool) {
	at := slices.IndexFunc(r.Steps, func(s ReportedStep) bool { return s.Step == step })
	if at < 0 {
		return Mark{}, false
	}
	return r.Steps[at].Mark, true
}

// Count is how many steps stand that were done in a way: ByHand, BySnapshot or "".
func (r Report) Count(by string) (count int) {
	for _, step := range r.Steps {
		if step.Stands() && step.By == by {
			count++
		}
	}
	return count
}

// Fallen is how many steps were done once and are not any more.
func (r Report) Fallen() (count int) {
	for _, step := range r.Steps {
		if !step.Stands() {
			count++
		}
	}
	return count
}

// Exam is the last exam, or nil.
func (r Report) Exam() *ExamResult {
	if len(r.Exams) == 0 {
		return nil
	}
	return &r.Exams[len(r.Exams)-1]
}

// What a teacher has to know of a report that was handed in.
const (
	// Unreadable is no report.
	Unreadable = "unreadable"
	// Changed is a report that somebody has written into, whose marks are not shown for that.
	Changed = "changed"
	// SameLab is one from the lab of another report, under another name.
	SameLab = "same lab"
	// OtherCourse is one of another course.
	OtherCourse = "other course"
)

// HandedIn is a file of a class.
type HandedIn struct {
	File string `json:"file"`
	Report
	// Remarks are Unreadable, Changed, SameLab, OtherCourse.
	Remarks []string `json:"remarks"`
}

// mostReport is how large a report may be, in bytes.
const mostReport = 1 << 20

// Collect reads the reports in a folder, the files *.json (not those of folders in it), in the order of the readers' names. Of several that one reader has handed in from one
// lab, the last counts.
func Collect(folder fs.FS, lessons *course.Course) ([]HandedIn, error) {
	files, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(file fs.DirEntry) bool { return file.IsDir() || !strings.EqualFold(path.Ext(file.Name()), ".json") })
	if len(files) == 0 {
		return nil, messages.Usagef("there is no report in that folder: no file *.json").
			WithHint("%s makes one, on each reader's machine", messages.Hellolab("lab", "report").Usage("FILE"))
	}
	var all []HandedIn
	for _, file := range files {
		all = append(all, readReport(folder, file.Name(), lessons))
	}
	slices.SortStableFunc(all, func(a, b HandedIn) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Lab, b.Lab), b.Made.Compare(a.Made))
	})
	all = slices.CompactFunc(all, func(a, b HandedIn) bool {
		return a.Lab != "" && a.Name == b.Name && a.Lab == b.Lab && len(a.Remarks)+len(b.Remarks) == 0
	})
	for i, each := range all {
		if each.Lab != "" && slices.ContainsFunc(all, func(other HandedIn) bool { return other.Lab == each.Lab && other.Name != each.Name }) {
			all[i].Remarks = append(all[i].Remarks, SameLab)
		}
	}
	return all, nil
}

// longestName is how many characters a reader's name may have.
const longestName = 100

// nameable reports whether a name fits into a line of a table.
func nameable(name string) bool {
	return name != "" && utf8.RuneCountInString(name) <= longestName && !strings.ContainsFunc(name, unicode.IsControl)
}

// plausible reports whether a report can be one of this program's, whoever has sealed it.
func plausible(report Report) bool {
	return nameable(report.Name) && !slices.ContainsFunc(report.Steps, func(step ReportedStep) bool {
		return !slices.Contains([]string{"", ByHand, BySnapshot}, step.By)
	})
}

func readReport(folder fs.FS, name string, lessons *course.Course) HandedIn {
	read := HandedIn{File: name, Remarks: []string{}}
	unreadable := HandedIn{File: name, Report: Report{Name: strings.TrimSuffix(name, path.Ext(name)), Steps: []ReportedStep{}}, Remarks: []string{Unreadable}}
	about, err := fs.Stat(folder, name)
	if err != nil || !about.Mode().IsRegular() || about.Size() > mostReport {
		return unreadable
	}
	content, err := fs.ReadFile(folder, name)
	if err != nil || json.Unmarshal(content, &read.Report) != nil || read.Format != reportFormat || !plausible(read.Report) {
		return unreadable
	}
	switch {
	case read.Seal != read.seal():
		read.Steps, read.Exams, read.Lab, read.Remarks = []ReportedStep{}, nil, "", append(read.Remarks, Changed)
	case read.Course != title(lessons):
		read.Remarks = append(read.Remarks, OtherCourse)
	}
	return read
}
