package receipts

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// cut is where a relay ends a conversation.
type cut int

const (
	goOn      cut = iota
	cutBefore     // the server never gets this line
	cutAfter      // the server does what it says, and the answer is lost
)

// commandOf is what a line asks for, without its tag and without a password.
func commandOf(line string) string {
	_, command, _ := strings.Cut(strings.TrimSpace(line), " ")
	if strings.HasPrefix(command, "AUTHENTICATE") {
		return "AUTHENTICATE"
	}
	return command
}

// relay stands between the reader and a real server, and is told each line that
// the reader says. It has one connection at a time.
func relay(t testing.TB, server string, heard func(line string) cut) (addr string) {
	t.Helper()
	return listen(t, func(c net.Conn) { pass(t, c, server, heard) })
}

func pass(t testing.TB, c net.Conn, server string, heard func(string) cut) {
	defer c.Close()
	up, err := net.Dial("tcp", server)
	if err != nil {
		t.Error(err)
		return
	}
	defer up.Close()
	tag := make(chan string, 1) // of the command whose answer is lost
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer c.Close()
		last := ""
		for r := bufio.NewReader(up); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if last == "" {
				select {
				case last = <-tag:
				default:
				}
			}
			switch {
			case last != "" && (strings.HasPrefix(line, last+" ") || strings.HasPrefix(line, "+")):
				return
			case last != "":
				continue
			}
			if _, err := c.Write([]byte(line)); err != nil {
				return
			}
		}
	}()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		what := heard(line)
		name, _, ok := strings.Cut(line, " ")
		if what == cutBefore || what == cutAfter && !ok { // a line without a tag has no answer of its own
			return
		}
		if what == cutAfter {
			tag <- name
		}
		if _, err := up.Write([]byte(line)); err != nil {
			return
		}
		if what == cutAfter {
			<-ended
			return
		}
	}
}
