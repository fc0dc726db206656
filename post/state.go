package post

// State is where a delivery stands. The names are those of the ledger, the
// JSON of the command line, and the catalogue.
type State string

// The states of a delivery. Paused is never one of them: an account or a
// mailing is paused, or a single row by its reason.
const (
	StateQueued     State = "queued"
	StateClaimed    State = "claimed"   // a connection of the mailer owns it; nothing was sent
	StateSending    State = "sending"   // the intent is durable; the final dot may go out
	StateSent       State = "sent"      // the account's server took it (RFC 5321 4.2.5)
	StateFailed     State = "failed"    // refused for good
	StateUncertain  State = "uncertain" // the dot went out and no usable answer came (RFC 1047)
	StateCancelled  State = "cancelled" // by the user, before it was sent
	StateSuppressed State = "suppressed"
	StateExpired    State = "expired" // tried until its deadline
)

// States lists all states in the order in which they are shown.
var States = []State{
	StateQueued, StateClaimed, StateSending, StateSent, StateFailed,
	StateUncertain, StateCancelled, StateSuppressed, StateExpired,
}

// Mover is who asks for a move; some moves belong to the user alone.
type Mover uint8

// Who may move a delivery.
const (
	ByMailer Mover = 1 << iota
	ByUser
	// ByBreaker takes refusals back that turned out to be about the account.
	ByBreaker
)

type move struct{ from, to State }

// moves is the whole table: what is not in it is refused by CanMove, and by
// the ledger, which asks it.
var moves = map[move]Mover{
	{StateQueued, StateClaimed}:    ByMailer,
	{StateQueued, StateCancelled}:  ByMailer | ByUser,
	{StateQueued, StateSuppressed}: ByMailer | ByUser,
	{StateQueued, StateExpired}:    ByMailer,

	{StateClaimed, StateSending}:    ByMailer,
	{StateClaimed, StateQueued}:     ByMailer,
	{StateClaimed, StateFailed}:     ByMailer,
	{StateClaimed, StateCancelled}:  ByMailer,
	{StateClaimed, StateSuppressed}: ByMailer,

	{StateSending, StateSent}:      ByMailer,
	{StateSending, StateQueued}:    ByMailer,
	{StateSending, StateFailed}:    ByMailer,
	{StateSending, StateUncertain}: ByMailer,
	// Only when no dot was sent; the caller vouches for that.
	{StateSending, StateCancelled}:  ByMailer,
	{StateSending, StateSuppressed}: ByMailer,

	{StateUncertain, StateSent}:   ByMailer | ByUser,
	{StateUncertain, StateFailed}: ByMailer | ByUser,
	{StateUncertain, StateQueued}: ByMailer | ByUser,

	{StateFailed, StateQueued}:    ByUser | ByBreaker,
	{StateExpired, StateQueued}:   ByUser,
	{StateCancelled, StateQueued}: ByUser,
}

// CanMove reports whether who may move a delivery from one state to another.
func CanMove(from, to State, who Mover) bool { return moves[move{from, to}]&who != 0 }

// IsPending reports whether the mailer still has work with a delivery in s.
func (s State) IsPending() bool {
	return s == StateQueued || s == StateClaimed || s == StateSending
}

// Valid reports whether s is one of the States.
func (s State) Valid() bool {
	for _, k := range States {
		if s == k {
			return true
		}
	}
	return false
}
