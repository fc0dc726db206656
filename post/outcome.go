package post

// Outcome is how far a message is known to have come: one word for each
// delivery, so that what the provider said and what came back are never mixed.
type Outcome string

// The outcomes. Accepted is the sum of the eight after it; the others are of
// messages that the provider did not take, as far as is known.
const (
	OutcomeAccepted     Outcome = "accepted"     // the provider took it
	OutcomeNoNews       Outcome = "no_news"      // and nothing came back
	OutcomeDelayed      Outcome = "delayed"      // still under way when last heard of
	OutcomeDelivered    Outcome = "delivered"    // the recipient's server has it
	OutcomeBounced      Outcome = "bounced"      // it came back
	OutcomeRead         Outcome = "read"         // the recipient's program says so
	OutcomeReplied      Outcome = "replied"      // somebody answered
	OutcomeUnsubscribed Outcome = "unsubscribed" // and asked for no more
	OutcomeComplained   Outcome = "complained"   // or reported it as unwanted
	OutcomeUncertain    Outcome = "uncertain"    // it may or may not have been taken
	OutcomeFailed       Outcome = "failed"       // refused, or given up
	OutcomeWaiting      Outcome = "waiting"      // not sent yet
	OutcomeLeftOut      Outcome = "left_out"     // cancelled or suppressed
)

// Outcomes are all of them, in the order in which they are told.
var Outcomes = []Outcome{
	OutcomeAccepted, OutcomeNoNews, OutcomeDelayed, OutcomeDelivered, OutcomeBounced, OutcomeRead, OutcomeReplied,
	OutcomeUnsubscribed, OutcomeComplained, OutcomeUncertain, OutcomeFailed, OutcomeWaiting, OutcomeLeftOut,
}

// CameBack are the outcomes that something that came back tells.
var CameBack = []Outcome{
	OutcomeDelayed, OutcomeDelivered, OutcomeBounced, OutcomeRead, OutcomeReplied, OutcomeUnsubscribed, OutcomeComplained,
}

// Valid reports whether o is one of them.
func (o Outcome) Valid() bool {
	for _, x := range Outcomes {
		if x == o {
			return true
		}
	}
	return false
}

// Funnel counts the deliveries of a mailing by outcome.
type Funnel map[Outcome]int64
