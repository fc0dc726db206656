package screens_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/screens"
	"postroom/ui/screens/mailings"
	"postroom/ui/widgets"
)

// compose opens the composer on a new draft with a subject and a body.
func (s *stage) compose(subject, body string) (*mailings.View, *widgets.TextArea) {
	s.t.Helper()
	v := mailings.New(s.env)
	s.t.Cleanup(v.Hide)
	s.show(v, screens.Route{Verb: "new"})
	s.until("the senders", func() bool { return strings.Contains(named[*widgets.Select](s, "compose.from").Selected, "@") })
	named[*widgets.Entry](s, "compose.subject").SetText(subject)
	area := named[*widgets.TextArea](s, "compose.body")
	area.Replace(0, 0, body)
	return v, area
}

// click presses a named button and waits for nothing.
func (s *stage) click(id string) {
	s.t.Helper()
	test.Tap(named[*widgets.Button](s, id))
}

// more chooses what is not done with every mailing, and waits for nothing.
func (s *stage) more(text string) {
	s.t.Helper()
	s.click("compose.more")
	o := findEntry(s.win.Canvas().Overlays().Top(), text)
	if o == nil {
		s.t.Fatalf("the menu has no entry %q", text)
	}
	o.Tapped(nil)
}

// kept is the draft as it lies in the ledger, once holds says yes to it.
func (s *stage) kept(what string, holds func(post.Draft) bool) post.Draft {
	s.t.Helper()
	var d post.Draft
	s.until(what, func() bool {
		drafts, err := s.env.Ledger.Drafts(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, d = range drafts {
			if holds(d) {
				return true
			}
		}
		return false
	})
	return d
}

// photoFile writes a photo of 1600 by 800 pixels.
func photoFile(t *testing.T) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 1600, 800))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * i >> 7)
	}
	img.Set(0, 0, color.Black)
	path := filepath.Join(t.TempDir(), "shop.jpg")
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A picture from a file becomes a part of the message, as wide as was asked for,
// with words for those who do not see it; the browser shows it over loopback.
func TestComposerPicture(t *testing.T) {
	for lang, mode := range map[words.Lang]theme.Mode{words.English: theme.Light, words.Chinese: theme.Dark} {
		if lang != words.English && os.Getenv("POSTROOM_GALLERY") == "" { // it is there to be looked at
			continue
		}
		s := newStage(t, lang, mode)
		s.populate()
		page := ""
		s.env.OpenURL = func(u string) error { page = u; return nil }
		_, body := s.compose("Our shop", "Dear guest, our shop: ")
		n := len([]rune(body.Text()))
		body.Select(n, n)
		s.click("compose.tool.image")
		path := photoFile(t)
		insert := s.env.T("composer.picture.insert")
		named[*widgets.Entry](s, "compose.picture.where").SetText(path)
		s.press(insert)
		if s.win.Canvas().Overlays().Top() == nil {
			t.Fatal("a picture without words was taken")
		}
		named[*widgets.Entry](s, "compose.picture.alt").SetText("our shop [new]")
		named[*widgets.Select](s, "compose.picture.width").SetSelectedIndex(1)
		s.shoot("composer-picture-" + string(lang))
		s.press(insert)
		d := s.kept("the picture", func(d post.Draft) bool {
			return len(d.Content.Attachments) == 1 && strings.Contains(d.Content.Body, "cid:")
		})
		a := d.Content.Attachments[0]
		if want := "Dear guest, our shop: ![our shop (new)](cid:" + a.CID + ")"; d.Content.Body != want || a.SHA256 == "" || a.Path != "" {
			t.Errorf("%q, want %q; %+v", d.Content.Body, want, a)
		}
		if got := widthOf(t, s.env.Ledger, a); got != 600 {
			t.Errorf("it is %d pixels wide", got)
		}
		letter := named[*widgets.Letter](s, "compose.letter")
		s.until("the preview", func() bool { return strings.Contains(letter.Text(), "our shop (new)") })
		s.click("compose.browser")
		get := func(url string) string {
			client := &http.Client{Timeout: time.Minute}
			r, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close() //nolint:errcheck // only read
			b, err := io.ReadAll(r.Body)
			if err != nil || r.StatusCode != http.StatusOK {
				t.Fatal(r.Status, err)
			}
			return string(b)
		}
		s.until("the page", func() bool { return page != "" })
		html := get(page)
		_, src, _ := strings.Cut(html, `src="`)
		src, _, _ = strings.Cut(src, `"`)
		if !strings.HasPrefix(page, "http://127.0.0.1:") || !strings.Contains(html, `alt="our shop (new)"`) || src == "" {
			t.Fatalf("%s shows %s", page, html)
		}
		if !strings.Contains(src, "://") {
			src = page[:strings.Index(page[len("http://"):], "/")+len("http://")] + "/" + strings.TrimPrefix(src, "/")
		}
		if img, err := jpeg.DecodeConfig(strings.NewReader(get(src))); err != nil || img.Width != 600 {
			t.Errorf("the browser gets %+v, %v", img, err)
		}
	}
}

