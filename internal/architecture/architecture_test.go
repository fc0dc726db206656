package architecture

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// top is the top of the repository from where this test runs.
const top = "../.."

func TestHouse(t *testing.T) {
	sources, err := read(os.DirFS(top))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults(sources) {
		t.Error(fault)
	}
	for _, s := range sources {
		if !s.test && s.lines > longFile {
			t.Logf("%s: %d lines; does it still hold one thing?", s.file, s.lines)
		}
	}
}

// TestAllPackagesAreSeen compares what is read with what the go command builds, and with the rooms that must exist.
func TestAllPackagesAreSeen(t *testing.T) {
	sources, err := read(os.DirFS(top))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	imports := 0
	for _, s := range sources {
		seen[s.folder] = true
		imports += len(s.imports)
	}
	for _, must := range []string{root, "post", "storage", "accounts", "compose", "mailer", "practice", "cli", "ui"} {
		if !seen[must] {
			t.Errorf("no Go file read from %q", must)
		}
	}
	if imports < len(sources) {
		t.Errorf("%d files import %d packages; are imports read at all?", len(sources), imports)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "./...")
	list.Dir = top
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 10 {
		t.Errorf("go list shows only %v", packages)
	}
	for _, p := range packages {
		folder := strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
		if folder == "" {
			folder = root
		}
		if !seen[folder] && folder != "internal/zzdeps" {
			t.Errorf("the go command builds %s, but no file of it was read", p)
		}
	}
}

// TestRoomsAreKnown finds words in the tables that name no room.
func TestRoomsAreKnown(t *testing.T) {
	var names []string
	for _, r := range rooms {
		names = append(names, r.name)
	}
	for _, r := range rooms {
		for _, other := range slices.Concat(r.imports, r.tests) {
			if !slices.Contains(names, other) {
				t.Errorf("%s may import %s, which is no room", r.name, other)
			}
		}
	}
	for _, l := range libraries {
		for _, r := range l.rooms {
			if !slices.Contains(names, r) {
				t.Errorf("%s is for %s, which is no room", l.path, r)
			}
		}
	}
}

