package mailings

import (
	"fyne.io/fyne/v2"

	"postroom/assets/words"
	"postroom/compose"
	"postroom/post"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// pacing is how a mailing goes out, as the question before sending lets the user
// choose: in which hours, how much of it first, and what is done when it is not
// known whether a message arrived.
type pacing struct {
	hours, first, unsure *widgets.Select
}

// The choices, in the order in which they are listed.
var (
	hoursChoices = []struct{ key, hours string }{
		{"pacing.hours.any", ""}, {"pacing.hours.work", "mon-fri 09:00-17:00"}, {"pacing.hours.day", "08:00-20:00"},
	}
	firstChoices  = []int64{0, 10, 100}
	unsureChoices = []struct {
		key    string
		policy post.UncertainPolicy
	}{{"pacing.unsure.ask", post.UncertainAsk}, {"pacing.unsure.resend", post.UncertainResend}, {"pacing.unsure.sent", post.UncertainAssume}}
)

func newPacing(env *screens.Env) *pacing {
	w := env.Words
	var hours, first, unsure []string
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
	for _, c := range unsureChoices {
		unsure = append(unsure, w.T(c.key))
	}
	p := &pacing{
		hours: widgets.NewSelect(hours, nil), first: widgets.NewSelect(first, nil), unsure: widgets.NewSelect(unsure, nil),
	}
	env.IDs.Set("pacing.hours", p.hours)
	env.IDs.Set("pacing.first", p.first)
	env.IDs.Set("pacing.unsure", p.unsure)
	return p
}

// object lays the choices out under the sentence that says what will happen.
func (p *pacing) object(w *words.Catalogue, sentence string) fyne.CanvasObject {
	field := func(key string, choice fyne.CanvasObject) fyne.CanvasObject {
		return widgets.VStack(4, widgets.NewSmall(w.T(key)), choice)
	}
	return widgets.VStack(14, widgets.NewQuiet(sentence).Wrapping(),
		field("pacing.hours", p.hours), field("pacing.first", p.first), field("pacing.unsure", p.unsure))
}

// apply writes the choices into a job.
func (p *pacing) apply(job *compose.Job) error {
	if s := hoursChoices[max(0, p.hours.SelectedIndex())].hours; s != "" {
		h, err := post.ParseHours(s, post.LocalZone())
		if err != nil {
			return err
		}
		job.Hours = h
	}
	job.Release = firstChoices[max(0, p.first.SelectedIndex())]
	job.Uncertain = unsureChoices[max(0, p.unsure.SelectedIndex())].policy
	return nil
}
