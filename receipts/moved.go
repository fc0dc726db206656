package receipts

import (
	"strings"

	"postroom/post"
)

// movedWords announce that somebody has another address now, in lower case.
var movedWords = []string{
	"address has changed", "address changed", "address is changing", "email has changed", "e-mail has changed", "change of address", "change of email", "change of e-mail",
	"changed my email", "changed my e-mail", "changed my address", "new address", "new email", "new e-mail", "new mail address",
	"neue adresse", "neuen adresse", "neue e-mail", "neuen e-mail", "neue email", "neuen email", "neue mailadresse", "neue mail-adresse", "adresse hat sich geändert", "adresse geändert",
	"adressänderung", //nolint:misspell // German
	"新邮箱", "新的邮箱", "新邮件地址", "新的邮件地址", "新电子邮箱", "新的电子邮箱", "邮箱已更换", "邮箱已变更", "邮箱变更", "更换邮箱", "邮箱地址已", "郵箱已更換", "新郵箱", "新信箱",
}

// What is looked at for a new address.
const (
	movedBytes = 4000
	movedLines = 40
)

// noteOfMove returns the words by which a message announces the sender's new
// address, with that address in them; empty: it announces none. Nothing follows
// from it: the user reads it, and decides.
func (l *letter) noteOfMove() string {
	text := l.text()
	lines := []string{l.top.decoded("subject")}
	for line := range strings.Lines(text[:min(len(text), movedBytes)]) {
		line = strings.TrimSpace(line)
		if isQuote(strings.ToLower(line)) || len(lines) > movedLines { // what follows is ours
			break
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	for i, line := range lines {
		if !hasAny(strings.ToLower(line), movedWords) {
			continue
		}
		for last := i; last < min(i+3, len(lines)); last++ { // the address often has a line of its own
			if said := strings.Join(lines[i:last+1], " "); l.namesAnother(said) {
				return post.CleanReply(said)
			}
		}
	}
	return ""
}

// namesAnother reports an address that is neither the sender's nor one that the
// message was sent to.
func (l *letter) namesAnother(said string) bool {
	known := strings.ToLower(l.source() + " " + l.top.get("to") + " " + l.top.get("cc"))
	for _, a := range addressPattern.FindAllString(said, 5) {
		if !strings.Contains(known, strings.ToLower(strings.Trim(a, "<>"))) {
			return true
		}
	}
	return false
}

// speaksOfMove reports that the subject is about a new address, in mail that no
// list sends.
func (l *letter) speaksOfMove() bool {
	return hasAny(strings.ToLower(l.top.decoded("subject")), movedWords) && !l.top.has("list-id") && !l.top.has("list-unsubscribe")
}

// moved keeps an announcement that answers nothing of ours for the user to see.
func (l *letter) moved(r *Reading) bool {
	if len(l.conversation()) > 0 || !l.speaksOfMove() {
		return false
	}
	note := l.noteOfMove()
	if note == "" {
		return false
	}
	r.Says = []Saying{{Kind: post.ReceiptUnknown, Address: r.Source, Reply: post.Reply{Text: note}}}
	return true
}

// gist is what an answer is shown by: the new address that it gives, else its
// subject.
func (l *letter) gist() string {
	if note := l.noteOfMove(); note != "" {
		return note
	}
	return post.CleanReply(l.top.decoded("subject"))
}
