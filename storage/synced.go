package storage

import (
	"path/filepath"
	"runtime"
	"strings"
)

// A service that copies a folder to other computers copies the ledger and its
// journal at different moments, and may put an older one back: mail could then
// go out twice. That is no reason to refuse to work, but the user must know.

// syncing names the services by the folders that they make. A name counts for a
// folder that is called so or that goes on with " - " or " (", as OneDrive's do
// for a firm and Dropbox's for a person.
var syncing = []struct{ folder, service string }{
	{"OneDrive", "OneDrive"},
	{"Dropbox", "Dropbox"},
	{"Google Drive", "Google Drive"},
	{"GoogleDrive", "Google Drive"},
	{"My Drive", "Google Drive"},
	{"iCloudDrive", "iCloud"},
	{"iCloud Drive", "iCloud"},
	{"Mobile Documents", "iCloud"}, // macOS: ~/Library/Mobile Documents
	{"CloudStorage", "CloudStorage"},
	{"Nextcloud", "Nextcloud"},
	{"ownCloud", "ownCloud"},
	{"MEGAsync", "MEGA"},
	{"Nutstore", "坚果云"},
	{"Nutstore Files", "坚果云"},
	{"我的坚果云", "坚果云"},
	{"BaiduSyncdisk", "百度网盘"},
	{"WPSDrive", "WPS"},
}

// SyncedBy names the service that copies the data folder to other computers, as
// far as its path tells; empty: none known.
func (l *Ledger) SyncedBy() string {
	dir, err := filepath.Abs(l.dir)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return syncedBy(dir)
}

func syncedBy(dir string) string {
	parts := strings.FieldsFunc(dir, func(r rune) bool { return r == filepath.Separator || r == '/' })
	for i, part := range parts {
		if part == "CloudStorage" && (i == 0 || parts[i-1] != "Library" || runtime.GOOS != "darwin") {
			continue // the services' common folder on macOS, elsewhere any name
		}
		for _, s := range syncing {
			rest, ok := cutPrefixFold(part, s.folder)
			if ok && (rest == "" || strings.HasPrefix(rest, " - ") || strings.HasPrefix(rest, " (")) {
				return s.service
			}
		}
	}
	return ""
}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
