package mailings

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"postroom/assets/theme"
	"postroom/compose"
	"postroom/contacts"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// check runs preflight in the background and shows what it found.
func (e *editor) check() {
	if e.ctx == nil || e.ctx.Err() != nil {
		return
	}
	if e.checking != nil {
		e.checking()
	}
	ctx, cancel := context.WithCancel(e.ctx)
	e.checking = cancel
	d, env := e.written(), e.v.env
	if d.Content.Subject == "" && d.Content.Body == "" {
		e.showFindings(nil)
		return
	}
	now := env.Now()
	screens.Load(ctx, env, func(ctx context.Context) (compose.Findings, error) {
		j, err := jobOf(ctx, env.Ledger, d, post.Live, now)
		if err != nil {
			return compose.Findings{}, err
		}
		return checkJob(ctx, j, env, d, nil)
	}, func(f compose.Findings, err error) {
		if err != nil {
			if !isCancelled(err) {
				f = compose.Findings{List: []compose.Finding{findingOf(err)}, Errors: 1}
				e.showFindings(groupsOf(&f))
			}
			return
		}
		e.showFindings(groupsOf(&f))
	})
}

// checkJob is preflight, with the rows of a sheet that cannot be taken among the
// warnings.
func checkJob(ctx context.Context, j *compose.Job, env *screens.Env, d post.Draft, report compose.Progress) (compose.Findings, error) {
	var mu sync.Mutex
	var left []contacts.Problem
	if d.Rows != "" {
		told := map[int64]bool{}
		who, err := recipientsOf(ctx, env.Ledger, d, func(p contacts.Problem) {
			mu.Lock()
			defer mu.Unlock()
			if p.Skipped && !told[p.Row] && len(left) < compose.MaxFindings {
				told[p.Row] = true
				left = append(left, p)
			}
		})
		if err != nil {
			return compose.Findings{}, err
		}
		j.Recipients = who.rows
	}
	f, err := compose.Check(ctx, j, report)
	mu.Lock()
	defer mu.Unlock()
	for _, p := range left {
		f.Warnings++
		f.List = append(f.List, compose.Finding{
			Severity: compose.SeverityWarning, Reason: post.Reason{Key: "composer.row_left", Args: []string{env.Words.Number(p.Row), env.Words.Reason(p.Reason)}},
		})
	}
	return f, err
}

// findingOf is an error as preflight lists it.
func findingOf(err error) compose.Finding {
	f := compose.Finding{Severity: compose.SeverityError, Message: err.Error()}
	var e *post.Error
	if errors.As(err, &e) {
		f.Reason, f.Message = e.Reason, e.Message
	}
	return f
}

func (e *editor) showFindings(groups []group) {
	e.findings = groups
	e.pane.checks.set(groups)
	e.pane.way.Options[asChecks] = e.v.env.T("composer.as.checks", len(groups))
	if e.pane.way.SelectedIndex() == -1 { // its words have changed
		e.pane.way.Selected = e.pane.way.Options[asChecks]
	}
	e.pane.way.Refresh()
	e.stripTxt.SetText(findingsText(e.v.env.Words, groups))
	if len(groups) == 0 {
		e.strip.Hide()
	} else {
		e.strip.Show()
	}
	e.root.Refresh()
}

// showChecks puts preflight's list in the place of the preview.
func (e *editor) showChecks() { e.pane.way.SetSelectedIndex(int(asChecks)) }

// checkList is what preflight found, as a list that can be walked.
type checkList struct {
	e    *editor
	root *container.Scroll
	rows *fyne.Container
}

func newCheckList(e *editor) *checkList {
	l := &checkList{e: e, rows: widgets.VStack(12)}
	l.root = container.NewVScroll(widgets.Inset(2, 12, 2, 2, l.rows))
	l.set(nil)
	return l
}

// shownGroups is how many kinds of findings are listed; each stands for all rows
// that have it.
const shownGroups = 100

