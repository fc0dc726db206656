//go:build unix

package mailer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

// startSink runs the test kit's server as a process of its own, so that its
// work is not counted as ours, and returns its host and port.
func startSink(b *testing.B, flags ...string) (string, int) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "sink")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", path, "postroom/internal/testkit/smtpscript/cmd/sink").CombinedOutput(); err != nil {
		b.Fatalf("build the sink: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(b.Context(), path, flags...)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { // it ends with its standard input
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(strings.TrimPrefix(line, "listening ")))
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		b.Fatal(err)
	}
	return host, n
}

// fiveKB is a message of about 5 KB on the wire, in text and HTML, with three
// fields.
var fiveKB = post.Content{
	Subject: "News for {{first_name}}", Format: post.FormatMarkdown,
	Body: "Dear {{first_name}},\n\n" + strings.Repeat("what is **new** in {{town}} this week, for our customer number {{number}}: a few words.\n\n", 19),
}

func customers(n int) iter.Seq2[post.Recipient, error] {
	return func(yield func(post.Recipient, error) bool) {
		for i := range n {
			a := fmt.Sprintf("customer%d@example.net", i)
			if !yield(post.Recipient{Address: a, Key: a, Name: fmt.Sprint("Customer ", i), Fields: map[string]string{
				"first_name": fmt.Sprint("Name", i), "town": "Springfield", "number": strconv.Itoa(i),
			}}, nil) {
				return
			}
		}
	}
}

// BenchmarkSend sends b.N messages of 5 KB from a real ledger (synchronous
// FULL) to a sink in another process on loopback, from queued to marked sent.
// CPU is that of this process, user and system.
func BenchmarkSend(b *testing.B) {
	for _, c := range []struct {
		name        string
		connections int
		flags       []string
	}{
		{"1", 1, nil},
		{"4", 4, nil},
		{"4steps", 4, []string{"-no-pipelining"}},
		{"1far", 1, []string{"-rtt", "50ms"}},
		{"4far", 4, []string{"-rtt", "50ms"}},
		{"10far", 10, []string{"-rtt", "50ms"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			host, port := startSink(b, c.flags...)
			l, err := storage.Open(b.Context(), b.TempDir(), storage.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := l.Close(); err != nil {
					b.Error(err)
				}
			}()
			acct, err := l.CreateAccount(b.Context(), post.Account{
				Name: "shop", Email: "shop@example.org", Host: host, Port: port, TLS: post.TLSNone, Auth: post.AuthNone,
				Secret: post.SecretNone, Connections: c.connections,
			})
			if err != nil {
				b.Fatal(err)
			}
			m, _, err := l.Enqueue(b.Context(), post.Mailing{
				Kind: post.Live, Name: "M", Content: fiveKB, Senders: []post.Sender{{Account: acct.ID, Email: acct.Email, FromName: "Shop"}},
			}, customers(b.N))
			if err != nil {
				b.Fatal(err)
			}
			d := &accounts.Dialer{Log: slog.New(slog.DiscardHandler)}
			ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
			defer cancel()
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			began, cpu := time.Now(), cpuTime(b)
			if err := New(l, Options{Dial: d.Dial}).Run(ctx, RunParams{UntilEmpty: true}); err != nil {
				b.Fatal(err)
			}
			cpu = cpuTime(b) - cpu
			took := time.Since(began)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/took.Seconds(), "messages/s")
			b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-us/message")
			m, err = l.Mailing(b.Context(), m.ID)
			if err != nil || m.Counts[post.StateSent] != int64(b.N) {
				b.Fatalf("%v %v", m.Counts, err)
			}
		})
	}
}

// cpuTime is what this process has used so far, user and system.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(os.NewSyscallError("getrusage", err))
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
