package accounts

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postroom/post"
)

func (c *talk) challenge(data string) {
	c.say("334 " + base64.StdEncoding.EncodeToString([]byte(data)) + "\r\n")
}

func (c *talk) response() string {
	b, err := base64.StdEncoding.DecodeString(c.hear(""))
	if err != nil {
		c.t.Errorf("server: %v", err)
	}
	return string(b)
}

func hmacSHA256(key []byte, msg string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(msg))
	return m.Sum(nil)
}

// scram is the server's side of RFC 5802 3, as far as its final message. It
// reports whether the proof was right, and the server's own.
func (c *talk) scram(user, password string) (ok bool, signature string) {
	c.say("334 \r\n")
	first := c.response()
	bare, found := strings.CutPrefix(first, "n,,")
	name, nonce, _ := strings.Cut(strings.TrimPrefix(bare, "n="), ",r=")
	if !found || name != user || len(nonce) < 16 {
		c.t.Errorf("server: first message %q", first)
	}
	salt := []byte("0123456789abcdef")
	serverFirst := "r=" + nonce + "3rfcNHYJY1ZVvWVs7j,s=" + base64.StdEncoding.EncodeToString(salt) + ",i=4096"
	c.challenge(serverFirst)
	final := c.response()
	withoutProof, proof64, _ := strings.Cut(final, ",p=")
	if withoutProof != "c=biws,r="+nonce+"3rfcNHYJY1ZVvWVs7j" {
		c.t.Errorf("server: final message %q", final)
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, 4096, sha256.Size)
	if err != nil {
		c.t.Error(err)
	}
	message := bare + "," + serverFirst + "," + withoutProof
	stored := sha256.Sum256(hmacSHA256(salted, "Client Key"))
	clientKey, _ := base64.StdEncoding.DecodeString(proof64)
	for i, b := range hmacSHA256(stored[:], message) {
		if i < len(clientKey) {
			clientKey[i] ^= b
		}
	}
	got := sha256.Sum256(clientKey)
	server := hmacSHA256(hmacSHA256(salted, "Server Key"), message)
	return got == stored, base64.StdEncoding.EncodeToString(server)
}

const loginForTests = "shop@example.com"

