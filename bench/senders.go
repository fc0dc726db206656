//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"postroom/internal/testkit/mailserver"
)

// sender is one competitor.
type sender struct {
	name, title string
	// quick and far are how many messages it gets, on loopback and per connection at 50 ms: enough to take a few seconds.
	quick, far int
	ledger     bool // it sends what was queued before
	plain      bool // it has no ready and done, and merges nothing
	command    func(t target, folder, people string, n int) command
}

// tools are the programs that the comparison needs.
type tools struct {
	sender, sink, peers string
	python, node        string   // empty where missing
	nodemailer          string   // its script
	postfix, libraries  string   // the folder Postfix lies in, and its LD_LIBRARY_PATH; empty where it cannot be had
	missing             []string // who is left out, and why
}

// build builds our own programs into dir.
func build(ctx context.Context, dir string) (*tools, error) {
	t := &tools{sender: filepath.Join(dir, "sender"), sink: filepath.Join(dir, "sink")}
	for path, of := range map[string]string{t.sender: "postroom/bench/sender", t.sink: "postroom/internal/testkit/smtpscript/cmd/sink"} {
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, of).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", of, err, out)
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "postroom/bench").Output()
	if err != nil {
		return nil, fmt.Errorf("find this package: %w", err)
	}
	t.peers = filepath.Join(strings.TrimSpace(string(out)), "peers")
	err = t.fetch(ctx)
	return t, err
}

// fetch finds the other languages' senders and Postfix, or says why not.
func (t *tools) fetch(ctx context.Context) error {
	leave := func(name string, err error) { t.missing = append(t.missing, name+": "+err.Error()) }
	var err error
	if t.python, err = exec.LookPath("python3"); err != nil {
		leave("smtplib", err)
	}
	if t.node, err = exec.LookPath("node"); err != nil {
		leave("nodemailer", err)
	} else if out, err := exec.CommandContext(ctx, "sh", filepath.Join(t.peers, "nodemailer", "fetch.sh")).Output(); err != nil {
		t.node = ""
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		leave("nodemailer", err)
	} else {
		t.nodemailer = filepath.Join(strings.TrimSpace(string(out)), "sender.mjs")
	}
	t.postfix, t.libraries, err = mailserver.Tree(ctx)
	if errors.Is(err, mailserver.ErrUnavailable) {
		leave("Postfix smtp-source and smtp-sink", err)
		return nil
	}
	return err
}

// protocol is a command that takes the arguments all senders take; first come those that name it.
func protocol(path string, first ...string) func(int) func(target, string, string, int) command {
	return func(connections int) func(target, string, string, int) command {
		return func(t target, folder, people string, _ int) command {
			args := slices.Concat(first, []string{t.host, strconv.Itoa(t.port), strconv.Itoa(connections), folder, people})
			return command{path: path, args: args}
		}
	}
}

// all returns who takes part, each with so many connections.
func (t *tools) all(connections int) []sender {
	list := []sender{
		{name: "ours", title: "this mailer, with its ledger", quick: 10000, far: 180, ledger: true, command: protocol(t.sender, "ours")(connections)},
		{name: "ours-wire", title: "its merge, MIME and SMTP alone", quick: 20000, far: 180, command: protocol(t.sender, "ours-wire")(connections)},
		{name: "smtppool", title: "smtppool v2.1.2", quick: 4000, far: 20, command: protocol(t.sender, "smtppool")(connections)},
		{name: "gomail-keep", title: "go-mail v0.8.1, `Send`, connection kept", quick: 3000, far: 15, command: protocol(t.sender, "gomail-keep")(connections)},
		{name: "gomail-dial", title: "go-mail v0.8.1, `DialAndSend`", quick: 2000, far: 10, command: protocol(t.sender, "gomail-dial")(connections)},
	}
	if t.python != "" {
		script := filepath.Join(t.peers, "smtplib_sender.py")
		list = append(list, sender{name: "smtplib", title: "Python smtplib", quick: 500, far: 20, command: protocol(t.python, script)(connections)})
	}
	if t.node != "" {
		list = append(list, sender{name: "nodemailer", title: "nodemailer 10.6.1, pool", quick: 1200, far: 40, command: protocol(t.node, t.nodemailer)(connections)})
	}
	if t.postfix != "" {
		list = append(list, sender{
			name: "smtp-source", title: "Postfix smtp-source, which merges nothing", quick: 10000, far: 25, plain: true,
			command: t.smtpSource(connections),
		})
	}
	return list
}

// smtpSource sends the same message of 5 KB to everybody over kept connections.
func (t *tools) smtpSource(connections int) func(target, string, string, int) command {
	return func(to target, _, _ string, n int) command {
		return command{path: filepath.Join(t.postfix, "usr/sbin/smtp-source"), libraries: t.libraries, args: []string{
			"-d", "-N", "-s", strconv.Itoa(connections), "-m", strconv.Itoa(n), "-l", "5120",
			"-f", "shop@example.org", "-t", "customer@example.net", net.JoinHostPort(to.host, strconv.Itoa(to.port)),
		}}
	}
}
