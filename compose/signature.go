package compose

import (
	"html"
	"strings"
)

// signatureMark stands in compiled texts where the signature of the account that
// sends goes. No text of a user holds it: see cleanText.
const signatureMark = "\x01"

// signature is what ends an account's mail. It is a value, never a source: braces
// in it are braces.
type signature struct{ text, html string }

// signaturesOf makes the signatures of the accounts that have one; nil: none has.
func signaturesOf(all map[int64]string) map[int64]signature {
	var out map[int64]signature
	for account, s := range all {
		if s = strings.Trim(cleanText(s), "\n"); s == "" {
			continue
		}
		if out == nil {
			out = make(map[int64]signature, len(all))
		}
		out[account] = signature{
			// Programs know the line by its two hyphens and its space, and leave what
			// follows out of answers (RFC 3676 4.3).
			text: "\n\n-- \n" + s,
			html: `<div class="pr-signature" style="max-width:600px;margin:24px auto 0">` +
				strings.ReplaceAll(html.EscapeString(s), "\n", "<br>") + "</div>",
		}
	}
	return out
}

// signedText puts the mark into a text that ends in a line's end: before that, so
// that the text of who has no signature stays as it is.
func (m *Mailing) signedText(text string) string {
	if m.sign == "" {
		return text
	}
	return strings.TrimSuffix(text, "\n") + m.sign + "\n"
}
