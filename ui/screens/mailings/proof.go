package mailings

import (
	"context"
	"io"
	"os"
	"reflect"
	"sync"
	"time"

	"postroom/assets/designs"
	"postroom/compose"
	"postroom/post"
	"postroom/practice"
	"postroom/storage"
	"postroom/ui/widgets"
)

// Sample is one recipient's message as the preview shows it.
type Sample struct {
	Recipient post.Recipient
	Index     int64 // from 1
	Total     int64 // 0: not known, or nobody
	Nobody    bool  // the recipient is made up: there is none yet
	Subject   string
	Parts     []widgets.LetterPart
	Text      string
	HTML      string
	Source    []byte
	Logo      []byte // what the design shows as its logo
	Problem   error  // what keeps the message from being built, in words
	Missing   []string
}

// example stands in when there is nobody to show yet.
var example = post.Recipient{Address: "anna@example.org", Key: "anna@example.org", Name: "Anna Köhler", Fields: map[string]string{
	"first_name": "Anna", "last_name": "Köhler",
}}

// proof makes samples of a draft. What was compiled for one recipient serves for
// the next, so that a step costs one merge. Safe for concurrent use.
type proof struct {
	mu       sync.Mutex
	ledger   *storage.Ledger
	walk     *walk
	content  post.Content // what was compiled
	fields   []string
	compiled *compose.Mailing
}

// sample renders the message of the recipient of a number, the last one where
// there are not so many.
func (p *proof) sample(ctx context.Context, d post.Draft, n int64) (*Sample, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.walk.same(d) {
		if p.walk != nil {
			p.walk.close()
		}
		p.walk = newWalk(context.WithoutCancel(ctx), p.ledger, d)
	}
	s := &Sample{Index: max(1, n)}
	r, fields, total, ok, err := p.walk.at(s.Index)
	if err == nil && !ok && total > 0 {
		s.Index = total
		r, fields, total, ok, err = p.walk.at(s.Index)
	}
	if err != nil { // the rest can be looked at all the same
		s.Problem = err
	}
	s.Recipient, s.Total = r, total
	if !ok {
		s.Recipient, s.Nobody, s.Total, s.Index = example, true, 0, 1
	}
	if s.Problem == nil {
		s.Problem = p.render(ctx, d, fields, s)
	}
	return s, ctx.Err()
}

// close ends what a walk holds.
func (p *proof) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.walk != nil {
		p.walk.close()
		p.walk = nil
	}
}

func (p *proof) render(ctx context.Context, d post.Draft, fields []string, s *Sample) error {
	if s.Nobody {
		fields = nil // nobody's fields are known yet
	}
	params := compose.Params{
		Recipient: s.Recipient, From: post.Sender{Email: "you@example.org"}, MessageID: "<preview@example.org>", Date: d.ChangedAt, Seed: 1,
	}
	if params.Date.IsZero() { // nobody looks at it
		params.Date = time.Unix(0, 0)
	}
	senders, err := sendersOf(ctx, p.ledger, d)
	if err != nil {
		return err
	}
	if len(senders) > 0 {
		params.From = senders[0]
	}
	dressed, err := lookOf(ctx, p.ledger, d, params.From)
	if err != nil {
		return err
	}
	s.Logo = dressed.logo
	content := dressed.content
	content.Attachments, content.AttachColumn, content.AttachAs = nil, "", ""
	if p.compiled == nil || !reflect.DeepEqual(p.content, content) || !equal(p.fields, fields) {
		m, err := compose.Compile(ctx, content, nil, compose.Options{KnownFields: fields, NoAttachments: true})
		if err != nil {
			return err
		}
		p.compiled, p.content, p.fields = m, content, fields
	}
	out, err := compose.MakePreview(p.compiled, &params)
	if err != nil {
		return err
	}
	s.Subject, s.Text, s.HTML, s.Source, s.Missing = out.Subject, out.Text, out.HTML, out.Source, out.Missing
	s.Parts = []widgets.LetterPart{{Runs: []widgets.LetterRun{{Text: out.Text}}}}
	if out.HTML != "" {
		s.Parts = letterOf(out.HTML)
	}
	return nil
}

// picturesOf reads the pictures that a draft's HTML shows by their ids.
func picturesOf(l *storage.Ledger, all []post.Attachment, logo []byte) (map[string]practice.Inline, error) {
	const most = 20 << 20
	out := map[string]practice.Inline{}
	if len(logo) > 0 {
		out[designs.LogoCID] = practice.Inline{Type: compose.MediaType("logo", logo[:min(512, len(logo))]), Data: logo}
	}
	for _, a := range all {
		if a.CID == "" {
			continue
		}
		var r io.ReadCloser
		var err error
		if a.SHA256 != "" {
			r, err = l.Open(a.SHA256)
		} else {
			r, err = os.Open(a.Path)
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(r, most))
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, err
		}
		out[a.CID] = practice.Inline{Type: compose.MediaType("", data[:min(512, len(data))]), Data: data}
	}
	return out, nil
}
