package contacts

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// askedDNS answers from a table and counts what it is asked.
type askedDNS struct {
	mu    sync.Mutex
	asked map[string]int
}

func (d *askedDNS) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	d.mu.Lock()
	d.asked[name]++
	d.mu.Unlock()
	switch name {
	case "good.example.":
		return []*net.MX{{Host: "mx.good.example.", Pref: 10}}, nil
	case "null.example.":
		return []*net.MX{{Host: ".", Pref: 0}}, nil
	case "odd.example.":
		return []*net.MX{{Host: "mx.odd.example.", Pref: 10}}, &net.DNSError{Err: "a malformed record"}
	case "silent.example.":
		return nil, &net.DNSError{Err: "timeout", IsTimeout: true}
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (d *askedDNS) LookupHost(_ context.Context, name string) ([]string, error) {
	if name == "host.example." {
		return []string{"192.0.2.1"}, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

// TestDomains: each domain is asked for once, over all files; one that takes no
// mail is told of with its first row, one that was not answered is asked again.
func TestDomains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.csv")
	rows := "email\na@good.example\nb@null.example\nc@gone.example\nd@host.example\ne@GONE.example\nbad\nf@odd.example\ng@silent.example\n"
	if err := os.WriteFile(path, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	dns := &askedDNS{asked: map[string]int{}}
	check := &DomainCheck{DNS: dns}
	for range 2 {
		var asked int64
		rep, err := Import(t.Context(), newBook(), path, Options{Domains: check, OnDomains: func(n, _ int64) { asked = n }})
		if err != nil || rep.Added != 7 || rep.Skipped != 1 || asked != 6 {
			t.Fatalf("%+v, %d asked, %v", rep, asked, err)
		}
		var got []string
		for _, p := range rep.Problems {
			if !p.Skipped {
				got = append(got, p.Column+" "+p.Value+" "+p.Reason.Key+" "+strings.Join(p.Reason.Args, " "))
			}
		}
		want := []string{
			"email null.example contacts.null_mx null.example 1", "email gone.example contacts.no_mx gone.example 2",
			"email silent.example contacts.mx_unknown silent.example 1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	if dns.asked["gone.example."] != 1 || dns.asked["good.example."] != 1 || dns.asked["silent.example."] != 2 {
		t.Errorf("asked %v", dns.asked)
	}
	if rep, err := Import(t.Context(), newBook(), path, Options{}); err != nil || len(rep.Problems) != 1 {
		t.Errorf("without being asked to: %+v, %v", rep, err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := (&domains{map[string]*counted{"x.example": {n: 1, row: 2, value: "x.example"}}}).check(stopped, check, nil); err == nil || len(found) != 0 {
		t.Errorf("went on after it was stopped: %v, %v", found, err)
	}
}
