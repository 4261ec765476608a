package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/language"

	"github.com/hellolab/hellolab/images"
	"github.com/hellolab/hellolab/labs/course"
	"github.com/hellolab/hellolab/messages"
)

// rowsOfTheCourse is how many things the course's text explains, has typed, or shows.
const rowsOfTheCourse = 115

// covered is a row of docs/coverage.md.
type covered struct {
	chapter string
	same    bool     // as the course has it; otherwise in another way
	steps   []string // whose guides and files have it
	pages   []string // that have it, below docs
	look    []string // words to look for
	line    string
}

// coverage is what a document of that name says, with its tables' sums by chapter: rows, the same, otherwise, missing.
func coverage(t *testing.T, name string) (rows []covered, sums map[string][4]int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("docs", name))
	if err != nil {
		t.Fatal(err)
	}
	inCode, linked := regexp.MustCompile("`([^`]+)`"), regexp.MustCompile(`\]\(([^)]+)\)`)
	sums = map[string][4]int{}
	chapter := ""
	for line := range strings.Lines(string(content)) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			chapter = strings.TrimSpace(heading)
		}
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00"), " | ")
		if len(cells) < 4 || slices.Contains([]string{"| the course", "| 教程", "| chapter", "| 章"}, cells[0]) {
			continue
		}
		if len(cells) == 5 {
			var sum [4]int
			for i := range sum {
				sum[i], _ = strconv.Atoi(strings.Trim(cells[i+1], " |"))
			}
			sums[strings.TrimPrefix(cells[0], "| ")] = sum
			continue
		}
		row := covered{chapter: chapter, line: line, same: strings.HasPrefix(cells[1], "the same") || strings.HasPrefix(cells[1], "相同")}
		for _, step := range inCode.FindAllStringSubmatch(cells[2], -1) {
			row.steps = append(row.steps, step[1])
		}
		for _, page := range linked.FindAllStringSubmatch(cells[2], -1) {
			row.pages = append(row.pages, page[1])
		}
		for _, words := range inCode.FindAllStringSubmatch(cells[3], -1) {
			row.look = append(row.look, strings.ReplaceAll(words[1], "\x00", "|"))
		}
		rows = append(rows, row)
	}
	return rows, sums
}

// TestCoverage holds that docs/coverage.md has every row of the course, that the steps and pages which it names have the words to look for,
// in both languages, and that its sums are right.
func TestCoverage(t *testing.T) {
	t.Parallel()
	lessons, err := loadCourse(configuration{Images: images.Config{Account: "guangzhengli"}})
	if err != nil {
		t.Fatal(err)
	}
	english, englishSums := coverage(t, "coverage.md")
	chinese, chineseSums := coverage(t, "coverage.zh-CN.md")
	if len(english) != rowsOfTheCourse || len(chinese) != rowsOfTheCourse {
		t.Fatalf("there are %d and %d rows, want %d", len(english), len(chinese), rowsOfTheCourse)
	}
	for i, row := range english {
		if other := chinese[i]; !slices.Equal(row.steps, other.steps) || row.same != other.same || len(row.look) != len(other.look) || len(row.pages) != len(other.pages) {
			t.Errorf("row %d differs:\n%s%s", i+1, row.line, other.line)
		}
		if !row.same && !strings.Contains(row.line, "| otherwise: ") {
			t.Errorf("how the lab has it is not said: %s", row.line)
		}
	}
	for _, row := range english {
		row.isThere(t, lessons, messages.Printer{})
	}
	for _, row := range chinese {
		row.isThere(t, lessons, messages.In(language.SimplifiedChinese))
	}
	addsUp(t, english, englishSums, "all")
	addsUp(t, chinese, chineseSums, "全部")
}

// isThere holds that all words of a row are found in the places that it names, and that each place has at least one of them where it is a step.
func (row covered) isThere(t *testing.T, lessons *course.Course, printer messages.Printer) {
	t.Helper()
	place := course.Place{Name: "hellolab", Context: "kind-hellolab", Node: "hellolab-control-plane", Ingress: "http://localhost",
		NodePort: "http://localhost:30000", Registry: "localhost:5001", Account: "guangzhengli", Charts: "http://localhost/charts"}
	all := ""
	for _, id := range row.steps {
		step, err := lessons.Find(id)
		if err != nil || step.ID() != id {
			t.Errorf("there is no step %s: %s", id, row.line)
			continue
		}
		text := printer.Text(place.Guide(step))
		for _, file := range step.Files() {
			text += file.Content
		}
		if !slices.ContainsFunc(row.look, func(words string) bool { return has(text, words) }) {
			t.Errorf("%s has none of %q", id, row.look)
		}
		all += text
	}
	for _, page := range row.pages {
		content, err := os.ReadFile(filepath.Join("docs", filepath.FromSlash(page)))
		if err != nil {
			t.Error(err)
		}
		all += string(content)
	}
	if len(row.look) == 0 || len(row.steps)+len(row.pages) == 0 {
		t.Errorf("there is nothing to look for, or no place: %s", row.line)
	}
	for _, words := range row.look {
		if !has(all, words) {
			t.Errorf("%q is nowhere in %q %q", words, row.steps, row.pages)
		}
	}
}

// has reports whether a text has some words, wherever its lines are broken.
func has(text, words string) bool {
	return strings.Contains(strings.Join(strings.Fields(text), ""), strings.Join(strings.Fields(words), ""))
}

// addsUp holds that the sums are those of the rows, and that nothing is missing.
func addsUp(t *testing.T, rows []covered, sums map[string][4]int, all string) {
	t.Helper()
	counted := map[string][4]int{}
	for _, row := range rows {
		for _, of := range []string{row.chapter, all} {
			sum := counted[of]
			sum[0]++
			if row.same {
				sum[1]++
			} else {
				sum[2]++
			}
			counted[of] = sum
		}
	}
	if len(sums) != len(counted) {
		t.Errorf("there are sums of %d chapters, want %d", len(sums), len(counted))
	}
	for of, sum := range counted {
		if sums[of] != sum {
			t.Errorf("the sum of %s is %v, want %v", of, sums[of], sum)
		}
	}
}
