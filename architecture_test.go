package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/hellolab/hellolab"

// mayImport lists which packages of this module each one may use. main wires them, and may use all.
var mayImport = map[string][]string{
	"await":         {"messages"},
	"bootstrap":     {"await", "engine", "helm", "kube", "lock", "messages", "mirror", "port", "progress", "registry", "scratch"},
	"bundle":        {"idle", "messages", "progress", "scratch"},
	"dashboard":     {"await", "kube", "labs", "labs/check", "labs/course", "labs/guide", "messages"},
	"doctor":        {"engine", "kube", "messages", "port"},
	"durable":       {"messages", "scratch"},
	"engine":        {"messages", "progress"},
	"helm":          {"kube", "messages"},
	"idle":          {},
	"images":        {"engine", "messages", "progress", "scratch"},
	"kube":          {"await", "durable", "messages"},
	"kube/kubetest": {"kube"},
	"kubectl":       {},
	"labs":          {"await", "durable", "helm", "kube", "labs/check", "labs/course", "messages", "progress", "strict"},
	"labs/check":    {"await", "helm", "kube", "labs/course", "messages"},
	"labs/course":   {"helm", "messages", "strict"},
	"labs/guide":    {"messages", "progress"},
	"lock":          {"messages"},
	"logs":          {"engine", "kube", "messages", "redact"},
	"messages":      {},
	"mirror":        {"engine", "idle", "messages", "progress"},
	"port":          {},
	"progress":      {"messages"},
	"redact":        {},
	"registry":      {"engine", "idle", "messages", "mirror", "port", "progress"},
	"supply":        {"bootstrap", "helm", "images", "kube", "messages", "registry", "tunnel"},
	"scratch":       {},
	"startup":       {},
	"strict":        {"messages"},
	"tunnel":        {"await", "kube", "messages"},
}

// heavy lists the big dependencies, and who may know of each.
var heavy = []struct {
	prefix string
	by     []string
}{
	{"sigs.k8s.io/kind", []string{"bootstrap"}},
	{"helm.sh/helm/v3/pkg/action", []string{"helm"}},
	{"helm.sh/helm/v3", []string{"bootstrap", "helm"}},
	{"k8s.io/kubectl", []string{"kubectl", "labs", "startup"}},
	{"k8s.io/client-go/dynamic", []string{"kube"}},
	{"github.com/docker/docker", []string{"bootstrap", "doctor", "engine", "images", "logs", "main", "mirror", "registry"}},
	{"github.com/docker/cli", []string{"engine"}},
	{"github.com/google/go-containerregistry", []string{"bundle", "images", "main", "mirror", "registry"}},
	{"github.com/yuin/goldmark", []string{"labs/guide"}},
	{"github.com/urfave/cli/v2", []string{"main"}},
	{"os/signal", []string{"main"}},
}

// mainOnly lists what no package below main does: it ends no program, reads no environment, and prints nothing.
var mainOnly = map[string][]string{
	"os":  {"Exit", "Args", "Getenv", "LookupEnv", "Environ", "Setenv", "Unsetenv", "Stdin", "Stdout", "Stderr"},
	"fmt": {"Print", "Printf", "Println"},
}

// TestPackagesKnowOnlyThoseBelow holds the directions of the imports, which docs and reviewers cannot.
func TestPackagesKnowOnlyThoseBelow(t *testing.T) {
	t.Parallel()
	found := 0
	for _, file := range sources(t) {
		allowed, listed := mayImport[file.folder]
		if !listed && file.folder != "main" {
			t.Errorf("%s: mayImport does not say what %s may import", file.path, file.folder)
			continue
		}
		for _, imported := range file.imports(t) {
			inside, ours := strings.CutPrefix(imported.path, module+"/")
			if !ours {
				continue
			}
			found++
			if file.folder != "main" && !slices.Contains(allowed, inside) {
				t.Errorf("%s: %s may not import %s", imported.position, file.folder, inside)
			}
		}
	}
	if found == 0 {
		t.Errorf("no import of %s was found: has the module another name now?", module)
	}
}

// TestHeavyDependenciesStayInTheirPackages holds that each can be replaced by editing one package or few.
func TestHeavyDependenciesStayInTheirPackages(t *testing.T) {
	t.Parallel()
	files := sources(t)
	for _, dependency := range heavy {
		found := false
		for _, file := range files {
			for _, imported := range file.imports(t) {
				if imported.path != dependency.prefix && !strings.HasPrefix(imported.path, dependency.prefix+"/") {
					continue
				}
				found = true
				if !slices.Contains(dependency.by, file.folder) {
					t.Errorf("%s: only %s may import %s", imported.position, dependency.by, imported.path)
				}
			}
		}
		if !found {
			t.Errorf("nothing imports %s: has it another name now?", dependency.prefix)
		}
	}
}

