package messages

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// speakers are the functions whose first argument is a sentence.
var speakers = []string{"T", "Errorf", "Usagef", "WithHint", "say", "wrong"}

var verb = regexp.MustCompile(`%(?:\[(\d+)\])?([^%])`)

// verbs gives the verb of each argument, by its number: a translation may take them in another order.
func verbs(t *testing.T, format string) map[int]string {
	t.Helper()
	all := map[int]string{}
	next := 1
	for _, found := range verb.FindAllStringSubmatch(format, -1) {
		if found[1] != "" {
			number, err := strconv.Atoi(found[1])
			if err != nil {
				t.Fatal(err)
			}
			next = number
		}
		all[next] = found[2]
		next++
	}
	return all
}

// TestCatalogueIsComplete finds what the program says and cannot say in Chinese, and what it could say and never does.
func TestCatalogueIsComplete(t *testing.T) {
	chinese, err := Chinese()
	if err != nil {
		t.Fatal(err)
	}
	said := sentences(t)
	if len(said) < 50 {
		t.Fatalf("only %d sentences found: the test does not see the sources", len(said))
	}
	for _, english := range slices.Sorted(maps.Keys(said)) {
		translated, found := chinese[english]
		if !found {
			t.Errorf("zh.yaml lacks %q (%s)", english, said[english].position)
			continue
		}
		if want, got := verbs(t, english), verbs(t, translated); !maps.Equal(want, got) {
			t.Errorf("%q has the verbs %v, its translation %v", english, want, got)
		}
	}
	for english := range chinese {
		if _, found := said[english]; !found {
			t.Errorf("zh.yaml translates %q, which nothing says", english)
		}
	}
}

// TestFormatsAndArgumentsAgree does for sentences what go vet does for fmt.
func TestFormatsAndArgumentsAgree(t *testing.T) {
	for english, sentence := range sentences(t) {
		verbs := verb.FindAllString(english, -1)
		for _, v := range verbs {
			if !slices.Contains([]string{"%s", "%v", "%q"}, v) {
				t.Errorf("%s: %q holds %s: use %%s, %%v or %%q", sentence.position, english, v)
			}
		}
		if sentence.arguments >= 0 && len(verbs) != sentence.arguments {
			t.Errorf("%s: %q has %d verbs and %d arguments", sentence.position, english, len(verbs), sentence.arguments)
		}
	}
}

// TestNobodySpeaksPastTheCatalogue finds errors made with fmt or errors whose text is a literal sentence.
func TestNobodySpeaksPastTheCatalogue(t *testing.T) {
	inspectSources(t, func(position token.Position, call *ast.CallExpr) {
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return
		}
		packageName, ok := selector.X.(*ast.Ident)
		if !ok || len(call.Args) == 0 {
			return
		}
		name := packageName.Name + "." + selector.Sel.Name
		text, isLiteral := literal(call.Args[0])
		if slices.Contains([]string{"fmt.Errorf", "errors.New"}, name) && isLiteral && regexp.MustCompile(`[a-z]{3} [a-z]{2}`).MatchString(text) {
			t.Errorf("%s: %q does not go through the catalogue", position, text)
		}
	})
}

func TestTexts(t *testing.T) {
	inner := Errorf("port %v is taken by %s", 30000, T("the container %s", "web")).WithHint("hellolab up")
	outer := Errorf("the registry does not start").Because(inner)
	english, chinese := Printer{}, In(Languages()[1])
	if got, want := english.Error(outer), "the registry does not start: port 30000 is taken by the container web"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := chinese.Error(inner); !strings.Contains(got, "30000") || !strings.Contains(got, "web") || got == english.Error(inner) {
		t.Errorf("the Chinese rendering is %q", got)
	}
	if got := english.Hint(outer); got != "hellolab up" {
		t.Errorf("the hint of a cause is %q", got)
	}
	if IsUsage(outer) || !IsUsage(Errorf("x").Because(Usagef("y"))) {
		t.Error("usage errors are not told from others")
	}
}

type sentence struct {
	position  token.Position
	arguments int // -1 where they are passed on
}

// sentences gives every literal that the sources pass to a speaker.
func sentences(t *testing.T) map[string]sentence {
	t.Helper()
	found := map[string]sentence{}
	inspectSources(t, func(position token.Position, call *ast.CallExpr) {
		name := ""
		switch function := call.Fun.(type) {
		case *ast.Ident:
			name = function.Name
		case *ast.SelectorExpr:
			name = function.Sel.Name
		}
		if !slices.Contains(speakers, name) || len(call.Args) == 0 {
			return
		}
		if text, ok := literal(call.Args[0]); ok && regexp.MustCompile(`\pL`).MatchString(verb.ReplaceAllString(text, "")) {
			arguments := len(call.Args) - 1
			if call.Ellipsis.IsValid() {
				arguments = -1
			}
			found[text] = sentence{position, arguments}
		}
	})
	return found
}

func inspectSources(t *testing.T, visit func(token.Position, *ast.CallExpr)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (slices.Contains([]string{".git", "testbed", "e2e", "bin", ".dist", "src"}, entry.Name()) || strings.HasSuffix(entry.Name(), "test")) {
			return filepath.SkipDir // a package named "...test" is for unit tests
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				visit(files.Position(call.Pos()), call)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("reading the sources: %w", err))
	}
}

// literal gives the text of a string literal.
func literal(expression ast.Expr) (string, bool) {
	basic, ok := expression.(*ast.BasicLit)
	if !ok || basic.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(basic.Value)
	return text, err == nil
}
