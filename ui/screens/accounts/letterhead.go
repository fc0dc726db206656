package accounts

import (
	"bytes"
	"context"
	"image"
	_ "image/gif"  // a logo may be one
	_ "image/jpeg" // a logo may be one
	_ "image/png"  // a logo may be one
	"io"
	"os"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// logoFiles are the pictures that every mail program shows.
var logoFiles = []string{".png", ".jpg", ".jpeg", ".gif"}

// ReadLogo reads a picture that may be a logo.
func ReadLogo(path string) ([]byte, error) {
	wrong := func(err error) error {
		return &post.Error{
			Kind: post.KindInvalid, Op: "read the logo", Message: "the logo must be a PNG, JPEG or GIF of at most 200 KB", Err: err,
			Reason: post.Reason{Key: "letterhead.logo.wrong", Args: []string{filepath.Base(path)}},
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, wrong(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(f, post.MaxLogo+1))
	if err != nil || len(b) > post.MaxLogo {
		return nil, wrong(err)
	}
	if _, _, err := image.DecodeConfig(bytes.NewReader(b)); err != nil {
		return nil, wrong(err)
	}
	return b, nil
}

// letterhead is the dialog that asks how an account's mail looks, and what its
// promotional mail says in the footer.
type letterhead struct {
	v                   *View
	old                 post.Letterhead
	signed              string // the signature as it was
	logo                []byte
	colour, page, words *widgets.Entry
	address, signature  *widgets.Entry
	picture             *fyne.Container
}

// onLetterhead asks for the letterhead of the account in the panel.
func (v *View) onLetterhead() {
	a, ok := v.current()
	if !ok {
		return
	}
	env := v.env
	type kept struct {
		look   post.Letterhead
		signed string
	}
	screens.Load(context.Background(), env, func(ctx context.Context) (k kept, err error) {
		if k.look, err = env.Ledger.Letterhead(ctx, a.ID); err != nil {
			return k, err
		}
		k.signed, err = env.Ledger.Signature(ctx, a.ID)
		return k, err
	}, func(k kept, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		v.askLetterhead(a, k.look, k.signed)
	})
}

func (v *View) askLetterhead(a post.Account, h post.Letterhead, signed string) {
	env := v.env
	l := &letterhead{
		v: v, old: h, signed: signed, logo: h.Logo, colour: widgets.NewEntry(), page: widgets.NewEntry(), words: widgets.NewEntry(),
		address: widgets.NewMultiLineEntry(), signature: widgets.NewMultiLineEntry(), picture: widgets.HStack(10),
	}
	l.colour.SetText(h.Colour)
	l.colour.SetPlaceHolder("#1a7f37")
	l.page.SetText(h.UnsubscribeURL)
	l.page.SetPlaceHolder("https://")
	l.words.SetText(h.UnsubscribeWords)
	l.words.SetPlaceHolder(env.T("letterhead.words.hint"))
	l.address.SetText(h.PostalAddress)
	l.address.SetMinRowsVisible(3)
	l.signature.SetText(signed)
	l.signature.SetMinRowsVisible(4)
	l.showLogo()
	for id, o := range map[string]fyne.CanvasObject{
		"letterhead.colour": l.colour, "letterhead.page": l.page, "letterhead.words": l.words, "letterhead.address": l.address,
		"letterhead.signature": l.signature,
	} {
		env.IDs.Set(id, o)
	}
	field := func(key string, o fyne.CanvasObject) fyne.CanvasObject {
		return widgets.VStack(4, widgets.NewSmall(env.T(key)), o)
	}
	body := widgets.VStack(12, widgets.NewQuiet(env.T("letterhead.why")).Wrapping(),
		widgets.Columns(14, []float32{1, 2}, field("letterhead.colour", l.colour), field("letterhead.logo", l.picture)),
		field("letterhead.signature", l.signature),
		field("letterhead.address", l.address),
		widgets.Columns(14, []float32{2, 1}, field("letterhead.page", l.page), field("letterhead.words", l.words)),
		widgets.NewSmall(env.T("letterhead.page.why")).Wrapping())
	dialogs.Form(env.Words, env.Window, env.T("letterhead.title", a.Name), env.T("action.save"), body, l.colour, l.save)
}

// showLogo shows the logo with what can be done about it.
func (l *letterhead) showLogo() {
	env := l.v.env
	l.picture.RemoveAll()
	key := "letterhead.logo.choose"
	if len(l.logo) > 0 {
		key = "letterhead.logo.change"
		img := canvas.NewImageFromReader(bytes.NewReader(l.logo), "logo")
		img.FillMode = canvas.ImageFillContain
		l.picture.Add(widgets.FixedWidth(100, widgets.FixedHeight(34, img)))
	}
	choose := widgets.NewButton(widgets.Normal, env.T(key), func() {
		dialogs.PickFile(env.Words, env.Window, env.T("letterhead.logo"), logoFiles, l.take)
	})
	env.IDs.Set("letterhead.logo", choose)
	l.picture.Add(choose)
	if len(l.logo) > 0 {
		away := widgets.NewButton(widgets.Link, env.T("action.remove"), func() {
			l.logo = nil
			l.showLogo()
		})
		env.IDs.Set("letterhead.logo.remove", away)
		l.picture.Add(away)
	}
	l.picture.Refresh()
}

// take reads a logo that was picked.
func (l *letterhead) take(path string) {
	env := l.v.env
	screens.Load(context.Background(), env, func(context.Context) ([]byte, error) { return ReadLogo(path) }, func(b []byte, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		l.logo = b
		l.showLogo()
	})
}

// save stores the letterhead, or returns what is wrong with it.
func (l *letterhead) save() string {
	h := l.old
	h.Colour, h.Logo, h.PostalAddress = strings.TrimSpace(l.colour.Text), l.logo, strings.TrimSpace(l.address.Text)
	h.UnsubscribeURL, h.UnsubscribeWords = strings.TrimSpace(l.page.Text), strings.TrimSpace(l.words.Text)
	if err := h.Check(); err != nil {
		what, _ := l.v.env.Words.Error(err)
		return what
	}
	signed, err := post.CleanSignature(l.signature.Text)
	if err != nil {
		what, _ := l.v.env.Words.Error(err)
		return what
	}
	l.v.change(func(ctx context.Context) error {
		if err := l.v.env.Ledger.SetLetterhead(ctx, h); err != nil || signed == l.signed {
			return err
		}
		return l.v.env.Ledger.SetSignature(ctx, h.Account, signed)
	})
	return ""
}
