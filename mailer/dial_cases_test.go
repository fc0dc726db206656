package mailer

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"postroom/accounts"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// dialCase is something that goes wrong before MAIL, at every try, and what it
// does to the account.
type dialCase struct {
	rows   rows
	name   string
	cfg    smtpscript.Config
	phase  post.Phase
	do     smtpscript.Action
	dial   func(*accounts.Dialer) // what else is wrong
	change func(*post.Account)
	down   bool // nobody listens
	unseen bool // the server sees no connection
	key    string
	wait   time.Duration // after the first try; 0: it is stopped at once
	// stopsAt is the try in a row after which it is stopped; 0: it goes on.
	stopsAt int
}

func (c dialCase) accounts() []func(*post.Account) {
	if c.change == nil {
		return nil
	}
	return []func(*post.Account){c.change}
}

// addresses is a resolver that always finds itself.
type addresses []string

func (a addresses) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	out := make([]netip.Addr, len(a))
	for i, s := range a {
		out[i] = netip.MustParseAddr(s)
	}
	return out, nil
}

// unresolved is a resolver that fails.
type unresolved net.DNSError

func (u unresolved) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	e := net.DNSError(u)
	return nil, &e
}

// locked is a keyring that nobody unlocks.
type locked struct{}

func (locked) Get(context.Context, post.Account) (string, error) {
	return "", &post.Error{Kind: post.KindSignIn, Op: "password", Message: "the keyring is locked", Reason: post.Reason{Key: "advice.keyring"}}
}
func (locked) Set(context.Context, post.Account, string) error { return nil }
func (locked) Delete(context.Context, post.Account) error      { return nil }

// hasty is a connection whose deadlines come sooner.
type hasty struct{ *net.TCPConn }

func sooner(t time.Time) time.Time {
	if limit := time.Now().Add(impatience); t.After(limit) {
		return limit
	}
	return t
}

func (h hasty) SetDeadline(t time.Time) error     { return h.TCPConn.SetDeadline(sooner(t)) }
func (h hasty) SetReadDeadline(t time.Time) error { return h.TCPConn.SetReadDeadline(sooner(t)) }

func hurry(d *accounts.Dialer) {
	d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return hasty{c.(*net.TCPConn)}, nil
	}
}

func named(a *post.Account) { a.Host = "localhost" }

const usualWait = 10 * time.Second // the first of an account

// dialCases has what can go wrong before MAIL.
func dialCases() []dialCase {
	all := append(reachCases(), tlsCases()...)
	return append(all, authCases()...)
}

