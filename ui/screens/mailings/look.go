package mailings

import (
	"bytes"
	"cmp"
	"context"
	"strings"

	"postroom/assets/designs"
	"postroom/compose"
	"postroom/post"
	"postroom/storage"
)

// dressed is a draft's content as it goes out: cleaned, dressed, and with a footer.
type dressed struct {
	content post.Content
	removed []string // what cleaning took out of HTML
	logo    []byte   // shown by the design under designs.LogoCID
}

// lookOf cleans and dresses a draft in the letterhead of its first account.
func lookOf(ctx context.Context, l *storage.Ledger, d post.Draft, from post.Sender) (dressed, error) {
	out := dressed{content: d.Content}
	var err error
	if d.Content.Format == post.FormatHTML {
		if out.content.Body, out.removed, err = compose.CleanHTML(d.Content.Body); err != nil {
			return out, err
		}
	}
	if out.content.Signatures, err = l.Signatures(ctx, []post.Sender{from}); err != nil {
		return out, err
	}
	styled := d.Look != "" && d.Content.Format == post.FormatMarkdown
	if !styled && !d.Promotional {
		return out, nil
	}
	h, err := l.Letterhead(ctx, from.Account)
	if err != nil {
		return out, err
	}
	if styled {
		if out.content.Design, err = designs.Dress(d.Look, h, cmp.Or(from.FromName, from.Email)); err != nil {
			return out, err
		}
		out.logo = h.Logo
	}
	if !d.Promotional {
		return out, nil
	}
	name := "mailings"
	lists, err := l.Lists(ctx)
	for _, li := range lists {
		if len(d.Lists) > 0 && li.ID == d.Lists[0] {
			name = li.Name
		}
	}
	out.content.Promotion = h.Promote(name)
	return out, err
}

// freezeLogo keeps the logo of a design as a picture of the message.
func freezeLogo(ctx context.Context, l *storage.Ledger, logo []byte) (post.Attachment, error) {
	sum, size, err := l.Put(ctx, bytes.NewReader(logo))
	kind := compose.MediaType("logo", logo[:min(512, len(logo))])
	_, ext, _ := strings.Cut(kind, "/")
	return post.Attachment{Name: "logo." + ext, SHA256: sum, Size: size, Type: kind, CID: designs.LogoCID}, err
}
