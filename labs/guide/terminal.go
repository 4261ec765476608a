package guide

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// Line is a line for a terminal, without its end. Heading says that it stands out from the others where it can.
type Line struct {
	Text    string
	Heading bool
}

// Lines are blocks as a terminal shows them, in lines of at most so many columns, but for code, which is never broken.
func Lines(blocks []Block, printer messages.Printer, columns int) []Line {
	return terminal{printer}.lines(blocks, columns)
}

// terminal writes blocks in the reader's language.
type terminal struct{ printer messages.Printer }

// lines have an empty one between two blocks.
func (t terminal) lines(blocks []Block, columns int) (all []Line) {
	for i, block := range blocks {
		if i > 0 {
			all = append(all, Line{})
		}
		all = append(all, t.block(block, columns)...)
	}
	return all
}

func (t terminal) block(block Block, columns int) []Line {
	switch block.Kind {
	case Heading:
		all := t.wrapped(block.Spans, columns)
		for i := range all {
			all[i].Heading = true
		}
		return all
	case Code:
		return behind("    ", "    ", Verbatim(block.Text))
	case List:
		return t.list(block, columns)
	case Quote:
		return behind("> ", "> ", t.lines(block.Blocks, columns-2))
	case Table:
		return t.table(block.Rows, columns)
	case Rule:
		return []Line{{Text: strings.Repeat("-", columns)}}
	}
	return t.wrapped(block.Spans, columns)
}

// list has items below each other; where one has several paragraphs, with an empty line between two items.
func (t terminal) list(list Block, columns int) (all []Line) {
	loose := slices.ContainsFunc(list.Items, func(item []Block) bool { return len(item) > 1 && item[1].Kind != List })
	for i, item := range list.Items {
		mark := "- "
		if list.Ordered {
			mark = fmt.Sprintf("%d. ", list.Start+i)
		}
		if loose && i > 0 {
			all = append(all, Line{})
		}
		all = append(all, behind(mark, strings.Repeat(" ", len(mark)), t.item(item, columns-len(mark)))...)
	}
	return all
}

// item has the list that follows its text right below it.
func (t terminal) item(blocks []Block, columns int) []Line {
	if len(blocks) > 1 && blocks[1].Kind == List {
		return slices.Concat(t.block(blocks[0], columns), t.lines(blocks[1:], columns))
	}
	if len(blocks) == 0 {
		return []Line{{}}
	}
	return t.lines(blocks, columns)
}

// table has the header's cells above the others. What is too wide is broken in the last column; where there is no room for that, each
// row is a list of its cells.
func (t terminal) table(table [][]Cell, columns int) []Line {
	var rows [][]string
	for _, row := range table {
		var cells []string
		for _, cell := range row {
			cells = append(cells, t.text(cell))
		}
		rows = append(rows, cells)
	}
	widths := widest(rows)
	last, left := len(widths)-1, 0
	for _, width := range widths[:last] {
		left += width + 2
	}
	switch {
	case left > columns/2 && left+widths[last] > columns:
		return records(rows, columns)
	case left+widths[last] > columns:
		widths[last] = columns - left
	}
	var all []Line
	for i, row := range rows {
		all = append(all, Verbatim(cells(row, widths, columns))...)
		if i == 0 {
			all = append(all, Verbatim(cells(dashes(widths), widths, columns))...)
		}
	}
	return all
}

// widest are the columns that each column of a table takes.
func widest(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], progress.Columns(messages.Unglued(cell)))
		}
	}
	return widths
}

func dashes(widths []int) (row []string) {
	for _, width := range widths {
		row = append(row, strings.Repeat("-", width))
	}
	return row
}

// cells are a row, whose last cell is broken where the line ends.
func cells(row []string, widths []int, columns int) string {
	before, last := "", len(row)-1
	for i, cell := range row[:last] {
		before += cell + strings.Repeat(" ", widths[i]-progress.Columns(messages.Unglued(cell))+2)
	}
	return messages.Unglued(progress.Wrap(row[last], messages.Unglued(before), columns))
}

// records are a table in which each row is a list of its cells, behind the names that the header has for them.
func records(rows [][]string, columns int) (all []Line) {
	names := slices.Clone(rows[0])
	for i, name := range names {
		if names[i] += ": "; name == "" || progress.Columns(name) > columns/2 {
			names[i] = ""
		}
	}
	if len(rows) == 1 {
		return broken(strings.Join(rows[0], ", "), columns)
	}
	for i, row := range rows[1:] {
		if i > 0 {
			all = append(all, Line{})
		}
		for j, cell := range row {
			all = append(all, broken(names[j]+cell, columns)...)
		}
	}
	return all
}

// broken is a text in lines.
func broken(text string, columns int) []Line {
	return Verbatim(messages.Unglued(progress.Wrap(text, "", columns)))
}

// wrapped are spans in lines, which end where the author or the terminal has it.
func (t terminal) wrapped(spans []Span, columns int) (all []Line) {
	for len(spans) > 0 {
		end := slices.IndexFunc(spans, func(span Span) bool { return span.Kind == Break })
		if end < 0 {
			end = len(spans)
		}
		all = append(all, broken(t.text(spans[:end]), columns)...)
		spans = spans[min(end+1, len(spans)):]
	}
	return all
}

// text is spans as plain text; code is glued, so that it can be copied in one piece.
func (t terminal) text(spans []Span) string {
	var all strings.Builder
	for _, span := range spans {
		switch span.Kind {
		case CodeSpan:
			all.WriteString("`" + messages.Glue(span.Text) + "`")
		case Strong, Emphasis:
			all.WriteString("*" + span.Text + "*")
		case Link:
			all.WriteString(titled(span.Text, span.URL))
		case Image:
			all.WriteString("[" + t.printer.Text(messages.T("image: %s", span.Text)) + "] " + span.URL)
		default:
			all.WriteString(span.Text)
		}
	}
	return all.String()
}

// titled is a link: its text and its address, or that alone, where the text says no more.
func titled(text, address string) string {
	if text == "" || text == address || text+"/" == address {
		return address
	}
	return text + " (" + address + ")"
}

// Verbatim takes a text apart into lines; "" has none.
func Verbatim(text string) (all []Line) {
	for line := range strings.Lines(text) {
		all = append(all, Line{Text: strings.TrimSuffix(line, "\n")})
	}
	return all
}

// behind puts something before each line: other things before the first and before the rest.
func behind(first, rest string, lines []Line) []Line {
	prefix := first
	for i, line := range lines {
		lines[i].Text = prefix + line.Text
		if line.Text == "" {
			lines[i].Text = strings.TrimRight(prefix, " ")
		}
		prefix = rest
	}
	return lines
}
