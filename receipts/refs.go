package receipts

import (
	"bytes"
	"regexp"
	"strings"
)

// A ref is what our Message-IDs have before the "@", and the envelope id with
// it: the mailing's token, the row, and a random number that nobody can guess.
var (
	refPattern   = regexp.MustCompile(`(?:^|[^a-z0-9.])([a-z2-7]{16}\.[1-9][0-9]{0,9}\.[0-9a-z]{1,13})@`)
	shownID      = regexp.MustCompile(`(?i)message-id:(?:<[^<>@]{0,40}>|\s)*(?:&lt;|<)?[a-z2-7]{16}\.[0-9]{1,10}\.[0-9a-z]{1,13}@`)
	tokenPattern = regexp.MustCompile(`(?:^|[^a-z0-9])([a-z2-7]{16}\.[1-9][0-9]{0,9}\.[0-9a-z]{1,13})(?:$|[^a-z0-9.])`)
)

const maxRefs = 20

// refsIn finds ids in the values of fields that hold Message-IDs, in their
// order. Case is kept by every server that was seen, but not by the rules.
func refsIn(values ...string) []string {
	return find(refPattern, values)
}

// tokensIn finds ids that stand as a token in an address or a subject.
func tokensIn(values ...string) []string {
	return find(tokenPattern, values)
}

func find(p *regexp.Regexp, values []string) (all []string) {
	for _, v := range values {
		v = strings.ToLower(v[:min(len(v), maxHeader)])
		for _, m := range p.FindAllStringSubmatch(v, maxRefs) {
			if len(all) < maxRefs {
				all = append(all, m[1])
			}
		}
	}
	return all
}

// returnedRefs finds the Message-ID of a returned message: in a part of its own,
// else where its header was copied into the text.
func (l *letter) returnedRefs() (all []string) {
	for _, p := range l.parts {
		switch p.kind {
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/rfc822-headers":
			all = append(all, refsIn(readFields(bytes.TrimLeft(p.body, "\r\n")).get("message-id"))...)
		}
	}
	if len(all) > 0 {
		return all
	}
	for _, p := range l.parts {
		switch {
		case p.kind == "text/html":
			for _, m := range shownID.FindAllString(string(p.body), maxRefs) { // its "<" may look like a tag
				all = append(all, refsIn(m)...)
			}
		case strings.HasPrefix(p.kind, "text/"):
			all = append(all, copiedRefs(p.body)...)
		}
	}
	return all[:min(len(all), maxRefs)]
}

// copiedRefs finds lines "Message-ID: ..." in a text, quoted or indented, with
// the id on the same line or folded onto the next.
func copiedRefs(b []byte) (all []string) {
	const name = "message-id:"
	fold := false
	for line := range bytes.Lines(b) {
		s := strings.ToLower(strings.TrimLeft(string(line[:min(len(line), 1000)]), "> \t|"))
		switch {
		case strings.HasPrefix(s, name):
			found := refsIn(s[len(name):])
			fold = len(found) == 0
			all = append(all, found...)
		case fold:
			all, fold = append(all, refsIn(s)...), false
		}
		if len(all) >= maxRefs {
			break
		}
	}
	return all
}
