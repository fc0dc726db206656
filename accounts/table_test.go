package accounts

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"postroom/post"
)

// table collects a line for each server, mechanism and TLS.
type table struct {
	*testing.T
	lines          []string
	passed, failed int
}

func (b *table) row(server, mech, mode, want, got string) {
	b.Helper()
	result := "ok"
	if want == got {
		b.passed++
	} else {
		b.failed++
		result = "FAILED, want " + want
		b.Errorf("%s, %s, %s: %s, want %s", server, mech, mode, got, want)
	}
	b.lines = append(b.lines, fmt.Sprintf("%-37s %-18s %-16s %-40s %s", server, mech, mode, got, result))
}

func (b *table) print() {
	b.Logf("\n%s\n%d passed, %d failed", strings.Join(b.lines, "\n"), b.passed, b.failed)
}

// howItEnded is how a sign-in ended, in short.
func howItEnded(t *testing.T, d *Dialer, a post.Account) string {
	t.Helper()
	c, err := d.Dial(t.Context(), a)
	if err == nil {
		defer c.Quit(politeQuit)
		return "signed in by " + c.Session.Auth
	}
	var fault *post.Fault
	if !errors.As(err, &fault) {
		return err.Error()
	}
	r, _ := advice(a, fault)
	return string(fault.Phase) + " " + string(fault.Cause) + " " + r.Key
}

// accountAt is an account at a server.
func accountAt(t *testing.T, addr string, mode post.TLS) post.Account {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return post.Account{ID: 7, Name: "shop", Host: host, Port: n, TLS: mode, Secret: post.SecretKeyring, SecretRef: "ref"}
}
