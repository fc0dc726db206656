package accounts

import (
	"context"
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/widgets"
)

// panel shows the account that is looked at. Its widgets are made once, so that
// a change of numbers takes the focus from nobody.
type panel struct {
	view      *View
	card      fyne.CanvasObject
	content   *fyne.Container
	name      *widgets.Text
	email     *widgets.Text
	state     *widgets.Pill
	why       *widgets.Text
	raw       *widgets.Text
	means     *widgets.Text
	held      *fyne.Container
	command   *widgets.Text
	facts     *fyne.Container
	limits    *fyne.Container
	trouble   *widgets.Text // with the mailbox
	unmoved   *widgets.Text // with the folder for handled reports
	steps     *widgets.StepList
	result    *widgets.Text
	way       *widgets.Button
	wayRow    *fyne.Container
	pin       *fyne.Container // the certificate that failed, and the offer to trust it alone
	pinText   *widgets.Text
	pinKey    string
	plus      *plusOffer
	test      *widgets.Button
	send      *widgets.Button
	hold      *widgets.Button
	buttons   []*widgets.Button // all but test
	shown     *Panel
	leaveTest context.CancelFunc
}

func newPanel(v *View) *panel {
	env := v.env
	p := &panel{
		view: v, name: widgets.NewStrong("").Cutting(), email: widgets.NewSmall("").Cutting(), state: widgets.NewPill("", theme.Quiet),
		why: widgets.NewText("").Wrapping(), raw: widgets.NewCode("").Toned(theme.Quiet).Wrapping(),
		means:   widgets.NewText("").Wrapping(),
		command: widgets.NewCode("").Wrapping(), facts: widgets.VStack(6), limits: widgets.VStack(10),
		trouble: widgets.NewText("").Toned(theme.Bad).Wrapping(), unmoved: widgets.NewText("").Toned(theme.Bad).Wrapping(),
		steps: widgets.NewStepList(env.Words), result: widgets.NewText("").Wrapping(),
	}
	edit := widgets.NewButton(widgets.Link, env.T("action.edit"), v.onEdit)
	remove := widgets.NewButton(widgets.Danger, env.T("action.remove"), v.onRemove)
	confirm := widgets.NewButton(widgets.Normal, env.T("accounts.command.confirm"), v.onConfirm)
	p.way = widgets.NewButton(widgets.Normal, "", v.onWay)
	again := widgets.NewButton(widgets.Link, env.T("accounts.copy"), v.onCopy)
	env.IDs.Set("accounts.copy", again)
	health := widgets.NewButton(widgets.Normal, env.T("accounts.health"), v.onHealth)
	env.IDs.Set("accounts.health", health)
	head := widgets.NewButton(widgets.Normal, env.T("letterhead.button"), v.onLetterhead)
	sign := widgets.NewButton(widgets.Normal, env.T("dkim.button"), v.onDKIM)
	env.IDs.Set("accounts.letterhead", head)
	env.IDs.Set("accounts.dkim", sign)
	smime := widgets.NewButton(widgets.Normal, env.T("smime.button"), v.onSMIME)
	env.IDs.Set("accounts.smime", smime)
	up := widgets.NewButton(widgets.Link, env.T("accounts.move.up"), func() { v.onMove(-1) })
	down := widgets.NewButton(widgets.Link, env.T("accounts.move.down"), func() { v.onMove(1) })
	env.IDs.Set("accounts.move.up", up)
	env.IDs.Set("accounts.move.down", down)
	p.pinText = widgets.NewText("").Wrapping()
	trust := widgets.NewButton(widgets.Normal, env.T("accounts.pin.trust"), v.onPin)
	p.pin = widgets.VStack(8, p.pinText, widgets.HStack(0, trust))
	env.IDs.Set("accounts.way", p.way)
	env.IDs.Set("accounts.pin", trust)
	p.plus = newPlusOffer(v)
	p.test = widgets.NewButton(widgets.Normal, env.T("accounts.test_connection"), v.onTest)
	p.send = widgets.NewButton(widgets.Normal, env.T("accounts.test_send"), v.onTestSend)
	env.IDs.Set("accounts.test.send", p.send)
	p.hold = widgets.NewButton(widgets.Normal, env.T("action.pause"), v.onHold)
	p.buttons = []*widgets.Button{edit, remove, confirm, p.hold, p.way, trust, health, again, head, sign, smime, p.send, up, down, p.plus.button}
	env.IDs.Set("accounts.mailbox.trouble", p.trouble)
	env.IDs.Set("accounts.handled.trouble", p.unmoved)
	env.IDs.Set("accounts.test", p.test)
	env.IDs.Set("accounts.edit", edit)
	env.IDs.Set("accounts.pause", p.hold)
	env.IDs.Set("accounts.remove", remove)
	env.IDs.Set("accounts.confirm", confirm)
	p.held = widgets.VStack(8, widgets.NewText(env.T("accounts.command.held")).Wrapping(), p.command, widgets.HStack(0, confirm))
	p.wayRow = widgets.HStack(0, p.way)
	p.wayRow.Hide()
	p.content = widgets.VStack(14,
		widgets.VStack(2, widgets.HStack(10, widgets.Grow(p.name), p.state, again, edit), p.email),
		widgets.VStack(4, p.why, p.raw, p.means), p.held,
		widgets.HStack(10, p.test, p.hold, widgets.Space(), remove), widgets.HStack(10, p.send, health), widgets.HStack(10, head, sign),
		widgets.HStack(10, smime, widgets.Space(), up, down), p.wayRow, p.result, p.plus.box, p.steps, p.pin,
		widgets.NewDivider(), p.limits, widgets.NewDivider(), p.facts, p.trouble, p.unmoved)
	for _, o := range []fyne.CanvasObject{p.why, p.raw, p.means, p.held, p.result, p.steps, p.way, p.pin, p.trouble, p.unmoved} {
		o.Hide()
	}
	p.card = widgets.NewCard("", nil, container.NewVScroll(widgets.Inset(1, 10, 1, 1, p.content)))
	return p
}

