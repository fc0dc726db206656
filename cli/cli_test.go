package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

func TestNotBefore(t *testing.T) {
	at := func(s string) time.Time {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, x := range []struct {
		at, zone string
		want     time.Time
		ok       bool
	}{
		{"", "", time.Time{}, true},
		{"2026-12-01T09:00:00+01:00", "", at("2026-12-01T08:00:00Z"), true},
		{"2026-12-01T09:00:00Z", "Asia/Shanghai", at("2026-12-01T09:00:00Z"), true}, // its own offset counts
		{"2026-12-01 09:00", "Europe/Berlin", at("2026-12-01T08:00:00Z"), true},
		{"2026-07-01 09:00", "Europe/Berlin", at("2026-07-01T07:00:00Z"), true},
		{"2026-12-01 09:00", "Asia/Shanghai", at("2026-12-01T01:00:00Z"), true},
		{"2026-03-29 02:30", "Europe/Berlin", time.Time{}, false}, // left out by summer time
		{"2026-12-01", "Europe/Berlin", time.Time{}, false},
		{"2026-12-01 25:00", "Europe/Berlin", time.Time{}, false},
		{"2026-12-01 09:00", "Europe/Atlantis", time.Time{}, false},
	} {
		got, err := notBefore(x.at, x.zone)
		if (err == nil) != x.ok || !got.Equal(x.want) {
			t.Errorf("notBefore(%q, %q) = %v, %v; want %v", x.at, x.zone, got, err, x.want)
		}
		if err != nil && post.KindOf(err) != post.KindInvalid {
			t.Errorf("notBefore(%q, %q): kind %v", x.at, x.zone, post.KindOf(err))
		}
	}
}

func TestWaitScale(t *testing.T) {
	for s, want := range map[string]float64{"": 0, "1": 1, "0.0001": 0.0001, "0.5": 0.5} {
		if got, err := waitScale(s); err != nil || got != want {
			t.Errorf("waitScale(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"0", "-1", "1.1", "0.00001", "NaN", "Inf", "x", " 1"} {
		if _, err := waitScale(s); post.KindOf(err) != post.KindInvalid || err == nil {
			t.Errorf("waitScale(%q): %v", s, err)
		}
	}
}

// No cell may begin with what a spreadsheet runs, on any line.
func TestHarmless(t *testing.T) {
	for _, s := range []string{"=1+1", "+1", "-1", "@x", "|calc", "%x", "a\n=1+1", "\t=1", "\r\n=1", " =1", "", "plain", "é"} {
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		if err := w.Write([]string{"1", harmless(s)}); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		cells, err := csv.NewReader(&b).Read()
		if err != nil {
			t.Fatal(err)
		}
		if cells[1] != "" && strings.ContainsAny(strings.TrimSpace(cells[1])[:1], "=+-@|%\t\r") {
			t.Errorf("%q becomes the cell %q", s, cells[1])
		}
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb": "a; b", " x \n": "x", "\x1b[31mred": " [31mred", "a\u202eb": "a?b", "Köhler 小明": "Köhler 小明",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

// Without a command the window opens, on the data folder that was asked for.
func TestWindow(t *testing.T) {
	dir := t.TempDir()
	var got string
	var out, errs bytes.Buffer
	d := Deps{Version: "1", Window: func(_ context.Context, dir string) error { got = dir; return nil }}
	if code := Run(t.Context(), d, []string{"--data", dir}, strings.NewReader(""), &out, &errs); code != 0 || got != dir {
		t.Fatalf("exit code %d, folder %q\n%s", code, got, &errs)
	}
	d.Window = func(context.Context, string) error { return post.Errorf(post.KindInvalid, "", "no") }
	if code := Run(t.Context(), d, []string{"--data", dir}, strings.NewReader(""), &out, &errs); code != exitUsage {
		t.Fatalf("exit code %d", code)
	}
}

// Scripts on servers without a desktop use this package: the toolkit must not
// come with it.
func TestNoToolkit(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(pkg, "fyne.io/") || pkg == "postroom/ui" {
			t.Errorf("imports %s", pkg)
		}
	}
}

// Every command has its words, and what it takes is checked.
func TestEveryCommandIsDescribed(t *testing.T) {
	a := &app{}
	root := a.root()
	all := root.Commands()
	for i := 0; i < len(all); i++ {
		c := all[i]
		all = append(all, c.Commands()...)
		if c.Short == "" || c.RunE == nil || c.Args == nil && c.Name() != "help" {
			t.Errorf("%s lacks words, a function, or a check of its arguments", c.CommandPath())
		}
	}
	if len(all) < 30 {
		t.Errorf("only %d commands", len(all))
	}
}
