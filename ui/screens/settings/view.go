package settings

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	base "fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// View is the screen Settings.
type View struct {
	env    *screens.Env
	loader *screens.Loader
	root   *fyne.Container
	home   string
	shown  *Model
	quiet  bool // controls are being filled, not changed by the user

	language *widgets.Select
	look     *widgets.Select
	hours    *widgets.Entry
	keep     *widgets.Button
	said     *widgets.Text // about the hours
	folder   *widget.Label
	log      *widget.Label
	path     *widgets.Entry
	backup   *widgets.Button
	check    *widgets.Button
	result   *widgets.Text
	signIn   *signIn
	scroll   *container.Scroll
}

var _ screens.Screen = (*View)(nil)

// New returns the screen, empty until it is shown.
func New(env *screens.Env) *View {
	v := &View{env: env, loader: screens.NewLoader(env)}
	if home, err := os.UserHomeDir(); err == nil {
		v.home = home
	} else {
		v.home = env.Ledger.Dir()
	}
	v.signIn = newSignIn(v)
	left := widgets.VStack(theme.Gap, v.lookCard(), v.sendingCard(), v.dataCard(), v.backupCard())
	right := widgets.VStack(theme.Gap, v.signIn.card)
	v.scroll = container.NewVScroll(widgets.Inset(0, 10, 0, 0, widgets.Columns(theme.Gap, []float32{1, 1}, left, right)))
	v.root = widgets.VStack(theme.Gap, widgets.NewHeader(env.T("nav.settings"), nil),
		widgets.Grow(v.scroll))
	return v
}

func (v *View) row(key string, control fyne.CanvasObject) fyne.CanvasObject {
	return widgets.HStack(10, widgets.FixedWidth(130, widgets.NewQuiet(v.env.T(key)).Cutting()), widgets.Grow(control))
}

func (v *View) lookCard() fyne.CanvasObject {
	env := v.env
	langs := make([]string, len(words.Langs))
	for i, l := range words.Langs {
		langs[i] = env.T("settings.language." + string(l))
	}
	v.language = widgets.NewSelect(langs, func(string) {
		v.restyle(keyLanguage, string(words.Langs[max(0, v.language.SelectedIndex())]))
	})
	looks := make([]string, len(Themes))
	for i, t := range Themes {
		looks[i] = env.T("settings.theme." + t)
	}
	v.look = widgets.NewSelect(looks, func(string) { v.restyle(keyTheme, Themes[max(0, v.look.SelectedIndex())]) })
	env.IDs.Set("settings.language", v.language)
	env.IDs.Set("settings.theme", v.look)
	return widgets.NewCard(env.T("settings.look"), nil, widgets.VStack(8, v.row("settings.language", v.language), v.row("settings.theme", v.look)))
}

func (v *View) sendingCard() fyne.CanvasObject {
	env := v.env
	v.hours = widgets.NewEntry()
	v.hours.OnChanged = func(string) { v.onHours() }
	v.hours.OnSubmitted = func(string) { v.onKeep() }
	v.keep = widgets.NewButton(widgets.Normal, env.T("action.save"), v.onKeep)
	v.keep.Disable()
	v.said = widgets.NewSmall("").Wrapping()
	v.said.Hide()
	env.IDs.Set("settings.retry", v.hours)
	env.IDs.Set("settings.retry.save", v.keep)
	line := widgets.HStack(8, widgets.FixedWidth(70, v.hours), widgets.NewQuiet(env.T("settings.retry.hours")), widgets.Space(), v.keep)
	return widgets.NewCard(env.T("settings.sending"), nil, widgets.VStack(8, v.row("settings.retry.label", line), v.said,
		widgets.NewSmall(env.T("settings.retry.why")).Wrapping()))
}

// selectable is text that can be copied.
func selectable() *widget.Label {
	l := widget.NewLabel("")
	l.Selectable, l.Wrapping = true, fyne.TextWrapBreak
	return l
}

