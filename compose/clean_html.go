package compose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/vanng822/go-premailer/premailer"
	"golang.org/x/net/html"

	"postroom/post"
)

// cleaner is what HTML from elsewhere may hold: what shows something, at any
// width. Scripts, forms, frames, event handlers, remote style sheets and
// addresses other than https, http, mailto and cid are out. Safe for concurrent use.
var cleaner = func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowUnsafe(true) // style elements; what is in them is looked at by cleanCSS
	p.AllowElements("html", "head", "body", "title", "style", "div", "span", "p", "h1", "h2", "h3", "h4", "h5", "h6", "br", "hr", "b", "strong", "i", "em",
		"u", "s", "del", "ins", "small", "big", "sub", "sup", "blockquote", "q", "cite", "pre", "code", "tt", "kbd", "abbr", "center", "font", "a", "img",
		"ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption", "colgroup", "col", "header", "footer", "main",
		"section", "article", "aside", "nav", "figure", "figcaption", "address", "mark", "time", "wbr", "bdi", "bdo", "ruby", "rt", "rp")
	p.AllowNoAttrs().Globally()
	p.AllowElementsContent("style", "title")
	p.AllowAttrs("style", "class", "id", "title", "lang", "dir", "align", "valign", "role", "aria-label", "aria-hidden", "aria-labelledby", "width", "height", "bgcolor").Globally()
	p.AllowAttrs("href", "name", "target", "rel").OnElements("a")
	p.AllowAttrs("src", "alt", "border", "hspace", "vspace").OnElements("img")
	p.AllowAttrs("border", "cellpadding", "cellspacing", "background", "summary", "rules", "frame").OnElements("table")
	p.AllowAttrs("colspan", "rowspan", "nowrap", "scope", "background", "headers", "abbr").OnElements("td", "th", "tr")
	p.AllowAttrs("span").OnElements("col", "colgroup")
	p.AllowAttrs("start", "type", "value", "reversed").OnElements("ol", "ul", "li")
	p.AllowAttrs("color", "face", "size").OnElements("font")
	p.AllowAttrs("text", "link", "vlink", "alink", "xmlns").OnElements("body", "html")
	p.AllowAttrs("datetime", "cite").OnElements("time", "blockquote", "q", "del", "ins")
	p.AllowAttrs("size", "noshade", "color").OnElements("hr")
	p.AllowElements("meta")
	p.AllowAttrs("charset", "content").OnElements("meta")
	p.AllowAttrs("name").Matching(regexp.MustCompile(`(?i)^(?:viewport|color-scheme|supported-color-schemes|description|author|x-apple-disable-message-reformatting|format-detection)$`)).OnElements("meta")
	p.AllowAttrs("type", "media").OnElements("style")
	p.AllowURLSchemes("https", "http", "mailto", "cid")
	p.AllowRelativeURLs(true) // a tag, or what preflight warns of
	p.RequireParseableURLs(true)
	return p
}()

// CleanHTML makes HTML from elsewhere fit for a message: what has no place in
// one is taken out, and said in removed (as "script", "onclick", ...); style
// sheets are put into the elements where they can be, because many readers drop
// them. Merge tags stay. What needs nothing of it comes back as it was.
func CleanHTML(src string) (clean string, removed []string, err error) {
	if len(src) > maxSource {
		return "", nil, post.Errorf(post.KindInvalid, "read the HTML", "it is longer than %d MB", maxSource>>20)
	}
	protected, s := protect(cleanText(src))
	out := cleaner.Sanitize(cleanStyles(protected, nil))
	before, after := inventory(protected), inventory(out)
	cleanStyles(protected, func(what string) { before[what]++ })
	for what, n := range before {
		if n > after[what] {
			removed = append(removed, what)
		}
	}
	slices.Sort(removed)
	styled := hasStyleSheet(out)
	if len(removed) == 0 && !styled {
		return src, nil, nil
	}
	if doctype.MatchString(protected) {
		out = "<!DOCTYPE html>" + out
	}
	if styled {
		if out, err = inlineStyles(out, s); err != nil {
			return "", nil, err
		}
	}
	return s.restoreAs(out), removed, nil
}

var doctype = regexp.MustCompile(`(?i)^\s*<!doctype html`)

