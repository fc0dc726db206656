package architecture

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "postroom"

// A source is one Go file of the house.
type source struct {
	file    string   // with slashes, from the top of the repository
	folder  string   // of the file; "." is the top
	pack    string   // package name
	test    bool     // whether its name ends in _test.go
	lines   int      // all of them, comments and blanks included
	imports []string // import paths
}

// read returns the Go files of tree, whatever system they are for. Left out are testdata and what git ignores or keeps
// for itself.
func read(tree fs.FS) ([]source, error) {
	var sources []source
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() {
			if name != "." && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") ||
				slices.Contains([]string{"bin", "build", "internal/zzdeps"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{
			file: name, folder: path.Dir(name), pack: parsed.Name.Name,
			test: strings.HasSuffix(name, "_test.go"), lines: bytes.Count(text, []byte("\n")),
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		sources = append(sources, s)
		return nil
	})
	return sources, err
}

// faults compares sources with the tables and says in words what is wrong.
func faults(sources []source) []string {
	var found []string
	for _, s := range sources {
		say := func(format string, args ...any) {
			found = append(found, s.file+": "+fmt.Sprintf(format, args...))
		}
		if slices.Contains(vague, s.pack) || slices.Contains(vague, path.Base(s.folder)) {
			say("the package name %q says nothing about what is inside", s.pack)
		}
		if !s.test && s.lines > tooLongFile {
			say("%d lines; %d is the most, %d the aim", s.lines, tooLongFile, longFile)
		}
		from, ok := roomOf(s.folder)
		if !ok {
			say("stands in no room of the house; if no room fits, add one to the table with its reason")
			continue
		}
		for _, imported := range s.imports {
			if imported == module || strings.HasPrefix(imported, module+"/") {
				if reason := arrow(from, strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"), s.test); reason != "" {
					say("%s", reason)
				}
			} else if reason := foreign(from, imported, s.test); reason != "" {
				say("%s", reason)
			}
		}
	}
	return found
}

// arrow says what is wrong with an import of one of our packages, or "".
func arrow(from room, folder string, test bool) string {
	if folder == "" {
		folder = root
	}
	to, ok := roomOf(folder)
	switch {
	case !ok:
		return fmt.Sprintf("imports %s, which stands in no room", folder)
	case to.name == from.name || slices.Contains(from.imports, to.name):
		return ""
	case test && slices.Contains(from.tests, to.name):
		return ""
	}
	return fmt.Sprintf("%s must not import %s", from.name, folder)
}

// foreign says what is wrong with an import of somebody else's package, or "".
func foreign(from room, imported string, test bool) string {
	for _, l := range libraries {
		if below(imported, l.path) && !slices.Contains(l.rooms, from.name) {
			return fmt.Sprintf("%s must not import %s: only %s may (%s)", from.name, imported, strings.Join(l.rooms, ", "), l.why)
		}
	}
	if first, _, _ := strings.Cut(imported, "/"); from.name != "post" || !strings.Contains(first, ".") {
		return ""
	}
	allowed := postLibraries
	if test {
		allowed = append(slices.Clone(allowed), testLibraries...)
	}
	if slices.ContainsFunc(allowed, func(l string) bool { return below(imported, l) }) {
		return ""
	}
	return fmt.Sprintf("post must not import %s: it knows the standard library and %s", imported, strings.Join(postLibraries, ", "))
}

// roomOf returns the innermost room that a folder stands in.
func roomOf(folder string) (room, bool) {
	var best room
	for _, r := range rooms {
		if (r.name == root && folder == root || r.name != root && below(folder, r.name)) && len(r.name) > len(best.name) {
			best = r
		}
	}
	return best, best.name != ""
}

func below(name, top string) bool {
	return name == top || strings.HasPrefix(name, top+"/")
}
