package post

import "time"

// Delivery is one recipient of one mailing: a row of the outbox.
type Delivery struct {
	ID      int64
	Mailing int64
	Kind    MailingKind
	Row     int64 // from 1, within the mailing

	Recipient
	MessageID string // with angle brackets, stable over all attempts
	Seed      uint64 // of the MIME boundaries

	State    State
	Account  int64     // who sent it or tries to; 0: not yet chosen
	Attempts int       // those that reached MAIL
	Tries    int       // all that left a line in the send log; known to the mailer only
	NextAt   time.Time // backoff only: not tried before; zero: at once
	Date     time.Time // of the header; fixed at the first intent
	Reason   Reason
	Held     bool // paused by itself, e.g. after three crashes; Reason says why
	Resends  int  // times it was sent again after being uncertain
	Crashes  int  // process deaths while it was rendered or sent

	// The last word of a server, and when.
	Last    Reply
	QueueID string // the server's, from its reply to the dot

	QueuedAt time.Time
	FirstAt  time.Time // the first charged attempt; the deadline counts from it
	SentAt   time.Time
	ChangeAt time.Time
	Receipt  ReceiptKind
}

// ReceiptKind is the strongest thing that came back about a sent delivery.
type ReceiptKind string

// The receipts, weakest first.
const (
	ReceiptNone         ReceiptKind = "none"
	ReceiptDelayed      ReceiptKind = "delayed"
	ReceiptDelivered    ReceiptKind = "delivered"
	ReceiptBounced      ReceiptKind = "bounced"
	ReceiptRead         ReceiptKind = "read"
	ReceiptReplied      ReceiptKind = "replied"
	ReceiptUnsubscribed ReceiptKind = "unsubscribed"
)

// Session is one connection to a server, as the send log keeps it.
type Session struct {
	ID       int64
	Account  int64
	Host     string // as configured
	Address  string // the address and port that answered
	TLS      string // e.g. "TLS 1.3, TLS_AES_128_GCM_SHA256"; empty for none
	Auth     string // the mechanism used
	OpenedAt time.Time
}

// Attempt is one entry of the send log: append-only, one per try.
type Attempt struct {
	ID        int64
	Delivery  int64
	Account   int64
	Session   int64 // 0 when no connection stood
	Number    int   // of charged attempts, this one included when Charged
	StartedAt time.Time
	EndedAt   time.Time
	State     State // what the delivery became
	Phase     Phase // where it ended
	Reply     Reply
	QueueID   string
	Charged   bool // reached MAIL
	DotSent   bool
	// Replies is every reply in order, one a line: the command's name, a tab,
	// the reply.
	Replies string
	// Error is a local cause (network, TLS), cleaned; empty when a reply decided.
	Error string
}

// MaxCrashes is how many process deaths a row survives before it is held.
const MaxCrashes = 3

// DelayedAfter is how often a delivery is put off before the user is told that it
// is delayed (RFC 5321 4.5.4.1); the ledger's index deliveries_delayed says the same.
const DelayedAfter = 5
