package cli

import (
	"context"
	"encoding/csv"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postroom/post"
	"postroom/storage"
)

func (a *app) historyCommand() *cobra.Command {
	var mailing int64
	var state, search, outcome string
	var asCSV bool
	c := &cobra.Command{
		Use: "history", Short: "What became of every message",
		Long: `History lists all deliveries, the oldest first, or those that the flags choose.
"Accepted" means that your own provider took the message (--state and --json call
that sent); what came back since, such as "bounced" or "replied", stands beside it
(see: postroom receipts fetch).`,
		Example: `  postroom history --mailing 3 --state failed
  postroom history --mailing 3 --outcome bounced
  postroom history --search anna --json
  postroom history --csv > history.csv`,
		Args: takes(0, "nothing"),
	}
	c.Flags().Int64Var(&mailing, "mailing", 0, "only this mailing, by `number`")
	c.Flags().StringVar(&state, "state", "", "only deliveries in this `state`: queued, sent, failed, uncertain, ...; several by comma")
	c.Flags().StringVar(&outcome, "outcome", "", "only those that came so far, by `word`: "+outcomeNames())
	c.Flags().StringVar(&search, "search", "", "only recipients whose address, name or fields hold this `text`, in any case")
	c.Flags().BoolVar(&asCSV, "csv", false, "print a table that spreadsheets open")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error {
		if asCSV && a.json {
			return usage("choose one of --csv and --json")
		}
		f := storage.HistoryFilter{Mailing: mailing, Search: search}
		var err error
		if f.States, err = parseStates(state); err != nil {
			return err
		}
		if f.Outcome = post.Outcome(strings.ToLower(strings.TrimSpace(outcome))); outcome != "" && !f.Outcome.Valid() {
			return usage("there is no outcome %q; the outcomes are %s", outcome, outcomeNames())
		}
		if c.Flags().Changed("mailing") {
			if _, err := l.Mailing(ctx, mailing); err != nil {
				return err
			}
		}
		if asCSV {
			return a.historyCSV(ctx, l, f)
		}
		for d, err := range l.EachDelivery(ctx, f) {
			if err != nil {
				return err
			}
			if err := a.tellDelivery(&d); err != nil {
				return err
			}
		}
		return nil
	})
	c.AddCommand(a.evidenceCommand())
	return c
}

func parseStates(s string) ([]post.State, error) {
	if s == "" {
		return nil, nil
	}
	var all []post.State
	for word := range strings.SplitSeq(s, ",") {
		state := post.State(strings.ToLower(strings.TrimSpace(word)))
		if !state.Valid() {
			return nil, usage("there is no state %q; the states are %s", word, stateNames())
		}
		all = append(all, state)
	}
	return all, nil
}

func stateNames() string {
	names := make([]string, len(post.States))
	for i, s := range post.States {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

func outcomeNames() string {
	names := make([]string, len(post.Outcomes))
	for i, o := range post.Outcomes {
		names[i] = string(o)
	}
	return strings.Join(names, ", ")
}

// deliveryJSON is a delivery as scripts see it.
type deliveryJSON struct {
	Mailing   int64            `json:"mailing"`
	Address   string           `json:"address"`
	State     post.State       `json:"state"`
	Account   string           `json:"account"`
	Attempts  int              `json:"attempts"`
	Code      int              `json:"code"`
	Enhanced  string           `json:"enhanced"`
	Text      string           `json:"text"`
	QueueID   string           `json:"queue_id"`
	MessageID string           `json:"message_id"`
	QueuedAt  stamp            `json:"queued_at"`
	SentAt    stamp            `json:"sent_at"`
	Receipt   post.ReceiptKind `json:"receipt"`
}

func (a *app) describeDelivery(d *storage.HistoryRow) deliveryJSON {
	out := deliveryJSON{
		Mailing: d.Mailing, Address: d.Address, State: d.State, Account: d.AccountName, Attempts: d.Attempts,
		Code: d.Last.Code, Enhanced: d.Last.Enhanced, Text: d.Last.Text, QueueID: d.QueueID, MessageID: d.MessageID,
		QueuedAt: stamp(d.QueuedAt), SentAt: stamp(d.SentAt), Receipt: d.Receipt,
	}
	if out.Text == "" { // why it waits, failed or is uncertain; or why it counts as sent though it was that
		out.Text = a.reason(d.Reason)
	}
	if out.Receipt == "" {
		out.Receipt = post.ReceiptNone
	}
	return out
}

func (a *app) tellDelivery(d *storage.HistoryRow) error {
	x := a.describeDelivery(d)
	if a.json {
		return a.object(x)
	}
	when := d.SentAt
	if when.IsZero() {
		when = d.ChangeAt
	}
	became := a.words.Fate(d.State, d.Kind, d.Held)
	if x.Receipt != post.ReceiptNone {
		became += ", " + a.words.Receipt(x.Receipt)
	}
	said := strings.TrimSpace(strings.Join(strings.Fields(codeText(x.Code)+" "+x.Enhanced+" "+x.Text), " "))
	a.say("%s  %d  %-32s %-10s %s", moment(when), x.Mailing, oneLine(x.Address), became, oneLine(said))
	return nil
}

func codeText(code int) string {
	if code == 0 {
		return ""
	}
	return strconv.Itoa(code)
}

// historyCSV prints a table whose cells no spreadsheet runs as a formula.
func (a *app) historyCSV(ctx context.Context, l *storage.Ledger, f storage.HistoryFilter) error {
	w := csv.NewWriter(a.out)
	w.UseCRLF = true // RFC 4180 2
	if err := w.Write([]string{
		"mailing", "address", "state", "account", "attempts", "code", "enhanced", "text", "queue_id", "message_id", "queued_at", "sent_at", "receipt",
	}); err != nil {
		return err
	}
	for d, err := range l.EachDelivery(ctx, f) {
		if err != nil {
			return err
		}
		x := a.describeDelivery(&d)
		if err := w.Write([]string{
			number(x.Mailing), harmless(x.Address), string(x.State), harmless(x.Account), strconv.Itoa(x.Attempts), codeText(x.Code),
			x.Enhanced, harmless(x.Text), harmless(x.QueueID), harmless(x.MessageID), x.QueuedAt.String(), x.SentAt.String(), string(x.Receipt),
		}); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// harmless makes text fit for a cell: on one line, and with an apostrophe in
// front where a spreadsheet would take it for a formula.
func harmless(s string) string {
	s = oneLine(s)
	if s != "" && strings.ContainsAny(s[:1], "=+-@|%") {
		return "'" + s
	}
	return s
}
