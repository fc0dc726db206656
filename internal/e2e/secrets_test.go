//go:build linux && !race

package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postroom/internal/testkit/smtpscript"
)

// forms are the ways in which a secret might be written down.
func forms(user, secret string) map[string]string {
	code := base64.StdEncoding.EncodeToString
	return map[string]string{
		"plain": secret, "base64": strings.TrimRight(code([]byte(secret)), "="), "hexadecimal": hex.EncodeToString([]byte(secret)),
		"AUTH PLAIN":   strings.TrimRight(code([]byte("\x00"+user+"\x00"+secret)), "="),
		"AUTH XOAUTH2": strings.TrimRight(code([]byte("user="+user+"\x01auth=Bearer "+secret+"\x01\x01")), "="),
	}
}

// packedLeaks lists where in a zip file a text stands.
func packedLeaks(t *testing.T, path string, b []byte, text string) (places []string) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatalf("search %s: %v", path, err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatalf("search %s: %v", path, err)
		}
		inner, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("search %s: %v", path, err)
		}
		if bytes.Contains(inner, []byte(text)) {
			places = append(places, path+"!"+f.Name)
		}
	}
	return places
}

// leaks lists where below a folder, and in all that was printed so far, a text
// stands.
func (o *office) leaks(t *testing.T, text string) (places []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(o.data, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(b, []byte(text)) {
			places = append(places, path)
		}
		if bytes.HasPrefix(b, []byte("PK\x03\x04")) { // a backup, or evidence
			places = append(places, packedLeaks(t, path, b, text)...)
		}
		files++
		return err
	})
	if err != nil || files < 2 {
		t.Fatalf("search %s: %d files, %v", o.data, files, err)
	}
	if strings.Contains(o.said.String(), text) {
		places = append(places, "what the commands printed")
	}
	return places
}

// holdsNo fails the test where a secret was written down. The message names the
// place, not the secret.
func (o *office) holdsNo(t *testing.T, secret string) {
	t.Helper()
	for _, place := range o.leaks(t, secret) {
		t.Errorf("a secret stands in %s", place)
	}
}

// commandLines returns the command lines and the environments of all processes
// that may be looked at: the run, and whatever it has started.
func commandLines(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("look at the processes: %d, %v", len(files), err)
	}
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(environs) == 0 {
		t.Fatalf("look at the environments: %d, %v", len(environs), err)
	}
	var b bytes.Buffer
	for _, file := range append(files, environs...) {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // ended since
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// TestSecrets plants a password and an access token and looks for them wherever
// the program writes: while it runs, when a sign-in fails, when a password
// command fails, and afterwards.
func TestSecrets(t *testing.T) {
	for _, x := range []struct {
		name, auth, mechanism string
		secret                string
	}{
		{"password", "plain", "PLAIN", "pA55-planted-c7e1-wört"},
		{"login", "login", "LOGIN", "pA55-planted-2b9d-word"},
		{"token", "xoauth2", "XOAUTH2", "ya29.planted-token_40c8-" + strings.Repeat("Ab3-", 200)},
	} {
		t.Run(x.name, func(t *testing.T) { plant(t, x.auth, x.mechanism, x.secret) })
	}
}

func plant(t *testing.T, auth, mechanism, secret string) {
	const user = "shop@example.test"
	hold := make(chan struct{})
	server := smtpscript.Start(t, smtpscript.Config{
		Mode: smtpscript.ImplicitTLS, User: user, Password: secret, Mechanisms: []string{mechanism},
		Script: func(e smtpscript.Event) smtpscript.Action {
			if e.Phase == smtpscript.PhaseDot {
				return smtpscript.Action{Hold: hold}
			}
			return smtpscript.Action{}
		},
	})
	o := newOffice(t)
	ca := o.write(t, "ca.pem", string(server.CAPEM()))
	o.addMailbox(t, "shop", user, server.Addr(), "tls", ca, secret, "--auth", auth)
	o.addMailbox(t, "wrong", user, server.Addr(), "tls", ca, secret+"-not", "--auth", auth)
	o.addMailbox(t, "broken", user, server.Addr(), "tls", ca, secret, "--auth", auth)
	o.ok(t, "account", "set", "broken", "--password-command", cat(o.path("broken.password"))+"; exit 7")
	body := o.write(t, "b.txt", "Hello.\n")
	for _, name := range []string{"shop", "wrong", "broken"} {
		o.queue(t, 1, "--account", name, "--to", "anna@example.test", "--subject", "Hello", "--body", body)
	}
	p := o.start(t, "", "run", "--until-empty")
	dots := func() bool { return server.Stats().ByVerb["DATA"] > 0 }
	until(t, "a message before its answer", func() bool { return !p.running() || dots() && server.Stats().SignInFailures > 0 })
	// Now the ledger's log (-wal) is not folded in yet.
	if wal, err := os.Stat(filepath.Join(o.data, "postroom.db-wal")); err != nil || wal.Size() == 0 {
		t.Errorf("the ledger's log is not there to be looked at: %v", err)
	}
	processes := commandLines(t)
	if !strings.Contains(processes, binary) {
		t.Error("the run is not among the processes")
	}
	written := forms(user, secret)
	for form, text := range written {
		if strings.Contains(processes, text) {
			t.Errorf("a command line or the environment holds the secret (%s)", form)
		}
		for _, place := range o.leaks(t, text) {
			t.Errorf("while it runs, the secret (%s) stands in %s", form, place)
		}
	}
	close(hold)
	if r := p.wait(t); r.code != 3 {
		t.Errorf("two accounts do not work, so exit code 3 was expected\n%s", r)
	}
	for _, args := range [][]string{
		{"account", "test", "shop"},
		{"account", "test", "wrong", "--json"},
		{"account", "test", "broken"},
		{"account", "show", "shop"},
		{"account", "list", "--json"},
		{"history", "--json"},
		{"history", "--csv"},
		{"mailing", "list"},
		{"settings", "list"},
		{"backup", o.path("data/backup")},
	} {
		o.do(t, "", args...)
	}
	if s := server.Stats(); s.Taken != 1 || s.SignIns < 1 || s.SignInFailures < 1 {
		t.Errorf("nothing was tried: %d taken, %d sign-ins, %d failed", s.Taken, s.SignIns, s.SignInFailures)
	}
	for form, text := range written {
		for _, place := range o.leaks(t, text) {
			t.Errorf("afterwards, the secret (%s) stands in %s", form, place)
		}
	}
	// The search itself finds what is there.
	if len(o.leaks(t, "anna@example.test")) < 2 {
		t.Error("the search finds nothing at all")
	}
}
