package cli

import (
	"testing"
	"time"

	"postroom/accounts"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
)

// TestMeaning: what a provider means by its own refusal stands beside it, where
// an account tells its reason and where a test tells its steps.
func TestMeaning(t *testing.T) {
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := &app{words: words.For(words.English), Deps: Deps{Clock: post.SystemClock{}}}
	for _, tc := range []struct{ host, raw, reason, advice string }{
		{
			"smtp.163.com", "451 MI:SFQ,163 smtp2", "your provider asks to send more slowly: 451 MI:SFQ,163 smtp2 (NetEase's limit for 15 minutes is reached. It takes mail again after that.)",
			"NetEase's limit for 15 minutes is reached. It takes mail again after that.",
		},
		{"smtp.example.com", "451 MI:SFQ,163 smtp2", "your provider asks to send more slowly: 451 MI:SFQ,163 smtp2", "usual"},
	} {
		x, err := l.CreateAccount(t.Context(), post.Account{Name: tc.host, Email: "a@example.com", Host: tc.host, Port: 465, TLS: post.TLSImplicit, Auth: post.AuthNone, Secret: post.SecretNone})
		if err != nil {
			t.Fatal(err)
		}
		x.Reason, x.Until = post.Reason{Key: "account.rate", Raw: tc.raw}, time.Now().Add(time.Hour)
		if d, err := a.describe(t.Context(), l, x); err != nil || d.Reason != tc.reason {
			t.Errorf("%q, %v", d.Reason, err)
		}
		step := accounts.Step{AdviceText: "usual", Fault: &post.Fault{Reply: post.NewReply(451, tc.raw[4:])}}
		if got := a.adviceOf(&x, post.ReplyTokensNone, &step); got != tc.advice {
			t.Errorf("%q", got)
		}
	}
}
