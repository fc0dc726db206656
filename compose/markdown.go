package compose

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// markdown is CommonMark with tables, strikethrough and bare links. Raw HTML is
// off: what looks like it is shown as it was typed, so that nothing is lost.
// Safe for concurrent use.
var markdown = goldmark.New(
	goldmark.WithParser(parser.NewParser(
		parser.WithBlockParsers(without(parser.DefaultBlockParsers(), parser.NewHTMLBlockParser())...),
		parser.WithInlineParsers(without(parser.DefaultInlineParsers(), parser.NewRawHTMLParser())...),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...),
		parser.WithASTTransformers(util.Prioritized(styler{}, 1000)),
	)),
	goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.Linkify),
	goldmark.WithRendererOptions(html.WithXHTML()),
)

// without leaves one parser out of goldmark's own.
func without(all []util.PrioritizedValue, not any) []util.PrioritizedValue {
	var kept []util.PrioritizedValue
	for _, v := range all {
		if v.Value != not {
			kept = append(kept, v)
		}
	}
	return kept
}

// The page around a Markdown mailing: readable in clients that know little
// CSS, at any width, light and dark. It is one line, so that the lines of HTML
// that users wrote keep their numbers.
const (
	pageHead = `<!DOCTYPE html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">` +
		`<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">` +
		`<style>:root{color-scheme:light dark;supported-color-schemes:light dark}</style></head>` +
		`<body style="margin:0;padding:0"><div style="max-width:600px;margin:0 auto;padding:24px 16px;` +
		`font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'PingFang SC','Hiragino Sans GB','Microsoft YaHei','Noto Sans CJK SC',sans-serif;` +
		`font-size:16px;line-height:1.5;overflow-wrap:break-word">`
	pageFoot = "</div></body></html>\n"
)

// styles are the inline styles of elements: many clients drop style sheets.
// Greys are half transparent, which reads on light and dark.
var styles = map[ast.NodeKind]string{
	ast.KindParagraph:       "margin:0 0 16px",
	ast.KindList:            "margin:0 0 16px;padding-left:24px",
	ast.KindBlockquote:      "margin:0 0 16px;padding:0 0 0 12px;border-left:3px solid #888888",
	ast.KindCodeBlock:       "margin:0 0 16px;white-space:pre-wrap;font-family:Consolas,Menlo,monospace;font-size:14px",
	ast.KindFencedCodeBlock: "margin:0 0 16px;white-space:pre-wrap;font-family:Consolas,Menlo,monospace;font-size:14px",
	ast.KindThematicBreak:   "margin:24px 0;border:0;border-top:1px solid #888888",
	ast.KindImage:           "max-width:100%;height:auto;border:0",
	east.KindTable:          "margin:0 0 16px;border-collapse:collapse",
	east.KindTableCell:      "padding:6px 10px;border:1px solid #888888;vertical-align:top",
}

var headingStyles = [...]string{
	1: "margin:0 0 16px;font-size:26px;line-height:1.25",
	2: "margin:24px 0 12px;font-size:21px;line-height:1.3",
	3: "margin:20px 0 8px;font-size:18px;line-height:1.35",
	4: "margin:16px 0 8px;font-size:16px", 5: "margin:16px 0 8px;font-size:16px", 6: "margin:16px 0 8px;font-size:16px",
}

// styler puts the styles on goldmark's nodes.
type styler struct{}

// Transform implements parser.ASTTransformer.
func (styler) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		style := styles[n.Kind()]
		if h, ok := n.(*ast.Heading); ok {
			style = headingStyles[h.Level]
		}
		if isButton(n) {
			style = buttonStyle
			n.SetAttributeString("class", []byte("pr-button"))
		}
		if style != "" {
			n.SetAttributeString("style", []byte(style))
		}
		return ast.WalkContinue, nil
	})
	if err != nil { // the walker above returns none
		panic(err)
	}
}

// buttonStyle makes a link a button: white on a blue that is dark enough for it,
// on light grounds and dark ones. A design puts its own colours in their place.
const (
	buttonColours = "background-color:#1d5c9b;color:#ffffff"
	buttonStyle   = "display:inline-block;padding:10px 20px;" + buttonColours + ";text-decoration:none;border-radius:6px"
)

// isButton reports whether n is the link of a paragraph that holds a link in bold
// letters and nothing else, **[Book a table](https://...)**: that is a button.
func isButton(n ast.Node) bool {
	if n.Kind() != ast.KindLink || n.Parent().ChildCount() != 1 {
		return false
	}
	bold, ok := n.Parent().(*ast.Emphasis)
	return ok && bold.Level == 2 && bold.Parent().Kind() == ast.KindParagraph && bold.Parent().ChildCount() == 1
}

// Around the placeholder of a condition stands a character that no bare link
// goes over: a link that took in half a condition would say it twice.
const (
	fence        = "\ue000"
	fenceEscaped = "%EE%80%80" // what becomes of it in an address
)

// fenceControls puts the fences in.
func fenceControls(src string, s *shield) string {
	var b strings.Builder
	for {
		start, end, n, ok := s.next(src)
		if !ok {
			b.WriteString(src)
			return b.String()
		}
		b.WriteString(src[:start])
		if s.tags[n].isControl() {
			b.WriteString(fence + src[start:end] + fence)
		} else {
			b.WriteString(src[start:end])
		}
		src = src[end:]
	}
}

// markdownHTML turns Markdown with protected tags into HTML with the same
// protected tags, without the page around it.
func markdownHTML(src string, s *shield) (string, error) {
	var b bytes.Buffer
	if err := markdown.Convert([]byte(fenceControls(src, s)), &b); err != nil {
		return "", err
	}
	either := "(?:" + fence + "|" + fenceEscaped + ")"
	out := regexp.MustCompile(either+"("+s.mark+`\d+x)`+either).ReplaceAllString(b.String(), "$1")
	// A paragraph or table row that holds conditions alone must not become an
	// empty one in the message.
	holders := regexp.MustCompile(`<p[^>]*>\s*(?:` + s.mark + `\d+x\s*)+</p>\n?|` +
		`<tr>\s*<td[^>]*>` + s.mark + `\d+x</td>\s*(?:<td[^>]*></td>\s*)*</tr>\n?`)
	return holders.ReplaceAllStringFunc(out, func(holder string) string {
		var kept strings.Builder
		for rest := holder; ; {
			start, end, n, ok := s.next(rest)
			if !ok {
				return kept.String() + "\n"
			}
			if !s.tags[n].isControl() {
				return holder
			}
			kept.WriteString(rest[start:end])
			rest = rest[end:]
		}
	}), nil
}
