package ui

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"

	"postroom/accounts"
	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	accountscreen "postroom/ui/screens/accounts"
	"postroom/ui/widgets"
)

// Deps is what the window needs from the rooms below.
type Deps struct {
	App      fyne.App
	Ledger   *storage.Ledger
	Mail     *mailer.Service
	Secrets  accounts.Secrets
	Doctor   func(context.Context, post.Account, *accounts.Letter) accounts.Report
	Folders  func(context.Context, post.Account) ([]string, error)
	Practice string
	Clock    post.Clock
	Zone     *time.Location
	Log      *slog.Logger
	// Post runs a function on the user interface's goroutine; fyne.Do.
	Post func(func())
	// Lang and Theme are the settings as they are when the window opens.
	Lang  words.Lang
	Theme theme.Mode
}

// Shell is the open window. Its methods are called on the user interface's
// goroutine, except where they say otherwise.
type Shell struct {
	d      Deps
	env    *screens.Env
	win    fyne.Window
	nav    *widgets.NavList
	body   *fyne.Container
	views  map[string]screens.Screen
	front  string
	route  screens.Route
	ctx    context.Context
	cancel context.CancelFunc
	asking bool
	// question is whether to close while mail waits; asked once at a time.
	question *dialogs.Dialog
	quit     bool
	ids      *screens.IDs
	foot     footer
}

