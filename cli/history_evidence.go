package cli

import (
	"context"

	"github.com/spf13/cobra"

	"postroom/compose"
	"postroom/receipts"
	"postroom/storage"
)

func (a *app) evidenceCommand() *cobra.Command {
	var choice receipts.Choice
	var verify bool
	c := &cobra.Command{
		Use: "evidence FILE", Short: "Write one zip file that shows what was sent and what came of it",
		Long: `Evidence writes the messages as they were sent, every reply of the servers, and
what came back, with a page for reading (index.html) and a chain of hashes over
all of it (records.jsonl). Note the last hash, which is printed, in another
place, or have it time-stamped: with it anybody can tell later whether something
was changed, taken out or put in. --verify looks at a pack in this way.

--anonymous leaves out what is personal: addresses, names, messages, the texts of
replies, and the mailing's name and subject. The sender's address stays. So does
each Message-ID, by which a provider finds the message in its own log.`,
		Example: `  postroom history evidence march.zip --mailing 3
  postroom history evidence anna.zip --address anna@example.org
  postroom history evidence march.zip --verify`,
		Args: takes(1, "the file to write"),
	}
	c.Flags().Int64Var(&choice.Mailing, "mailing", 0, "of this mailing, by `number`")
	c.Flags().StringVar(&choice.Address, "address", "", "of what went to this `address`")
	c.Flags().BoolVar(&choice.Anonymous, "anonymous", false, "leave personal data out")
	c.Flags().BoolVar(&verify, "verify", false, "check a pack instead of writing one")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !verify {
			return a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
				return a.writeEvidence(ctx, l, args[0], choice)
			})(c, args)
		}
		if choice != (receipts.Choice{}) {
			return usage("--verify goes alone: it looks at the whole pack")
		}
		return a.verifyEvidence(args[0])
	}
	return c
}

// evidenceJSON is a pack as scripts see it.
type evidenceJSON struct {
	File       string `json:"file"`
	Deliveries int64  `json:"deliveries"`
	Messages   int64  `json:"messages"`
	Receipts   int64  `json:"receipts"`
	Lost       int64  `json:"lost"`
	Hash       string `json:"hash"`
}

func (a *app) writeEvidence(ctx context.Context, l *storage.Ledger, file string, choice receipts.Choice) error {
	archive := compose.Archive{Kept: l, Signer: (&signers{ledger: l, secrets: a.Secrets}).of}
	e := receipts.Evidence{
		Records: l, Message: archive.Message, Words: a.words, Clock: a.Clock, Log: a.log,
		Progress: func(done int64) { a.status("%d deliveries", done) },
	}
	p, err := e.Write(ctx, file, choice)
	a.clearStatus()
	if err != nil {
		return err
	}
	lost := ""
	if p.Lost > 0 {
		lost = "; " + plural(p.Lost, "message", "messages") + " could not be made again, because something was erased"
	}
	return a.answer(evidenceJSON{file, p.Deliveries, p.Messages, p.Receipts, p.Lost, p.Hash}, "%s written to %s%s\nlast hash: %s",
		plural(p.Deliveries, "delivery", "deliveries"), file, lost, p.Hash)
}

// verifiedJSON is a checked pack as scripts see it.
type verifiedJSON struct {
	OK         bool     `json:"ok"`
	Deliveries int64    `json:"deliveries"`
	LeftOut    int64    `json:"left_out"`
	Hash       string   `json:"hash"`
	Problems   []string `json:"problems"`
}

func (a *app) verifyEvidence(file string) error {
	v, err := receipts.VerifyEvidence(file)
	if err != nil {
		return err
	}
	if len(v.Problems) == 0 {
		return a.answer(verifiedJSON{true, v.Deliveries, v.LeftOut, v.Hash, []string{}},
			"whole: %s, %d without personal data; it is as it was written if this is the hash that was noted:\n%s",
			plural(v.Deliveries, "delivery", "deliveries"), v.LeftOut, v.Hash)
	}
	if a.json {
		if err := a.object(verifiedJSON{false, v.Deliveries, v.LeftOut, v.Hash, v.Problems}); err != nil {
			return err
		}
	}
	for _, x := range v.Problems {
		if !a.json {
			a.say("%s", oneLine(x))
		}
	}
	return ended{exitFailed}
}
