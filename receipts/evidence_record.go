package receipts

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"postroom/post"
	"postroom/storage"
)

// opening is the first line of the chain.
type opening struct {
	Kind      string           `json:"kind"` // "pack"
	MadeAt    *string          `json:"made_at"`
	Mailing   int64            `json:"mailing,omitempty"`
	Rehearsal bool             `json:"rehearsal,omitempty"`
	QueuedAt  *string          `json:"queued_at,omitempty"`
	Senders   []string         `json:"senders,omitempty"`
	Counts    map[string]int64 `json:"counts,omitempty"`
	Sealed    []sealed         `json:"sealed"` // people/0: the mailing's own words
}

// ending is the last line.
type ending struct {
	Kind       string `json:"kind"` // "end"
	Deliveries int64  `json:"deliveries"`
	Page       string `json:"page_sha256"`
}

// mailingWords are what a mailing says; anonymous packs leave them out, as a letter to
// one person may name them anywhere.
type mailingWords struct {
	Name    string       `json:"name"`
	Content post.Content `json:"content"`
}

// mailingFolder is where they lie: no delivery has this number.
const mailingFolder = 0

func (p *pack) opening(ctx context.Context) error {
	o := opening{Kind: "pack", MadeAt: when(p.Clock.Now()), Sealed: []sealed{}}
	if p.Mailing != 0 {
		m, err := p.Records.Mailing(ctx, p.Mailing)
		if err != nil {
			return err
		}
		p.page.mailing(&m, p.Anonymous)
		o.Mailing, o.Rehearsal, o.QueuedAt = m.ID, m.Kind == post.Rehearsal, when(m.CreatedAt)
		for _, s := range m.Senders {
			o.Senders = append(o.Senders, s.Email)
		}
		o.Counts = map[string]int64{}
		for s, n := range m.Counts {
			o.Counts[string(s)] = n
		}
		f, err := p.folder(mailingFolder)
		if err != nil {
			return err
		}
		if err := f.addJSON("mailing.json", mailingWords{m.Name, m.Content}); err != nil {
			return err
		}
		if o.Sealed, err = f.finish(); err != nil {
			return err
		}
	}
	return p.link(o)
}

func (f *folder) addJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return f.add(name, append(b, '\n'))
}

// record is a delivery in the chain: all that is not personal.
type record struct {
	Kind      string           `json:"kind"` // "delivery"
	Delivery  int64            `json:"delivery"`
	Mailing   int64            `json:"mailing"`
	Row       int64            `json:"row"`
	Account   string           `json:"account"`
	MessageID string           `json:"message_id"`
	State     post.State       `json:"state"`
	Receipt   post.ReceiptKind `json:"receipt"`
	Reason    string           `json:"reason,omitempty"`
	QueuedAt  *string          `json:"queued_at"`
	SentAt    *string          `json:"sent_at"`
	// Message is "as sent"; "as sent, signed anew" when its DKIM signature is of
	// the account's present key; "not sent"; or "lost" when it cannot be made again.
	Message  string       `json:"message"`
	Attempts []attempt    `json:"attempts"`
	Came     []cameRecord `json:"came_back"`
	Sealed   []sealed     `json:"sealed"`
}

type attempt struct {
	StartedAt *string    `json:"started_at"`
	EndedAt   *string    `json:"ended_at"`
	Became    post.State `json:"became"`
	Phase     post.Phase `json:"phase"`
	Server    string     `json:"server,omitempty"`
	Address   string     `json:"server_address,omitempty"`
	TLS       string     `json:"tls,omitempty"`
	DotSent   bool       `json:"handed_over"`
	QueueID   string     `json:"queue_id,omitempty"`
	Replies   []coded    `json:"replies"`
	Fault     string     `json:"fault,omitempty"`

	texts attemptTexts // for the personal part
	last  post.Reply   // for the page
}

// coded is a reply without its text, which often repeats the address.
type coded struct {
	Command  string `json:"command"`
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced,omitempty"`
}

type cameRecord struct {
	Receipt  int64            `json:"receipt"`
	Kind     post.ReceiptKind `json:"kind"`
	At       *string          `json:"at"`
	Code     int              `json:"code,omitempty"`
	Enhanced string           `json:"enhanced,omitempty"`
}

// personalRecord is the rest of a delivery.
type personalRecord struct {
	Address  string            `json:"address"`
	Name     string            `json:"name"`
	Fields   map[string]string `json:"fields"`
	Reason   post.Reason       `json:"reason"`
	Attempts []attemptTexts    `json:"attempts"`
	Came     []cameTexts       `json:"came_back"`
}

type attemptTexts struct {
	Replies []string `json:"replies"`
	Said    string   `json:"said"`
}

type cameTexts struct {
	Receipt int64  `json:"receipt"`
	From    string `json:"from"`
	About   string `json:"about"`
	Said    string `json:"said"`
	File    string `json:"file,omitempty"`
	Cut     bool   `json:"cut,omitempty"`  // only the message's beginning was kept
	Size    int64  `json:"size,omitempty"` // of the whole message, where it is known
}

