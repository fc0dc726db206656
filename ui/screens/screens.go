// Package screens holds what the screens of the window share: what they are
// given (Env), where one can go (Route), and how work leaves the user
// interface's goroutine and comes back.
//
// A screen lives in a folder of its own below this one, as a model without any
// import of the toolkit, which loads rows and turns them into words, and a view
// that shows them. Nothing here may block: the ledger, the network and the
// keyring are asked through Load or ui/task only.
package screens

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"fyne.io/fyne/v2"

	"postroom/accounts"
	"postroom/assets/words"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

// The places in the window. They are also the ids of the navigation.
const (
	Home     = "home"
	Mailings = "mailings"
	Contacts = "contacts"
	Outbox   = "outbox"
	History  = "history"
	Accounts = "accounts"
	Settings = "settings"
)

// Route is a place in the window with what it is to show. The zero values mean
// "nothing in particular".
type Route struct {
	Screen  string
	ID      int64        // a mailing, contact or account
	Draft   int64        // a draft to write on, with Screen Mailings
	Verb    string       // "new", "edit", "import": what to start with
	States  []post.State // a filter of the history
	Mailing int64        // a filter of the history
	Outcome post.Outcome // a filter of the history
	To      []string     // recipients of a new mailing
}

// Screen is one place in the window. All methods are called on the user
// interface's goroutine.
type Screen interface {
	// Content returns the screen's object; it is asked for once.
	Content() fyne.CanvasObject
	// Show brings the screen to the front and starts to load what r asks for.
	Show(r Route)
	// Hide is called when another screen comes to the front: work that only
	// this screen wants is cancelled.
	Hide()
	// Changed is called at most five times a second while the screen is shown
	// and the ledger has changed.
	Changed()
}

// Dropper is a screen that takes files dropped on the window.
type Dropper interface {
	// Drop is given the paths of local files.
	Drop(paths []string)
}

// Closer is a screen that may hold something unsaved.
type Closer interface {
	// Close saves what is unsaved and calls done when that is durable.
	Close(done func())
}

// Mail is what screens ask of the background mailer.
type Mail interface {
	Role() mailer.Role
	Trouble() error
	Kick()
	Finishing() int
}

// Env is what every screen is given. It is made anew when the language changes.
type Env struct {
	Ledger   *storage.Ledger
	Words    *words.Catalogue
	Window   fyne.Window
	Secrets  accounts.Secrets
	Doctor   func(context.Context, post.Account, *accounts.Letter) accounts.Report
	Folders  func(context.Context, post.Account) ([]string, error) // of its mailbox; nil: they cannot be listed
	Mail     Mail
	Practice string // the folder of the practice trap's catch
	Clock    post.Clock
	Zone     *time.Location
	Log      *slog.Logger
	// Post runs a function on the user interface's goroutine, later.
	Post func(func())
	// Go shows another place.
	Go func(Route)
	// OpenURL shows a page in the browser.
	OpenURL func(string) error
	// WithVault calls a function once the vault is unlocked: at once where it is, or
	// after its passphrase was given. nil: nobody can be asked.
	WithVault func(then func())
	// Restyle applies the settings for language and theme.
	Restyle func()
	// IDs names widgets for tests that drive the real window.
	IDs *IDs
}

// T returns the words of a key.
func (e *Env) T(key string, args ...any) string { return e.Words.T(key, args...) }

// Now returns the time in the user's zone.
func (e *Env) Now() time.Time { return e.Clock.Now().In(e.Zone) }

// After runs f on the user interface's goroutine when d has gone by, unless stop
// was called before. It is used on that goroutine, as stop is.
func (e *Env) After(d time.Duration, f func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	timer := e.Clock.NewTimer(d)
	go func() {
		defer timer.Stop()
		select {
		case <-timer.C():
		case <-ctx.Done():
			return
		}
		e.Post(func() {
			if ctx.Err() == nil {
				cancel()
				f()
			}
		})
	}()
	return cancel
}

// Short cuts a name to so many characters, for places that cannot grow.
func Short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// Outcome is what became of a delivery as far as its sending goes, as one word.
// What came back stands beside it: the two are never mixed.
func Outcome(w *words.Catalogue, h *storage.HistoryRow) string {
	return w.Fate(h.State, h.Kind, h.Held)
}

// Load runs work off the user interface's goroutine and hands its result to
// done on it, unless ctx has ended by then. For work that may take longer than
// a blink use ui/task, which shows progress.
func Load[T any](ctx context.Context, e *Env, work func(context.Context) (T, error), done func(T, error)) {
	go func() {
		v, err := work(ctx)
		e.Post(func() {
			if ctx.Err() == nil {
				done(v, err)
			}
		})
	}()
}

// Loader runs one load at a time: while one is under way, the last of further
// requests waits for it to end. It is used on the user interface's goroutine.
type Loader struct {
	env    *Env
	ctx    context.Context
	cancel context.CancelFunc
	busy   bool
	next   func()
}

// NewLoader returns a Loader.
func NewLoader(e *Env) *Loader { return &Loader{env: e} }

// Start begins a screen's time at the front.
func (l *Loader) Start() {
	if l.cancel == nil {
		l.ctx, l.cancel = context.WithCancel(context.Background())
	}
}

// Stop cancels what is under way; its results are dropped.
func (l *Loader) Stop() {
	if l.cancel != nil {
		l.cancel()
	}
	l.cancel, l.busy, l.next = nil, false, nil
}

// Run loads with l; see Loader.
func Run[T any](l *Loader, work func(context.Context) (T, error), done func(T, error)) {
	if l.cancel == nil {
		return
	}
	if l.busy {
		l.next = func() { Run(l, work, done) }
		return
	}
	l.busy = true
	Load(l.ctx, l.env, work, func(v T, err error) {
		l.busy = false
		done(v, err)
		if next := l.next; next != nil {
			l.next = nil
			next()
		}
	})
}

// IDs names widgets, so that a test that drives the real window can find them.
// Safe for concurrent use.
type IDs struct {
	mu  sync.Mutex
	all map[string]fyne.CanvasObject
}

// Set names an object; a later one takes the name over.
func (i *IDs) Set(id string, o fyne.CanvasObject) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.all == nil {
		i.all = map[string]fyne.CanvasObject{}
	}
	i.all[id] = o
}

// Each calls f for each named object.
func (i *IDs) Each(f func(id string, o fyne.CanvasObject)) {
	i.mu.Lock()
	all := make(map[string]fyne.CanvasObject, len(i.all))
	for id, o := range i.all {
		all[id] = o
	}
	i.mu.Unlock()
	for id, o := range all {
		f(id, o)
	}
}
