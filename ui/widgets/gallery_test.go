package widgets

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/widget"

	"postroom/assets/icons"
	"postroom/assets/theme"
	"postroom/assets/words"
)

// TestGallery draws every widget in both looks and languages, as they stand on
// a screen. The pictures go to a folder of the test, or to the one that
// POSTROOM_GALLERY names, to be looked at. What it asserts is that everything
// can be drawn and that nothing is wider than the window.
func TestGallery(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine draws; under the race detector that takes minutes")
	}
	dir := os.Getenv("POSTROOM_GALLERY")
	if dir == "" {
		dir = t.TempDir()
	}
	for _, lang := range words.Langs {
		for _, mode := range []theme.Mode{theme.Light, theme.Dark} {
			a := test.NewTempApp(t)
			a.Settings().SetTheme(theme.New(mode))
			w := words.For(lang)
			for name, content := range map[string]fyne.CanvasObject{
				"home": galleryHome(w), "history": galleryHistory(w), "parts": galleryParts(w),
			} {
				file := filepath.Join(dir, name+"-"+string(lang)+"-"+string(mode)+".png")
				draw(t, content, file)
			}
		}
	}
}

func draw(t *testing.T, content fyne.CanvasObject, file string) {
	t.Helper()
	if min := content.MinSize(); min.Width > 1280 || min.Height > 800 {
		t.Errorf("%s wants %v", file, min)
	}
	win := test.NewTempWindow(t, content)
	win.SetPadded(false)
	win.Resize(fyne.NewSize(1280, 800))
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, win.Canvas().Capture()); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func galleryNav(w *words.Catalogue, selected string) *NavList {
	var items []NavItem
	for _, icon := range []icons.Icon{
		icons.Home, icons.Mailings, icons.Contacts, icons.Outbox, icons.History, icons.Accounts, icons.Settings,
	} {
		items = append(items, NavItem{ID: string(icon), Icon: icon, Label: w.T("nav." + string(icon))})
	}
	n := NewNavList("Postroom", items, nil)
	n.SetBadge("outbox", "312")
	n.Select(selected)
	n.SetFooter(w.T("nav.footer.sending", w.T("rate.second", 18)), w.N("nav.footer.allowed", 188))
	return n
}

func galleryWindow(w *words.Catalogue, selected string, screen fyne.CanvasObject) fyne.CanvasObject {
	return NewFrame(galleryNav(w, selected), screen)
}

func galleryHome(w *words.Catalogue) fyne.CanvasObject {
	head := NewHeader(w.T("greeting.afternoon"), nil,
		NewButton(Normal, w.T("action.rehearse"), nil), NewButton(Primary, w.T("action.new_mailing"), nil))
	count := func(n, key string, tone theme.Tone, strong theme.Tone) fyne.CanvasObject {
		number := NewStrong(n)
		number.Tone = strong
		return HStack(4, number, NewText(w.T(key)).Toned(tone))
	}
	running := NewCard("", nil, VStack(8,
		HStack(12, NewStrong("Winter opening hours"), NewPill(w.T("mailing.state.running"), theme.Blue), Space(),
			NewQuiet(w.T("home.ends", w.T("time.today", "16:42"))+" · "+w.N("home.tomorrow_limit", 312, "Gmail", 500))),
		NewMeter(2000, Segment{1160, theme.Good, "taken"}, Segment{2, theme.Unsure, "uncertain"}, Segment{36, theme.Bad, "failed"}),
		HStack(22, count("1,160", "home.count.taken", theme.Quiet, theme.Plain), count("36", "home.count.failed", theme.Bad, theme.Bad),
			count("2", "home.count.uncertain", theme.Unsure, theme.Unsure), count("802", "home.count.waiting", theme.Quiet, theme.Plain),
			Space(), NewButton(Normal, w.T("action.pause"), nil), NewButton(Normal, w.T("action.open"), nil)),
	))
	needs := func(icon icons.Icon, tone theme.Tone, what, why, button string) fyne.CanvasObject {
		return VStack(7, HStack(12, FixedWidth(24, widget.NewIcon(icons.In(icon, tone.Name()))),
			FixedWidth(290, NewText(what).Cutting()), Grow(NewQuiet(why).Cutting()), NewButton(Normal, button, nil)), NewDivider())
	}
	needsYou := NewCard(w.T("home.needs_you"), nil, VStack(7,
		needs(icons.Question, theme.Unsure, w.N("home.uncertain", 2), w.T("home.uncertain.why"), w.T("action.decide")),
		needs(icons.Exclaim, theme.Bad, w.T("account.stopped", "orders@brauhaus.example"), w.T("cause.secret"), w.T("action.sign_in")),
		needs(icons.Exclaim, theme.Attention, w.N("home.bounced", 14), w.T("home.bounced.why"), w.T("action.look"))))
	account := func(address, used string, tone, bar theme.Tone, part int64) fyne.CanvasObject {
		return VStack(7, HStack(8, Grow(NewText(address).Toned(tone).Cutting()), NewQuiet(used)), NewMeter(100, Segment{part, bar, "used"}))
	}
	accounts := NewCard(w.T("home.accounts_today"), nil, VStack(14,
		account("hello@brauhaus.example", "312 / 500", theme.Plain, theme.Blue, 62),
		account("news@brauhaus.example", "848 / 2,000", theme.Plain, theme.Blue, 42),
		account("orders@brauhaus.example", w.T("account.state.stopped"), theme.Bad, theme.Bad, 8)))
	chart := NewCard(w.T("home.last_30_days"), Legend(Segment{0, theme.Blue, w.T("home.chart.taken")}, Segment{0, theme.Bad, w.T("home.chart.failed")}),
		NewChart(w.Number, galleryDays()...))
	return galleryWindow(w, "home", Screen(head, VStack(theme.Gap, running,
		Columns(theme.Gap, []float32{2.13, 1}, needsYou, accounts), Grow(chart))))
}