func widthOf(t *testing.T, l *storage.Ledger, a post.Attachment) int {
	t.Helper()
	r, err := l.Open(a.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // only read
	c, err := jpeg.DecodeConfig(r)
	if err != nil {
		t.Fatal(err)
	}
	return c.Width
}

// What is beside the words is kept: typed addresses, preview text, where answers
// go, promotional, important, and each person's own file.
func TestComposerFields(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	_, body := s.compose("Menu", "Dear ")
	s.option("compose.to", s.env.T("composer.no_list"))
	named[*widgets.Entry](s, "compose.typed").SetText("Ben <ben@example.net>, guest01@example.org")
	named[*widgets.Entry](s, "compose.preview_text").SetText("What we cook")
	named[*widgets.Entry](s, "compose.reply_to").SetText("office@brauhaus.example")
	named[*widgets.Check](s, "compose.promotional").SetChecked(true)
	s.more(s.env.T("composer.menu.important"))
	d := s.kept("what was typed", func(d post.Draft) bool { return len(d.To) == 2 && d.Content.Priority == post.PriorityHigh })
	if d.Content.Preview != "What we cook" || d.Content.ReplyTo != "office@brauhaus.example" || !d.Promotional {
		t.Errorf("%+v", d)
	}
	// The menu of fields says who lacks one: Ben is in no book.
	s.settle()
	n := len([]rune(body.Text()))
	body.Select(n, n)
	s.click("compose.insert_field")
	if o := findEntry(s.win.Canvas().Overlays().Top(), s.env.T("composer.field.lacking", "city", 1, 2)); o != nil {
		o.Tapped(nil)
	}
	if got := body.Text(); got != "Dear {{city}}" {
		t.Errorf("the field became %q", got)
	}
	dir := t.TempDir()
	s.click("compose.own_file")
	named[*widgets.Entry](s, "compose.own_file.folder").SetText("menus")
	s.press(s.env.T("action.apply"))
	if s.win.Canvas().Overlays().Top() == nil {
		t.Fatal("a folder that is nowhere was taken")
	}
	named[*widgets.Select](s, "compose.own_file.column").SetSelected("city")
	named[*widgets.Entry](s, "compose.own_file.folder").SetText(dir)
	s.press(s.env.T("action.apply"))
	d = s.kept("the column", func(d post.Draft) bool { return d.Content.AttachColumn == "city" })
	if d.Content.AttachRoot != dir {
		t.Errorf("%+v", d.Content)
	}
	// A postal address is missing: the way to mend it leads to the account.
	s.settle()
	s.click("compose.checks")
	s.press2(s.env.T("composer.mend.letterhead"))
	if s.route.Screen != screens.Accounts || s.route.ID != d.Accounts[0] {
		t.Errorf("it leads to %+v", s.route)
	}
}

// press2 presses a button of the window, below any dialog.
func (s *stage) press2(text string) {
	s.t.Helper()
	b := findButton(s.win.Content(), text)
	if b == nil {
		s.t.Fatalf("the window has no button %q", text)
	}
	test.Tap(b)
}

// A template begins other letters and is replaced under its name; a test goes to
// any address, with the values of who is in front.
func TestComposerTemplateAndTest(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	_, body := s.compose("Monday", "Dear {{first_name}}, soup.")
	for _, more := range []string{"", " And cake."} {
		body.Replace(len(body.Text()), len(body.Text()), more)
		s.more(s.env.T("composer.menu.template"))
		named[*widgets.Entry](s, "compose.template.name").SetText("Weekly")
		s.press(s.env.T("action.save"))
		s.kept("the template", func(d post.Draft) bool { return d.Template && strings.HasSuffix(d.Content.Body, "soup."+more) })
	}
	s.more(s.env.T("composer.menu.test"))
	named[*widgets.Entry](s, "compose.test.to").SetText("nobody")
	s.press(s.env.T("action.send"))
	if s.win.Canvas().Overlays().Top() == nil {
		t.Fatal("a test to nobody went out")
	}
	named[*widgets.Entry](s, "compose.test.to").SetText("me@example.net")
	s.press(s.env.T("action.send"))
	s.until("the answer", func() bool {
		top := s.win.Canvas().Overlays().Top()
		return top != nil && findButton(top, s.env.T("action.ok")) != nil
	})
	m, _, err := s.env.Ledger.Mailings(t.Context(), false, storage.Page{Limit: 1})
	if err != nil || len(m) != 1 || m[0].Total() != 1 || m[0].Kind != post.Live {
		t.Fatalf("%+v %v", m, err)
	}
	for h, err := range s.env.Ledger.EachDelivery(t.Context(), storage.HistoryFilter{Mailing: m[0].ID}) {
		if err != nil || h.Address != "me@example.net" || h.Fields["first_name"] != "Anna Köhler" {
			t.Errorf("%+v %v", h, err)
		}
	}
	s.press(s.env.T("action.ok"))
	// A new draft begins with the template.
	v := mailings.New(s.env)
	t.Cleanup(v.Hide)
	s.show(v, screens.Route{Verb: "new"})
	s.until("the senders", func() bool { return strings.Contains(named[*widgets.Select](s, "compose.from").Selected, "@") })
	v.Gallery()
	s.until("the gallery", func() bool { return s.win.Canvas().Overlays().Top() != nil })
	grid := named[*widgets.DataGrid](s, "gallery.grid")
	if len(grid.Rows()) != 7 {
		t.Fatalf("%d looks", len(grid.Rows()))
	}
	grid.OnOpen(grid.Rows()[6].ID)
	area := named[*widgets.TextArea](s, "compose.body")
	s.until("the template's words", func() bool { return area.Text() == "Dear {{first_name}}, soup. And cake." })
}

// ahead is a clock that can be put forward.
type ahead struct {
	post.Clock
	by time.Duration
}

func (a *ahead) Elapsed() time.Duration { return a.Clock.Elapsed() + a.by }

// Whoever types without a pause, faster than a busy window works, is saved every
// second all the same: each key comes here before what waits for a pause had its
// turn, and puts that off.
func TestComposerSavesWhileTyping(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	clock := &ahead{Clock: s.env.Clock}
	s.env.Clock = clock
	s.populate()
	_, body := s.compose("Hours", "Dear guest,")
	s.settle()
	body.Replace(len(body.Text()), len(body.Text()), " we")
	for range 6 {
		clock.by += 600 * time.Millisecond
		for deadline := time.Now().Add(time.Minute); len(s.queue) == 0 && time.Now().Before(deadline); {
			runtime.Gosched()
		}
		body.Replace(len(body.Text()), len(body.Text()), " are")
		s.drain()
	}
	for deadline := time.Now().Add(20 * time.Second); ; { // nothing that waits gets its turn meanwhile
		drafts, err := s.env.Ledger.Drafts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(drafts[0].Content.Body, "Dear guest, we are") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after six keys in 3.6 s %q is kept", drafts[0].Content.Body)
		}
	}
}

