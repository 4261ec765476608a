package main

import (
	"cmp"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"html/template"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/durable"
	"github.com/hellolab/hellolab/labs"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// labReport makes the reader's own report, or the table of a class.
func (p *program) labReport(c *cli.Context) error {
	switch {
	case c.IsSet("collect") && c.Args().Present():
		return messages.Usagef("--collect reads the reports of a folder, and writes no file").
			Next(messages.Hellolab("lab", "report", "--collect", c.String("collect")))
	case c.IsSet("collect"):
		return p.collect(c)
	case c.String("output") == "csv" || c.String("output") == "html":
		return messages.Usagef("-o %s is for the table of a class", c.String("output")).
			Next(messages.Hellolab("lab", "report", "--collect").Usage("DIR -o " + c.String("output")))
	}
	return p.onCourse(false, p.ownReport)(c)
}

// ownReport shows how far the reader is, or writes it into a file for the teacher.
func (p *program) ownReport(c *cli.Context, l *labs.Labs) error {
	report, err := l.Report(c.Context, cmp.Or(c.String("as"), userName()))
	if err != nil {
		return err
	}
	file := c.Args().First()
	if file == "" {
		return p.print(c, report, func() string { return p.reportText(l.Course, report) })
	}
	if err := writeReport(file, report, c.String("as"), c.Bool("force")); err != nil {
		return err
	}
	return p.print(c, map[string]string{"file": file}, func() string { return file + "\n" })
}

// userName is the reader's name as this machine knows it.
func userName() string {
	current, err := user.Current()
	if err != nil {
		return "?"
	}
	return cmp.Or(current.Name, current.Username, "?")
}

func writeReport(file string, report labs.Report, as string, force bool) error {
	if _, err := os.Stat(file); err == nil && !force {
		again := messages.Hellolab("lab", "report", "--force", file)
		if as != "" {
			again = messages.Hellolab("lab", "report", "--force", file, "--as", as)
		}
		return messages.Usagef("%s exists already", file).WithHint("%s overwrites it", again)
	}
	content, err := json.MarshalIndent(report, "", "  ")
	if err == nil {
		err = durable.Replace(file, append(content, '\n'), 0o644)
	}
	if err != nil {
		return messages.Errorf("the report cannot be written").Because(err).
			WithHint("name a file that you can write: %s", messages.Hellolab("lab", "report").Usage("FILE"))
	}
	return nil
}

// reportText is a reader's own report.
func (p *program) reportText(lessons *course.Course, report labs.Report) string {
	var rows [][]string
	for _, step := range lessons.Steps() {
		if mark, found := report.Mark(step.ID()); found {
			rows = append(rows, []string{sign(&mark), step.ID(), p.way(mark), moment(mark)})
		}
	}
	text := report.Name + "\n" + progress.Table(rows)
	done := messages.T("%v by hand, %v by snapshot, of %v steps", report.Count(labs.ByHand), report.Count(labs.BySnapshot), len(lessons.Steps()))
	text += p.printer.Text(done) + "\n"
	if exam := lastExam(p.printer, report); exam != "" {
		text += p.printer.Text(messages.T("the last exam: %s", exam)) + "\n"
	}
	return text
}

// lastExam tells how many faults of the last exam were mended: "4/5, seed 7"; "" where there was none.
func lastExam(printer messages.Printer, report labs.Report) string {
	exam := report.Exam()
	if exam == nil {
		return ""
	}
	return printer.Text(messages.T("%v of %v, seed %v", exam.Score(), len(exam.Faults), exam.Seed))
}

// sign is how a mark looks, if there is one.
func sign(mark *labs.Mark) string {
	switch {
	case mark == nil:
		return " "
	case !mark.Stands():
		return "✗"
	case mark.By == labs.BySnapshot:
		return "○"
	}
	return "✓"
}

// way tells how a step was done.
func (p *program) way(mark labs.Mark) string {
	switch {
	case !mark.Stands():
		return p.say("no longer as it was")
	case mark.By == labs.ByHand:
		return p.say("by hand")
	case mark.By == labs.BySnapshot:
		return p.say("by snapshot")
	}
	return p.say("done")
}

// moment is when a mark was made or fell, in this machine's time zone.
func moment(mark labs.Mark) string {
	at := mark.At
	if !mark.Stands() {
		at = mark.Fell
	}
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04")
}

// collect prints the table of a class. It needs no lab.
func (p *program) collect(c *cli.Context) error {
	config, err := p.configure(c)
	if err != nil {
		return err
	}
	lessons, err := loadCourse(config)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(c.String("collect"))
	if err != nil {
		return messages.Usagef("the reports cannot be read").Because(err).WithHint("name the folder that they are in: --collect DIR")
	}
	defer root.Close()
	class, err := labs.Collect(root.FS(), lessons)
	if err != nil {
		return err
	}
	switch c.String("output") {
	case "csv":
		return p.classCSV(lessons, class)
	case "html":
		return p.classHTML(lessons, class)
	}
	return p.print(c, class, func() string { return p.classText(lessons, class) })
}

// remarks are what the teacher has to know, in words.
func (p *program) remarks(each labs.HandedIn) string {
	said := map[string]string{labs.Unreadable: p.say("no report"), labs.Changed: p.say("changed by somebody"),
		labs.SameLab: p.say("from the same lab as another one"), labs.OtherCourse: p.say("of another course")}
	var all []string
	for _, remark := range each.Remarks {
		all = append(all, said[remark])
	}
	return strings.Join(all, "; ")
}

// last is when a reader did the last step that stands.
func last(report labs.Report) (at time.Time) {
	for _, step := range report.Steps {
		if step.Stands() && step.At.After(at) {
			at = step.At
		}
	}
	return at
}

func (p *program) classText(lessons *course.Course, class []labs.HandedIn) string {
	rows := [][]string{{p.say("name"), p.say("by hand"), p.say("by snapshot"), p.say("no longer"), p.say("last"), p.say("exam"), ""}}
	for _, each := range class {
		rows = append(rows, []string{each.Name, strconv.Itoa(each.Count(labs.ByHand)), strconv.Itoa(each.Count(labs.BySnapshot)), strconv.Itoa(each.Fallen()),
			moment(labs.Mark{At: last(each.Report)}), lastExam(p.printer, each.Report), p.remarks(each)})
	}
	return progress.Table(rows) + p.printer.Text(messages.T("%v reports, of %v steps", len(class), len(lessons.Steps()))) + "\n"
}

// classCSV is a line for every reader and a column for every step, for a spreadsheet: times are in UTC as of ISO 8601.
func (p *program) classCSV(lessons *course.Course, class []labs.HandedIn) error {
	header := []string{"name", "file", "made", "by hand", "by snapshot", "no longer", "exam", "remarks"}
	for _, step := range lessons.Steps() {
		header = append(header, step.ID())
	}
	lines := [][]string{header}
	for _, each := range class {
		line := []string{plain(each.Name), plain(each.File), each.Made.Format(time.RFC3339), strconv.Itoa(each.Count(labs.ByHand)),
			strconv.Itoa(each.Count(labs.BySnapshot)), strconv.Itoa(each.Fallen()), lastExam(messages.Printer{}, each.Report), strings.Join(each.Remarks, "; ")}
		for _, step := range lessons.Steps() {
			mark, found := each.Mark(step.ID())
			line = append(line, csvMark(mark, found))
		}
		lines = append(lines, line)
	}
	var table strings.Builder
	if err := csv.NewWriter(&table).WriteAll(lines); err != nil {
		return err
	}
	return p.printText(byteOrderMark + table.String())
}

// byteOrderMark tells spreadsheets that a file is UTF-8; without it, those of Chinese systems take it for GBK.
const byteOrderMark = "\ufeff"

func csvMark(mark labs.Mark, found bool) string {
	switch {
	case !found:
		return ""
	case !mark.Stands():
		return "no longer " + mark.Fell.Format(time.RFC3339)
	case mark.At.IsZero():
		return "done"
	}
	return mark.By + " " + mark.At.Format(time.RFC3339)
}

// plain is a text that a spreadsheet takes for no formula: https://owasp.org/www-community/attacks/CSV_Injection.
func plain(text string) string {
	if first, _ := utf8.DecodeRuneInString(text); strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + text
	}
	return text
}

