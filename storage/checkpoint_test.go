package storage

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCheckpointsBeside: while checkpoints are made beside the writer all that is
// committed comes into the file, and afterwards the writer makes them as before.
func TestCheckpointsBeside(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	at := func() (pages int) {
		t.Helper()
		if err := l.write(t.Context(), "look", func(tx *Tx) error { return tx.scan("PRAGMA wal_autocheckpoint", nil, &pages) }); err != nil {
			t.Fatal(err)
		}
		return pages
	}
	end := l.checkpointBeside(t.Context())
	second := l.checkpointBeside(t.Context())
	second() // it was not the one whose they are
	if n := at(); n != checkpointPagesBeside {
		t.Errorf("the writer makes its own at %d pages beside another", n)
	}
	if _, _, _, _, err := l.ImportContacts(t.Context(), "L", false, crowd(3000)); err != nil {
		t.Fatal(err)
	}
	if n := at(); n != checkpointPagesBeside {
		t.Errorf("an import that found another's left %d pages", n)
	}
	end()
	if n := at(); n != checkpointPages {
		t.Errorf("the writer makes its own at %d pages", n)
	}
	wantSound(t, l)
}

// TestCheckpointsCopyWhatIsCommitted: the pages are in the file before the ledger is
// closed, though the writer has copied none.
func TestCheckpointsCopyWhatIsCommitted(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, FileName))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	end := l.checkpointBeside(t.Context())
	if _, _, _, _, err := l.ImportContacts(t.Context(), "L", false, crowd(3000)); err != nil {
		t.Fatal(err)
	}
	end() // waits for the last one
	if after := size(); after < before+3000*100 {
		t.Errorf("the file grew from %d to %d bytes", before, after)
	}
}

// TestCheckpointsOfAClosedLedger: a ledger that is closed meanwhile leaves nobody behind.
func TestCheckpointsOfAClosedLedger(t *testing.T) {
	l := open(t, t.TempDir())
	end := l.checkpointBeside(t.Context())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	end()
}
