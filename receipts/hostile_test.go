package receipts

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postroom/accounts"
	"postroom/post"
)

// TestHostileMailbox: messages made to hurt lie among good ones; all of the good
// ones are understood.
func TestHostileMailbox(t *testing.T) {
	box := newPostbox(t)
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 6)
	reply := func(i int) string { return "From: x@y.example\nSubject: Re\nIn-Reply-To: " + ids[i] + "\n" }
	parts := strings.Repeat("--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\nStatus: 5.1.1\n\n", 10_000)
	for i, raw := range []string{
		reply(0) + "\n" + strings.Repeat("All work and no play makes a dull mailbox, and a long one.\n", (50<<20)/60),
		"From: MAILER-DAEMON@y.example\nSubject: Undelivered\nContent-Type: multipart/report; boundary=b\n\n" + parts + "--b--\n",
		"From: x@y.example\n" + strings.Repeat("X-More: and more\n", 300_000) + "\nend\n",
		"From: MAILER-DAEMON@y.example\nSubject: failure\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n####not base64 %%%%\n--b--\n",
		"From: x@y.example\nContent-Type: multipart/mixed; boundary=" + strings.Repeat("b", 60_000) + "\n\n",
		strings.Repeat("Content-Type: multipart/mixed; boundary=a\n\n--a\n", 4_000),
		"", "\n", "\x00\xff\xfe", ":\n:\n:\n",
	} {
		box.put(raw)
		if i+1 < len(ids) {
			box.put(reply(i+1) + "\nYes.\n")
		}
	}
	r, err := fetcher(l).Fetch(t.Context(), a)
	if err != nil || r.Read != 15 || r.By[post.ReceiptReplied] != len(ids) || r.Unreadable != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if replied(t, l) != int64(len(ids)) {
		t.Error(replied(t, l), "answers")
	}
}

var setPattern = regexp.MustCompile(`UID FETCH ([0-9,:]+) `)

// uidsOf reads the messages that a command asks for.
func uidsOf(t *testing.T, line string) (all []int) {
	m := setPattern.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	for r := range strings.SplitSeq(m[1], ",") {
		first, last, ok := strings.Cut(r, ":")
		a, err := strconv.Atoi(first)
		if err != nil {
			t.Error(err)
		}
		b := a
		if ok {
			if b, err = strconv.Atoi(last); err != nil {
				t.Error(err)
			}
		}
		for ; a <= b; a++ {
			all = append(all, a)
		}
	}
	return all
}

// poisoned is a server of n answers that does something else when it is asked
// for one of them.
func poisoned(t *testing.T, ids []string, bad int, instead func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		converse(c, func(command string) (string, error) {
			var b strings.Builder
			switch {
			case strings.HasPrefix(command, "EXAMINE"):
				fmt.Fprintf(&b, "* %d EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT %d] x\r\n", len(ids), len(ids)+1)
			case strings.HasPrefix(command, "UID SEARCH"):
				b.WriteString("* SEARCH")
				for i := range ids {
					fmt.Fprintf(&b, " %d", i+1)
				}
				b.WriteString("\r\n")
			case strings.HasPrefix(command, "UID FETCH"):
				uids := uidsOf(t, command)
				if slices.Contains(uids, bad) || bad == 0 {
					instead(c)
					return "", errHangUp
				}
				section, text := "BODY[HEADER]<0>", strings.ReplaceAll(answerTo("ID", "Yes."), "\n", "\r\n")
				if !strings.Contains(command, "HEADER") {
					section = "BODY[]<0>"
				}
				for _, uid := range uids {
					one := strings.Replace(text, "ID", ids[uid-1], 1)
					fmt.Fprintf(&b, "* %d FETCH (UID %d %s {%d}\r\n%s)\r\n", uid, uid, section, len(one), one)
				}
			}
			return b.String(), nil
		})
	}
}

// TestPoison: a message over which the server hangs up, goes silent or raves is
// passed over and told, and the rest is read. When it does so over any message,
// none is passed over.
func TestPoison(t *testing.T) {
	stall := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1)) // until we are hung up on
	}
	rave := func(c net.Conn) {
		_, err := c.Write([]byte("* 1 FETCH (UID 1 BODY[HEADER] \""))
		for junk := []byte(strings.Repeat("x", 1<<20)); err == nil; {
			_, err = c.Write(junk)
		}
	}
	for name, c := range map[string]struct {
		bad     int
		instead func(net.Conn)
	}{
		"hangs up": {77, func(net.Conn) {}}, "goes silent": {3, stall}, "raves": {300, rave},
		"hangs up over all": {0, func(net.Conn) {}}, "the first": {1, func(net.Conn) {}},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t, t.TempDir())
			defer l.Close()
			serves := make(chan func(net.Conn), 1)
			addr := listen(t, func(c net.Conn) {
				serve := <-serves
				serves <- serve
				serve(c)
			})
			a, ids := office(t, l, addr, 300)
			serves <- poisoned(t, ids, c.bad, c.instead)
			f := fetcher(l)
			f.Patience, f.answer = time.Minute, 1<<20
			if name == "goes silent" {
				f.Patience = 2 * time.Second // what it does answer comes in time on a slow machine, too
			}
			r, err := f.Fetch(t.Context(), a)
			untied, e := l.Untied(t.Context(), 9)
			if e != nil {
				t.Fatal(e)
			}
			if c.bad == 0 {
				p, e := l.Mailbox(t.Context(), a.ID, accounts.MailboxName(a))
				if err == nil || p.UID != 0 || e != nil || len(untied) > 0 || r.Read > 0 {
					t.Errorf("%+v %v, up to %d", r, err, p.UID)
				}
				return
			}
			if err != nil || r.Matched != 299 || r.Unreadable != 1 || replied(t, l) != 299 || len(untied) != 1 || untied[0].UID != uint32(c.bad) {
				t.Errorf("%+v %v %+v", r, err, untied)
			}
		})
	}
}
