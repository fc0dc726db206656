package post

import "time"

// BodyFormat is what a message's body is written in.
type BodyFormat string

// The body formats.
const (
	FormatMarkdown BodyFormat = "markdown"
	FormatHTML     BodyFormat = "html"
	FormatText     BodyFormat = "text"
)

// DSN is which delivery reports are asked for (RFC 3461 4.1), where the server
// offers them.
type DSN string

// The choices for delivery reports.
const (
	DSNNone    DSN = "none"
	DSNFailure DSN = "failure"
	DSNAll     DSN = "all" // SUCCESS,DELAY,FAILURE
)

// Content is what a mailing says, before it is merged with anybody's data.
type Content struct {
	Subject string     `json:"subject"`
	Format  BodyFormat `json:"format"`
	Body    string     `json:"body"`
	// Preview is the line that readers show behind the subject before a message
	// is opened. Tags count in it; a plain text message has none.
	Preview string `json:"preview,omitempty"`
	ReplyTo string `json:"reply_to,omitempty"`
	DSN     DSN    `json:"dsn,omitempty"`
	// Attachments go to everybody. In a draft only Path is set; in a mailing
	// the content is frozen and Path is empty.
	Attachments []Attachment `json:"attachments,omitempty"`
	// AttachColumn is the field that names each recipient's own file below
	// AttachRoot; empty for none.
	AttachColumn string `json:"attach_column,omitempty"`
	AttachRoot   string `json:"attach_root,omitempty"`
	// AttachAs is what each recipient's own file is called in the message, with
	// tags; empty: as it is called in the folder.
	AttachAs string `json:"attach_as,omitempty"`
	// Promotion is there where the mailing is marked as promotional.
	Promotion *Promotion `json:"promotion,omitempty"`
}

// Attachment is one file of a message.
type Attachment struct {
	// Name is what it is called in the message. That of a file for everybody may
	// hold merge tags, unless it is the last part of Path.
	Name   string `json:"name"`
	Path   string `json:"path,omitempty"`   // where the user picked it
	SHA256 string `json:"sha256,omitempty"` // hex, once frozen
	Size   int64  `json:"size,omitempty"`   // bytes
	Type   string `json:"type,omitempty"`   // media type, found by content
	// CID names a picture that the HTML shows (RFC 2392); empty: an attachment.
	CID string `json:"cid,omitempty"`
}

// Draft is a message being written: its content and whom it is meant for.
type Draft struct {
	ID       int64
	Name     string
	Accounts []int64 // sender accounts
	Lists    []int64
	To       []string // typed addresses
	Content  Content
	// ChangedAt is when it was last saved.
	ChangedAt time.Time
	CreatedAt time.Time
}

// MailingKind tells a live mailing from a rehearsal, which goes to the practice
// trap, has its own rows, and never touches quotas, suppression or counters.
type MailingKind string

// The kinds of mailing.
const (
	Live      MailingKind = "live"
	Rehearsal MailingKind = "rehearsal"
)

// MailingState is what a mailing is doing. It is derived: see Mailing.State.
type MailingState string

// The states of a mailing.
const (
	MailingScheduled MailingState = "scheduled"
	MailingRunning   MailingState = "running"
	MailingPaused    MailingState = "paused"
	MailingCancelled MailingState = "cancelled"
	MailingDone      MailingState = "done" // nothing of it waits; uncertain ones may still want a word
)

// Sender is one account of a mailing, with the identity frozen when it was queued.
type Sender struct {
	Account  int64
	Email    string
	FromName string
	Weight   int
}

// Mailing is a message to many, frozen when it was queued.
type Mailing struct {
	ID        int64
	Kind      MailingKind
	Name      string
	Content   Content
	Senders   []Sender
	NotBefore time.Time // zero: at once
	Hours     Hours     // when it may go; zero: always
	Lists     []int64   // whose people it goes to; set when it is queued, for their suppressions
	// Staged means that only ReleaseLeft more of its rows may be tried for the
	// first time; then it waits for the user's word.
	Staged      bool
	ReleaseLeft int64
	Uncertain   UncertainPolicy // empty: ask
	// Hold is empty, MailingPaused or MailingCancelled.
	Hold       MailingState
	Reason     Reason
	Token      string // random; the Message-IDs of its deliveries carry it
	Counts     map[State]int64
	CreatedAt  time.Time
	FinishedAt time.Time // when its last row was settled; zero while rows are pending
}

// UncertainPolicy is what a mailing does about deliveries that may or may not
// have arrived.
type UncertainPolicy string

// The policies. Resend sends such a delivery once more by itself, after a
// quarter of an hour; Assume takes it for sent.
const (
	UncertainAsk    UncertainPolicy = "ask"
	UncertainResend UncertainPolicy = "resend"
	UncertainAssume UncertainPolicy = "sent"
)

// WaitsForWord reports whether what was released of it has been tried and the
// rest waits for the user.
func (m *Mailing) WaitsForWord() bool {
	return m.Staged && m.ReleaseLeft == 0 && m.Hold == "" && m.Counts[StateQueued] > 0 && m.Counts[StateClaimed]+m.Counts[StateSending] == 0
}

// Pending returns how many deliveries the mailer still has work with.
func (m *Mailing) Pending() int64 {
	return m.Counts[StateQueued] + m.Counts[StateClaimed] + m.Counts[StateSending]
}

// Total returns the number of deliveries.
func (m *Mailing) Total() int64 {
	var n int64
	for _, c := range m.Counts {
		n += c
	}
	return n
}

// State derives what the mailing is doing at now.
func (m *Mailing) State(now time.Time) MailingState {
	switch {
	case m.Hold == MailingCancelled:
		return MailingCancelled
	case m.Pending() == 0:
		return MailingDone
	case m.Hold == MailingPaused, m.WaitsForWord():
		return MailingPaused
	case m.NotBefore.After(now):
		return MailingScheduled
	default:
		return MailingRunning
	}
}

// Recipient is one row of a mailing to be queued.
type Recipient struct {
	Contact int64 // 0 when the person is not a contact
	Address string
	Key     string // the recipient key: AddressKey, or that and "#" and the row number
	Name    string
	Fields  map[string]string // merge values, frozen
	// Attachments are this recipient's own files, frozen.
	Attachments []Attachment
}

// Skipped is a recipient that was left out when a mailing was queued.
type Skipped struct {
	Address string
	Reason  Reason
}
