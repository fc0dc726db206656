package mailings

import (
	"context"
	"html"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"postroom/compose"
	"postroom/post"
	"postroom/practice"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// finish checks the draft, asks, and queues it: live, or as a rehearsal.
func (e *editor) finish(kind post.MailingKind) {
	e.save(func() {
		d, env := e.written(), e.v.env
		now := env.Now()
		var found compose.Findings
		dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.checking"), func(ctx context.Context, report func(done, total int64)) error {
			for _, id := range d.Lists { // those with a rule are chosen anew
				if err := env.Ledger.RefreshList(ctx, id); err != nil {
					return err
				}
			}
			job, err := jobOf(ctx, env.Ledger, d, kind, now)
			if err != nil {
				return err
			}
			found, err = checkJob(ctx, job, env, d, report)
			return err
		}, func(err error) {
			switch {
			case isCancelled(err):
			case err != nil:
				dialogs.Error(env.Words, env.Window, err)
			case !found.OK():
				e.showFindings(groupsOf(&found))
				e.showChecks()
				dialogs.List(env.Words, env.Window, env.T("composer.not_yet"), env.Words.N("composer.not_yet.why", found.Errors), findingLines(env, &found))
			case kind == post.Rehearsal:
				e.askSpeed()
			default:
				e.ask(&found)
			}
		})
	})
}

// ask shows what will happen before anything does.
func (e *editor) ask(f *compose.Findings) {
	env := e.v.env
	sentence := env.Words.N("composer.confirm", f.Rows, e.confirmFrom())
	if f.Warnings > 0 {
		sentence += "\n\n" + screens.Short(findingsText(env.Words, groupsOf(f)), 600)
	}
	askPacing(env, sentence, func(how *pacing) { e.queue(post.Live, how.apply) })
}

// askSpeed rehearses as fast as it goes, or asks whether to where the senders'
// limits make a difference.
func (e *editor) askSpeed() {
	env := e.v.env
	rehearse := func(real bool) {
		e.queue(post.Rehearsal, func(j *compose.Job) error {
			j.RealSpeed = real
			return nil
		})
	}
	limited := slices.ContainsFunc(e.choices.Accounts, func(a post.Account) bool {
		return slices.Contains(e.draft.Accounts, a.ID) && (a.Limits != post.Limits{} || a.Learned.Rate > 0)
	})
	if !limited {
		rehearse(false)
		return
	}
	dialogs.Choose(env.Words, env.Window, env.T("action.rehearse"), env.T("composer.rehearse.speed"),
		dialogs.Choice{Label: env.T("action.cancel")},
		dialogs.Choice{Label: env.T("composer.rehearse.real"), Do: func() { rehearse(true) }},
		dialogs.Choice{Label: env.T("composer.rehearse.full"), Default: true, Do: func() { rehearse(false) }})
}

// queue freezes the draft into a mailing and shows it. how, where set, says how
// it goes out.
func (e *editor) queue(kind post.MailingKind, how func(*compose.Job) error) {
	d, env := e.written(), e.v.env
	now := env.Now()
	var out compose.Queued
	dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.queueing"), func(ctx context.Context, report func(done, total int64)) error {
		job, err := jobOf(ctx, env.Ledger, d, kind, now)
		if err != nil {
			return err
		}
		job.Name = plainName(d.Content.Subject)
		if how != nil {
			if err := how(job); err != nil {
				return err
			}
		}
		if out, err = compose.Queue(ctx, env.Ledger, env.Ledger, job, report); err != nil {
			return err
		}
		if kind != post.Live || out.Mailing == 0 {
			return nil
		}
		if job.NotBefore.IsZero() {
			return env.Ledger.DeleteDraft(ctx, d.ID)
		}
		d.Held = out.Mailing // until it goes it can be called back
		_, err = env.Ledger.SaveDraft(ctx, d)
		return err
	}, func(err error) {
		if err == nil && out.Mailing != 0 && kind == post.Live {
			e.dirty = false // the draft is gone, or kept as it was sent
		}
		e.v.queued(out, err)
	})
}

// queued shows what came of queueing: the mailing's page, or why there is none.
func (v *View) queued(out compose.Queued, err error) {
	env := v.env
	switch {
	case isCancelled(err):
	case err != nil:
		dialogs.Error(env.Words, env.Window, err)
	case out.Mailing == 0:
		dialogs.Info(env.Words, env.Window, env.T("composer.nobody_left"), env.T("composer.nobody_left.why"))
	default:
		env.Mail.Kick()
		v.turn(newDetailPage(v, out.Mailing))
	}
}