// TestMechanisms: each exchange, checked on the server's side by its RFC.
func TestMechanisms(t *testing.T) {
	long := strings.Repeat("long-pässword,=", 60)
	for _, c := range []struct {
		name   string
		auth   post.Auth
		offer  string
		secret string
		script func(c *talk, secret string) bool
		want   string // the mechanism
	}{
		{"PLAIN", post.AuthPlain, "PLAIN", secretForTests, func(c *talk, secret string) bool {
			return c.hear("AUTH PLAIN ") == "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+loginForTests+"\x00"+secret))
		}, mechPlain},
		{"PLAIN too long for a command", post.AuthPlain, "PLAIN", long, func(c *talk, secret string) bool {
			if c.hear("AUTH PLAIN") != "AUTH PLAIN" {
				return false
			}
			c.say("334 \r\n")
			return c.response() == "\x00"+loginForTests+"\x00"+secret
		}, mechPlain},
		{"LOGIN", post.AuthLogin, "LOGIN", secretForTests, func(c *talk, secret string) bool {
			c.hear("AUTH LOGIN")
			c.challenge("Username:")
			user := c.response()
			c.challenge("Password:")
			return user == loginForTests && c.response() == secret
		}, mechLogin},
		{"LOGIN with challenges in clear", post.AuthLogin, "LOGIN", secretForTests, func(c *talk, secret string) bool {
			c.hear("AUTH LOGIN")
			c.say("334 Username:\r\n")
			user := c.response()
			c.say("334\r\n")
			return user == loginForTests && c.response() == secret
		}, mechLogin},
		{"CRAM-MD5", post.AuthCRAMMD5, "CRAM-MD5 PLAIN", secretForTests, func(c *talk, secret string) bool {
			c.hear("AUTH CRAM-MD5")
			c.challenge("<1896.697170952@postoffice.example.net>")
			m := hmac.New(md5.New, []byte(secret))
			m.Write([]byte("<1896.697170952@postoffice.example.net>"))
			return c.response() == loginForTests+" "+hex.EncodeToString(m.Sum(nil))
		}, mechCRAMMD5},
		{"SCRAM-SHA-256", post.AuthSCRAMSHA256, "PLAIN SCRAM-SHA-256", secretForTests, func(c *talk, secret string) bool {
			c.hear("AUTH SCRAM-SHA-256")
			ok, proof := c.scram(loginForTests, secret)
			c.challenge("v=" + proof)
			return c.response() == "" && ok
		}, mechSCRAM},
		{"XOAUTH2", post.AuthXOAUTH2, "PLAIN XOAUTH2", long, func(c *talk, secret string) bool {
			return c.hear("AUTH XOAUTH2 ") == "AUTH XOAUTH2 "+base64.StdEncoding.EncodeToString([]byte("user="+loginForTests+"\x01auth=Bearer "+secret+"\x01\x01"))
		}, mechXOAUTH2},
		{"auto takes SCRAM", post.AuthAuto, "LOGIN PLAIN CRAM-MD5 XOAUTH2 SCRAM-SHA-256", secretForTests, func(c *talk, secret string) bool {
			c.hear("AUTH SCRAM-SHA-256")
			ok, proof := c.scram(loginForTests, secret)
			c.challenge("v=" + proof)
			return c.response() == "" && ok
		}, mechSCRAM},
		{"auto takes PLAIN", post.AuthAuto, "CRAM-MD5 LOGIN PLAIN", secretForTests, func(c *talk, _ string) bool { c.hear("AUTH PLAIN "); return true }, mechPlain},
		{"auto takes PLAIN for what SCRAM cannot prepare", post.AuthAuto, "SCRAM-SHA-256 PLAIN", "tab\tpassword", func(c *talk, _ string) bool { c.hear("AUTH PLAIN "); return true }, mechPlain},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, func(k *talk) {
				k.say("220 hi\r\n")
				k.hello("AUTH " + c.offer)
				if !c.script(k, c.secret) {
					t.Error("the server does not accept it")
				}
				k.say("235 2.7.0 ok\r\n")
			})
			a := account(s, post.TLSNone)
			a.Auth = c.auth
			conn, err := (&Dialer{Secrets: planted(c.secret)}).Dial(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if conn.Session.Auth != c.want {
				t.Errorf("signed in by %q, want %q", conn.Session.Auth, c.want)
			}
			conn.Close()
		})
	}
}

// TestWrongSCRAMPassword makes sure that the server's check in TestMechanisms
// can say no.
func TestWrongSCRAMPassword(t *testing.T) {
	s := serve(t, func(c *talk) {
		c.say("220 hi\r\n")
		c.hello("AUTH SCRAM-SHA-256")
		c.hear("AUTH SCRAM-SHA-256")
		if ok, _ := c.scram(loginForTests, "another"); ok {
			t.Error("a wrong password was accepted")
		}
		c.challenge("e=invalid-proof")
		c.hear("")
		c.say("535 5.7.8 no\r\n")
	})
	_, err := (&Dialer{Secrets: planted(secretForTests)}).Dial(t.Context(), account(s, post.TLSNone))
	var f *post.Fault
	if !errors.As(err, &f) || f.Reply.Code != 535 {
		t.Errorf("got %v", err)
	}
}

