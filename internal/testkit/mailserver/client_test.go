//go:build linux

package mailserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func tlsConfig(t *testing.T, server *Server) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(server.CAPEM) {
		t.Fatal("CAPEM can't be read")
	}
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// dial connects and has TLS on: from the start, or by STARTTLS.
func dial(t *testing.T, server *Server, implicit bool) *smtp.Client {
	t.Helper()
	addr := server.SubmissionAddr
	if implicit {
		addr = server.SMTPSAddr
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if implicit {
		conn = tls.Client(conn, tlsConfig(t, server))
	}
	client, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if !implicit {
		if err := client.StartTLS(tlsConfig(t, server)); err != nil {
			t.Fatal(err)
		}
	}
	return client
}

func signIn(t *testing.T, client *smtp.Client, auth smtp.Auth) {
	t.Helper()
	if err := client.Auth(auth); err != nil {
		t.Fatalf("sign in: %v", err)
	}
}

func send(client *smtp.Client, from string, to []string, message []byte) error {
	if err := client.Mail(from); err != nil {
		return err
	}
	for _, recipient := range to {
		if err := client.Rcpt(recipient); err != nil {
			return err
		}
	}
	data, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write(message); err != nil {
		return err
	}
	return data.Close()
}

func replyCode(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

func settle(t *testing.T, server *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := server.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

// imapExists signs in over IMAP and returns the number of messages in INBOX.
func imapExists(t *testing.T, server *Server, implicit bool) int {
	t.Helper()
	addr := server.IMAPAddr
	if implicit {
		addr = server.IMAPSAddr
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if implicit {
		conn = tls.Client(conn, tlsConfig(t, server))
	}
	lines := bufio.NewReader(conn)
	exists := -1
	until := func(tag string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(line, " EXISTS\r\n") {
				if _, err := fmt.Sscanf(line, "* %d EXISTS", &exists); err != nil {
					t.Fatal(err)
				}
			}
			if strings.HasPrefix(line, tag+" ") {
				if !strings.HasPrefix(line, tag+" OK") {
					t.Fatalf("IMAP: %s", line)
				}
				return
			}
		}
	}
	command := func(tag, format string, args ...any) {
		t.Helper()
		if _, err := fmt.Fprintf(conn, tag+" "+format+"\r\n", args...); err != nil {
			t.Fatal(err)
		}
		until(tag)
	}
	until("*")
	if !implicit {
		command("a", "STARTTLS")
		conn = tls.Client(conn, tlsConfig(t, server))
		lines = bufio.NewReader(conn)
	}
	command("b", "LOGIN %q %q", server.User, server.Password)
	command("c", "SELECT INBOX")
	return exists
}

type attachmentJSON struct {
	Name        string  `json:"name"`
	Type        string  `json:"type"`
	Size        int     `json:"size"`
	SHA256      string  `json:"sha256"`
	Disposition string  `json:"disposition"`
	ContentID   *string `json:"content_id"`
}

type mailJSON struct {
	Recipient   string           `json:"recipient"`
	Path        string           `json:"path"`
	Subject     string           `json:"subject"`
	From        string           `json:"from"`
	To          string           `json:"to"`
	MessageID   string           `json:"message_id"`
	Date        string           `json:"date"`
	Text        string           `json:"text"`
	HTML        string           `json:"html"`
	Attachments []attachmentJSON `json:"attachments"`
	Defects     []string         `json:"defects"`
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readMail runs readmail.py. A machine without Python fails the test: it can't be judged without.
func readMail(t *testing.T, folder string) []mailJSON {
	t.Helper()
	cmd := exec.Command("python3", "readmail.py", folder)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("readmail.py: %v: %s", err, &stderr)
	}
	var mails []mailJSON
	for line := range bytes.Lines(out) {
		var mail mailJSON
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&mail); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		mails = append(mails, mail)
	}
	return mails
}

func sampleMessage(to string, attachment []byte) []byte {
	return []byte(strings.ReplaceAll(`From: =?utf-8?q?K=C3=A4the?= <shop@example.test>
To: `+to+`
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_=E4=BD=A0=E5=A5=BD?=
Message-ID: <one.`+to+`>
Date: Sun, 01 Mar 2026 10:00:00 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Guten Tag, K=C3=A4the.

--inner
Content-Type: text/html; charset=utf-8

<p>Guten Tag</p>

--inner--

--outer
Content-Type: application/octet-stream
Content-Disposition: attachment; filename*=utf-8''R%C3%A4umung.bin
Content-Transfer-Encoding: base64

`+base64.StdEncoding.EncodeToString(attachment)+`
--outer--
`, "\n", "\r\n"))
}
