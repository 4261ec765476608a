package progress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/progress"
)

// TestPlainLines holds what a log file or a pipe gets: one line for each start and each end, and no control characters.
func TestPlainLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		story := progress.New(progress.Options{Out: &out})
		cluster, registry := story.Start(messages.T("cluster %s", "web")), story.Start(messages.T("registry"))
		registry.Detail(messages.Percent(0.5))
		time.Sleep(1240 * time.Millisecond)
		registry.End(nil)
		story.Say(messages.T("half way"))
		time.Sleep(40 * time.Second)
		cluster.Detail(messages.Percent(0.33))
		time.Sleep(22 * time.Second)
		cluster.End(errors.New("no disk"))
		want := "• cluster web\n• registry\n✓ registry 1.2s\nhalf way\n… cluster web 30.0s\n… cluster web 33% 60.0s\n✗ cluster web 63.2s\n"
		if got := out.String(); got != want {
			t.Errorf("the story is\n%s\nwant\n%s", got, want)
		}
	})
}

// TestDo holds that a step's error comes back untouched, since main looks for hints in it, and marks the step.
func TestDo(t *testing.T) {
	t.Parallel()
	failure := errors.New("no disk")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"success", nil, "• work\n✓ work 0.0s\n"},
		{"failure", failure, "• work\n✗ work 0.0s\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			story := progress.New(progress.Options{Out: &out})
			type key struct{}
			given := context.WithValue(t.Context(), key{}, "given")
			err := story.Do(given, messages.T("work"), func(ctx context.Context) error {
				if ctx.Value(key{}) != "given" {
					t.Error("the work did not get the context")
				}
				return test.err
			})
			if err != test.err {
				t.Errorf("Do gives the error %v, want %v itself", err, test.err)
			}
			if out.String() != test.want {
				t.Errorf("the story is %q, want %q", out.String(), test.want)
			}
		})
	}
}

// TestSteps holds the count by which `up` knows that it had nothing to do.
func TestSteps(t *testing.T) {
	t.Parallel()
	for _, columns := range []func() int{nil, wide} {
		story := progress.New(progress.Options{Out: &bytes.Buffer{}, Columns: columns})
		story.Say(messages.T("a line is no step"))
		if got := story.Steps(); got != 0 {
			t.Errorf("%d steps before the first", got)
		}
		story.Start(messages.T("one")).End(nil)
		story.Start(messages.T("two")).End(errors.New("failed"))
		if got := story.Steps(); got != 2 {
			t.Errorf("%d steps, want 2", got)
		}
	}
}

// TestLive walks through a story on a terminal, and looks at the screen as the reader does after each part of it.
func TestLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		story := progress.New(progress.Options{Out: &out, Columns: wide})
		look := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := screen(out.String()); !slices.Equal(got, want) {
				t.Errorf("%s, the screen shows\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}

		cluster := story.Start(messages.T("a cluster with a long name"))
		look("after the start", "@ 0.0s a cluster with a long name")
		time.Sleep(1060 * time.Millisecond)
		look("after a second", "@ 1.0s a cluster with a long name")

		image := story.Start(messages.T("image"))
		image.Detail(messages.Percent(0.4))
		time.Sleep(100 * time.Millisecond)
		look("with two steps", "@ 1.1s a cluster with a long name · image 40%")

		cluster.End(nil)
		look("when the older step has ended", "✓ a cluster with a long name 1.2s", "@ 0.1s image 40%")

		story.Say(messages.T("a line"))
		look("after a line between", "✓ a cluster with a long name 1.2s", "a line", "@ 0.1s image 40%")

		if n, err := story.Write([]byte("level=debug msg=x\n")); n != 18 || err != nil {
			t.Errorf("Write gives %d, %v for 18 bytes", n, err)
		}
		above := []string{"✓ a cluster with a long name 1.2s", "a line", "level=debug msg=x"}
		look("after a logger's line", append(slices.Clone(above), "@ 0.1s image 40%")...)

		image.End(errors.New("no disk"))
		look("at the end", append(above, "✗ image 0.1s")...)

		told := out.Len()
		time.Sleep(time.Minute)
		synctest.Wait()
		if out.Len() != told {
			t.Errorf("%q is written though nothing runs", out.String()[told:])
		}
		story.Start(messages.T("again")).End(nil)
		look("after one more step", append(above, "✗ image 0.1s", "✓ again 0.0s")...)
	})
}

