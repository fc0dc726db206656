package mailings

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"fyne.io/fyne/v2"

	"postroom/compose"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// pictureFiles are those that mail readers show.
var pictureFiles = []string{".png", ".jpg", ".jpeg", ".gif", ".webp"}

// pictureWidths are how wide a picture can be made, in pixels; 0: as it is. A
// letter is 600 wide, and a good screen shows twice as many.
var pictureWidths = []int{1200, 600, 300, 0}

// askPicture puts a picture where the cursor is: one from a file, which becomes a
// part of the message, or one that lies on the web.
func (e *editor) askPicture() {
	if e.draft.Content.Format == post.FormatText {
		return
	}
	env := e.v.env
	from, to := e.body.Selection()
	where, alt := widgets.NewEntry(), widgets.NewEntry()
	where.SetPlaceHolder(env.T("composer.picture.where.hint"))
	alt.SetText(string([]rune(e.body.Text())[from:to]))
	alt.SetPlaceHolder(env.T("composer.picture.alt.hint"))
	width := widgets.NewSelect(e.widthNames(), nil)
	width.SetSelectedIndex(0)
	pick := widgets.NewButton(widgets.Normal, env.T("action.browse"), func() {
		dialogs.PickFile(env.Words, env.Window, env.T("composer.picture.title"), pictureFiles, where.SetText)
	})
	for id, o := range map[string]fyne.CanvasObject{"where": where, "alt": alt, "width": width, "choose": pick} {
		env.IDs.Set("compose.picture."+id, o)
	}
	field := func(key string, o fyne.CanvasObject) fyne.CanvasObject {
		return widgets.VStack(4, widgets.NewSmall(env.T(key)), o)
	}
	body := widgets.VStack(12, field("composer.picture.where", widgets.HStack(8, widgets.Grow(where), pick)), field("composer.picture.alt", alt),
		field("composer.picture.width", width), widgets.NewSmall(env.T("composer.picture.why")).Wrapping())
	dialogs.Form(env.Words, env.Window, env.T("composer.picture.title"), env.T("composer.picture.insert"), body, where, func() string {
		words := strings.TrimSpace(strings.NewReplacer("]", ")", "[", "(", `"`, "'", "\n", " ").Replace(alt.Text))
		switch path := strings.TrimSpace(where.Text); {
		case words == "":
			return env.T("composer.picture.no_alt")
		case strings.HasPrefix(path, "https://") || strings.HasPrefix(path, "http://"):
			e.insertPicture(from, to, words, path)
		case filepath.IsAbs(path):
			e.takePicture(from, to, words, path, pictureWidths[max(0, width.SelectedIndex())])
		default:
			return env.T("composer.picture.wrong")
		}
		return ""
	})
}

func (e *editor) widthNames() []string {
	names := make([]string, len(pictureWidths))
	for i, w := range pictureWidths {
		if names[i] = e.v.env.T("composer.picture.as_is"); w > 0 {
			names[i] = e.v.env.T("composer.picture.at_most", w)
		}
	}
	return names
}

// takePicture makes a file a part of the message and shows it there.
func (e *editor) takePicture(from, to int, words, path string, width int) {
	env := e.v.env
	screens.Load(e.ctx, env, func(ctx context.Context) (post.Attachment, error) {
		return compose.TakePicture(ctx, path, width, env.Ledger)
	},
		func(a post.Attachment, err error) {
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
				return
			}
			same := func(b post.Attachment) bool { return b.CID == a.CID }
			if !slices.ContainsFunc(e.draft.Content.Attachments, same) {
				e.edit(func() { e.draft.Content.Attachments = append(slices.Clone(e.draft.Content.Attachments), a) })
				e.showFiles()
			}
			e.insertPicture(from, to, words, "cid:"+a.CID)
		})
}

// insertPicture puts the tag of a picture in the place of what was selected.
func (e *editor) insertPicture(from, to int, words, address string) {
	tag := "![" + words + "](" + address + ")"
	if e.draft.Content.Format == post.FormatHTML {
		tag = `<img alt="` + escape(words) + `" src="` + escape(address) + `">`
	}
	n := len([]rune(e.body.Text()))
	e.body.Replace(min(from, n), min(to, n), tag)
	e.v.env.Window.Canvas().Focus(e.body)
}

// shrinkPictures makes all pictures of the message as wide as a letter needs.
func (e *editor) shrinkPictures() {
	env, d := e.v.env, e.written()
	content := d.Content
	dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.picture.shrinking"), func(ctx context.Context, _ func(done, total int64)) error {
		_, err := compose.ShrinkPictures(ctx, &content, pictureWidths[0], env.Ledger)
		return err
	}, func(err error) {
		if err != nil {
			if !isCancelled(err) {
				dialogs.Error(env.Words, env.Window, err)
			}
			return
		}
		e.edit(func() { e.draft.Content.Attachments = content.Attachments })
		e.showFiles()
	})
}

// hasPictures reports that the message holds pictures of its own.
func (e *editor) hasPictures() bool {
	return slices.ContainsFunc(e.draft.Content.Attachments, func(a post.Attachment) bool { return a.CID != "" })
}

// priorityItem calls the letter important, or no more.
func (e *editor) priorityItem() *fyne.MenuItem {
	high := e.draft.Content.Priority == post.PriorityHigh
	item := fyne.NewMenuItem(e.v.env.T("composer.menu.important"), func() {
		e.edit(func() {
			e.draft.Content.Priority = post.PriorityHigh
			if high {
				e.draft.Content.Priority = ""
			}
		})
	})
	item.Checked = high
	return item
}
