package dialogs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mostEntries is how many entries of a folder are listed; a name beyond them
// can be typed.
const mostEntries = 5000

// entry is one file or folder in a listing.
type entry struct {
	name    string
	folder  bool
	size    int64
	changed time.Time
}

// listing is what a folder holds.
type listing struct {
	path    string
	entries []entry
	more    int // not listed
}

// filter says which entries are listed.
type filter struct {
	extensions []string // lower case, with the dot; none: all
	folders    bool     // folders only
	hidden     bool     // also names that begin with a dot
}

func (f filter) takes(name string, folder bool) bool {
	switch {
	case !f.hidden && strings.HasPrefix(name, "."):
		return false
	case folder:
		return true
	case f.folders:
		return false
	default:
		return len(f.extensions) == 0 || slices.Contains(f.extensions, strings.ToLower(filepath.Ext(name)))
	}
}

// list reads a folder: folders first, then files, by name without regard to
// case. Links count as what they lead to; those that lead nowhere are left out.
func list(path string, f filter) (listing, error) {
	items, err := os.ReadDir(path)
	if err != nil {
		return listing{}, err
	}
	l := listing{path: path}
	for _, item := range items {
		if !f.takes(item.Name(), true) {
			continue
		}
		info, err := os.Stat(filepath.Join(path, item.Name()))
		if err != nil || !f.takes(item.Name(), info.IsDir()) {
			continue
		}
		l.entries = append(l.entries, entry{item.Name(), info.IsDir(), info.Size(), info.ModTime()})
	}
	slices.SortFunc(l.entries, func(a, b entry) int {
		if a.folder != b.folder {
			if a.folder {
				return -1
			}
			return 1
		}
		if c := strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	if len(l.entries) > mostEntries {
		l.more = len(l.entries) - mostEntries
		l.entries = l.entries[:mostEntries]
	}
	return l, nil
}

// expand makes a typed path absolute: "~" is the home folder, a relative path
// counts from the folder that is shown.
func expand(typed, folder string) string {
	typed = strings.TrimSpace(typed)
	if typed == "~" || strings.HasPrefix(typed, "~/") || strings.HasPrefix(typed, `~\`) {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, typed[1:])
		}
	}
	if !filepath.IsAbs(typed) {
		typed = filepath.Join(folder, typed)
	}
	return filepath.Clean(typed)
}

// pathWords returns the catalogue key for what is wrong with a path.
func pathWords(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "file.not_found"
	}
	return "file.no_access"
}

// startFolder returns the folder to begin in: the one asked for if it is there,
// else the home folder, else the root.
func startFolder(asked string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	for _, dir := range []string{asked, home} {
		if dir == "" {
			continue
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return filepath.Clean(dir)
		}
	}
	return string(filepath.Separator)
}
