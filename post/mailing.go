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

// ReplyTokens is how answers are told apart that name no Message-ID.
type ReplyTokens string

// The choices for answers. Plus asks for them at name+token@domain, which servers
// with subaddresses (RFC 5233) deliver to name@domain.
const (
	ReplyTokensNone ReplyTokens = "none"
	ReplyTokensPlus ReplyTokens = "plus"
)

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
	// Text is the text alternative that the user wrote, with tags; empty: it is made
	// from the body. A plain text message has none.
	Text string `json:"text,omitempty"`
	// Preview is the line that readers show behind the subject before a message
	// is opened. Tags count in it; a plain text message has none.
	Preview string `json:"preview,omitempty"`
	ReplyTo string `json:"reply_to,omitempty"`
	DSN     DSN    `json:"dsn,omitempty"`
	// ReadReceipt asks the recipient's program to tell the sender when the message
	// was shown (RFC 8098 2.1). Most programs ask their user first, or never tell.
	ReadReceipt bool `json:"read_receipt,omitempty"`
	// Priority is what readers are told; empty: nothing.
	Priority Priority `json:"priority,omitempty"`
	// PlusAccounts are the senders whose mail asks for answers at an address that
	// names the delivery; see ReplyTokensPlus. Frozen when it is queued.
	PlusAccounts []int64 `json:"plus_accounts,omitempty"`
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
	// Design is the page around a text in Markdown; nil: a plain one.
	Design *Design `json:"design,omitempty"`
	// Promotion is there where the mailing is marked as promotional.
	Promotion *Promotion `json:"promotion,omitempty"`
}

// Priority is how urgent a message says that it is.
type Priority string

// The priorities that a message can tell of.
const (
	PriorityHigh Priority = "high"
	PriorityLow  Priority = "low"
)

// Design is a look for a mailing, frozen with it.
type Design struct {
	Name string `json:"name"`
	// Page is HTML without merge tags, in which <!--preview-->, <!--content--> and
	// <!--footer--> stand once each.
	Page   string `json:"page"`
	Button string `json:"button,omitempty"` // the CSS of a button's colours
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
	// Rows is the path of a sheet with one message per row, in the place of lists
	// and addresses; empty: none.
	Rows string `json:",omitempty"`
	// Weights are the accounts' shares of this mailing; who is not in it has that
	// of the account.
	Weights map[int64]int `json:",omitempty"`
	// Promotional marks what advertises: with a footer and a way to unsubscribe.
	Promotional bool `json:",omitempty"`
	// Look is the name of a starter design; empty: the plain page.
	Look string `json:",omitempty"`
	// Template says that it is kept to be copied, not to be sent.
	Template bool `json:",omitempty"`
	// Held is the mailing that was made of it and can still be called back; 0: none.
	Held    int64 `json:",omitempty"`
	Content Content
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
	// RealSpeed makes a rehearsal keep to its senders' limits, connections and
	// shares, as the live mailing would; else it goes as fast as the trap takes it.
	RealSpeed bool
	// Staged means that only ReleaseLeft more of its rows may be tried for the
	// first time; then it waits for the user's word.
	Staged      bool
	ReleaseLeft int64
	Uncertain   UncertainPolicy // empty: ask
	Late        Late
	// Hold is empty, MailingPaused or MailingCancelled.
	Hold       MailingState
	Reason     Reason
	Token      string // random; the Message-IDs of its deliveries carry it
	Counts     map[State]int64
	CreatedAt  time.Time
	FinishedAt time.Time // when its last row was settled; zero while rows are pending
}

// Late is what becomes of a scheduled mailing that could not begin at its time,
// because the machine slept or nobody ran Postroom. The zero value sends it
// however late it is.
type Late struct {
	After time.Duration // it goes by itself until so long after its time
	Then  LatePolicy    // what is done after that
}

// LatePolicy is what is done about a mailing that is too late.
type LatePolicy string

// The policies: it waits for the user's word, or is cancelled.
const (
	LateAsk  LatePolicy = "ask"
	LateSkip LatePolicy = "skip"
)

// Missed reports whether at now it is too late to begin by itself.
func (m *Mailing) Missed(now time.Time) bool {
	if m.Late.Then == "" || m.NotBefore.IsZero() {
		return false
	}
	due := m.NotBefore
	if open, until := m.Hours.Open(due); !open {
		due = until
	}
	return now.After(due.Add(m.Late.After))
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
