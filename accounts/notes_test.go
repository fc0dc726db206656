package accounts

import (
	"slices"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
)

func keysOf(notes []post.Reason) (keys []string) {
	for _, n := range notes {
		keys = append(keys, n.Key)
	}
	return keys
}

// TestNotesOfCertificates: whose it is and until when is said of each; what comes
// besides is who vouches for it, or that it was pinned, and that its end is near.
func TestNotesOfCertificates(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, x := range []struct {
		info TLSInfo
		keys []string
		args [][]string
	}{
		{
			TLSInfo{Names: []string{"smtp.example.com"}, NotAfter: now.Add(90 * day), vouchers: []string{"R3, Let's Encrypt", "ISRG Root X1"}},
			[]string{"doctor.note.certificate", "doctor.note.chain"},
			[][]string{{"smtp.example.com", "2027-02-25"}, {"R3, Let's Encrypt / ISRG Root X1"}},
		},
		{
			TLSInfo{Names: []string{"a", "b", "c", "d"}, NotAfter: now.Add(14*day - time.Hour)},
			[]string{"doctor.note.certificate", "doctor.note.ends"},
			[][]string{{"a, b, c, ...", "2026-12-11"}, {"14"}},
		},
		{TLSInfo{Server: "CN=old", NotAfter: now.Add(time.Hour)}, []string{"doctor.note.certificate", "doctor.note.ends"}, [][]string{{"CN=old", "2026-11-27"}, {"1"}}},
		{
			TLSInfo{Names: []string{"own"}, NotAfter: now.Add(-time.Hour), Pinned: true},
			[]string{"doctor.note.certificate", "doctor.note.ended", "doctor.note.pinned"},
			[][]string{{"own", "2026-11-27"}, nil, nil},
		},
	} {
		notes := x.info.notes(now)
		if !slices.Equal(keysOf(notes), x.keys) {
			t.Errorf("%+v: %v, want %v", x.info, keysOf(notes), x.keys)
			continue
		}
		for i, n := range notes {
			if !slices.Equal(n.Args, x.args[i]) {
				t.Errorf("%s: %q, want %q", n.Key, n.Args, x.args[i])
			}
		}
	}
}

// TestNotesOfTheDoctor: they come with the steps, from a server that offers all and
// from one that offers next to nothing.
func TestNotesOfTheDoctor(t *testing.T) {
	for _, x := range []struct {
		config smtpscript.Config
		want   []string
	}{
		{
			smtpscript.Config{MaxSize: 10_000_000, With: []string{"SMTPUTF8", "DSN"}},
			[]string{"doctor.note.certificate", "doctor.note.chain", "doctor.note.size", "doctor.note.pipelining", "doctor.note.receipts", "doctor.note.letters"},
		},
		{
			smtpscript.Config{Without: []string{"SIZE", "PIPELINING", "DSN", "SMTPUTF8"}},
			[]string{"doctor.note.certificate", "doctor.note.chain", "doctor.note.size.not", "doctor.note.pipelining.not", "doctor.note.receipts.not", "doctor.note.letters.not"},
		},
	} {
		x.config.Mode, x.config.User, x.config.Password = smtpscript.ImplicitTLS, "shop@example.com", secretForTests
		s := smtpscript.Start(t, x.config)
		a := accountAt(t, s.Addr(), post.TLSImplicit)
		a.Email, a.CA, a.Auth = "shop@example.com", s.CAPEM(), post.AuthAuto
		r := (&Dialer{Secrets: planted(secretForTests)}).Test(t.Context(), a)
		var all []post.Reason
		for _, step := range r.Steps {
			all = append(all, step.Notes...)
		}
		if !r.OK || !slices.Equal(keysOf(all), x.want) {
			t.Errorf("%t: %v, want %v", r.OK, keysOf(all), x.want)
			continue
		}
		if size := all[2]; len(size.Args) > 0 && !slices.Equal(size.Args, []string{"10.0 MB", "7.3 MB"}) {
			t.Errorf("%q", size.Args)
		}
		if r.TLS == nil || len(r.TLS.Chain) != 3 || r.TLS.Chain[2] != "CN=Test Root" || !slices.Equal(all[1].Args, []string{"Test Intermediate / Test Root"}) {
			t.Errorf("the chain is %+v, told as %q", r.TLS, all[1].Args)
		}
	}
}
