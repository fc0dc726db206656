package accounts

import (
	"context"
	"strings"
	"time"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/task"
	"postroom/ui/widgets"
)

// Health asks what the records of an account's domain say.
type Health func(ctx context.Context, a post.Account, now time.Time) (senders.Health, error)

// HealthSteps says in words what was found, one step for each record; what there
// is to copy stands below.
func HealthSteps(w *words.Catalogue, h senders.Health) []widgets.Step {
	steps := make([]widgets.Step, 0, len(h.Findings))
	for _, f := range h.Findings {
		step := widgets.Step{Title: w.T("health.record." + f.Record), Advice: w.Reason(f.What), Detail: strings.Join(f.Found, "\n")}
		switch f.State {
		case senders.HealthGood:
			step.State = widgets.StepOK
		case senders.HealthBad:
			step.State = widgets.StepFailed
		default:
			step.State = widgets.StepNothing
		}
		copied := strings.TrimSpace(f.Name + "  " + f.Value)
		if f.Name != "" && f.Value != "" {
			copied = f.Name + "  TXT  " + f.Value
		}
		if copied != "" {
			if step.Detail != "" {
				step.Detail += "\n"
			}
			step.Detail += w.T("accounts.health.copy", copied)
		}
		steps = append(steps, step)
	}
	return steps
}

// onHealth asks about the domain of the account in the panel.
func (v *View) onHealth() {
	a, ok := v.current()
	if !ok || v.stopTest != nil {
		return
	}
	env, now := v.env, v.env.Now()
	ctx, leave := context.WithCancel(context.Background())
	v.panel.clearSteps()
	v.panel.leaveTest = leave
	v.panel.result.SetTone(theme.Quiet)
	set(v.panel.result, env.T("accounts.health.working"))
	v.panel.test.SetText(env.T("action.stop"))
	var h senders.Health
	v.stopTest = task.Run(ctx, env.Post, nil, func(ctx context.Context, _ task.Report) (err error) {
		h, err = v.health(ctx, a, now)
		return err
	}, func(err error) {
		leave()
		v.stopTest = nil
		v.panel.healthEnded(h, err)
	})
	v.panel.content.Refresh()
}

// healthEnded shows what was found; err is not nil when nothing was.
func (p *panel) healthEnded(h senders.Health, err error) {
	env := p.view.env
	p.test.Enable()
	p.test.SetText(env.T("accounts.test_connection"))
	switch {
	case err != nil && post.KindOf(err) != post.KindCancelled:
		what, _ := env.Words.Error(err)
		p.result.SetTone(theme.Bad)
		set(p.result, what)
	case err != nil:
		p.result.SetTone(theme.Quiet)
		set(p.result, env.T("accounts.test.stopped"))
	case h.OK:
		p.result.SetTone(theme.Good)
		set(p.result, env.T("accounts.health.ok", h.Domain))
	default:
		p.result.SetTone(theme.Attention)
		set(p.result, env.T("accounts.health.bad", h.Domain))
	}
	steps := HealthSteps(env.Words, h)
	p.steps.Set(steps...)
	p.steps.Hidden = len(steps) == 0
	p.content.Refresh()
}
