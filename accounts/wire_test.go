package accounts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"postroom/post"
)

// feed is a connection from which r is read, and to which w is written.
type feed struct {
	r io.Reader
	w io.Writer
}

func (f *feed) Read(p []byte) (int, error)     { return f.r.Read(p) }
func (f *feed) Write(p []byte) (int, error)    { return f.w.Write(p) }
func (*feed) Close() error                     { return nil }
func (*feed) LocalAddr() net.Addr              { return nil }
func (*feed) RemoteAddr() net.Addr             { return nil }
func (*feed) SetDeadline(time.Time) error      { return nil }
func (*feed) SetReadDeadline(time.Time) error  { return nil }
func (*feed) SetWriteDeadline(time.Time) error { return nil }
func reading(s string) *Wire                   { return NewWire(&feed{r: strings.NewReader(s)}) }
func wireCause(err error) (c post.Cause, ok bool) {
	var we *WireError
	if errors.As(err, &we) {
		return we.Cause, true
	}
	return "", false
}

func TestReadReply(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text", "250 2.1.0 Sender ok\r\n", "250 2.1.0 Sender ok"},
		{"bare code", "250\r\n", "250"},
		{"bare code and space", "250 \r\n", "250"},
		{"line feed alone", "250 fine\n", "250 fine"},
		{"enhanced of another class stays text", "550 2.1.0 odd\r\n", "550 2.1.0 odd"},
		{"several lines", "550-5.1.1 The mailbox\r\n550-5.1.1 does not\r\n550 5.1.1 exist\r\n", "550 5.1.1 The mailbox does not exist"},
		{"enhanced on the first line only", "550-5.1.1 one\r\n550 two\r\n", "550 5.1.1 one two"},
		{"another enhanced code is kept", "550-5.1.1 one\r\n550 5.7.1 two\r\n", "550 5.1.1 one 5.7.1 two"},
		{"a repeated word is kept", "250-hello you\r\n250 hello me\r\n", "250 hello you hello me"},
		{"enhanced alone", "250-2.0.0\r\n250 2.0.0\r\n", "250 2.0.0"},
		{"last line bare", "250-one\r\n250\r\n", "250 one"},
		{"first line bare", "250-\r\n250 two\r\n", "250 two"},
		{"control characters", "250 a\x1bb\tc\rd\r\n", "250 a b c d"},
		{"not UTF-8", "250 \xff\xfe\r\n", "250 ??"},
		{"Chinese", "550 授权码\r\n", "550 授权码"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, slow := range []bool{false, true} {
				var r io.Reader = strings.NewReader(c.in)
				if slow {
					r = iotest.OneByteReader(r)
				}
				w := NewWire(&feed{r: r})
				got, err := w.ReadReply(time.Time{})
				if err != nil || got.String() != c.want {
					t.Errorf("slow %v: got %q, %v; want %q", slow, got, err, c.want)
				}
				if c := w.Unasked(); c != post.CauseNone {
					t.Errorf("something is left: %q", c)
				}
			}
		})
	}
}