// show takes over what was loaded.
func (p *panel) show(m *Panel) {
	old := p.shown
	p.shown = m
	p.name.SetText(m.Account.Name)
	p.email.SetText(m.Account.Email)
	p.state.Set(m.State, widgets.AccountTone(m.StateKey))
	set(p.why, m.Why)
	set(p.raw, m.Raw)
	set(p.means, m.Means)
	set(p.trouble, m.Trouble)
	set(p.unmoved, m.Unmoved)
	tone := theme.Plain
	if m.StateKey == post.AccountStopped {
		tone = theme.Bad
	}
	p.why.SetTone(tone)
	p.command.SetText(m.Command)
	p.held.Hidden = m.Command == ""
	kind, word := widgets.Normal, "action.pause"
	if m.Account.Hold != "" {
		word = "action.resume"
		if m.StateKey == post.AccountStopped {
			kind = widgets.Primary
		}
	}
	if text := p.view.env.T(word); p.hold.Text != text || p.hold.Kind != kind {
		p.hold.Kind = kind
		p.hold.SetText(text)
	}
	way, provider := WayOf(&m.Account, &m.Own)
	p.way.Hidden = way == WayNone
	p.wayRow.Hidden = p.way.Hidden
	if way != WayNone {
		p.way.SetText(p.view.env.T("accounts.way."+string(way), provider))
	}
	if old == nil || !slices.Equal(old.Facts, m.Facts) {
		p.showFacts(m.Facts)
	}
	if old == nil || !slices.Equal(old.Limits, m.Limits) || old.StateKey != m.StateKey {
		p.showLimits(m)
	}
	p.content.Refresh()
}

// set shows a text, or takes its room away.
func set(t *widgets.Text, s string) {
	t.SetText(s)
	t.Hidden = s == ""
}

func (p *panel) showFacts(facts []Fact) {
	p.facts.RemoveAll()
	for _, f := range facts {
		p.facts.Add(widgets.HStack(10, widgets.FixedWidth(110, widgets.NewQuiet(f.Name)), widgets.Grow(widgets.NewText(f.Value).Cutting())))
	}
}

