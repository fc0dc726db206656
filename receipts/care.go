package receipts

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
	"postroom/storage"
)

const (
	maxFailed   = 3  // times that one message is asked for
	maxAgain    = 60 // connections in one fetch after the first
	fewerByStep = 8  // so many times fewer messages after a step that failed
)

// care is how a fetch deals with a server that breaks down over a message.
type care struct {
	size   int      // messages in the next step
	asked  int      // of the step that is on its way; 0: none is
	given  imap.UID // the first of it
	failed int      // how often given alone has failed
	again  int
}

func (c *care) begin(step []imap.UID) {
	if step[0] != c.given {
		c.given, c.failed = step[0], 0
	}
	c.asked = len(step)
}

func (c *care) done() {
	c.asked, c.failed = 0, 0
	c.size = min(2*c.size, stepSize)
}

// tryAgain reports whether another connection may do better, and makes the next
// steps smaller. A server that fails before it is asked for messages is given up.
func (c *care) tryAgain() bool {
	if c.asked == 0 || c.again >= maxAgain {
		return false
	}
	if c.asked == 1 {
		c.failed++
	}
	c.again++
	c.size = max(1, c.asked/fewerByStep)
	c.asked = 0
	return true
}

// others is a message besides uids[i]: the one behind it, else the last of those
// before, which need not be near: handled reports may have been moved away.
func (f *Fetcher) others(box *accounts.Mailbox, uids []imap.UID, i int) ([]imap.UID, error) {
	if i+1 < len(uids) {
		return uids[i+1 : i+2], nil
	}
	before, err := newUIDs(box, 0, uint32(uids[i]))
	return before[max(0, len(before)-1):], err
}

// passOver leaves out uids[i], which the server cannot give, provided that it can
// give another: else it is the server that is broken, and nothing is passed over.
func (f *Fetcher) passOver(ctx context.Context, box *accounts.Mailbox, a post.Account, uids []imap.UID, i int, p *storage.Position, r *Result) error {
	gave := false
	limit := time.AfterFunc(f.patience(), box.Abort)
	defer limit.Stop()
	box.Allow(f.maxAnswer())
	others, err := f.others(box, uids, i)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		if err := eachMessage(box, others, headerSection(), maxHeader, func(raw) { gave = true }); err != nil {
			return err
		}
	}
	if !gave {
		return &post.Error{
			Kind: post.KindNetwork, Op: "read the mailbox", Message: fmt.Sprintf("the mailbox server cannot give message %d, and no other one either", uids[i]),
			Reason: post.Reason{Key: "mailbox.gives_none", Args: []string{strconv.FormatUint(uint64(uids[i]), 10)}},
		}
	}
	f.Log.Warn("a message cannot be read and is passed over", slog.Int64("account", a.ID), slog.Int64("uid", int64(uids[i])))
	sum := sha256.Sum256(fmt.Appendf(nil, "unreadable %s %d %d", p.Server, p.Validity, uids[i]))
	r.Unreadable++
	return f.keep(ctx, []storage.Incoming{{Digest: sum[:], Says: []storage.Said{{Receipt: post.Receipt{
		Account: a.ID, UID: uint32(uids[i]), Kind: post.ReceiptUnknown, At: time.Now(), Source: a.IMAPHost,
		Reply: post.Reply{Text: "the mailbox server could not give this message; it was passed over"},
	}}}}}, uids[i], p, r)
}
