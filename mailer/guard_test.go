package mailer

import (
	"bytes"
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/compose"
	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

// TestEnvelopeLinesCannotBeBroken: whatever got into an address, no line of the
// envelope holds more than one command, one path and the parameters of ours.
func TestEnvelopeLinesCannotBeBroken(t *testing.T) {
	c, err := compose.Compile(t.Context(), post.Content{Subject: "S", Format: post.FormatText, Body: "B"}, nil, compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const good = "a@b.example"
	refused, built := 0, 0
	for _, evil := range []string{
		"a@b.example\r\nRCPT TO:<x@y.example>", "a@b.example\nDATA", "a@b.example\rDATA", "a@b.example\x00", "a\x00@b.example",
		"a b@c.example", "a@b.example> NOTIFY=NEVER <", "<a@b.example>", "a@b.example <x@y.example>", "a@b.example, x@y.example",
		"a@b.example SIZE=1", "a\x7f@b.example", "a\u0085@b.example", "a\u2028@b.example", "\u202ea@b.example", "a@b\r\n.example", "@b.example", "a@", "",
		`"a\r\nDATA"@b.example`, `"a>"@b.example`, `"a b"@c.example`, `"a\"<x>"@b.example`, "a@[127.0.0.1]\r\n", strings.Repeat("a", 70) + "@b.example",
		"a@" + strings.Repeat("b", 300) + ".example",
	} {
		for _, asSender := range []bool{false, true} {
			d := post.Delivery{Recipient: post.Recipient{Address: good}, MessageID: "<1@shop.example>"}
			from := post.Sender{Email: "shop@shop.example"}
			if asSender {
				from.Email = evil
			} else {
				d.Address = evil
			}
			j := &job{d: d, from: from.Email, msg: new(compose.Message), live: true, dsn: post.DSNAll}
			if err := (&work{mailing: c}).render(j.msg, &d, from, time.Now()); err != nil {
				refused++
				continue
			}
			ln := &lane{conn: &accounts.Conn{Ext: accounts.Extensions{Size: 1 << 20, DSN: true, SMTPUTF8: true}}}
			if _, ok := ln.addEnvelope(j, 0); !ok {
				if len(ln.buf) > 0 {
					t.Errorf("%q is refused, and %q is to be said", evil, ln.buf)
				}
				refused++
				continue
			}
			built++
			wellFormed(t, evil, ln.buf)
		}
	}
	if refused < 30 || built == 0 {
		t.Errorf("%d were refused, %d built", refused, built)
	}
}

// wellFormed holds an envelope to three lines with one path each.
func wellFormed(t *testing.T, evil string, envelope []byte) {
	t.Helper()
	lines := strings.Split(string(envelope), "\r\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "MAIL FROM:<") || !strings.HasPrefix(lines[1], "RCPT TO:<") || lines[2] != "DATA" || lines[3] != "" {
		t.Errorf("%q gives %q", evil, envelope)
		return
	}
	for _, line := range lines {
		if len(line) > 510 || strings.ContainsAny(line, "\r\n\x00\x7f") {
			t.Errorf("%q gives the line %q", evil, line)
		}
	}
	for _, line := range lines[:2] {
		path := line[strings.IndexByte(line, '<')+1:]
		if !strings.HasPrefix(path, `"`) && (strings.Count(path, ">") != 1 || strings.Contains(path, "<")) {
			t.Errorf("%q gives the path %q", evil, path)
		}
	}
}

// TestNothingNamesThisComputer: neither the greeting nor any message holds the
// computer's name.
func TestNothingNamesThisComputer(t *testing.T) {
	t.Parallel()
	name, err := os.Hostname()
	if err != nil || name == "" {
		t.Fatalf("this computer has no name to look for: %q, %v", name, err)
	}
	k := newTalk(t, smtpscript.Config{})
	k.enqueue(numbered(2))
	k.run()
	k.wantTruth()
	said := k.srv.Transcript()
	if !strings.Contains(said, "C: EHLO [127.0.0.1]\n") {
		t.Errorf("it greets otherwise:\n%s", said)
	}
	for _, m := range k.srv.Messages() {
		said += string(m.Data)
		if !strings.HasSuffix(m.MessageID, "@shop.example>") {
			t.Errorf("Message-ID %s", m.MessageID)
		}
		for line := range bytes.Lines(m.Data) {
			if len(line) > 1000 || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.Contains(line[:len(line)-2], []byte("\r")) {
				t.Errorf("a line that is not one: %q", line)
			}
		}
	}
	is := regexp.MustCompile(`(?i)(^|[^a-z0-9])` + regexp.QuoteMeta(name) + `([^a-z0-9]|$)`)
	if is.MatchString(said) {
		t.Errorf("this computer's name, %s, went out", name)
	}
}

// counter counts the connections that are open on our side.
type counter struct{ now, most atomic.Int64 }

func (c *counter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
		continue
	}
	return &countedConn{Conn: conn, of: c}, nil
}

type countedConn struct {
	net.Conn
	of   *counter
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.of.now.Add(-1) })
	return c.Conn.Close()
}

// TestConnectionsInAll: however many accounts there are and however many
// connections each may have, no more are open than the program allows itself.
func TestConnectionsInAll(t *testing.T) {
	t.Parallel()
	seen, release := make(chan struct{}), make(chan struct{})
	holding := 0
	k := newTalk(t, smtpscript.Config{Script: func(ev smtpscript.Event) smtpscript.Action {
		if ev.Phase == post.PhaseDot && holding < post.MaxConnections {
			if holding++; holding == post.MaxConnections {
				close(seen)
			}
			return smtpscript.Action{Hold: release}
		}
		return smtpscript.Action{}
	}}, func(a *post.Account) { a.Connections = 30 })
	open := new(counter)
	k.dialer.DialContext = open.dial
	for i := range 3 {
		a := k.acct
		if i > 0 {
			a = k.addAccount(string(rune('a'+i)), k.srv, smtpscript.Config{}, func(a *post.Account) { a.Connections = 30 })
		}
		k.enqueue(numbered(200), func(m *post.Mailing) { m.Senders = []post.Sender{{Account: a.ID, Email: a.Email}} })
	}
	s := k.start()
	k.await(seen, "as many as are allowed")
	close(release)
	k.until("all are sent", func() bool { return k.counts()[post.StateSent] == 600 })
	s.stop()
	k.wait(s)
	if n := open.most.Load(); n != post.MaxConnections {
		t.Errorf("%d connections at once, want %d", n, post.MaxConnections)
	}
}