func TestReadReplyRefuses(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct {
		name, in string
		cause    post.Cause
		partial  string
	}{
		{"nothing", "", post.CauseEOF, ""},
		{"an empty line", "\r\n", post.CauseProtocol, ""},
		{"words", "hello there\r\n", post.CauseProtocol, ""},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n", post.CauseProtocol, ""},
		{"two digits", "25 ok\r\n", post.CauseProtocol, ""},
		{"four digits", "2500 ok\r\n", post.CauseProtocol, ""},
		{"class 1", "150 ok\r\n", post.CauseProtocol, ""},
		{"class 6", "650 ok\r\n", post.CauseProtocol, ""},
		{"a letter in the code", "2O0 ok\r\n", post.CauseProtocol, ""},
		{"another separator", "250_ok\r\n", post.CauseProtocol, ""},
		{"NUL", "250 o\x00k\r\n", post.CauseProtocol, ""},
		{"mixed codes", "250-a\r\n550 b\r\n", post.CauseProtocol, ""},
		{"garbage within", "250-a\r\nnonsense\r\n250 b\r\n", post.CauseProtocol, ""},
		{"a long line", "250 " + long + "\r\n", post.CauseTooLong, ""},
		{"a long line without end", "250 " + long + long + long, post.CauseTooLong, ""},
		{"many lines", strings.Repeat("250-a\r\n", maxReplyLines+1), post.CauseTooLong, ""},
		{"a long reply", strings.Repeat("250-"+long[:4000]+"\r\n", 20), post.CauseTooLong, ""},

		{"cut in the code", "25", post.CauseEOF, ""},
		{"cut after the code", "250", post.CauseEOF, ""},
		{"cut within the line end", "250\r", post.CauseEOF, ""},
		{"cut after the space", "250 ", post.CauseEOF, "250"},
		{"cut in the text", "250 2.0.0 queued as AB", post.CauseEOF, "250 2.0.0 queued as AB"},
		{"cut before the line feed", "250 ok\r", post.CauseEOF, "250 ok"},
		{"cut after the hyphen", "250-", post.CauseEOF, "250"},
		{"cut between lines", "250-2.0.0 ok\r\n", post.CauseEOF, "250 2.0.0 ok"},
		{"cut in the second line", "250-2.0.0 ok\r\n250 2.0.0 que", post.CauseEOF, "250 2.0.0 ok que"},
		{"cut in another code", "250-2.0.0 ok\r\n550 no", post.CauseEOF, ""},
		{"cut garbage", "hell", post.CauseEOF, ""},
		{"cut with NUL", "250 a\x00", post.CauseEOF, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := reading(c.in)
			got, err := w.ReadReply(time.Time{})
			var we *WireError
			if !errors.As(err, &we) {
				t.Fatalf("got %q, %v", got, err)
			}
			if we.Cause != c.cause || we.Partial.String() != c.partial || !got.IsZero() {
				t.Errorf("got %q, cause %q, partial %q; want %q, %q", got, we.Cause, we.Partial, c.cause, c.partial)
			}
			if _, again := w.ReadReply(time.Time{}); !errors.Is(again, err) {
				t.Errorf("the next call gives %v, want the same error", again)
			}
			if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("the error is not fit to show: %q", err)
			}
		})
	}
}

// TestReceivedCap: a server that answers for ever is cut off, unless the caller
// says that a new message began.
func TestReceivedCap(t *testing.T) {
	line := "250 " + strings.Repeat("y", 996) + "\r\n"
	n := 3 * maxReceived / len(line)
	w := reading(strings.Repeat(line, n))
	for range n {
		if _, err := w.ReadReply(time.Time{}); err != nil {
			t.Fatal(err)
		}
		w.ResetCap()
	}
	w = reading(strings.Repeat(line, n))
	read := 0
	for {
		_, err := w.ReadReply(time.Time{})
		if c, _ := wireCause(err); err != nil && c != post.CauseTooLong {
			t.Fatal(err)
		}
		if err != nil {
			break
		}
		read++
	}
	if got := read * len(line); got > maxReceived || got < maxReceived-2*len(line)-2*maxLine {
		t.Errorf("cut off after %d bytes, want about %d", got, maxReceived)
	}
}

