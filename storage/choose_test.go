package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postroom/post"
)

// TestRulesChoose compares what a rule puts on a list with asking it of each
// person, and a refresh with making the list anew.
func TestRulesChoose(t *testing.T) {
	l := open(t, t.TempDir())
	a := account(t, l, "shop")
	lists := map[string]post.List{}
	for li := range 3 {
		var rows []post.Contact
		for i := range 40 {
			if (i>>li)%2 == 1 || i%7 == li {
				rows = append(rows, contact(fmt.Sprintf("p%d@example.net", i), "", nil))
			}
		}
		name := string(rune('A' + li))
		if _, _, _, _, err := l.ImportContacts(t.Context(), name, false, seq(rows)); err != nil {
			t.Fatal(err)
		}
		var err error
		if lists[name], err = l.ListByName(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	m := enqueue(t, l, post.Live, a, 10) // p0 to p9
	ids := map[string]int64{}
	for c, err := range l.EachMember(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		ids[c.Key] = c.ID
	}
	if err := l.write(t.Context(), "send", func(tx *Tx) error {
		_, err := tx.exec("UPDATE deliveries SET contact_id = coalesce((SELECT id FROM contacts c WHERE c.key = deliveries.key), 0), state = 'sent', tries = 0, reason = 'x', sent_at = ? WHERE id NOT IN (1, 3)", post.Millis(tx.now))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// p3 failed, p5 was too late, p7 is uncertain; p4 answered after opening it, p6
	// is away, p8 came back.
	receipts := map[string][]string{"p4": {"read", "replied"}, "p6": {"auto_reply"}, "p8": {"bounced"}}
	strongest := map[string]string{"p4": "replied", "p8": "bounced"}
	states := map[string]post.State{"p3": post.StateFailed, "p5": post.StateExpired, "p7": post.StateUncertain}
	if err := l.write(t.Context(), "answer", func(tx *Tx) error {
		for who, kinds := range receipts {
			for _, kind := range kinds {
				if _, err := tx.exec(`INSERT INTO receipts (delivery_id, account_id, digest, part, uid, kind, at)
					SELECT id, ?1, ?2, 0, 1, ?3, 1 FROM deliveries WHERE key = ?4`, a.ID, []byte(who+kind), kind, who+"@example.net"); err != nil {
					return err
				}
			}
			if r := strongest[who]; r != "" {
				if _, err := tx.exec("UPDATE deliveries SET receipt = ? WHERE key = ?", r, who+"@example.net"); err != nil {
					return err
				}
			}
		}
		for who, state := range states {
			if _, err := tx.exec("UPDATE deliveries SET state = ?, reason = 'x' WHERE key = ?", string(state), who+"@example.net"); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	had := func(key string, o FollowUp) bool {
		who, _, _ := strings.Cut(key, "@")
		var state post.State
		if err := l.r.QueryRowContext(t.Context(), "SELECT coalesce((SELECT state FROM deliveries WHERE key = ?), '')", key).Scan(&state); err != nil {
			t.Fatal(err)
		}
		back := func(kind string) bool { return slices.Contains(receipts[who], kind) }
		switch o {
		case FollowUpSilent:
			return state == post.StateSent && !back("replied") && !back("bounced")
		case FollowUpReplied:
			return back("replied")
		case FollowUpRead:
			return back("read")
		case FollowUpBounced:
			return back("bounced")
		case FollowUpFailed:
			return state == post.StateFailed
		case FollowUpUnsent:
			return state == post.StateFailed || state == post.StateExpired
		case FollowUpUncertain:
			return state == post.StateUncertain
		}
		return state == post.StateSent
	}
	on := func(name string, id int64) bool {
		var n int
		if err := l.r.QueryRowContext(t.Context(), placesTable+"SELECT count(*) FROM places WHERE list_id = ? AND contact_id = ?", lists[name].ID, id).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		var r Rule
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A", "B", "C"}), 1, 3, rapid.ID).Draw(rt, "lists")
		words := map[string]string{}
		for _, n := range names {
			words[n] = rapid.SampledFrom([]string{"any", "all", "not"}).Draw(rt, n)
			switch words[n] {
			case "any":
				r.Any = append(r.Any, lists[n].ID)
			case "all":
				r.All = append(r.All, lists[n].ID)
			default:
				r.Not = append(r.Not, lists[n].ID)
			}
		}
		r.QuietDays = rapid.SampledFrom([]int{0, 14}).Draw(rt, "days")
		r.Got = rapid.SampledFrom([]int64{0, m.ID}).Draw(rt, "got")
		if r.Got != 0 {
			r.FollowUp = rapid.SampledFrom(FollowUps).Draw(rt, "outcome")
		}
		made++
		li, err := l.MakeList(t.Context(), fmt.Sprintf("made %d", made), r, true)
		if err != nil {
			rt.Fatal(err)
		}
		check := func() {
			want := int64(0)
			for key, id := range ids {
				var sent bool
				if err := l.r.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT 1 FROM deliveries WHERE key = ? AND state = 'sent')", key).Scan(&sent); err != nil {
					rt.Fatal(err)
				}
				chosen, any, hasAny := true, false, false
				for n, w := range words {
					switch w {
					case "any":
						hasAny = true
						any = any || on(n, id)
					case "all":
						chosen = chosen && on(n, id)
					default:
						chosen = chosen && !on(n, id)
					}
				}
				chosen = chosen && (!hasAny || any) && (r.QuietDays == 0 || !sent) && (r.Got == 0 || had(key, r.FollowUp))
				if chosen {
					want++
				}
				var is bool
				if err := l.r.QueryRowContext(t.Context(), placesTable+"SELECT EXISTS (SELECT 1 FROM places WHERE list_id = ? AND contact_id = ?)", li.ID, id).Scan(&is); err != nil {
					rt.Fatal(err)
				}
				if is != chosen {
					rt.Fatalf("%+v: %s is on the list: %v", r, key, is)
				}
			}
			if now, err := l.ListByName(t.Context(), li.Name); err != nil || now.Members != want {
				rt.Fatalf("%d members, want %d, %v", now.Members, want, err)
			}
		}
		check()
		who := ids[fmt.Sprintf("p%d@example.net", rapid.SampledFrom([]int{1, 2, 3, 4, 5, 6, 11, 12}).Draw(rt, "who"))]
		if err := l.write(t.Context(), "move", func(tx *Tx) error {
			n, err := tx.removeFromList(lists["A"].ID, inBlocks([]int64{who}))
			if err == nil && n == 0 {
				_, err = tx.addToList(lists["A"].ID, inBlocks([]int64{who}))
			}
			return err
		}); err != nil {
			rt.Fatal(err)
		}
		if err := l.RefreshList(t.Context(), li.ID); err != nil {
			rt.Fatal(err)
		}
		check()
		if err := l.DeleteList(t.Context(), li.ID); err != nil {
			rt.Fatal(err)
		}
	})
	if _, err := l.MakeList(t.Context(), "a", Rule{Any: []int64{1}}, false); post.KindOf(err) != post.KindConflict {
		t.Errorf("a list twice: %v", err)
	}
	if err := l.RenameList(t.Context(), lists["A"].ID, "b"); post.KindOf(err) != post.KindConflict {
		t.Errorf("renamed onto another: %v", err)
	}
	if err := l.RenameList(t.Context(), lists["A"].ID, "Z"); err != nil {
		t.Error(err)
	}
}