// New builds the window; Run shows it.
func New(d Deps) *Shell {
	s := &Shell{d: d, ids: &screens.IDs{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	d.App.Settings().SetTheme(theme.New(d.Theme))
	d.App.SetIcon(icons.App)
	s.win = d.App.NewWindow("Postroom")
	s.win.Resize(fyne.NewSize(1280, 800))
	s.win.SetPadded(false)
	s.win.SetCloseIntercept(s.onClose)
	s.win.SetOnDropped(s.onDropped)
	s.shortcuts()
	s.build(d.Lang)
	return s
}

// Run shows the window and returns when it is closed for good.
func (s *Shell) Run() {
	go s.follow()
	go s.serveTests()
	// Not before the window is there: a dialog over one that is not is lost.
	s.d.App.Lifecycle().SetOnStarted(func() { accountscreen.OpenVault(s.ctx, s.env) })
	s.win.ShowAndRun()
	s.cancel()
}

// Raise brings the window to the front. It may be called from any goroutine.
func (s *Shell) Raise() {
	s.d.Post(func() {
		s.win.Show()
		s.win.RequestFocus()
	})
}

// Quit closes the window in order, without a question. It may be called from
// any goroutine.
func (s *Shell) Quit() { s.d.Post(s.leave) }

// build makes everything that speaks a language.
func (s *Shell) build(lang words.Lang) {
	for _, v := range s.views {
		v.Hide()
	}
	s.env = &screens.Env{
		Ledger: s.d.Ledger, Words: words.For(lang), Window: s.win, Secrets: s.d.Secrets, Doctor: s.d.Doctor, Folders: s.d.Folders, Mail: s.d.Mail,
		Practice: s.d.Practice, Clock: s.d.Clock, Zone: s.d.Zone, Log: s.d.Log, Post: s.d.Post, IDs: s.ids,
		Go: s.Go, Restyle: s.restyle,
		OpenURL: func(page string) error {
			u, err := url.Parse(page)
			if err != nil {
				return err
			}
			return s.d.App.OpenURL(u)
		},
	}
	s.env.WithVault = func(then func()) { accountscreen.WithVault(s.env, then) }
	s.views = map[string]screens.Screen{}
	items := make([]widgets.NavItem, 0, len(places))
	for _, p := range places {
		items = append(items, widgets.NavItem{ID: p.id, Icon: p.icon, Label: s.env.T("nav." + p.id)})
	}
	s.nav = widgets.NewNavList("Postroom", items, func(id string) { s.Go(screens.Route{Screen: id}) })
	s.ids.Set("nav", s.nav)
	s.body = container.NewStack()
	s.win.SetContent(container.NewBorder(nil, nil, s.nav, nil, widgets.NewGround(theme.Ground, s.body)))
	if s.route.Screen == "" {
		s.route.Screen = screens.Home
	}
	s.show(s.route)
	s.refreshFoot()
}

// Go shows another place.
func (s *Shell) Go(r screens.Route) {
	if c, ok := s.views[s.front].(screens.Closer); ok {
		c.Close(func() { s.show(r) })
		return
	}
	s.show(r)
}

func (s *Shell) show(r screens.Route) {
	v := s.views[r.Screen]
	if v == nil {
		p := placeOf(r.Screen)
		if p == nil {
			return
		}
		v = p.open(s.env)
		s.views[r.Screen] = v
	}
	if old := s.views[s.front]; old != nil && old != v {
		old.Hide()
	}
	s.front, s.route = r.Screen, r
	s.nav.Select(r.Screen)
	s.body.Objects = []fyne.CanvasObject{v.Content()}
	s.body.Refresh()
	v.Show(r)
}

// shortcuts binds Ctrl+1 to Ctrl+7 to the places.
func (s *Shell) shortcuts() {
	for i, p := range places {
		key := &desktop.CustomShortcut{KeyName: fyne.KeyName(rune('1' + i)), Modifier: fyne.KeyModifierShortcutDefault}
		s.win.Canvas().AddShortcut(key, func(fyne.Shortcut) {
			if s.win.Canvas().Overlays().Top() == nil {
				s.Go(screens.Route{Screen: p.id})
			}
		})
	}
}

func (s *Shell) onDropped(_ fyne.Position, uris []fyne.URI) {
	d, ok := s.views[s.front].(screens.Dropper)
	if !ok {
		return
	}
	var paths []string
	for _, u := range uris {
		if u.Scheme() == "file" {
			paths = append(paths, u.Path())
		}
	}
	if len(paths) > 0 {
		d.Drop(paths)
	}
}

// restyle reads the settings for language and theme and applies them.
func (s *Shell) restyle() {
	type style struct{ lang, mode string }
	screens.Load(s.ctx, s.env, func(ctx context.Context) (style, error) {
		lang, err := s.d.Ledger.Setting(ctx, "language", string(s.d.Lang))
		if err != nil {
			return style{}, err
		}
		mode, err := s.d.Ledger.Setting(ctx, "theme", string(s.d.Theme))
		return style{lang, mode}, err
	}, func(st style, err error) {
		if err != nil {
			s.d.Log.Error("read the settings", "err", err)
			return
		}
		s.d.App.Settings().SetTheme(theme.New(theme.Mode(st.mode)))
		s.d.Lang, s.d.Theme = words.Lang(st.lang), theme.Mode(st.mode)
		s.build(s.d.Lang)
	})
}

// follow tells the screen in front when the ledger has changed. It runs on a
// goroutine of its own.
func (s *Shell) follow() {
	w, err := s.d.Ledger.Watch(s.ctx)
	if err != nil {
		s.d.Log.Error("watch the ledger", "err", err)
		return
	}
	defer w.Close() //nolint:errcheck // a reader's connection holds nothing
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last int64
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		v, err := w.Version(s.ctx)
		if err != nil || v == last {
			continue
		}
		last = v
		s.d.Post(s.changed)
	}
}

func (s *Shell) changed() {
	if v := s.views[s.front]; v != nil {
		v.Changed()
	}
	s.refreshFoot()
}

// onClose asks when mail still waits: keep sending, or quit in order.
func (s *Shell) onClose() {
	if s.asking || s.quit || s.question != nil && s.question.Open() {
		return
	}
	s.asking = true
	screens.Load(s.ctx, s.env, func(ctx context.Context) (storage.Needs, error) { return s.d.Ledger.Needs(ctx) },
		func(n storage.Needs, err error) {
			s.asking = false
			if err != nil || n.Waiting == 0 || s.d.Mail.Role() != mailer.Mine {
				s.leave()
				return
			}
			s.question = dialogs.Choose(s.env.Words, s.win, s.env.T("quit.title"), s.env.Words.N("quit.waiting", n.Waiting),
				dialogs.Choice{Label: s.env.T("quit.keep"), Do: s.keepSending, Default: true},
				dialogs.Choice{Label: s.env.T("quit.quit"), Do: s.leave},
			)
		})
}

// keepSending hides the window; the program ends when nothing waits any more.
func (s *Shell) keepSending() {
	s.win.Hide()
	go func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-tick.C:
			}
			n, err := s.d.Ledger.Needs(s.ctx)
			if err == nil && n.Waiting == 0 && s.d.Mail.Finishing() == 0 {
				s.Quit()
				return
			}
		}
	}()
}

// leave saves what is unsaved, stops the mailer in order, and closes.
func (s *Shell) leave() {
	if s.quit {
		return
	}
	// Not before what was typed is kept: on a full disk the window must stay, and
	// stay closable.
	end := func() {
		if s.quit {
			return
		}
		s.quit = true
		done := s.d.Mail.Stop()
		go func() {
			<-done
			s.d.Post(func() {
				s.cancel()
				s.win.SetCloseIntercept(nil)
				s.d.App.Quit()
			})
		}()
	}
	if c, ok := s.views[s.front].(screens.Closer); ok {
		c.Close(end)
		return
	}
	end()
}

// HasDisplay reports whether a window can be opened at all.
func HasDisplay() bool { return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" }
