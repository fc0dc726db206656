//go:build linux

package mailserver

import (
	"net"
	"testing"
)

// lateDomain is where a relay gives up on "late" after two seconds of refusals that may pass; on everybody else it does
// after a day.
const lateDomain = "far.test"

// Behind is what a server started with Options of these settings takes from a relay on this computer without sign-in:
// mail for its own domains, so that the relay's reports come from the relay and lie in a mailbox of the server. A connection that is kept open ends
// soon, for one that stands knows only the replies of its beginning.
func Behind(settings ...string) []string {
	return append([]string{"smtpd_relay_restrictions = permit_auth_destination, reject", "smtpd_timeout = 1s"}, settings...)
}

// StartEximRelay is StartExim with PLAIN, of an Exim that hands all mail to the server behind it (see Behind) and
// reports to the sender what could not be handed on: at once, as a warning after a second of waiting, or for
// late@far.test at the end.
func StartEximRelay(t testing.TB, behind *Server) *Exim {
	t.Helper()
	_, port, err := net.SplitHostPort(behind.SubmissionAddr)
	if err != nil {
		t.Fatal(err)
	}
	return startExim(t, "PLAIN", port, nil)
}