func (l *checkList) set(groups []group) {
	env := l.e.v.env
	l.rows.Objects = nil
	if len(groups) == 0 {
		l.rows.Add(widgets.NewQuiet(env.T("composer.nothing_found")).Wrapping())
	}
	for i := range groups[:min(len(groups), shownGroups)] {
		if i > 0 {
			l.rows.Add(widgets.NewDivider())
		}
		l.rows.Add(l.row(i, &groups[i]))
	}
	l.root.Refresh()
}

func (l *checkList) row(i int, g *group) fyne.CanvasObject {
	e, env := l.e, l.e.v.env
	x := &g.first
	tone, kind := theme.Attention, "composer.check.warning"
	if x.Severity == compose.SeverityError {
		tone, kind = theme.Bad, "composer.check.error"
	}
	lines := widgets.VStack(3, widgets.NewSmall(env.T(kind)).Toned(tone), widgets.NewText(findingWords(env.Words, x)).Wrapping())
	if mend := x.Reason.Key + ".mend"; env.Words.Has(mend) {
		lines.Add(widgets.NewQuiet(env.T(mend)).Wrapping())
	} else if x.Mend != "" {
		lines.Add(widgets.NewQuiet(x.Mend).Wrapping())
	}
	buttons := widgets.HStack(4)
	if go_ := e.placeOf(g); go_ != nil {
		b := widgets.NewButton(widgets.Link, env.T("composer.check.go"), go_)
		env.IDs.Set("compose.check.go."+env.Words.Number(int64(i)), b)
		buttons.Add(b)
	}
	if key, mend := e.mendOf(x); mend != nil {
		b := widgets.NewButton(widgets.Link, env.T(key), mend)
		env.IDs.Set("compose.check.mend."+env.Words.Number(int64(i)), b)
		buttons.Add(b)
	}
	if len(g.rows) > 1 {
		buttons.Add(l.walker(g.rows))
	}
	if len(buttons.Objects) > 0 {
		lines.Add(buttons)
	}
	return lines
}

// walker goes from row to row of those that have a finding.
func (l *checkList) walker(rows []int64) fyne.CanvasObject {
	env := l.e.v.env
	at := -1
	said := widgets.NewSmall(env.T("composer.check.rows", len(rows)))
	line := widgets.HStack(2)
	turn := func(by int) func() {
		return func() {
			if at = min(max(at+by, 0), len(rows)-1); at >= 0 {
				said.SetText(env.T("composer.check.row", at+1, len(rows), rows[at]))
				line.Refresh()
				l.e.index = rows[at]
				l.e.preview()
			}
		}
	}
	line.Objects = []fyne.CanvasObject{widgets.NewButton(widgets.Flat, "‹", turn(-1)), said, widgets.NewButton(widgets.Flat, "›", turn(1))}
	return line
}

// places say where in the composer a finding is mended, by the beginning of its
// key.
var places = []struct{ key, place string }{
	{"compose.no-subject", "subject"},
	{"compose.subject", "subject"},
	{"compose.spam-subject", "subject"},
	{"compose.recent", "subject"},
	{"compose.no-sender", "from"},
	{"composer.no_sender", "from"},
	{"compose.bad-sender", "from"},
	{"compose.from-", "from"},
	{"compose.quota", "from"},
	{"compose.too-large-account", "from"},
	{"compose.no-recipients", "to"},
	{"composer.nobody", "to"},
	{"composer.row_left", "to"},
	{"compose.bad-reply-to", "reply"},
	{"compose.attach", "files"},
	{"compose.file", "files"},
	{"compose.large", "files"},
	{"compose.too-large", "files"},
	{"compose.no-attach", "files"},
}

