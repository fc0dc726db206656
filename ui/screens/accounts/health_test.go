package accounts

import (
	"context"
	"strings"
	"testing"
	"time"

	senders "postroom/accounts"
	"postroom/assets/theme"
	"postroom/assets/words"
	"postroom/post"
	"postroom/ui/screens"
)

// TestHealthInTheWindow shows what a domain lacks, with the record to copy, in
// both languages.
func TestHealthInTheWindow(t *testing.T) {
	for _, lang := range []words.Lang{words.English, words.Chinese} {
		r := newRig(t, lang, theme.Light)
		r.view.health = func(_ context.Context, a post.Account, _ time.Time) (senders.Health, error) {
			return senders.Health{Domain: "brauhaus.example", Findings: []senders.Finding{
				{Record: senders.RecordSPF, State: senders.HealthGood, What: post.Reason{Key: "health.spf.good", Args: []string{a.Host}}, Found: []string{"v=spf1 mx -all"}},
				{
					Record: senders.RecordDMARC, State: senders.HealthBad, What: post.Reason{Key: "health.dmarc.missing"},
					Name: "_dmarc.brauhaus.example", Value: "v=DMARC1; p=none",
				},
			}}, nil
		}
		if _, err := r.env.Ledger.CreateAccount(t.Context(), post.Account{
			Name: "own", Email: "hello@brauhaus.example", Host: "smtp.brauhaus.example", Port: 465, TLS: post.TLSImplicit, Auth: post.AuthNone, Secret: post.SecretNone,
		}); err != nil {
			t.Fatal(err)
		}
		r.view.Show(screens.Route{})
		r.until("the account", func() bool { return r.view.panel.shown != nil })
		r.tap("accounts.health")
		r.until("the result", func() bool { return r.view.panel.result.Text == r.env.T("accounts.health.bad", "brauhaus.example") })
		steps := HealthSteps(r.env.Words, senders.Health{Findings: []senders.Finding{{
			Record: senders.RecordDMARC, State: senders.HealthBad, What: post.Reason{Key: "health.dmarc.missing"}, Name: "_dmarc.x", Value: "v=DMARC1",
		}}})
		if len(steps) != 1 || !strings.Contains(steps[0].Detail, "_dmarc.x  TXT  v=DMARC1") || steps[0].Advice == "" || !r.view.panel.steps.Visible() {
			t.Errorf("%+v", steps)
		}
	}
}