// settingTestAddress is where the last test went.
const settingTestAddress = "composer.test_address"

// askTest sends the message of the recipient in front to any address.
func (e *editor) askTest() {
	env := e.v.env
	to := widgets.NewEntry()
	env.IDs.Set("compose.test.to", to)
	if e.choices != nil && len(e.draft.Accounts) > 0 {
		for _, a := range e.choices.Accounts {
			if a.ID == e.draft.Accounts[0] {
				to.SetText(a.Email)
			}
		}
	}
	screens.Load(e.ctx, env, func(ctx context.Context) (string, error) { return env.Ledger.Setting(ctx, settingTestAddress, "") }, func(s string, err error) {
		if err == nil && s != "" {
			to.SetText(s)
		}
	})
	body := widgets.VStack(12, widgets.NewQuiet(env.T("composer.test.why")).Wrapping(), to)
	dialogs.Form(env.Words, env.Window, env.T("action.test_to_myself"), env.T("action.send"), body, to, func() string {
		a, err := post.ParseAddress(strings.TrimSpace(to.Text))
		if err != nil {
			what, _ := env.Words.Error(err)
			return what
		}
		e.sendTest(a)
		return ""
	})
}

func (e *editor) sendTest(a post.Address) {
	env, d, n := e.v.env, e.written(), e.index
	now := env.Now()
	var out compose.Queued
	dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.queueing"), func(ctx context.Context, _ func(done, total int64)) error {
		job, err := testJob(ctx, env.Ledger, d, e.proof, n, a, now)
		if err != nil {
			return err
		}
		job.Name = env.T("composer.test.name", plainName(d.Content.Subject))
		if out, err = compose.Queue(ctx, env.Ledger, env.Ledger, job, nil); err != nil {
			return err
		}
		return env.Ledger.SetSetting(ctx, settingTestAddress, a.String())
	}, func(err error) {
		switch {
		case isCancelled(err):
		case err != nil:
			dialogs.Error(env.Words, env.Window, err)
		case out.Mailing == 0:
			dialogs.Info(env.Words, env.Window, env.T("composer.nobody_left"), env.T("composer.nobody_left.why"))
		default:
			env.Mail.Kick()
			dialogs.Info(env.Words, env.Window, env.T("action.test_to_myself"), env.T("composer.test.sent", a.String()))
		}
	})
}

// testJob is a mailing of one message: that of the recipient of a number, to
// another address.
func testJob(ctx context.Context, l *storage.Ledger, d post.Draft, p *proof, n int64, a post.Address, now time.Time) (*compose.Job, error) {
	s, err := p.sample(ctx, d, n)
	if err != nil {
		return nil, err
	}
	if s.Problem != nil {
		return nil, s.Problem
	}
	if s.Nobody {
		d.To = []string{a.String()}
	}
	job, err := jobOf(ctx, l, d, post.Live, now)
	if err != nil {
		return nil, err
	}
	r := s.Recipient
	// The address becomes a value like any other, so {{email}} says what the
	// recipient would read only where it stands in a field of its own.
	r.Contact, r.Address, r.Key, r.Attachments = 0, a.String(), post.AddressKey(a), nil
	if s.Nobody {
		job.KnownFields = nil
	}
	job.Total = 1
	job.Recipients = func() iter.Seq2[post.Recipient, error] {
		return func(yield func(post.Recipient, error) bool) { yield(r, nil) }
	}
	return job, nil
}

var tags = regexp.MustCompile(`\{\{[^}]*\}\}`)

// plainName is a subject without its fields, to call a mailing by. Empty when
// nothing is left.
func plainName(subject string) string {
	return strings.Trim(strings.Join(strings.Fields(tags.ReplaceAllString(subject, " ")), " "), " ,;:!-–，：！")
}

func findingLines(env *screens.Env, f *compose.Findings) []string {
	var lines []string
	for i := range f.List {
		if f.List[i].Severity == compose.SeverityError {
			lines = append(lines, findingWords(env.Words, &f.List[i]))
		}
	}
	return lines
}

// showPage opens a page in the browser, over loopback.
func showPage(env *screens.Env, page []byte, inline map[string]practice.Inline) {
	address, stop, err := practice.Serve(page, inline)
	if err == nil {
		if err = env.OpenURL(address); err != nil {
			stop()
		}
	}
	if err != nil {
		dialogs.Error(env.Words, env.Window, err)
	}
}

func escape(s string) string { return html.EscapeString(s) }
