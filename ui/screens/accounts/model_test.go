package accounts

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	senders "postroom/accounts"
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

// ring is a keyring in memory. fail, where set, is asked before each call and
// may wait.
type ring struct {
	mu    sync.Mutex
	kept  map[string]string
	fail  func(ctx context.Context, call string) error
	calls []string
}

func (r *ring) begin(ctx context.Context, call string) error {
	r.mu.Lock()
	r.calls = append(r.calls, call)
	fail := r.fail
	r.mu.Unlock()
	if fail != nil {
		return fail(ctx, call)
	}
	return nil
}

func (r *ring) Get(ctx context.Context, a post.Account) (string, error) {
	if err := r.begin(ctx, "get"); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept[a.SecretRef], nil
}

func (r *ring) Set(ctx context.Context, a post.Account, secret string) error {
	if err := r.begin(ctx, "set"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		r.kept = map[string]string{}
	}
	r.kept[a.SecretRef] = secret
	return nil
}

func (r *ring) Delete(ctx context.Context, a post.Account) error {
	if err := r.begin(ctx, "delete"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.kept, a.SecretRef)
	return nil
}

func (r *ring) setFail(fail func(ctx context.Context, call string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

func (r *ring) all() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := map[string]string{}
	for k, v := range r.kept {
		c[k] = v
	}
	return c
}

func keyringError(key string) error {
	return &post.Error{Kind: post.KindSignIn, Op: "password", Message: "the keyring is in the way", Reason: post.Reason{Key: key}}
}

func filled() Form {
	f := NewForm()
	f.Name, f.Email, f.FromName, f.Host, f.Password = "Brauhaus", "hello@brauhaus.example", "Brauhaus am Fluss", "smtp.example.com", "geheim"
	f.PerDay, f.Connections = "500", "2"
	return f
}

func saver(t *testing.T) (Saver, *ring) {
	t.Helper()
	r := &ring{}
	return Saver{Ledger: openLedger(t), Secrets: r, Log: slog.New(slog.DiscardHandler)}, r
}

func mustSave(t *testing.T, s Saver, id int64, f Form) post.Account {
	t.Helper()
	a, err := s.Save(t.Context(), id, f, senders.NewSecretRef())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSaveNew(t *testing.T) {
	s, r := saver(t)
	a := mustSave(t, s, 0, filled())
	got, err := s.Ledger.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := post.Account{
		ID: a.ID, Name: "Brauhaus", Email: "hello@brauhaus.example", FromName: "Brauhaus am Fluss", Host: "smtp.example.com", Port: 465,
		TLS: post.TLSImplicit, CA: []byte{}, Auth: post.AuthAuto, Secret: post.SecretKeyring, SecretRef: a.SecretRef,
		Limits: post.Limits{PerDay: 500}, Connections: 2, Weight: 1, CreatedAt: now, ChangedAt: now,
	}
	if d := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{a.SecretRef: "geheim"}, r.all()); d != "" {
		t.Error(d)
	}
	// The form of what is stored is what was typed, but for the password.
	again := filled()
	again.Password = ""
	if d := cmp.Diff(again, FormOf(&got)); d != "" {
		t.Error(d)
	}
}

// An empty password keeps the old one; a new one replaces it.
func TestSavePassword(t *testing.T) {
	s, r := saver(t)
	a := mustSave(t, s, 0, filled())
	f := FormOf(&a)
	f.Host = "smtp2.example.com"
	b := mustSave(t, s, a.ID, f)
	if b.SecretRef != a.SecretRef || b.Host != "smtp2.example.com" || r.all()[a.SecretRef] != "geheim" {
		t.Errorf("%+v, keyring has %d", b, len(r.all()))
	}
	f.Password = "neu"
	b = mustSave(t, s, a.ID, f)
	if d := cmp.Diff(map[string]string{b.SecretRef: "neu"}, r.all()); d != "" {
		t.Error(d)
	}
	f = FormOf(&b)
	f.UseCommand, f.Command = true, "pass show mail"
	b = mustSave(t, s, a.ID, f)
	if b.Secret != post.SecretCommand || b.PasswordCommand != "pass show mail" || b.SecretRef != "" || len(r.all()) != 0 {
		t.Errorf("%+v, keyring has %d", b, len(r.all()))
	}
	f.UseCommand, f.Password = false, ""
	if _, err := s.Save(t.Context(), a.ID, f, "x"); len(asProblems(err)) != 1 || asProblems(err)[0].Field != FieldPassword {
		t.Errorf("back to the keyring without a password: %v", err)
	}
}

func asProblems(err error) Problems {
	var p Problems
	errors.As(err, &p)
	return p
}

// Whatever goes wrong, nothing is half done.
func TestSaveUndone(t *testing.T) {
	for _, key := range []string{"keyring.locked", "keyring.absent", "keyring.waiting"} {
		s, r := saver(t)
		r.fail = func(context.Context, string) error { return keyringError(key) }
		_, err := s.Save(t.Context(), 0, filled(), "ref")
		if post.KindOf(err) != post.KindSignIn {
			t.Fatalf("%s: %v", key, err)
		}
		if advice, ok := keyringTrouble(err); !ok || advice == "" {
			t.Errorf("%s has no way out", key)
		}
		if list, err := s.Ledger.Accounts(t.Context()); err != nil || len(list) != 0 || len(r.all()) != 0 {
			t.Errorf("%s: %d accounts, %d passwords, %v", key, len(list), len(r.all()), err)
		}
	}

	// The row cannot be stored: the password goes again, the old one stays.
	s, r := saver(t)
	a := mustSave(t, s, 0, filled())
	f := FormOf(&a)
	f.Password = "neu"
	r.fail = func(_ context.Context, call string) error {
		if call == "set" { // while the keyring is asked, the account is removed elsewhere
			return s.Ledger.RemoveAccount(context.Background(), a.ID)
		}
		return nil
	}
	if _, err := s.Save(t.Context(), a.ID, f, "ref"); post.KindOf(err) != post.KindNotFound {
		t.Fatalf("%v", err)
	}
	if d := cmp.Diff(map[string]string{a.SecretRef: "geheim"}, r.all()); d != "" {
		t.Error(d)
	}

	// A name that is taken is told before the keyring is asked.
	s, r = saver(t)
	mustSave(t, s, 0, filled())
	f = filled()
	f.Name = "BRAUHAUS"
	calls := len(r.calls)
	if _, err := s.Save(t.Context(), 0, f, "ref"); len(asProblems(err)) != 1 || asProblems(err)[0].Field != FieldName {
		t.Errorf("%v", err)
	}
	if len(r.calls) != calls {
		t.Error("the keyring was asked")
	}
}

func TestProblems(t *testing.T) {
	ok := filled()
	kept := post.Account{Secret: post.SecretKeyring, SecretRef: "r"}
	for name, tc := range map[string]struct {
		change func(*Form)
		old    post.Account
		want   []Field
	}{
		"right":              {func(*Form) {}, post.Account{}, nil},
		"no name":            {func(f *Form) { f.Name = "" }, post.Account{}, nil},
		"empty":              {func(f *Form) { *f = Form{TLS: post.TLSStartTLS, Auth: post.AuthAuto} }, post.Account{}, []Field{FieldEmail, FieldHost, FieldPort, FieldPassword}},
		"address":            {func(f *Form) { f.Email = "hello" }, post.Account{}, []Field{FieldEmail}},
		"port":               {func(f *Form) { f.Port = "70000" }, post.Account{}, []Field{FieldPort}},
		"port words":         {func(f *Form) { f.Port = "smtp" }, post.Account{}, []Field{FieldPort}},
		"plain far away":     {func(f *Form) { f.TLS = post.TLSNone }, post.Account{}, []Field{FieldTLS}},
		"plain here":         {func(f *Form) { f.TLS, f.Host = post.TLSNone, "127.0.0.1" }, post.Account{}, nil},
		"no password":        {func(f *Form) { f.Password = "" }, post.Account{}, []Field{FieldPassword}},
		"password kept":      {func(f *Form) { f.Password = "" }, kept, nil},
		"password odd":       {func(f *Form) { f.Password = "a\x00b" }, post.Account{}, []Field{FieldPassword}},
		"no sign-in":         {func(f *Form) { f.Password, f.Auth = "", post.AuthNone }, post.Account{}, nil},
		"no command":         {func(f *Form) { f.UseCommand = true }, post.Account{}, []Field{FieldCommand}},
		"limits":             {func(f *Form) { f.PerMinute, f.PerHour, f.PerDay = "-1", "x", "1.5" }, post.Account{}, []Field{FieldPerMinute, FieldPerHour, FieldPerDay}},
		"connections":        {func(f *Form) { f.Connections = "51" }, post.Account{}, []Field{FieldConnections}},
		"control characters": {func(f *Form) { f.FromName = "a\nb" }, post.Account{}, []Field{FieldName}},
	} {
		f := ok
		tc.change(&f)
		var got []Field
		for _, p := range f.Problems(&tc.old) {
			got = append(got, p.Field)
			if p.Why.Key == "" {
				t.Errorf("%s: %s has no words", name, p.Field)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestPortFor(t *testing.T) {
	for _, tc := range []struct {
		mode        post.TLS
		typed, want string
	}{
		{post.TLSImplicit, "", "465"},
		{post.TLSStartTLS, "465", "587"},
		{post.TLSNone, "587", "25"},
		{post.TLSStartTLS, "2525", "2525"},
	} {
		if got := PortFor(tc.mode, tc.typed); got != tc.want {
			t.Errorf("%s with %q: %s", tc.mode, tc.typed, got)
		}
	}
}

// The password is in nothing that prints a form.
func TestFormHidesSecret(t *testing.T) {
	f := filled()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("form", "form", f)
	for _, s := range []string{fmt.Sprint(f), fmt.Sprintf("%+v", f), fmt.Sprintf("%#v", f), log.String()} {
		if strings.Contains(s, f.Password) {
			t.Errorf("%s", strings.ReplaceAll(s, f.Password, "[the password]"))
		}
	}
}

func writeAuthority(t *testing.T, name string) (path string, certificate []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0), IsCA: true,
		BasicConstraintsValid: true,
	}, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	file := slices.Concat([]byte("# ours\n"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), certificate)
	path = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, certificate
}

func TestAuthority(t *testing.T) {
	s, _ := saver(t)
	path, want := writeAuthority(t, "Brauhaus Root")
	f := filled()
	f.CAPath = path
	a := mustSave(t, s, 0, f)
	if !bytes.Equal(a.CA, want) {
		t.Errorf("kept:\n%s", a.CA)
	}
	if got := authorityNames(a.CA); got != "Brauhaus Root" {
		t.Errorf("names: %q", got)
	}
	f = FormOf(&a)
	if a = mustSave(t, s, a.ID, f); !bytes.Equal(a.CA, want) {
		t.Error("the authority is gone")
	}
	f.DropCA = true
	if a = mustSave(t, s, a.ID, f); len(a.CA) != 0 {
		t.Error("the authority is still there")
	}
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, key := range map[string]string{
		filepath.Join(t.TempDir(), "none.pem"): "accounts.wrong.ca_unreadable", bad: "accounts.wrong.ca", t.TempDir(): "accounts.wrong.ca_unreadable",
	} {
		f.CAPath = path
		_, err := s.Save(t.Context(), a.ID, f, "r")
		if p := asProblems(err); len(p) != 1 || p[0].Field != FieldCA || p[0].Why.Key != key {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRemove(t *testing.T) {
	s, r := saver(t)
	a := mustSave(t, s, 0, filled())
	if err := s.Remove(t.Context(), a.ID); err != nil || len(r.all()) != 0 {
		t.Errorf("%v, %d passwords", err, len(r.all()))
	}
	a = mustSave(t, s, 0, filled())
	r.fail = func(context.Context, string) error { return keyringError("keyring.locked") }
	err := s.Remove(t.Context(), a.ID)
	if !errors.Is(err, errKept) {
		t.Errorf("%v", err)
	}
	if list, err := s.Ledger.Accounts(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%d accounts, %v", len(list), err)
	}
}

// A command that came with a restore is confirmed only as it was shown.
func TestConfirm(t *testing.T) {
	s, _ := saver(t)
	f := filled()
	f.UseCommand, f.Command = true, "pass show mail"
	a := mustSave(t, s, 0, f)
	a.CommandHeld = true
	if err := s.Ledger.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	m, err := Load(t.Context(), s.Ledger, english, now, a.ID)
	if err != nil || m.Panel.Command != "pass show mail" {
		t.Fatalf("%+v %v", m, err)
	}
	f = FormOf(&a)
	f.FromName = "Somebody"
	if a = mustSave(t, s, a.ID, f); !a.CommandHeld {
		t.Error("another change confirmed the command")
	}
	if err := s.Confirm(t.Context(), a.ID, "pass show other"); post.KindOf(err) != post.KindConflict {
		t.Errorf("%v", err)
	}
	if err := s.Confirm(t.Context(), a.ID, "pass show mail"); err != nil {
		t.Error(err)
	}
	if a, err = s.Ledger.Account(t.Context(), a.ID); err != nil || a.CommandHeld {
		t.Errorf("still held, %v", err)
	}
}

func TestLoad(t *testing.T) {
	s, _ := saver(t)
	m, err := Load(t.Context(), s.Ledger, english, now, 0)
	if err != nil || len(m.Rows) != 0 || m.Panel != nil {
		t.Fatalf("%+v %v", m, err)
	}
	a := mustSave(t, s, 0, filled())
	f := filled()
	f.Name, f.Email, f.PerDay = "Zweites", "orders@brauhaus.example", ""
	b := mustSave(t, s, 0, f)
	why := post.Reason{Key: "account.password", Raw: "535 5.7.8 no"}
	if err := s.Ledger.HoldAccount(t.Context(), b.ID, post.AccountStopped, why); err != nil {
		t.Fatal(err)
	}
	if m, err = Load(t.Context(), s.Ledger, english, now, b.ID); err != nil {
		t.Fatal(err)
	}
	want := []Row{
		{ID: a.ID, Name: "Brauhaus", Email: "hello@brauhaus.example", Server: "smtp.example.com", State: "ready", Used: "0 / 500", StateKey: post.AccountReady},
		{ID: b.ID, Name: "Zweites", Email: "orders@brauhaus.example", Server: "smtp.example.com", State: "stopped", Used: "0", StateKey: post.AccountStopped},
	}
	if d := cmp.Diff(want, m.Rows); d != "" {
		t.Error(d)
	}
	if p := m.Panel; p.Account.ID != b.ID || p.Why != english.Reason(why) || p.Raw != why.Raw {
		t.Errorf("%+v", p)
	}
	// An account that is gone gives way to the first.
	if m, err = Load(t.Context(), s.Ledger, english, now, 99); err != nil || m.Panel.Account.ID != a.ID {
		t.Errorf("%+v %v", m, err)
	}
	if err := s.Ledger.SetAccountWait(t.Context(), a.ID, now.Add(30*time.Minute), 1, post.Reason{Key: "account.rate", Raw: "451 slow"}); err != nil {
		t.Fatal(err)
	}
	if m, err = Load(t.Context(), s.Ledger, english, now, a.ID); err != nil {
		t.Fatal(err)
	}
	if p := m.Panel; p.StateKey != post.AccountWaiting || !strings.Contains(p.Why, "10:00") || p.Raw != "451 slow" {
		t.Errorf("%+v", p)
	}
}

// A provider's own refusal is told in words, beside its text.
func TestMeaning(t *testing.T) {
	const raw = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled"
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	for _, tc := range []struct{ host, want, advice string }{
		{"smtp.office365.com", english.T("provider.refusal.microsoft_off"), english.T("provider.refusal.microsoft_off")},
		{"smtp.example.com", "", english.T("advice.password_off")},
	} {
		a := post.Account{Host: tc.host, Hold: post.AccountStopped, Reason: post.Reason{Key: "account.password", Raw: raw}}
		if p := panelOf(english, a, storage.Used{}, now); p.Means != tc.want || p.Raw != raw {
			t.Errorf("%s: %q, %q", tc.host, p.Means, p.Raw)
		}
		steps := StepsOf(english, &post.Account{Host: tc.host}, senders.Report{Steps: []senders.Step{{
			Name: senders.StepAuth, Detail: raw, Advice: post.Reason{Key: "advice.password_off"}, Fault: &post.Fault{Reply: post.NewReply(535, raw[4:])},
		}}}, false)
		if steps[0].Advice != tc.advice || steps[0].Detail != raw {
			t.Errorf("%s: %+v", tc.host, steps[0])
		}
	}
}

func TestSteps(t *testing.T) {
	r := senders.Report{Steps: []senders.Step{
		{Name: senders.StepResolve, OK: true, Detail: "127.0.0.1", Took: 12 * time.Millisecond},
		{Name: senders.StepConnect, Detail: "connection refused", Advice: post.Reason{Key: "no.such.key"}, AdviceText: "Check the port."},
	}}
	got := StepsOf(english, &post.Account{Host: "smtp.example.com"}, r, true)
	want := []Step{
		{Name: senders.StepResolve, Title: english.T("doctor.resolve"), OK: true, Detail: "127.0.0.1", Took: english.T("doctor.ms", 12)},
		{Name: senders.StepConnect, Title: english.T("doctor.connect"), Took: english.T("doctor.ms", 0), Detail: "connection refused", Advice: "Check the port."},
		{Title: english.T("doctor.tls"), Skipped: true},
		{Title: english.T("doctor.ehlo"), Skipped: true},
		{Title: english.T("doctor.auth"), Skipped: true},
		{Title: english.T("doctor.send"), Skipped: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
