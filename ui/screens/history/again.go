package history

import (
	"context"
	"slices"
	"strings"

	"postroom/post"
	"postroom/storage"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// Followed is a mailing that one may follow up with another.
type Followed struct {
	ID       int64
	Name     string
	Accounts []int64 // whose senders write again
	Counts   map[storage.FollowUp]storage.FollowUpCount
}

// LoadFollowed reads the mailing of an id, or else that of a delivery.
func LoadFollowed(ctx context.Context, l *storage.Ledger, mailing, delivery int64) (*Followed, error) {
	if mailing == 0 {
		h, err := l.Delivery(ctx, delivery)
		if err != nil {
			return nil, err
		}
		mailing = h.Mailing
	}
	m, err := l.Mailing(ctx, mailing)
	if err != nil {
		return nil, err
	}
	f := &Followed{ID: m.ID, Name: m.Name}
	for _, s := range m.Senders {
		f.Accounts = append(f.Accounts, s.Account)
	}
	if m.Kind == post.Live { // a rehearsal reached nobody
		f.Counts, err = l.CountFollowUps(ctx, m.ID)
	}
	return f, err
}

// followUp makes a list by what became of a mailing, and begins a letter to it.
// Whom the book does not know yet comes into it. The list is chosen anew when the
// letter goes out: who answers meanwhile gets no second one.
func followUp(ctx context.Context, l *storage.Ledger, f *Followed, o storage.FollowUp, name string) (draft int64, err error) {
	if f.Counts[o].Strangers > 0 {
		if _, err := l.AddRecipients(ctx, f.ID, o); err != nil {
			return 0, err
		}
	}
	li, err := l.MakeList(ctx, name, storage.Rule{Got: f.ID, FollowUp: o}, true)
	if err != nil {
		return 0, err
	}
	return screens.DraftTo(ctx, l, li.ID, f.Accounts...)
}

// outcomeOf is whom one most likely means who looks at deliveries of a state.
func outcomeOf(states []post.State) storage.FollowUp {
	if len(states) != 1 {
		return storage.FollowUpSilent
	}
	switch states[0] {
	case post.StateFailed:
		return storage.FollowUpFailed
	case post.StateUncertain:
		return storage.FollowUpUncertain
	case post.StateCancelled, post.StateExpired:
		return storage.FollowUpUnsent
	case post.StateSent:
		return storage.FollowUpSent
	}
	return storage.FollowUpSilent
}

// onAgain asks whom to write to again, of the mailing that is filtered for, else
// of the one that the panel is about.
func (v *View) onAgain() {
	env, mailing, current := v.env, v.filter.Mailing, v.current
	if mailing == 0 && current == 0 {
		return
	}
	screens.Load(context.Background(), env, func(ctx context.Context) (*Followed, error) {
		return LoadFollowed(ctx, env.Ledger, mailing, current)
	}, func(f *Followed, err error) {
		switch {
		case err != nil:
			dialogs.Error(env.Words, env.Window, err)
		case f.Counts == nil:
			dialogs.Info(env.Words, env.Window, env.T("history.again"), env.T("history.again.rehearsal"))
		default:
			v.askAgain(f)
		}
	})
}

func (v *View) askAgain(f *Followed) {
	env := v.env
	words := make([]string, len(storage.FollowUps))
	for i, o := range storage.FollowUps {
		words[i] = env.T("history.again.choice", env.T(screens.FollowUpKey(o)), f.Counts[o].People)
	}
	title := screens.Short(f.Name, 60)
	name, pick, note := widgets.NewEntry(), widgets.NewSelect(words, nil), widgets.NewSmall("")
	note.Wrapping()
	offered := ""
	chosen := func() storage.FollowUp { return storage.FollowUps[max(0, pick.SelectedIndex())] }
	body := widgets.VStack(10, widgets.NewQuiet(env.T("history.again.sentence", title)).Wrapping(), pick, note,
		widgets.HStack(10, widgets.NewQuiet(env.T("history.again.list")), widgets.Grow(name)), widgets.NewSmall(env.T("history.again.fresh")).Wrapping())
	pick.OnChanged = func(string) {
		if name.Text == offered { // not the user's own words
			offered = env.T("history.again.name", title, env.T(screens.FollowUpKey(chosen())))
			name.SetText(offered)
		}
		n := f.Counts[chosen()].Strangers
		note.Hidden = n == 0
		note.SetText(env.Words.N("history.again.strangers", n))
		body.Refresh()
	}
	pick.SetSelectedIndex(slices.Index(storage.FollowUps, outcomeOf(v.filter.States)))
	env.IDs.Set("again.who", pick)
	env.IDs.Set("again.list", name)
	dialogs.Form(env.Words, env.Window, env.T("history.again.title"), env.T("history.again.yes"), body, pick, func() string {
		list := strings.TrimSpace(name.Text)
		switch {
		case f.Counts[chosen()].People == 0:
			return env.T("history.again.nobody")
		case list == "":
			return env.T("contacts.no_list")
		}
		v.writeAgain(f, chosen(), list)
		return ""
	})
}

func (v *View) writeAgain(f *Followed, o storage.FollowUp, list string) {
	env := v.env
	var draft int64
	dialogs.Work(env.Words, env.Window, env.Post, env.T("lists.choosing"), func(ctx context.Context, _ func(done, total int64)) (err error) {
		draft, err = followUp(ctx, env.Ledger, f, o, list)
		return err
	}, func(err error) {
		switch {
		case err == nil:
			env.Go(screens.Route{Screen: screens.Mailings, Draft: draft})
		case post.KindOf(err) != post.KindCancelled:
			dialogs.Error(env.Words, env.Window, err)
		}
	})
}