func galleryDays() []Day {
	heights := []int64{20, 36, 0, 58, 44, 80, 11, 0, 66, 92, 30, 48, 70, 8, 0, 84, 60, 97, 40, 22, 0, 0, 76, 88, 54, 64, 100, 17, 0, 72}
	var days []Day
	for i, h := range heights {
		d := Day{Label: galleryDay(i), Taken: h * 12, Bad: h / 3}
		days = append(days, d)
	}
	return days
}

func galleryDay(i int) string {
	return words.For(words.English).Day(time.Date(2026, 10, 25+i, 12, 0, 0, 0, time.UTC))
}

func galleryRows(w *words.Catalogue) []Row {
	var rows []Row
	data := [][5]string{
		{"anna.köhler@example.org", "Winter opening hours", "delivered", "23 Nov 14:02", "hello@"},
		{"王小明 <xm@example.cn>", "Winter opening hours", "taken", "23 Nov 14:02", "hello@"},
		{"li@example.cn", "Winter opening hours", "uncertain", "23 Nov 14:01", "news@"},
		{"info@gasthof.example", "Winter opening hours", "bounced", "23 Nov 14:01", "news@"},
		{"paul@example.com", "Winter opening hours", "replied", "23 Nov 14:00", "hello@"},
		{"mia@example.net", "Invoice 2026-1187", "read", "22 Nov 09:12", "orders@"},
		{"a.very.long.address.that.cannot.be.shown@subdomain.example.net", "Invoice 2026-1186", "waiting", "22 Nov 09:12", "orders@"},
	}
	look := map[string]struct {
		key  string
		tone theme.Tone
	}{
		"delivered": {"receipt.delivered", theme.Good},
		"taken":     {"state.sent", theme.Blue},
		"uncertain": {"state.uncertain", theme.Unsure},
		"bounced":   {"receipt.bounced", theme.Bad},
		"replied":   {"receipt.replied", theme.Good},
		"read":      {"receipt.read", theme.Good},
		"waiting":   {"state.queued", theme.Quiet},
	}
	for i := range 100 {
		d := data[i%len(data)]
		l := look[d[2]]
		rows = append(rows, Row{ID: int64(i + 1), Cells: []Cell{
			{Text: d[0]},
			{Text: d[1]},
			{Text: w.T(l.key), Tone: l.tone, Pill: true},
			{Text: d[3], Tone: theme.Quiet},
			{Text: d[4], Tone: theme.Quiet},
		}})
	}
	return rows
}

func galleryGrid(w *words.Catalogue) *DataGrid {
	g := NewDataGrid(w,
		Column{Key: "recipient", Title: w.T("history.column.recipient"), Width: 180, Least: 120, Grow: 1, Sortable: true},
		Column{Key: "mailing", Title: w.T("history.column.mailing"), Width: 162, Sortable: true},
		Column{Key: "outcome", Title: w.T("history.column.outcome"), Width: 92},
		Column{Key: "when", Title: w.T("history.column.when"), Width: 108, Sortable: true, Descending: true},
		Column{Key: "account", Title: w.T("history.column.account"), Width: 74})
	g.SetSort("when", true)
	g.SetPage(galleryRows(w), 1, 48211)
	return g
}

