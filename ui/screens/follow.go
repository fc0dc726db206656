package screens

import (
	"context"

	"postroom/post"
	"postroom/storage"
)

// DraftTo begins a letter to a list, from those of the accounts that are still
// there, else from the first one, and returns the draft's id.
func DraftTo(ctx context.Context, l *storage.Ledger, list int64, accounts ...int64) (int64, error) {
	d := post.Draft{Lists: []int64{list}, Content: post.Content{Format: post.FormatMarkdown}}
	all, err := l.Accounts(ctx)
	if err != nil {
		return 0, err
	}
	for _, id := range accounts {
		for i := range all {
			if all[i].ID == id {
				d.Accounts = append(d.Accounts, id)
			}
		}
	}
	if len(d.Accounts) == 0 && len(all) > 0 {
		d.Accounts = []int64{all[0].ID}
	}
	return l.SaveDraft(ctx, d)
}

// FollowUpKey is the key of the words for what became of a mailing, as they follow
// "those who".
func FollowUpKey(o storage.FollowUp) string {
	if o == storage.FollowUpSent {
		return "followup.sent"
	}
	return "followup." + string(o)
}
