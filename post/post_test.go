package post

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseAddress(t *testing.T) {
	good := map[string]string{ // address -> key
		"Anna@Example.COM":          "anna@example.com",
		" a.b+c@x-y.example ":       "a.b+c@x-y.example",
		"köhler@exämple.de":         "köhler@xn--exmple-cua.de",
		"KÖHLER@EXÄMPLE.de":         "köhler@xn--exmple-cua.de",
		"王小明@例子.中国":                 "王小明@xn--fsqu00a.xn--fiqs8s",
		`"a b"@example.com`:         `"a b"@example.com`,
		"user@localhost":            "user@localhost",
		"STRASSE@x.de":              "strasse@x.de",
		"e\u0301@example.com":       "é@example.com",
		"a@xn--exmple-cua.de":       "a@xn--exmple-cua.de",
		"very.common@example.co.uk": "very.common@example.co.uk",
	}
	for in, key := range good {
		a, err := ParseAddress(in)
		if err != nil {
			t.Errorf("ParseAddress(%q): %v", in, err)
			continue
		}
		if got := AddressKey(a); got != key {
			t.Errorf("AddressKey(%q) = %q, want %q", in, got, key)
		}
	}
	bad := []string{
		"", "anna", "@example.com", "anna@", "a@b@c.de", "a b@c.de", "a@b..de", ".a@b.de", "a.@b.de", "a..b@c.de",
		"a@-b.de", "a@b-.de", "a@b.de\r\nRCPT TO:<x@y.z>", "a@b.de\x00", "<a@b.de>", "a@b.de, c@d.de", "a@1.2.3.4",
		`"a"b@c.de`, `"a<b"@c.de`, "a@exa mple.de", "a@b_c.de", "a\u202e@b.de", strings.Repeat("a", 65) + "@b.de",
		"a@" + strings.Repeat("b", 64) + ".de", "a@b.de.", "\xff@b.de", "a@", "a@[127.0.0.1]",
	}
	for _, in := range bad {
		if a, err := ParseAddress(in); err == nil {
			t.Errorf("ParseAddress(%q) = %v, want an error", in, a)
		} else if KindOf(err) != KindInvalid {
			t.Errorf("ParseAddress(%q): kind %v", in, KindOf(err))
		}
	}
}

func TestParseMailbox(t *testing.T) {
	for in, want := range map[string][2]string{
		"a@b.de":                       {"", "a@b.de"},
		"Anna Köhler <a@b.de>":         {"Anna Köhler", "a@b.de"},
		`"Köhler, Anna" <a@b.de>`:      {"Köhler, Anna", "a@b.de"},
		"<a@b.de>":                     {"", "a@b.de"},
		"=?utf-8?q?K=C3=B6?= <a@b.de>": {"=?utf-8?q?K=C3=B6?=", "a@b.de"},
	} {
		name, a, err := ParseMailbox(in)
		if err != nil || name != want[0] || a.String() != want[1] {
			t.Errorf("ParseMailbox(%q) = %q, %q, %v; want %q", in, name, a, err, want)
		}
	}
	for _, in := range []string{"a@b.de, c@d.de", "a@b.de; c@d.de", "A <a@b.de>, B <b@c.de>", "a@b.de c@d.de", "x@y.z <a@b.de>x", "nobody"} {
		if _, a, err := ParseMailbox(in); err == nil {
			t.Errorf("ParseMailbox(%q) = %v, want an error", in, a)
		}
	}
}

// An accepted address never carries what could end an SMTP line or a header,
// and its key is a fixed point.
func TestAddressProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-zA-ZäÄß.+]{1,9}@[a-zA-ZäÄ.-]{1,12}`)).Draw(t, "in")
		a, err := ParseAddress(in)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.Wire(), "\r\n\x00<>") {
			t.Fatalf("%q was accepted as %q", in, a.Wire())
		}
		b, err := ParseAddress(AddressKey(a))
		if err != nil {
			t.Fatalf("key %q of %q is no address: %v", AddressKey(a), in, err)
		}
		if AddressKey(b) != AddressKey(a) {
			t.Fatalf("key of key: %q, %q", AddressKey(b), AddressKey(a))
		}
	})
}

// TestParsePlain: the short way never differs from the long one, and is the one that
// addresses of ASCII go.
func TestParsePlain(t *testing.T) {
	for in, want := range map[string]bool{
		"anna@example.com": true, "Anna.B@Example.COM": true, "o'brien+x@a-b.co": true, strings.Repeat("a", 64) + "@x.de": true,
		"": false, "@": false, "a@": false, "@x.de": false, ".a@x.de": false, "a.@x.de": false, "a..b@x.de": false, "a@b@x.de": false, "a@x.de ": false,
		strings.Repeat("a", 65) + "@x.de": false, "a@xn--exmple-cua.de": false, "ä@x.de": false, `"a"@x.de`: false, "a@1.2.3.4": false, "<a@x.de>": false, "a@x.de,": false,
	} {
		if _, _, ok := ParsePlain(in); ok != want {
			t.Errorf("ParsePlain(%q) = %v, want %v", in, ok, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-zA-Z.+'<"ä ,]{1,9}@[a-zA-Z0-9.ä@-]{1,12}`), rapid.StringMatching(`a{60,70}@([b-c]{60,64}\.){1,5}de`)).Draw(t, "in")
		a, key, ok := ParsePlain(in)
		if !ok {
			return
		}
		name, want, err := ParseMailbox(in)
		if err != nil || name != "" || a != want || a.String() != in || key != AddressKey(want) {
			t.Fatalf("%q: %+v and %q, want %+v of %q and %q (%v)", in, a, key, want, name, AddressKey(want), err)
		}
	})
}

