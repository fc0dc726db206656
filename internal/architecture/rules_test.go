package architecture

// A room is a folder with all folders below it that are not rooms of their own. A folder in no room is a fault: a new
// package needs a reason that these rooms can't give, and a line here.
type room struct {
	name string
	// imports lists the rooms that its code may import, besides itself.
	imports []string
	// tests lists the rooms that only its tests may import, besides those.
	tests []string
}

const root = "." // main.go

// Arrows point down only, and sideways as listed. Tests may also use what stands on the same floor: the practice trap is
// a fine server to send to.
var rooms = []room{
	{name: root, imports: all, tests: []string{testkit}},

	{name: "ui", imports: append([]string{"assets", "assets/theme", "assets/icons"}, lower...), tests: []string{testkit}},
	// The command line runs where there is no window, so the Fyne part of assets is not for it.
	{name: "cli", imports: append([]string{"assets"}, lower...), tests: []string{testkit}},

	{name: "mailer", imports: []string{"compose", "accounts", "storage", "post"}, tests: append(floor, testkit, "assets/providers")},
	{name: "receipts", imports: []string{"accounts", "contacts", "storage", "post"}, tests: append(floor, testkit)},
	{name: "accounts", imports: []string{"assets/providers", "storage", "post"}, tests: append(floor, testkit)},
	{name: "contacts", imports: []string{"storage", "post"}, tests: append(floor, testkit)},
	{name: "compose", imports: []string{"storage", "post"}, tests: append(floor, testkit)},
	{name: "practice", imports: []string{"storage", "post"}, tests: append(floor, testkit)},

	{name: "storage", imports: []string{"post"}, tests: []string{testkit}},
	{name: "post"},

	{name: "assets", imports: []string{"post"}},
	{name: "assets/theme", imports: []string{"assets"}},
	// Data without words of its own, so that accounts may look into it; its test finds the words.
	{name: "assets/providers", imports: []string{"post"}, tests: []string{"assets"}},
	// Looks without words of its own.
	{name: "assets/designs", imports: []string{"post"}, tests: []string{"compose"}},
	{name: "assets/icons", imports: []string{"assets", "assets/theme"}},

	// Seen by tests and by programs for tests only.
	{name: testkit, imports: lower},
	{name: "bench", imports: append([]string{testkit, "assets"}, lower...)},
	// They drive the built program from outside, and look into the ledger it wrote.
	{name: "internal/e2e", tests: append([]string{testkit, "assets"}, lower...)},
	{name: "internal/window", tests: append([]string{testkit, "assets"}, lower...)},
	{name: "internal/architecture"},
	{name: "internal/testrun"},
}

const testkit = "internal/testkit"

// floor is where the work is done: one room for each part of it.
var floor = []string{"accounts", "contacts", "compose", "mailer", "receipts", "practice"}

var (
	lower = append([]string{"assets/providers", "assets/designs", "storage", "post"}, floor...)
	all   = append([]string{"ui", "cli", "assets", "assets/theme", "assets/icons"}, lower...)
)

// A library is a module or standard package (with all below it) that only some rooms may import, in tests too.
type library struct {
	path  string
	rooms []string
	why   string
}

var libraries = []library{
	{"database/sql", []string{"storage"}, "storage is the only package that knows SQL"},
	{"modernc.org/sqlite", []string{"storage", testkit}, "storage is the only package that knows SQL; testkit puts a failing disk under it"},
	{"github.com/pressly/goose", []string{"storage"}, "storage is the only package that knows SQL"},
	{"github.com/wneessen/go-mail", []string{"compose", "mailer", "accounts", "bench"}, "they write, send and sign in, or measure it"},
	{"github.com/smallstep/pkcs7", []string{"compose"}, "compose signs messages"},
	{"software.sslmate.com/src/go-pkcs12", []string{"accounts", "cli", "ui"}, "accounts takes certificates in; tests of the command line and the window make them"},
	{"github.com/emersion/go-msgauth", []string{"compose"}, "its tests verify signatures"},
	{"github.com/microcosm-cc/bluemonday", []string{"compose"}, "compose cleans imported HTML"},
	{"github.com/vanng822/go-premailer", []string{"compose"}, "compose puts style sheets into the elements"},
	{"github.com/knadh/smtppool", []string{"bench"}, "it is there to be measured against"},
	{"github.com/zalando/go-keyring", []string{"accounts"}, "accounts is where secrets are kept"},
	{"github.com/emersion/go-imap", []string{"accounts", "receipts", testkit}, "accounts signs in to mailboxes, receipts reads them; testkit plays one"},
	{"fyne.io", []string{root, "ui", "assets/theme", "assets/icons"}, "all else works without a window"},
	{"fyne.io/fyne/v2/app", []string{root}, "with it a package needs OpenGL, and its tests a display"},
}

// postLibraries is all that post may import beyond the standard library; its tests may use the test libraries.
var (
	postLibraries = []string{"golang.org/x/net/idna", "golang.org/x/text"}
	testLibraries = []string{"pgregory.net/rapid", "github.com/google/go-cmp", "go.uber.org/goleak"}
)

// vague are names that say nothing about what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "shared", "lib"}

const (
	longFile    = 500 // lines; told in the test's log
	tooLongFile = 700 // lines; a fault
)