//go:embed report.html
var classPage string

// classHTML is a page with the same table, for a browser.
func (p *program) classHTML(lessons *course.Course, class []labs.HandedIn) error {
	type cell struct{ Sign, Title string }
	type row struct {
		labs.HandedIn
		Said  string
		Exam  string
		Cells []cell
	}
	var rows []row
	for _, each := range class {
		shown := row{HandedIn: each, Said: p.remarks(each), Exam: lastExam(p.printer, each.Report)}
		for _, step := range lessons.Steps() {
			mark, found := each.Mark(step.ID())
			if !found {
				shown.Cells = append(shown.Cells, cell{"", step.ID()})
				continue
			}
			shown.Cells = append(shown.Cells, cell{sign(&mark), step.ID() + ": " + p.way(mark) + " " + moment(mark)})
		}
		rows = append(rows, shown)
	}
	page, err := template.New("class").Funcs(template.FuncMap{"say": p.say}).Parse(classPage)
	if err != nil {
		return err
	}
	return page.Execute(p.stdout, map[string]any{"Language": p.printer.Language().String(), "Course": p.printer.Text(lessons.Title.Text()),
		"Chapters": lessons.Chapters, "Rows": rows, "ByHand": labs.ByHand, "BySnapshot": labs.BySnapshot})
}