// inventory counts the elements and attributes of an HTML text.
func inventory(src string) map[string]int {
	n := map[string]int{}
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return n
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			n[t.Data]++
			for _, a := range t.Attr {
				if !strings.HasPrefix(a.Key, "xmlns") && !strings.HasPrefix(a.Key, "data-") {
					n[t.Data+" "+a.Key]++
				}
			}
			if t.Data == "svg" || t.Data == "math" { // what is inside goes with it
				return n
			}
		}
	}
}

// badCSS are the parts of a style sheet that fetch another one or run something.
var badCSS = []struct {
	what string
	form *regexp.Regexp
}{
	{"@import", regexp.MustCompile(`(?i)@import[^;{}]*;?`)},
	{"expression()", regexp.MustCompile(`(?i)[-a-z]+\s*:\s*expression\s*\([^;}]*;?`)},
	{"behavior", regexp.MustCompile(`(?i)(?:behavior|-moz-binding)\s*:[^;}]*;?`)},
	{"url(javascript:)", regexp.MustCompile(`(?i)url\(\s*["']?\s*(?:javascript|vbscript|data:text)[^)]*\)`)},
}

func cleanCSS(css string, report func(what string)) string {
	plain := strings.ReplaceAll(css, "\\", "") // an escape could spell any of these
	for _, b := range badCSS {
		if b.form.MatchString(plain) {
			css, plain = b.form.ReplaceAllString(plain, ""), b.form.ReplaceAllString(plain, "")
			if report != nil {
				report(b.what)
			}
		}
	}
	return strings.NewReplacer("<", "", "-->", "").Replace(css)
}

// cleanStyles cleans the style sheets and style attributes of an HTML text.
func cleanStyles(src string, report func(what string)) string {
	var b strings.Builder
	inStyle := false
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			if raw := string(z.Raw()); inStyle {
				b.WriteString(cleanCSS(raw, report))
			} else {
				b.WriteString(raw)
			}
			continue
		case html.StartTagToken, html.SelfClosingTagToken:
			raw := string(z.Raw())
			t := z.Token()
			inStyle = t.Data == "style" && t.Type == html.StartTagToken
			changed := false
			for i := range t.Attr {
				if t.Attr[i].Key == "style" {
					if css := cleanCSS(t.Attr[i].Val, report); css != t.Attr[i].Val {
						t.Attr[i].Val, changed = css, true
					}
				}
			}
			if changed {
				raw = t.String()
			}
			b.WriteString(raw)
			continue
		case html.EndTagToken:
			inStyle = false
		}
		b.Write(z.Raw())
	}
}

func hasStyleSheet(src string) bool {
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return false
		case html.StartTagToken:
			if name, _ := z.TagName(); string(name) == "style" {
				return true
			}
		}
	}
}

// inlineStyles puts style sheets into the elements. The library reads the text
// as a tree, which would move a condition out of a table; as comments conditions
// stay where they are.
func inlineStyles(src string, s *shield) (out string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = post.Errorf(post.KindInvalid, "read the HTML", "its style sheet cannot be read (%v)", r)
		}
	}()
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(src))
	raw := false
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		text := string(z.Raw())
		switch kind {
		case html.TextToken:
			if !raw {
				text = s.commented(text)
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			raw = string(name) == "style" || string(name) == "title"
		case html.EndTagToken:
			raw = false
		}
		b.WriteString(text)
	}
	p, err := premailer.NewPremailerFromString(b.String(), &premailer.Options{CssToAttributes: false, KeepBangImportant: false})
	if err != nil {
		return "", fmt.Errorf("read the style sheet: %w", err)
	}
	if out, err = p.Transform(); err != nil {
		return "", fmt.Errorf("read the style sheet: %w", err)
	}
	return regexp.MustCompile(`<!--(`+s.mark+`\d+x)-->`).ReplaceAllString(out, "$1"), nil
}

// commented puts the placeholders of conditions into comments.
func (s *shield) commented(text string) string {
	var b strings.Builder
	for {
		start, end, n, ok := s.next(text)
		if !ok {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:start])
		if s.tags[n].isControl() {
			b.WriteString("<!--" + text[start:end] + "-->")
		} else {
			b.WriteString(text[start:end])
		}
		text = text[end:]
	}
}