func (p *panel) showLimits(m *Panel) {
	p.limits.RemoveAll()
	tone := theme.Blue
	if m.StateKey == post.AccountStopped {
		tone = theme.Bad
	}
	for _, l := range m.Limits {
		row := widgets.VStack(6, widgets.HStack(8, widgets.Grow(widgets.NewText(l.Name).Cutting()), widgets.NewQuiet(l.Text)))
		if l.Total > 0 {
			row.Add(widgets.NewMeter(l.Total, widgets.Segment{Value: l.Used, Tone: tone, Name: p.view.env.T("home.count.taken")}))
		}
		p.limits.Add(row)
	}
}

// busy takes the buttons out of reach while something is stored.
func (p *panel) busy(on bool) {
	for _, b := range append(p.buttons, p.test) {
		if on {
			b.Disable()
		} else {
			b.Enable()
		}
	}
}

func (p *panel) testBegun(steps []Step, letter bool) {
	p.test.SetText(p.view.env.T("action.stop"))
	p.send.Disable()
	p.plus.set(p.view, "")
	p.result.SetTone(theme.Quiet)
	word := "accounts.testing"
	if letter {
		word = "accounts.testing.letter"
	}
	set(p.result, p.view.env.T(word))
	p.showSteps(steps)
}

func (p *panel) testEnding() {
	p.test.Disable()
	p.test.SetText(p.view.env.T("progress.cancelling"))
}

// testEnded shows what was found; err is not nil when the test was ended.
func (p *panel) testEnded(steps []Step, err error) {
	env := p.view.env
	p.test.Enable()
	p.test.SetText(env.T("accounts.test_connection"))
	p.send.Enable()
	failed := slices.ContainsFunc(steps, func(s Step) bool { return !s.OK && !s.Nothing })
	switch {
	case err != nil:
		p.result.SetTone(theme.Quiet)
		set(p.result, env.T("accounts.test.stopped"))
		steps = nil
	case failed:
		p.result.SetTone(theme.Bad)
		set(p.result, env.T("accounts.test.failed"))
	default:
		p.result.SetTone(theme.Good)
		came := func(names ...string) bool {
			return slices.ContainsFunc(steps, func(s Step) bool { return slices.Contains(names, s.Name) })
		}
		word := "accounts.test.ok"
		switch {
		case came(senders.StepArrive, senders.StepPlus):
			word = "accounts.test.arrived"
		case came(senders.StepSend):
			word = "accounts.test.sent"
		}
		set(p.result, env.T(word))
	}
	p.showSteps(steps)
}

// offerPin shows the certificate that failed, so that its user can trust it alone.
func (p *panel) offerPin(t *senders.TLSInfo) {
	p.pin.Hidden = t == nil || t.Key == ""
	p.pinKey = ""
	if !p.pin.Hidden {
		p.pinKey = t.Key
		env := p.view.env
		p.pinText.SetText(env.T("accounts.pin.offer", t.Server, t.Issuer, env.Words.When(t.NotAfter, env.Now()), spaced(t.Key)))
	}
	p.content.Refresh()
}

// spaced cuts a fingerprint into groups that can be compared by eye.
func spaced(key string) string {
	var out []byte
	for i := range len(key) {
		if i > 0 && i%4 == 0 {
			out = append(out, ' ')
		}
		out = append(out, key[i])
	}
	return string(out)
}

// short is the beginning of a fingerprint.
func short(key string) string { return spaced(key[:min(len(key), 16)]) }

func (p *panel) clearSteps() {
	p.offerPin(nil)
	p.plus.set(p.view, "")
	set(p.result, "")
	p.showSteps(nil)
}

func (p *panel) showSteps(steps []Step) {
	all := make([]widgets.Step, len(steps))
	for i, s := range steps {
		state := widgets.StepFailed
		switch {
		case s.Waiting:
			state = widgets.StepWaiting
		case s.Skipped:
			state = widgets.StepSkipped
		case s.Nothing:
			state = widgets.StepNothing
		case s.OK:
			state = widgets.StepOK
		}
		title := s.Title
		if s.Took != "" {
			title = p.view.env.T("doctor.title", s.Title, s.Took)
		}
		all[i] = widgets.Step{Title: title, State: state, Detail: s.Detail, Advice: s.Advice}
	}
	p.steps.Set(all...)
	p.steps.Hidden = len(all) == 0
	p.content.Refresh()
}
