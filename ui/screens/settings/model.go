// Package settings is the screen for how the program looks and speaks, how long
// it tries, and for the data folder: where it is, a copy of it, and a check.
package settings

import (
	"context"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/words"
	"postroom/post"
	"postroom/storage"
)

// The settings' keys in the ledger.
const (
	keyLanguage = "language"             // a words.Lang
	keyTheme    = "theme"                // light, dark or system
	keyDeadline = "retry.deadline_hours" // 1 to 120
)

// Hours is how long a message is tried: what is usual, the least and the most.
const (
	usualHours = 48
	leastHours = 1
	mostHours  = 120
)

// Themes are the looks in their order.
var Themes = []string{"system", "light", "dark"}

// Model is what the screen shows.
type Model struct {
	Language words.Lang
	Theme    string
	Hours    int
	Folder   string            // of the data
	Log      string            // the file
	SignIn   map[string]string // what we are called at authorization servers, by the setting's key
	// Secrets are the places of the client secrets, by the setting's key: keyring,
	// vault or accounts.PlaceLedger. What they are is never read here.
	Secrets map[string]post.SecretKind
}

// Load reads the settings. What was never set, or makes no sense, is as usual.
// tokens knows the client secrets; nil: nobody does.
func Load(ctx context.Context, l *storage.Ledger, tokens *accounts.Tokens, lang words.Lang) (*Model, error) {
	set, err := l.Settings(ctx)
	if err != nil {
		return nil, err
	}
	m := &Model{Language: lang, Theme: "light", Hours: usualHours, Folder: l.Dir(), Log: filepath.Join(l.Dir(), "logs", "postroom.log")}
	m.SignIn = map[string]string{}
	for _, s := range SignInServers() {
		for _, f := range s.Fields {
			if f.Secret {
				continue
			}
			if set[f.Key] != "" {
				m.SignIn[f.Key] = set[f.Key]
			}
		}
	}
	if tokens != nil {
		m.Secrets = map[string]post.SecretKind{}
		for _, s := range providers.AuthServers() {
			if m.Secrets[s.ClientSecretSetting()], err = tokens.ClientSecretPlace(ctx, &s); err != nil {
				return nil, err
			}
		}
	}
	if x := words.Lang(set[keyLanguage]); slices.Contains(words.Langs, x) {
		m.Language = x
	}
	if x := set[keyTheme]; slices.Contains(Themes, x) {
		m.Theme = x
	}
	if n, ok := parseHours(set[keyDeadline]); ok {
		m.Hours = n
	}
	return m, nil
}

// parseHours reads the deadline as typed and reports whether it may be set.
func parseHours(typed string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(typed))
	return n, err == nil && n >= leastHours && n <= mostHours
}

// backupName is the name that is suggested for a backup.
func backupName(now time.Time) string { return "postroom-" + now.Format("2006-01-02-1504") + ".zip" }

// backupPath makes a typed path absolute: "~" is the home folder, and a relative
// path counts from there, not from wherever the program was started.
func backupPath(typed, home string) string {
	typed = strings.TrimSpace(typed)
	if typed == "~" || strings.HasPrefix(typed, "~/") || strings.HasPrefix(typed, `~\`) {
		typed = typed[1:]
		return filepath.Join(home, typed)
	}
	if !filepath.IsAbs(typed) {
		return filepath.Join(home, typed)
	}
	return filepath.Clean(typed)
}

// folderURL is the address under which the desktop opens a folder.
func folderURL(dir string) string {
	path := filepath.ToSlash(dir)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter (RFC 8089 appendix E.2)
	}
	u := url.URL{Scheme: "file", Path: path}
	return u.String()
}
