package accounts

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"postroom/post"
)

// maxAddresses bounds how many addresses of one host are tried.
const maxAddresses = 8

// hostName is a configured host as resolvers and certificates know it.
func hostName(host string) string {
	host = strings.TrimSuffix(strings.Trim(strings.TrimSpace(host), "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host
}

// resolve finds all addresses of the host, in the order of RFC 6724.
func (s *signIn) resolve(ctx context.Context) (string, *post.Fault) {
	if s.a.Proxy != "" {
		return s.resolveFar(), nil
	}
	if ip, err := netip.ParseAddr(s.host); err == nil {
		s.addrs = []netip.Addr{ip.Unmap()}
		return ip.Unmap().String(), nil
	}
	limited, stop := context.WithTimeout(ctx, resolveTimeout)
	defer stop()
	var resolver Resolver = net.DefaultResolver
	if s.d.Resolver != nil {
		resolver = s.d.Resolver
	}
	found, err := resolver.LookupNetIP(limited, "ip", s.host)
	if err == nil && len(found) == 0 {
		err = &net.DNSError{Err: "no such host", Name: s.host, IsNotFound: true}
	}
	if err != nil {
		fault := faultOf(ctx, post.PhaseResolve, err)
		if fault.Cause != post.CauseCancelled && fault.Cause != post.CauseNoHost {
			fault.Cause, fault.Detail = post.CauseDNS, causeWords(post.CauseDNS)
		}
		return "", fault
	}
	words := make([]string, 0, len(found))
	for _, ip := range found {
		ip = ip.Unmap()
		if len(s.addrs) < maxAddresses && !slices.Contains(s.addrs, ip) {
			s.addrs = append(s.addrs, ip)
			words = append(words, ip.String())
		}
	}
	return strings.Join(words, ", "), nil
}

// connect tries the addresses one after the other. Plain text goes to this
// computer only: what counts is the address that is really dialled, not what
// its name promises.
func (s *signIn) connect(ctx context.Context) (string, *post.Fault) {
	if s.a.Proxy != "" {
		conn, fault := s.connectFar(ctx)
		if fault != nil {
			return "", fault
		}
		return s.connected(ctx, conn)
	}
	if s.a.TLS == post.TLSNone {
		s.addrs = slices.DeleteFunc(s.addrs, func(ip netip.Addr) bool { return !ip.IsLoopback() })
		if len(s.addrs) == 0 || !post.IsLoopbackHost(s.a.Host) {
			return "", notLoopback()
		}
	}
	var worst *post.Fault
	for i, ip := range s.addrs {
		timeout := connectTimeout
		if i < len(s.addrs)-1 {
			timeout = nextAddress
		}
		conn, err := s.dialOne(ctx, netip.AddrPortFrom(ip, uint16(s.a.Port)).String(), timeout) // Check keeps ports within 16 bits
		if err != nil {
			fault := faultOf(ctx, post.PhaseConnect, err)
			if fault.Cause == post.CauseCancelled {
				return "", fault
			}
			// Without a route for IPv6 each host has one address that cannot be
			// reached; another's answer says more.
			if worst == nil || worst.Cause == post.CauseUnreachable {
				worst = fault
			}
			continue
		}
		if s.a.TLS == post.TLSNone {
			if !isLoopbackPeer(conn) {
				_ = conn.Close() // refused by us; nothing was written
				return "", notLoopback()
			}
			s.guarded = true
		}
		return s.connected(ctx, conn)
	}
	return "", worst
}

// connected takes over the connection that the conversation is on.
func (s *signIn) connected(ctx context.Context, conn net.Conn) (string, *post.Fault) {
	s.wire = NewWire(conn)
	s.release = context.AfterFunc(ctx, s.wire.Abort)
	s.session.Address = conn.RemoteAddr().String()
	if s.a.TLS == post.TLSImplicit {
		return s.session.Address, nil // the greeting comes under TLS
	}
	return s.session.Address, s.greeting(ctx)
}

func (s *signIn) dialOne(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error) {
	limited, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	if s.d.DialContext != nil {
		return s.d.DialContext(limited, "tcp", addr)
	}
	var d net.Dialer
	return d.DialContext(limited, "tcp", addr)
}

func isLoopbackPeer(c net.Conn) bool {
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

func notLoopback() *post.Fault {
	return &post.Fault{
		Phase: post.PhaseConnect, Cause: post.CauseNotLoopback,
		Detail: "without encryption Postroom talks to this computer itself only",
		Reason: post.Reason{Key: "fault.not_loopback"},
	}
}
