//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
)

// TestSenders runs every sender for a moment and looks into what arrived: a comparison with one that sends less, or not
// the same to everybody, would compare nothing.
func TestSenders(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tools, err := build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range tools.missing {
		t.Logf("LEFT OUT: %s", m)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const connections, messages = 2, 30
	for _, s := range tools.all(connections) {
		t.Run(s.name, func(t *testing.T) {
			server := smtpscript.Start(t, smtpscript.Config{})
			c := comparison{tools: tools, dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, 0))}
			folder, people, err := material(c.dir, messages, 0, c.random)
			if err != nil {
				t.Fatal(err)
			}
			var to target
			to.host, to.port = server.HostPort()
			if s.ledger {
				if _, err := measure(ctx, c.enqueue(connections), to, folder, people, messages); err != nil {
					t.Fatal(err)
				}
			}
			r, err := measure(ctx, s, to, folder, people, messages)
			if err != nil {
				t.Fatal(err)
			}
			if r.took <= 0 || r.cpu <= 0 || !s.plain && r.peak < 1024 {
				t.Errorf("not measured: %+v", r)
			}
			taken := server.Messages()
			if len(taken) != messages {
				t.Fatalf("%d messages arrived, not %d", len(taken), messages)
			}
			if !s.plain {
				lookInto(t, taken, people)
			}
		})
	}
}

// lookInto fails unless everybody of the people file got one message with what is theirs, as text and as HTML.
func lookInto(t *testing.T, taken []smtpscript.Message, people string) {
	t.Helper()
	list, err := os.ReadFile(people)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for line := range strings.Lines(string(list)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		want[f[0]] = f[2:]
	}
	for _, m := range taken {
		values, waits := want[m.To[0]]
		if len(m.To) != 1 || !waits {
			t.Fatalf("a message to %q, which is nobody's or came twice", m.To)
		}
		delete(want, m.To[0])
		if m.Size < 4500 || m.Size > 6500 {
			t.Errorf("%d bytes, not about 5 KB", m.Size)
		}
		parts, err := alternatives(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"text/plain", "text/html"} {
			for i, what := range []string{"Dear %s,", "We send it to %s.", "Your customer number is %s."} {
				if i == 1 && kind == "text/html" {
					what = "We send it to <b>%s</b>."
				}
				if line := fmt.Sprintf(what, values[i]); !strings.Contains(parts[kind], line) {
					t.Errorf("%s to %s lacks %q", kind, m.To[0], line)
				}
			}
			if n := strings.Count(parts[kind], "Your order has left"); n != paragraphs {
				t.Errorf("%s has %d paragraphs, not %d", kind, n, paragraphs)
			}
		}
	}
}

// alternatives decodes the parts of a message, by media type.
func alternatives(message []byte) (map[string]string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	if kind != "multipart/alternative" {
		return nil, fmt.Errorf("it is %s", kind)
	}
	parts := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		if kind, _, err = mime.ParseMediaType(p.Header.Get("Content-Type")); err != nil {
			return nil, err
		}
		var content io.Reader = p
		switch encoding := strings.ToLower(p.Header.Get("Content-Transfer-Encoding")); encoding {
		case "quoted-printable":
			content = quotedprintable.NewReader(p)
		case "", "7bit", "8bit":
		default:
			return nil, fmt.Errorf("unexpected encoding %q", encoding)
		}
		b, err := io.ReadAll(content)
		if err != nil {
			return nil, err
		}
		parts[kind] = string(b)
	}
}

// TestRoundTrips holds the goals: one round trip a message with PIPELINING, four without, on a kept connection.
func TestRoundTrips(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tools, err := build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const messages = 200
	for _, k := range []struct {
		name        string
		flags       []string
		least, most float64
	}{
		{"pipelining", []string{"-rtt", "4ms"}, 1, 1.1},
		{"steps", []string{"-rtt", "4ms", "-no-pipelining"}, 4, 4.1},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := comparison{tools: tools, dir: t.TempDir(), random: rand.New(rand.NewPCG(1, 0))}
			ours := tools.all(1)[0]
			r, err := c.turn(ctx, scenario{connections: 1, sink: c.near(k.flags...)}, ours, messages)
			if err != nil {
				t.Fatal(err)
			}
			if got := trips(r); got < k.least || got > k.most {
				t.Errorf("%.2f round trips a message, not %.1f to %.1f", got, k.least, k.most)
			}
		})
	}
}

// TestShort runs everything that the program does, shortly, and looks for its tables.
func TestShort(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes most of a minute, minutes beside the race detector; the plain run of make test has it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	if err := run(ctx, []string{"-short", "-only", "loopback,attachment,large,ours,ours-wire,smtppool"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Loopback, our sink, 1 connection\n", "Loopback, our sink, 4 connections\n", "| this mailer, with its ledger | 500 |",
		"| smtppool v2.1.2 | 200 |", "An attachment of 5 MB", "A mailing to 5000",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "postroom-bench-*", "sender-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestSpread(t *testing.T) {
	var rs []result
	for _, n := range []int{5, 1, 3, 2} {
		rs = append(rs, result{Sent: n, took: time.Second})
	}
	if got, want := spreadOf(rs, rate), (spread{2.5, 1, 5}); got != want {
		t.Errorf("%v, not %v", got, want)
	}
	slow := []result{{Sent: 1, took: time.Second}, {Sent: 1, took: time.Second}, {Sent: 1, took: time.Second}}
	if got, want := ratioOf(slow, rs, rate), (spread{1.0 / 3, 0.2, 1}); got != want {
		t.Errorf("%v, not %v", got, want)
	}
	if got, want := spreadOf(rs, rate).in("%.1f"), "2.5 (1.0 to 5.0)"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
