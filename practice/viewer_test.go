package practice

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postroom/post"
)

// get asks as a browser would and closes the connection afterwards.
func get(t *testing.T, method, address, host string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if host != "" {
		req.Host = host
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestServe(t *testing.T) {
	html := `<img src="cid:pic%40x"><img src='CID:pic@x'><img src=cid:other><img src="cid:svg"><p>Grüße</p>`
	address, stop, err := Serve([]byte(html), map[string]Inline{
		"pic@x": {"image/png", []byte("PNG")}, "svg": {"image/svg+xml", []byte("<svg/>")}, "unused": {"image/png", nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	u, err := url.Parse(address)
	if err != nil || u.Hostname() != "127.0.0.1" || len(u.Path) < 20 {
		t.Fatalf("address %s, %v", address, err)
	}
	res, body := get(t, http.MethodGet, address, "")
	want := strings.ReplaceAll(strings.ReplaceAll(html, "cid:pic%40x", u.Path+"1"), "CID:pic@x", u.Path+"1")
	if res.StatusCode != 200 || body != want || res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%s %s\n%s\nwant\n%s", res.Status, res.Header.Get("Content-Type"), body, want)
	}
	res, body = get(t, http.MethodGet, address+"1", "")
	if res.StatusCode != 200 || body != "PNG" || res.Header.Get("Content-Type") != "image/png" {
		t.Errorf("picture: %s %q", res.Status, body)
	}

	base := "http://" + u.Host
	for _, c := range []struct {
		what, method, address, host string
		status                      int
	}{
		{"page", "GET", address, "", 200},
		{"foreign host", "GET", address, "evil.example", 421},
		{"foreign host, right port", "GET", address, "evil.example:" + u.Port(), 421},
		{"localhost", "GET", address, "localhost:" + u.Port(), 421},
		{"no port", "GET", address, "127.0.0.1", 421},
		{"root", "GET", base + "/", "", 404},
		{"guess", "GET", base + "/AAAAAAAAAAAAAAAAAAAAAAAAAA/", "", 404},
		{"no slash", "GET", strings.TrimSuffix(address, "/"), "", 404},
		{"unknown picture", "GET", address + "2", "", 404},
		{"above", "GET", address + "../", "", 404},
		{"post", "POST", address, "", 405},
		{"head", "HEAD", address, "", 405},
		{"options", "OPTIONS", address, "", 405},
	} {
		res, _ := get(t, c.method, c.address, c.host)
		if res.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", c.what, res.Status, c.status)
		}
		for key, want := range map[string]string{
			"Content-Security-Policy": "sandbox; default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'",
			"Referrer-Policy":         "no-referrer",
			"Cache-Control":           "no-store",
			"X-Content-Type-Options":  "nosniff",
		} {
			if got := res.Header.Get(key); got != want {
				t.Errorf("%s: %s is %q, want %q", c.what, key, got, want)
			}
		}
	}
	other, stopOther, err := Serve(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stopOther()
	if o, err := url.Parse(other); err != nil || o.Path == u.Path || o.Port() == u.Port() {
		t.Errorf("two previews at %s and %s", address, other)
	}

	stop()
	stop()
	if nc, err := net.Dial("tcp", u.Host); err == nil {
		_ = nc.Close()
		t.Error("still listening after stop")
	}
}

// handClock fires its timers when told to.
type handClock struct {
	post.SystemClock
	asked chan time.Duration
	fire  chan time.Time
}

func (c handClock) Elapsed() time.Duration { return post.SystemClock{}.Elapsed() }
func (c handClock) NewTimer(d time.Duration) post.Timer {
	c.asked <- d
	return handTimer{c.fire}
}

type handTimer struct{ c chan time.Time }

func (t handTimer) C() <-chan time.Time { return t.c }
func (handTimer) Stop() bool            { return true }

func TestServeEndsByItself(t *testing.T) {
	clock := handClock{asked: make(chan time.Duration, 1), fire: make(chan time.Time)}
	address, stop, err := serve([]byte("x"), nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	if d := <-clock.asked; d != 10*time.Minute {
		t.Errorf("the timer runs %v", d)
	}
	if res, _ := get(t, http.MethodGet, address, ""); res.StatusCode != 200 {
		t.Errorf("before: %s", res.Status)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	clock.fire <- time.Time{}
	// Nobody calls stop here: the port must close by itself.
	for give := time.Now().Add(20 * time.Second); ; {
		nc, err := net.Dial("tcp", u.Host)
		if err != nil {
			break
		}
		_ = nc.Close()
		if time.Now().After(give) {
			t.Fatal("still listening after its time")
		}
	}
	stop()
}
