// Package designs holds the starter designs: five looks for a message (letter,
// newsletter, announcement, invoice, invitation), each with a text to begin
// with, in English and Chinese.
//
// A look is a page around a text in Markdown. It is readable from 320 pixels on,
// in light and dark, and takes a colour, a logo and a name from the account's
// letterhead. Dress makes a mailing's design of it, which is frozen with the
// mailing: what a later version of a look is like changes no old message.
package designs

import (
	"embed"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"

	"postroom/post"
)

//go:embed *.html *.md
var files embed.FS

// Names are the designs, as they are shown in order.
func Names() []string {
	return []string{"letter", "newsletter", "announcement", "invoice", "invitation"}
}

// Starter is the text to begin with.
type Starter struct {
	Subject, Preview string
	Body             string // Markdown with merge tags
}

// Start returns a design's text to begin with; lang is en or zh-Hans, name what
// the sender is called. Another design or language is post.KindNotFound.
func Start(design, lang, name string) (Starter, error) {
	b, err := files.ReadFile(design + "." + lang + ".md")
	if err != nil {
		return Starter{}, unknown(design)
	}
	text := strings.ReplaceAll(string(b), "{name}", plainBraces(name))
	head, body, _ := strings.Cut(text, "\n\n")
	s := Starter{Body: body}
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Subject":
			s.Subject = value
		case "Preview":
			s.Preview = value
		}
	}
	return s, nil
}

func unknown(design string) error {
	return &post.Error{
		Kind: post.KindNotFound, Op: "choose the design", Message: fmt.Sprintf("there is no design %q; there are %s", design, strings.Join(Names(), ", ")),
		Reason: post.Reason{Key: "design.unknown", Args: []string{design}},
	}
}

// plainBraces keeps a name from being a merge tag.
func plainBraces(s string) string { return strings.ReplaceAll(s, "{{", "{ {") }

// LogoCID is the Content-ID under which a design shows the account's logo.
const LogoCID = "logo@postroom"

// defaultColour is that of accounts without one.
const defaultColour = "#1a5fb4"

// Dress makes a mailing's design: the look in the letterhead's colour, with its
// logo where there is one (the caller attaches it under LogoCID) or the name.
func Dress(design string, h post.Letterhead, name string) (*post.Design, error) {
	b, err := files.ReadFile(design + ".html")
	if err != nil {
		return nil, unknown(design)
	}
	colour := h.Colour
	if colour == "" {
		colour = defaultColour
	}
	c, err := parseColour(colour)
	if err != nil {
		return nil, err
	}
	on := "#ffffff"
	if contrast(c, white) < contrast(c, black) {
		on = "#000000"
	}
	ink, inkDark := readable(c, white, black), readable(c, cardDark, white)
	head := func(colour, class string) string {
		if len(h.Logo) > 0 {
			return `<img class="pr-logo" src="cid:` + LogoCID + `" alt="` + html.EscapeString(plainBraces(name)) + `" style="max-width:200px;max-height:80px;width:auto;height:auto;border:0">`
		}
		return `<span class="` + class + `" style="font-size:19px;font-weight:bold;color:` + colour + `">` + html.EscapeString(plainBraces(name)) + "</span>"
	}
	page := strings.NewReplacer(
		"{colour}", colour, "{on}", on, "{ink}", ink.String(), "{ink-dark}", inkDark.String(), "{page-dark}", "#131314", "{card-dark}", cardDark.String(),
		"{tint}", mix(c, white, 0.88).String(), "{head-ink}", head(ink.String(), "pr-name"), "{head-on}", head(on, "pr-name"),
	).Replace(string(b))
	return &post.Design{Name: design, Page: page, Button: "background-color:" + colour + ";color:" + on}, nil
}

// rgb is a colour, each part from 0 to 255.
type rgb [3]float64

var (
	white    = rgb{255, 255, 255}
	black    = rgb{0, 0, 0}
	cardDark = rgb{31, 31, 35}
)

func parseColour(s string) (rgb, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != 7 {
		return rgb{}, post.Errorf(post.KindInvalid, "choose the design", "write the colour as #1a7f37")
	}
	return rgb{float64(n >> 16 & 255), float64(n >> 8 & 255), float64(n & 255)}, nil
}

// String returns the colour as CSS writes it.
func (c rgb) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0])), int(math.Round(c[1])), int(math.Round(c[2])))
}

// mix returns a colour that is part of the way from a to b.
func mix(a, b rgb, part float64) (c rgb) {
	for i := range c {
		c[i] = a[i] + (b[i]-a[i])*part
	}
	return c
}

// luminance and contrast are those of WCAG 2.
func luminance(c rgb) float64 {
	var l [3]float64
	for i, v := range c {
		if v /= 255; v <= 0.03928 {
			l[i] = v / 12.92
		} else {
			l[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

func contrast(a, b rgb) float64 {
	x, y := luminance(a), luminance(b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

// readable moves c towards another colour until it can be read as text on ground
// (WCAG 2, 4.5 to 1).
func readable(c, ground, towards rgb) rgb {
	for part := 0.0; part <= 1; part += 0.05 {
		if m := mix(c, towards, part); contrast(m, ground) >= 4.6 {
			return m
		}
	}
	return towards
}
