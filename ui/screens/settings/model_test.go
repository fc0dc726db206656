package settings

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
)

var english = words.For(words.English)

var now = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)

// still is a clock that stands still.
type still struct{ post.SystemClock }

func (still) Now() time.Time { return now }

func openLedger(t *testing.T) *storage.Ledger {
	t.Helper()
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{Clock: still{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestLoad(t *testing.T) {
	l := openLedger(t)
	want := &Model{SignIn: map[string]string{}, Language: words.Chinese, Theme: "light", Hours: 48, Folder: l.Dir(), Log: filepath.Join(l.Dir(), "logs", "postroom.log")}
	check := func(what string) {
		t.Helper()
		got, err := Load(t.Context(), l, nil, words.Chinese)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	set := func(key, value string) {
		t.Helper()
		if err := l.SetSetting(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	check("never set")
	for _, key := range []string{keyLanguage, keyTheme, keyDeadline} {
		set(key, "nonsense")
	}
	check("nonsense")
	set(keyLanguage, "en")
	set(keyTheme, "dark")
	set(keyDeadline, "72")
	want.Language, want.Theme, want.Hours = words.English, "dark", 72
	check("set")
	set(keyDeadline, "121")
	want.Hours = 48
	check("out of range")
	set("oauth.google.client_id", "123")
	want.SignIn["oauth.google.client_id"] = "123"
	check("a client id")
}

func TestParseHours(t *testing.T) {
	for typed, want := range map[string]bool{"1": true, " 120 ": true, "0": false, "121": false, "": false, "2.5": false, "two": false, "-3": false} {
		if _, ok := parseHours(typed); ok != want {
			t.Errorf("%q: %v", typed, ok)
		}
	}
}

func TestBackupPath(t *testing.T) {
	home := t.TempDir()
	for typed, want := range map[string]string{
		"a.zip": filepath.Join(home, "a.zip"), "~/a.zip": filepath.Join(home, "a.zip"), " sub/a.zip ": filepath.Join(home, "sub", "a.zip"),
		filepath.Join(home, "x", "..", "a.zip"): filepath.Join(home, "a.zip"),
	} {
		if got := backupPath(typed, home); got != want {
			t.Errorf("%q: %s, want %s", typed, got, want)
		}
	}
	if got := backupName(now); got != "postroom-2026-11-24-0930.zip" {
		t.Error(got)
	}
}

func TestFolderURL(t *testing.T) {
	for dir, want := range map[string]string{
		"/home/li/Post raum#1": "file:///home/li/Post%20raum%231",
		"C:/Users/li":          "file:///C:/Users/li",
	} {
		if got := folderURL(dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}