func (p *pack) delivery(ctx context.Context, h *storage.HistoryRow) error {
	r := record{
		Kind: "delivery", Delivery: h.ID, Mailing: h.Mailing, Row: h.Row, Account: h.AccountName, MessageID: h.MessageID,
		State: h.State, Receipt: h.Receipt, Reason: h.Reason.Key, QueuedAt: when(h.QueuedAt), SentAt: when(h.SentAt),
		Attempts: []attempt{}, Came: []cameRecord{},
	}
	own := personalRecord{Address: h.Address, Name: h.Name, Fields: h.Fields, Reason: h.Reason, Attempts: []attemptTexts{}, Came: []cameTexts{}}
	log, err := p.Records.Attempts(ctx, h.ID)
	if err != nil {
		return err
	}
	handedOver := h.State == post.StateSent || h.State == post.StateUncertain
	for i := range log {
		a := attemptOf(&log[i])
		r.Attempts, own.Attempts = append(r.Attempts, a), append(own.Attempts, a.texts)
		handedOver = handedOver || a.DotSent
	}
	f, err := p.folder(h.ID)
	if err != nil {
		return err
	}
	if r.Message, err = p.message(ctx, f, h, handedOver); err != nil {
		return err
	}
	if err := p.cameBack(ctx, f, h, &r, &own); err != nil {
		return err
	}
	if err := f.addJSON("record.json", own); err != nil {
		return err
	}
	if r.Sealed, err = f.finish(); err != nil {
		return err
	}
	p.page.delivery(p, h, &r, &own)
	return p.link(r)
}

// message puts the message as it was sent into the folder, and says so.
func (p *pack) message(ctx context.Context, f *folder, h *storage.HistoryRow, handedOver bool) (string, error) {
	if !handedOver || h.Date.IsZero() {
		return "not sent", nil
	}
	if h.Address != "" { // else the person was erased
		b, signed, err := p.Message(ctx, &h.Delivery)
		switch {
		case err == nil:
			p.Messages++
			if signed {
				return "as sent, signed anew", f.add(messageName, b)
			}
			return "as sent", f.add(messageName, b)
		case ctx.Err() != nil:
			return "", ctx.Err()
		case post.KindOf(err) == post.KindSignIn: // the user can unlock the key
			return "", err
		}
		p.Log.Warn("a message cannot be made again", slog.Int64("delivery", h.ID), slog.Any("err", err))
	}
	p.Lost++
	return "lost", nil
}

// cameBack adds what came back to both parts of the record.
func (p *pack) cameBack(ctx context.Context, f *folder, h *storage.HistoryRow, r *record, own *personalRecord) error {
	all, err := p.Records.Receipts(ctx, h.ID)
	if err != nil {
		return err
	}
	for _, x := range all {
		full, err := p.Records.Receipt(ctx, x.ID)
		if err != nil {
			return err
		}
		p.Receipts++
		r.Came = append(r.Came, cameRecord{x.ID, x.Kind, when(x.At), x.Reply.Code, x.Reply.Enhanced})
		texts := cameTexts{Receipt: x.ID, From: x.Source, About: x.Address, Said: x.Reply.String()}
		if len(full.Excerpt) > 0 {
			texts.Cut, texts.Size = full.Cut(), full.Size
			texts.File = "came-back-" + strconv.FormatInt(x.ID, 10) + ".eml"
			if err := f.add(texts.File, full.Excerpt); err != nil {
				return err
			}
		}
		own.Came = append(own.Came, texts)
	}
	return nil
}

func attemptOf(x *storage.AttemptRow) attempt {
	a := attempt{
		StartedAt: when(x.StartedAt), EndedAt: when(x.EndedAt), Became: x.State, Phase: x.Phase, Server: x.Session.Host, Address: x.Session.Address,
		TLS: x.Session.TLS, DotSent: x.DotSent, QueueID: x.QueueID, Replies: []coded{}, Fault: x.Error,
		texts: attemptTexts{Replies: []string{}, Said: x.Reply.String()}, last: x.Reply,
	}
	for line := range strings.SplitSeq(x.Replies, "\n") {
		command, said, ok := strings.Cut(line, "\t")
		if !ok {
			continue
		}
		a.texts.Replies = append(a.texts.Replies, line)
		c := coded{Command: command}
		if digits, text, _ := strings.Cut(said, " "); len(digits) == 3 {
			if code, err := strconv.Atoi(digits); err == nil {
				c.Code, c.Enhanced = code, post.NewReply(code, text).Enhanced
			}
		}
		a.Replies = append(a.Replies, c)
	}
	return a
}

// brief is a reply without its text.
func brief(code int, enhanced string) string {
	if code == 0 {
		return enhanced
	}
	return strings.TrimSpace(fmt.Sprintf("%03d %s", code, enhanced))
}
