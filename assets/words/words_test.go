package words

import (
	"bytes"
	"encoding/json"
	"errors"
	"sort"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

func TestBothLanguagesHaveTheSameKeysAndPlaceholders(t *testing.T) {
	for _, line := range Missing() {
		t.Error(line)
	}
}

func TestMissingSeesDifferences(t *testing.T) {
	zh := catalogues[Chinese].texts
	keep := zh["home.ends"]
	defer func() { zh["home.ends"] = keep; delete(zh, "zz.extra") }()
	zh["home.ends"] = "没有参数"
	zh["zz.extra"] = "x"
	if got := Missing(); len(got) != 2 {
		t.Fatalf("two faults planted, found %q", got)
	}
	delete(zh, "home.ends")
	if got := Missing(); len(got) != 2 || !strings.Contains(strings.Join(got, "\n"), "no words for home.ends") {
		t.Fatalf("a missing key was not seen: %q", got)
	}
}

// The files are edited by many hands: sorted, one key a line, none twice.
func TestFilesAreSortedOneKeyALine(t *testing.T) {
	for _, lang := range Langs {
		b, err := files.ReadFile(string(lang) + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		dec := json.NewDecoder(bytes.NewReader(b))
		for i := 0; ; i++ {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			if s, ok := tok.(string); ok && i%2 == 1 {
				keys = append(keys, s)
			}
		}
		if !sort.StringsAreSorted(keys) {
			t.Errorf("%s.json is not sorted", lang)
		}
		for i := 1; i < len(keys); i++ {
			if keys[i] == keys[i-1] {
				t.Errorf("%s.json has %q twice", lang, keys[i])
			}
		}
		if lines := bytes.Count(b, []byte("\n")); lines != len(keys)+2 {
			t.Errorf("%s.json: %d keys on %d lines", lang, len(keys), lines)
		}
	}
}

func TestT(t *testing.T) {
	en, zh := For(English), For(Chinese)
	for _, tc := range []struct{ got, want string }{
		{en.T("nav.home"), "Home"},
		{zh.T("nav.home"), "首页"},
		{en.T("grid.range", 1, 100, int64(48211)), "1–100 of 48,211"},
		{zh.T("grid.range", 1, 100, 48211), "第 1–100 条，共 48,211 条"},
		{en.T("no.such.key"), "no.such.key"},
		{en.T("account.stopped", "{1} orders@brauhaus.example"), "{1} orders@brauhaus.example is stopped"},
		{en.T("grid.range", 1), "1–{1} of {2}"},
		{en.N("home.uncertain", 1), "1 message may or may not have arrived"},
		{en.N("home.uncertain", 1160), "1,160 messages may or may not have arrived"},
		{zh.N("home.uncertain", 1), "1 封邮件，对方可能已收到，也可能没有"},
		{en.N("home.tomorrow_limit", 312, "Gmail", 500), "312 go tomorrow (Gmail takes 500 a day)"},
		{For("fr").T("nav.home"), "Home"},
		{en.State(post.StateSent), "accepted"},
		{en.StateLong(post.StateUncertain), "may or may not have arrived"},
		{zh.Receipt(post.ReceiptBounced), "已退信"},
		{en.MailingState(post.MailingRunning), "running"},
		{en.AccountState(post.AccountStopped), "stopped"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// What a language lacks is said in English.
func TestFallBack(t *testing.T) {
	en := &Catalogue{lang: English, texts: map[string]string{"a": "only {0}", "n.one": "one", "n.other": "{0} many"}}
	zh := &Catalogue{lang: Chinese, texts: map[string]string{}, base: en}
	if got := zh.T("a", 5); got != "only 5" {
		t.Errorf("got %q", got)
	}
	if got := zh.N("n", 1) + zh.N("n", 2); got != "one2 many" {
		t.Errorf("got %q", got)
	}
}

// Every value of the closed sets of post has words: nobody sees a key.
func TestEveryStateHasWords(t *testing.T) {
	var keys []string
	for _, s := range post.States {
		keys = append(keys, "state."+string(s), "state.long."+string(s))
	}
	for _, r := range []post.ReceiptKind{
		post.ReceiptNone, post.ReceiptDelayed, post.ReceiptDelivered, post.ReceiptBounced,
		post.ReceiptRead, post.ReceiptReplied, post.ReceiptUnsubscribed,
	} {
		keys = append(keys, "receipt."+string(r))
	}
	for _, s := range []post.MailingState{
		post.MailingScheduled, post.MailingRunning, post.MailingPaused, post.MailingCancelled, post.MailingDone,
	} {
		keys = append(keys, "mailing.state."+string(s))
	}
	for _, s := range []post.AccountState{post.AccountReady, post.AccountWaiting, post.AccountStopped, post.AccountPaused} {
		keys = append(keys, "account.state."+string(s))
	}
	for _, c := range []post.Cause{
		post.CauseNoHost, post.CauseDNS, post.CauseRefused, post.CauseUnreachable, post.CauseTimeout, post.CauseEOF,
		post.CauseReset, post.CauseCertificate, post.CauseTLS, post.CauseNoTLS, post.CauseInjected, post.CauseProtocol,
		post.CauseTooLong, post.CauseNoMechanism, post.CauseNotLoopback, post.CauseSecret, post.CauseLocal, post.CauseCancelled,
	} {
		keys = append(keys, "cause."+string(c))
	}
	for k := post.KindInternal; k <= post.KindCancelled; k++ {
		name := strings.ReplaceAll(k.String(), " ", "_")
		keys = append(keys, "error.kind."+name, "error.advice."+name)
	}
	for _, key := range keys {
		if !For(English).Has(key) {
			t.Errorf("no words for %s", key)
		}
	}
}

// A 250 says that the provider took the message, not that somebody got it (RFC
// 5321 4.2.5): no language may promise more.
func TestSentMeansTakenByYourServer(t *testing.T) {
	for lang, want := range map[Lang]string{English: "accepted by your provider", Chinese: "服务商已接收"} {
		c := For(lang)
		if got := c.StateLong(post.StateSent); got != want {
			t.Errorf("%s says %q", lang, got)
		}
		for _, promise := range []string{"delivered", "arrived", "送达", "收到"} {
			if said := c.State(post.StateSent) + c.StateLong(post.StateSent); strings.Contains(said, promise) {
				t.Errorf("%s promises: %q", lang, said)
			}
		}
	}
}

func TestReason(t *testing.T) {
	en := For(English)
	if got := en.Reason(post.Reason{}); got != "" {
		t.Errorf("no reason gives %q", got)
	}
	got := en.Reason(post.Reason{Key: "account.stopped", Args: []string{"orders@brauhaus.example"}, Raw: "535 5.7.8 no"})
	if got != "orders@brauhaus.example is stopped" {
		t.Errorf("got %q", got)
	}
	if got := en.Reason(post.Reason{Key: "home.bounced", Args: []string{"1"}}); got != "1 address bounced for good" {
		t.Errorf("a counted reason gives %q", got)
	}
	if got := en.Reason(post.Reason{Raw: "raw only"}); got != "" {
		t.Errorf("raw text leaked into words: %q", got)
	}
}

func TestError(t *testing.T) {
	en, zh := For(English), For(Chinese)
	plain := errors.New("disk I/O error")
	if what, advice := en.Error(plain); !strings.Contains(what, "inside Postroom") || advice == "" {
		t.Errorf("got %q, %q", what, advice)
	}
	said := post.Errorf(post.KindInvalid, "account", "give the account a name")
	if what, _ := en.Error(said); what != "Give the account a name." {
		t.Errorf("got %q", what)
	}
	if what, _ := zh.Error(said); what != "输入的内容有误。" {
		t.Errorf("English leaked into Chinese: %q", what)
	}
	if what, _ := zh.Error(&post.Fault{Phase: post.PhaseConnect, Cause: post.CauseRefused}); what != "服务器拒绝连接" {
		t.Errorf("got %q", what)
	}
	if what, advice := en.Error(nil); what != "" || advice != "" {
		t.Error("no error has words")
	}
}

func TestTimes(t *testing.T) {
	en, zh := For(English), For(Chinese)
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 23, 16, 0, 0, 0, zone)
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, zone).UTC() }
	for _, tc := range []struct{ got, want string }{
		{en.Moment(at(23, 14, 2), now), "23 Nov 14:02"},
		{zh.Moment(at(23, 14, 2), now), "11月23日 14:02"},
		{en.Moment(at(23, 14, 2).AddDate(-1, 0, 0), now), "23 Nov 2025 14:02"},
		{en.Moment(time.Time{}, now), ""},
		{en.When(at(23, 16, 42), now), "today 16:42"},
		{zh.When(at(23, 16, 42), now), "今天 16:42"},
		{en.When(at(24, 0, 10), now), "tomorrow 00:10"},
		{en.When(at(22, 9, 12), now), "yesterday 09:12"},
		{en.When(at(26, 14, 20), now), "Thu 14:20"},
		{zh.When(at(26, 14, 20), now), "周四 14:20"},
		{en.When(at(12, 9, 0), now), "12 Nov 09:00"},
		{en.Seconds(at(23, 13, 58).In(zone)), "13:58:00"},
		{en.Duration(300 * time.Millisecond), "less than a second"},
		{en.Duration(5 * time.Minute), "5 minutes"},
		{zh.Duration(5 * time.Minute), "5 分钟"},
		{en.Duration(80 * time.Minute), "1 hour 20 minutes"},
		{en.Duration(90 * time.Second), "1 minute 30 seconds"},
		{en.Duration(59_700 * time.Millisecond), "1 minute"},
		{en.Duration(59*time.Minute + 40*time.Second), "1 hour"},
		{en.Duration(48 * time.Hour), "2 days"},
		{en.Duration(49 * time.Hour), "2 days 1 hour"},
		{en.Greeting(now), "Good afternoon"},
		{zh.Greeting(now), "下午好"},
		{en.Greeting(now.Add(5 * time.Hour)), "Good evening"},
		{en.Greeting(now.Add(-8 * time.Hour)), "Good morning"},
		{en.Size(284_000), "284 KB"},
		{en.Size(1_440_000), "1.4 MB"},
		{en.Size(12), "12 B"},
		{en.Number(-1160), "-1,160"},
		{en.Number(0), "0"},
		{en.Number(1_000_000), "1,000,000"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestGuess(t *testing.T) {
	for locale, want := range map[string]Lang{
		"zh_CN.UTF-8": Chinese, "zh": Chinese, "zh-TW": Chinese, "en_US.UTF-8": English, "C": English, "": English, "zha": English,
	} {
		if got := Guess(locale); got != want {
			t.Errorf("%q: got %s", locale, got)
		}
	}
}

// TestWhyNotMailed: the reason of a suppression is in the user's language where it
// is one of ours, and as it was given where it is not.
func TestWhyNotMailed(t *testing.T) {
	zh := For(Chinese)
	for _, c := range []struct {
		r    post.Reason
		want string
	}{
		{post.Reason{Key: "compose.suppressed", Args: []string{"a@b.example", "asked"}}, zh.T("suppression.asked")},
		{post.Reason{Key: "skip.suppressed", Args: []string{"bounced"}}, zh.T("suppression.bounced")},
		{post.Reason{Key: "skip.suppressed", Args: []string{"a quarrel"}}, "a quarrel"},
	} {
		if got := zh.Reason(c.r); !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want it to say %q", c.r, got, c.want)
		}
	}
}