func galleryHistory(w *words.Catalogue) fyne.CanvasObject {
	search := widget.NewEntry()
	search.SetPlaceHolder(w.T("history.search"))
	head := NewHeader(w.T("nav.history"), []fyne.CanvasObject{
		FixedWidth(300, search),
		NewSelect([]string{w.T("history.all_mailings")}, nil), NewSelect([]string{w.T("history.all_outcomes")}, nil),
	}, NewButton(Normal, w.T("action.export"), nil), NewButton(Normal, w.T("action.new_mailing_to_these"), nil))
	grid := galleryGrid(w)
	grid.SetSelected(4)
	line := NewTimeLine(
		Event{Title: w.T("history.step.queued"), Time: "13:58:10", Note: w.T("history.message_id", "<01J…@brauhaus.example>")},
		Event{Title: w.T("history.step.first_try"), Time: "13:58:12 · TLS 1.3", Code: "451 4.7.1 Greylisted, try later", Note: w.T("history.asked_to_come_back", w.Duration(300e9))},
		Event{Title: w.T("history.step.taken"), Tone: theme.Blue, Time: "14:01:40", Code: "250 2.0.0 Ok: queued as 4Zk1f2"},
		Event{Title: w.T("history.step.bounced"), Tone: theme.Bad, Time: "14:03:02", Code: "550 5.1.1 user unknown", Note: w.T("history.no_mailbox"), Action: w.T("action.undo")})
	panel := NewCard("info@gasthof.example", nil, VStack(10, NewSmall("Winter opening hours · "+w.T("history.through", "news@brauhaus.example")),
		line, HStack(12, NewButton(Normal, w.T("action.open_message"), nil), NewButton(Normal, w.T("action.report"), nil)), Space()))
	return galleryWindow(w, "history", Screen(head, Columns(theme.Gap, []float32{1.75, 1}, NewPlainCard(grid), panel)))
}

func galleryParts(w *words.Catalogue) fyne.CanvasObject {
	pills := HStack(8)
	for tone := theme.Plain; tone <= theme.Unsure; tone++ {
		pills.Add(NewPill(w.T("state.queued"), tone))
	}
	focused, disabled := NewButton(Normal, w.T("action.pause"), nil), NewButton(Normal, w.T("action.pause"), nil)
	focused.FocusGained()
	disabled.Disable()
	focusedPrimary, disabledPrimary := NewButton(Primary, w.T("action.send"), nil), NewButton(Primary, w.T("action.send"), nil)
	focusedPrimary.FocusGained()
	disabledPrimary.Disable()
	withIcon := NewButton(Normal, w.T("action.add"), nil)
	withIcon.Icon = icons.Add
	buttons := HStack(12, NewButton(Normal, w.T("action.pause"), nil), focused, disabled, NewButton(Primary, w.T("action.send"), nil),
		focusedPrimary, disabledPrimary, NewButton(Danger, w.T("action.delete"), nil), NewButton(Link, w.T("action.undo"), nil), withIcon,
		NewIconButton(icons.Trash, "x", nil))
	all := HStack(10)
	for _, icon := range icons.Names() {
		all.Add(FixedWidth(18, FixedHeight(18, widget.NewIcon(icons.Of(icon)))))
	}
	steps := NewStepList(w,
		Step{Title: w.T("doctor.resolve"), State: StepOK, Detail: "192.0.2.7"},
		Step{Title: w.T("doctor.tls"), State: StepFailed, Detail: "certificate signed by unknown authority", Advice: w.T("cause.certificate") + ". " + w.T("error.advice.rejected")},
		Step{Title: w.T("doctor.auth"), State: StepRunning}, Step{Title: w.T("doctor.imap"), State: StepWaiting})
	empty := NewEmptyState(icons.Mailings, w.T("home.empty.sentence"),
		NewButton(Primary, w.T("home.empty.add"), nil), NewButton(Normal, w.T("home.empty.practice"), nil))
	loading, off := galleryGrid(w), galleryGrid(w)
	loading.SetLoading(true)
	off.Disable()
	entry, check := widget.NewEntry(), widget.NewCheck(w.T("file.hidden"), nil)
	entry.SetText("Brauhaus")
	check.SetChecked(true)
	strip := NewStrip(HStack(6, NewStrong(w.T("composer.before_it_goes")).Toned(theme.Attention), Grow(NewText(w.T("composer.nothing_found")).Cutting()), NewButton(Link, w.T("action.show_rows"), nil)))
	left := VStack(theme.Gap, NewCard("", nil, VStack(12, pills, buttons, all,
		HStack(12, FixedWidth(160, entry), NewSelect([]string{"Regulars"}, nil), check))), NewCard(w.T("accounts.test"), nil, steps), strip, Space())
	right := VStack(theme.Gap, FixedHeight(260, NewCard("", nil, empty)), FixedHeight(210, NewPlainCard(loading)), FixedHeight(210, NewPlainCard(off)))
	head := NewHeader(w.T("nav.settings"), nil)
	head.SetPill(w.T("mailing.state.draft_saved"), theme.Quiet)
	return Screen(head, Columns(theme.Gap, []float32{1.5, 1}, left, right))
}
