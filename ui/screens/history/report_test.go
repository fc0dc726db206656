package history

import (
	"bytes"
	"testing"

	"postroom/assets/words"
	"postroom/post"
)

// TestCutNote: a message that was kept whole says nothing, one that was cut how
// much of it there is.
func TestCutNote(t *testing.T) {
	w := words.For(words.English)
	for _, c := range []struct {
		kept int
		size int64
		want string
	}{
		{100, 100, ""},
		{100, 0, ""},
		{post.MaxExcerpt, post.MaxExcerpt, ""},
		{post.MaxExcerpt, post.MaxExcerpt + 1, "The first 256 KB of 257 KB were kept."},
		{16 << 10, 0, "Only its beginning was kept."},
	} {
		if got := cutNote(w, &post.Receipt{Excerpt: bytes.Repeat([]byte("a"), c.kept), Size: c.size}); got != c.want {
			t.Errorf("%d of %d: %q", c.kept, c.size, got)
		}
	}
}
