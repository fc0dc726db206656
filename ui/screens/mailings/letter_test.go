package mailings

import (
	"fmt"
	"strings"
	"testing"

	"postroom/ui/widgets"
)

// told writes parts down in one line each.
func told(parts []widgets.LetterPart) string {
	kinds := map[widgets.LetterKind]string{
		widgets.LetterText: "text", widgets.LetterHeading: "heading", widgets.LetterItem: "item", widgets.LetterQuote: "quote", widgets.LetterCode: "code",
		widgets.LetterLine: "line", widgets.LetterButton: "button", widgets.LetterImage: "image", widgets.LetterRow: "row",
	}
	runs := func(all []widgets.LetterRun) string {
		var b strings.Builder
		for _, r := range all {
			look := ""
			for _, l := range []struct {
				on bool
				c  string
			}{{r.Bold, "b"}, {r.Italic, "i"}, {r.Mono, "m"}, {r.Link, "l"}} {
				if l.on {
					look += l.c
				}
			}
			if look != "" {
				look += ":"
			}
			b.WriteString("[" + look + r.Text + "]")
		}
		return b.String()
	}
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%s", kinds[p.Kind])
		if p.Level > 0 {
			fmt.Fprintf(&b, "%d", p.Level)
		}
		if p.Bullet != "" {
			b.WriteString(" " + p.Bullet)
		}
		if len(p.Runs) > 0 {
			b.WriteString(" " + runs(p.Runs))
		}
		for _, c := range p.Cells {
			b.WriteString(" | " + runs(c))
		}
		b.WriteString("\n")
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// The rich text says what the HTML says, and nothing that is not to be seen.
func TestLetterOf(t *testing.T) {
	for _, c := range []struct{ page, want string }{
		{"<p>Dear  <b>Anna</b>,\n welcome</p>", "text [Dear ][b:Anna][, welcome]\n"},
		{"<h2>Hours</h2><p>a<br>b</p>", "heading2 [Hours]\ntext [a\nb]\n"},
		{"<ul><li>one</li><li>two<ol start=3><li>x</li></ol></li></ul>", "item1 • [one]\nitem1 • [two]\nitem2 3. [x]\n"},
		{"<ul><li><p>loose</p></li></ul>", "item1 • [loose]\n"},
		{"<a href='https://x'>go</a> <a style='background-color: red' href='https://x'>Book</a>", "text [l:go]\nbutton [b:Book]\n"},
		{"<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td></td></tr></table>", "row | [b:A] | [b:B]\nrow | [1] |\n"},
		{"<table role=presentation><tr><td><p>x</p></td></tr></table>", "text [x]\n"},
		{"<hr><img alt='stove' src='cid:a'><img src='data:image/png;base64,AAAA'>", "line\nimage [stove]\nimage []\n"},
		{"<pre>a  b\n c</pre><blockquote><p>q</p></blockquote>", "code [m:a  b\n c]\nquote [q]\n"},
		{"<script>alert(1)</script><style>p{}</style><div style='display: none'>preview</div>x &lt;b&gt; y", "text [x <b> y]\n"},
		{"", ""},
		{"<p>", ""},
	} {
		if got := told(letterOf(c.page)); got != c.want {
			t.Errorf("%s\ngives\n%swant\n%s", c.page, got, c.want)
		}
	}
}
