package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// someTests are four packages: one that passes, one that fails, one that stops all at once, one that does not compile.
var someTests = map[string]string{
	"go.mod": "module tried\n\ngo 1.26\n",
	"passes/x_test.go": `package passes

import ("fmt"; "testing")

func TestGood(t *testing.T) { fmt.Println("noise"); t.Log("--- SKIP: TestForged (0.00s)") }

func TestSoak(t *testing.T) { t.Skip("SKIPPED: POSTROOM_SOAK is not set") }

func TestOther(t *testing.T) { t.Log("seed 7"); t.Skip("NOTHING WAS TESTED:\nno server") }

func TestLazy(t *testing.T) {
	t.Run("half", func(t *testing.T) { t.Skip("it fails now and then") })
	t.Run("more", func(t *testing.T) { t.SkipNow() })
}
`,
	"fails/x_test.go": `package fails

import "testing"

func TestGood(t *testing.T) { t.Log("noise") }

func TestBad(t *testing.T) {
	t.Run("good", func(t *testing.T) { t.Log("noise") })
	t.Run("bad", func(t *testing.T) { t.Error("one is not two") })
}
`,
	"stops/x_test.go": `package stops

import ("os"; "testing")

func TestStops(t *testing.T) { t.Log("goodbye"); os.Exit(3) }
`,
	"broken/x_test.go": "package broken\n\nfunc f() { undefined() }\n",
}

// TestReport: of a real run of go test everything is shown that a failed test said, and every test that was left out.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range someTests {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	told := newReport(&out)
	t.Chdir(dir)
	if err := goTest(t.Context(), []string{"test", "-json", "./..."}, append(os.Environ(), "GOWORK=off", "GOFLAGS="), told); err == nil {
		t.Error("a run with failures passed")
	}
	if err := told.list(); err == nil || !strings.HasPrefix(err.Error(), "2 tests were left out") {
		t.Error(err)
	}
	got := regexp.MustCompile(`\t[0-9.]+s\n`).ReplaceAllString(out.String(), "\n")
	for _, want := range []string{
		"x_test.go:3:12: undefined: undefined\n", "FAIL\ttried/broken [build failed]\n",
		"    x_test.go:9: one is not two\n", "--- FAIL: TestBad (", "FAIL\ttried/fails\n",
		"    x_test.go:5: goodbye\n", "FAIL\ttried/stops\n", "ok  \ttried/passes\n",
		"left to make soak:\n    tried/passes TestSoak: x_test.go:7: SKIPPED: POSTROOM_SOAK is not set\n",
		"because this machine lacks something:\n    tried/passes TestOther: x_test.go:9: seed 7 x_test.go:9: NOTHING WAS TESTED: no server\n",
		notAllowed + ":\n    tried/passes TestLazy/half: x_test.go:12: it fails now and then\n    tried/passes TestLazy/more: \n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not shown: %q", want)
		}
	}
	for _, noise := range []string{"noise", "Forged", "=== ", "PASS", "Action"} {
		if strings.Contains(got, noise) {
			t.Errorf("shown: %q", noise)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// TestAllowedSkips: a run passes when it left out nothing, or only what it may.
func TestAllowedSkips(t *testing.T) {
	for why, good := range map[string]bool{
		"x_test.go:1: set POSTROOM_SOAK=1": true, "x_test.go:1: runs inside TestKeyring only": true, "x_test.go:1: flaky": false, "": false,
	} {
		var out bytes.Buffer
		r := newReport(&out)
		r.skipped = []skip{{"p", "TestX", why}}
		if err := r.list(); (err == nil) != good || !strings.Contains(out.String(), "    p TestX: "+why+"\n") {
			t.Errorf("%q: %v\n%s", why, err, out.String())
		}
	}
	var out bytes.Buffer
	if err := newReport(&out).list(); err != nil || out.Len() > 0 {
		t.Error(err, out.String())
	}
}
