package post

import "time"

// What a single message that came back can say besides the words that a
// delivery is summed up by. Shown tells what each counts as.
const (
	// ReceiptRelayed: handed on to a server that reports nothing (RFC 3464 2.3.3).
	ReceiptRelayed   ReceiptKind = "relayed"
	ReceiptAutoReply ReceiptKind = "auto_reply" // RFC 3834: a machine answered for the recipient
	ReceiptComplaint ReceiptKind = "complaint"  // RFC 5965: reported as unwanted
	// ReceiptUnknown is a report that could not be understood. It is never a
	// failure.
	ReceiptUnknown ReceiptKind = "unknown"
)

// receiptOrder is the order of strength of what a delivery is summed up by.
var receiptOrder = []ReceiptKind{
	ReceiptNone, ReceiptDelayed, ReceiptDelivered, ReceiptBounced, ReceiptRead, ReceiptReplied, ReceiptUnsubscribed,
}

// Shown returns what a receipt adds to the summary of its delivery: a complaint
// counts as unsubscribed; what proves neither delivery nor failure is none.
func (k ReceiptKind) Shown() ReceiptKind {
	switch k {
	case ReceiptComplaint:
		return ReceiptUnsubscribed
	case ReceiptRelayed, ReceiptAutoReply, ReceiptUnknown, "":
		return ReceiptNone
	}
	return k
}

// Stronger returns the stronger of two summaries.
func (k ReceiptKind) Stronger(other ReceiptKind) ReceiptKind {
	a, b := 0, 0
	for i, o := range receiptOrder {
		if o == k {
			a = i
		}
		if o == other {
			b = i
		}
	}
	return receiptOrder[max(a, b)]
}

// Receipt is one thing that came back about a message: append-only.
type Receipt struct {
	ID       int64
	Delivery int64 // 0: tied to none of ours, so it changed nothing
	Account  int64 // whose mailbox it lay in
	UID      uint32
	Kind     ReceiptKind
	At       time.Time // when the mailbox got it
	Source   string    // who says so, as the message names itself; untrusted, cleaned
	Address  string    // the recipient that it speaks of; untrusted, cleaned, may be empty
	Reply    Reply     // what the refusing or accepting server said
	Excerpt  []byte    // the message as it came, up to MaxExcerpt bytes
	Size     int64     // bytes of the whole message, as its server said; 0: not known
}

// MaxExcerpt is how much of a message that came back is kept, in bytes.
const MaxExcerpt = 256 << 10

// oldExcerpt is how much was kept by the first versions, which did not note the
// size of the whole.
const oldExcerpt = 16 << 10

// Cut reports that only the message's beginning was kept.
func (r *Receipt) Cut() bool {
	n := len(r.Excerpt)
	return r.Size > int64(n) || r.Size == 0 && (n == oldExcerpt || n >= MaxExcerpt)
}