// TestComposerCopies: a mailing that went out is begun anew with its words, for
// no typed address, and what is written then changes nothing about the old one.
func TestComposerCopies(t *testing.T) {
	s := newStage(t, words.English, theme.Light)
	s.populate()
	ctx, l := t.Context(), s.env.Ledger
	old, _, err := l.Mailings(ctx, false, storage.Page{Limit: 1})
	if err != nil || len(old) != 1 {
		t.Fatal(old, err)
	}
	v := mailings.New(s.env)
	t.Cleanup(v.Hide)
	s.show(v, screens.Route{ID: old[0].ID})
	s.settle()
	s.click("mailing.copy")
	s.settle()
	if got := named[*widgets.Entry](s, "compose.subject").Text; got != old[0].Content.Subject {
		t.Errorf("the subject is %q, want %q", got, old[0].Content.Subject)
	}
	if got := named[*widgets.TextArea](s, "compose.body").Text(); got != old[0].Content.Body {
		t.Errorf("the body is %q, want %q", got, old[0].Content.Body)
	}
	named[*widgets.Entry](s, "compose.subject").SetText("Once more")
	s.settle()
	drafts, err := l.Drafts(ctx)
	if err != nil || len(drafts) == 0 || drafts[0].Content.Subject != "Once more" || drafts[0].Content.Body != old[0].Content.Body || len(drafts[0].To) > 0 {
		t.Errorf("%+v %v", drafts, err)
	}
	if m, err := l.Mailing(ctx, old[0].ID); err != nil || m.Content.Subject != old[0].Content.Subject {
		t.Errorf("the old mailing says %q, %v", m.Content.Subject, err)
	}
}