// TestLineTurns holds that the reader sees the program live between two seconds of the clock.
func TestLineTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		step := progress.New(progress.Options{Out: &out, Columns: wide}).Start(messages.T("work"))
		seen := map[string]bool{}
		for range 5 {
			synctest.Wait()
			seen[lastDrawn(out.String())] = true
			time.Sleep(100 * time.Millisecond)
		}
		step.End(nil)
		first := map[rune]bool{}
		for line := range seen {
			first[[]rune(line)[0]] = true
		}
		if len(first) < 3 {
			t.Errorf("in 5 looks the line began with only %d different characters", len(first))
		}
	})
}

// TestCut holds that the turning line never reaches the last column: a terminal would wrap it, and only its last row
// could be erased.
func TestCut(t *testing.T) {
	t.Parallel()
	const before = "⠋ 0.0s " // 7 columns
	for _, test := range []struct {
		name    string
		columns int
		step    string
		want    string
	}{
		{"fits", 20, "123456789012", "123456789012"},
		{"one column too many", 20, "1234567890123", "12345678901…"},
		{"Chinese that fits", 20, "一二三四五六", "一二三四五六"},
		{"Chinese that does not fit", 20, "一二三四五六七", "一二三四五…"},
		{"Chinese that ends between two columns", 21, "一二三四五六七", "一二三四五六…"},
		{"emoji", 16, "👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", "👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧…"},
		{"both", 20, "abc镜像仓库def", "abc镜像仓库…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				story := progress.New(progress.Options{Out: &out, Columns: func() int { return test.columns }})
				step := story.Start(messages.Verbatim(test.step))
				if got := lastDrawn(out.String()); got != before+test.want {
					t.Errorf("in %d columns the line is %q, want %q", test.columns, got, before+test.want)
				}
				step.End(nil)
				if got := screen(out.String()); !slices.Equal(got, []string{"✓ " + test.step + " 0.0s"}) {
					t.Errorf("a finished step is %q: it has to be told whole", got)
				}
			})
		})
	}
}

// TestCutFollowsTheWindow holds that a window made narrower is noticed while a step runs.
func TestCutFollowsTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		columns := 80
		story := progress.New(progress.Options{Out: &out, Columns: func() int { return columns }})
		step := story.Start(messages.T("a name of some length"))
		columns = 15
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if got := lastDrawn(out.String()); progress.Columns(got) > 14 {
			t.Errorf("%q is %d columns wide in a window of 15", got, progress.Columns(got))
		}
		step.End(nil)
	})
}

// TestColor holds that colour is for those who want it, and marks nothing but the outcome.
func TestColor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		color bool
		err   error
		want  string
	}{
		{"done", true, nil, "\x1b[32m✓\x1b[0m work 0.0s\n"},
		{"failed", true, errors.New("no disk"), "\x1b[31m✗\x1b[0m work 0.0s\n"},
		{"done without colour", false, nil, "✓ work 0.0s\n"},
		{"failed without colour", false, errors.New("no disk"), "✗ work 0.0s\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				story := progress.New(progress.Options{Out: &out, Columns: wide, Color: test.color})
				step := story.Start(messages.T("work"))
				if strings.Contains(out.String(), "\x1b[3") {
					t.Errorf("the line that turns has a colour: %q", out.String())
				}
				step.End(test.err)
				if got := out.String(); !strings.HasSuffix(got, test.want) {
					t.Errorf("the story %q does not end with %q", got, test.want)
				}
			})
		})
	}
}

// TestLanguage holds that a step is told in the reader's language, and its times in the same shape.
func TestLanguage(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	chinese := messages.In(messages.Languages()[1])
	progress.New(progress.Options{Out: &out, Printer: chinese}).Start(messages.T("waiting for the API server")).End(nil)
	name := chinese.Text(messages.T("waiting for the API server"))
	if want := "• " + name + "\n✓ " + name + " 0.0s\n"; out.String() != want || strings.Contains(name, "waiting") {
		t.Errorf("the story is %q, want %q in Chinese", out.String(), want)
	}
}

