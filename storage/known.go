package storage

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// A copied ledger is told from the one that was made here by a list kept outside
// of all ledgers (Options.Known): which id belongs to which folder on this
// computer. A password command is a program, and one that came with somebody
// else's file must not run before it was looked at.

// knownKey says in the ledger that it was entered into a list, so that one from
// before there were lists is taken in as it is.
const knownKey = "ledger.entered"

// recognise enters the ledger into the list of this computer. One that was
// entered on another computer or in another folder is a copy: its password
// commands are held until the user confirms them. Trouble with the list is
// logged and keeps nobody from working.
func (l *Ledger) recognise(ctx context.Context, list string) error {
	if list == "" {
		return nil
	}
	dir, err := filepath.EvalSymlinks(l.dir)
	if err != nil {
		return err
	}
	id, err := l.ID(ctx)
	if err != nil {
		return err
	}
	known, err := readKnown(list)
	if err != nil {
		l.log.Warn("the list of this computer's ledgers cannot be read", "err", err)
		return nil
	}
	if known[dir] == id {
		return nil
	}
	if err := enterKnown(ctx, list, dir, id); err != nil {
		l.log.Warn("the list of this computer's ledgers cannot be written", "err", err)
		return nil
	}
	entered, err := l.Setting(ctx, knownKey, "")
	if err != nil {
		return err
	}
	return l.write(ctx, "recognise the ledger", func(t *Tx) error {
		if entered != "" {
			n, err := t.change("UPDATE accounts SET command_held = 1 WHERE secret = 'command' AND command_held = 0 AND removed_at = 0")
			if err != nil {
				return err
			}
			if n > 0 {
				l.log.Warn("this ledger came from another place; its password commands must be confirmed", "accounts", n)
			}
		}
		return t.setSetting(knownKey, "1")
	})
}

func readKnown(list string) (map[string]string, error) {
	b, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	if err := json.Unmarshal(b, &known); err != nil {
		return map[string]string{}, nil //nolint:nilerr // damaged: begun anew, every command is asked about once
	}
	return known, nil
}

// enterKnown writes one entry; other processes may be writing theirs.
func enterKnown(ctx context.Context, list, dir, id string) (err error) {
	if err := os.MkdirAll(filepath.Dir(list), 0o700); err != nil {
		return err
	}
	lock := flock.New(list+".lock", flock.SetPermissions(0o600))
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := lock.TryLockContext(wait, 10*time.Millisecond); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	known, err := readKnown(list)
	if err != nil {
		return err
	}
	known[dir] = id
	b, err := json.MarshalIndent(known, "", "\t")
	if err != nil {
		return err
	}
	tmp := list + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return finishFile(tmp, list)
}
