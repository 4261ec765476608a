package progress

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Columns returns how many columns of a terminal s takes: two for a Chinese character and for most emoji.
func Columns(s string) int { return uniseg.StringWidth(s) }

// Wrap breaks a text into lines of that many columns, the first behind a prefix and the others below it. A word that is
// longer than a line stays whole, so that it can be copied.
func Wrap(text, prefix string, columns int) string {
	var b strings.Builder
	line, empty := prefix, true
	indent := strings.Repeat(" ", Columns(prefix))
	for _, word := range words(text) {
		if !empty && Columns(line+strings.TrimRight(word, " ")) > columns {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line, empty = line+word, false
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}

// words splits a text where a line may end: where Unicode has it so (https://www.unicode.org/reports/tr14/), but not
// within a command, a path or an address, which have no spaces and nothing wide in them.
func words(text string) (all []string) {
	state, start, end, before := -1, 0, 0, "" // before is what stands between the last possible end of a line and end
	for rest := text; rest != ""; {
		var segment string
		segment, rest, _, state = uniseg.FirstLineSegmentInString(rest, state)
		if before != "" && !whole(before, segment) {
			all = append(all, text[start:end])
			start = end
		}
		before, end = segment, end+len(segment)
	}
	if start < end {
		all = append(all, text[start:end])
	}
	return all
}

// whole reports whether what stands before and after a possible end of a line belongs together.
func whole(before, after string) bool {
	clusters := uniseg.NewGraphemes(before)
	last := 0
	for clusters.Next() {
		last = clusters.Width()
	}
	_, _, first, _ := uniseg.FirstGraphemeClusterInString(after, -1)
	return !strings.HasSuffix(before, " ") && last < 2 && first < 2
}

// cut shortens a line to columns, and never within a character.
func cut(line string, columns int) string {
	if Columns(line) <= columns {
		return line
	}
	used := 0
	clusters := uniseg.NewGraphemes(line)
	for clusters.Next() {
		if used += clusters.Width(); used > columns-1 {
			start, _ := clusters.Positions()
			return line[:start] + "…"
		}
	}
	return line
}

// Table lines up the cells of rows below each other, two columns apart.
func Table(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Columns(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-Columns(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
