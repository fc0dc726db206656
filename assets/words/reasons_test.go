package words

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// reason is one that the code can give.
type reason struct {
	key  string
	args int // -1: not known from the source
	at   string
}

// reasonsIn finds the reasons that a folder's code makes: literals of
// post.Reason with a constant key, and calls of because and signInError.
func reasonsIn(t *testing.T, folder string) []reason {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("look for sources in %s: %d, %v", folder, len(files), err)
	}
	set := token.NewFileSet()
	var parsed []*ast.File
	consts := map[string]string{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok {
				for i, name := range v.Names {
					if i < len(v.Values) {
						if s, ok := text(v.Values[i], nil); ok {
							consts[name.Name] = s
						}
					}
				}
			}
			return true
		})
	}
	var all []reason
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if r, ok := literal(n, consts); ok {
					r.at = set.Position(n.Pos()).String()
					all = append(all, r)
				}
			case *ast.CallExpr:
				if r, ok := called(n, consts); ok {
					r.at = set.Position(n.Pos()).String()
					all = append(all, r)
				}
			}
			return true
		})
	}
	return all
}

// text is the value of a string literal or of a constant of the package.
func text(e ast.Expr, consts map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, err := strconv.Unquote(e.Value)
			return s, err == nil
		}
	case *ast.Ident:
		s, ok := consts[e.Name]
		return s, ok
	}
	return "", false
}

func literal(n *ast.CompositeLit, consts map[string]string) (reason, bool) {
	sel, ok := n.Type.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Reason" {
		return reason{}, false
	}
	r := reason{}
	for _, e := range n.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		field, ok := pair.Key.(*ast.Ident)
		if !ok {
			continue
		}
		switch field.Name {
		case "Key":
			r.key, _ = text(pair.Value, consts)
		case "Args":
			r.args = -1
			if list, ok := pair.Value.(*ast.CompositeLit); ok {
				r.args = len(list.Elts)
			}
		}
	}
	return r, r.key != ""
}

func called(n *ast.CallExpr, consts map[string]string) (reason, bool) {
	f, ok := n.Fun.(*ast.Ident)
	if !ok || len(n.Args) == 0 {
		return reason{}, false
	}
	key, known := text(n.Args[0], consts)
	switch f.Name {
	case "because":
		return reason{key: key}, known
	case "signInError": // key, message, cause, arguments
		return reason{key: key, args: len(n.Args) - 3}, known && n.Ellipsis == token.NoPos
	}
	return reason{}, false
}

var placeholder = regexp.MustCompile(`\{(\d+)\}`)

// TestReasonsHaveWordsForTheirArguments: every reason that sending can give
// has a sentence in every language, which uses each argument that comes with it
// and none that does not.
func TestReasonsHaveWordsForTheirArguments(t *testing.T) {
	found := 0
	for _, folder := range []string{"mailer", "accounts", "storage", "compose"} {
		for _, r := range reasonsIn(t, filepath.Join("..", "..", folder)) {
			found++
			for _, lang := range Langs {
				c := catalogues[lang]
				s, ok := c.texts[r.key]
				if !ok {
					s, ok = c.texts[r.key+".other"]
				}
				if !ok {
					t.Errorf("%s: %s has no words for %s", r.at, lang, r.key)
					continue
				}
				used := map[string]bool{}
				for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
					used[m[1]] = true
				}
				if r.args < 0 {
					continue
				}
				if len(used) != r.args {
					t.Errorf("%s: %s comes with %d arguments, the words in %s use %d: %q", r.at, r.key, r.args, lang, len(used), s)
				}
			}
		}
	}
	if found < 80 {
		t.Errorf("only %d reasons were found", found)
	}
}