// TestOnlyMainTouchesTheOutside holds that a package below main can be called from a test, or by another command,
// without surprises.
func TestOnlyMainTouchesTheOutside(t *testing.T) {
	t.Parallel()
	exits := 0
	for _, file := range sources(t) {
		names := map[string]string{} // by which the file calls the packages of mainOnly
		for _, imported := range file.imports(t) {
			if _, guarded := mainOnly[imported.path]; guarded {
				names[imported.name] = imported.path
			}
		}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if slices.Contains([]string{"Fatal", "Fatalf", "Fatalln"}, selector.Sel.Name) {
				t.Errorf("%s: %s ends the program", file.at(selector), selector.Sel.Name)
			}
			of, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			guarded := names[of.Name]
			if !slices.Contains(mainOnly[guarded], selector.Sel.Name) {
				return true
			}
			switch {
			case file.folder == "startup": // there is no main yet
			case file.folder != "main":
				t.Errorf("%s: only main may use %s.%s", file.at(selector), guarded, selector.Sel.Name)
			case selector.Sel.Name == "Exit":
				exits++
			}
			return true
		})
	}
	if exits != 1 {
		t.Errorf("main ends the program at %d places, want 1", exits)
	}
}

// TestNoGlobalState holds that nothing happens before main but in the package that is for that, and that two labs in one program would not share anything.
// What Go cannot write as a constant and nothing changes is allowed: embedded files, compiled expressions, errors to
// compare with, assertions; and main's version, which the linker sets.
func TestNoGlobalState(t *testing.T) {
	t.Parallel()
	embedded := 0
	for _, file := range sources(t) {
		for _, declaration := range file.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv == nil && function.Name.Name == "init" && file.folder != "startup" {
				t.Errorf("%s: func init runs before main", file.at(function))
			}
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				variable := spec.(*ast.ValueSpec)
				if isEmbedded(group, variable) {
					embedded++
					continue
				}
				for i, name := range variable.Names {
					if name.Name == "_" || file.folder == "main" && name.Name == "version" || i < len(variable.Values) && isConstant(variable.Values[i]) {
						continue
					}
					t.Errorf("%s: the variable %s belongs to the whole program", file.at(name), name.Name)
				}
			}
		}
	}
	if embedded == 0 {
		t.Error("no embedded file was found: the test does not see the variables")
	}
}

// isEmbedded reports whether the compiler fills a variable from a file.
func isEmbedded(group *ast.GenDecl, variable *ast.ValueSpec) bool {
	for _, comments := range []*ast.CommentGroup{group.Doc, variable.Doc} {
		if comments != nil && slices.ContainsFunc(comments.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

// isConstant reports whether value is made once and never changes.
func isConstant(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	of, ok := selector.X.(*ast.Ident)
	return ok && slices.Contains([]string{"regexp.MustCompile", "errors.New", "messages.Errorf"}, of.Name+"."+selector.Sel.Name)
}

// source is one file of the program.
type source struct {
	path   string
	folder string // below the module's root, or "main"
	syntax *ast.File
	files  *token.FileSet
}

type imported struct {
	path, name string
	position   token.Position
}

func (s source) imports(t *testing.T) []imported {
	t.Helper()
	var all []imported
	for _, spec := range s.syntax.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Base(target)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "." {
			t.Errorf("%s: %s is imported without a name, so that no rule sees its use", s.at(spec), target)
		}
		all = append(all, imported{target, name, s.at(spec)})
	}
	return all
}

func (s source) at(node ast.Node) token.Position { return s.files.Position(node.Pos()) }

// sources reads the program's own files, for every system and without tests. Modules of their own below the root are
// other programs.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"testbed", "testdata", "e2e", "bin", "images/src"}, name) ||
				strings.HasSuffix(name, "test")) { // a package named "...test" is for unit tests, and no other may import it
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		syntax, err := parser.ParseFile(files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("reading the sources: %w", err)
		}
		folder := filepath.ToSlash(filepath.Dir(name))
		if folder == "." {
			folder = "main"
		}
		all = append(all, source{name, folder, syntax, files})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"main", "bootstrap", "messages"} {
		if !slices.ContainsFunc(all, func(s source) bool { return s.folder == folder }) {
			t.Fatalf("no source of %s was found: the test does not see the program", folder)
		}
	}
	return all
}