// reachCases end before anything is agreed on.
func reachCases() []dialCase {
	plain := smtpscript.Config{User: "shop", Password: "secret"}
	resolving := func(e net.DNSError) func(*accounts.Dialer) {
		return func(d *accounts.Dialer) { d.Resolver = unresolved(e) }
	}
	const greeting, ehlo = post.PhaseGreeting, post.PhaseEHLO
	return []dialCase{
		{
			rows: rows{1}, name: "no such host", cfg: plain, change: named, unseen: true, key: "account.no_host", wait: usualWait, stopsAt: 3,
			dial: resolving(net.DNSError{Err: "no such host", IsNotFound: true}),
		},
		{
			rows: rows{2}, name: "DNS time-out", cfg: plain, change: named, unseen: true, key: "account.dns", wait: usualWait,
			dial: resolving(net.DNSError{Err: "i/o timeout", IsTimeout: true}),
		},
		{
			rows: rows{2}, name: "DNS fails", cfg: plain, change: named, unseen: true, key: "account.dns", wait: usualWait,
			dial: resolving(net.DNSError{Err: "server misbehaving", IsTemporary: true}),
		},
		{rows: rows{3}, name: "refused", cfg: plain, down: true, unseen: true, key: "account.unreachable", wait: usualWait},
		{
			rows: rows{3, 52}, name: "no network", cfg: plain, unseen: true, key: "account.unreachable", wait: usualWait,
			dial: func(d *accounts.Dialer) {
				d.DialContext = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}
				}
			},
		},
		{rows: rows{3, 6}, name: "hung up", cfg: plain, phase: post.PhaseConnect, do: hangs(byClose), key: "account.greeting", wait: usualWait},
		{rows: rows{4, 17}, name: "421", cfg: plain, phase: greeting, do: says("421 4.3.2 later").Then(byClose), key: "account.greeting", wait: usualWait},
		{rows: rows{4}, name: "432", cfg: plain, phase: greeting, do: says("432 4.3.2 Concurrent connections limit exceeded"), key: "account.greeting", wait: usualWait},
		{rows: rows{4}, name: "450", cfg: plain, phase: greeting, do: says("450 not now"), key: "account.greeting", wait: usualWait},
		{rows: rows{5}, name: "554", cfg: plain, phase: greeting, do: says("554 5.7.1 no").Then(byClose), key: "account.greeting", wait: usualWait, stopsAt: 3},
		{rows: rows{5}, name: "521", cfg: plain, phase: greeting, do: says("521 no mail here"), key: "account.greeting", wait: usualWait, stopsAt: 3},
		{rows: rows{6}, name: "garbage", cfg: plain, phase: greeting, do: sends("HTTP/1.1 400\r\n"), key: "account.greeting", wait: usualWait},
		{rows: rows{6}, name: "silence", cfg: plain, phase: greeting, do: hangs(byStall), dial: hurry, key: "account.greeting", wait: usualWait},
		{rows: rows{6}, name: "endless", cfg: plain, phase: greeting, do: act{Endless: 8 << 20}, key: "account.greeting", wait: usualWait},
		{rows: rows{6}, name: "long line", cfg: plain, phase: greeting, do: longLine(), key: "account.greeting", wait: usualWait},
		{rows: rows{6}, name: "mixed codes", cfg: plain, phase: greeting, do: sends("220-a\r\n554 b\r\n"), key: "account.greeting", wait: usualWait},
		{rows: rows{11}, name: "502", cfg: plain, phase: ehlo, do: says("502 5.5.1 what"), key: "account.ehlo"},
		{rows: rows{11}, name: "500", cfg: plain, phase: ehlo, do: says("500 what"), key: "account.ehlo"},
		{rows: rows{11, 17}, name: "421", cfg: plain, phase: ehlo, do: says("421 4.3.2 later").Then(byClose), key: "account.ehlo", wait: usualWait},
		{rows: rows{11}, name: "garbage", cfg: plain, phase: ehlo, do: sends("?\r\n"), key: "account.ehlo", wait: usualWait},
		{rows: rows{11}, name: "silence", cfg: plain, phase: ehlo, do: hangs(byStall), dial: hurry, key: "account.ehlo", wait: usualWait},
	}
}

// tlsCases fail at encryption. Nothing is said in the clear afterwards.
func tlsCases() []dialCase {
	starttls := smtpscript.Config{Mode: smtpscript.STARTTLS, AuthInClear: true, User: "shop", Password: "secret"}
	implicit := smtpscript.Config{Mode: smtpscript.ImplicitTLS, User: "shop", Password: "secret"}
	stripped := starttls
	stripped.Without = []string{"STARTTLS"}
	old := implicit
	old.MinTLS, old.MaxTLS = 0x0301, 0x0302 // TLS 1.0 and 1.1
	const alert = "\x15\x03\x03\x00\x02\x02\x28"
	const shake, ask = post.PhaseTLS, post.PhaseSTARTTLS
	return []dialCase{
		{rows: rows{8}, name: "cut", cfg: starttls, phase: shake, do: hangs(byCut), key: "account.tls", wait: usualWait, stopsAt: 3},
		{rows: rows{8}, name: "reset", cfg: starttls, phase: shake, do: hangs(byReset), key: "account.tls", wait: usualWait, stopsAt: 3},
		{rows: rows{8}, name: "alert", cfg: implicit, phase: shake, do: sends(alert).Then(byCut), key: "account.tls", wait: usualWait, stopsAt: 3},
		{rows: rows{8}, name: "EOF", cfg: implicit, phase: shake, do: hangs(byClose), key: "account.tls", wait: usualWait, stopsAt: 3},
		{rows: rows{8}, name: "time-out", cfg: implicit, phase: shake, do: hangs(byStall), dial: hurry, key: "account.tls", wait: usualWait, stopsAt: 3},
		{rows: rows{8}, name: "time-out behind STARTTLS", cfg: starttls, phase: shake, do: hangs(byStall), dial: hurry, key: "account.tls", wait: usualWait, stopsAt: 3},
		{rows: rows{8}, name: "plain text", cfg: implicit, phase: shake, do: sends("220 hello\r\n"), key: "account.tls", wait: usualWait, stopsAt: 3},
		{rows: rows{8}, name: "too old", cfg: old, key: "account.tls", wait: usualWait, stopsAt: 3},
		{rows: rows{9}, name: "not offered", cfg: stripped, key: "account.no_tls"},
		{rows: rows{9}, name: "454", cfg: starttls, phase: ask, do: says("454 4.7.0 not now"), key: "account.tls_later", wait: usualWait},
		{rows: rows{9}, name: "502", cfg: starttls, phase: ask, do: says("502 5.5.1 no"), key: "account.no_tls"},
		{rows: rows{9}, name: "554", cfg: starttls, phase: ask, do: says("554 5.7.3 no"), key: "account.no_tls"},
		{rows: rows{9, 17}, name: "421", cfg: starttls, phase: ask, do: says("421 4.3.2 closing").Then(byClose), key: "account.tls_later", wait: usualWait},
		{rows: rows{10}, name: "injected", cfg: starttls, phase: ask, do: act{After: "250 AUTH PLAIN\r\n"}, key: "account.no_tls", wait: usualWait, stopsAt: 2},
	}
}

