//go:build linux

package mailserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// SetRoutes replaces what became of Options.BounceLater on the running server: address or domain to a transport of
// Postfix, "error:5.1.1 no such mailbox" to return mail, "retry:4.4.1 try later" to keep it, none to deliver it. Mail
// that is kept takes the new route at one of its next tries.
func (s *Server) SetRoutes(routes map[string]string) error {
	if err := checkTable(routes); err != nil {
		return err
	}
	s.tables.Lock()
	defer s.tables.Unlock()
	if err := s.writeTable("bounces", routes); err != nil {
		return err
	}
	return s.Reload()
}

// Reload makes Postfix's processes read their tables anew, each when it has done what it is at.
func (s *Server) Reload() error {
	text, err := os.ReadFile(filepath.Join(s.run, "queue", "pid", "master.pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("the pid of Postfix's master is %q: %w", text, err)
	}
	return syscall.Kill(pid, syscall.SIGHUP)
}
