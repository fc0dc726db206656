//go:build linux

package mailserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

var errPortTaken = errors.New("a port was taken by another process")

// freePorts returns n ports of 127.0.0.1 that nothing listens on now. They lie below the range the kernel gives to
// outgoing connections and to listeners on port 0, so that tests running beside us do not take them meanwhile.
func freePorts(n int) ([]int, error) {
	const lowest, count, tries = 12000, 20000, 1000
	var ports []int
	for range tries {
		port := lowest + rand.IntN(count)
		listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer listener.Close() //nolint:errcheck,gocritic // all are held until the last is found, so none comes twice
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports found in %d tries", n, tries)
}

// waitReady waits until all four listeners greet.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CAPEM) {
		return errors.New("the test authority can't be read")
	}
	secure := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if s.odd {
		secure = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10} // so that it is seen to be there
	}
	for _, door := range []struct {
		addr, greeting string
		config         *tls.Config
	}{
		{s.IMAPAddr, "* OK", nil},
		{s.IMAPSAddr, "* OK", secure},
		{s.SubmissionAddr, "220 ", nil},
		{s.SMTPSAddr, "220 ", secure},
	} {
		for {
			err := greet(ctx, door.addr, door.greeting, door.config)
			if err == nil {
				break
			}
			if ended := s.endedEarly(); ended != nil {
				return ended
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s does not answer: %w (%w)", door.addr, err, ctx.Err())
			case <-time.After(pollEvery):
			}
		}
	}
	// A stranger on a port of ours would have greeted too; then our own server has ended.
	return s.endedEarly()
}

// greet connects and reads the greeting.
func greet(ctx context.Context, addr, greeting string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, greeting) {
		return fmt.Errorf("greets with %q, want %q", line, greeting)
	}
	return nil
}

// endedEarly tells that a server has ended, or nil.
func (s *Server) endedEarly() error {
	select {
	case <-s.gone:
		return errors.New("the keeper of the mail server has ended")
	default:
	}
	ended, err := os.ReadFile(filepath.Join(s.run, "log", "ended"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if strings.Contains(s.tails(), "Address already in use") {
		return fmt.Errorf("%w: %s", errPortTaken, strings.TrimSpace(string(ended)))
	}
	return fmt.Errorf("the mail server did not start: %s", strings.TrimSpace(string(ended)))
}
