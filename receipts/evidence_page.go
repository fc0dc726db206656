package receipts

import (
	"bytes"
	"html/template"
	"strconv"
	"strings"
	"time"

	"postroom/post"
	"postroom/storage"
)

// Words are the user's language.
type Words interface {
	T(key string, args ...any) string
	Reason(r post.Reason) string
	Fate(s post.State, kind post.MailingKind, held bool) string
	Receipt(k post.ReceiptKind) string
}

// page gathers what the readable page shows.
type page struct {
	facts [][2]string
	rows  []pageRow
	left  int64 // rows beyond maxPageRows
}

type pageRow struct {
	Number, Who, State, Receipt string
	Message                     string // address of the message as sent; empty: there is none
	Steps                       []pageStep
}

// pageStep is one thing that happened.
type pageStep struct {
	When, What, Said, File string
	Cut                    bool // only the beginning of what is in File was kept
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// mailing tells what is sent; the names only where they may be told.
func (g *page) mailing(m *post.Mailing, anonymous bool) {
	g.facts = append(g.facts, [2]string{"evidence.mailing", strconv.FormatInt(m.ID, 10)})
	if !anonymous {
		g.facts = append(g.facts, [2]string{"evidence.name", m.Name}, [2]string{"evidence.subject", m.Content.Subject})
	}
	for _, s := range m.Senders {
		g.facts = append(g.facts, [2]string{"evidence.sender", s.Email})
	}
	g.facts = append(g.facts, [2]string{"evidence.queued", clockTime(m.CreatedAt)})
}

// delivery adds a row. In an anonymous pack a person is a number, and a reply
// its codes.
func (g *page) delivery(p *pack, h *storage.HistoryRow, r *record, own *personalRecord) {
	if len(g.rows) == maxPageRows {
		g.left++
		return
	}
	w := p.Words
	row := pageRow{Number: strconv.FormatInt(h.ID, 10), Who: h.Address, State: w.Fate(h.State, h.Kind, h.Held)}
	if p.Anonymous {
		row.Who = ""
	}
	if h.Receipt != post.ReceiptNone && h.Receipt != "" {
		row.Receipt = w.Receipt(h.Receipt)
	} else if h.State == post.StateSent && h.Kind == post.Live {
		row.Receipt = w.T("outcome.no_news")
	}
	if strings.HasPrefix(r.Message, "as sent") && !p.Anonymous {
		row.Message = personal(h.ID, messageName)
	}
	row.Steps = append(row.Steps, pageStep{When: clockTime(h.QueuedAt), What: w.T("history.step.queued")})
	for i, a := range r.Attempts {
		s := pageStep{When: deref(a.EndedAt), What: w.T("history.step.try", int64(i+1)) + ": " + w.Fate(a.Became, h.Kind, false), Said: a.last.String()}
		if p.Anonymous {
			s.Said = brief(a.last.Code, a.last.Enhanced)
		}
		if s.Said == "" && a.Fault != "" {
			s.Said = w.T("cause." + a.Fault)
		}
		row.Steps = append(row.Steps, s)
	}
	if why := w.Reason(post.Reason{Key: h.Reason.Key}); h.State == post.StateSent && why != "" { // it was uncertain
		row.Steps = append(row.Steps, pageStep{When: clockTime(h.ChangeAt), What: w.Fate(h.State, h.Kind, false) + ": " + why})
	}
	for i, c := range r.Came {
		s := pageStep{When: deref(c.At), What: w.T("history.step." + string(c.Kind)), Said: brief(c.Code, c.Enhanced)}
		if !p.Anonymous {
			if own.Came[i].Said != "" {
				s.Said = own.Came[i].Said
			}
			if own.Came[i].File != "" {
				s.File, s.Cut = personal(h.ID, own.Came[i].File), own.Came[i].Cut
			}
		}
		row.Steps = append(row.Steps, s)
	}
	g.rows = append(g.rows, row)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	t, err := time.Parse(time.RFC3339, *s)
	if err != nil {
		return *s
	}
	return clockTime(t)
}

// render writes the page. The hash on it is the chain's before the page's own
// line, which seals the page.
func (g *page) render(p *pack) ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, map[string]any{
		"T": p.Words.T, "Facts": g.facts, "Rows": g.rows, "Left": g.left, "Hash": p.last, "Anonymous": p.Anonymous,
		"Made": clockTime(p.Clock.Now()), "Total": p.Deliveries,
	})
	return b.Bytes(), err
}

// pageTemplate has no script and asks the network for nothing.
var pageTemplate = template.Must(template.New(pageName).Parse(`<!doctype html>
<html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{call .T "evidence.title"}}</title><style>
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .35em .6em; border-top: 1px solid #ddd }
code { font-size: 12px; overflow-wrap: anywhere } .quiet { color: #666 }
</style></head><body>
<h1>{{call .T "evidence.title"}}</h1>
<p>{{call .T "evidence.made" .Made}}{{if .Anonymous}} {{call .T "evidence.anonymous"}}{{end}}</p>
<table>{{range .Facts}}<tr><th>{{call $.T (index . 0)}}</th><td>{{index . 1}}</td></tr>{{end}}
<tr><th>{{call .T "evidence.deliveries"}}</th><td>{{.Total}}</td></tr></table>
<h2>{{call .T "evidence.what"}}</h2>
<table>{{range .Rows}}<tr><td>{{.Number}}</td><td>{{.Who}}<br><b>{{.State}}</b>{{if .Receipt}}, <b>{{.Receipt}}</b>{{end}}
{{if .Message}}<br><a href="{{.Message}}">{{call $.T "evidence.message"}}</a>{{end}}</td><td>
{{range .Steps}}<div><span class="quiet">{{.When}}</span> {{.What}}{{if .Said}} <code>{{.Said}}</code>{{end}}{{if .File}} <a href="{{.File}}">{{call $.T "evidence.raw"}}</a>{{if .Cut}} ({{call $.T "history.raw.cut"}}){{end}}{{end}}</div>
{{end}}</td></tr>{{end}}</table>
{{if .Left}}<p>{{call .T "evidence.more" .Left}}</p>{{end}}
<h2>{{call .T "evidence.chain"}}</h2>
<p>{{call .T "evidence.chain.how"}}</p>
<p>{{call .T "evidence.chain.so_far"}} <code>{{.Hash}}</code></p>
</body></html>
`))