func TestUnasked(t *testing.T) {
	w := reading("250 one\r\n250 two\r\n")
	if c := w.Unasked(); c != post.CauseNone {
		t.Errorf("%q before anything was received", c)
	}
	if _, err := w.ReadReply(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if c := w.Unasked(); c != post.CauseProtocol {
		t.Errorf("%q: the second reply is not noticed", c)
	}
	if r, err := w.ReadReply(time.Time{}); err != nil || r.Text != "two" || w.Unasked() != post.CauseNone {
		t.Errorf("got %v, %v", r, err)
	}
}

// TestReadReplyKeepsBytesBeforeAnError: data and EOF in one Read.
func TestReadReplyKeepsBytesBeforeAnError(t *testing.T) {
	w := NewWire(&feed{r: iotest.DataErrReader(strings.NewReader("221 bye\r\n"))})
	if r, err := w.ReadReply(time.Time{}); err != nil || r.Code != 221 {
		t.Fatalf("got %v, %v", r, err)
	}
	if c, _ := wireCause(second(w.ReadReply(time.Time{}))); c != post.CauseEOF {
		t.Errorf("cause %q, want eof", c)
	}
}

func second(_ post.Reply, err error) error { return err }

func TestWriteCountsWhatWasAccepted(t *testing.T) {
	var out bytes.Buffer
	w := NewWire(&feed{w: &out})
	big := bytes.Repeat([]byte("0123456789abcdef"), 20<<10) // 320 KB
	pieces := [][]byte{[]byte("head\r\n"), big, []byte("a"), nil, []byte("b"), big[:100], big[:gatherBelow], []byte(".\r\n")}
	want := bytes.Join(pieces, nil)
	if err := w.WriteBuffers(pieces, time.Second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) || w.Accepted() != int64(len(want)) {
		t.Errorf("wrote %d, accepted %d, want %d", out.Len(), w.Accepted(), len(want))
	}
	many := make([][]byte, 100_000)
	for i := range many {
		many[i] = fmt.Appendf(nil, "%d,", i)
	}
	out.Reset()
	if err := w.WriteBuffers(many, time.Second); err != nil || !bytes.Equal(out.Bytes(), bytes.Join(many, nil)) {
		t.Errorf("many small pieces: %v, %d bytes", err, out.Len())
	}
}

// shortWriter takes n bytes and then fails.
type shortWriter struct{ n int }

var errBroken = errors.New("broken")

func (s *shortWriter) Write(p []byte) (int, error) {
	if len(p) > s.n {
		n := s.n
		s.n = 0
		return n, errBroken
	}
	s.n -= len(p)
	return len(p), nil
}

func TestWriteFailure(t *testing.T) {
	for _, room := range []int{0, 1, writeChunk - 1, writeChunk, writeChunk + 5, 3 * writeChunk} {
		w := NewWire(&feed{w: &shortWriter{n: room}})
		err := w.WriteBuffers([][]byte{make([]byte, 10), make([]byte, 4*writeChunk), make([]byte, 10)}, time.Second)
		if !errors.Is(err, errBroken) || w.Accepted() != int64(room) {
			t.Errorf("room %d: %v, accepted %d", room, err, w.Accepted())
		}
		if again := w.Write([]byte("x"), time.Second); !errors.Is(again, errBroken) || w.Accepted() != int64(room) {
			t.Errorf("room %d: the next write: %v, accepted %d", room, again, w.Accepted())
		}
	}
}

// pipe is a Wire and the server's end, in virtual time.
func pipe() (*Wire, net.Conn) {
	a, b := net.Pipe()
	return NewWire(a), b
}

func TestSlowDripDoesNotExtendTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, peer := pipe()
		var drip sync.WaitGroup
		defer drip.Wait()
		drip.Go(func() {
			for _, b := range []byte("250 " + strings.Repeat("z", 2000)) {
				if _, err := peer.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		began := time.Now()
		_, err := w.ReadReply(time.Now().Add(time.Minute))
		var we *WireError
		if !errors.As(err, &we) || we.Cause != post.CauseTimeout || we.Partial.Code != 250 {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d != time.Minute {
			t.Errorf("took %v, want a minute", d)
		}
		w.Abort()
		_ = peer.Close()
	})
}

func TestStalledWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, peer := pipe()
		defer peer.Close()
		began := time.Now()
		err := w.Write(make([]byte, 1000), 180*time.Second)
		if c, _ := wireCause(err); c != post.CauseTimeout || time.Since(began) != 180*time.Second || w.Accepted() != 0 {
			t.Errorf("%v after %v, accepted %d", err, time.Since(began), w.Accepted())
		}
		w.Abort()
	})
}

// TestFloorRate: a reader fast enough for each write's deadline, and still
// slower than the floor, is given up; one just above it is not.
func TestFloorRate(t *testing.T) {
	for _, c := range []struct {
		rate int // bytes a second
		ok   bool
	}{{400, false}, {600, true}} {
		synctest.Test(t, func(t *testing.T) {
			w, peer := pipe()
			var reader sync.WaitGroup
			defer reader.Wait()
			reader.Go(func() {
				p := make([]byte, c.rate)
				for {
					time.Sleep(time.Second)
					if _, err := io.ReadFull(peer, p); err != nil {
						return
					}
				}
			})
			began := time.Now()
			err := w.Write(make([]byte, 4*writeChunk), 180*time.Second)
			cause, _ := wireCause(err)
			switch {
			case c.ok && err != nil:
				t.Errorf("%d B/s: %v after %v", c.rate, err, time.Since(began))
			case !c.ok && (cause != post.CauseTimeout || time.Since(began) > 4*time.Minute):
				t.Errorf("%d B/s: %v after %v", c.rate, err, time.Since(began))
			}
			w.Abort()
			_ = peer.Close()
		})
	}
}

func TestAbortFromAnotherGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, peer := pipe()
		time.AfterFunc(time.Second, w.Abort)
		_, err := w.ReadReply(time.Now().Add(time.Hour))
		if c, _ := wireCause(err); c != post.CauseCancelled {
			t.Errorf("got %v", err)
		}
		w.Abort()
		w.Close()
		if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Error("the socket is still open")
		}
	})
}

// TestAcceptedOverTLS: what Accepted counts is what the server gets.
func TestAcceptedOverTLS(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("127.0.0.1", time.Now().Add(time.Hour))
	got := make(chan int64, 1)
	s := serve(t, func(c *talk) {
		c.secure(cert)
		c.say("220 ready\r\n")
		c.hear("EHLO ")
		c.say("250 fine\r\n")
		n, _ := io.CopyN(io.Discard, c.r, 1<<20)
		got <- n
	})
	a := account(s, post.TLSImplicit)
	a.CA, a.Auth = ca.pem, post.AuthNone
	conn, err := (&Dialer{}).Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := conn.Accepted()
	if err := conn.WriteBuffers([][]byte{make([]byte, 100), make([]byte, 1<<20-200), make([]byte, 100)}, patience); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != conn.Accepted()-before || n != 1<<20 {
		t.Errorf("server got %d, accepted %d", n, conn.Accepted()-before)
	}
}

// endless repeats its bytes without end.
type endless struct {
	b   []byte
	off int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.off:])
	e.off = (e.off + n) % len(e.b)
	return n, nil
}

func BenchmarkReadReply(b *testing.B) {
	for name, reply := range map[string]string{
		"OneLine": "250 2.0.0 Ok: queued as 4bXyZ12345\r\n", "Bare": "250 OK\r\n", "Continue": "354 End data with <CR><LF>.<CR><LF>\r\n",
		"TwoLines": "250-2.0.0 Ok\r\n250 2.0.0 queued as 4bXyZ12345\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			w := NewWire(&feed{r: &endless{b: []byte(reply)}})
			b.ReportAllocs()
			deadline := time.Now().Add(time.Hour)
			for b.Loop() {
				if _, err := w.ReadReply(deadline); err != nil {
					b.Fatal(err)
				}
				w.ResetCap()
			}
		})
	}
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{
		"250 ok\r\n", "250-a\r\n250 b\r\n", "250\r\n", "250", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "\x00\r\n", "250 a\x00\r\n", "999 x\r\n",
		"250-a\r\n550 b\r\n", "220 \xff\r\n", "250 2.0.0\r", strings.Repeat("250-x\r\n", 250), "250 " + strings.Repeat("y", 5000) + "\r\n",
	} {
		f.Add([]byte(s), uint8(1))
		f.Add([]byte(s), uint8(200))
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		w := NewWire(&feed{r: &stepReader{b: in, step: int(step)%64 + 1}})
		whole := NewWire(&feed{r: bytes.NewReader(in)})
		for range len(in) + 2 {
			r, err := w.ReadReply(time.Time{})
			r2, err2 := whole.ReadReply(time.Time{})
			if r != r2 || (err == nil) != (err2 == nil) {
				t.Fatalf("in pieces %q, %v; whole %q, %v", r, err, r2, err2)
			}
			if len(w.buf) != 2*maxLine || cap(w.text) > 4*joinedText {
				t.Fatalf("buffers grew to %d and %d", len(w.buf), cap(w.text))
			}
			if err != nil {
				var we *WireError
				if !errors.As(err, &we) || we.Cause == "" || len(we.Error()) > 400 {
					t.Fatalf("error %v", err)
				}
				if p := we.Partial; p.Code != 0 && (p.Code < 200 || p.Code > 599 || !bytes.Contains(in, fmt.Append(nil, p.Code))) {
					t.Fatalf("partial %v", p)
				}
				return
			}
			if r.Code < 200 || r.Code > 599 || len(r.Text) > post.MaxReplyText || !bytes.Contains(in, fmt.Append(nil, r.Code)) {
				t.Fatalf("reply %#v", r)
			}
		}
		t.Fatal("more replies than bytes")
	})
}

type stepReader struct {
	b    []byte
	step int
}

func (s *stepReader) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b[:min(s.step, len(s.b))])
	s.b = s.b[n:]
	return n, nil
}
