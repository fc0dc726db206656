package mailings

import (
	"slices"
	"strconv"
	"strings"

	"postroom/post"
)

// tool is a button of the bar above the body.
type tool string

// The tools.
const (
	toolBold    tool = "bold"
	toolItalic  tool = "italic"
	toolHeading tool = "heading"
	toolList    tool = "list"
	toolNumbers tool = "numbers"
	toolLink    tool = "link"
	toolImage   tool = "image" // asks, see askPicture
	toolButton  tool = "button"
	toolDivider tool = "divider"
	toolTable   tool = "table"
)

// rewrite is what a tool makes of a body: text in the place of what stood between
// two places, and what is selected then. Places count characters (runes).
type rewrite struct {
	from, to       int
	text           string
	selFrom, selTo int
}

// sample words stand where nothing is selected; they come selected, so that
// typing replaces them.
type sampleWords struct{ text, column, cell string }

// work is what a tool does with the part of a body that is selected. A tool that
// finds its own marks there takes them away.
func (t tool) work(format post.BodyFormat, body []rune, from, to int, w sampleWords) rewrite {
	html := format == post.FormatHTML
	switch t {
	case toolBold:
		return inline(body, from, to, pick(html, "<strong>", "**"), pick(html, "</strong>", "**"), w.text)
	case toolItalic:
		return inline(body, from, to, pick(html, "<em>", "*"), pick(html, "</em>", "*"), w.text)
	case toolHeading:
		if html {
			return inline(body, from, to, "<h2>", "</h2>", w.text)
		}
		return heading(body, from, to)
	case toolList, toolNumbers:
		if html {
			return htmlList(body, from, to, t == toolNumbers)
		}
		return list(body, from, to, t == toolNumbers)
	case toolLink:
		return link(body, from, to, pick(html, `<a href="`, ""), html, w.text)
	case toolButton:
		return button(body, from, to, html, w.text)
	case toolDivider:
		return block(body, to, to, pick(html, "<hr>", "---"), -1, 0)
	default:
		return table(body, to, html, w)
	}
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func runeLen(s string) int { return len([]rune(s)) }

// inline puts marks around the selected words, or takes them away.
func inline(body []rune, from, to int, before, after, sample string) rewrite {
	for from < to && body[from] == ' ' {
		from++
	}
	for to > from && body[to-1] == ' ' {
		to--
	}
	b, a := []rune(before), []rune(after)
	inner := body[from:to]
	if from >= len(b) && to+len(a) <= len(body) && slices.Equal(body[from-len(b):from], b) && slices.Equal(body[to:to+len(a)], a) && !doubled(body, from, to, before) {
		return rewrite{from - len(b), to + len(a), string(inner), from - len(b), to - len(b)}
	}
	if len(inner) >= len(b)+len(a) && slices.Equal(inner[:len(b)], b) && slices.Equal(inner[len(inner)-len(a):], a) && !(before == "*" && len(inner) > 1 && inner[1] == '*') {
		bare := inner[len(b) : len(inner)-len(a)]
		return rewrite{from, to, string(bare), from, from + len(bare)}
	}
	text := string(inner)
	if from == to {
		text = sample
	}
	return rewrite{from, to, before + text + after, from + len(b), from + len(b) + runeLen(text)}
}

// doubled reports whether the single star around the words is half of two.
func doubled(body []rune, from, to int, mark string) bool {
	star := func(i int) bool { return i >= 0 && i < len(body) && body[i] == '*' }
	return mark == "*" && star(from-1) && star(from-2) && !star(from-3) && star(to) && star(to+1) && !star(to+2)
}

// wholeLines widens a selection to whole lines.
func wholeLines(body []rune, from, to int) (int, int) {
	for from > 0 && body[from-1] != '\n' {
		from--
	}
	if to > from && body[to-1] == '\n' {
		to--
	}
	for to < len(body) && body[to] != '\n' {
		to++
	}
	return from, to
}

// heading makes the lines headings of the first, second and third order in turn,
// then plain ones again.
func heading(body []rune, from, to int) rewrite {
	from, to = wholeLines(body, from, to)
	lines := strings.Split(string(body[from:to]), "\n")
	level := 0
	for strings.HasPrefix(lines[0][level:], "#") {
		level++
	}
	mark := strings.Repeat("#", level+1) + " "
	if level >= 3 {
		mark = ""
	}
	for i, line := range lines {
		bare := strings.TrimLeft(strings.TrimLeft(line, "#"), " ")
		if bare != "" || len(lines) == 1 {
			lines[i] = mark + bare
		}
	}
	text := strings.Join(lines, "\n")
	return rewrite{from, to, text, from + runeLen(text), from + runeLen(text)}
}

// listMark is what a line of a list begins with, or "".
func listMark(line string) string {
	for _, m := range []string{"- ", "* ", "+ "} {
		if strings.HasPrefix(line, m) {
			return m
		}
	}
	digits := len(line) - len(strings.TrimLeft(line, "0123456789"))
	if digits > 0 && strings.HasPrefix(line[digits:], ". ") {
		return line[:digits+2]
	}
	return ""
}

// list makes the lines items, or plain ones where they are items of that kind.
func list(body []rune, from, to int, numbers bool) rewrite {
	from, to = wholeLines(body, from, to)
	lines := strings.Split(string(body[from:to]), "\n")
	all := true
	for _, line := range lines {
		m := listMark(line)
		all = all && (line == "" || m != "" && (m[0] >= '0' && m[0] <= '9') == numbers)
	}
	all = all && strings.Trim(string(body[from:to]), "\n") != ""
	n := 0
	for i, line := range lines {
		if line == "" && len(lines) > 1 {
			continue
		}
		n++
		bare := line[len(listMark(line)):]
		switch {
		case all:
			lines[i] = bare
		case numbers:
			lines[i] = strconv.Itoa(n) + ". " + bare
		default:
			lines[i] = "- " + bare
		}
	}
	text := strings.Join(lines, "\n")
	if !all && from > 1 && body[from-1] == '\n' && body[from-2] != '\n' && listMark(lineBefore(body, from)) == "" {
		text = "\n" + text // a list begins after an empty line everywhere
	}
	return rewrite{from, to, text, from + runeLen(text), from + runeLen(text)}
}

// lineBefore is the line that ends before a place.
func lineBefore(body []rune, at int) string {
	end := at - 1
	start := end
	for start > 0 && body[start-1] != '\n' {
		start--
	}
	return string(body[start:end])
}

func htmlList(body []rune, from, to int, numbers bool) rewrite {
	kind := pick(numbers, "ol", "ul")
	from, to = wholeLines(body, from, to)
	var b strings.Builder
	b.WriteString("<" + kind + ">\n")
	for line := range strings.SplitSeq(string(body[from:to]), "\n") {
		b.WriteString("  <li>" + strings.TrimSpace(line) + "</li>\n")
	}
	b.WriteString("</" + kind + ">")
	text := b.String()
	end := from + runeLen(text) - runeLen("</li>\n</"+kind+">")
	return rewrite{from, to, text, end, end}
}

const (
	scheme     = "https://"
	buttonHTML = `<a href="` + scheme + `" style="display:inline-block;padding:10px 20px;background-color:#1d5c9b;color:#ffffff;text-decoration:none;border-radius:6px">`
)

// isAddress reports whether the selected words are an address of the web.
func isAddress(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "mailto:")
}