// TestManyAtOnce holds that parts of the work that run together leave every line whole.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	for name, columns := range map[string]func() int{"plain": nil, "live": wide} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			story := progress.New(progress.Options{Out: &out, Columns: columns})
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() {
					step := story.Start(messages.T("step %v", i))
					step.Detail(messages.Percent(0.5))
					fmt.Fprintf(story, "log %d\n", i)
					step.End(nil)
				})
			}
			all.Wait()
			lines := screen(out.String())
			for i := range 40 {
				for _, want := range []string{fmt.Sprintf(`^✓ step %d \d+\.\ds$`, i), fmt.Sprintf(`^log %d$`, i)} {
					line := regexp.MustCompile(want)
					if !slices.ContainsFunc(lines, line.MatchString) {
						t.Errorf("no line of the screen is %s:\n%s", want, strings.Join(lines, "\n"))
					}
				}
			}
			if story.Steps() != 40 {
				t.Errorf("%d steps were counted of 40", story.Steps())
			}
		})
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "abc": 3, "集群": 4, "镜像 registry": 13, "：": 2, "Ａ": 2, "ｱ": 1, "…": 1, "⠋": 1, "✓": 1, "é": 1,
		"e\u0301": 1, "👍": 2, "👩‍👩‍👧": 2, "🇨🇳": 2, "，。": 4,
	} {
		if got := progress.Columns(text); got != want {
			t.Errorf("Columns(%q) is %d, want %d", text, got, want)
		}
	}
}

func wide() int { return 80 }

var (
	color = regexp.MustCompile("\x1b\\[\\d*m")
	frame = regexp.MustCompile(`^[\x{2800}-\x{28ff}] `)
)

// lastDrawn is what was written last onto a line that has no end yet.
func lastDrawn(out string) string {
	out = out[strings.LastIndex(out, "\n")+1:]
	return strings.TrimPrefix(out[strings.LastIndex(out, "\r")+1:], "\x1b[K")
}

// screen is what a terminal shows after out, without colours, and with @ for the character that turns.
func screen(out string) []string {
	var lines []string
	var line []rune
	at := 0
	out = color.ReplaceAllString(out, "")
	for out != "" {
		if rest, found := strings.CutPrefix(out, "\x1b[K"); found {
			line, out = line[:at], rest
			continue
		}
		r := []rune(out)[0]
		out = out[len(string(r)):]
		switch r {
		case '\n':
			lines, line, at = append(lines, string(line)), nil, 0
		case '\r':
			at = 0
		default:
			line = append(line[:at], append([]rune{r}, line[min(at+1, len(line)):]...)...)
			at++
		}
	}
	if len(line) > 0 {
		lines = append(lines, string(line))
	}
	for i := range lines {
		lines[i] = frame.ReplaceAllString(lines[i], "@ ")
	}
	return lines
}

// TestForeignWords holds that what others have written can neither draw over the story nor end its line.
func TestForeignWords(t *testing.T) {
	t.Parallel()
	const hostile = "web\x1b[2K\x1b[1A\r\u009b31m\u202e\x07"
	for _, columns := range []func() int{nil, wide} {
		var out bytes.Buffer
		story := progress.New(progress.Options{Out: &out, Columns: columns})
		step := story.Start(messages.T("cluster %s", hostile+"\nnext"))
		step.Detail(messages.Verbatim(hostile))
		story.Say(messages.Verbatim(hostile))
		fmt.Fprintf(story, "kind says %s\n", hostile)
		step.End(nil)
		got := "\n" + strings.ReplaceAll(out.String(), "\r\x1b[K", "\n")
		if messages.Clean(got) != got || !strings.Contains(got, "\nkind says web\n") || !strings.Contains(got, "\nweb\n") {
			t.Errorf("the story is %q", got)
		}
		if columns != nil && !strings.Contains(got, "0.0s cluster web next") {
			t.Errorf("the line that turns is %q", got)
		}
	}
}

// TestTrace holds that a trace has steps and silent parts with their times, and that nothing overlaps within a lane.
func TestTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		story := progress.New(progress.Options{Out: io.Discard})
		time.Sleep(time.Minute) // before the first of them
		cluster := story.Start(messages.T("cluster %s", "web"))
		end := story.Silent(messages.T("kubeadm"))
		time.Sleep(2 * time.Second)
		end()
		registry := story.Start(messages.T("registry"))
		time.Sleep(time.Second)
		cluster.End(nil)
		registry.End(errors.New("no disk"))
		var trace bytes.Buffer
		if err := story.WriteTrace(&trace); err != nil {
			t.Fatal(err)
		}
		want := `{"displayTimeUnit":"ms","traceEvents":[` +
			`{"name":"cluster web","ph":"X","ts":0,"dur":3000000,"pid":1,"tid":1},` +
			`{"name":"kubeadm","ph":"X","ts":0,"dur":2000000,"pid":1,"tid":2},` +
			`{"name":"registry","ph":"X","ts":2000000,"dur":1000000,"pid":1,"tid":2}]}` + "\n"
		if trace.String() != want {
			t.Errorf("the trace is\n%s\nwant\n%s", &trace, want)
		}
	})
}