// flush takes away the margin that the toolkit's labels have at the left.
func flush(l *widget.Label) fyne.CanvasObject {
	return widgets.Inset(0, 0, 0, -l.Theme().Size(base.SizeNameInnerPadding), l)
}

func (v *View) dataCard() fyne.CanvasObject {
	env := v.env
	v.folder, v.log = selectable(), selectable()
	open := widgets.NewButton(widgets.Normal, env.T("settings.folder.open"), v.onFolder)
	env.IDs.Set("settings.folder", v.folder)
	env.IDs.Set("settings.folder.open", open)
	return widgets.NewCard(env.T("settings.data"), nil, widgets.VStack(4,
		widgets.NewQuiet(env.T("settings.folder")), flush(v.folder), widgets.NewQuiet(env.T("settings.log")), flush(v.log), widgets.HStack(0, open)))
}

func (v *View) backupCard() fyne.CanvasObject {
	env := v.env
	v.path = widgets.NewEntry()
	v.path.OnSubmitted = func(string) { v.onBackup() }
	v.path.SetText(filepath.Join(v.home, backupName(env.Now())))
	browse := widgets.NewButton(widgets.Normal, env.T("action.browse"), func() {
		dialogs.Picker{
			Words: env.Words, Win: env.Window, Title: env.T("settings.backup"), Pick: dialogs.NewFile, Post: env.Post,
			Name: backupName(env.Now()), Done: func(paths []string) { v.path.SetText(paths[0]) },
		}.Show()
	})
	v.backup = widgets.NewButton(widgets.Normal, env.T("settings.backup.now"), v.onBackup)
	v.check = widgets.NewButton(widgets.Normal, env.T("settings.check"), v.onCheck)
	v.result = widgets.NewText("").Wrapping()
	v.result.Hide()
	env.IDs.Set("settings.backup.path", v.path)
	env.IDs.Set("settings.backup", v.backup)
	env.IDs.Set("settings.check", v.check)
	return widgets.NewCard(env.T("settings.backup"), nil, widgets.VStack(10,
		widgets.HStack(8, widgets.Grow(v.path), browse), widgets.NewSmall(env.T("settings.backup.why")).Wrapping(),
		widgets.HStack(10, v.backup, v.check), v.result))
}

// Content returns the screen's object.
func (v *View) Content() fyne.CanvasObject {
	return widgets.Inset(20, theme.ScreenEdge, theme.ScreenEdge, theme.ScreenEdge, v.root)
}

// Show starts to load; with the verb "signin" the cursor goes to the client ids.
func (v *View) Show(r screens.Route) {
	v.loader.Start()
	if r.Verb == "signin" {
		v.env.Window.Canvas().Focus(v.signIn.entries[v.signIn.servers[0].Fields[0].Key])
	}
	v.Changed()
}

// Hide drops what is under way.
func (v *View) Hide() { v.loader.Stop() }

// Changed reads the settings again.
func (v *View) Changed() {
	screens.Run(v.loader, func(ctx context.Context) (*Model, error) {
		tokens := tokensOf(v.env)
		v.signIn.tidy(ctx, tokens)
		return Load(ctx, v.env.Ledger, tokens, v.env.Words.Lang())
	}, v.fill)
}

func (v *View) fill(m *Model, err error) {
	if err != nil {
		dialogs.Error(v.env.Words, v.env.Window, err)
		return
	}
	typing := v.shown != nil && strings.TrimSpace(v.hours.Text) != strconv.Itoa(v.shown.Hours)
	v.shown = m
	v.quiet = true
	v.language.SetSelectedIndex(slices.Index(words.Langs, m.Language))
	v.look.SetSelectedIndex(slices.Index(Themes, m.Theme))
	v.quiet = false
	if !typing {
		v.hours.SetText(strconv.Itoa(m.Hours))
	}
	v.signIn.fill(m.SignIn, m.Secrets)
	v.enableKeep()
	v.folder.SetText(m.Folder)
	v.log.SetText(m.Log)
	v.root.Refresh()
}