// placeOf is what "go there" does for findings; nil: there is no place.
func (e *editor) placeOf(g *group) func() {
	c := e.v.env.Window.Canvas()
	x := g.first
	if slices.Contains([]string{"compose.no-postal-address", "compose.domain"}, x.Reason.Key) {
		return nil // it is mended elsewhere
	}
	place := "body"
	for _, p := range places {
		if strings.HasPrefix(x.Reason.Key, p.key) {
			place = p.place
			break
		}
	}
	objects := map[string]fyne.Focusable{"subject": e.subject, "from": e.from, "to": e.to, "reply": e.replyTo}
	switch {
	case place == "files":
		return func() {
			if e.addFile != nil {
				c.Focus(e.addFile)
			}
		}
	case objects[place] != nil:
		return func() { c.Focus(objects[place]) }
	}
	from, to, ok := spotOf(e.body.Text(), &x)
	if _, _, there := spotOf(e.subject.Text, &x); there && !ok {
		return func() { c.Focus(e.subject) }
	}
	if x.Row > 0 && !ok {
		return func() { e.goToRow(x.Row) }
	}
	return func() {
		if x.Row > 0 {
			e.goToRow(x.Row)
		}
		if ok {
			e.body.Select(from, to)
		}
		c.Focus(e.body)
	}
}

// spotOf finds what a finding is about in a body.
func spotOf(body string, x *compose.Finding) (from, to int, ok bool) {
	find := func(s string) bool {
		i := strings.Index(body, s)
		if s == "" || i < 0 {
			return false
		}
		from = utf8.RuneCountInString(body[:i])
		to = from + utf8.RuneCountInString(s)
		return true
	}
	if x.Field != "" {
		for _, form := range []string{"{{" + x.Field + "}}", "{{" + x.Field + " ", "{{ " + x.Field, x.Field} {
			if find(form) {
				return from, to, true
			}
		}
	}
	for _, a := range x.Reason.Args {
		if len(a) > 2 && find(a) {
			return from, to, true
		}
	}
	return 0, 0, false
}

// mendOf is what a press can do about a finding, and how the button is called.
func (e *editor) mendOf(x *compose.Finding) (key string, mend func()) {
	env := e.v.env
	switch x.Reason.Key {
	case "compose.attach-forgotten":
		return "composer.mend.attach", func() { dialogs.PickFiles(env.Words, env.Window, env.T("action.attach"), e.attach) }
	case "compose.promotional":
		return "composer.mend.promotional", func() { e.promo.SetChecked(true) }
	case "compose.large", "compose.too-large", "compose.too-large-account":
		if e.hasPictures() {
			return "composer.mend.pictures", e.shrinkPictures
		}
	case "compose.no-postal-address", "compose.domain":
		if len(e.draft.Accounts) > 0 {
			id := e.draft.Accounts[0]
			return "composer.mend.letterhead", func() { env.Go(screens.Route{Screen: screens.Accounts, ID: id}) }
		}
	case "compose.missing-value":
		if tag := fieldTag(x.Field); strings.Contains(e.body.Text(), tag) {
			return "composer.mend.default", func() { e.addDefault(tag) }
		}
	case "compose.link-http":
		if len(x.Reason.Args) > 0 && strings.HasPrefix(x.Reason.Args[0], "http://") {
			old := x.Reason.Args[0]
			return "composer.mend.https", func() { e.replaceAll(old, "https://"+strings.TrimPrefix(old, "http://")) }
		}
	}
	return "", nil
}

// addDefault gives a field words for those who lack a value, and selects them.
func (e *editor) addDefault(tag string) {
	words := e.v.env.T("composer.mend.default.words")
	inner := strings.TrimSuffix(tag, "}}")
	full := inner + ` | default "` + words + `"}}`
	e.replaceAll(tag, full)
	i := strings.Index(e.body.Text(), full)
	if i < 0 {
		return
	}
	from := utf8.RuneCountInString(e.body.Text()[:i]) + utf8.RuneCountInString(inner+` | default "`)
	e.body.Select(from, from+utf8.RuneCountInString(words))
	e.v.env.Window.Canvas().Focus(e.body)
}

// replaceAll replaces text in the body as one step.
func (e *editor) replaceAll(old, with string) {
	text := e.body.Text()
	e.body.Replace(0, utf8.RuneCountInString(text), strings.ReplaceAll(text, old, with))
}
