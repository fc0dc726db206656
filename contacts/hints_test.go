package contacts

import "testing"

func TestTypos(t *testing.T) {
	for domain, want := range map[string]string{
		"gmial.com": "gmail.com", "gmai.com": "gmail.com", "gmaill.com": "gmail.com", "gnail.com": "gmail.com", "gmail.con": "gmail.com",
		"hotmal.com": "hotmail.com", "yaho.com": "yahoo.com", "outlok.com": "outlook.com", "t-onlne.de": "t-online.de",
		"gmail.com": "", "mail.com": "", "ymail.com": "", "example.com": "", "gmailcom.de": "", "outlook.de": "", "": "", "g": "",
	} {
		if got := typoOf(domain); got != want {
			t.Errorf("%s: meant %q, want %q", domain, got, want)
		}
	}
}