// TestSCRAMServerMustProveItself: a server that does not know the password
// cannot pass for the right one, nor make us work without end.
func TestSCRAMServerMustProveItself(t *testing.T) {
	for name, script := range map[string]func(c *talk){
		"235 at once":         func(c *talk) { c.say("235 ok\r\n") },
		"235 without a proof": func(c *talk) { c.scram(loginForTests, secretForTests); c.say("235 ok\r\n") },
		"235 after a refusal": func(c *talk) {
			c.say("334 \r\n")
			c.response()
			c.challenge("e=other-error")
			c.hear("")
			c.say("235 ok\r\n")
		},
		"a wrong proof": func(c *talk) { _, p := c.scram(loginForTests, "another"); c.challenge("v=" + p) },
		"a proof out of order": func(c *talk) {
			c.say("334 \r\n")
			c.response()
			c.challenge("v=" + base64.StdEncoding.EncodeToString(hmacSHA256(hmacSHA256(nil, "Server Key"), "")))
		},
		"another nonce": func(c *talk) { c.say("334 \r\n"); c.response(); c.challenge("r=abc,s=AAAA,i=4096") },
		"iterations without end": func(c *talk) {
			c.say("334 \r\n")
			first := c.response()
			c.challenge(first[strings.LastIndex(first, "r="):] + "x,s=AAAA,i=2000000000")
		},
		"no iterations": func(c *talk) {
			c.say("334 \r\n")
			first := c.response()
			c.challenge(first[strings.LastIndex(first, "r="):] + "x,s=AAAA,i=0")
		},
		"not SCRAM at all": func(c *talk) { c.challenge("Username:") },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(c *talk) {
				c.say("220 hi\r\n")
				c.hello("AUTH SCRAM-SHA-256 PLAIN")
				c.hear("AUTH SCRAM")
				script(c)
			})
			began := time.Now()
			conn, err := (&Dialer{Secrets: planted(secretForTests)}).Dial(t.Context(), account(s, post.TLSNone))
			var f *post.Fault
			if conn != nil || !errors.As(err, &f) || f.Phase != post.PhaseAuth || f.Cause != post.CauseProtocol {
				t.Errorf("got %v, %v", conn, err)
			}
			if time.Since(began) > 10*time.Second {
				t.Error("that took too long")
			}
		})
	}
}

// TestXOAUTH2Refused: the error comes as a challenge, is answered by an empty
// line, and only then as a reply (Google's protocol).
func TestXOAUTH2Refused(t *testing.T) {
	s := serve(t, func(c *talk) {
		c.say("220 hi\r\n")
		c.hello("AUTH XOAUTH2")
		c.hear("AUTH XOAUTH2 ")
		c.challenge(`{"status":"401","schemes":"bearer"}`)
		if got := c.hear(""); got != "" {
			t.Errorf("server: heard %q, want an empty line", got)
		}
		c.say("535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 more at https://example.com\r\n")
		c.hear("QUIT")
	})
	a := account(s, post.TLSNone)
	a.Auth = post.AuthXOAUTH2
	_, err := (&Dialer{Secrets: planted("token")}).Dial(t.Context(), a)
	var f *post.Fault
	if !errors.As(err, &f) || f.Reply.String() != "535 5.7.8 Username and Password not accepted. more at https://example.com" {
		t.Errorf("got %v", err)
	}
}

func TestCutSecret(t *testing.T) {
	token := strings.Repeat("abcdefghij", 60)
	for _, c := range []struct{ text, secret, want string }{
		{"no secret here", "hunter22", "no secret here"},
		{"your hunter22 is wrong", "hunter22", "your ***"},
		{"cut " + token[:400], token, "cut ***"},
		{"a b c", "b", "***"},
		{"", "b", ""},
		{"b", "", "b"},
	} {
		if got := cutSecret(c.text, c.secret); got != c.want {
			t.Errorf("%q without %q is %q, want %q", c.text, c.secret, got, c.want)
		}
	}
}

// setClock is a clock that the test sets.
type setClock struct {
	post.SystemClock
	mu  sync.Mutex
	now time.Time
}

