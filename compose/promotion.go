package compose

import (
	"encoding/hex"
	"hash/fnv"
	"html"
	"regexp"
	"strings"
	"unicode"

	"postroom/post"
)

// unsubscribeMark stands in compiled texts where each recipient's own way to
// unsubscribe goes. It is an address, so that html/template treats it as one,
// below a name that can never exist (RFC 2606).
const unsubscribeMark = "https://unsubscribe.postroom.invalid/"

// unsubscribeTag is how users place the link themselves.
var unsubscribeTag = regexp.MustCompile(`\{\{-?\s*unsubscribe_link\s*-?\}\}`)

// placeLink puts the mark where the user wants the link; placed says that there
// is such a place. Without a promotion there is nothing to unsubscribe from, and
// the tag is an unknown field.
func placeLink(src string, p *post.Promotion) (out string, placed bool) {
	if p == nil {
		return src, false
	}
	out = unsubscribeTag.ReplaceAllString(src, unsubscribeMark)
	return out, out != src
}

// fill is a value of ours that takes the place of a mark in compiled texts.
type fill struct {
	mark   string
	value  *expr
	escape bool // as that of op
}

// filled splits the literals of ops at the marks.
func filled(ops []op, fills []fill) []op {
	for _, f := range fills {
		ops = f.put(ops)
	}
	return ops
}

func (f *fill) put(ops []op) []op {
	var out []op
	for _, o := range ops {
		o.yes, o.no = f.put(o.yes), f.put(o.no)
		if o.lit == nil {
			out = append(out, o)
			continue
		}
		for i, piece := range strings.Split(o.lit.text, f.mark) {
			if i > 0 {
				out = append(out, op{print: f.value, escape: f.escape})
			}
			if piece != "" {
				out = append(out, literalOp(piece))
			}
		}
	}
	return out
}

// footer is what ends a promotional message: the sender's address, and the link
// unless the text has it already.
type footer struct{ html, text string }

func footerOf(p *post.Promotion, body string, placed bool) footer {
	if p == nil {
		return footer{}
	}
	words := p.UnsubscribeWords
	if words == "" {
		words = "Unsubscribe"
		if isChinese(body) {
			words = "退订"
		}
	}
	var f footer
	var lines, shown []string
	for l := range strings.Lines(cleanText(p.PostalAddress)) {
		if l = strings.TrimSpace(l); l != "" {
			lines, shown = append(lines, literalBraces(l)), append(shown, literalBraces(html.EscapeString(l)))
		}
	}
	if !placed {
		lines = append(lines, literalBraces(words)+": "+unsubscribeMark)
		shown = append(shown, `<a href="`+unsubscribeMark+`" style="color:inherit">`+literalBraces(html.EscapeString(words))+"</a>")
	}
	if len(lines) == 0 {
		return f
	}
	f.text = "\n----------\n" + strings.Join(lines, "\n") + "\n"
	f.html = `<div class="pr-foot" style="max-width:600px;margin:32px auto 0;padding:16px 0 0;border-top:1px solid #888888;font-size:13px;line-height:1.6;color:#767676">` +
		strings.Join(shown, "<br>") + "</div>"
	return f
}

// markup is what a body holds besides its words.
var markup = regexp.MustCompile(`(?s)\{\{.*?\}\}|<style.*?</style>|<[^>]*>|https?:\S+|\]\([^)]*\)`)

// isChinese reports whether at least a fifth of a text's letters are Chinese.
func isChinese(s string) bool {
	letters, han := 0, 0
	for _, r := range markup.ReplaceAllString(s, "") {
		if unicode.IsLetter(r) {
			letters++
			if unicode.Is(unicode.Han, r) {
				han++
			}
		}
	}
	return han > 0 && han*5 >= letters
}

var bodyEnd = regexp.MustCompile(`(?i)</body\s*>`)

// insertBeforeEnd puts the footer of a page before its body ends.
func insertBeforeEnd(page, what string) string {
	if what == "" {
		return page
	}
	all := bodyEnd.FindAllStringIndex(page, -1)
	if len(all) == 0 {
		return page + what
	}
	at := all[len(all)-1][0]
	return page[:at] + what + page[at:]
}

// token names a delivery to those who cannot guess it: the part of its
// Message-ID before the domain. What comes back with it is tied by package receipts.
func token(messageID string) string {
	local, _, _ := strings.Cut(strings.Trim(messageID, "<>"), "@")
	return local
}

// unsubscribeURL is the recipient's own page, or "".
func unsubscribeURL(p *post.Promotion, token string) string {
	switch {
	case p.UnsubscribeURL == "":
		return ""
	case strings.Contains(p.UnsubscribeURL, "{token}"):
		return strings.ReplaceAll(p.UnsubscribeURL, "{token}", percent(token))
	case strings.Contains(p.UnsubscribeURL, "?"):
		return p.UnsubscribeURL + "&token=" + percent(token)
	default:
		return p.UnsubscribeURL + "?token=" + percent(token)
	}
}

// unsubscribeMail is the address that takes the wish by mail.
func unsubscribeMail(from post.Address, token string) string {
	return "mailto:" + percent(from.Local) + "@" + from.ASCII + "?subject=unsubscribe%20" + percent(token)
}

// unsubscribeLink is where the link in the text leads.
func unsubscribeLink(p *post.Promotion, from post.Address, token string) string {
	if u := unsubscribeURL(p, token); u != "" {
		return u
	}
	return unsubscribeMail(from, token)
}

// appendListFields appends what programs go by: the list's name (RFC 2919), how
// to leave it (RFC 2369), and that one press is enough (RFC 8058).
func appendListFields(b []byte, p *post.Promotion, from post.Address, token string) []byte {
	b = append(append(append(append(b, "List-Id: <"...), listLabel(p.List)...), '.'), from.ASCII...)
	b = append(b, ">\r\nList-Unsubscribe:"...)
	page := unsubscribeURL(p, token)
	if page != "" {
		b = append(append(append(b, "\r\n <"...), page...), ">,"...)
	}
	b = append(append(append(b, "\r\n <"...), unsubscribeMail(from, token)...), ">\r\n"...)
	if page != "" {
		b = append(b, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"...)
	}
	return b
}

// listLabel makes a list's name fit for a List-Id: letters, digits and hyphens.
// What is lost from the name is made up for by a hash of it.
func listLabel(name string) string {
	var b strings.Builder
	lost := false
	for _, r := range strings.ToLower(strings.TrimSpace(name)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == ' ' || r == '-' || r == '_' || r == '.':
			if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
				b.WriteByte('-')
			}
		default:
			lost = true
		}
	}
	label := strings.Trim(cutAtRune(b.String(), 40), "-")
	if lost || label == "" {
		h := fnv.New32a()
		h.Write([]byte(name))
		label = strings.TrimPrefix(label+"-"+hex.EncodeToString(h.Sum(nil)), "-")
	}
	return label
}
