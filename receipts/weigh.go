package receipts

import "postroom/post"

// weigh says what a final refusal means for the address, by the rules for
// refusals at RCPT: the mailbox does not exist; something that counts when it
// comes again; or neither, because it is about us (policy) or says nothing.
func weigh(r post.Reply) (gone, again bool) {
	detail := ""
	if len(r.Enhanced) >= len("5.0.0") {
		detail = r.Enhanced[2:] // without the class, which a final refusal may have as 4
	}
	switch {
	case r.Enhanced != "" && r.Enhanced[0] != '5': // gave up waiting
		return false, true
	case detail == "1.1", detail == "1.10", detail == "2.1", detail == "1.6", detail == "1.3", r.Code == 556:
		return true, false
	case detail == "", detail[:1] == "7":
		return false, false
	}
	return false, true
}
