package practice

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"postroom/post"
)

const (
	viewTime        = 10 * time.Minute
	viewConnections = 16
)

// pagePolicy lets a page show itself and its own pictures, and nothing else:
// no script, no form, no frame, no request to anybody (CSP level 3).
const pagePolicy = "sandbox; default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'"

// Serve shows a message's HTML to a browser, over loopback alone: the address
// holds a random port and a random path, the Host header is checked, and the
// page cannot run scripts or reach the network. References cid:ID in html that
// inline knows become pictures. It ends by itself after ten minutes, or by
// stop, which may be called more than once and returns when nothing is left
// running.
func Serve(html []byte, inline map[string]Inline) (address string, stop func(), err error) {
	return serve(html, inline, post.SystemClock{})
}

func serve(html []byte, inline map[string]Inline, clock post.Clock) (address string, stop func(), err error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, &post.Error{
			Kind: post.KindInternal, Op: "show the message", Message: "no local port could be opened",
			Reason: post.Reason{Key: "practice.port"}, Err: err,
		}
	}
	v := newView(ln.Addr().String(), html, inline)
	srv := &http.Server{
		Handler: v, MaxHeaderBytes: 16 << 10,
		ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // a browser's broken-off requests are nobody's news
	}
	var work sync.WaitGroup
	work.Go(func() {
		if err := srv.Serve(netutil.LimitListener(ln, viewConnections)); !errors.Is(err, http.ErrServerClosed) {
			slog.Warn("the message preview stopped", "error", err)
		}
	})
	stopped := make(chan struct{})
	timer := clock.NewTimer(viewTime)
	work.Go(func() {
		defer timer.Stop()
		select {
		case <-timer.C():
		case <-stopped:
		}
		_ = srv.Close() // only closes sockets that are of no more use
	})
	var once sync.Once
	return "http://" + v.host + v.base, func() {
		once.Do(func() { close(stopped) })
		work.Wait()
	}, nil
}

// view is one message's pages, fixed when it is made. Safe for concurrent use.
type view struct {
	host  string // what a browser must send as Host
	base  string // the page's path
	pages map[string]Inline
}

var cidRef = regexp.MustCompile(`(?i)\bcid:([^"'\s<>)]+)`)

func newView(host string, html []byte, inline map[string]Inline) *view {
	v := &view{host: host, base: "/" + rand.Text() + "/", pages: make(map[string]Inline)}
	paths := make(map[string]string) // Content-ID -> path
	html = cidRef.ReplaceAllFunc(html, func(ref []byte) []byte {
		id := string(ref[len("cid:"):])
		if plain, err := url.PathUnescape(id); err == nil { // RFC 2392 2
			id = plain
		}
		pic, ok := inline[id]
		if !ok || !isPicture(pic.Type) {
			return ref
		}
		if paths[id] == "" {
			paths[id] = v.base + strconv.Itoa(len(paths)+1)
			v.pages[paths[id]] = pic
		}
		return []byte(paths[id])
	})
	v.pages[v.base] = Inline{Type: "text/html; charset=utf-8", Data: html}
	return v
}

// isPicture allows the types that hold pixels only. SVG is a document.
func isPicture(kind string) bool {
	switch strings.ToLower(kind) {
	case "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/avif":
		return true
	}
	return false
}

func (v *view) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.Host != v.host: // a foreign name that was pointed at us (DNS rebinding)
		http.Error(w, "wrong host", http.StatusMisdirectedRequest)
		return
	case r.Method != http.MethodGet:
		h.Set("Allow", http.MethodGet)
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	// The random part is compared in constant time; the rest is no secret.
	path := r.URL.Path
	if len(path) < len(v.base) || subtle.ConstantTimeCompare([]byte(path[:len(v.base)]), []byte(v.base)) != 1 {
		http.NotFound(w, r)
		return
	}
	page, ok := v.pages[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", page.Type)
	h.Set("Content-Length", strconv.Itoa(len(page.Data)))
	_, _ = w.Write(page.Data) // the browser may have gone
}