// store keeps a setting, then calls done.
func (v *View) store(key, value string, done func()) {
	env := v.env
	screens.Load(context.Background(), env, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, env.Ledger.SetSetting(ctx, key, value)
	}, func(_ struct{}, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			v.Changed() // back to what is stored
			return
		}
		done()
	})
}

// restyle keeps a language or a look and applies it at once.
func (v *View) restyle(key, value string) {
	if v.quiet || v.shown == nil {
		return
	}
	v.store(key, value, v.env.Restyle)
}

// onHours says whether what is typed can be kept.
func (v *View) onHours() {
	v.enableKeep()
	wrong := ""
	if _, ok := parseHours(v.hours.Text); !ok && v.shown != nil {
		wrong = v.env.T("settings.retry.wrong", strconv.Itoa(leastHours), strconv.Itoa(mostHours))
	}
	v.tell(v.said, theme.Bad, wrong)
}

func (v *View) enableKeep() {
	if n, ok := parseHours(v.hours.Text); ok && v.shown != nil && n != v.shown.Hours {
		v.keep.Enable()
		return
	}
	v.keep.Disable()
}

func (v *View) onKeep() {
	n, ok := parseHours(v.hours.Text)
	if !ok || v.shown == nil || n == v.shown.Hours {
		return
	}
	v.store(keyDeadline, strconv.Itoa(n), func() {
		shown := *v.shown
		shown.Hours = n
		v.shown = &shown
		v.onHours()
		v.tell(v.said, theme.Good, v.env.T("settings.retry.kept"))
	})
}

func (v *View) onFolder() {
	if err := v.env.OpenURL(folderURL(v.env.Ledger.Dir())); err != nil {
		dialogs.Error(v.env.Words, v.env.Window, err)
	}
}

func (v *View) tell(t *widgets.Text, tone theme.Tone, s string) {
	t.SetTone(tone)
	t.SetText(s)
	t.Hidden = s == ""
	v.root.Refresh()
}

// work runs a long job of the data with progress; its buttons are out of reach
// meanwhile.
func (v *View) work(title string, job func(context.Context) error, done func()) {
	env := v.env
	v.backup.Disable()
	v.check.Disable()
	v.tell(v.result, theme.Quiet, "")
	dialogs.Work(env.Words, env.Window, env.Post, title, func(ctx context.Context, _ func(done, total int64)) error {
		return job(ctx)
	}, func(err error) {
		v.backup.Enable()
		v.check.Enable()
		switch {
		case err == nil:
			done()
		case errors.Is(err, context.Canceled) || post.KindOf(err) == post.KindCancelled:
			v.tell(v.result, theme.Quiet, env.T("settings.stopped"))
		default:
			dialogs.Error(env.Words, env.Window, err)
		}
	})
}

func (v *View) onBackup() {
	env, typed := v.env, strings.TrimSpace(v.path.Text)
	if v.backup.Disabled() {
		return
	}
	if typed == "" {
		v.tell(v.result, theme.Bad, env.T("settings.backup.no_path"))
		return
	}
	path := backupPath(typed, v.home)
	v.work(env.T("settings.backup.working"), func(ctx context.Context) error {
		return env.Ledger.Backup(ctx, path)
	}, func() {
		v.tell(v.result, theme.Good, env.T("settings.backup.done", path))
		v.path.SetText(filepath.Join(filepath.Dir(path), backupName(env.Now())))
	})
}

func (v *View) onCheck() {
	env := v.env
	var problems []string
	v.work(env.T("settings.check.working"), func(ctx context.Context) (err error) {
		problems, err = env.Ledger.Check(ctx)
		return err
	}, func() {
		if len(problems) == 0 {
			v.tell(v.result, theme.Good, env.T("settings.check.sound"))
			return
		}
		v.tell(v.result, theme.Bad, env.Words.N("settings.check.problems", int64(len(problems))))
		dialogs.List(env.Words, env.Window, env.T("settings.check"), env.T("settings.check.advice"), problems)
	})
}
