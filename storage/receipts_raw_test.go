package storage

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

// TestKeptWhole: a message that came back is kept as it came up to the bound,
// with the size of the whole; what an older version kept is read as before.
func TestKeptWhole(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	noise := make([]byte, post.MaxExcerpt)
	for i := range noise { // what no compression makes smaller
		noise[i] = byte(rand.Uint32())
	}
	for name, c := range map[string]struct {
		raw  []byte
		size int64
		cut  bool
	}{
		"small":                    {[]byte("From: x@y.example\r\n\r\nHello\r\n"), 28, false},
		"20 KB":                    {[]byte("From: x@y.example\r\n\r\n" + strings.Repeat("as it came\r\n", 1700)), 0, false},
		"to the bound":             {noise, post.MaxExcerpt, false},
		"beyond it":                {noise, 50 << 20, true},
		"by the old bound, whole":  {bytes.Repeat([]byte("a"), 16<<10), 16 << 10, false},
		"begins like a packed one": {[]byte(packedMark + "\x05abc"), 0, false},
		"empty":                    {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			sum := sha256.Sum256([]byte(name))
			in := Incoming{Digest: sum[:], Says: []Said{
				{Receipt: post.Receipt{Account: 1, Kind: post.ReceiptBounced, At: time.Now(), Excerpt: c.raw, Size: c.size}},
				{Receipt: post.Receipt{Account: 1, Kind: post.ReceiptDelayed, At: time.Now()}},
			}}
			if _, err := l.RecordReceipts(t.Context(), []Incoming{in}, Position{Account: 1, Server: "s"}); err != nil {
				t.Fatal(err)
			}
			all, err := l.Untied(t.Context(), 2)
			if err != nil || len(all) != 2 {
				t.Fatal(all, err)
			}
			for _, x := range all { // both recipients' receipts lead to it
				r, err := l.Receipt(t.Context(), x.ID)
				if err != nil || !bytes.Equal(r.Excerpt, c.raw) || r.Cut() != c.cut || r.Size != max(c.size, int64(len(c.raw))) {
					t.Errorf("%d bytes of %d, cut %v, %v", len(r.Excerpt), r.Size, r.Cut(), err)
				}
			}
		})
	}
}

// TestKeptByOlderVersions: rows from before messages were compressed.
func TestKeptByOlderVersions(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i, c := range []struct {
		kept string
		cut  bool
	}{
		{"From: x@y.example\r\n\r\nHello\r\n", false},
		{strings.Repeat("a", 16<<10), true},
		{"", false},
		{packedMark, false},
		{packedMark + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", false},
		{packedMark + "\x03no deflated bytes", false},
	} {
		err := l.write(t.Context(), "test", func(x *Tx) error {
			_, err := x.exec(`INSERT INTO receipts (id, delivery_id, account_id, digest, part, uid, kind, at, excerpt) VALUES (?, 0, 1, ?, 0, 1, 'unknown', 0, ?)`,
				i+1, []byte{byte(i)}, []byte(c.kept))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := l.Receipt(t.Context(), int64(i+1)); err != nil || string(r.Excerpt) != c.kept || r.Cut() != c.cut || r.Size != 0 {
			t.Errorf("%d: %q of %d, cut %v, %v", i, r.Excerpt, r.Size, r.Cut(), err)
		}
	}
}
