package compose

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postroom/post"
)

func TestTakePictures(t *testing.T) {
	dir := t.TempDir()
	png := "\x89PNG\r\n\x1a\nabc"
	write(t, filepath.Join(dir, "letter", "a b.png"), png)
	write(t, filepath.Join(dir, "letter", "sub", "c.jpg"), "\xff\xd8\xffxyz")
	write(t, filepath.Join(dir, "letter", "evil.png"), "<svg><script>1</script></svg>")
	secret := write(t, filepath.Join(dir, "secret.png"), png)
	if err := os.Symlink(secret, filepath.Join(dir, "letter", "link.png")); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "letter")
	body, all, err := TakePictures("![one](<a b.png>) ![two](a%20b.png \"t\") ![three](sub/c.jpg) ![web](https://e.example/x.png) ![f]({{photo}}) [no](a.png)", post.FormatMarkdown, folder)
	if err != nil || len(all) != 2 || all[0].Type != "image/png" || all[1].Name != "c.jpg" {
		t.Fatalf("%q, %+v, %v", body, all, err)
	}
	want := "![one](cid:" + all[0].CID + ") ![two](cid:" + all[0].CID + " \"t\") ![three](cid:" + all[1].CID + ") ![web](https://e.example/x.png) ![f]({{photo}}) [no](a.png)"
	if body != want {
		t.Errorf("%s\nwant %s", body, want)
	}
	page, more, err := TakePictures("<IMG alt=x\n SRC='sub/c.jpg'><img src=\"cid:x@y\">", post.FormatHTML, folder)
	if err != nil || len(more) != 1 || page != "<IMG alt=x\n SRC=\"cid:"+more[0].CID+"\"><img src=\"cid:x@y\">" {
		t.Errorf("%q, %v, %v", page, more, err)
	}
	for _, bad := range []string{"../secret.png", "link.png", "evil.png", "none.png", "sub"} {
		if _, got, err := TakePictures("![x]("+bad+")", post.FormatMarkdown, folder); err == nil {
			t.Errorf("%s was taken: %+v", bad, got)
		}
	}

	// The message shows them, and they are its own parts beside the HTML.
	c := post.Content{Subject: "s", Body: "![one](<a b.png>) text", Attachments: all[:1]}
	c.Body, _, err = TakePictures(c.Body, post.FormatMarkdown, folder)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Compile(context.Background(), c, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	pv, err := MakePreview(m, &p)
	if err != nil || len(pv.Inline) != 1 || string(pv.Inline[0].Data) != png || pv.Inline[0].Type != "image/png" {
		t.Fatalf("%+v, %v", pv.Inline, err)
	}
	raw := string(pv.Source)
	if !strings.Contains(raw, "multipart/related; type=\"text/html\"") || !strings.Contains(raw, "Content-ID: <"+all[0].CID+">") || !strings.Contains(pv.HTML, `src="cid:`+all[0].CID+`"`) {
		t.Errorf("%s", raw)
	}
	j := goodJob()
	j.Content = c
	if got := finds(t, j); len(got) > 0 {
		t.Errorf("%q", got)
	}
	j.Content.Attachments = nil
	if got := finds(t, j); len(got) != 1 || got[0] != "error compose.link-broken 0" {
		t.Errorf("without the part: %q", got)
	}
}
