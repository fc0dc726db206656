package mailings

import (
	"context"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"postroom/compose"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// pacing is how a mailing goes out, as the question before sending lets the user
// choose: when, in which hours, how much of it first, how long it can be called
// back, and what is done when it is not known whether a message arrived.
type pacing struct {
	env                                    *screens.Env
	when, hours, first, hold, policy, late *widgets.Select
	day, clock, zone, own                  *widgets.Entry
	later, ownHours                        *fyne.Container
	dialog                                 *dialogs.Dialog
}

// The choices, in the order in which they are listed.
var (
	hoursChoices = []struct{ key, hours string }{
		{"pacing.hours.any", ""}, {"pacing.hours.work", "mon-fri 09:00-17:00"}, {"pacing.hours.day", "08:00-20:00"}, {"pacing.hours.own", "-"},
	}
	firstChoices = []int64{0, 10, 100}
	holdChoices  = []struct {
		key  string
		hold time.Duration
	}{{"pacing.hold.short", 10 * time.Second}, {"pacing.hold.minute", time.Minute}, {"pacing.hold.long", 10 * time.Minute}, {"pacing.hold.none", 0}}
	// lateChoices are for a computer that slept when the time came.
	lateChoices = []struct {
		key  string
		late post.Late
	}{
		{"pacing.late.hour", post.Late{After: time.Hour, Then: post.LateAsk}},
		{"pacing.late.day", post.Late{After: 24 * time.Hour, Then: post.LateAsk}},
		{"pacing.late.send", post.Late{}},
		{"pacing.late.skip", post.Late{After: time.Hour, Then: post.LateSkip}},
	}
	unsureChoices = []struct {
		key    string
		policy post.UncertainPolicy
	}{{"pacing.unsure.ask", post.UncertainAsk}, {"pacing.unsure.resend", post.UncertainResend}, {"pacing.unsure.sent", post.UncertainAssume}}
)

// askPacing asks how a mailing goes out; what is done about uncertain messages
// begins with the setting.
func askPacing(env *screens.Env, sentence string, send func(*pacing)) {
	screens.Load(context.Background(), env, func(ctx context.Context) (string, error) {
		return env.Ledger.Setting(ctx, settingUncertain, string(post.UncertainAsk))
	}, func(uncertain string, err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		p := newPacing(env, post.UncertainPolicy(uncertain))
		p.dialog = dialogs.Form(env.Words, env.Window, env.T("composer.confirm.title"), env.T("action.send"), p.object(sentence), nil, func() string {
			if err := p.apply(&compose.Job{}); err != nil {
				what, _ := env.Words.Error(err)
				return what
			}
			send(p)
			return ""
		})
	})
}

func newPacing(env *screens.Env, uncertain post.UncertainPolicy) *pacing {
	w := env.Words
	p := &pacing{env: env, day: widgets.NewEntry(), clock: widgets.NewEntry(), zone: widgets.NewEntry(), own: widgets.NewEntry()}
	var hours, first, hold, unsure []string
	for _, c := range hoursChoices {
		hours = append(hours, w.T(c.key))
	}
	for _, n := range firstChoices {
		if n == 0 {
			first = append(first, w.T("pacing.first.all"))
			continue
		}
		first = append(first, w.T("pacing.first.some", n))
	}
	for _, c := range holdChoices {
		hold = append(hold, w.T(c.key))
	}
	for _, c := range unsureChoices {
		unsure = append(unsure, w.T(c.key))
	}
	var late []string
	for _, c := range lateChoices {
		late = append(late, w.T(c.key))
	}
	p.late = widgets.NewSelect(late, nil)
	p.hours = widgets.NewSelect(hours, func(string) { p.show() })
	p.first, p.hold, p.policy = widgets.NewSelect(first, nil), widgets.NewSelect(hold, nil), widgets.NewSelect(unsure, nil)
	p.when = widgets.NewSelect([]string{w.T("pacing.when.now"), w.T("pacing.when.at")}, func(string) { p.show() })
	for i, c := range unsureChoices {
		if c.policy == uncertain {
			p.policy.SetSelectedIndex(i)
		}
	}
	tomorrow := env.Now().AddDate(0, 0, 1)
	p.day.SetText(tomorrow.Format(time.DateOnly))
	p.clock.SetText("09:00")
	p.zone.SetText(zoneName(env))
	p.own.SetText("mon-fri 09:00-17:00")
	p.own.SetPlaceHolder("mon-fri 09:00-17:00")
	for id, o := range map[string]fyne.CanvasObject{
		"pacing.when": p.when, "pacing.day": p.day, "pacing.clock": p.clock, "pacing.zone": p.zone, "pacing.hours": p.hours, "pacing.own_hours": p.own,
		"pacing.first": p.first, "pacing.hold": p.hold, "pacing.late": p.late, "pacing.unsure": p.policy,
	} {
		env.IDs.Set(id, o)
	}
	return p
}

// zoneName is the user's time zone by name.
func zoneName(env *screens.Env) string {
	if name := env.Zone.String(); name != "Local" {
		return name
	}
	return post.LocalZone()
}

// object lays the choices out under the sentence that says what will happen.
func (p *pacing) object(sentence string) fyne.CanvasObject {
	field := func(key string, choice fyne.CanvasObject) fyne.CanvasObject {
		return widgets.VStack(4, widgets.NewSmall(p.env.T(key)), choice)
	}
	two := func(a, b fyne.CanvasObject) fyne.CanvasObject { return widgets.Columns(12, []float32{1, 1}, a, b) }
	p.later = widgets.VStack(12, widgets.Columns(8, []float32{3, 2, 4}, field("pacing.day", p.day), field("pacing.clock", p.clock), field("pacing.zone", p.zone)),
		field("pacing.late", p.late))
	p.ownHours = widgets.VStack(4, widgets.NewSmall(p.env.T("pacing.hours.own.how")).Wrapping(), p.own)
	p.show()
	return widgets.VStack(12, widgets.NewQuiet(sentence).Wrapping(),
		two(field("pacing.when", p.when), field("pacing.hold", p.hold)), p.later,
		two(field("pacing.hours", p.hours), field("pacing.first", p.first)), p.ownHours,
		field("pacing.unsure", p.policy))
}

// show shows the fields that the choices ask for.
func (p *pacing) show() {
	if p.later == nil {
		return
	}
	for _, x := range []struct {
		o  *fyne.Container
		on bool
	}{{p.later, p.when.SelectedIndex() == 1}, {p.ownHours, hoursChoices[max(0, p.hours.SelectedIndex())].hours == "-"}} {
		if x.o.Hidden = !x.on; x.on {
			x.o.Show()
		}
	}
	if p.when.SelectedIndex() == 1 {
		p.hold.Disable() // it can be called back until then
	} else {
		p.hold.Enable()
	}
	if p.dialog != nil {
		p.dialog.Refresh()
	}
}

// apply writes the choices into a job.
func (p *pacing) apply(job *compose.Job) error {
	zone := strings.TrimSpace(p.zone.Text)
	hours := hoursChoices[max(0, p.hours.SelectedIndex())].hours
	if hours == "-" {
		hours = p.own.Text
	}
	now := p.env.Now()
	if p.when.SelectedIndex() == 1 {
		at, err := parseMoment(p.day.Text, p.clock.Text, zone)
		if err != nil {
			return err
		}
		if !at.After(now) {
			return &post.Error{Kind: post.KindInvalid, Op: "schedule", Message: "that time is over already", Reason: post.Reason{Key: "pacing.over"}}
		}
		job.NotBefore, job.Late = at, lateChoices[max(0, p.late.SelectedIndex())].late
	} else {
		zone = zoneName(p.env)
		if d := holdChoices[max(0, p.hold.SelectedIndex())].hold; d > 0 {
			job.NotBefore = now.Add(d)
		}
	}
	if hours != "" {
		h, err := post.ParseHours(hours, zone)
		if err != nil {
			return err
		}
		job.Hours = h
	}
	job.Release = firstChoices[max(0, p.first.SelectedIndex())]
	job.Uncertain = unsureChoices[max(0, p.policy.SelectedIndex())].policy
	return nil
}

// parseMoment reads a day and a time of day in a named zone.
func parseMoment(day, clock, zone string) (time.Time, error) {
	wrong := func(key, message string, args ...string) error {
		return &post.Error{Kind: post.KindInvalid, Op: "schedule", Message: message, Reason: post.Reason{Key: key, Args: args}}
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "" {
		return time.Time{}, wrong("pacing.zone.wrong", "the time zone is not known", zone)
	}
	const layout = "2006-01-02 15:04"
	text := strings.TrimSpace(day) + " " + strings.TrimSpace(clock)
	if len(strings.TrimSpace(clock)) == len("9:00") {
		text = strings.TrimSpace(day) + " 0" + strings.TrimSpace(clock)
	}
	t, err := time.ParseInLocation(layout, text, loc)
	switch {
	case err != nil:
		return t, wrong("pacing.moment.wrong", "the time is not understood", text)
	case t.Format(layout) != text: // the hour that is left out when clocks are put forward
		return t, wrong("pacing.moment.gap", "there is no such time in that zone", text, zone)
	}
	return t, nil
}
