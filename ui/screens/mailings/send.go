package mailings

import (
	"bytes"
	"context"
	"encoding/csv"
	"html"
	"iter"
	"regexp"
	"strings"

	"postroom/assets/sample"
	"postroom/compose"
	"postroom/post"
	"postroom/practice"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
)

// finish checks the draft, asks, and queues it: live, or as a rehearsal.
func (e *editor) finish(kind post.MailingKind) {
	e.save(func() {
		d, env := e.draft, e.v.env
		var job *compose.Job
		var found compose.Findings
		dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.checking"), func(ctx context.Context, report func(done, total int64)) error {
			var err error
			if job, err = jobOf(ctx, env.Ledger, d, kind); err != nil {
				return err
			}
			found, err = compose.Check(ctx, job, report)
			return err
		}, func(err error) {
			switch {
			case isCancelled(err):
			case err != nil:
				dialogs.Error(env.Words, env.Window, err)
			case !found.OK():
				dialogs.List(env.Words, env.Window, env.T("composer.not_yet"), env.Words.N("composer.not_yet.why", found.Errors), findingLines(env, &found))
			case kind == post.Rehearsal:
				e.queue(kind, nil)
			default:
				e.ask(&found)
			}
		})
	})
}

// ask shows what will happen before anything does.
func (e *editor) ask(f *compose.Findings) {
	env := e.v.env
	sentence := env.Words.N("composer.confirm", f.Rows, e.from.Selected)
	if f.Warnings > 0 {
		sentence += "\n\n" + findingsText(env.Words, f)
	}
	how := newPacing(env)
	dialogs.Form(env.Words, env.Window, env.T("composer.confirm.title"), env.T("action.send"), how.object(env.Words, sentence), nil, func() string {
		e.queue(post.Live, how.apply)
		return ""
	})
}

// queue freezes the draft into a mailing and shows it. how, where set, says how
// it goes out.
func (e *editor) queue(kind post.MailingKind, how func(*compose.Job) error) {
	d, env := e.draft, e.v.env
	var out compose.Queued
	dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.queueing"), func(ctx context.Context, report func(done, total int64)) error {
		for _, list := range d.Lists { // those with a rule are chosen anew
			if err := env.Ledger.RefreshList(ctx, list); err != nil {
				return err
			}
		}
		job, err := jobOf(ctx, env.Ledger, d, kind)
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
		if kind == post.Live && out.Mailing != 0 {
			return env.Ledger.DeleteDraft(ctx, d.ID)
		}
		return nil
	}, func(err error) {
		switch {
		case isCancelled(err):
		case err != nil:
			dialogs.Error(env.Words, env.Window, err)
		case out.Mailing == 0:
			dialogs.Info(env.Words, env.Window, env.T("composer.nobody_left"), env.T("composer.nobody_left.why"))
		default:
			if kind == post.Live {
				e.dirty = false
			}
			env.Mail.Kick()
			e.v.turn(newDetailPage(e.v, out.Mailing))
		}
	})
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

// rehearseSample queues the built-in sample as a rehearsal and shows it.
func (v *View) rehearseSample() {
	env := v.env
	var out compose.Queued
	dialogs.Work(env.Words, env.Window, env.Post, env.T("mailings.sample.work"), func(ctx context.Context, report func(done, total int64)) error {
		job, err := sampleJob(ctx, env.Ledger)
		if err != nil {
			return err
		}
		out, err = compose.Queue(ctx, env.Ledger, env.Ledger, job, report)
		return err
	}, func(err error) {
		if isCancelled(err) {
			return
		}
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		env.Mail.Kick()
		v.turn(newDetailPage(v, out.Mailing))
	})
}

// sampleJob is the rehearsal of the built-in sample. Its sender is the first
// account, or the practice account, which is made where there is none: it is
// paused for good, so nothing can ever leave through it.
func sampleJob(ctx context.Context, l *storage.Ledger) (*compose.Job, error) {
	sender, err := sampleSender(ctx, l)
	if err != nil {
		return nil, err
	}
	rows, fields, err := samplePeople()
	if err != nil {
		return nil, err
	}
	file := sample.Attachment()
	sum, size, err := l.Put(ctx, bytes.NewReader(file.Content))
	if err != nil {
		return nil, err
	}
	return &compose.Job{
		Name: sample.Name, Kind: post.Rehearsal, Total: int64(len(rows)), KnownFields: fields, Senders: []post.Sender{sender},
		Content: post.Content{
			Subject: sample.Subject, Format: post.FormatMarkdown, Body: string(sample.Message().Content),
			Attachments: []post.Attachment{{Name: file.Name, SHA256: sum, Size: size, Type: file.Type}},
		},
		Recipients: func() iter.Seq2[post.Recipient, error] {
			return func(yield func(post.Recipient, error) bool) {
				for _, r := range rows {
					if !yield(r, nil) {
						return
					}
				}
			}
		},
	}, nil
}

// practiceName is the name of the account that only rehearsals use.
const practiceName = "Practice"

func sampleSender(ctx context.Context, l *storage.Ledger) (post.Sender, error) {
	all, err := l.Accounts(ctx)
	if err != nil {
		return post.Sender{}, err
	}
	if len(all) > 0 {
		return post.Sender{Account: all[0].ID, Email: all[0].Email, FromName: all[0].FromName}, nil
	}
	a, err := l.CreateAccount(ctx, post.Account{
		Name: practiceName, Email: "practice@localhost", FromName: practiceName, Host: "127.0.0.1", Port: 25, TLS: post.TLSNone,
		Auth: post.AuthNone, Secret: post.SecretNone,
	})
	if err != nil {
		return post.Sender{}, err
	}
	err = l.HoldAccount(ctx, a.ID, post.AccountPaused, post.Reason{Key: "account.practice"})
	return post.Sender{Account: a.ID, Email: a.Email, FromName: a.FromName}, err
}

// samplePeople reads the sample's sheet: email and name columns, the rest are
// fields.
func samplePeople() ([]post.Recipient, []string, error) {
	all, err := csv.NewReader(bytes.NewReader(sample.People().Content)).ReadAll()
	if err != nil {
		return nil, nil, err
	}
	head := all[0]
	rows := make([]post.Recipient, 0, len(all)-1)
	for _, cells := range all[1:] {
		r := post.Recipient{Fields: map[string]string{}}
		for i, c := range cells {
			if head[i] == "email" {
				r.Address = c
				continue
			}
			r.Fields[head[i]] = c
		}
		a, err := post.ParseAddress(r.Address)
		if err != nil {
			return nil, nil, err
		}
		r.Key, r.Name = post.AddressKey(a), strings.TrimSpace(r.Fields["first_name"]+" "+r.Fields["last_name"])
		rows = append(rows, r)
	}
	return rows, head[1:], nil
}
