package receipts

import (
	"strings"
	"testing"

	"postroom/post"
)

// An answer from a program that names no Message-ID is tied by the address that
// it was sent to; one to a made-up address is not.
func TestFetchByPlusAddress(t *testing.T) {
	box := newPostbox(t)
	l := openLedger(t, t.TempDir())
	defer l.Close()
	a, ids := office(t, l, box.addr, 2)
	to := func(id string) string {
		ref, _, _ := strings.Cut(strings.Trim(id, "<>"), "@")
		return "From: Ann <ann@example.net>\nTo: Shop <shop+" + ref + "@shop.example>\nSubject: Thank you\n\nI will come.\n"
	}
	box.put(to(ids[0]))
	box.put(to(strings.Replace(ids[1], ".2.", ".2.0", 1)))
	r, err := fetcher(l).Fetch(t.Context(), a)
	if err != nil || r.Read != 2 || r.Matched != 1 || r.By[post.ReceiptReplied] != 1 {
		t.Errorf("%+v %v", r, err)
	}
}
