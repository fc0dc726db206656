package contacts

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"postroom/post"
)

// DNS is what is asked whether a domain takes mail; *net.Resolver is one.
type DNS interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupHost(ctx context.Context, name string) ([]string, error)
}

// DomainCheck asks DNS whether domains take mail, and remembers the answers. It
// is safe for concurrent use.
type DomainCheck struct {
	DNS DNS // nil: the computer's own resolver

	mu    sync.Mutex
	known map[string]string
}

// What a domain is, as the key of a reason; empty is good.
const (
	domainGone    = "contacts.no_mx"      // there is no such domain, or no server for its mail
	domainRefuses = "contacts.null_mx"    // it takes no mail and says so (RFC 7505)
	domainUnknown = "contacts.mx_unknown" // nobody answered; not remembered
)

const (
	domainWait    = 5 * time.Second // for one domain
	domainsAtOnce = 16
)

// ask returns what is wrong with a domain.
func (c *DomainCheck) ask(ctx context.Context, domain string) string {
	c.mu.Lock()
	why, ok := c.known[domain]
	c.mu.Unlock()
	if ok {
		return why
	}
	ctx, cancel := context.WithTimeout(ctx, domainWait)
	defer cancel()
	if why = c.look(ctx, domain+"."); why != domainUnknown {
		c.mu.Lock()
		if c.known == nil {
			c.known = map[string]string{}
		}
		c.known[domain] = why
		c.mu.Unlock()
	}
	return why
}

// look follows RFC 5321 5.1: without MX records mail goes to the host itself.
func (c *DomainCheck) look(ctx context.Context, name string) string {
	var dns DNS = net.DefaultResolver
	if c.DNS != nil {
		dns = c.DNS
	}
	list, err := dns.LookupMX(ctx, name)
	switch {
	case len(list) == 1 && (list[0].Host == "." || list[0].Host == ""):
		return domainRefuses
	case len(list) > 0: // some of them may be malformed, which is an error beside them
		return ""
	case err != nil && !isNotFound(err):
		return domainUnknown
	}
	hosts, err := dns.LookupHost(ctx, name)
	switch {
	case len(hosts) > 0:
		return ""
	case err != nil && !isNotFound(err):
		return domainUnknown
	}
	return domainGone
}

func isNotFound(err error) bool {
	var de *net.DNSError
	return errors.As(err, &de) && de.IsNotFound
}

// domains are those of a file's people.
type domains struct{ met map[string]*counted }

func (d *domains) meet(domain string, row int64) {
	c := d.met[domain]
	if c == nil {
		c = &counted{}
		d.met[domain] = c
	}
	c.meet(row, domain)
}

// check asks for all of them, several at a time, and returns what is wrong, one
// problem for each domain. done is told how many were asked.
func (d *domains) check(ctx context.Context, c *DomainCheck, done func(n, total int64)) ([]Problem, error) {
	all := make([]*counted, 0, len(d.met))
	for _, x := range d.met {
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b *counted) int { return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.value, b.value)) })
	why := make([]string, len(all))
	next := make(chan int)
	var asking sync.WaitGroup
	for range min(domainsAtOnce, len(all)) {
		asking.Go(func() {
			for i := range next {
				why[i] = c.ask(ctx, all[i].value)
			}
		})
	}
	for i := range all {
		if ctx.Err() != nil {
			break
		}
		next <- i
		if done != nil {
			done(int64(i+1), int64(len(all)))
		}
	}
	close(next)
	asking.Wait()
	var found []Problem
	for i, x := range all {
		if why[i] != "" {
			found = append(found, Problem{Row: x.row, Value: show(x.value), Reason: post.Reason{Key: why[i], Args: []string{x.value, strconv.FormatInt(x.n, 10)}}})
		}
	}
	return found, ctx.Err()
}