func (c *setClock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *setClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// TestGuard: after five refusals in a minute the next sign-in makes no
// connection; other accounts and later minutes are not affected.
func TestGuard(t *testing.T) {
	s := serve(t, func(c *talk) {
		c.say("220 hi\r\n")
		c.hello("AUTH PLAIN")
		if c.hear("") != "QUIT" {
			c.say("535 5.7.8 no\r\n")
		}
	})
	clock := &setClock{now: time.Now()}
	d := &Dialer{Secrets: planted(secretForTests), Clock: clock}
	a := account(s, post.TLSNone)
	dial := func(a post.Account) *post.Fault {
		_, err := d.Dial(t.Context(), a)
		var f *post.Fault
		if !errors.As(err, &f) {
			t.Fatal(err)
		}
		return f
	}
	for range 5 {
		if f := dial(a); f.Reply.Code != 535 {
			t.Fatal(f)
		}
		clock.add(10 * time.Second)
	}
	for range 3 {
		f := dial(a)
		if f.Phase != post.PhaseAuth || f.Cause != post.CauseSecret || f.Reason.Key != keyTooMany {
			t.Fatal(f)
		}
	}
	if n := s.accepted.Load(); n != 5 {
		t.Errorf("%d connections, want 5", n)
	}
	if r := d.Test(t.Context(), a); r.OK || r.Steps[len(r.Steps)-1].Advice.Key != "advice.wait" {
		t.Errorf("doctor: %+v", r)
	}
	b := a
	b.ID++
	if f := dial(b); f.Reply.Code != 535 {
		t.Error(f)
	}
	clock.add(10 * time.Second) // the first refusal is a minute ago
	if f := dial(a); f.Reply.Code != 535 {
		t.Error(f)
	}
	if f := dial(a); f.Reason.Key != keyTooMany {
		t.Error(f)
	}
}

// TestGuardUnderConcurrency: fifty connections that start at once with a wrong
// password are refused five times, not fifty.
func TestGuardUnderConcurrency(t *testing.T) {
	var asked atomic.Int64
	s := serve(t, func(c *talk) {
		c.say("220 hi\r\n")
		c.hello("AUTH PLAIN")
		if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "AUTH") {
			return
		}
		asked.Add(1)
		c.say("535 5.7.8 no\r\n")
	})
	d := &Dialer{Secrets: planted(secretForTests)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	for range post.MaxConnections {
		wg.Go(func() {
			_, err := d.Dial(t.Context(), account(s, post.TLSNone))
			var f *post.Fault
			if errors.As(err, &f) {
				mu.Lock()
				defer mu.Unlock()
				count[fmt.Sprint(f.Reply.Code, f.Reason.Key)]++
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 5 {
		t.Errorf("the server was asked %d times", n)
	}
	if count["535"] != 5 || count["0"+keyTooMany] != post.MaxConnections-5 {
		t.Errorf("got %v", count)
	}
}

// TestGuardLetsGoodSignInsThrough: those that succeed wait for each other at
// most, and one that is cancelled meanwhile leaves.
func TestGuardLetsGoodSignInsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guard
		for range maxFailedSignIns {
			if f := g.enter(t.Context(), "1", time.Now); f != nil {
				t.Fatal(f)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if f := g.enter(ctx, "1", time.Now); f == nil || f.Cause != post.CauseCancelled {
				t.Errorf("got %v", f)
			}
		})
		entered := false
		wg.Go(func() {
			if f := g.enter(t.Context(), "1", time.Now); f != nil {
				t.Error(f)
			}
			entered = true
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		if entered {
			t.Error("a sixth sign-in went ahead while five could still fail")
		}
		g.leave("1", false, time.Now())
		wg.Wait()
		if !entered {
			t.Error("the sixth sign-in never went ahead")
		}
	})
}

func TestEHLOIsBounded(t *testing.T) {
	var r readEHLO
	r.line([]byte("mx.test AUTH PLAIN"))
	for range 50 {
		r.line([]byte("AUTH " + strings.Repeat("A", 21) + " BAD!NAME SCRAM-SHA-256"))
	}
	for i := range 48 {
		r.line(fmt.Appendf(nil, "auth M%d", i))
	}
	r.line([]byte("PIPELINING"))
	r.line([]byte("DSN"))
	if e := r.ext; len(e.Auth) != maxMechanisms || e.Auth[0] != "SCRAM-SHA-256" || !e.Pipelining || e.DSN || strings.Join(e.Keywords, ";") != "AUTH "+strings.Join(e.Auth, " ")+";PIPELINING" {
		t.Errorf("got %d mechanisms, %d keywords, %+v", len(e.Auth), len(e.Keywords), e)
	}
	for in, want := range map[string]int64{"SIZE": 0, "size 0": 0, "SIZE 9223372036854775807": 9223372036854775807, "SIZE 9223372036854775808": 0, "SIZE -5": 0, "SIZE x": 0} {
		var e Extensions
		if e.add([]byte(in)); e.Size != want {
			t.Errorf("%q: %d, want %d", in, e.Size, want)
		}
	}
}