func TestMoves(t *testing.T) {
	allowed := map[string]bool{}
	for _, line := range []string{ // the book's words
		"queued: claimed cancelled suppressed expired",
		"claimed: sending queued failed cancelled suppressed",
		"sending: sent queued failed uncertain cancelled suppressed",
		"uncertain: sent failed queued",
		"failed: queued", "expired: queued", "cancelled: queued",
	} {
		from, tos, _ := strings.Cut(line, ":")
		for _, to := range strings.Fields(tos) {
			allowed[from+">"+to] = true
		}
	}
	for _, from := range States {
		for _, to := range States {
			got := CanMove(from, to, ByMailer|ByUser)
			if got != allowed[string(from)+">"+string(to)] {
				t.Errorf("CanMove(%s, %s) = %v", from, to, got)
			}
		}
	}
	for _, from := range []State{StateFailed, StateExpired, StateCancelled} {
		if CanMove(from, StateQueued, ByMailer) {
			t.Errorf("the mailer may move %s to queued by itself", from)
		}
	}
}

func TestNewReply(t *testing.T) {
	for _, c := range []struct {
		code           int
		text           string
		enhanced, rest string
	}{
		{550, "5.1.1 user unknown", "5.1.1", "user unknown"},
		{550, "user 5.1.1 unknown", "", "user 5.1.1 unknown"},
		{450, "5.1.1 odd", "", "5.1.1 odd"},
		{250, "2.0.0", "2.0.0", ""},
		{250, "", "", ""},
		{550, "5.6.7.8 is listed", "", "5.6.7.8 is listed"},
		{554, "5.1234.1 x", "", "5.1234.1 x"},
		{554, "evil\x1b[31m\u202etext\r\n", "", "evil [31m?text"},
	} {
		r := NewReply(c.code, c.text)
		if r.Enhanced != c.enhanced || r.Text != c.rest {
			t.Errorf("NewReply(%d, %q) = %+v", c.code, c.text, r)
		}
	}
	long := NewReply(550, strings.Repeat("ü", 400))
	if len(long.Text) > MaxReplyText || strings.ContainsRune(long.Text, '\uFFFD') {
		t.Errorf("long text kept as %d bytes", len(long.Text))
	}
}

func TestFieldName(t *testing.T) {
	taken := map[string]bool{"city": true, "city_2": true}
	for in, want := range map[string]string{
		"First Name": "first_name", " E-Mail ": "e_mail", "姓名": "姓名", "2nd": "f_2nd", "": "column", "City": "city_3", "a__b--c": "a_b_c", "Straße": "straße",
	} {
		if got := FieldName(in, func(s string) bool { return taken[s] }); got != want {
			t.Errorf("FieldName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestReasonRoundTrip(t *testing.T) {
	r := Reason{Key: "account.password", Args: []string{"a", "b"}, Raw: "535 5.7.8 no"}
	if got := DecodeReason(r.Encode()); got.Key != r.Key || len(got.Args) != 2 || got.Raw != r.Raw {
		t.Errorf("got %+v", got)
	}
	if got := DecodeReason("not json"); got.Raw != "not json" {
		t.Errorf("got %+v", got)
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "[::1]": true, "::ffff:127.0.0.1": true,
		"localhost.example.com": false, "10.0.0.1": false, "0.0.0.0": false, "smtp.example.com": false, "127.0.0.1.nip.io": false,
	} {
		if IsLoopbackHost(host) != want {
			t.Errorf("IsLoopbackHost(%q) = %v", host, !want)
		}
	}
}
