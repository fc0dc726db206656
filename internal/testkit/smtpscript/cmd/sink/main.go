// Command sink is the SMTP server of package smtpscript as a process of its
// own, for crash tests and benchmarks.
//
// It prints "listening ADDR" when it is ready, answers the line "stats" on its
// standard input with one JSON object, and ends, with the same object, on
// SIGTERM, on SIGINT, or when its standard input closes (so it never outlives
// the test that started it).
//
// With --report FILE every recipient of a message taken is one line, appended
// and handed to the kernel before the reply to the dot:
//
//	recipient message-id sha256
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"postroom/internal/testkit/smtpscript"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "sink:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	delay, rtt     time.Duration
	fault, report  string
	mode, ca       string
	user, password string
	lockStep       bool
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("sink", flag.ContinueOnError)
	f.DurationVar(&o.delay, "delay", 0, "delay of bytes in each direction")
	f.DurationVar(&o.rtt, "rtt", 0, "round trip time, half of it in each direction")
	f.StringVar(&o.fault, "fault", "", "named fault, or NAME@N for every N-th message")
	f.StringVar(&o.report, "report", "", "append a line per message taken to this file")
	f.StringVar(&o.mode, "tls", "none", "none, starttls or tls")
	f.StringVar(&o.ca, "ca", "", "write the certificate to trust to this file")
	f.StringVar(&o.user, "user", "", "require sign-in as this user")
	f.StringVar(&o.password, "password", "", "its password, for tests only")
	f.BoolVar(&o.lockStep, "no-pipelining", false, "do not offer PIPELINING")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q", f.Arg(0))
	}
	if o.rtt > 0 {
		o.delay = o.rtt / 2
	}
	return o, nil
}

func (o options) config() (smtpscript.Config, error) {
	cfg := smtpscript.Config{
		Up: o.delay, Down: o.delay, User: o.user, Password: o.password,
		Keep: smtpscript.KeepCount, Forget: true, Transcript: -1,
	}
	switch o.mode {
	case "none":
	case "starttls":
		cfg.Mode = smtpscript.STARTTLS
	case "tls":
		cfg.Mode = smtpscript.ImplicitTLS
	default:
		return cfg, fmt.Errorf("unknown --tls %q", o.mode)
	}
	if o.lockStep {
		cfg.Without = []string{"PIPELINING"}
	}
	if o.fault != "" {
		script, err := smtpscript.Fault(o.fault)
		if err != nil {
			return cfg, err
		}
		cfg.Script = script
	}
	return cfg, nil
}

func run(args []string, in io.Reader, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	cfg, err := o.config()
	if err != nil {
		return err
	}
	if o.report != "" {
		file, openErr := os.OpenFile(o.report, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if openErr != nil {
			return fmt.Errorf("report: %w", openErr)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		cfg.Keep = smtpscript.KeepHash
		cfg.OnTaken = func(m smtpscript.Message) { report(file, m) }
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	server, err := smtpscript.Listen(cfg)
	if err != nil {
		return err
	}
	defer server.Close()
	if o.ca != "" {
		if err := os.WriteFile(o.ca, server.CAPEM(), 0o600); err != nil {
			return fmt.Errorf("ca: %w", err)
		}
	}
	if _, err := fmt.Fprintln(out, "listening", server.Addr()); err != nil {
		return err
	}
	return obey(server, in, out, signals)
}

// obey answers lines of in until it closes or a signal comes.
func obey(server *smtpscript.Server, in io.Reader, out io.Writer, signals <-chan os.Signal) error {
	lines := make(chan string)
	go func() { // ends with the process at the latest: a read of stdin cannot be interrupted
		defer close(lines)
		for scan := bufio.NewScanner(in); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	enc := json.NewEncoder(out)
	for {
		select {
		case line, open := <-lines:
			if !open {
				return enc.Encode(server.Stats())
			}
			if line != "stats" {
				return fmt.Errorf("unknown order %q", line)
			}
			if err := enc.Encode(server.Stats()); err != nil {
				return err
			}
		case <-signals:
			return enc.Encode(server.Stats())
		}
	}
}

// report writes one message in one write, which O_APPEND keeps in one piece. A
// message that cannot be reported must not be confirmed: better no sink.
func report(file *os.File, m smtpscript.Message) {
	var b []byte
	for _, rcpt := range m.To {
		b = append(append(b, rcpt...), ' ')
		if m.MessageID == "" {
			b = append(b, '-')
		}
		b = append(append(b, m.MessageID...), ' ')
		b = append(hex.AppendEncode(b, m.Sum[:]), '\n')
	}
	if _, err := file.Write(b); err != nil {
		fmt.Fprintln(os.Stderr, "sink: report:", err)
		os.Exit(1)
	}
}
