package contacts

import (
	"strings"
	"testing"
	"unicode"

	"postroom/post"
)

// FuzzAddress: what a cell is taken for reads back as the same address and the
// same person, alone, in capitals, and beside a name; and nothing is taken that
// could break out of an envelope or a header.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"anna@example.com", "Anna K\u00f6hler <anna@example.com>", "\"a b\"@x.de", "k\u00f6hler@ex\u00e4mple.de", "a@xn--exmple-cua.de", "a@b@c", "mailto:a@x.de",
		"a@x.de <a@x.de>", "a@x.de, b@x.de", "\u738b\u5c0f\u660e@\u4f8b\u5b50.\u4e2d\u56fd", "a@x.de\r\nBcc: b@x.de", "<@>", "\"\\\"\"@x.de", "A@\u0130.com", "\u00df@x.de",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		_, a, why := parseAddressCell(trimCell(cell))
		if !why.IsZero() {
			if a != (post.Address{}) {
				t.Fatalf("%q was refused (%s) and is %v all the same", cell, why.Key, a)
			}
			return
		}
		written, key := a.String(), post.AddressKey(a)
		if strings.ContainsFunc(written, unicode.IsControl) || strings.ContainsAny(written, "<>") {
			t.Fatalf("%q was taken as %q", cell, written)
		}
		for _, again := range []string{written, a.Wire(), "<" + written + ">", "Anna <" + written + ">"} {
			_, b, why := parseAddressCell(again)
			if !why.IsZero() {
				t.Fatalf("%q was taken as %q, and %q is refused: %s", cell, written, again, why.Key)
			}
			if b.Local != a.Local || b.ASCII != a.ASCII || post.AddressKey(b) != key {
				t.Fatalf("%q was taken as %+v, and %q as %+v", cell, a, again, b)
			}
		}
		if k, err := post.ParseAddress(key); err == nil && post.AddressKey(k) != key { // folding may lengthen a local part beyond its limit
			t.Fatalf("%q: the key %q has the key %q", cell, key, post.AddressKey(k))
		}
	})
}