// TestFaultsAreFound plants one fault at a time into a small sound house.
func TestFaultsAreFound(t *testing.T) {
	sound := map[string]string{
		"main.go":                  `package main; import ("postroom/ui"; "fyne.io/fyne/v2/app")`,
		"ui/window.go":             `package ui; import ("postroom/storage"; "fyne.io/fyne/v2"; "postroom/assets/theme")`,
		"cli/send.go":              `package cli; import ("postroom/mailer"; "postroom/assets/words")`,
		"mailer/mailer.go":         `package mailer; import ("postroom/compose"; "postroom/accounts"; "github.com/wneessen/go-mail")`,
		"mailer/mailer_test.go":    `package mailer; import ("postroom/practice"; "postroom/internal/testkit/mailserver")`,
		"receipts/receipts.go":     `package receipts; import "postroom/contacts"`,
		"storage/ledger.go":        `package storage; import ("postroom/post"; "database/sql")`,
		"post/post.go":             `package post; import ("time"; "golang.org/x/net/idna"; "golang.org/x/text/cases")`,
		"post/post_test.go":        `package post; import "pgregory.net/rapid"`,
		"assets/words/words.go":    `package words; import "postroom/post"`,
		"assets/theme/theme.go":    `package theme; import ("fyne.io/fyne/v2/theme"; "postroom/assets/font")`,
		"internal/testkit/a/a.go":  `package a; import "postroom/storage"`,
		"build/x/x.go":             `package util; import "database/sql"`,
		"cli/testdata/plain/go.go": `package util; import "database/sql"`,
	}
	plants := []struct{ file, text, fault string }{
		{"post/a.go", `package post; import "postroom/storage"`, "post must not import storage"},
		{"post/a_test.go", `package post; import "postroom/storage"`, "post must not import storage"},
		{"post/a.go", `package post; import "golang.org/x/net/html"`, "post must not import golang.org/x/net/html"},
		{"post/a.go", `package post; import "pgregory.net/rapid"`, "post must not import pgregory.net/rapid"},
		{"storage/a.go", `package storage; import "postroom/mailer"`, "storage must not import mailer"},
		{"compose/a.go", `package compose; import "postroom/accounts"`, "compose must not import accounts"},
		{"accounts/a.go", `package accounts; import "postroom/mailer"`, "accounts must not import mailer"},
		{"mailer/a.go", `package mailer; import "postroom/contacts"`, "mailer must not import contacts"},
		{"mailer/a.go", `package mailer; import "postroom/practice"`, "mailer must not import practice"},
		{"mailer/a_windows.go", `package mailer; import "postroom/practice"`, "mailer must not import practice"},
		{"mailer/a.go", `package mailer; import "postroom/assets/words"`, "mailer must not import assets/words"},
		{"receipts/a.go", `package receipts; import "postroom/compose"`, "receipts must not import compose"},
		{"mailer/a.go", `package mailer; import "postroom/ui"`, "mailer must not import ui"},
		{"cli/a.go", `package cli; import "postroom/ui/task"`, "cli must not import ui/task"},
		{"cli/a.go", `package cli; import "postroom/assets/theme"`, "cli must not import assets/theme"},
		{"ui/a.go", `package ui; import "postroom/cli"`, "ui must not import cli"},
		{"ui/a.go", `package ui; import "postroom"`, "ui must not import ."},
		{"mailer/a.go", `package mailer; import "postroom/internal/testkit/a"`, "mailer must not import internal/testkit/a"},
		{"main.go", `package main; import "postroom/internal/testkit/a"`, ". must not import internal/testkit/a"},
		{"internal/testkit/b/b.go", `package b; import "postroom/ui"`, "internal/testkit must not import ui"},
		{"mailer/a.go", `package mailer; import "database/sql"`, "mailer must not import database/sql"},
		{"mailer/a_test.go", `package mailer; import "database/sql/driver"`, "mailer must not import database/sql/driver"},
		{"main.go", `package main; import _ "modernc.org/sqlite"`, ". must not import modernc.org/sqlite"},
		{"cli/a.go", `package cli; import "github.com/wneessen/go-mail"`, "cli must not import github.com/wneessen/go-mail"},
		{"mailer/a.go", `package mailer; import "github.com/zalando/go-keyring"`, "mailer must not import github.com/zalando/go-keyring"},
		{"assets/words/a.go", `package words; import "fyne.io/fyne/v2/lang"`, "assets must not import fyne.io/fyne/v2/lang"},
		{"ui/a.go", `package ui; import "fyne.io/fyne/v2/app"`, "ui must not import fyne.io/fyne/v2/app"},
		{"plans/a.go", `package plans`, "stands in no room"},
		{"ui/a.go", `package ui; import "postroom/plans"`, "imports plans, which stands in no room"},
		{"ui/helper/a.go", `package helper`, `the package name "helper"`},
		{"ui/a.go", `package util`, `the package name "util"`},
		{"ui/a.go", "package ui\n" + strings.Repeat("// line\n", tooLongFile), "701 lines"},
	}
	if found := planted(t, sound); len(found) != 0 {
		t.Fatalf("the sound house has faults: %q", found)
	}
	for _, plant := range plants {
		house := maps.Clone(sound)
		house[plant.file] = plant.text
		found := planted(t, house)
		if len(found) != 1 || !strings.HasPrefix(found[0], plant.file+": ") || !strings.Contains(found[0], plant.fault) {
			t.Errorf("%s with %.60q: found %q, want %q alone", plant.file, plant.text, found, plant.fault)
		}
	}
}

func planted(t *testing.T, files map[string]string) []string {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	sources, err := read(tree)
	if err != nil {
		t.Fatal(err)
	}
	return faults(sources)
}