// authCases fail at the sign-in: one try each, never one per message.
func authCases() []dialCase {
	plain := smtpscript.Config{User: "shop", Password: "secret"}
	other := plain
	other.Mechanisms = []string{"CRAM-MD5"}
	at := func(r rows, text, key string, wait time.Duration) dialCase {
		return dialCase{rows: r, name: text[:9], cfg: plain, phase: post.PhaseAuth, do: says(text), key: key, wait: wait}
	}
	return []dialCase{
		at(rows{12}, "535 5.7.8 no", "account.password", 0),
		at(rows{12}, "534 5.7.9 application-specific password required", "account.password", 0),
		at(rows{12}, "535 5.7.139 basic authentication is disabled", "account.password", 0),
		at(rows{13}, "454 4.7.0 too many logins", "account.sign_in", 15*time.Minute),
		at(rows{14}, "432 4.7.12 change it", "account.password_change", 0),
		at(rows{14}, "422 4.7.0 no", "account.password_change", 0),
		at(rows{14}, "500 5.5.1 no", "account.no_mechanism", 0),
		at(rows{14}, "501 5.5.2 no", "account.no_mechanism", 0),
		at(rows{14}, "504 5.5.4 no", "account.no_mechanism", 0),
		{
			rows: rows{14}, name: "nothing in common", cfg: other, change: func(a *post.Account) { a.Auth = post.AuthAuto }, key: "fault.no_mechanism",
		},
		at(rows{15}, "538 5.7.11 encryption required", "account.settings", 0),
		at(rows{15}, "530 5.7.0 STARTTLS first", "account.settings", 0),
		{rows: rows{16}, name: "keyring", cfg: plain, unseen: true, dial: func(d *accounts.Dialer) { d.Secrets = locked{} }, key: "advice.keyring"},
		{rows: rows{16}, name: "empty", cfg: plain, unseen: true, dial: func(d *accounts.Dialer) { d.Secrets = static("") }, key: "secret.empty"},
		at(rows{17}, "421 4.3.0 closing", "account.sign_in", usualWait),
		at(rows{4}, "432 4.3.2 Concurrent connections limit exceeded", "account.sign_in", usualWait),
		{rows: rows{41}, name: "hung up", cfg: plain, phase: post.PhaseAuth, do: hangs(byClose), key: "account.connection", wait: usualWait},
		{rows: rows{41}, name: "silence", cfg: plain, phase: post.PhaseAuth, do: hangs(byStall), dial: hurry, key: "account.connection", wait: usualWait},
		{rows: rows{41}, name: "garbage", cfg: plain, phase: post.PhaseAuth, do: sends("\x00\r\n"), key: "account.connection", wait: usualWait},
	}
}
