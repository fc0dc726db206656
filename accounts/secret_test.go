package accounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zalando/go-keyring"

	"postroom/post"
)

// wantKey fails unless err is a post.Error of the kind with that reason.
func wantKey(t *testing.T, err error, kind post.Kind, key string) {
	t.Helper()
	var e *post.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Reason.Key != key || e.Message == "" {
		t.Errorf("got %v (%+v), want %v %q", err, e, kind, key)
	}
}

func command(line string) post.Account {
	return post.Account{Secret: post.SecretCommand, PasswordCommand: line}
}

func TestCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: these password commands are written for a Unix shell")
	}
	t.Setenv("POSTROOM_TEST_SECRET", secretForTests)
	for _, c := range []struct{ line, want, key string }{
		{`printf %s "$POSTROOM_TEST_SECRET"`, secretForTests, ""},
		{`echo "$POSTROOM_TEST_SECRET"`, secretForTests, ""},
		{`printf 'a\r\n'`, "a", ""},
		{`printf ' a b \n\n'`, " a b \n", ""},
		{`echo warning >&2; echo secret; echo more >&2`, "secret", ""},
		{`cat`, "", keyEmpty}, // nothing waits at its input
		{`true`, "", keyEmpty},
		{`echo`, "", keyEmpty},
		{`printf 'a\000b'`, "", keyUnusable},
		{`head -c 65536 /dev/zero | tr '\0' x`, strings.Repeat("x", maxSecret), ""},
		{`head -c 65537 /dev/zero | tr '\0' x`, "", keyCommandTooLong},
		{`yes`, "", keyCommandTooLong},
		{`echo "$POSTROOM_TEST_SECRET"; echo "$POSTROOM_TEST_SECRET" >&2; exit 3`, "", keyCommandFailed},
		{`/nonexistent/program`, "", keyCommandFailed},
		{`kill -9 $$`, "", keyCommandFailed},
		{`   `, "", keyCommandMissing},
	} {
		got, err := NewCommand().Get(t.Context(), command(c.line))
		if c.key != "" {
			wantKey(t, err, post.KindSignIn, c.key)
			if got != "" || strings.Contains(fmt.Sprintf("%v %+v", err, err), secretForTests) {
				t.Errorf("%s: got %q, %v", c.line, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v", c.line, got, err)
		}
	}
	_, err := NewCommand().Get(t.Context(), command("exit 3"))
	if !strings.HasSuffix(err.Error(), "exit code 3") {
		t.Errorf("got %v", err)
	}
}

func TestHeldCommandDoesNotRun(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ran")
	a := command("touch " + mark + "; echo x")
	a.CommandHeld = true
	_, err := NewStore().Get(t.Context(), a)
	wantKey(t, err, post.KindSignIn, keyCommandHeld)
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Error("it ran")
	}
}

// ringFunc is a keyring that answers as it is told.
type ringFunc func() (string, error)

func (r ringFunc) Get(string, string) (string, error) { return r() }
func (r ringFunc) Set(_, _, _ string) error           { _, err := r(); return err }
func (r ringFunc) Delete(string, string) error        { _, err := r(); return err }

func TestKeyringReasons(t *testing.T) {
	a := post.Account{Secret: post.SecretKeyring, SecretRef: "ref"}
	for _, c := range []struct {
		err error
		key string
	}{
		{keyring.ErrNotFound, keyMissing},
		{keyring.ErrSetDataTooBig, keyKeyringTooBig},
		{keyring.ErrUnsupportedPlatform, keyKeyringAbsent},
		{errors.New("failed to unlock correct collection '/org/freedesktop/secrets/collection/login'"), keyKeyringLocked},
		{errors.New("failed to unlock correct collection '/org/freedesktop/secrets/aliases/default'"), keyKeyringNone},
		{errors.New("something new"), keyKeyringFailed},
	} {
		k := newKeyring(ringFunc(func() (string, error) { return "", c.err }), time.Minute)
		_, err := k.Get(t.Context(), a)
		wantKey(t, err, post.KindSignIn, c.key)
		wantKey(t, k.Set(t.Context(), a, "x"), post.KindSignIn, c.key)
		if err := k.Delete(t.Context(), a); c.key == keyMissing && err != nil {
			t.Errorf("deleting nothing: %v", err)
		} else if c.key != keyMissing {
			wantKey(t, err, post.KindSignIn, c.key)
		}
	}
	k := newKeyring(ringFunc(func() (string, error) { return "", nil }), time.Minute)
	_, err := k.Get(t.Context(), a)
	wantKey(t, err, post.KindSignIn, keyEmpty)
	wantKey(t, k.Set(t.Context(), a, ""), post.KindSignIn, keyEmpty)
	_, err = k.Get(t.Context(), post.Account{})
	wantKey(t, err, post.KindSignIn, keyMissing)
	if err := k.Delete(t.Context(), post.Account{}); err != nil {
		t.Error(err)
	}
	if err := k.Set(t.Context(), post.Account{}, "x"); post.KindOf(err) != post.KindInternal {
		t.Error(err)
	}
}

// TestKeyringThatWaits: a keyring that asks its user is called once, however
// often we ask, and is of use again when it has answered.
func TestKeyringThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		answer := make(chan struct{})
		k := newKeyring(ringFunc(func() (string, error) { calls.Add(1); <-answer; return "late", nil }), keyringTimeout)
		a := post.Account{SecretRef: "ref"}
		for range 3 {
			began := time.Now()
			_, err := k.Get(t.Context(), a)
			wantKey(t, err, post.KindSignIn, keyKeyringWaiting)
			if d := time.Since(began); d != 30*time.Second {
				t.Errorf("waited %v", d)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := k.Get(ctx, a)
		wantKey(t, err, post.KindCancelled, "")
		cancel()
		if n := calls.Load(); n != 1 {
			t.Errorf("the keyring was asked %d times", n)
		}
		close(answer)
		if got, err := k.Get(t.Context(), a); err != nil || got != "late" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestStore(t *testing.T) {
	s := Store{Keyring: planted("ring"), Command: planted("command")}
	for kind, want := range map[post.SecretKind]string{post.SecretKeyring: "ring", post.SecretCommand: "command"} {
		if got, err := s.Get(t.Context(), post.Account{Secret: kind}); err != nil || got != want {
			t.Errorf("%s: got %q, %v", kind, got, err)
		}
	}
	none := post.Account{Secret: post.SecretNone}
	_, err := s.Get(t.Context(), none)
	wantKey(t, err, post.KindSignIn, keyMissing)
	wantKey(t, s.Set(t.Context(), none, "x"), post.KindConflict, keyNotKept)
	wantKey(t, NewStore().Set(t.Context(), command("echo x"), "x"), post.KindConflict, keyNotKept)
	wantKey(t, s.Set(t.Context(), none, ""), post.KindSignIn, keyEmpty)
	if err := errors.Join(s.Delete(t.Context(), none), NewStore().Delete(t.Context(), command("echo x"))); err != nil {
		t.Error(err)
	}
	_, err = Store{Keyring: planted("")}.Get(t.Context(), post.Account{Secret: post.SecretKeyring})
	wantKey(t, err, post.KindSignIn, keyEmpty)
}

func TestNewSecretRef(t *testing.T) {
	a, b := NewSecretRef(), NewSecretRef()
	if a == b || len(a) < len("account-")+20 || a != strings.ToLower(a) {
		t.Errorf("got %q and %q", a, b)
	}
}
