package mailings

import (
	"strings"
	"testing"

	"postroom/post"
)

// marked returns a body with its selection between bars.
func marked(body []rune, from, to int) string {
	return string(body[:from]) + "|" + string(body[from:to]) + "|" + string(body[to:])
}

func unmarked(s string) (body []rune, from, to int) {
	parts := strings.Split(s, "|")
	body = []rune(parts[0] + parts[1] + parts[2])
	return body, len([]rune(parts[0])), len([]rune(parts[0] + parts[1]))
}

// Each tool acts on what is selected, and used twice leaves what was there where
// that can be.
func TestTools(t *testing.T) {
	w := sampleWords{text: "text", column: "Column", cell: "cell"}
	for _, c := range []struct {
		tool         tool
		format       post.BodyFormat
		before, want string
	}{
		{toolBold, post.FormatMarkdown, "a |word| b", "a **|word|** b"},
		{toolBold, post.FormatMarkdown, "a |word | b", "a **|word|**  b"},
		{toolBold, post.FormatMarkdown, "a **|word|** b", "a |word| b"},
		{toolBold, post.FormatMarkdown, "a |**word**| b", "a |word| b"},
		{toolBold, post.FormatMarkdown, "||", "**|text|**"},
		{toolBold, post.FormatMarkdown, "你|好|吗", "你**|好|**吗"},
		{toolItalic, post.FormatMarkdown, "a |word| b", "a *|word|* b"},
		{toolItalic, post.FormatMarkdown, "a **|word|** b", "a ***|word|*** b"},
		{toolItalic, post.FormatMarkdown, "a *|word|* b", "a |word| b"},
		{toolItalic, post.FormatMarkdown, "a ***|word|*** b", "a **|word|** b"},
		{toolHeading, post.FormatMarkdown, "one\nti|tl|e\ntwo", "one\n# title||\ntwo"},
		{toolHeading, post.FormatMarkdown, "# ti||tle", "## title||"},
		{toolHeading, post.FormatMarkdown, "### ti||tle", "title||"},
		{toolHeading, post.FormatMarkdown, "||", "# ||"},
		{toolList, post.FormatMarkdown, "|one\ntwo|\nthree", "- one\n- two||\nthree"},
		{toolList, post.FormatMarkdown, "|- one\n- two|", "one\ntwo||"},
		{toolList, post.FormatMarkdown, "|1. one\n2. two|", "- one\n- two||"},
		{toolList, post.FormatMarkdown, "words\nit||em", "words\n\n- item||"},
		{toolList, post.FormatMarkdown, "||", "- ||"},
		{toolNumbers, post.FormatMarkdown, "|one\n\ntwo|", "1. one\n\n2. two||"},
		{toolNumbers, post.FormatMarkdown, "|1. one\n2. two|", "one\ntwo||"},
		{toolLink, post.FormatMarkdown, "a |word| b", "a [word](|https://|) b"},
		{toolLink, post.FormatMarkdown, "|https://x.example|", "[|text|](https://x.example)"},
		{toolButton, post.FormatMarkdown, "words\nmore wo||rds\nend", "words\nmore words\n\n**[text](|https://|)**\n\nend"},
		{toolButton, post.FormatMarkdown, "||", "**[text](|https://|)**\n"},
		{toolDivider, post.FormatMarkdown, "one||\n\ntwo", "one\n\n---||\n\ntwo"},
		{toolDivider, post.FormatMarkdown, "one||", "one\n\n---\n||"},
		{toolTable, post.FormatMarkdown, "||", "T |Column| T"},
		{toolBold, post.FormatHTML, "a |word| b", "a <strong>|word|</strong> b"},
		{toolBold, post.FormatHTML, "a <strong>|word|</strong> b", "a |word| b"},
		{toolHeading, post.FormatHTML, "|word|", "<h2>|word|</h2>"},
		{toolList, post.FormatHTML, "|one\ntwo|", "<ul>\n  <li>one</li>\n  <li>two||</li>\n</ul>"},
		{toolLink, post.FormatHTML, "|word|", `<a href="|https://|">word</a>`},
		{toolDivider, post.FormatHTML, "one||", "one\n\n<hr>\n||"},
	} {
		body, from, to := unmarked(c.before)
		if c.tool == toolTable {
			r := c.tool.work(c.format, body, from, to, w)
			if got := r.text; !strings.HasPrefix(got, "| Column | Column |\n| --- | --- |\n| cell | cell |") || string([]rune(got)[r.selFrom:r.selTo]) != "Column" {
				t.Errorf("table: %q", got)
			}
			continue
		}
		r := c.tool.work(c.format, body, from, to, w)
		after := append(append(append([]rune{}, body[:r.from]...), []rune(r.text)...), body[r.to:]...)
		if got := marked(after, r.selFrom, r.selTo); got != c.want {
			t.Errorf("%s on %q gives\n%q, want\n%q", c.tool, c.before, got, c.want)
		}
	}
}
