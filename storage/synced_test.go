package storage

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSyncedFolderIsTold: a ledger in a folder that a service copies to other
// computers says so, also through a link, and no other folder is suspected.
func TestSyncedFolderIsTold(t *testing.T) {
	for dir, want := range map[string]string{
		"/home/a/OneDrive/postroom":                              "OneDrive",
		"/home/a/OneDrive - Firm Ltd/Post":                       "OneDrive",
		"/home/a/onedrive/x":                                     "OneDrive",
		"/home/a/Dropbox (Private)/x":                            "Dropbox",
		"/Users/a/Library/Mobile Documents/com~apple~CloudDocs/": "iCloud",
		"/home/a/Nextcloud":                                      "Nextcloud",
		"/home/a/我的坚果云/邮件":                                       "坚果云",
		"/home/a/.local/share/postroom":                          "",
		"/home/a/Dropboxes/x":                                    "",
		"/home/dropbox-mail/x":                                   "",
		"/srv/CloudStorage/x":                                    "",
		"/":                                                      "",
	} {
		if got := syncedBy(filepath.FromSlash(dir)); got != want {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
	folder := filepath.Join(t.TempDir(), "Dropbox", "mail")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "here")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), link, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	if got := l.SyncedBy(); got != "Dropbox" {
		t.Errorf("%q through a link", got)
	}
}