// link makes the words a link, and selects what is still to be filled in.
func link(body []rune, from, to int, open string, html bool, sample string) rewrite {
	words, address := string(body[from:to]), scheme
	switch {
	case isAddress(strings.TrimSpace(words)):
		words, address = sample, strings.TrimSpace(words)
	case words == "":
		words = sample
	}
	if html {
		text := open + address + `">` + words + "</a>"
		if address != scheme {
			at := from + runeLen(open+address+`">`)
			return rewrite{from, to, text, at, at + runeLen(words)}
		}
		at := from + runeLen(open)
		return rewrite{from, to, text, at, at + runeLen(address)}
	}
	text := "[" + words + "](" + address + ")"
	if address != scheme {
		return rewrite{from, to, text, from + 1, from + 1 + runeLen(words)}
	}
	at := from + runeLen("["+words+"](")
	return rewrite{from, to, text, at, at + runeLen(address)}
}

// button puts a link that looks like a button in a paragraph of its own: in
// Markdown one that holds a link in bold letters and nothing else.
func button(body []rune, from, to int, html bool, sample string) rewrite {
	words := string(body[from:to])
	if words == "" {
		words = sample
	}
	if html {
		return block(body, from, to, buttonHTML+words+"</a>", runeLen(`<a href="`), runeLen(scheme))
	}
	before := "**[" + words + "]("
	return block(body, from, to, before+scheme+")**", runeLen(before), runeLen(scheme))
}

// table puts a small table in.
func table(body []rune, at int, html bool, w sampleWords) rewrite {
	if html {
		text := "<table>\n  <tr><th>" + w.column + "</th><th>" + w.column + "</th></tr>\n  <tr><td>" + w.cell + "</td><td>" + w.cell + "</td></tr>\n</table>"
		return block(body, at, at, text, runeLen("<table>\n  <tr><th>"), runeLen(w.column))
	}
	text := "| " + w.column + " | " + w.column + " |\n| --- | --- |\n| " + w.cell + " | " + w.cell + " |"
	return block(body, at, at, text, 2, runeLen(w.column))
}

// block puts text into a paragraph of its own and selects a part of it; a
// negative one means the place behind it.
func block(body []rune, from, to int, text string, sel, n int) rewrite {
	if from == to { // not into the middle of a line
		_, to = wholeLines(body, to, to)
		from = to
	}
	before, after := "", "\n\n"
	if from > 0 {
		before = "\n\n"
		for i := 1; i <= 2 && from-i >= 0 && body[from-i] == '\n'; i++ {
			before = before[1:]
		}
	}
	if rest := body[to:]; len(rest) == 0 {
		after = "\n"
	} else {
		for i := 0; i < 2 && i < len(rest) && rest[i] == '\n'; i++ {
			after = after[1:]
		}
	}
	start := from + len(before)
	out := rewrite{from: from, to: to, text: before + text + after}
	if out.selFrom = start + sel; sel < 0 {
		out.selFrom = from + runeLen(out.text)
	}
	out.selTo = out.selFrom + n
	return out
}
